/* scalar_terms - dictionaries: numbers as they are, texts front-coded
 *
 * A block of 16 texts:
 *
 *     varint length, bytes                            the first
 *     varint shared, varint length, bytes             each of the others: so many bytes of the
 *                                                     one before, then these
 *
 * so finding a text is a binary search over the first ones, which lie there whole, and a walk
 * over at most 15 others.  Sorted texts share half of their bytes and more with the one before.
 */
#include "core/scalar/scalar_int.h"

/* --- numbers ------------------------------------------------------------------------------ */

/* STL_SORT has a number for each row. */
err_t scalar_write_numbers(ctx_t *ctx, scalar_writer_t *w, const scalar_terms_t *terms)
{
    (void)ctx;
    for (size_t t = 0; t < terms->n; t++) {
        uint64_t times = w->posts == POSTS_ROWS ? terms->starts[t + 1] - terms->starts[t] : 1;
        for (; times > 0; times--)
            buf_add_u64(w->out, terms->numbers[t]);
    }
    scalar_writer_end(w, PART_KEYS);
    return OK;
}

static int64_t s_int(const scalar_index_t *self, uint64_t i)
{
    return load_i64(self->parts[PART_KEYS].ptr + 8 * i);
}

static double s_double(const scalar_index_t *self, uint64_t i)
{
    double d;
    memcpy(&d, self->parts[PART_KEYS].ptr + 8 * i, sizeof d);
    return d;
}

err_t scalar_check_numbers(ctx_t *ctx, const scalar_index_t *self)
{
    bool repeats = self->posts == POSTS_ROWS, real = self->dict == DICT_DOUBLES;
    if (self->parts[PART_KEYS].len != 8 * self->n || self->parts[PART_HEADS].len != 0)
        return scalar_damaged(ctx, self, "its numbers have another length");
    if (real && self->n && !(s_double(self, 0) == s_double(self, 0)))
        return scalar_damaged(ctx, self, "one of its numbers is none");
    for (uint64_t i = 1; i < self->n; i++) {
        bool less = real ? s_double(self, i - 1) < s_double(self, i)
                         : s_int(self, i - 1) < s_int(self, i);
        bool equal = real ? s_double(self, i - 1) == s_double(self, i)
                          : s_int(self, i - 1) == s_int(self, i);
        if (!less && !(repeats && equal))
            return scalar_damaged(ctx, self, "its numbers are not in order");
    }
    return OK;
}

/* The first that is not below, or is above. */
#define FIND_LOOP(name, T, get) \
    static uint64_t name(const scalar_index_t *self, T value, bool above) \
    { \
        uint64_t low = 0, high = self->n; \
        while (low < high) { \
            uint64_t mid = low + (high - low) / 2; \
            T at = get(self, mid); \
            if (at < value || (above && at == value)) \
                low = mid + 1; \
            else \
                high = mid; \
        } \
        return low; \
    }

FIND_LOOP(s_find_int, int64_t, s_int)
FIND_LOOP(s_find_double, double, s_double)

ordinals_t scalar_find_ints(const scalar_index_t *self, int64_t low, int64_t high)
{
    if (low > high)
        return (ordinals_t){0};
    return (ordinals_t){ s_find_int(self, low, false), s_find_int(self, high, true) };
}

ordinals_t scalar_find_doubles(const scalar_index_t *self, double low, double high)
{
    if (!(low <= high))                         /* a NaN too */
        return (ordinals_t){0};
    return (ordinals_t){ s_find_double(self, low, false), s_find_double(self, high, true) };
}

/* --- texts -------------------------------------------------------------------------------- */

static size_t s_shared(view_t a, view_t b)
{
    size_t most = a.len < b.len ? a.len : b.len, n = 0;
    while (n < most && a.ptr[n] == b.ptr[n])
        n++;
    return n;
}

