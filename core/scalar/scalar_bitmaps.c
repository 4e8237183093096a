/* scalar_bitmaps - a compressed bitmap for each value
 *
 * As in Roaring (Chambi, Lemire, Kaser and Godin, "Better bitmap performance with Roaring
 * bitmaps", 2016, section 2): rows are cut into chunks of 65536; a value has a container for each
 * chunk it is in, of two bytes a row, or, from 4096 rows on, of 8192 bytes, a bit a row.  Setting a
 * value's rows is then mostly a loop over words.
 *
 * Containers lie by value and chunk; where each begins is a multiple of 8.
 */
#include "core/scalar/scalar_int.h"

enum { CHUNK_ROWS = 1 << 16, DENSE_ROWS = 4096, DENSE_BYTES = CHUNK_ROWS / 8, GROUP_BYTES = 16,
       CHUNK_BYTES = 16 };

/* --- writing ------------------------------------------------------------------------------ */

static void s_add_dense(buf_t *lists, const uint32_t *rows, size_t n)
{
    uint8_t *at = buf_reserve(lists, DENSE_BYTES);
    if (!at)
        return;
    memset(at, 0, DENSE_BYTES);
    for (size_t i = 0; i < n; i++)
        at[rows[i] % CHUNK_ROWS / 8] |= (uint8_t)(1u << rows[i] % 8);
    lists->len += DENSE_BYTES;
}

static void s_add_sparse(buf_t *lists, const uint32_t *rows, size_t n)
{
    static const uint8_t zeros[8];
    for (size_t i = 0; i < n; i++)
        buf_add(lists, &(uint16_t){ (uint16_t)(rows[i] % CHUNK_ROWS) }, 2);
    buf_add(lists, zeros, (8 - 2 * n % 8) % 8);
}

/* The containers of one value; returns how many. */
static uint64_t s_add_bitmap(buf_t *chunks, buf_t *lists, const uint32_t *rows, size_t n)
{
    uint64_t count = 0;
    for (size_t at = 0; at < n; count++) {
        size_t end = at + 1;
        while (end < n && rows[end] / CHUNK_ROWS == rows[at] / CHUNK_ROWS)
            end++;
        buf_add_u32(chunks, rows[at] / CHUNK_ROWS);
        buf_add_u32(chunks, (uint32_t)(end - at));
        buf_add_u64(chunks, lists->len);
        if (end - at >= DENSE_ROWS)
            s_add_dense(lists, rows + at, end - at);
        else
            s_add_sparse(lists, rows + at, end - at);
        at = end;
    }
    return count;
}

err_t scalar_write_bitmaps(ctx_t *ctx, scalar_writer_t *w, const scalar_terms_t *terms)
{
    buf_scoped chunks = {0}, lists = {0};
    uint64_t n = 0;
    for (size_t t = 0; t < terms->n; t++) {
        buf_add_u64(w->out, n);
        buf_add_u64(w->out, terms->starts[t]);
        n += s_add_bitmap(&chunks, &lists, terms->rows + terms->starts[t],
                          (size_t)(terms->starts[t + 1] - terms->starts[t]));
    }
    buf_add_u64(w->out, n);
    buf_add_u64(w->out, terms->listed);
    scalar_writer_end(w, PART_GROUPS);
    buf_add_view(w->out, buf_view(&chunks));
    scalar_writer_end(w, PART_CHUNKS);
    buf_add_view(w->out, buf_view(&lists));
    scalar_writer_end(w, PART_LISTS);
    return buf_ok(&chunks) && buf_ok(&lists) ? OK
         : ctx_fail(ctx, ERR_MEMORY, "no memory for bitmaps of %zu rows", terms->listed);
}

/* --- checking ----------------------------------------------------------------------------- */

typedef struct chunk {
    uint64_t number, n, offset;
} chunk_t;

static chunk_t s_chunk(const scalar_index_t *self, uint64_t i)
{
    const uint8_t *p = self->parts[PART_CHUNKS].ptr + CHUNK_BYTES * i;
    return (chunk_t){ load_u32(p), load_u32(p + 4), load_u64(p + 8) };
}

static uint64_t s_first(const scalar_index_t *self, uint64_t t)
{
    return load_u64(self->parts[PART_GROUPS].ptr + GROUP_BYTES * t);
}

static bool s_check_dense(const uint8_t *at, uint64_t n, uint64_t rows)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < DENSE_BYTES; i += 8)
        bits += (uint64_t)__builtin_popcountll(load_u64(at + i));
    for (uint64_t row = rows; row < CHUNK_ROWS; row++)
        if (at[row / 8] >> row % 8 & 1)
            return false;
    return bits == n;
}

