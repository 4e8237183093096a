/* wal_record - the bytes of the write-ahead log
 *
 * One format for the cluster's log objects and the standalone log's files: an
 * *object* is one committed batch of one pchannel, and holds *entries*.
 * Numbers are little-endian, everything starts at a multiple of 8, so that the
 * columns inside can be used where they lie.
 *
 *     offset  size  object
 *     0       4     magic "EWAL"
 *     4       2     version, 1
 *     6       2     length of the channel's name, 1..LIMIT_NAME_BYTES
 *     8       8     log: a random number, the same in every object of a log
 *     16      8     epoch of the writer
 *     24      8     seq, rising by 1
 *     32      8     stable: every seq up to here was durable when this was written
 *     40      16    hash of the object before; zeros in the first
 *     56      8     smallest timestamp of its entries
 *     64      8     largest
 *     72      4     n, entries, at least 1
 *     76      4     length of the body, a multiple of 8
 *     80      4     crc32c of the body
 *     84      4     crc32c of bytes 0..83 and of the name with its zeros
 *     88      ..    channel, zeros up to a multiple of 8
 *     ..      ..    body: n entries
 *     ..      4     magic "LAWE"
 *     ..      4     the number at 84 again: this end belongs to that head
 *
 *     offset  size  entry
 *     0       4     its length, a multiple of 8
 *     4       1     kind, WAL_KIND_TABLE
 *     5       1     flags: 1 a column of primary keys to delete comes first; 2 early
 *     6       2     length of the vchannel's name, up to LIMIT_WAL_NAME_BYTES
 *     8       8     timestamp, not below the entry's before
 *     16      8     collection
 *     24      8     partition; -1: all
 *     32      8     segment the rows are meant for; 0: none
 *     40      16    request, so that a repeated one is known after a replay
 *     56      4     n, columns of the rows, 0..LIMIT_WAL_FIELDS
 *     60      4     length of the note
 *     64      ..    vchannel, zeros up to a multiple of 8
 *     ..      ..    note, zeros up to a multiple of 8
 *     ..      8n    field ids
 *     ..      ..    primary keys when flag 1, then n columns (core/schema/column.h)
 *
 * The hash is BLAKE2b-128 (RFC 7693) of head and name.  It names the body by
 * its checksum: enough to tell that an object is not the one that was chained,
 * and it costs nothing per row.  (Hashing bodies costs as much as the disk.)
 *
 * `stable` is what tells a torn tail from damage.  Objects of one group commit
 * reach the disk in any order, so after a power cut a whole object may lie
 * behind a missing one.  That is innocent as long as nobody was told; an
 * object whose `stable` covers the missing one says that somebody was.
 *
 * `log` keeps a client from writing rows that look like an object of ours to
 * somebody who searches a damaged file.
 */
#ifndef CORE_WAL_WAL_RECORD_H
#define CORE_WAL_WAL_RECORD_H

#include "core/base/buf.h"
#include "core/base/limits.h"
#include "core/schema/column.h"

/* X(NAME, number): numbers are stored, so they never change. */
#define WAL_KIND_TABLE(X) \
    X(INSERT,  1)               /* rows */ \
    X(DELETE,  2)               /* primary keys */ \
    X(UPSERT,  3)               /* primary keys to delete, then rows, at one instant */ \
    X(BARRIER, 4)               /* no rows: a mark in the order; the note says what for */

typedef enum wal_kind {
#define X(name, number) WAL_##name = number,
    WAL_KIND_TABLE(X)
#undef X
} wal_kind_t;

enum { WAL_HEAD_BYTES = 88, WAL_TAIL_BYTES = 8, WAL_HASH_BYTES = 16 };

typedef struct wal_position { uint64_t epoch, seq; } wal_position_t;   /* {0, 0}: before all */

static inline bool wal_before(wal_position_t a, wal_position_t b)
{
    return a.epoch != b.epoch ? a.epoch < b.epoch : a.seq < b.seq;
}

typedef struct wal_field { int64_t id; column_t column; } wal_field_t;

