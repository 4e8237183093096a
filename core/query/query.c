/* query - answers: made, filled within a bound, freed */
#include "core/query/query_int.h"

/* --- answers ------------------------------------------ */

err_t answer_add(ctx_t *ctx, answer_t *self, size_t n)
{
    self->bytes += n;
    if (self->most_bytes && self->bytes > self->most_bytes)
        return ctx_fail(ctx, ERR_UNEXPECTED, "%s results exceed the maxOutputSize Limit %zu",
                        self->what, self->most_bytes);
    return OK;
}

err_t answer_copy(ctx_t *ctx, answer_t *self, column_builder_t *into, const column_t *from,
                  size_t row)
{
    TRY(answer_add(ctx, self, column_cell(from, row).len));
    column_builder_copy(into, from, row);
    return column_builder_ok(into) ? OK
         : ctx_fail(ctx, ERR_MEMORY, "no memory for %s results of %zu bytes", self->what,
                    self->bytes);
}

static void s_fini_builders(column_builder_t **builders, size_t n)
{
    for (size_t i = 0; *builders && i < n; i++)
        column_builder_fini(&(*builders)[i]);
    mem_free(*builders);
    *builders = NULL;
}

err_t answer_outputs(ctx_t *ctx, const schema_t *schema, const size_t *outputs, size_t n_outputs,
                     column_builder_t **ret)
{
    column_builder_t *builders = mem_try(ctx, n_outputs * sizeof *builders);
    if (!builders)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu output fields", n_outputs);
    for (size_t i = 0; i < n_outputs; i++)
        column_builder_init(&builders[i], schema_at(schema, outputs[i]));
    *ret = builders;
    return OK;
}

err_t found_make(ctx_t *ctx, const schema_t *schema, size_t group_field, const size_t *outputs,
                 size_t n_outputs, size_t nq, size_t n, search_found_t *ret)
{
    search_found_t found = { .nq = nq, .n = n, .n_outputs = n_outputs };
    column_builder_init(&found.pks, schema_pk(schema));
    if (group_field != SIZE_MAX)
        column_builder_init(&found.groups, schema_at(schema, group_field));
    found.hits = mem_try(ctx, nq * sizeof *found.hits);
    found.scores = mem_try(ctx, n * sizeof *found.scores);
    err_t err = found.hits && found.scores
              ? answer_outputs(ctx, schema, outputs, n_outputs, &found.outputs)
              : ctx_fail(ctx, ERR_MEMORY, "no memory for the %zu hits of %zu queries", n, nq);
    if (err == OK)
        *ret = found;
    else
        search_found_fini(&found);
    return err;
}

void search_found_fini(search_found_t *self)
{
    mem_free(self->hits);
    mem_free(self->scores);
    column_builder_fini(&self->pks);
    column_builder_fini(&self->groups);
    s_fini_builders(&self->outputs, self->n_outputs);
    *self = (search_found_t){0};
}

err_t retrieved_make(ctx_t *ctx, const schema_t *schema, const size_t *outputs, size_t n_outputs,
                     size_t n, retrieved_t *ret)
{
    retrieved_t rows = { .count = n, .n_outputs = n_outputs };
    column_builder_init(&rows.pks, schema_pk(schema));
    rows.ts = mem_try(ctx, n * sizeof *rows.ts);
    err_t err = rows.ts ? answer_outputs(ctx, schema, outputs, n_outputs, &rows.outputs)
              : ctx_fail(ctx, ERR_MEMORY, "no memory for the timestamps of %zu rows", n);
    if (err == OK)
        *ret = rows;
    else
        retrieved_fini(&rows);
    return err;
}

void retrieved_fini(retrieved_t *self)
{
    column_builder_fini(&self->pks);
    mem_free(self->ts);
    s_fini_builders(&self->outputs, self->n_outputs);
    *self = (retrieved_t){0};
}
