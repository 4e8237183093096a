/* query_scan - see query_scan.h */
#include "core/query/query_scan.h"

#include "core/base/limits.h"

enum { WORD = 64 };

/* --- cutting ------------------------------------------ */

/* Parts of about equal size that a block falls into; those of growing segments are small. */
static size_t s_pieces(const scan_t *self, const scan_block_t *block, size_t part_rows)
{
    if (!self->sources[block->source].sealed || block->n <= part_rows)
        return 1;
    return (block->n + part_rows - 1) / part_rows;
}

static void s_take_source(scan_t *self, scan_source_t *into, const query_source_t *from)
{
    check(!from->growing != !from->sealed);
    if (from->sealed) {
        into->sealed = sealed_ref(from->sealed);
        into->answers = self->filter ? answers_new(self->filter, self->schema, into->sealed) : NULL;
        return;
    }
    into->growing = growing_ref(from->growing);
    into->snap = growing_at(into->growing, self->read_ts);
}

static size_t s_source_blocks(const scan_source_t *source)
{
    return source->sealed ? sealed_blocks(source->sealed) : source->snap.n_blocks;
}

static segment_block_t s_block(const scan_source_t *source, size_t i)
{
    return source->sealed ? sealed_block(source->sealed, i) : growing_block(&source->snap, i);
}

static err_t s_list_blocks(ctx_t *ctx, scan_t *self)
{
    size_t n = 0, pk = schema_index(self->schema, schema_pk(self->schema));
    for (size_t s = 0; s < self->n_sources; s++)
        n += s_source_blocks(&self->sources[s]);
    check(n <= UINT32_MAX);
    self->blocks = mem_try(ctx, n * sizeof *self->blocks);
    if (!self->blocks)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to read %zu blocks of rows", n);
    for (size_t s = 0; s < self->n_sources; s++) {
        scan_source_t *source = &self->sources[s];
        source->begin = self->n_blocks;
        for (size_t i = 0; i < s_source_blocks(source); i++) {
            segment_block_t rows = s_block(source, i);
            scan_block_t *block = &self->blocks[self->n_blocks];
            *block = (scan_block_t){ .source = s, .i = i, .first = rows.first, .n = rows.n,
                                     .ts = rows.ts };
            TRY(scan_column(ctx, self, self->n_blocks++, pk, &block->pks));
        }
        source->end = self->n_blocks;
    }
    return OK;
}

static void s_add_part(scan_part_t *into, size_t *n, scan_part_t part)
{
    if (into)
        into[*n] = part;
    (*n)++;
}

/* A segment with an index is a part of its own; what follows it. */
static size_t s_cut_index(const scan_t *self, size_t b, scan_part_t *into, size_t *n)
{
    const scan_source_t *source = &self->sources[self->blocks[b].source];
    s_add_part(into, n, (scan_part_t){ .begin = source->begin, .end = source->end,
                                       .n = sealed_rows(source->sealed),
                                       .index = field_index_of(source->index) });
    return source->end;
}

/* A big block is cut into pieces; small ones that follow one another in a segment go together
 * until they are as big as a piece.  into NULL: only count. */
static size_t s_cut(const scan_t *self, size_t part_rows, scan_part_t *into)
{
    size_t n = 0;
    for (size_t b = 0; b < self->n_blocks; ) {
        const scan_block_t *block = &self->blocks[b];
        if (self->sources[block->source].index) {
            b = s_cut_index(self, b, into, &n);
            continue;
        }
        size_t rows = block->n, end = b + 1, pieces = s_pieces(self, block, part_rows);
        while (end < self->n_blocks && self->blocks[end].source == block->source &&
               rows + self->blocks[end].n <= part_rows)
            rows += self->blocks[end++].n;
        size_t step = (rows + pieces - 1) / pieces;
        step = pieces > 1 ? (step + WORD - 1) / WORD * WORD : rows;
        for (size_t from = 0; from < rows; from += step)
            s_add_part(into, &n, (scan_part_t){ .begin = b, .end = end, .from = from,
                                                .n = rows - from < step ? rows - from : step });
        b = end;
    }
    return n;
}

err_t scan_init(ctx_t *ctx, scan_t *self, schema_t *schema, expr_t *filter, uint64_t read_ts,
                const query_source_t *sources, size_t n_sources)
{
    *self = (scan_t){ .schema = schema_ref(schema), .read_ts = read_ts };
    if (filter && !expr_is_always_true(filter))
        self->filter = expr_ref(filter);
    self->sources = mem_try(ctx, n_sources * sizeof *self->sources);
    if (!self->sources)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to read %zu segments", n_sources);
    for (; self->n_sources < n_sources; self->n_sources++)
        s_take_source(self, &self->sources[self->n_sources], &sources[self->n_sources]);
    return s_list_blocks(ctx, self);
}

void scan_use_indexes(scan_t *self, size_t field, metric_t metric)
{
    for (size_t s = 0; s < self->n_sources; s++) {
        scan_source_t *source = &self->sources[s];
        source->index = source->sealed ? sealed_index(source->sealed, field) : NULL;
        if (source->index && index_spec(field_index_of(source->index))->metric != metric)
            field_index_unref(&source->index);
    }
}

err_t scan_cut(ctx_t *ctx, scan_t *self, size_t part_rows)
{
    part_rows = part_rows < WORD ? WORD : part_rows;
    self->n_parts = s_cut(self, part_rows, NULL);
    self->parts = mem_try(ctx, self->n_parts * sizeof *self->parts);
    if (!self->parts)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu parts of a read", self->n_parts);
    s_cut(self, part_rows, self->parts);
    return OK;
}