/* All borrowed: from the writer's columns, or from the bytes that were read. */
typedef struct wal_entry {
    wal_kind_t kind;
    uint64_t timestamp;
    int64_t collection, partition, segment;
    uint64_t request[2];
    bool early;                 /* its writer did not know yet what the epochs before had: when
                                   they had this request, this entry does not count */
    view_t vchannel, note;
    const column_t *deletes;    /* primary keys; NULL for INSERT and BARRIER */
    const wal_field_t *fields;  /* [n_fields], of equally many rows */
    size_t n_fields;
} wal_entry_t;

/* --- writing ----------------------------------------------------------------- */

/* Entries under way to become an object.  Memory only; one thread at a time. */
typedef struct wal_batch {
    buf_t bytes;                /* room for the head, then entries */
    size_t head_len;
    uint32_t n;
    uint64_t min_ts, max_ts;
    wal_position_t at;          /* set when a log takes it */
} wal_batch_t;

/* channel: 1..LIMIT_NAME_BYTES.  Free with wal_batch_fini. */
void wal_batch_init(wal_batch_t *batch, view_t channel);
void wal_batch_fini(wal_batch_t *batch);

/* Append an entry; its columns are copied, once.  The timestamp must not be below
 * the last one's, and kind and columns must fit (checked: a mistake of ours).
 * On failure the batch is as before.
 *
 * Errors  ERR_PARAM_TOO_LARGE  the object would pass LIMIT_WAL_OBJECT_BYTES
 *         ERR_MEMORY
 */
err_t must_use wal_batch_add(ctx_t *ctx, wal_batch_t *batch, const wal_entry_t *entry);

/* Append all entries of another batch of the same channel; its timestamps must not be below
 * ours.  Errors and cost as wal_batch_add. */
err_t must_use wal_batch_join(ctx_t *ctx, wal_batch_t *batch, const wal_batch_t *from);

/* Bytes of the object so far, with head and tail. */
static inline size_t wal_batch_len(const wal_batch_t *batch)
{
    return batch->bytes.len + WAL_TAIL_BYTES;
}

typedef struct wal_link {
    uint64_t log, stable;
    wal_position_t at;
    uint8_t prev[WAL_HASH_BYTES];
} wal_link_t;

/* Fill in head and tail: the object's bytes, borrowed from the batch, and its
 * hash.  Not for an empty batch.  May be repeated with another link.  ERR_MEMORY. */
err_t must_use wal_batch_seal(ctx_t *ctx, wal_batch_t *batch, const wal_link_t *link,
                              view_t *ret, uint8_t ret_hash[WAL_HASH_BYTES]);

/* --- reading ----------------------------------------------------------------- */

typedef struct wal_head {
    view_t channel;
    wal_link_t link;
    uint8_t hash[WAL_HASH_BYTES];
    uint64_t min_ts, max_ts;
    uint32_t n, body_crc, head_crc;
    size_t head_len, body_len, len;         /* len: of the whole object */
} wal_head_t;

/* The head of the object whose first bytes these are; they may end behind the
 * head.  Errors  ERR_CORRUPT, ERR_VERSION */
err_t must_use wal_head_read(ctx_t *ctx, view_t bytes, wal_head_t *ret);

/* True when bytes begin with a whole, valid head; says nothing when not. */
bool wal_head_there(view_t bytes, wal_head_t *ret);

typedef struct wal_reader {
    wal_head_t head;
    view_t body;
    size_t at;                  /* in body */
    uint32_t n_read;
    uint64_t last_ts;
    column_t deletes;
    wal_field_t fields[LIMIT_WAL_FIELDS];
} wal_reader_t;

/* Verify one object, which bytes begin with (8-aligned, borrowed while reading).
 * Texts of ERR_CORRUPT name the byte of the object.  Errors  also ERR_VERSION */
err_t must_use wal_reader_open(ctx_t *ctx, wal_reader_t *reader, view_t bytes);

/* The entries of a batch of this process, as they were added: nothing is verified. */
void wal_reader_own(wal_reader_t *reader, const wal_batch_t *batch);

/* The next entry, borrowed until the next call; *ret_more false: there is none.
 * Errors  ERR_CORRUPT     Cost  no allocation */
err_t must_use wal_reader_next(ctx_t *ctx, wal_reader_t *reader, wal_entry_t *ret, bool *ret_more);

#endif
