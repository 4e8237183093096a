/* data_segment - shards, their growing segments, and what an entry of the log does to them
 *
 * The same function applies an entry when it was committed and when it is replayed, so
 * both come to the same rows.
 */
#include "datanode/data_path.h"

#include "core/segment/live.h"

/* --- shards --------------------------------------------------------------------------- */

data_shard_t *data_shard_new(view_t name, uint64_t collection, schema_t *schema)
{
    data_shard_t *shard = mem_new(sizeof *shard);
    shard->name = mem_new(name.len + 1);
    memcpy(shard->name, name.ptr, name.len);
    shard->collection = collection;
    shard->schema = schema_ref(schema);
    vec_init(&shard->segments, sizeof(data_segment_t *));
    vec_init(&shard->deletes, sizeof(data_delete_t));
    return shard;
}

static data_segment_t *s_at(const data_shard_t *shard, size_t i)
{
    return *(data_segment_t **)vec_at(&shard->segments, i);
}

static void s_segment_free(data_segment_t *segment)
{
    growing_unref(&segment->rows);
    mem_free(segment);
}

void data_shard_free(data_shard_t *shard)
{
    check(!shard->channel && shard->followers.len == 0);
    for (size_t i = 0; i < shard->segments.len; i++)
        s_segment_free(s_at(shard, i));
    for (size_t i = 0; i < shard->deletes.len; i++)
        buf_fini(&((data_delete_t *)vec_at(&shard->deletes, i))->bytes);
    vec_fini(&shard->segments);
    vec_fini(&shard->deletes);
    vec_fini(&shard->followers);
    schema_unref(&shard->schema);
    mem_free(shard->name);
    mem_free(shard);
}

static uint64_t s_owner(const data_shard_t *shard)
{
    return shard->channel->node->member.self->incarnation;
}

/* What a segment takes of the memory that a flush would free. */
static void s_account(data_shard_t *shard, data_segment_t *segment)
{
    if (!shard->channel)
        return;
    data_node_t *node = shard->channel->node;
    bool counts = segment->state != DATA_FLUSHED;
    uint64_t bytes = counts ? growing_bytes(segment->rows) : 0;
    uint64_t rows = counts ? growing_rows(segment->rows) : 0;
    node->bytes += bytes - segment->counted;
    node->rows += rows - segment->counted_rows;
    segment->counted = bytes;
    segment->counted_rows = rows;
}

static void s_account_delete(data_shard_t *shard, const data_delete_t *run, bool there)
{
    shard->delete_bytes += there ? run->bytes.len : -run->bytes.len;
    if (shard->channel)
        shard->channel->node->bytes += there ? run->bytes.len : -run->bytes.len;
}

/* Segments of writes that came during the replay: new ones, without rows. */
static void s_take_early(data_shard_t *shard, data_shard_t *early)
{
    check(early->deletes.len == 0 && early->followers.len == 0 && early->last_ts == 0);
    for (size_t i = 0; i < early->segments.len; i++)
        vec_push(&shard->segments, vec_at(&early->segments, i));
    early->segments.len = 0;
    map_del_str(early->channel->shards, early->name);
    early->channel = NULL;
    data_shard_free(early);
}

void data_shard_adopt(data_channel_t *channel, data_shard_t *shard)
{
    data_shard_t *early = map_get_str(channel->shards, shard->name);
    if (early)
        s_take_early(shard, early);
    check(!shard->channel && !map_put_str(channel->shards, shard->name, shard));
    shard->channel = channel;
    channel->node->bytes += shard->delete_bytes;
    for (size_t i = 0; i < shard->segments.len; i++) {
        live_put(s_owner(shard), s_at(shard, i)->rows);
        s_account(shard, s_at(shard, i));
    }
}

void data_shard_leave(data_shard_t *shard)
{
    data_channel_t *channel = shard->channel;
    data_persist_shard_gone(shard);
    for (size_t i = 0; i < shard->segments.len; i++) {
        live_drop(s_owner(shard), s_at(shard, i)->id);
        channel->node->bytes -= s_at(shard, i)->counted;
        channel->node->rows -= s_at(shard, i)->counted_rows;
    }
    channel->node->bytes -= shard->delete_bytes;
    map_del_str(channel->shards, shard->name);
    shard->channel = NULL;
}

/* --- segments ------------------------------------------------------------------------- */

data_segment_t *data_segment_find(const data_shard_t *shard, uint64_t id)
{
    for (size_t i = shard->segments.len; i-- > 0; )     /* mostly the newest */
        if (s_at(shard, i)->id == id)
            return s_at(shard, i);
    return NULL;
}

data_segment_t *data_segment_taking(const data_shard_t *shard, uint64_t partition)
{
    for (size_t i = shard->segments.len; i-- > 0; )
        if (s_at(shard, i)->partition == partition && s_at(shard, i)->state == DATA_GROWING)
            return s_at(shard, i);
    return NULL;
}

