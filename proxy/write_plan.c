/* write_plan - see write_plan.h */
#include "proxy/write_plan.h"

#include <stdlib.h>

#include "core/catalog/directory.h"
#include "core/wal/wal_record.h"
#include "proxy/row_hash.h"

static void *s_alloc(ctx_t *ctx, size_t n, size_t each)
{
    return ctx_try(ctx, (n + 1) * each);        /* n is a number of rows or shards */
}

static err_t s_no_memory(ctx_t *ctx, size_t rows)
{
    return ctx_fail(ctx, ERR_MEMORY, "no memory to sort %zu rows: send fewer at once", rows);
}

/* --- places ----------------------------------------------------------------------------- */

static uint32_t s_hash(const column_t *keys, size_t row)
{
    if (keys->type == TYPE_INT64)
        return row_hash_int64(load_i64(keys->cells + row * 8));
    return row_hash_text(column_cell(keys, row));
}

enum { NOWHERE = UINT32_MAX };

typedef struct places {
    const column_t *keys;       /* primary keys: the shard */
    size_t n_shards;
    const column_t *groups;     /* partition keys; NULL: one group */
    size_t n_groups;
    const uint8_t *dropped;     /* [n] rows that go nowhere; NULL: none */
} places_t;

static uint32_t s_place(const places_t *p, size_t row)
{
    if (p->dropped && p->dropped[row])
        return NOWHERE;
    size_t shard = p->n_shards > 1 ? s_hash(p->keys, row) % p->n_shards : 0;
    size_t group = p->n_groups > 1 ? s_hash(p->groups, row) % p->n_groups : 0;
    return (uint32_t)(shard * p->n_groups + group);
}

/* Sort the rows by place, keeping their order: count, then put. */
static err_t s_sort(ctx_t *ctx, const places_t *p, write_run_t *runs)
{
    size_t n = p->keys->n, n_places = p->n_shards * p->n_groups;
    uint32_t *place = s_alloc(ctx, n, sizeof *place);
    uint32_t *sorted = place ? s_alloc(ctx, n, sizeof *sorted) : NULL;
    size_t *at = sorted ? s_alloc(ctx, n_places + 1, sizeof *at) : NULL;
    if (!at)
        return s_no_memory(ctx, n);
    for (size_t i = 0; i < n; i++) {
        place[i] = s_place(p, i);
        if (place[i] != NOWHERE)
            at[place[i] + 1]++;
    }
    for (size_t k = 0; k < n_places; k++) {
        runs[k] = (write_run_t){ .rows = sorted + at[k], .n = at[k + 1] };
        at[k + 1] += at[k];
    }
    for (size_t i = 0; i < n; i++)
        if (place[i] != NOWHERE)
            sorted[at[place[i]]++] = (uint32_t)i;
    return OK;
}

static err_t s_place_all(ctx_t *ctx, const places_t *p, write_run_t **ret)
{
    size_t n_places = p->n_shards * p->n_groups;
    write_run_t *runs = ctx_new(ctx, n_places * sizeof *runs);
    if (n_places == 1 && !p->dropped)
        runs[0] = (write_run_t){ .n = p->keys->n };
    else
        TRY(s_sort(ctx, p, runs));
    *ret = runs;
    return OK;
}

/* --- the last of rows with the same key ------------------------------------------------- */

static int s_by_key(const void *a, const void *b, void *arg)
{
    const column_t *keys = arg;
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    int order = 0;
    if (keys->type == TYPE_INT64) {
        int64_t x = load_i64(keys->cells + i * (size_t)8);
        int64_t y = load_i64(keys->cells + k * (size_t)8);
        order = (x > y) - (x < y);
    } else {
        order = view_cmp(column_cell(keys, i), column_cell(keys, k));
    }
    return order ? order : (i > k) - (i < k);
}

static bool s_same_key(const column_t *keys, uint32_t i, uint32_t k)
{
    return view_eq(column_cell(keys, i), column_cell(keys, k));
}

/* *ret: [n] 1 for rows that a later one overrules; NULL when there are none. */
static err_t s_overruled(ctx_t *ctx, const column_t *keys, const uint8_t **ret)
{
    size_t n = keys->n;
    uint32_t *order = s_alloc(ctx, n, sizeof *order);
    uint8_t *dropped = order ? s_alloc(ctx, n, 1) : NULL;
    if (!dropped)
        return s_no_memory(ctx, n);
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    qsort_r(order, n, sizeof *order, s_by_key, (void *)keys);
    bool any = false;
    for (size_t i = 0; i + 1 < n; i++) {
        bool overruled = s_same_key(keys, order[i], order[i + 1]);
        dropped[order[i]] = overruled;
        any |= overruled;
    }
    *ret = any ? dropped : NULL;
    return OK;
}

/* --- planning --------------------------------------------------------------------------- */

