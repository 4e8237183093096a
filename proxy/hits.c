/* hits - see hits.h */
#include "proxy/hits.h"

#include "core/base/limits.h"
#include "proxy/results.h"

/* --- reading -------------------------------------------------------------------------- */

err_t hits_malformed(ctx_t *ctx, const char *what)
{
    return ctx_fail(ctx, ERR_MALFORMED, "a node's answer is damaged: %s", what);
}

err_t hits_column(ctx_t *ctx, ProtobufCBinaryData bytes, const field_t *field, size_t n,
                  column_t *ret)
{
    size_t len = 0;
    TRY(column_read(ctx, view_of(bytes.data, bytes.len), ret, &len));
    if (ret->type != field->type || ret->n != n ||
        ret->width != type_width(field->type, field->dim))
        return hits_malformed(ctx, field->name);
    return OK;
}

static err_t s_part(ctx_t *ctx, const merge_search_t *how, const Elanus__Found *found,
                    found_part_t *ret)
{
    size_t n = found->scores.len / sizeof(float), hits = 0;
    for (size_t i = 0; i < found->n_hits; i++)
        hits += found->hits[i];
    if (found->n_hits != how->nq || hits != n || found->n_outputs != how->n_outputs)
        return hits_malformed(ctx, "hits");
    column_t *outputs = ctx_new(ctx, (how->n_outputs + 1) * sizeof *outputs);
    *ret = (found_part_t){ .hits = found->hits, .n = n, .outputs = outputs,
                           .scores = (const float *)(const void *)found->scores.data };
    TRY(hits_column(ctx, found->pks, schema_pk(how->schema), n, &ret->pks));
    if (how->group_field != SIZE_MAX)
        TRY(hits_column(ctx, found->groups, schema_at(how->schema, how->group_field), n,
                     &ret->groups));
    for (size_t i = 0; i < how->n_outputs; i++)
        TRY(hits_column(ctx, found->outputs[i], schema_at(how->schema, how->outputs[i]), n,
                     &outputs[i]));
    return OK;
}

/* Is this answer alone already what is asked for? */
static bool s_is_whole(const merge_search_t *how, const found_part_t *part)
{
    size_t most = how->limit * (how->group_field == SIZE_MAX ? 1 : how->group_size);
    if (how->offset > 0)
        return false;
    for (size_t i = 0; i < how->nq; i++)
        if (part->hits[i] > most)
            return false;
    return true;
}

static void s_borrow(const merge_search_t *how, const found_part_t *part, hits_t *ret)
{
    *ret = (hits_t){
        .nq = how->nq, .n = part->n, .per_query = (uint32_t *)(uintptr_t)part->hits,
        .scores = (float *)(uintptr_t)part->scores, .pks = part->pks, .groups = part->groups,
        .outputs = (column_t *)(uintptr_t)part->outputs, .n_outputs = how->n_outputs,
    };
}

static void s_own(ctx_t *ctx, const merge_search_t *how, hits_t *ret)
{
    search_found_t *found = &ret->merged;
    ret->nq = found->nq;
    ret->n = found->n;
    ret->per_query = found->hits;
    ret->scores = found->scores;
    ret->pks = column_builder_view(&found->pks);
    ret->n_outputs = found->n_outputs;
    ret->outputs = ctx_new(ctx, (found->n_outputs + 1) * sizeof *ret->outputs);
    for (size_t i = 0; i < found->n_outputs; i++)
        ret->outputs[i] = column_builder_view(&found->outputs[i]);
    if (how->group_field != SIZE_MAX)
        ret->groups = column_builder_view(&found->groups);
}

err_t hits_read(ctx_t *ctx, const merge_search_t *how, const read_part_t *part, hits_t *ret)
{
    found_part_t *parts = ctx_new(ctx, (part->n_answers + 1) * sizeof *parts);
    size_t n = 0;
    *ret = (hits_t){0};
    for (const read_answer_t *answer = part->answers; answer; answer = answer->next)
        TRY(s_part(ctx, how, (const Elanus__Found *)answer->message, &parts[n++]));
    if (n == 1 && s_is_whole(how, &parts[0])) {
        s_borrow(how, &parts[0], ret);
        return OK;
    }
    TRY(merge_search(ctx, how, parts, n, &ret->merged));
    s_own(ctx, how, ret);
    return OK;
}

