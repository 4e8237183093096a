/* rows_answer - see rows_answer.h */
#include "proxy/rows_answer.h"

#include "proxy/hits.h"

/* A count alone comes without columns. */
static err_t s_part(ctx_t *ctx, const merge_rows_t *how, const Elanus__Rows *rows,
                    rows_part_t *ret)
{
    size_t n = rows->ts.len / sizeof(uint64_t);
    column_t *outputs = ctx_new(ctx, (how->n_outputs + 1) * sizeof *outputs);
    const field_t *pk = schema_pk(how->schema);
    *ret = (rows_part_t){ .count = rows->count, .outputs = outputs,
                          .ts = (const uint64_t *)(const void *)rows->ts.data };
    ret->pks = (column_t){ .type = pk->type, .width = type_width(pk->type, 0) };
    if (n == 0 && rows->pks.len == 0 && rows->n_outputs == 0 && how->n_outputs == 0)
        return OK;
    TRY(hits_column(ctx, rows->pks, pk, n, &ret->pks));
    if (rows->n_outputs != how->n_outputs)
        return hits_malformed(ctx, "output fields");
    for (size_t i = 0; i < how->n_outputs; i++)
        TRY(hits_column(ctx, rows->outputs[i], schema_at(how->schema, how->outputs[i]), n,
                     &outputs[i]));
    return OK;
}

static bool s_is_whole(const merge_rows_t *how, const rows_part_t *part)
{
    return how->offset == 0 && (how->limit == 0 || part->pks.n <= how->limit);
}

static err_t s_check_size(ctx_t *ctx, const merge_rows_t *how, const rows_part_t *part)
{
    size_t bytes = 0;
    for (size_t i = 0; i < how->n_outputs; i++)
        bytes += hits_column_bytes(&part->outputs[i]);
    if (how->most_bytes && bytes > how->most_bytes)
        return ctx_fail(ctx, ERR_UNEXPECTED, "query results exceed the maxOutputSize Limit %zu",
                        how->most_bytes);
    return OK;
}

err_t rows_answer_read(ctx_t *ctx, const merge_rows_t *how, const read_part_t *part,
                       rows_answer_t *ret)
{
    rows_part_t *parts = ctx_new(ctx, (part->n_answers + 1) * sizeof *parts);
    size_t n = 0;
    *ret = (rows_answer_t){0};
    for (const read_answer_t *answer = part->answers; answer; answer = answer->next)
        TRY(s_part(ctx, how, (const Elanus__Rows *)answer->message, &parts[n++]));
    if (n == 1 && s_is_whole(how, &parts[0])) {
        TRY(s_check_size(ctx, how, &parts[0]));
        ret->count = parts[0].count;
        ret->pks = parts[0].pks;
        ret->outputs = (column_t *)(uintptr_t)parts[0].outputs;
        return OK;
    }
    TRY(merge_rows(ctx, how, parts, n, &ret->merged));
    ret->count = ret->merged.count;
    ret->pks = column_builder_view(&ret->merged.pks);
    ret->outputs = ctx_new(ctx, (how->n_outputs + 1) * sizeof *ret->outputs);
    for (size_t i = 0; i < how->n_outputs; i++)
        ret->outputs[i] = column_builder_view(&ret->merged.outputs[i]);
    return OK;
}

void rows_answer_fini(rows_answer_t *self)
{
    retrieved_fini(&self->merged);
}