err_t write_plan_rows(ctx_t *ctx, write_plan_t *plan, const rows_t *rows, bool upsert)
{
    check(rows->numbered && plan->n_partitions > 0 && plan->n_shards > 0);
    const field_t *group = schema_partition_key(plan->schema);
    const column_t *keys = &rows->columns[schema_index(plan->schema, schema_pk(plan->schema))];
    places_t places = { .keys = keys, .n_shards = plan->n_shards,
                        .n_groups = plan->n_partitions };
    if (plan->n_partitions > 1)
        places.groups = &rows->columns[schema_index(plan->schema, group)];
    if (upsert && !rows->replaced)
        TRY(s_overruled(ctx, keys, &places.dropped));
    TRY(s_place_all(ctx, &places, &plan->runs));
    plan->columns = rows->columns;
    return upsert ? write_plan_deletes(ctx, plan, rows->replaced ? rows->replaced : keys) : OK;
}

err_t write_plan_deletes(ctx_t *ctx, write_plan_t *plan, const column_t *keys)
{
    check(plan->n_shards > 0);
    places_t places = { .keys = keys, .n_shards = plan->n_shards, .n_groups = 1 };
    TRY(s_place_all(ctx, &places, &plan->delete_runs));
    plan->deletes = keys;
    return OK;
}

bool write_plan_touches(const write_plan_t *plan, size_t shard)
{
    bool any = plan->deletes && plan->delete_runs[shard].n > 0;
    for (size_t k = 0; plan->columns && k < plan->n_partitions; k++)
        any |= plan->runs[shard * plan->n_partitions + k].n > 0;
    return any;
}

/* --- objects ---------------------------------------------------------------------------- */

static wal_entry_t s_entry(const write_plan_t *plan, wal_kind_t kind, const char *vchannel)
{
    return (wal_entry_t){ .kind = kind, .collection = plan->collection,
                          .request = { plan->request[0], plan->request[1] },
                          .vchannel = view_str(vchannel) };
}

static err_t s_add_deletes(ctx_t *ctx, const write_plan_t *plan, size_t shard,
                           const char *vchannel, wal_batch_t *batch)
{
    const write_run_t *run = &plan->delete_runs[shard];
    wal_entry_t entry = s_entry(plan, WAL_DELETE, vchannel);
    column_t keys;
    TRY(rows_take(ctx, plan->deletes, run->rows, run->n, &keys));
    entry.partition = plan->delete_partition;
    entry.deletes = &keys;
    return wal_batch_add(ctx, batch, &entry);
}

static err_t s_add_rows(ctx_t *ctx, const write_plan_t *plan, const write_run_t *run,
                        int64_t partition, const char *vchannel, wal_batch_t *batch)
{
    size_t n = schema_len(plan->schema);
    wal_field_t fields[LIMIT_WAL_FIELDS];
    check(n <= ARRAY_LEN(fields));
    for (size_t i = 0; i < n; i++) {
        fields[i].id = schema_at(plan->schema, i)->id;
        TRY(rows_take(ctx, &plan->columns[i], run->rows, run->n, &fields[i].column));
    }
    wal_entry_t entry = s_entry(plan, WAL_INSERT, vchannel);
    entry.partition = partition;
    entry.fields = fields;
    entry.n_fields = n;
    return wal_batch_add(ctx, batch, &entry);
}

static err_t s_add_all(ctx_t *ctx, const write_plan_t *plan, size_t shard, const char *vchannel,
                       wal_batch_t *batch)
{
    if (plan->deletes && plan->delete_runs[shard].n > 0)
        TRY(s_add_deletes(ctx, plan, shard, vchannel, batch));
    for (size_t k = 0; plan->columns && k < plan->n_partitions; k++) {
        const write_run_t *run = &plan->runs[shard * plan->n_partitions + k];
        if (run->n > 0)
            TRY(s_add_rows(ctx, plan, run, plan->partitions[k], vchannel, batch));
    }
    return OK;
}

err_t write_plan_object(ctx_t *scratch, const write_plan_t *plan, size_t shard,
                        const char *vchannel, uint64_t epoch, buf_t *ret)
{
    check(write_plan_touches(plan, shard) && ret->len == 0);
    wal_batch_t batch;
    wal_batch_init(&batch, directory_pchannel(vchannel));
    wal_link_t link = { .at = { .epoch = epoch, .seq = 1 } };
    uint8_t hash[WAL_HASH_BYTES];
    view_t bytes;
    err_t err = s_add_all(scratch, plan, shard, vchannel, &batch);
    if (err == OK)
        err = wal_batch_seal(scratch, &batch, &link, &bytes, hash);
    if (err != OK) {
        wal_batch_fini(&batch);
        return err;
    }
    batch.bytes.len = bytes.len;                /* the tail lies behind the length */
    *ret = batch.bytes;
    return OK;
}
