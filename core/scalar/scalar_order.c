/* scalar_order - the cells of a field to its values in order, each with its rows
 *
 * Every value becomes a key of eight bytes whose order is the value's, or nearly: of a number all
 * of it, sorted byte by byte; of a text the eight bytes behind what all texts begin with, sorted by
 * merging, where most comparisons are settled by the key.  Both sorts are stable and values come
 * in by row, so rows of a value rise.
 */
#include "core/scalar/scalar_int.h"

#include <math.h>

enum { RUN = 16, SLICE = 1 << 18 };

typedef struct item {
    uint64_t key;
    const uint8_t *text;
    uint32_t len, row;
} item_t;

typedef struct order {
    ctx_t *ctx;
    bool text, real;
    type_t cells;               /* of a value: the field's, or its elements' */
    item_t *items, *other;      /* owned; [n] */
    size_t n, cap;
    size_t shared;              /* bytes that all texts begin with */
} order_t;

static view_t s_text(const item_t *item)
{
    return view_of(item->text, item->len);
}

/* --- reading ------------------------------------------------------------------------------ */

static uint64_t s_double_key(double d)
{
    uint64_t bits;
    d += 0.0;                                   /* -0 is 0 */
    memcpy(&bits, &d, sizeof bits);
    return bits >> 63 ? ~bits : bits | 1ull << 63;
}

static uint64_t s_key_bits(uint64_t key, bool real)
{
    if (!real)
        return key ^ 1ull << 63;
    return key >> 63 ? key ^ 1ull << 63 : ~key;
}

static int64_t s_integer(type_t cells, const uint8_t *p)
{
    return cells == TYPE_BOOL ? p[0] != 0 : cells == TYPE_INT8 ? (int8_t)p[0]
         : cells == TYPE_INT16 ? (int16_t)load_u16(p) : cells == TYPE_INT32 ? (int32_t)load_u32(p)
         : load_i64(p);
}

static double s_real(type_t cells, const uint8_t *p)
{
    float f;
    double d;
    if (cells == TYPE_FLOAT) {
        memcpy(&f, p, sizeof f);
        return (double)f;
    }
    memcpy(&d, p, sizeof d);
    return d;
}

static err_t s_grow(order_t *o)
{
    size_t cap = o->cap ? 2 * o->cap : 1024;
    item_t *grown = mem_try(o->ctx, cap * sizeof *grown);
    if (!grown)
        return ctx_fail(o->ctx, ERR_MEMORY, "no memory to sort %zu values", o->n);
    if (o->n)
        memcpy(grown, o->items, o->n * sizeof *grown);
    mem_free(o->items);
    o->items = grown;
    o->cap = cap;
    return OK;
}

/* A NaN is no value: nothing equals it, nothing is above or below. */
static err_t s_add(order_t *o, view_t value, uint32_t row)
{
    item_t item = { .row = row };
    if (o->text && value.len > LIMIT_VARCHAR_BYTES)
        return ctx_fail(o->ctx, ERR_CORRUPT, "a text of %zu bytes in row %u, at most %d are",
                        value.len, row, LIMIT_VARCHAR_BYTES);
    if (o->real && isnan(s_real(o->cells, value.ptr)))
        return OK;
    if (o->text)
        item.text = value.ptr, item.len = (uint32_t)value.len;
    else if (o->real)
        item.key = s_double_key(s_real(o->cells, value.ptr));
    else
        item.key = (uint64_t)s_integer(o->cells, value.ptr) ^ 1ull << 63;
    if (o->n == o->cap)
        TRY(s_grow(o));
    o->items[o->n++] = item;
    return OK;
}

/* As far as the cell is whole: what core/expr sees of it. */
static err_t s_add_array(order_t *o, view_t cell, uint32_t row)
{
    uint32_t left = 0;
    size_t width = type_width(o->cells, 0), at = 4;
    if (!array_len(cell, &left))
        return OK;
    for (; left > 0; left--) {
        size_t len = width, room = cell.len - at;
        if (width == 0) {
            if (room < 4)
                return OK;
            len = load_u32(cell.ptr + at);
            at += 4;
            room -= 4;
        }
        if (len > room)
            return OK;
        TRY(s_add(o, view_of(cell.ptr + at, len), row));
        at += len;
    }
    return OK;
}

