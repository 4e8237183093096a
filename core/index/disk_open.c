/* disk_open - objects of a graph on disk, validated, so that a search need not look again
 *
 * All of them are read once, for their checksums and links; what is then left in memory is what
 * disk_int.h says.
 */
#include <math.h>

#include "core/base/limits.h"
#include "core/index/disk_int.h"

const index_ops_t disk_ops = {
    .build = disk_build, .open = disk_open, .search = disk_search, .destroy = disk_destroy,
};

static err_t s_corrupt(ctx_t *ctx, const index_reader_t *reader, const char *what)
{
    return ctx_fail(ctx, ERR_CORRUPT, "%s: %s: the index has to be built again",
                    reader->blobs[0].name, what);
}

/* --- records --------------------------------------------------------------------------------- */

static bool s_sound(const disk_t *self, bool cosine, const uint8_t *record)
{
    const disk_layout_t *layout = &self->layout;
    uint32_t n = load_u32(record);
    bool sound = n <= layout->degree;
    for (uint32_t i = 1; sound && i <= n; i++)
        sound = load_u32(record + 4 * i) < self->n;
    float norm = 0;
    if (cosine)
        memcpy(&norm, record + layout->norm, sizeof norm);
    return sound && isfinite(norm);
}

static err_t s_check_part(ctx_t *ctx, const index_reader_t *reader, const disk_t *self,
                          const disk_part_t *part, size_t n)
{
    bool cosine = reader->head.spec.metric == METRIC_COSINE;
    for (size_t i = 0; i < n; i++) {
        if (i % 4096 == 0)
            TRY(ctx_alive(ctx));
        if (!s_sound(self, cosine, part->at + disk_layout_at(&self->layout, i)))
            return s_corrupt(ctx, reader, "a link to a row that is not there");
    }
    return OK;
}

/* How many records make a section of this length; 0: none do. */
static size_t s_records(const disk_t *self, uint64_t len)
{
    const disk_layout_t *layout = &self->layout;
    size_t first = disk_layout_at(layout, 0);
    if (len <= first)
        return 0;
    size_t pages = (size_t)(len - first) / DISK_PAGE, rest = (size_t)(len - first) % DISK_PAGE;
    size_t n = layout->per_page ? pages * layout->per_page + rest / layout->record
             : (pages + 1) / layout->pages;
    return n && disk_layout_end(layout, n) == len ? n : 0;
}

static err_t s_open_parts(ctx_t *ctx, const index_reader_t *reader, disk_t *self)
{
    self->n_parts = index_reader_count(reader, SECTION_BLOCKS);
    self->parts = mem_try(ctx, self->n_parts * sizeof *self->parts);
    if (!self->parts)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu objects", self->n_parts);
    if (self->n_parts)
        self->per_part = s_records(self, index_reader_len(reader, SECTION_BLOCKS, 0));
    size_t left = self->n;
    for (size_t i = 0; i < self->n_parts; i++) {
        size_t here = left < self->per_part ? left : self->per_part;
        view_t bytes;
        if (here == 0)
            return s_corrupt(ctx, reader, "more records than rows, or cut ones");
        TRY(index_reader_get(ctx, reader, SECTION_BLOCKS, i, disk_layout_end(&self->layout, here),
                             &bytes));
        self->parts[i] = (disk_part_t){ bytes.ptr, index_reader_file(reader, SECTION_BLOCKS, i) };
        TRY(s_check_part(ctx, reader, self, &self->parts[i], here));
        left -= here;
    }
    return left == 0 ? OK : s_corrupt(ctx, reader, "records are missing");
}

/* --- what stays in memory ------------------------------------------------------------------- */

static err_t s_open_ids(ctx_t *ctx, const index_reader_t *reader, disk_t *self)
{
    if (self->n == reader->head.rows)
        return OK;
    view_t ids;
    TRY(index_reader_get(ctx, reader, SECTION_IDS, 0, 4 * self->n, &ids));
    self->ids = (const uint32_t *)(const void *)ids.ptr;
    bool rise = self->ids[self->n - 1] < reader->head.rows;
    for (size_t i = 1; rise && i < self->n; i++)
        rise = self->ids[i - 1] < self->ids[i];
    return rise ? OK : s_corrupt(ctx, reader, "a row that is not there, or twice");
}

static err_t s_open_codes(ctx_t *ctx, const index_reader_t *reader, disk_t *self, size_t m)
{
    view_t book, codes;
    if (!pq_fits(self->dim, m, DISK_CODE_BITS))
        return s_corrupt(ctx, reader, "codes of another dim");
    self->pq = (pq_t){ .dim = self->dim, .m = m, .nbits = DISK_CODE_BITS,
                       .k = 1 << DISK_CODE_BITS };
    TRY(index_reader_get(ctx, reader, SECTION_CODEBOOK, 0, pq_book_bytes(&self->pq), &book));
    TRY(pq_open(ctx, &self->pq, self->dim, m, DISK_CODE_BITS, book));
    TRY(index_reader_get(ctx, reader, SECTION_CODES, 0, self->n * pq_code_bytes(&self->pq),
                         &codes));
    self->codes = codes.ptr;
    return OK;
}

/* Memory that the index holds, and, where records stay in files, what it uses of the objects. */
static size_t s_bytes(const disk_t *self)
{
    const disk_cache_t *cache = &self->cache;
    size_t bytes = sizeof *self + self->n_parts * sizeof *self->parts;
    if (cache->n)
        bytes += cache->n * (self->layout.record + sizeof *cache->nodes) +
                 (cache->mask + 1) * sizeof *cache->slots;
    if (self->n_parts && self->parts[0].file)
        bytes += self->n * (pq_code_bytes(&self->pq) + (self->ids ? sizeof *self->ids : 0)) +
                 pq_book_bytes(&self->pq);
    return bytes;
}

static err_t s_open(ctx_t *ctx, const index_reader_t *reader, disk_t *self)
{
    view_t params;
    TRY(index_reader_get(ctx, reader, SECTION_PARAMS, 0, DISK_PARAMS_BYTES, &params));
    size_t degree = load_u32(params.ptr), m = load_u32(params.ptr + 12);
    self->entry = load_u32(params.ptr + 8);
    if (self->n == 0)
        return OK;
    if (degree == 0 || degree > LIMIT_INDEX_DEGREE || self->entry >= self->n)
        return s_corrupt(ctx, reader, "a degree or an entry that cannot be");
    disk_layout_init(&self->layout, &reader->head.spec, degree);
    TRY(s_open_ids(ctx, reader, self));
    TRY(s_open_codes(ctx, reader, self, m));
    TRY(s_open_parts(ctx, reader, self));
    size_t all = self->n * self->layout.width;
    return disk_cache_fill(ctx, self, all / DISK_CACHE_SHARE / (self->layout.record + 12));
}

err_t disk_open(ctx_t *ctx, const index_reader_t *reader, index_t **ret)
{
    check((uintptr_t)reader->blobs[0].bytes.ptr % sizeof(uint32_t) == 0);
    disk_t *self = mem_new(sizeof *self);
    self->dim = reader->head.spec.dim;
    self->n = (size_t)reader->head.indexed;
    self->base.reads = &self->reads;
    err_t err = s_open(ctx, reader, self);
    if (err != OK) {
        disk_destroy(&self->base);
        return err;
    }
    self->base.bytes = s_bytes(self);
    *ret = &self->base;
    return OK;
}

void disk_destroy(index_t *base)
{
    disk_t *self = (disk_t *)base;
    disk_cache_fini(&self->cache);
    pq_fini(&self->pq);
    mem_free(self->parts);
    mem_free(self);
}
