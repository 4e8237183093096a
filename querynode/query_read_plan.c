/* query_read_plan - what a read asks for, as a plan of core/query; what was found, as an answer
 *
 * Answers are the messages Found and Rows of proto/elanus.proto, written field by field: a
 * column goes into the buffer that is sent, once, and never through a message of its own.
 */
#include "querynode/query_read_int.h"

enum { ANSWER_SPARE_BYTES = 1 << 20, WIRE_VARINT = 0, WIRE_LENGTH = 2, LENGTH_BYTES = 5 };

/* --- plans ------------------------------------------------------------------------------- */

static err_t s_field(ctx_t *ctx, schema_t *schema, int64_t id, size_t *ret)
{
    const field_t *field = schema_by_id(schema, id);
    if (!field)
        return ctx_fail(ctx, ERR_FIELD_NOT_FOUND, "field not found[field=%lld]", (long long)id);
    *ret = schema_index(schema, field);
    return OK;
}

static err_t s_outputs(ctx_t *ctx, query_read_t *read, const int64_t *ids, size_t n,
                       const size_t **ret)
{
    size_t *places = ctx_new(&read->ctx, (n + 1) * sizeof *places);
    if (n > LIMIT_FIELDS + 1)
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "%zu output fields", n);
    for (size_t i = 0; i < n; i++)
        TRY(s_field(ctx, read->schema, ids[i], &places[i]));
    *ret = places;
    return OK;
}

/* A column of this field's type; the bytes live as long as the read. */
static err_t s_column(ctx_t *ctx, const field_t *field, ProtobufCBinaryData bytes, column_t *ret)
{
    size_t len = 0;
    TRY(column_read(ctx, view_of(bytes.data, bytes.len), ret, &len));
    if (ret->type != field->type || ret->width != type_width(field->type, field->dim))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "a column of %s, width %zu, for field %s of %s",
                        type_name(ret->type), ret->width, field->name, type_name(field->type));
    return OK;
}

/* The wire's Pair is an index_pair_t in other words. */
static err_t s_knobs(ctx_t *ctx, const Elanus__Search *ask, index_knobs_t *ret)
{
    index_pair_t *pairs = ctx_new(ctx, (ask->n_knobs + 1) * sizeof *pairs);
    for (size_t i = 0; i < ask->n_knobs; i++)
        pairs[i] = (index_pair_t){ ask->knobs[i]->key, ask->knobs[i]->value };
    return index_knobs_read(ctx, INDEX_NONE, pairs, ask->n_knobs, 0, ret);
}

static err_t s_search_plan(ctx_t *ctx, query_read_t *read, search_plan_t *plan)
{
    const Elanus__Search *ask = read->search;
    *plan = (search_plan_t){
        .schema = read->schema, .filter = read->filter, .read_ts = read->read_ts,
        .expire_ts = read->expire_ts,
        .topk = ask->topk, .has_radius = ask->has_radius, .radius = ask->radius,
        .has_range_filter = ask->has_range_filter, .range_filter = ask->range_filter,
        .group_field = SIZE_MAX, .group_size = ask->group_size ? ask->group_size : 1,
        .strict_group_size = ask->strict_group_size, .n_outputs = ask->n_outputs,
        .most_bytes = LIMIT_NET_MESSAGE_BYTES - ANSWER_SPARE_BYTES,
    };
    TRY(s_field(ctx, read->schema, ask->field, &plan->field));
    if (ask->group_field)
        TRY(s_field(ctx, read->schema, ask->group_field, &plan->group_field));
    TRY(s_outputs(ctx, read, ask->outputs, ask->n_outputs, &plan->outputs));
    TRY(s_column(ctx, schema_at(read->schema, plan->field), ask->queries, &plan->queries));
    if (plan->queries.n != ask->nq || ask->nq == 0)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "%zu query vectors, said to be %u", plan->queries.n,
                        ask->nq);
    if (ask->topk == 0 || ask->topk > LIMIT_TOPK)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "topk [%u] is invalid, it should be in range "
                        "[1, %d], but got %u", ask->topk, LIMIT_TOPK, ask->topk);
    if (plan->group_size > LIMIT_GROUP_SIZE)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "group size %zu, at most %d", plan->group_size,
                        LIMIT_GROUP_SIZE);
    if (!metric_parse(ask->metric, &plan->metric))
        return ctx_fail(ctx, ERR_METRIC_NOT_FOUND, "metric type not found: %s", ask->metric);
    return s_knobs(ctx, ask, &plan->knobs);
}

