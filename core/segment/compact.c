/* compact - see compact.h
 *
 * Each input's rows are cut into runs; a run's surviving rows are a piece of the
 * plan.  Where all survive, its column is the input's own; otherwise a copy of
 * the survivors is made when an object needs it.  Deaths are read once, here, so
 * that the rows left out and the deletes written agree.
 */
#include "core/segment/compact.h"

#include "core/base/limits.h"
#include "core/base/vec.h"

enum { RUN_BYTES = 4 << 20 };

typedef struct run {
    sealed_t *input;            /* borrowed from merge_t */
    size_t block, from, n;      /* rows [from, from + n) of the block */
    size_t kept;                /* of them */
    size_t deaths;              /* its first place in merge_t.deaths */
} run_t;

typedef struct merge {
    schema_t *schema;           /* shared */
    vec_t inputs;               /* sealed_t *, referenced */
    vec_t runs;                 /* run_t */
    buf_t keep;                 /* u32 a kept row: its place in the run */
    buf_t deaths;               /* u64 a kept row */
} merge_t;

static run_t *s_run(const merge_t *m, size_t i)
{
    return vec_at(&m->runs, i);
}

static const uint32_t *s_kept(const merge_t *m, const run_t *run)
{
    return (const uint32_t *)(const void *)m->keep.ptr + run->deaths;
}

/* --- the source ------------------------------------------ */

static size_t s_rows(void *arg, size_t piece)
{
    return s_run(arg, piece)->kept;
}

static err_t s_ts(ctx_t *ctx, void *arg, size_t piece, const uint64_t **ret)
{
    const run_t *run = s_run(arg, piece);
    const uint64_t *ts = sealed_block(run->input, run->block).ts + run->from;
    *ret = ts;
    if (run->kept == run->n)
        return OK;
    uint64_t *copy = ctx_try(ctx, run->kept * sizeof *copy);
    if (!copy)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu timestamps", run->kept);
    for (size_t i = 0; i < run->kept; i++)
        copy[i] = ts[s_kept(arg, run)[i]];
    *ret = copy;
    return OK;
}

/* Cells, offsets and nulls of the kept rows in ctx's arena. */
static err_t s_pick(ctx_t *ctx, const column_t *c, const uint32_t *kept, size_t n, column_t *ret)
{
    size_t len = n * c->width, words = c->valid ? (n + 63) / 64 : 0;
    for (size_t i = 0; c->width == 0 && i < n; i++)
        len += column_cell(c, kept[i]).len;
    uint8_t *cells = ctx_try(ctx, len);
    uint64_t *offsets = c->width ? NULL : ctx_try(ctx, (n + 1) * sizeof *offsets);
    uint64_t *valid = words ? ctx_try(ctx, words * sizeof *valid) : NULL;
    if (!cells || (!c->width && !offsets) || (words && !valid))
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu bytes of rows to keep", len);
    uint8_t *at = cells;
    for (size_t i = 0; i < n; i++) {
        view_t cell = column_cell(c, kept[i]);
        if (cell.len)
            memcpy(at, cell.ptr, cell.len);
        at += cell.len;
        if (offsets)
            offsets[i + 1] = (uint64_t)(at - cells);
        if (valid)
            valid[i >> 6] |= (uint64_t)!column_is_null(c, kept[i]) << (i & 63);
    }
    *ret = (column_t){ .type = c->type, .element = c->element, .width = c->width, .n = n,
                       .cells = cells, .offsets = offsets, .valid = valid };
    return OK;
}

static err_t s_column(ctx_t *ctx, void *arg, size_t piece, size_t field, column_t *ret)
{
    const run_t *run = s_run(arg, piece);
    column_t whole;
    TRY(sealed_column(ctx, run->input, run->block, field, &whole));
    column_t c = column_slice(&whole, run->from, run->n);
    if (run->kept < run->n)
        TRY(s_pick(ctx, &c, s_kept(arg, run), run->kept, &c));
    *ret = c;
    return OK;
}

