/* scalar_lists - which rows a value is in: rows one by one, and lists
 *
 * A list is a varint, twice its rows and 1 if it is dense; then
 *
 *     varint first row, varint gap - 1 to each that follows        sparse
 *     ⌈rows of the segment / 8⌉ bytes, a bit a row                 dense: of more than one row in 8
 *
 * so a list is hardly longer than a bitmap, and a value of one row takes some four bytes.  A
 * sparse one of more than 8 rows has a varint before the first, the bytes behind it.  Groups
 * of 16 lists have their place and the number of rows before them in a table: a range is counted
 * by two looks at it and at most 30 heads of lists.
 */
#include "core/scalar/scalar_int.h"

enum { GROUP_BYTES = 16, SHORT_ROWS = 8 };

/* --- rows --------------------------------------------------------------------------------- */

err_t scalar_write_rows(ctx_t *ctx, scalar_writer_t *w, const scalar_terms_t *terms)
{
    (void)ctx;
    buf_add(w->out, terms->rows, terms->listed * sizeof *terms->rows);
    scalar_writer_end(w, PART_LISTS);
    return OK;
}

err_t scalar_check_rows(ctx_t *ctx, const scalar_index_t *self)
{
    view_t rows = self->parts[PART_LISTS];
    if (rows.len != 4 * self->n || self->listed != self->n || self->n > self->valid ||
        self->parts[PART_GROUPS].len || self->parts[PART_CHUNKS].len)
        return scalar_damaged(ctx, self, "its rows have another length");
    for (uint64_t i = 0; i < self->n; i++)
        if (load_u32(rows.ptr + 4 * i) >= self->rows)
            return scalar_damaged(ctx, self, "a row that the segment does not have");
    return OK;
}

/* --- lists -------------------------------------------------------------------------------- */

static size_t s_dense_bytes(uint64_t rows)
{
    return (size_t)(rows + 7) / 8;
}

static void s_add_dense(scalar_writer_t *w, const uint32_t *rows, size_t n)
{
    size_t bytes = s_dense_bytes(w->rows);
    uint8_t *at = buf_reserve(w->out, bytes);
    if (!at)
        return;
    memset(at, 0, bytes);
    for (size_t i = 0; i < n; i++)
        at[rows[i] / 8] |= (uint8_t)(1u << rows[i] % 8);
    w->out->len += bytes;
}

static uint64_t s_gaps_bytes(const uint32_t *rows, size_t n)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        for (uint32_t gap = i ? rows[i] - rows[i - 1] - 1 : rows[0], last = 0; !last; gap >>= 7) {
            last = gap < 0x80;
            bytes++;
        }
    return bytes;
}

static void s_add_list(scalar_writer_t *w, const uint32_t *rows, size_t n)
{
    bool dense = n > s_dense_bytes(w->rows);
    scalar_add_varint(w->out, 2 * n + dense);
    if (dense) {
        s_add_dense(w, rows, n);
        return;
    }
    if (n > SHORT_ROWS)
        scalar_add_varint(w->out, s_gaps_bytes(rows, n));
    scalar_add_varint(w->out, rows[0]);
    for (size_t i = 1; i < n; i++)
        scalar_add_varint(w->out, rows[i] - rows[i - 1] - 1);
}

err_t scalar_write_lists(ctx_t *ctx, scalar_writer_t *w, const scalar_terms_t *terms)
{
    buf_scoped lists = {0};
    buf_t *out = w->out;
    w->out = &lists;
    for (size_t t = 0; t < terms->n; t++) {
        if (t % SCALAR_BLOCK == 0) {
            buf_add_u64(out, lists.len);
            buf_add_u64(out, terms->starts[t]);
        }
        s_add_list(w, terms->rows + terms->starts[t],
                   (size_t)(terms->starts[t + 1] - terms->starts[t]));
    }
    w->out = out;
    buf_add_u64(out, lists.len);
    buf_add_u64(out, terms->listed);
    scalar_writer_end(w, PART_GROUPS);
    buf_add_view(out, buf_view(&lists));
    scalar_writer_end(w, PART_LISTS);
    return buf_ok(&lists) ? OK : ctx_fail(ctx, ERR_MEMORY, "no memory for lists of %zu rows",
                                          terms->listed);
}