void hits_fini(hits_t *self)
{
    search_found_fini(&self->merged);
}

void hits_cut(hits_t *self, size_t n)
{
    check(self->nq == 1 && n <= self->n);
    self->n = self->per_query[0] = (uint32_t)n;
    self->pks.n = n;
    if (self->groups.n)
        self->groups.n = n;
    for (size_t i = 0; i < self->n_outputs; i++)
        self->outputs[i].n = n;
}

/* --- answering ------------------------------------------------------------------------- */

size_t hits_column_bytes(const column_t *c)
{
    return c->width ? c->n * c->width : c->n ? (size_t)(c->offsets[c->n] - c->offsets[0]) : 0;
}

static err_t s_check_size(ctx_t *ctx, const hits_t *hits)
{
    size_t bytes = hits->n * sizeof(float) + hits_column_bytes(&hits->pks);
    for (size_t i = 0; i < hits->n_outputs; i++)
        bytes += hits_column_bytes(&hits->outputs[i]);
    if (bytes > LIMIT_RESULT_BYTES)
        return ctx_fail(ctx, ERR_UNEXPECTED, "search results exceed the maxOutputSize Limit %u",
                        LIMIT_RESULT_BYTES);
    return OK;
}

static err_t s_topks(ctx_t *ctx, const hits_t *hits, Schema__SearchResultData *data)
{
    data->topks = ctx_try(ctx, (hits->nq + 1) * sizeof *data->topks);
    if (!data->topks)
        return ctx_fail(ctx, ERR_MEMORY, "memory limit exceeded: %zu queries", hits->nq);
    for (size_t i = 0; i < hits->nq; i++) {
        data->topks[i] = hits->per_query[i];
        data->top_k = data->topks[i] > data->top_k ? data->topks[i] : data->top_k;
    }
    data->n_topks = hits->nq;
    data->num_queries = (int64_t)hits->nq;
    return OK;
}

static err_t s_group(ctx_t *ctx, const hits_t *hits, const field_t *field,
                     Schema__SearchResultData *data)
{
    TRY(results_field(ctx, field, &hits->groups, &data->group_by_field_value));
    data->group_by_field_values = ctx_new(ctx, sizeof(void *));
    data->group_by_field_values[0] = data->group_by_field_value;
    data->n_group_by_field_values = 1;
    return OK;
}

err_t hits_answer(ctx_t *ctx, const hits_t *hits, const schema_t *schema, const outputs_t *outputs,
                  const field_t *group_field, Schema__SearchResultData **ret)
{
    Schema__SearchResultData *data = ctx_new(ctx, sizeof *data);
    schema__search_result_data__init(data);
    TRY(s_check_size(ctx, hits));
    TRY(s_topks(ctx, hits, data));
    data->scores = hits->scores;
    data->n_scores = hits->n;
    TRY(results_ids(ctx, &hits->pks, &data->ids));
    data->fields_data = ctx_new(ctx, (outputs->n + 1) * sizeof(void *));
    for (size_t i = 0; i < outputs->n; i++) {
        const field_t *field = schema_at(schema, outputs->fields[i]);
        const view_t *keys = field->dynamic ? outputs->keys : NULL;
        TRY(results_dynamic(ctx, field, &hits->outputs[i], keys,
                            field->dynamic ? outputs->n_keys : 0, &data->fields_data[i]));
        data->n_fields_data++;
    }
    data->output_fields = outputs->names;
    data->n_output_fields = outputs->n_names;
    data->primary_field_name = schema_pk(schema)->name;
    if (group_field)
        TRY(s_group(ctx, hits, group_field, data));
    *ret = data;
    return OK;
}
