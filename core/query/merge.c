/* merge - see merge.h */
#include "core/query/merge.h"

#include <math.h>

#include "core/base/limits.h"
#include "core/query/pick.h"
#include "core/query/query_int.h"
#include "core/segment/segment.h"

/* Does a column that somebody sent hold n cells of this field?  One of no cells may be
 * left out of a message. */
static bool s_fits(const column_t *c, const field_t *field, size_t n)
{
    return c->n == n && (n == 0 || (c->type == field->type &&
                                    c->width == type_width(field->type, field->dim)));
}

static bool s_outputs_fit(const schema_t *schema, const size_t *outputs, size_t n_outputs,
                          const column_t *columns, size_t n)
{
    for (size_t i = 0; i < n_outputs; i++)
        if (!s_fits(&columns[i], schema_at(schema, outputs[i]), n))
            return false;
    return true;
}

/* --- hits ------------------------------------------ */

typedef struct mix {
    const merge_search_t *how;
    const found_part_t *parts;
    size_t n_parts;
    pick_hit_t *hits;           /* owned; [all hits], the parts' one behind the other */
    size_t *at;                 /* owned; [n_parts] where the next query's begin */
    pick_list_t *lists;         /* owned; [n_parts] */
    uint32_t *counts;           /* owned; [nq] */
    pick_hit_t *picked;         /* owned; [all hits] */
    size_t n_picked;
} mix_t;

static void s_mix_fini(mix_t *self)
{
    mem_free(self->hits);
    mem_free(self->at);
    mem_free(self->lists);
    mem_free(self->counts);
    mem_free(self->picked);
}

/* An earlier part goes first, so its number is the greater one. */
static size_t s_part(const mix_t *self, const pick_hit_t *hit)
{
    return self->n_parts - 1 - hit->from;
}

static void s_key(const void *arg, const pick_hit_t *hit, pick_key_t *ret)
{
    const mix_t *self = arg;
    const found_part_t *part = &self->parts[s_part(self, hit)];
    *ret = (pick_key_t){ .pk = column_cell(&part->pks, hit->row) };
    if (self->how->group_field == SIZE_MAX)
        return;
    ret->null_group = column_is_null(&part->groups, hit->row);
    ret->group = column_cell(&part->groups, hit->row);
}

static bool s_scores_fit(const found_part_t *part, size_t nq)
{
    size_t n = 0;
    for (size_t q = 0; q < nq; q++)
        n += part->hits[q];
    for (size_t i = 0; i < part->n; i++)
        if (isnan(part->scores[i]))
            return false;
    return n == part->n && n <= UINT32_MAX;
}

static err_t s_check_found(ctx_t *ctx, const merge_search_t *how, const found_part_t *part,
                           size_t i)
{
    bool grouped = how->group_field != SIZE_MAX;
    if (s_scores_fit(part, how->nq) && s_fits(&part->pks, schema_pk(how->schema), part->n) &&
        (!grouped || s_fits(&part->groups, schema_at(how->schema, how->group_field), part->n)) &&
        s_outputs_fit(how->schema, how->outputs, how->n_outputs, part->outputs, part->n))
        return OK;
    return ctx_fail(ctx, ERR_MALFORMED, "answer %zu to a search of %zu queries: its columns, hits "
                    "and scores do not fit one another", i, how->nq);
}

static err_t s_mix_init(ctx_t *ctx, mix_t *self)
{
    size_t n = 0, nq = self->how->nq;
    for (size_t i = 0; i < self->n_parts; i++) {
        TRY(s_check_found(ctx, self->how, &self->parts[i], i));
        n += self->parts[i].n;
    }
    self->hits = mem_try(ctx, n * sizeof *self->hits);
    self->picked = mem_try(ctx, n * sizeof *self->picked);
    self->at = mem_try(ctx, self->n_parts * sizeof *self->at);
    self->lists = mem_try(ctx, self->n_parts * sizeof *self->lists);
    self->counts = mem_try(ctx, nq * sizeof *self->counts);
    if (!self->hits || !self->picked || !self->at || !self->lists || !self->counts)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to merge %zu hits", n);
    n = 0;
    for (size_t i = 0; i < self->n_parts; i++) {
        self->at[i] = n;
        for (size_t row = 0; row < self->parts[i].n; row++)
            self->hits[n++] = (pick_hit_t){ .score = self->parts[i].scores[row],
                                            .from = (uint32_t)(self->n_parts - 1 - i),
                                            .row = (uint32_t)row };
    }
    return OK;
}