static err_t s_read(order_t *o, bool array, const column_t *columns, size_t n)
{
    uint32_t first = 0;
    for (size_t c = 0; c < n; first += (uint32_t)columns[c++].n)
        for (size_t i = 0; i < columns[c].n; i++) {
            if (i % SLICE == 0)
                TRY(ctx_alive(o->ctx));
            if (column_is_null(&columns[c], i))
                continue;
            view_t cell = column_cell(&columns[c], i);
            uint32_t row = first + (uint32_t)i;
            TRY(array ? s_add_array(o, cell, row) : s_add(o, cell, row));
        }
    return OK;
}

/* --- numbers ------------------------------------------------------------------------------ */

/* One stable pass by a byte of the keys; *ret_moved false: it is the same in all. */
static err_t s_pass(order_t *o, int byte, bool *ret_moved)
{
    size_t count[256] = {0}, at = 0;
    for (size_t i = 0; i < o->n; i++)
        count[o->items[i].key >> 8 * byte & 255]++;
    *ret_moved = count[o->items[0].key >> 8 * byte & 255] < o->n;
    if (!*ret_moved)
        return OK;
    for (size_t b = 0; b < ARRAY_LEN(count); b++) {
        size_t here = count[b];
        count[b] = at;
        at += here;
    }
    for (size_t i = 0; i < o->n; i++) {
        if (i % SLICE == 0)
            TRY(ctx_alive(o->ctx));
        o->other[count[o->items[i].key >> 8 * byte & 255]++] = o->items[i];
    }
    return OK;
}

static void s_swap(order_t *o)
{
    item_t *items = o->items;
    o->items = o->other;
    o->other = items;
}

static err_t s_sort_numbers(order_t *o)
{
    for (int byte = 0; byte < 8; byte++) {
        bool moved = false;
        TRY(s_pass(o, byte, &moved));
        if (moved)
            s_swap(o);
    }
    return OK;
}

/* --- texts -------------------------------------------------------------------------------- */

static void s_find_shared(order_t *o)
{
    size_t shared = o->items[0].len;
    for (size_t i = 1; i < o->n && shared > 0; i++) {
        size_t most = o->items[i].len < shared ? o->items[i].len : shared, at = 0;
        while (at < most && o->items[i].text[at] == o->items[0].text[at])
            at++;
        shared = at;
    }
    o->shared = shared;
}

static void s_make_keys(order_t *o)
{
    for (size_t i = 0; i < o->n; i++) {
        item_t *item = &o->items[i];
        for (size_t b = 0; b < 8; b++)
            item->key = item->key << 8 |
                        (o->shared + b < item->len ? item->text[o->shared + b] : 0);
    }
}

static bool s_above(const order_t *o, const item_t *a, const item_t *b)
{
    if (a->key != b->key)
        return a->key > b->key;
    return view_cmp(view_of(a->text + o->shared, a->len - o->shared),
                    view_of(b->text + o->shared, b->len - o->shared)) > 0;
}

static void s_sort_run(const order_t *o, item_t *at, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        item_t item = at[i];
        size_t to = i;
        for (; to > 0 && s_above(o, &at[to - 1], &item); to--)
            at[to] = at[to - 1];
        at[to] = item;
    }
}

static void s_merge(const order_t *o, size_t from, size_t middle, size_t to)
{
    size_t a = from, b = middle;
    for (size_t at = from; at < to; at++)
        o->other[at] = b == to || (a < middle && !s_above(o, &o->items[a], &o->items[b]))
                     ? o->items[a++] : o->items[b++];
}

