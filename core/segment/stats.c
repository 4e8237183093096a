/* stats - see stats.h */
#include "core/segment/stats.h"

#include "core/base/crc.h"
#include "core/base/limits.h"

enum { VERSION = 1, HEAD_BYTES = 56, CRC_BYTES = 4 };

static const double s_rate = 0.001;     /* Milvus's maxBloomFalsePositive */

err_t stats_make(ctx_t *ctx, type_t pk_type, uint64_t segment, size_t n_rows, stats_t **ret)
{
    check(ret && *ret == NULL);
    owned(stats) self = mem_new(sizeof *self);
    *self = (stats_t){ .pk_type = pk_type, .segment = segment, .min_ts = UINT64_MAX };
    TRY(bloom_make(ctx, bloom_blocks(n_rows, s_rate), &self->bloom));
    *ret = take(self);
    return OK;
}

void stats_destroy(stats_t **self_p)
{
    stats_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    mem_free((void *)(uintptr_t)self->pk_min.ptr);
    mem_free((void *)(uintptr_t)self->pk_max.ptr);
    bloom_destroy(&self->bloom);
    mem_free(self);
}

static err_t s_keep(ctx_t *ctx, view_t *where, view_t pk)
{
    uint8_t *copy = mem_try(ctx, pk.len);
    if (!copy)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a primary key of %zu bytes", pk.len);
    if (pk.len)
        memcpy(copy, pk.ptr, pk.len);
    mem_free((void *)(uintptr_t)where->ptr);
    *where = view_of(copy, pk.len);
    return OK;
}

err_t stats_add(ctx_t *ctx, stats_t *self, const column_t *pks, const uint64_t *ts)
{
    view_t min = self->pk_min, max = self->pk_max;
    for (size_t i = 0; i < pks->n; i++) {
        view_t pk = column_cell(pks, i);
        min = !min.ptr || pk_cmp(self->pk_type, pk, min) < 0 ? pk : min;
        max = !max.ptr || pk_cmp(self->pk_type, pk, max) > 0 ? pk : max;
        bloom_add(self->bloom, bloom_hash(pk));
        self->min_ts = ts[i] < self->min_ts ? ts[i] : self->min_ts;
        self->max_ts = ts[i] > self->max_ts ? ts[i] : self->max_ts;
    }
    if (min.ptr != self->pk_min.ptr)
        TRY(s_keep(ctx, &self->pk_min, min));
    if (max.ptr != self->pk_max.ptr)
        TRY(s_keep(ctx, &self->pk_max, max));
    self->rows += pks->n;
    return OK;
}

void stats_write(const stats_t *self, buf_t *into)
{
    size_t start = into->len;
    view_t bloom = bloom_bytes(self->bloom);
    uint8_t head[HEAD_BYTES] = { 'E', 'L', 'S', 'T', VERSION, 0, (uint8_t)self->pk_type };
    store_u64(head + 8, self->segment);
    store_u64(head + 16, self->rows);
    store_u64(head + 24, self->min_ts);
    store_u64(head + 32, self->max_ts);
    store_u32(head + 40, (uint32_t)self->pk_min.len);
    store_u32(head + 44, (uint32_t)self->pk_max.len);
    store_u32(head + 48, (uint32_t)(bloom.len / BLOOM_BLOCK_BYTES));
    buf_add(into, head, sizeof head);
    buf_add_view(into, self->pk_min);
    buf_add_view(into, self->pk_max);
    buf_add_view(into, bloom);
    if (buf_ok(into))
        buf_add_u32(into, crc32c(into->ptr + start, into->len - start));
}

static err_t s_verify(ctx_t *ctx, view_t b, const char *name)
{
    if (b.len < HEAD_BYTES + CRC_BYTES || memcmp(b.ptr, "ELST", 4) != 0)
        return ctx_fail(ctx, ERR_CORRUPT, "%s: no stats (%zu bytes)", name, b.len);
    if (crc32c(b.ptr, b.len - CRC_BYTES) != load_u32(b.ptr + b.len - CRC_BYTES))
        return ctx_fail(ctx, ERR_CORRUPT, "%s: checksum of %zu bytes", name, b.len);
    if (load_u16(b.ptr + 4) != VERSION)
        return ctx_fail(ctx, ERR_VERSION, "%s: stats of version %u, this program reads %d", name,
                        load_u16(b.ptr + 4), VERSION);
    uint64_t least = load_u32(b.ptr + 40), most = load_u32(b.ptr + 44);
    uint64_t blocks = load_u32(b.ptr + 48);
    bool key_ok = b.ptr[6] == TYPE_VARCHAR || (b.ptr[6] == TYPE_INT64 && least == most &&
                  least == (load_u64(b.ptr + 16) ? 8 : 0));
    if (!key_ok || blocks == 0 || load_u64(b.ptr + 16) > LIMIT_SEGMENT_ROWS ||
        b.len != HEAD_BYTES + least + most + blocks * BLOOM_BLOCK_BYTES + CRC_BYTES)
        return ctx_fail(ctx, ERR_CORRUPT, "%s: sizes do not fit %zu bytes", name, b.len);
    return OK;
}

err_t stats_read(ctx_t *ctx, view_t bytes, const char *name, stats_t **ret)
{
    check(ret && *ret == NULL);
    TRY(s_verify(ctx, bytes, name));
    const uint8_t *p = bytes.ptr;
    owned(stats) self = mem_new(sizeof *self);
    *self = (stats_t){ .pk_type = (type_t)p[6], .segment = load_u64(p + 8),
                       .rows = load_u64(p + 16), .min_ts = load_u64(p + 24),
                       .max_ts = load_u64(p + 32) };
    size_t least = load_u32(p + 40), most = load_u32(p + 44);
    size_t bloom = (size_t)load_u32(p + 48) * BLOOM_BLOCK_BYTES;
    if (self->rows) {
        TRY(s_keep(ctx, &self->pk_min, view_of(p + HEAD_BYTES, least)));
        TRY(s_keep(ctx, &self->pk_max, view_of(p + HEAD_BYTES + least, most)));
    }
    TRY(bloom_copy(ctx, view_of(p + HEAD_BYTES + least + most, bloom), &self->bloom));
    *ret = take(self);
    return OK;
}

err_t stats_load(ctx_t *ctx, store_t *store, const char *key, stats_t **ret)
{
    view_t bytes = {0};
    TRY(store_get(ctx, store, key, &bytes));
    return stats_read(ctx, bytes, key, ret);
}

bool stats_may_have(const stats_t *self, view_t pk)
{
    return self->rows && pk_cmp(self->pk_type, pk, self->pk_min) >= 0 &&
           pk_cmp(self->pk_type, pk, self->pk_max) <= 0 &&
           bloom_may_have(self->bloom, bloom_hash(pk));
}