data_segment_t *data_segment_add(data_shard_t *shard, uint64_t id, uint64_t partition)
{
    data_segment_t *segment = mem_new(sizeof *segment);
    *segment = (data_segment_t){ .id = id, .partition = partition };
    segment->rows = growing_new(shard->schema, (segment_id_t){
        .collection = shard->collection, .partition = partition, .segment = id });
    vec_push(&shard->segments, &segment);
    if (shard->channel)
        live_put(s_owner(shard), segment->rows);
    return segment;
}

void data_segment_remove(data_shard_t *shard, size_t i)
{
    data_segment_t *segment = s_at(shard, i);
    data_persist_segment_gone(shard, segment);
    live_drop(s_owner(shard), segment->id);
    shard->channel->node->bytes -= segment->counted;
    shard->channel->node->rows -= segment->counted_rows;
    vec_remove(&shard->segments, i);
    s_segment_free(segment);
}

void data_segment_seal(data_shard_t *shard, data_segment_t *segment, const event_t *ev,
                       actions_t *act)
{
    if (segment->state != DATA_GROWING)
        return;
    segment->state = DATA_SEALED;
    if (segment->pending == 0)
        data_persist_sealed(shard, segment, ev, act);
}

void data_segment_arrived(data_shard_t *shard, data_segment_t *segment, size_t bytes, size_t rows,
                          const event_t *ev, actions_t *act)
{
    check(segment->pending > 0);
    segment->pending--;
    segment->pending_bytes -= bytes;
    segment->pending_rows -= rows;
    if (segment->state == DATA_SEALED && segment->pending == 0)
        data_persist_sealed(shard, segment, ev, act);
}

void data_segment_flushed(data_shard_t *shard, data_segment_t *segment)
{
    check(segment->state == DATA_SEALED && segment->pending == 0);
    segment->state = DATA_FLUSHED;
    if (wal_before(shard->trimmed, segment->first))     /* who never heard of it begins anew */
        shard->trimmed = segment->first;
    if (wal_before(shard->flushed, segment->last))
        shard->flushed = segment->last;
    live_drop(s_owner(shard), segment->id);
    s_account(shard, segment);
}

/* Flushed ones whose last reader has gone. */
static void s_let_go(data_shard_t *shard)
{
    for (size_t i = 0; shard->channel && i < shard->segments.len; ) {
        if (s_at(shard, i)->state == DATA_FLUSHED && !growing_is_shared(s_at(shard, i)->rows))
            data_segment_remove(shard, i);
        else
            i++;
    }
}

/* --- do columns fit the schema? ------------------------------------------------------- */

static bool s_has_null(const column_t *c)
{
    for (size_t row = 0; c->valid && row < c->n; row++)
        if (column_is_null(c, row))
            return true;
    return false;
}

/* Cells that differ in length have a form of their own. */
static bool s_cells_are_sane(const column_t *c)
{
    uint32_t n = 0;
    if (c->type == TYPE_SPARSE_VECTOR) {
        for (size_t row = 0; row < c->n; row++)
            if (column_cell(c, row).len % 8)
                return false;
    } else if (c->type == TYPE_ARRAY) {
        for (size_t row = 0; row < c->n; row++)
            if (!column_is_null(c, row) && !array_len(column_cell(c, row), &n))
                return false;
    }
    return true;
}

static err_t s_check_column(ctx_t *ctx, const field_t *field, const column_t *c)
{
    if (c->type != field->type || c->element != field->element ||
        c->width != type_width(field->type, field->dim))
        return ctx_fail(ctx, ERR_MALFORMED, "field %s is %s, the rows have %s cells of %zu bytes",
                        field->name, type_name(field->type), type_name(c->type), c->width);
    if (c->valid && !field->nullable && s_has_null(c))
        return ctx_fail(ctx, ERR_MALFORMED, "field %s has nulls and may not", field->name);
    if (!c->width && !s_cells_are_sane(c))
        return ctx_fail(ctx, ERR_MALFORMED, "field %s has a damaged cell", field->name);
    return OK;
}

/* Usually they come in the schema's order. */
static const column_t *s_of_field(const wal_entry_t *entry, int64_t id, size_t likely)
{
    if (likely < entry->n_fields && entry->fields[likely].id == id)
        return &entry->fields[likely].column;
    for (size_t i = 0; i < entry->n_fields; i++)
        if (entry->fields[i].id == id)
            return &entry->fields[i].column;
    return NULL;
}