err_t scalar_write_texts(ctx_t *ctx, scalar_writer_t *w, const scalar_terms_t *terms)
{
    buf_scoped heads = {0};
    size_t begin = w->out->len;
    for (size_t t = 0; t < terms->n; t++) {
        view_t text = terms->texts[t];
        size_t shared = t % SCALAR_BLOCK ? s_shared(terms->texts[t - 1], text) : 0;
        if (t % SCALAR_BLOCK)
            scalar_add_varint(w->out, shared);
        else
            buf_add_u64(&heads, w->out->len - begin);
        scalar_add_varint(w->out, text.len - shared);
        buf_add(w->out, text.ptr + shared, text.len - shared);
    }
    buf_add_u64(&heads, w->out->len - begin);
    scalar_writer_end(w, PART_KEYS);
    buf_add_view(w->out, buf_view(&heads));
    scalar_writer_end(w, PART_HEADS);
    return buf_ok(&heads) ? OK : ctx_fail(ctx, ERR_MEMORY, "no memory for %zu texts", terms->n);
}

static uint64_t s_blocks(const scalar_index_t *self)
{
    return (self->n + SCALAR_BLOCK - 1) / SCALAR_BLOCK;
}

static const uint8_t *s_block(const scalar_index_t *self, uint64_t b)
{
    return self->parts[PART_KEYS].ptr + load_u64(self->parts[PART_HEADS].ptr + 8 * b);
}

/* The next text of a block, `text` being the one before; false: not a text, or not above it. */
static bool s_check_text(const uint8_t **at, const uint8_t *end, bool first, uint8_t *text,
                         size_t *len)
{
    uint64_t shared = 0, more = 0;
    if ((!first && !scalar_varint(at, end, &shared)) || !scalar_varint(at, end, &more) ||
        shared > *len || more > (uint64_t)(end - *at) || shared + more > LIMIT_VARCHAR_BYTES)
        return false;
    if (!first && (more == 0 || (shared < *len && (*at)[0] <= text[shared])))
        return false;                           /* below, the same, or it shares more than that */
    memcpy(text + shared, *at, more);
    *at += more;
    *len = shared + more;
    return true;
}

/* Blocks fill the section, texts rise. */
static err_t s_check_blocks(ctx_t *ctx, const scalar_index_t *self, uint8_t *text, uint8_t *last)
{
    view_t keys = self->parts[PART_KEYS];
    size_t len = 0, last_len = 0;
    for (uint64_t t = 0; t < self->n; ) {
        uint64_t b = t / SCALAR_BLOCK;
        const uint8_t *at = s_block(self, b), *end = s_block(self, b + 1);
        memcpy(last, text, len);
        last_len = len;
        len = 0;
        for (bool first = true; t < self->n && (first || t % SCALAR_BLOCK); t++, first = false)
            if (!s_check_text(&at, end, first, text, &len) ||
                (first && t > 0 && view_cmp(view_of(last, last_len), view_of(text, len)) >= 0))
                return scalar_damaged(ctx, self, "its texts are not whole, or not in order");
        if (at != end)
            return scalar_damaged(ctx, self, "a block of texts is longer than its texts");
    }
    return s_block(self, s_blocks(self)) == keys.ptr + keys.len
         ? OK : scalar_damaged(ctx, self, "bytes behind the last text");
}

err_t scalar_check_texts(ctx_t *ctx, const scalar_index_t *self)
{
    view_t heads = self->parts[PART_HEADS];
    uint64_t before = 0;
    if (heads.len != 8 * (s_blocks(self) + 1) || load_u64(heads.ptr) != 0)
        return scalar_damaged(ctx, self, "its table of texts has another length");
    for (uint64_t b = 1; b <= s_blocks(self); b++) {
        uint64_t at = load_u64(heads.ptr + 8 * b);
        if (at < before || at > self->parts[PART_KEYS].len)
            return scalar_damaged(ctx, self, "a block of texts is not in its place");
        before = at;
    }
    uint8_t *text = mem_try(ctx, LIMIT_VARCHAR_BYTES + 1), *last = mem_try(ctx,
                                                                           LIMIT_VARCHAR_BYTES + 1);
    err_t err = text && last ? s_check_blocks(ctx, self, text, last)
              : ctx_fail(ctx, ERR_MEMORY, "no memory to check %s", self->name);
    mem_free(text);
    mem_free(last);
    return err;
}

