/* cluster_int - what the files of `elanus up` share */
#ifndef CLI_CLUSTER_INT_H
#define CLI_CLUSTER_INT_H

#include <stdio.h>
#include <sys/types.h>

#include "core/base/buf.h"
#include "core/base/vec.h"

/* What is started in this order, and ended in the reverse. */
typedef enum {
    PART_ETCD, PART_S3, PART_COORD, PART_DATANODE, PART_QUERYNODE, PART_INDEXNODE, PART_PROXY, PARTS
} part_t;

typedef enum {
    PROCESS_STARTING,           /* no ready line yet */
    PROCESS_READY,
    PROCESS_PAUSED,             /* SIGSTOP by `elanus pause` */
    PROCESS_GONE,
} process_state_t;

typedef struct process {
    part_t part;
    char name[32];              /* "querynode-1" */
    char **argv;                /* owned, NULL at the end */
    pid_t pid;                  /* 0: not running */
    process_state_t state;
    bool was_ready;
    int status;                 /* of wait(), once it is gone */
    int64_t started_ms;
    long log_from;              /* where this start's part of the log begins */
    char grpc[64], ops[64];     /* of the ready line; "" without */
    char node[16];              /* its id in the cluster, of the same line */
} process_t;

typedef struct cluster {
    const char *dir;            /* absolute */
    const char *bin;            /* where the daemons lie */
    int counts[PARTS];
    int port;                   /* of the first proxy; 0: any */
    int ops_port;               /* its operations port; 0: any, -1: not said */
    const char *etcd, *s3;      /* HOST:PORT given; NULL: started here */
    const char *s3_key, *s3_secret;
    const char *root;           /* in etcd, and the bucket's name */
    vec_t processes;            /* of process_t *, owned */
    int next[PARTS];            /* number of the next of its kind */
    int lock_fd, control_fd, signal_fd;
    bool said_ready, leaving;
    ctx_t memory;
} cluster_t;

const char *part_name(part_t part);
bool part_by_name(const char *name, part_t *ret);       /* daemons only */

/* cluster_process.c: one process */

/* A program of the cluster, not started; flags: ends with NULL, copied. */
process_t *process_new(part_t part, const char *name, char *const *flags);
void process_destroy(process_t **self_p);

/* Errors  ERR_IO_FAILED with the reason: no such program, no fork, no log file */
err_t must_use process_start(ctx_t *ctx, const cluster_t *cluster, process_t *self);

/* Look for the ready line, or for whatever says that a store serves. */
void process_look(const cluster_t *cluster, process_t *self);

/* "ready", "exited 3", "killed by signal 9" … in the arena. */
const char *process_word(ctx_t *ctx, const process_t *self);

/* cluster_plan.c: which processes, with which flags */

/* A port nobody has now, below those the kernel gives out by itself. */
int cluster_free_port(void);

/* The stores and daemons as counted; ERR_CONFIG when a store's program is missing. */
err_t must_use cluster_plan(ctx_t *ctx, cluster_t *self);

/* One more daemon of a kind. */
process_t *cluster_add_one(cluster_t *self, part_t part);

process_t *cluster_find(const cluster_t *self, const char *name);

/* cluster_control.c: answers to the other commands */

/* Answer one question; writes what `elanus ps` and the others print. */
void cluster_answer(ctx_t *ctx, cluster_t *self, const char *question, buf_t *into);

/* A socket at DIR/control: to listen on, or connected; -1 with errno. */
int cluster_socket(const char *dir, bool listening);

#endif
