/* data_opening - a log as it is opened and read, and the requests that were found in it */
#ifndef DATANODE_DATA_OPENING_H
#define DATANODE_DATA_OPENING_H

#include "datanode/data_int.h"

/* --- data_requests.c: which requests were done recently ------------------------------- */

typedef struct data_request {
    uint64_t ts;
    int64_t since_ms;           /* its age by our wall clock: that of its stamp, unless set */
    wal_position_t at;
    data_write_t *write;        /* it is under way; NULL: it was done */
    bool gone;                  /* it was not done after all */
    size_t key_len;
    uint8_t key[];
} data_request_t;

data_requests_t *data_requests_new(void);
void data_requests_destroy(data_requests_t **self_p);

/* NULL: not known.  An id of zeros is nobody's. */
data_request_t *data_requests_find(const data_requests_t *self, view_t vchannel,
                                   const uint64_t id[2]);
data_request_t *data_requests_add(data_requests_t *self, view_t vchannel, const uint64_t id[2],
                                  uint64_t ts, wal_position_t at, data_write_t *write);
void data_requests_forget(data_requests_t *self, data_request_t *request);

/* All of them count as done at this moment: another machine's clock stamped them. */
void data_requests_learned(data_requests_t *self, int64_t wall_ms);

/* The id and the vchannel of a request. */
view_t data_request_vchannel(const data_request_t *request, uint64_t ret_id[2]);

/* Drop what came before this wall clock; the oldest that is left, NULL: none. */
const data_request_t *data_requests_since(data_requests_t *self, int64_t wall_ms);

/* --- data_replay.c: a channel's log, opened and read by a job ------------------------- */

struct data_opening {
    const data_options_t *options;
    char *name;                 /* of the pchannel */
    uint64_t least_epoch;
    wal_position_t after;
    vec_t seals;                /* of wal_seal_t: known, then with those of the survey */
    map_t *shapes;              /* collection -> what the catalog says of it */
    map_t *segments;            /* those that metadata knows: id -> anything */

    wal_disk_t *disk;           /* what came of it; taken by the node */
    wal_t *log;
    map_t *shards;              /* vchannel -> data_shard_t */
    data_requests_t *requests;
    vec_t twins;                /* of data_twin_t */
    wal_position_t last;
    uint64_t last_ts;
    uint64_t n_entries, n_skipped;
    bool read;                  /* all of it */
    _Atomic bool unwanted;      /* the reading may stop */
};

data_opening_t *data_opening_new(const data_channel_t *channel, ctx_t *ctx);
void data_opening_destroy(data_opening_t **self_p);

/* Open the log.  A local one is read then, too; of one on the store data_opening_read reads what
 * the epochs before wrote: it may be called again when it failed. */
job_fn data_opening_run, data_opening_read;

#endif
