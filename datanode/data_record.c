/* data_record - see data_record.h
 *
 *     attempt: seconds since 1970 << 32 | lower half of the epoch << 16 | a count
 *
 * Two attempts at one segment differ: in one epoch by the count, unless there were
 * 65,536 in one second; in two epochs by the epoch, unless they are 65,536 apart and
 * the clock was set back to that very second.
 */
#include "datanode/data_record.h"

#include <stdlib.h>

#include "core/wire/pb.h"

err_t data_record_copy(ctx_t *ctx, const Elanus__Segment *from, Elanus__Segment **ret)
{
    return PB_UNPACK(ctx, elanus__segment, pb_pack(ctx, from), ret);
}

static char **s_names(ctx_t *ctx, const char *const *from, size_t n)
{
    char **names = ctx_new(ctx, (n + 1) * sizeof *names);
    for (size_t i = 0; i < n; i++)
        names[i] = ctx_strdup(ctx, from[i]);
    return names;
}

err_t data_record_of(ctx_t *ctx, const flush_t *plan, const char *vchannel, Elanus__Segment **ret)
{
    const sealed_files_t *files = flush_files(plan);
    Elanus__Segment *record = ctx_try(ctx, sizeof *record);
    if (!record)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the record of segment %llu",
                        (unsigned long long)files->id.segment);
    elanus__segment__init(record);
    record->id = files->id.segment;
    record->collection = files->id.collection;
    record->partition = files->id.partition;
    record->vchannel = ctx_strdup(ctx, vchannel);
    record->state = ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED;
    record->rows = files->n_rows;
    record->parts = (uint32_t)files->n_parts;
    record->n_binlogs = flush_binlogs(plan);
    record->binlogs = s_names(ctx, files->binlogs, record->n_binlogs);
    record->n_deltalogs = files->n_deltalogs;
    record->deltalogs = s_names(ctx, files->deltalogs, files->n_deltalogs);
    if (files->stats)
        record->stats = ctx_strdup(ctx, files->stats);
    record->deleted = flush_deleted(plan);
    record->bytes = flush_bytes(plan);
    *ret = record;
    return OK;
}

void data_record_add_deltalog(ctx_t *ctx, Elanus__Segment *record, const char *key)
{
    char **names = ctx_new(ctx, (record->n_deltalogs + 1) * sizeof *names);
    for (size_t i = 0; i < record->n_deltalogs; i++)
        names[i] = record->deltalogs[i];
    names[record->n_deltalogs++] = (char *)key;
    record->deltalogs = names;
}

sealed_files_t data_record_files(const Elanus__Segment *record)
{
    return (sealed_files_t){
        .id = { record->collection, record->partition, record->id },
        .n_rows = record->rows, .n_parts = record->parts,
        .binlogs = (const char *const *)record->binlogs,
        .deltalogs = (const char *const *)record->deltalogs,
        .n_deltalogs = record->n_deltalogs,
        .stats = record->stats[0] ? record->stats : NULL,
    };
}

size_t data_record_keys(ctx_t *ctx, const Elanus__Segment *record, const char *const **ret)
{
    size_t n = 0;
    const char **keys = ctx_new(ctx, (record->n_binlogs + record->n_deltalogs + 1) * sizeof *keys);
    for (size_t i = 0; i < record->n_binlogs; i++)
        keys[n++] = record->binlogs[i];
    for (size_t i = 0; i < record->n_deltalogs; i++)
        keys[n++] = record->deltalogs[i];
    if (record->stats[0])
        keys[n++] = record->stats;
    *ret = keys;
    return n;
}

const char *data_record_place(ctx_t *ctx, const Elanus__Segment *record)
{
    return ctx_printf(ctx, "%llu/%llu/%llu", (unsigned long long)record->collection,
                      (unsigned long long)record->partition, (unsigned long long)record->id);
}

/* --- attempts ------------------------------------------------------------------------- */

uint64_t attempts_next(attempts_t *self, int64_t wall_ms)
{
    uint64_t seconds = wall_ms > 0 ? (uint64_t)wall_ms / 1000 : 0;
    return (seconds & 0x7fffffff) << 32 | (self->epoch & 0xffff) << 16 | (++self->count & 0xffff);
}

/* The number at *at, which is moved behind it and the character after; false: none there. */
static bool s_number(const char **at, char after, uint64_t *ret)
{
    if (**at < '0' || **at > '9')
        return false;
    char *end;
    *ret = strtoull(*at, &end, 10);
    if (*end != after)
        return false;
    *at = end + (after != '\0');
    return true;
}

int64_t attempts_wall_ms(const char *key, uint64_t *ret_collection, uint64_t *ret_segment)
{
    bool binlog = strncmp(key, "binlog/", 7) == 0;
    const char *at = strchr(key, '/');
    if (!at || (!binlog && strncmp(key, "deltalog/", 9) != 0 && strncmp(key, "stats/", 6) != 0))
        return -1;
    uint64_t collection, partition, segment, field, attempt, part;
    at++;
    if (!s_number(&at, '/', &collection) || !s_number(&at, '/', &partition) ||
        !s_number(&at, '/', &segment))
        return -1;
    if (binlog ? !s_number(&at, '/', &field) || !s_number(&at, '-', &attempt) ||
                 !s_number(&at, '\0', &part)
               : !s_number(&at, '\0', &attempt))
        return -1;
    *ret_collection = collection;
    *ret_segment = segment;
    return (int64_t)(attempt >> 32) * 1000;
}