err_t data_columns(ctx_t *ctx, const schema_t *schema, const wal_entry_t *entry,
                   column_t ret[LIMIT_WAL_FIELDS])
{
    size_t n = schema_len(schema);
    if (n > LIMIT_WAL_FIELDS || entry->n_fields != n || entry->fields[0].column.n == 0)
        return ctx_fail(ctx, ERR_MALFORMED, "an insert of %zu columns and %zu rows, the collection "
                        "has %zu fields", entry->n_fields,
                        entry->n_fields ? entry->fields[0].column.n : 0, n);
    for (size_t i = 0; i < n; i++) {
        const field_t *field = schema_at(schema, i);
        const column_t *c = s_of_field(entry, field->id, i);
        if (!c)
            return ctx_fail(ctx, ERR_MALFORMED, "no column for field %s", field->name);
        TRY(s_check_column(ctx, field, c));
        ret[i] = *c;
    }
    return OK;
}

err_t data_check_keys(ctx_t *ctx, const schema_t *schema, const column_t *keys)
{
    if (keys->n == 0)
        return ctx_fail(ctx, ERR_MALFORMED, "a delete without keys");
    return s_check_column(ctx, schema_pk(schema), keys);
}

static size_t s_column_bytes(const column_t *c)
{
    return c->width ? c->n * c->width : (size_t)(c->offsets[c->n] - c->offsets[0]) + 8 * c->n;
}

size_t data_entry_bytes(const wal_entry_t *entry)
{
    size_t bytes = entry->deletes ? s_column_bytes(entry->deletes) : 0;
    for (size_t i = 0; i < entry->n_fields; i++)
        bytes += s_column_bytes(&entry->fields[i].column);
    return bytes;
}

/* --- applying ------------------------------------------------------------------------- */

static err_t s_keep_keys(ctx_t *ctx, wal_position_t at, const wal_entry_t *entry,
                         data_delete_t *ret)
{
    *ret = (data_delete_t){ .at = at, .ts = entry->timestamp, .partition = entry->partition };
    size_t used = 0;
    buf_init(&ret->bytes, 0);
    column_write(entry->deletes, &ret->bytes);
    if (!buf_ok(&ret->bytes)) {
        buf_fini(&ret->bytes);
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu keys to delete", entry->deletes->n);
    }
    check(column_read(ctx, buf_view(&ret->bytes), &ret->pks, &used) == OK);
    return OK;
}

static err_t s_delete(ctx_t *ctx, data_shard_t *shard, const wal_entry_t *entry)
{
    for (size_t i = 0; i < shard->segments.len; i++) {
        data_segment_t *segment = s_at(shard, i);
        if (entry->partition >= 0 && segment->partition != (uint64_t)entry->partition)
            continue;
        TRY(growing_delete(ctx, segment->rows, entry->deletes, entry->timestamp, NULL));
        s_account(shard, segment);
    }
    return OK;
}

static err_t s_append(ctx_t *ctx, data_shard_t *shard, wal_position_t at, const wal_entry_t *entry)
{
    column_t columns[LIMIT_WAL_FIELDS];
    data_segment_t *segment = data_segment_find(shard, (uint64_t)entry->segment);
    if (!segment)
        return OK;                              /* of a partition that was dropped meanwhile */
    TRY(data_columns(ctx, shard->schema, entry, columns));
    TRY(growing_append(ctx, segment->rows, columns, entry->timestamp));
    segment->touched_ms = (int64_t)(entry->timestamp >> 18);
    segment->last = at;
    if (segment->first.seq == 0) {
        segment->first = at;
        segment->opened_ms = segment->touched_ms;
    }
    s_account(shard, segment);
    return OK;
}

/* What can fail and is not undone comes before what cannot be done twice. */
err_t data_apply(ctx_t *ctx, data_shard_t *shard, wal_position_t at, const wal_entry_t *entry)
{
    data_delete_t run = {0};
    s_let_go(shard);
    if (entry->deletes)
        TRY(s_keep_keys(ctx, at, entry, &run));
    err_t err = entry->deletes ? s_delete(ctx, shard, entry) : OK;
    if (err == OK && entry->n_fields)
        err = s_append(ctx, shard, at, entry);
    if (err != OK) {
        buf_fini(&run.bytes);
        return err;
    }
    if (entry->deletes) {
        vec_push(&shard->deletes, &run);
        s_account_delete(shard, &run, true);
    }
    shard->last_ts = entry->timestamp;
    shard->last = at;
    return OK;
}

void data_shard_trim(data_shard_t *shard, wal_position_t upto)
{
    size_t n = 0;
    data_delete_t *runs = shard->deletes.ptr;
    while (n < shard->deletes.len && !wal_before(upto, runs[n].at)) {
        s_account_delete(shard, &runs[n], false);
        shard->trimmed = runs[n].at;
        buf_fini(&runs[n++].bytes);
    }
    if (n == 0)
        return;
    memmove(runs, runs + n, (shard->deletes.len - n) * sizeof *runs);
    shard->deletes.len -= n;
}