static bool s_check_sparse(const uint8_t *at, uint64_t n, uint64_t rows)
{
    for (uint64_t i = 0; i < n; i++)
        if (load_u16(at + 2 * i) >= rows || (i > 0 && load_u16(at + 2 * i) <=
                                                      load_u16(at + 2 * i - 2)))
            return false;
    return true;
}

/* Container i begins at `at` in LISTS, which goes on. */
static bool s_check_chunk(const scalar_index_t *self, uint64_t i, uint64_t *at)
{
    chunk_t chunk = s_chunk(self, i);
    view_t lists = self->parts[PART_LISTS];
    if (chunk.n == 0 || chunk.n > CHUNK_ROWS || chunk.offset != *at ||
        chunk.number * CHUNK_ROWS >= self->rows)
        return false;
    uint64_t left = self->rows - chunk.number * CHUNK_ROWS;
    bool dense = chunk.n >= DENSE_ROWS;
    uint64_t bytes = dense ? DENSE_BYTES : (2 * chunk.n + 7) / 8 * 8;
    left = left < CHUNK_ROWS ? left : CHUNK_ROWS;
    if (*at > lists.len || bytes > lists.len - *at)
        return false;
    *at += bytes;
    return dense ? s_check_dense(lists.ptr + chunk.offset, chunk.n, left)
                 : s_check_sparse(lists.ptr + chunk.offset, chunk.n, left);
}

/* The containers of value t, from number *i on. */
static bool s_check_bitmap(const scalar_index_t *self, uint64_t t, uint64_t *i, uint64_t *at)
{
    const uint8_t *group = self->parts[PART_GROUPS].ptr + GROUP_BYTES * t;
    uint64_t end = s_first(self, t + 1), n = load_u64(group + 8);
    if (*i != s_first(self, t) || end <= *i || end > self->parts[PART_CHUNKS].len / CHUNK_BYTES)
        return false;
    for (uint64_t c = *i; c < end; c++) {
        if (!s_check_chunk(self, c, at) ||
            (c > *i && s_chunk(self, c).number <= s_chunk(self, c - 1).number))
            return false;
        n += s_chunk(self, c).n;
    }
    *i = end;
    return n == load_u64(group + GROUP_BYTES + 8);
}

err_t scalar_check_bitmaps(ctx_t *ctx, const scalar_index_t *self)
{
    view_t groups = self->parts[PART_GROUPS], chunks = self->parts[PART_CHUNKS];
    uint64_t i = 0, at = 0;
    if (groups.len != GROUP_BYTES * (self->n + 1) || chunks.len % CHUNK_BYTES)
        return scalar_damaged(ctx, self, "its table of bitmaps has another length");
    if (load_u64(groups.ptr + 8) != 0 ||
        load_u64(groups.ptr + GROUP_BYTES * self->n + 8) != self->listed ||
        s_first(self, self->n) != chunks.len / CHUNK_BYTES ||
        (self->spec.cells != TYPE_ARRAY && self->listed > self->valid))
        return scalar_damaged(ctx, self, "its table of bitmaps does not fit them");
    for (uint64_t t = 0; t < self->n; t++)
        if (!s_check_bitmap(self, t, &i, &at))
            return scalar_damaged(ctx, self, "a bitmap is wrong");
    return i == s_first(self, self->n) && at == self->parts[PART_LISTS].len
         ? OK : scalar_damaged(ctx, self, "bytes that belong to no bitmap");
}

/* --- reading ------------------------------------------------------------------------------ */

static void s_set_dense(const uint8_t *at, size_t first, bitset_t *bits)
{
    size_t words = (bits->n_bits + 63) / 64 - first / 64;
    words = words < DENSE_BYTES / 8 ? words : DENSE_BYTES / 8;
    for (size_t w = 0; w < words; w++)
        bits->words[first / 64 + w] |= load_u64(at + 8 * w);
}

void scalar_set_bitmaps(const scalar_index_t *self, ordinals_t range, bitset_t *bits)
{
    uint64_t end = s_first(self, range.to);
    for (uint64_t i = s_first(self, range.from); i < end; i++) {
        chunk_t chunk = s_chunk(self, i);
        const uint8_t *at = self->parts[PART_LISTS].ptr + chunk.offset;
        size_t first = (size_t)chunk.number * CHUNK_ROWS;
        if (chunk.n >= DENSE_ROWS)
            s_set_dense(at, first, bits);
        else
            for (uint64_t r = 0; r < chunk.n; r++)
                bitset_set(bits, first + load_u16(at + 2 * r));
    }
}