static err_t s_mix_query(ctx_t *ctx, mix_t *self, pick_t *pick, size_t q)
{
    for (size_t i = 0; i < self->n_parts; i++) {
        size_t n = self->parts[i].hits[q];
        pick_sort(pick, self->hits + self->at[i], n);       /* grouped ones are not in order */
        self->lists[i] = (pick_list_t){ self->hits + self->at[i], n };
        self->at[i] += n;
    }
    pick_hit_t *into = self->picked + self->n_picked;
    size_t n = 0;
    bool full = false;
    TRY(pick_run(ctx, pick, self->lists, self->n_parts, into, &n, &full));
    TRY(pick_by_group(ctx, pick, self->how->offset, into, &n));
    self->counts[q] = (uint32_t)n;
    self->n_picked += n;
    return OK;
}

static err_t s_pick_all(ctx_t *ctx, mix_t *self)
{
    const merge_search_t *how = self->how;
    TRY(s_mix_init(ctx, self));
    owned(pick) pick = pick_new(&(pick_plan_t){
        .pk = schema_pk(how->schema)->type, .descends = metric_descends(how->metric),
        .grouped = how->group_field != SIZE_MAX, .strict = how->strict_group_size,
        .k = how->offset + how->limit, .group_size = how->group_size, .key = s_key, .arg = self,
    });
    for (size_t q = 0; q < how->nq; q++)
        TRY(s_mix_query(ctx, self, pick, q));
    return OK;
}

/* Column by column, so that each is written in one stretch. */
static err_t s_fill_found(ctx_t *ctx, const mix_t *self, search_found_t *found)
{
    const merge_search_t *how = self->how;
    answer_t answer = { .what = "search", .most_bytes = how->most_bytes };
    TRY(answer_add(ctx, &answer, self->n_picked * sizeof *found->scores));
    memcpy(found->hits, self->counts, how->nq * sizeof *found->hits);
    for (size_t i = 0; i < self->n_picked; i++) {
        const pick_hit_t *hit = &self->picked[i];
        const found_part_t *part = &self->parts[s_part(self, hit)];
        found->scores[i] = hit->score;
        TRY(answer_copy(ctx, &answer, &found->pks, &part->pks, hit->row));
        if (how->group_field != SIZE_MAX)
            TRY(answer_copy(ctx, &answer, &found->groups, &part->groups, hit->row));
    }
    for (size_t f = 0; f < how->n_outputs; f++)
        for (size_t i = 0; i < self->n_picked; i++) {
            const pick_hit_t *hit = &self->picked[i];
            TRY(answer_copy(ctx, &answer, &found->outputs[f],
                            &self->parts[s_part(self, hit)].outputs[f], hit->row));
        }
    return OK;
}

err_t merge_search(ctx_t *ctx, const merge_search_t *how, const found_part_t *parts,
                   size_t n_parts, search_found_t *ret)
{
    check(how->limit > 0 && how->group_size > 0 && how->group_size <= LIMIT_GROUP_SIZE);
    mix_t mix = { .how = how, .parts = parts, .n_parts = n_parts };
    search_found_t found = {0};
    err_t err = s_pick_all(ctx, &mix);
    if (err == OK)
        err = found_make(ctx, how->schema, how->group_field, how->outputs, how->n_outputs,
                         how->nq, mix.n_picked, &found);
    if (err == OK)
        err = s_fill_found(ctx, &mix, &found);
    s_mix_fini(&mix);
    if (err == OK)
        *ret = found;
    else
        search_found_fini(&found);
    return err;
}

/* --- rows ------------------------------------------ */

typedef struct place { uint32_t part, row; } place_t;

typedef struct weave {
    const merge_rows_t *how;
    const rows_part_t *parts;
    size_t n_parts;
    size_t *at;                 /* owned; [n_parts] next row of each */
    place_t *picked;            /* owned; [all rows] */
    size_t n_picked;
} weave_t;

static bool s_rises(const column_t *pks)
{
    for (size_t i = 1; i < pks->n; i++)
        if (pk_cmp(pks->type, column_cell(pks, i - 1), column_cell(pks, i)) >= 0)
            return false;
    return true;
}

