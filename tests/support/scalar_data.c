/* scalar_data - see scalar_data.h */
#include "tests/support/scalar_data.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

enum { ANSWERS = 64 };

err_t scalar_data_build(ctx_t *ctx, scalar_type_t type, const column_t *column, size_t parts,
                        uint64_t seed, buf_t *ret)
{
    column_t cut[8];
    size_t n = 0, step = (column->n / parts + 63) / 64 * 64;
    check(parts > 0 && parts <= ARRAY_LEN(cut));
    for (size_t from = 0; n < parts; n++) {
        size_t left = column->n - from, rows = n + 1 == parts || left < step ? left : step;
        cut[n] = column_slice(column, from, rows);
        from += rows;
        if (from == column->n) {
            n++;
            break;
        }
    }
    scalar_spec_t spec = { .type = type, .cells = column->type, .element = column->element,
                           .seed = seed };
    return scalar_index_build(ctx, &spec, cut, n, NULL, ret);
}

err_t scalar_data_open(ctx_t *ctx, view_t object, void **ret_memory, scalar_index_t **ret)
{
    *ret_memory = aligned_alloc(64, (object.len + 64) / 64 * 64);
    if (object.len)
        memcpy(*ret_memory, object.ptr, object.len);
    return scalar_index_open(ctx, "index/1/1/0", view_of(*ret_memory, object.len), ret);
}

static scalar_type_t s_pick(const column_t *column, uint64_t pick)
{
    scalar_type_t fits[SCALAR_TYPES];
    size_t n = 0;
    for (scalar_type_t t = SCALAR_NONE; t < SCALAR_TYPES; t++)
        if (scalar_type_fits(t, column->type, column->element))
            fits[n++] = t;
    return n ? fits[pick % n] : SCALAR_NONE;
}

void scalar_data_init(scalar_data_t *self, ctx_t *ctx, const column_t *const *columns, size_t n,
                      uint64_t pick)
{
    *self = (scalar_data_t){ .n = n };
    for (size_t i = 0; i < n; i++) {
        scalar_type_t type = s_pick(columns[i], pick + i);
        if (type == SCALAR_NONE)
            continue;
        if (scalar_data_build(ctx, type, columns[i], 1 + (pick + i) % 3, 7, &self->objects[i]) ||
            scalar_data_open(ctx, buf_view(&self->objects[i]), &self->memory[i],
                             &self->indexes[i]))
            fail_msg("field %zu: %s", i, ctx->text);
        assert_int_equal(scalar_index_rows(self->indexes[i]), columns[i]->n);
    }
}

void scalar_data_fini(scalar_data_t *self)
{
    for (size_t i = 0; i < self->n; i++) {
        scalar_index_destroy(&self->indexes[i]);
        free(self->memory[i]);
        buf_fini(&self->objects[i]);
    }
}

size_t scalar_data_eval(const scalar_data_t *self, ctx_t *ctx, const expr_t *plan,
                        const column_t *const *columns, size_t first, bitset_t *ret)
{
    expr_answer_t answers[ANSWERS];
    bitset_t bits[ANSWERS];
    expr_answers_t all = { .at = answers, .first = first };
    bool needs[SCALAR_DATA_FIELDS];
    const column_t *read[SCALAR_DATA_FIELDS] = {0};
    expr_ask_t ask;
    for (size_t at = 0; all.n < ANSWERS && expr_next_ask(plan, &at, &ask); ) {
        const scalar_index_t *index = self->indexes[ask.field];
        scalar_work_t work;
        if (!index || !scalar_index_estimate(index, &ask, &work))
            continue;
        all.n_rows = scalar_index_rows(index);
        assert_true(work.matches <= all.n_rows);
        assert_int_equal(bitset_init(ctx, &bits[all.n], all.n_rows), OK);
        assert_int_equal(scalar_index_answer(ctx, index, &ask, &bits[all.n]), OK);
        answers[all.n] = scalar_index_says(index, &ask, &bits[all.n]);
        all.n++;
    }
    expr_needs_beside(plan, &all, needs);
    for (size_t i = 0; i < self->n; i++)
        if (needs[i])
            read[i] = columns[i];
    bitset_fill(ret, true);
    assert_int_equal(expr_narrow_beside(ctx, plan, read, all.n ? &all : NULL, ret->n_bits, ret),
                     OK);
    for (size_t i = 0; i < all.n; i++)
        bitset_fini(&bits[i]);
    return all.n;
}