/* --- checking ----------------------------------------------------------------------------- */

static uint64_t s_groups(const scalar_index_t *self)
{
    return (self->n + SCALAR_BLOCK - 1) / SCALAR_BLOCK;
}

static const uint8_t *s_group(const scalar_index_t *self, uint64_t g)
{
    return self->parts[PART_GROUPS].ptr + GROUP_BYTES * g;
}

static const uint8_t *s_lists_of(const scalar_index_t *self, uint64_t g)
{
    return self->parts[PART_LISTS].ptr + load_u64(s_group(self, g));
}

static bool s_check_dense(const scalar_index_t *self, const uint8_t *at, uint64_t n)
{
    size_t bytes = s_dense_bytes(self->rows);
    uint64_t bits = 0;
    for (size_t i = 0; i < bytes; i++)
        bits += (uint64_t)__builtin_popcount(at[i]);
    return bits == n && (self->rows % 8 == 0 || at[bytes - 1] >> self->rows % 8 == 0);
}

/* One list; *ret_n: its rows. */
static bool s_check_list(const scalar_index_t *self, const uint8_t **at, const uint8_t *end,
                         uint64_t *ret_n)
{
    uint64_t head = 0, row = 0, gap = 0;
    if (!scalar_varint(at, end, &head) || head < 2 || head / 2 > self->rows)
        return false;
    *ret_n = head / 2;
    if (head & 1) {
        size_t bytes = s_dense_bytes(self->rows);
        if ((size_t)(end - *at) < bytes || !s_check_dense(self, *at, head / 2))
            return false;
        *at += bytes;
        return true;
    }
    uint64_t bytes = 0;
    if (head / 2 > SHORT_ROWS && !scalar_varint(at, end, &bytes))
        return false;
    const uint8_t *begin = *at;
    for (uint64_t i = 0; i < head / 2; i++) {
        if (!scalar_varint(at, end, &gap) || gap >= self->rows)
            return false;
        row += gap + (i > 0);
        if (row >= self->rows)
            return false;
    }
    return head / 2 <= SHORT_ROWS || (uint64_t)(*at - begin) == bytes;
}

static bool s_check_group(const scalar_index_t *self, uint64_t g)
{
    uint64_t before = load_u64(s_group(self, g) + 8), after = load_u64(s_group(self, g + 1) + 8);
    uint64_t from = load_u64(s_group(self, g)), to = load_u64(s_group(self, g + 1)), n = 0;
    if (from > to || to > self->parts[PART_LISTS].len)
        return false;
    const uint8_t *at = s_lists_of(self, g), *end = s_lists_of(self, g + 1);
    uint64_t most = self->n - g * SCALAR_BLOCK < SCALAR_BLOCK ? self->n - g * SCALAR_BLOCK
                                                              : SCALAR_BLOCK;
    for (uint64_t t = 0; t < most; t++) {
        if (!s_check_list(self, &at, end, &n))
            return false;
        before += n;
    }
    return at == end && before == after;
}

err_t scalar_check_lists(ctx_t *ctx, const scalar_index_t *self)
{
    if (self->parts[PART_GROUPS].len != GROUP_BYTES * (s_groups(self) + 1) ||
        self->parts[PART_CHUNKS].len)
        return scalar_damaged(ctx, self, "its table of lists has another length");
    const uint8_t *last = s_group(self, s_groups(self));
    if (load_u64(s_group(self, 0)) != 0 || load_u64(s_group(self, 0) + 8) != 0 ||
        load_u64(last) != self->parts[PART_LISTS].len || load_u64(last + 8) != self->listed ||
        (self->spec.cells != TYPE_ARRAY && self->listed > self->valid))
        return scalar_damaged(ctx, self, "its table of lists does not fit them");
    for (uint64_t g = 0; g < s_groups(self); g++) {
        if (g % 4096 == 0)
            TRY(ctx_alive(ctx));
        if (!s_check_group(self, g))
            return scalar_damaged(ctx, self, "a list of rows is wrong");
    }
    return OK;
}

