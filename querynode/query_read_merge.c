/* query_read_merge - what this node and others found, as one answer */
#include "core/query/merge.h"
#include "querynode/query_read_int.h"

/* --- columns of an answer ------------------------------------------------------------------ */

static err_t s_malformed(ctx_t *ctx, const char *what)
{
    return ctx_fail(ctx, ERR_MALFORMED, "the answer of another query node has damaged %s", what);
}

static err_t s_column(ctx_t *ctx, ProtobufCBinaryData bytes, const field_t *field, size_t n,
                      column_t *ret)
{
    size_t len = 0;
    TRY(column_read(ctx, view_of(bytes.data, bytes.len), ret, &len));
    if (len != bytes.len || ret->n != n || ret->type != field->type ||
        ret->width != type_width(field->type, field->dim))
        return s_malformed(ctx, field->name);
    return OK;
}

static err_t s_outputs(ctx_t *ctx, schema_t *schema, const size_t *places, size_t n_places,
                       const ProtobufCBinaryData *bytes, size_t n_bytes, size_t n, column_t **ret)
{
    column_t *outputs = ctx_new(ctx, (n_places + 1) * sizeof *outputs);
    if (n_bytes != n_places)
        return s_malformed(ctx, "output fields");
    for (size_t i = 0; i < n_places; i++)
        TRY(s_column(ctx, bytes[i], schema_at(schema, places[i]), n, &outputs[i]));
    *ret = outputs;
    return OK;
}

static column_t *s_built(ctx_t *ctx, const column_builder_t *builders, size_t n)
{
    column_t *columns = ctx_new(ctx, (n + 1) * sizeof *columns);
    for (size_t i = 0; i < n; i++)
        columns[i] = column_builder_view(&builders[i]);
    return columns;
}

/* --- hits ---------------------------------------------------------------------------------- */

static err_t s_found(ctx_t *ctx, const merge_search_t *how, view_t bytes, found_part_t *ret)
{
    Elanus__Found *found = NULL;
    column_t *outputs = NULL;
    TRY(PB_UNPACK(ctx, elanus__found, bytes, &found));
    size_t n = found->scores.len / sizeof(float);
    if (found->n_hits != how->nq || found->scores.len % sizeof(float) != 0)
        return s_malformed(ctx, "hits");
    *ret = (found_part_t){ .hits = found->hits, .n = n,
                           .scores = (const float *)(const void *)found->scores.data };
    TRY(s_column(ctx, found->pks, schema_pk(how->schema), n, &ret->pks));
    if (how->group_field != SIZE_MAX)
        TRY(s_column(ctx, found->groups, schema_at(how->schema, how->group_field), n,
                     &ret->groups));
    TRY(s_outputs(ctx, how->schema, how->outputs, how->n_outputs, found->outputs,
                  found->n_outputs, n, &outputs));
    ret->outputs = outputs;
    return OK;
}

static found_part_t s_found_here(ctx_t *ctx, const merge_search_t *how,
                                 const search_found_t *found)
{
    found_part_t part = { .hits = found->hits, .n = found->n, .scores = found->scores,
                          .pks = column_builder_view(&found->pks),
                          .outputs = s_built(ctx, found->outputs, found->n_outputs) };
    if (how->group_field != SIZE_MAX)
        part.groups = column_builder_view(&found->groups);
    return part;
}

static err_t s_merge_found(ctx_t *ctx, query_read_t *read)
{
    const search_plan_t *plan = &read->search_plan;
    merge_search_t how = {
        .schema = plan->schema, .metric = plan->metric, .nq = plan->queries.n,
        .limit = plan->topk, .group_field = plan->group_field, .group_size = plan->group_size,
        .strict_group_size = plan->strict_group_size, .outputs = plan->outputs,
        .n_outputs = plan->n_outputs, .most_bytes = plan->most_bytes,
    };
    size_t n = read->answers.len;
    found_part_t *parts = ctx_new(ctx, (n + 1) * sizeof *parts);
    search_found_t merged = {0};
    for (size_t i = 0; i < n; i++)
        TRY(s_found(ctx, &how, buf_view(vec_at(&read->answers, i)), &parts[i]));
    parts[n] = s_found_here(ctx, &how, &read->found);
    TRY(merge_search(ctx, &how, parts, n + 1, &merged));
    search_found_fini(&read->found);
    read->found = merged;
    return OK;
}

/* --- rows ---------------------------------------------------------------------------------- */

static err_t s_rows(ctx_t *ctx, const merge_rows_t *how, view_t bytes, rows_part_t *ret)
{
    Elanus__Rows *rows = NULL;
    column_t *outputs = NULL;
    TRY(PB_UNPACK(ctx, elanus__rows, bytes, &rows));
    size_t n = rows->ts.len / sizeof(uint64_t);
    const field_t *pk = schema_pk(how->schema);
    *ret = (rows_part_t){ .count = rows->count,
                          .ts = (const uint64_t *)(const void *)rows->ts.data,
                          .pks = { .type = pk->type, .width = type_width(pk->type, 0) } };
    if (rows->pks.len == 0 && n == 0 && how->n_outputs == 0)
        return OK;                              /* a count */
    TRY(s_column(ctx, rows->pks, pk, n, &ret->pks));
    TRY(s_outputs(ctx, how->schema, how->outputs, how->n_outputs, rows->outputs, rows->n_outputs,
                  n, &outputs));
    ret->outputs = outputs;
    return OK;
}

static err_t s_merge_rows(ctx_t *ctx, query_read_t *read)
{
    const retrieve_plan_t *plan = &read->retrieve_plan;
    size_t n = read->answers.len;
    merge_rows_t how = {
        .schema = plan->schema, .limit = plan->limit, .outputs = plan->outputs,
        .n_outputs = plan->count ? 0 : plan->n_outputs, .most_bytes = plan->most_bytes,
    };
    rows_part_t *parts = ctx_new(ctx, (n + 1) * sizeof *parts);
    retrieved_t merged = {0};
    for (size_t i = 0; i < n; i++)
        TRY(s_rows(ctx, &how, buf_view(vec_at(&read->answers, i)), &parts[i]));
    const field_t *pk = schema_pk(how.schema);
    parts[n] = (rows_part_t){
        .count = read->rows.count, .ts = read->rows.ts,
        .pks = { .type = pk->type, .width = type_width(pk->type, 0) },
    };
    if (!plan->count) {
        parts[n].pks = column_builder_view(&read->rows.pks);
        parts[n].outputs = s_built(ctx, read->rows.outputs, read->rows.n_outputs);
    }
    TRY(merge_rows(ctx, &how, parts, n + 1, &merged));
    retrieved_fini(&read->rows);
    read->rows = merged;
    return OK;
}

err_t query_read_merge(ctx_t *ctx, query_read_t *read)
{
    TRY(read->search ? s_merge_found(ctx, read) : s_merge_rows(ctx, read));
    return query_read_write(ctx, read);
}