static err_t s_weave_init(ctx_t *ctx, weave_t *self)
{
    size_t n = 0;
    const merge_rows_t *how = self->how;
    for (size_t i = 0; i < self->n_parts; i++) {
        const rows_part_t *part = &self->parts[i];
        n += part->pks.n;
        if (part->pks.n > UINT32_MAX || !s_fits(&part->pks, schema_pk(how->schema), part->pks.n) ||
            !s_outputs_fit(how->schema, how->outputs, how->n_outputs, part->outputs, part->pks.n) ||
            !s_rises(&part->pks))
            return ctx_fail(ctx, ERR_MALFORMED, "answer %zu to a query: its columns do not fit one "
                            "another, or its keys do not rise", i);
    }
    self->at = mem_try(ctx, self->n_parts * sizeof *self->at);
    self->picked = mem_try(ctx, n * sizeof *self->picked);
    return self->at && self->picked ? OK
         : ctx_fail(ctx, ERR_MEMORY, "no memory to merge %zu rows", n);
}

static view_t s_next_pk(const weave_t *self, size_t part)
{
    return column_cell(&self->parts[part].pks, self->at[part]);
}

/* The part whose next row goes next: the least key, of equal ones the newest row.
 * n_parts when there is none left. */
static size_t s_least(const weave_t *self)
{
    type_t type = schema_pk(self->how->schema)->type;
    size_t best = self->n_parts;
    for (size_t i = 0; i < self->n_parts; i++) {
        if (self->at[i] == self->parts[i].pks.n)
            continue;
        int order = best == self->n_parts ? -1
                  : pk_cmp(type, s_next_pk(self, i), s_next_pk(self, best));
        if (order < 0 || (order == 0 && self->parts[i].ts[self->at[i]] >
                                        self->parts[best].ts[self->at[best]]))
            best = i;
    }
    return best;
}

static void s_weave(weave_t *self)
{
    const merge_rows_t *how = self->how;
    size_t seen = 0, until = how->limit ? how->offset + how->limit : SIZE_MAX;
    view_t last = {0};
    for (size_t part; seen < until && (part = s_least(self)) < self->n_parts; ) {
        view_t pk = s_next_pk(self, part);
        size_t row = self->at[part]++;
        if (seen > 0 && view_eq(pk, last))
            continue;
        last = pk;
        if (seen++ >= how->offset)
            self->picked[self->n_picked++] = (place_t){ (uint32_t)part, (uint32_t)row };
    }
}

static err_t s_fill_rows(ctx_t *ctx, const weave_t *self, retrieved_t *rows)
{
    const merge_rows_t *how = self->how;
    answer_t answer = { .what = "query", .most_bytes = how->most_bytes };
    for (size_t i = 0; i < self->n_picked; i++) {
        place_t at = self->picked[i];
        rows->ts[i] = self->parts[at.part].ts[at.row];
        TRY(answer_copy(ctx, &answer, &rows->pks, &self->parts[at.part].pks, at.row));
    }
    for (size_t f = 0; f < how->n_outputs; f++)
        for (size_t i = 0; i < self->n_picked; i++) {
            place_t at = self->picked[i];
            TRY(answer_copy(ctx, &answer, &rows->outputs[f],
                            &self->parts[at.part].outputs[f], at.row));
        }
    return OK;
}

err_t merge_rows(ctx_t *ctx, const merge_rows_t *how, const rows_part_t *parts, size_t n_parts,
                 retrieved_t *ret)
{
    weave_t weave = { .how = how, .parts = parts, .n_parts = n_parts };
    retrieved_t rows = {0};
    err_t err = s_weave_init(ctx, &weave);
    if (err == OK) {
        s_weave(&weave);
        err = retrieved_make(ctx, how->schema, how->outputs, how->n_outputs, weave.n_picked, &rows);
    }
    if (err == OK)
        err = s_fill_rows(ctx, &weave, &rows);
    mem_free(weave.at);
    mem_free(weave.picked);
    rows.count = 0;
    for (size_t i = 0; i < n_parts; i++)
        rows.count += parts[i].count;
    if (err == OK)
        *ret = rows;
    else
        retrieved_fini(&rows);
    return err;
}