void scan_fini(scan_t *self)
{
    for (size_t s = 0; s < self->n_sources; s++) {
        growing_unref(&self->sources[s].growing);
        sealed_unref(&self->sources[s].sealed);
        field_index_unref(&self->sources[s].index);
        answers_destroy(&self->sources[s].answers);
    }
    mem_free(self->sources);
    mem_free(self->blocks);
    mem_free(self->parts);
    expr_unref(&self->filter);
    schema_unref(&self->schema);
    *self = (scan_t){0};
}

/* --- reading ------------------------------------------ */

void scan_rows(const scan_t *self, const scan_part_t *part, size_t b, size_t *ret_from,
               size_t *ret_n)
{
    bool whole = part->end - part->begin > 1;
    *ret_from = whole ? 0 : part->from;
    *ret_n = whole ? self->blocks[b].n : part->n;
}

err_t scan_column(ctx_t *ctx, const scan_t *self, size_t b, size_t field, column_t *ret)
{
    const scan_block_t *block = &self->blocks[b];
    const scan_source_t *source = &self->sources[block->source];
    return source->sealed ? sealed_column(ctx, source->sealed, block->i, field, ret)
                          : growing_column(ctx, &source->snap, block->i, field, ret);
}

bool scan_find(const scan_t *self, size_t source, view_t pk, size_t *ret_block, size_t *ret_row)
{
    const scan_source_t *from = &self->sources[source];
    size_t row = 0, low = from->begin, high = from->end;
    if (from->sealed ? !sealed_find(from->sealed, pk, self->read_ts, &row)
                     : !growing_find(&from->snap, pk, &row))
        return false;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (self->blocks[mid].first <= row)
            low = mid;
        else
            high = mid;
    }
    *ret_block = low;
    *ret_row = row - self->blocks[low].first;
    return self->blocks[low].ts[*ret_row] >= self->expire_ts;
}

err_t scan_copy(ctx_t *ctx, const scan_t *self, size_t field, const scan_place_t *places, size_t n,
                answer_t *answer, column_builder_t *into)
{
    column_t *columns = mem_try(ctx, self->n_blocks * sizeof *columns);
    if (!columns)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu blocks", self->n_blocks);
    err_t err = OK;
    for (size_t i = 0; err == OK && i < n; i++) {
        column_t *column = &columns[places[i].block];
        if (column->type == TYPE_NONE)
            err = scan_column(ctx, self, places[i].block, field, column);
        if (err == OK)
            err = answer_copy(ctx, answer, into, column, places[i].row);
    }
    mem_free(columns);
    return err;
}

static void s_hide_expired(const scan_t *self, const uint64_t *ts, bitset_t *bits)
{
    for (size_t i = 0; self->expire_ts && i < bits->n_bits; i++)
        if (ts[i] < self->expire_ts)
            bitset_clear(bits, i);
}

static void s_hide(const scan_t *self, size_t b, size_t from, bitset_t *bits)
{
    const scan_block_t *block = &self->blocks[b];
    s_hide_expired(self, block->ts + from, bits);
    const scan_source_t *source = &self->sources[block->source];
    if (source->sealed)
        sealed_hide_rows(source->sealed, block->i, from, self->read_ts, bits);
    else
        growing_hide(&source->snap, block->i, bits);
}

/* valid begins with the first of the bits. */
static void s_drop_nulls(bitset_t *bits, const uint64_t *valid)
{
    for (size_t word = 0; valid && word < (bits->n_bits + WORD - 1) / WORD; word++)
        bits->words[word] &= valid[word];
}

size_t scan_answered(const scan_t *self)
{
    size_t n = 0;
    for (size_t s = 0; s < self->n_sources; s++)
        n += answers_count(self->sources[s].answers);
    return n;
}

/* Fields whose predicates are all answered are not read. */
static err_t s_filter(ctx_t *ctx, const scan_t *self, size_t b, size_t from, size_t n,
                      bitset_t *bits)
{
    column_t columns[LIMIT_FIELDS + 1];
    const column_t *at[LIMIT_FIELDS + 1] = {0};
    const scan_block_t *block = &self->blocks[b];
    expr_answers_t answers = {0};
    const bool *needs = NULL;
    check(schema_len(self->schema) <= ARRAY_LEN(columns));
    TRY(answers_of(ctx, self->sources[block->source].answers, block->first + from, &answers,
                   &needs));
    for (size_t f = 0; f < schema_len(self->schema); f++)
        if (needs ? needs[f] : expr_needs(self->filter, f)) {
            TRY(scan_column(ctx, self, b, f, &columns[f]));
            columns[f] = column_slice(&columns[f], from, n);
            at[f] = &columns[f];
        }
    return expr_narrow_beside(ctx, self->filter, at, answers.n ? &answers : NULL, n, bits);
}

bool scan_keeps_all(const scan_t *self, size_t b)
{
    const sealed_t *sealed = self->sources[self->blocks[b].source].sealed;
    return !self->filter && sealed && sealed_shows_all(sealed, self->read_ts) &&
           self->expire_ts <= sealed_min_ts(sealed);
}

err_t scan_keep(ctx_t *ctx, const scan_t *self, size_t b, size_t from, size_t n,
                const column_t *cells, bitset_t *ret, size_t *ret_n)
{
    *ret = (bitset_t){0};
    check(from % WORD == 0 && (self->sources[self->blocks[b].source].sealed || from == 0));
    TRY(bitset_init(ctx, ret, n));
    bitset_fill(ret, true);
    s_hide(self, b, from, ret);
    s_drop_nulls(ret, cells ? cells->valid : NULL);
    *ret_n = bitset_count(ret);
    if (*ret_n == 0 || !self->filter)
        return OK;
    TRY(s_filter(ctx, self, b, from, n, ret));
    *ret_n = bitset_count(ret);
    return OK;
}
