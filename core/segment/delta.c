/* delta - see delta.h */
#include "core/segment/delta.h"

#include <stdlib.h>

#include "core/base/crc.h"
#include "core/base/limits.h"

enum { VERSION = 1, HEAD_BYTES = 24, CRC_BYTES = 4 };

struct delta {
    uint8_t *bytes;             /* owned */
    uint64_t segment;
    column_t pks;               /* into bytes, as is ts */
    const uint64_t *ts;
};

/* --- writing ------------------------------------------ */

typedef struct sorting { const column_t *pks; const uint64_t *ts; } sorting_t;

static int s_order(const sorting_t *s, size_t a, size_t b)
{
    int order = pk_cmp(s->pks->type, column_cell(s->pks, a), column_cell(s->pks, b));
    return order ? order : (s->ts[a] > s->ts[b]) - (s->ts[a] < s->ts[b]);
}

static int s_compare(const void *a, const void *b, void *arg)
{
    return s_order(arg, *(const uint32_t *)a, *(const uint32_t *)b);
}

static err_t s_sorted(ctx_t *ctx, const sorting_t *s, uint32_t **ret, size_t *ret_n)
{
    uint32_t *at = ctx_try(ctx, s->pks->n * sizeof *at);
    if (!at)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to sort %zu deletes", s->pks->n);
    for (size_t i = 0; i < s->pks->n; i++)
        at[i] = (uint32_t)i;
    qsort_r(at, s->pks->n, sizeof *at, s_compare, (void *)(uintptr_t)s);
    size_t n = 0;
    for (size_t i = 0; i < s->pks->n; i++)
        if (n == 0 || s_order(s, at[n - 1], at[i]) != 0)
            at[n++] = at[i];
    *ret = at;
    *ret_n = n;
    return OK;
}

err_t delta_write(ctx_t *ctx, uint64_t segment, const column_t *pks, const uint64_t *ts,
                  buf_t *into)
{
    check(pks->n > 0 && pks->n <= LIMIT_SEGMENT_ROWS && into->len == 0);
    sorting_t s = { pks, ts };
    uint32_t *at = NULL;
    size_t n = 0;
    TRY(s_sorted(ctx, &s, &at, &n));
    uint8_t head[HEAD_BYTES] = { 'E', 'L', 'D', 'L', VERSION, 0, (uint8_t)pks->type };
    store_u64(head + 8, segment);
    store_u64(head + 16, n);
    buf_add(into, head, sizeof head);
    const field_t field = { .type = pks->type };
    column_builder_t keys;
    column_builder_init(&keys, &field);
    for (size_t i = 0; i < n; i++)
        column_builder_add(&keys, column_cell(pks, at[i]));
    bool ok = column_builder_ok(&keys);
    column_t view = column_builder_view(&keys);
    if (ok)
        column_write(&view, into);
    column_builder_fini(&keys);
    for (size_t i = 0; i < n; i++)
        buf_add_u64(into, ts[at[i]]);
    if (ok && buf_ok(into))
        buf_add_u32(into, crc32c(into->ptr, into->len));
    return ok && buf_ok(into) ? OK : ctx_fail(ctx, ERR_MEMORY, "no memory for %zu deletes", n);
}

/* --- reading ------------------------------------------ */

static err_t s_verify(ctx_t *ctx, view_t b, const char *name)
{
    if (b.len < HEAD_BYTES + CRC_BYTES || memcmp(b.ptr, "ELDL", 4) != 0)
        return ctx_fail(ctx, ERR_CORRUPT, "%s: not a delta (%zu bytes)", name, b.len);
    if (crc32c(b.ptr, b.len - CRC_BYTES) != load_u32(b.ptr + b.len - CRC_BYTES))
        return ctx_fail(ctx, ERR_CORRUPT, "%s: checksum of %zu bytes", name, b.len);
    if (load_u16(b.ptr + 4) != VERSION)
        return ctx_fail(ctx, ERR_VERSION, "%s: delta of version %u, this program reads %d", name,
                        load_u16(b.ptr + 4), VERSION);
    return OK;
}

static err_t s_parse(ctx_t *ctx, delta_t *self, size_t len, const char *name)
{
    uint64_t n = load_u64(self->bytes + 16);
    size_t used = 0, left = len - HEAD_BYTES - CRC_BYTES;
    if (column_read(ctx, view_of(self->bytes + HEAD_BYTES, left), &self->pks, &used) != OK)
        return ctx_prefix(ctx, "%s", name);
    type_t type = self->pks.type;
    if (n == 0 || self->pks.n != n || self->bytes[6] != (uint8_t)type || self->pks.valid ||
        left - used != 8 * n ||
        !((type == TYPE_INT64 && self->pks.width == 8) ||
          (type == TYPE_VARCHAR && self->pks.width == 0)))
        return ctx_fail(ctx, ERR_CORRUPT, "%s: sizes do not fit %zu bytes", name, len);
    self->segment = load_u64(self->bytes + 8);
    self->ts = (const uint64_t *)(const void *)(self->bytes + HEAD_BYTES + used);
    sorting_t s = { &self->pks, self->ts };
    for (size_t i = 1; i < n; i++)
        if (s_order(&s, i - 1, i) >= 0)
            return ctx_fail(ctx, ERR_CORRUPT, "%s: record %zu out of order", name, i);
    return OK;
}

err_t delta_read(ctx_t *ctx, view_t bytes, const char *name, delta_t **ret)
{
    check(ret && *ret == NULL);
    TRY(s_verify(ctx, bytes, name));
    owned(delta) self = mem_new(sizeof *self);
    self->bytes = mem_try(ctx, bytes.len);
    if (!self->bytes)
        return ctx_fail(ctx, ERR_MEMORY, "%s: no memory for %zu bytes", name, bytes.len);
    memcpy(self->bytes, bytes.ptr, bytes.len);
    TRY(s_parse(ctx, self, bytes.len, name));
    *ret = take(self);
    return OK;
}

err_t delta_load(ctx_t *ctx, store_t *store, const char *key, delta_t **ret)
{
    view_t bytes = {0};
    TRY(store_get(ctx, store, key, &bytes));
    return delta_read(ctx, bytes, key, ret);
}

void delta_destroy(delta_t **self_p)
{
    delta_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    mem_free(self->bytes);
    mem_free(self);
}

uint64_t delta_segment(const delta_t *self)         { return self->segment; }
const column_t *delta_pks(const delta_t *self)      { return &self->pks; }
const uint64_t *delta_ts(const delta_t *self)       { return self->ts; }

/* The newest record of pk at or before read_ts decides: find the first record after
 * (pk, read_ts) and look one to its left. */
bool delta_hides(const delta_t *self, view_t pk, uint64_t row_ts, uint64_t read_ts)
{
    size_t low = 0, high = self->pks.n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = pk_cmp(self->pks.type, column_cell(&self->pks, mid), pk);
        if (order > 0 || (order == 0 && self->ts[mid] > read_ts))
            high = mid;
        else
            low = mid + 1;
    }
    return low > 0 && view_eq(column_cell(&self->pks, low - 1), pk) && self->ts[low - 1] > row_ts;
}