/* --- reading ------------------------------------------------------------------------------ */

static uint64_t s_skip(const scalar_index_t *self, const uint8_t **at)
{
    uint64_t head = scalar_take_varint(at);
    if (head & 1)
        *at += s_dense_bytes(self->rows);
    else if (head / 2 > SHORT_ROWS) {
        uint64_t bytes = scalar_take_varint(at);
        *at += bytes;
    } else
        for (uint64_t left = head / 2; left > 0; left -= *(*at)++ < 0x80)
            ;
    return head / 2;
}

/* Rows before ordinal i. */
static uint64_t s_before(const scalar_index_t *self, uint64_t i)
{
    const uint8_t *at = s_lists_of(self, i / SCALAR_BLOCK);
    uint64_t n = load_u64(s_group(self, i / SCALAR_BLOCK) + 8);
    for (uint64_t t = i / SCALAR_BLOCK * SCALAR_BLOCK; t < i; t++)
        n += s_skip(self, &at);
    return n;
}

uint64_t scalar_count(const scalar_index_t *self, ordinals_t range)
{
    if (range.from >= range.to)
        return 0;
    if (self->posts == POSTS_ROWS)
        return range.to - range.from;
    if (self->posts == POSTS_BITMAPS)
        return load_u64(s_group(self, range.to) + 8) - load_u64(s_group(self, range.from) + 8);
    return s_before(self, range.to) - s_before(self, range.from);
}

static void s_set_dense(const scalar_index_t *self, const uint8_t *at, bitset_t *bits)
{
    size_t bytes = s_dense_bytes(self->rows), words = bytes / 8;
    for (size_t i = 0; i < words; i++)
        bits->words[i] |= load_u64(at + 8 * i);
    for (size_t i = 8 * words; i < bytes; i++)
        bits->words[words] |= (uint64_t)at[i] << 8 * (i % 8);
}

static const uint8_t *s_set_list(const scalar_index_t *self, const uint8_t *at, bitset_t *bits)
{
    uint64_t head = scalar_take_varint(&at), row = 0;
    if (head & 1) {
        s_set_dense(self, at, bits);
        return at + s_dense_bytes(self->rows);
    }
    if (head / 2 > SHORT_ROWS)
        scalar_take_varint(&at);
    for (uint64_t i = 0; i < head / 2; i++) {
        row += scalar_take_varint(&at) + (i > 0);
        bitset_set(bits, (size_t)row);
    }
    return at;
}

void scalar_set_lists(const scalar_index_t *self, ordinals_t range, bitset_t *bits)
{
    const uint8_t *at = s_lists_of(self, range.from / SCALAR_BLOCK);
    for (uint64_t t = range.from / SCALAR_BLOCK * SCALAR_BLOCK; t < range.from; t++)
        s_skip(self, &at);
    for (uint64_t t = range.from; t < range.to; t++)
        at = s_set_list(self, at, bits);
}

void scalar_set(const scalar_index_t *self, ordinals_t range, bitset_t *bits)
{
    const uint8_t *rows = self->parts[PART_LISTS].ptr;
    if (range.from >= range.to)
        return;
    if (self->posts == POSTS_LISTS)
        scalar_set_lists(self, range, bits);
    else if (self->posts == POSTS_BITMAPS)
        scalar_set_bitmaps(self, range, bits);
    else
        for (uint64_t i = range.from; i < range.to; i++)
            bitset_set(bits, load_u32(rows + 4 * i));
}