static view_t s_first(const scalar_index_t *self, uint64_t b)
{
    const uint8_t *at = s_block(self, b);
    uint64_t len = scalar_take_varint(&at);
    return view_of(at, (size_t)len);
}

/* past: texts that begin with `wanted` are below it too. */
static int s_compare(view_t text, view_t wanted, bool past)
{
    return past && view_starts(text, wanted) ? -1 : view_cmp(text, wanted);
}

/* The first text of a block that is not below `wanted`, which the block's first is: `same` bytes
 * of it are those of the text before. */
static uint64_t s_walk_block(const scalar_index_t *self, uint64_t b, view_t wanted, bool past,
                             bool *ret_exact)
{
    view_t first = s_first(self, b);
    const uint8_t *at = first.ptr + first.len;
    size_t same = s_shared(first, wanted);
    uint64_t t = b * SCALAR_BLOCK + 1, end = (b + 1) * SCALAR_BLOCK;
    for (end = end < self->n ? end : self->n; t < end; t++) {
        uint64_t shared = scalar_take_varint(&at), more = scalar_take_varint(&at);
        view_t rest = view_of(at, (size_t)more);
        at += more;
        if (shared > same)                      /* as far from it as the one before */
            continue;
        if (shared < same)                      /* it rises before the byte that differed */
            return t;
        view_t left = view_of(wanted.ptr + same, wanted.len - same);
        int order = s_compare(rest, left, past);
        if (order >= 0) {
            *ret_exact = order == 0;
            return t;
        }
        same += s_shared(rest, left);
    }
    return t;
}

static uint64_t s_find_text(const scalar_index_t *self, view_t wanted, bool past, bool *ret_exact)
{
    uint64_t low = 0, high = s_blocks(self);
    *ret_exact = false;
    while (low < high) {                        /* the blocks whose first is below */
        uint64_t mid = low + (high - low) / 2;
        int order = s_compare(s_first(self, mid), wanted, past);
        if (order == 0) {
            *ret_exact = true;
            return mid * SCALAR_BLOCK;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low == 0 ? 0 : s_walk_block(self, low - 1, wanted, past, ret_exact);
}

uint64_t scalar_lower_text(const scalar_index_t *self, view_t text, bool *ret_exact)
{
    return s_find_text(self, text, false, ret_exact);
}

ordinals_t scalar_prefix_text(const scalar_index_t *self, view_t prefix)
{
    bool exact = false;
    uint64_t from = s_find_text(self, prefix, false, &exact);
    return (ordinals_t){ from, s_find_text(self, prefix, true, &exact) };
}

/* --- walking ------------------------------------------------------------------------------ */

static void s_walk_text(scalar_walk_t *w)
{
    bool first = w->at % SCALAR_BLOCK == 0;
    uint64_t shared = first ? 0 : scalar_take_varint(&w->next);
    uint64_t more = scalar_take_varint(&w->next);
    memcpy(w->text + shared, w->next, more);
    w->next += more;
    w->len = (size_t)(shared + more);
}

err_t scalar_walk_init(ctx_t *ctx, scalar_walk_t *self, const scalar_index_t *index,
                       ordinals_t range)
{
    *self = (scalar_walk_t){ .index = index, .at = range.from, .to = range.to };
    self->text = mem_try(ctx, LIMIT_VARCHAR_BYTES + 1);
    if (!self->text)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to look at texts");
    if (range.from >= range.to)
        return OK;
    if (index->dict == DICT_TRIE) {
        scalar_walk_begin_trie(self);
        return OK;
    }
    self->at -= range.from % SCALAR_BLOCK;
    self->next = s_block(index, self->at / SCALAR_BLOCK);
    for (; self->at < range.from; self->at++)
        s_walk_text(self);
    return OK;
}

void scalar_walk_fini(scalar_walk_t *self)
{
    mem_free(self->text);
    *self = (scalar_walk_t){0};
}

bool scalar_walk_next(scalar_walk_t *self, view_t *ret)
{
    if (self->at >= self->to)
        return false;
    if (self->index->dict == DICT_TRIE)
        scalar_walk_next_trie(self);
    else
        s_walk_text(self);
    self->at++;
    *ret = view_of(self->text, self->len);
    return true;
}