static err_t s_retrieve_plan(ctx_t *ctx, query_read_t *read, retrieve_plan_t *plan)
{
    const Elanus__Query *ask = read->query;
    *plan = (retrieve_plan_t){
        .schema = read->schema, .filter = read->filter, .read_ts = read->read_ts,
        .expire_ts = read->expire_ts,
        .limit = (size_t)ask->limit, .count = ask->count, .n_outputs = ask->n_outputs,
        .most_bytes = LIMIT_NET_MESSAGE_BYTES - ANSWER_SPARE_BYTES,
    };
    if (ask->pks.len) {
        TRY(s_column(ctx, schema_pk(read->schema), ask->pks, &read->pks));
        plan->pks = &read->pks;
    }
    return s_outputs(ctx, read, ask->outputs, ask->n_outputs, &plan->outputs);
}

err_t query_read_prepare(ctx_t *ctx, query_read_t *read, query_plans_t *plans)
{
    const query_source_t *sources = read->sources.ptr;
    TRY(query_read_filter(ctx, plans, read, &read->filter));
    if (read->search) {
        TRY(s_search_plan(ctx, read, &read->search_plan));
        return search_new(ctx, &read->search_plan, sources, read->sources.len, &read->searching);
    }
    TRY(s_retrieve_plan(ctx, read, &read->retrieve_plan));
    return retrieve_new(ctx, &read->retrieve_plan, sources, read->sources.len, &read->retrieving);
}

/* --- answers ----------------------------------------------------------------------------- */

static void s_varint(buf_t *into, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_add_u8(into, (uint8_t)(value | 0x80));
    buf_add_u8(into, (uint8_t)value);
}

static void s_number(buf_t *into, unsigned field, uint64_t value)
{
    s_varint(into, field << 3 | WIRE_VARINT);
    s_varint(into, value);
}

/* Room for the length of what follows, as a varint that is always as long. */
static size_t s_begin(buf_t *into, unsigned field)
{
    static const uint8_t s_zeros[LENGTH_BYTES];
    s_varint(into, field << 3 | WIRE_LENGTH);
    buf_add(into, s_zeros, LENGTH_BYTES);
    return into->len;
}

static void s_close(buf_t *into, size_t from)
{
    if (!buf_ok(into))
        return;
    size_t len = into->len - from;
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        into->ptr[from - LENGTH_BYTES + i] = (uint8_t)((len >> 7 * i & 0x7f) |
                                                       (i + 1 < LENGTH_BYTES ? 0x80 : 0));
}

static void s_bytes(buf_t *into, unsigned field, const void *ptr, size_t len)
{
    if (len == 0)
        return;
    s_varint(into, field << 3 | WIRE_LENGTH);
    s_varint(into, len);
    buf_add(into, ptr, len);
}

static void s_add_column(buf_t *into, unsigned field, const column_builder_t *builder)
{
    column_t column = column_builder_view(builder);
    size_t from = s_begin(into, field);
    column_write(&column, into);
    s_close(into, from);
}

static void s_write_found(const search_found_t *found, uint64_t read_ts, bool groups, buf_t *into)
{
    s_number(into, 1, read_ts);
    size_t from = s_begin(into, 2);
    for (size_t q = 0; q < found->nq; q++)
        s_varint(into, found->hits[q]);
    s_close(into, from);
    s_bytes(into, 3, found->scores, found->n * sizeof *found->scores);
    s_add_column(into, 4, &found->pks);
    if (groups)
        s_add_column(into, 5, &found->groups);
    for (size_t i = 0; i < found->n_outputs; i++)
        s_add_column(into, 6, &found->outputs[i]);
}

static void s_write_rows(const retrieved_t *rows, uint64_t read_ts, bool count, buf_t *into)
{
    s_number(into, 1, read_ts);
    s_number(into, 2, rows->count);
    if (count)
        return;
    s_add_column(into, 3, &rows->pks);
    s_bytes(into, 4, rows->ts, rows->pks.n * sizeof *rows->ts);
    for (size_t i = 0; i < rows->n_outputs; i++)
        s_add_column(into, 5, &rows->outputs[i]);
}

err_t query_read_write(ctx_t *ctx, query_read_t *read)
{
    if (read->search)
        s_write_found(&read->found, read->read_ts, read->search->group_field != 0, &read->answer);
    else
        s_write_rows(&read->rows, read->read_ts, read->query->count, &read->answer);
    search_found_fini(&read->found);
    retrieved_fini(&read->rows);
    if (buf_ok(&read->answer))
        return OK;
    return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "the answer is larger than %u bytes, or there is no "
                    "memory for it; ask for less", LIMIT_NET_MESSAGE_BYTES);
}

err_t query_read_finish(ctx_t *ctx, query_read_t *read)
{
    if (read->searching)
        TRY(search_finish(ctx, read->searching, &read->found));
    else
        TRY(retrieve_finish(ctx, read->retrieving, &read->rows));
    return read->n_calls ? OK : query_read_write(ctx, read);
}
