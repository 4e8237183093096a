/* data_world - one data node in the simulator, and somebody who asks it by hand (dw_…)
 *
 * Beside the node (0) there is a probe (1), which says and answers what a test wants: it is
 * the leading coordinator, the proxy and the query node.  Channel dml_3, collection 500 with
 * an id and a text, partitions 501 and 502.
 */
#ifndef TESTS_SUPPORT_DATA_WORLD_H
#define TESTS_SUPPORT_DATA_WORLD_H

#include "core/catalog/catalog.h"
#include "core/wal/wal_record.h"
#include "datanode/data_node.h"
#include "tests/support/sim.h"
#include "tests/support/sim_disk.h"

enum { DATA_WORLD_NODE = 0, DATA_WORLD_PROBE = 1, DATA_WORLD_MS = 15000 };

#define DATA_WORLD_PCHANNEL "dml_3"
#define DATA_WORLD_VCHANNEL "dml_3_500v0"

typedef struct {
    uint32_t method;
    buf_t payload;
    int64_t timeout_ms;
    bool asked, done;
    err_t err;
    char text[CTX_TEXT_BYTES];
    buf_t answer;
} question_t;

typedef struct {
    sim_t *sim;
    sim_disks_t *disks;
    data_options_t options;
    role_t role;                /* the data node's, with a step that can be made to fail */
    schema_t *schema;
    vec_t questions;            /* of question_t * */
    uint64_t next_id, epoch, next_request;
    bool no_ids;
    int fault_in_write, fault_in_job;   /* that fallible call of the next such step; < 0: none */
    bool fault_fired;
    ctx_t ctx;
} data_world_t;

extern data_world_t data_world;

/* cmocka's setup and teardown. */
int dw_up(void **state);
int dw_down(void **state);

/* Put a collection with one or two partitions; delete a key of the metadata. */
void dw_put_collection(uint64_t id, size_t n_partitions);
void dw_delete_key(const char *key);

/* Have the probe call the node; the question lives as long as the world. */
question_t *dw_ask(uint32_t method, view_t payload, int64_t timeout_ms);
err_t dw_wait(question_t *q);

/* OPEN_CHANNEL, and that it must come right; the epoch in metadata, 0: not ACTIVE. */
question_t *dw_open(void);
void dw_open_well(void);
uint64_t dw_epoch(void);

/* One entry: rows with these ids, or a delete of them. */
typedef struct {
    wal_kind_t kind;
    int64_t first;
    size_t n;
    size_t text_bytes;
    int64_t collection, partition;
    uint64_t request;           /* 0: a new one */
    const char *pchannel, *vchannel;
    uint64_t epoch;             /* 0: the right one */
    bool text_is_number, no_text, swapped, no_keys, null_keys, two_requests;
} rows_t;

/* The bytes that a proxy would send; a WRITE of them; the timestamp it must have answered. */
void dw_bytes(const rows_t *rows, uint64_t request, buf_t *into);
question_t *dw_write_soon(rows_t rows);
question_t *dw_write(rows_t rows);
uint64_t dw_ts(const question_t *q);

/* SEGMENTS of a collection, and the rows in all of 500's. */
const Elanus__SegmentList *dw_segments(uint64_t collection);
uint64_t dw_rows(void);

question_t *dw_follow(uint64_t epoch, uint64_t seq, int64_t wait_ms);
question_t *dw_follow_remote(const Elanus__Follow *ask);        /* its vchannel is filled in */
const Elanus__Followed *dw_followed(question_t *q);

#endif