static err_t s_sort_texts(order_t *o)
{
    s_find_shared(o);
    s_make_keys(o);
    for (size_t at = 0; at < o->n; at += RUN) {
        if (at % SLICE == 0)
            TRY(ctx_alive(o->ctx));
        s_sort_run(o, o->items + at, o->n - at < RUN ? o->n - at : RUN);
    }
    for (size_t width = RUN; width < o->n; width *= 2) {
        for (size_t at = 0, done = 0; at < o->n; at += 2 * width) {
            if (at >= done) {
                TRY(ctx_alive(o->ctx));
                done = at + SLICE;
            }
            size_t middle = o->n - at < width ? o->n : at + width;
            s_merge(o, at, middle, o->n - at < 2 * width ? o->n : at + 2 * width);
        }
        s_swap(o);
    }
    return OK;
}

/* --- values ------------------------------------------------------------------------------- */

static bool s_same(const order_t *o, size_t i)
{
    const item_t *a = &o->items[i - 1], *b = &o->items[i];
    return a->key == b->key && (!o->text || view_eq(s_text(a), s_text(b)));
}

static err_t s_room(order_t *o, scalar_terms_t *terms)
{
    size_t n = 0;
    for (size_t i = 0; i < o->n; i++)
        n += i == 0 || !s_same(o, i);
    terms->starts = mem_try(o->ctx, (n + 1) * sizeof *terms->starts);
    terms->rows = mem_try(o->ctx, (o->n + 1) * sizeof *terms->rows);
    if (o->text)
        terms->texts = mem_try(o->ctx, (n + 1) * sizeof *terms->texts);
    else
        terms->numbers = mem_try(o->ctx, (n + 1) * sizeof *terms->numbers);
    if (!terms->starts || !terms->rows || !(o->text ? (void *)terms->texts : terms->numbers))
        return ctx_fail(o->ctx, ERR_MEMORY, "no memory for %zu values of %zu rows", n, o->n);
    return OK;
}

/* An Array may hold a value twice; its row is in the list once. */
static err_t s_collect(order_t *o, scalar_terms_t *terms)
{
    TRY(s_room(o, terms));
    for (size_t i = 0; i < o->n; i++) {
        const item_t *item = &o->items[i];
        bool same = i > 0 && s_same(o, i);
        if (!same && o->text)
            terms->texts[terms->n] = s_text(item);
        else if (!same)
            terms->numbers[terms->n] = s_key_bits(item->key, o->real);
        if (!same)
            terms->starts[terms->n++] = terms->listed;
        else if (item->row == o->items[i - 1].row)
            continue;
        terms->rows[terms->listed++] = item->row;
    }
    terms->starts[terms->n] = terms->listed;
    return OK;
}

static err_t s_order(order_t *o, bool array, const column_t *columns, size_t n,
                     scalar_terms_t *ret)
{
    TRY(s_read(o, array, columns, n));
    o->other = mem_try(o->ctx, (o->n + 1) * sizeof *o->other);
    if (!o->other)
        return ctx_fail(o->ctx, ERR_MEMORY, "no memory to sort %zu values", o->n);
    if (o->n > 0)
        TRY(o->text ? s_sort_texts(o) : s_sort_numbers(o));
    return s_collect(o, ret);
}

err_t scalar_order(ctx_t *ctx, const scalar_spec_t *spec, const column_t *columns, size_t n,
                   scalar_terms_t *ret)
{
    bool array = spec->cells == TYPE_ARRAY;
    order_t o = { .ctx = ctx, .cells = array ? spec->element : spec->cells };
    o.text = o.cells == TYPE_VARCHAR;
    o.real = o.cells == TYPE_FLOAT || o.cells == TYPE_DOUBLE;
    *ret = (scalar_terms_t){ .text = o.text, .real = o.real };
    err_t err = s_order(&o, array, columns, n, ret);
    mem_free(o.items);
    mem_free(o.other);
    return err;
}

void scalar_terms_fini(scalar_terms_t *self)
{
    mem_free(self->numbers);
    mem_free(self->texts);
    mem_free(self->starts);
    mem_free(self->rows);
    *self = (scalar_terms_t){0};
}