static uint64_t s_died(void *arg, size_t piece, size_t at)
{
    const merge_t *m = arg;
    return load_u64(m->deaths.ptr + 8 * (s_run(m, piece)->deaths + at));
}

static void s_destroy(void *arg)
{
    merge_t *m = arg;
    for (size_t i = 0; i < m->inputs.len; i++)
        sealed_unref(vec_at(&m->inputs, i));
    schema_unref(&m->schema);
    vec_fini(&m->inputs);
    vec_fini(&m->runs);
    buf_fini(&m->keep);
    buf_fini(&m->deaths);
    mem_free(m);
}

/* --- planning ------------------------------------------ */

uint64_t compact_purged(sealed_t *const *inputs, size_t n, uint64_t safe_ts)
{
    uint64_t newest = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t block = 0; block < sealed_blocks(inputs[i]); block++) {
            segment_block_t rows = sealed_block(inputs[i], block);
            for (size_t at = 0; at < rows.n; at++) {
                uint64_t death = sealed_died(inputs[i], rows.first + at);
                if (death != SEGMENT_ALIVE && death <= safe_ts && death > newest)
                    newest = death;
            }
        }
    return newest;
}

static void s_keep(merge_t *m, run_t *run, const compact_options_t *options)
{
    segment_block_t block = sealed_block(run->input, run->block);
    run->deaths = m->deaths.len / sizeof(uint64_t);
    for (size_t at = 0; at < run->n; at++) {
        uint64_t death = sealed_died(run->input, block.first + run->from + at);
        bool gone = death != SEGMENT_ALIVE && death <= options->safe_ts;
        if (gone || block.ts[run->from + at] < options->expire_ts)
            continue;
        buf_add_u32(&m->keep, (uint32_t)at);
        buf_add_u64(&m->deaths, death);
        run->kept++;
    }
}

/* Rows of a run: a multiple of 64, so that a column can be sliced there. */
static size_t s_run_rows(const schema_t *schema)
{
    size_t width = 1;
    for (size_t i = 0; i < schema_len(schema); i++) {
        const field_t *field = schema_at(schema, i);
        size_t w = type_width(field->type, field->dim);
        width = w > width ? w : width;
    }
    size_t rows = RUN_BYTES / width & ~(size_t)63;
    return rows < 64 ? 64 : rows > LIMIT_BLOCK_ROWS ? LIMIT_BLOCK_ROWS : rows;
}

static void s_add_input(merge_t *m, sealed_t *input, const compact_options_t *options)
{
    sealed_t *mine = sealed_ref(input);
    vec_push(&m->inputs, &mine);
    size_t step = s_run_rows(m->schema);
    for (size_t block = 0; block < sealed_blocks(input); block++) {
        size_t n = sealed_block(input, block).n;
        for (size_t from = 0; from < n; from += step) {
            run_t run = { .input = input, .block = block, .from = from,
                          .n = n - from < step ? n - from : step };
            s_keep(m, &run, options);
            vec_push(&m->runs, &run);
        }
    }
}

err_t compact_plan(ctx_t *ctx, sealed_t *const *inputs, size_t n,
                   const compact_options_t *options, flush_t **ret)
{
    check(n > 0);
    merge_t *m = mem_new(sizeof *m);
    m->schema = schema_ref(sealed_schema(inputs[0]));
    vec_init(&m->inputs, sizeof(sealed_t *));
    vec_init(&m->runs, sizeof(run_t));
    for (size_t i = 0; i < n; i++)
        s_add_input(m, inputs[i], options);
    if (!buf_ok(&m->keep) || !buf_ok(&m->deaths)) {
        s_destroy(m);
        return ctx_fail(ctx, ERR_MEMORY, "no memory to plan the merge of %zu segments", n);
    }
    flush_source_t source = {
        .schema = m->schema, .arg = m, .n_pieces = m->runs.len, .rows = s_rows, .ts = s_ts,
        .column = s_column, .died = s_died, .destroy = s_destroy,
    };
    return flush_plan(ctx, &source, &options->flush, ret);
}
