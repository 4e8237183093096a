/* disk_read - records of nodes: out of the cache, a file, or memory
 *
 * A read that the page cache can serve costs about as much as a look at ten neighbours; one that
 * it cannot costs a hundred times that.  So a walk first asks for what is there (RWF_NOWAIT), and
 * only when it would have to wait lets the disk begin with what it will want next too.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/index/disk_int.h"

void disk_layout_init(disk_layout_t *self, const index_spec_t *spec, size_t degree)
{
    simd_kernel_t kernel;
    check(metric_kernel(spec->metric, spec->cells, &kernel));
    size_t width = simd_row_bytes(kernel, spec->dim), norm = 4 + 4 * degree;
    size_t cells = norm + (spec->metric == METRIC_COSINE ? 4 : 0);
    size_t record = (cells + width + 3) / 4 * 4;
    *self = (disk_layout_t){ .degree = degree, .width = width, .norm = norm, .cells = cells,
                             .record = record, .per_page = DISK_PAGE / record,
                             .pages = (record + DISK_PAGE - 1) / DISK_PAGE };
}

/* The section begins behind the object's head, its first page is the object's second. */
size_t disk_layout_at(const disk_layout_t *self, size_t i)
{
    size_t first = DISK_PAGE - INDEX_HEAD_BYTES;
    if (self->per_page == 0)
        return first + i * self->pages * DISK_PAGE;
    return first + i / self->per_page * DISK_PAGE + i % self->per_page * self->record;
}

size_t disk_layout_end(const disk_layout_t *self, size_t n)
{
    check(n > 0);
    return disk_layout_at(self, n - 1) + self->record;
}

/* --- the cache ----------------------------------------------------------------------------- */

static size_t s_slot(const disk_cache_t *self, uint32_t node)
{
    return (size_t)(node * 0x9e3779b97f4a7c15ull >> 32) & self->mask;
}

/* The node's record, or NULL. */
static const uint8_t *s_cached(const disk_t *of, uint32_t node)
{
    const disk_cache_t *cache = &of->cache;
    for (size_t at = s_slot(cache, node); cache->n; at = (at + 1) & cache->mask) {
        uint32_t slot = cache->slots[at];
        if (slot == 0)
            return NULL;
        if (cache->nodes[slot - 1] == node)
            return cache->records + (slot - 1) * of->layout.record;
    }
    return NULL;
}

static const uint8_t *s_mapped(const disk_t *of, uint32_t node)
{
    return of->parts[node / of->per_part].at + disk_layout_at(&of->layout, node % of->per_part);
}

static void s_cache_add(disk_t *self, uint32_t node)
{
    disk_cache_t *cache = &self->cache;
    size_t at = s_slot(cache, node), record = self->layout.record;
    while (cache->slots[at])
        at = (at + 1) & cache->mask;
    memcpy(cache->records + cache->n * record, s_mapped(self, node), record);
    cache->nodes[cache->n] = node;
    cache->slots[at] = (uint32_t)++cache->n;
}

/* Nodes by their distance in links. */
static void s_spread(disk_t *self, size_t most, bitset_t *seen)
{
    disk_cache_t *cache = &self->cache;
    bitset_set(seen, self->entry);
    s_cache_add(self, self->entry);
    for (size_t i = 0; i < cache->n; i++) {
        const uint8_t *record = cache->records + i * self->layout.record;
        for (size_t l = 1; l <= load_u32(record) && cache->n < most; l++) {
            uint32_t node = load_u32(record + 4 * l);
            if (!bitset_has(seen, node)) {
                bitset_set(seen, node);
                s_cache_add(self, node);
            }
        }
    }
}

err_t disk_cache_fill(ctx_t *ctx, disk_t *self, size_t most)
{
    disk_cache_t *cache = &self->cache;
    bitset_t seen = {0};
    size_t slots = 1;
    most = most < self->n ? most : self->n;
    if (most == 0 || !self->parts[0].file)
        return OK;
    while (slots < 2 * most)
        slots *= 2;
    cache->mask = slots - 1;
    cache->slots = mem_try(ctx, slots * sizeof *cache->slots);
    cache->nodes = mem_try(ctx, most * sizeof *cache->nodes);
    cache->records = mem_try(ctx, most * self->layout.record);
    if (!cache->slots || !cache->nodes || !cache->records)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to keep %zu records of an index", most);
    TRY(bitset_init(ctx, &seen, self->n));
    s_spread(self, most, &seen);
    bitset_fini(&seen);
    return OK;
}

void disk_cache_fini(disk_cache_t *self)
{
    mem_free(self->nodes);
    mem_free(self->slots);
    mem_free(self->records);
    *self = (disk_cache_t){0};
}

/* --- reading -------------------------------------------------------------------------------- */

static const disk_part_t *s_part(const disk_t *of, uint32_t node, off_t *ret_at)
{
    *ret_at = (off_t)(INDEX_HEAD_BYTES + disk_layout_at(&of->layout, node % of->per_part));
    return &of->parts[node / of->per_part];
}

bool disk_peek(disk_desk_t *self, uint32_t node, const uint8_t **ret)
{
    const disk_t *of = self->of;
    off_t at;
    const disk_part_t *part = s_part(of, node, &at);
    *ret = part->file ? s_cached(of, node) : s_mapped(of, node);
    if (*ret)
        return true;
    if (self->blind)
        return false;
    struct iovec into = { self->buffer, of->layout.record };
    *ret = self->buffer;
    ssize_t got = preadv2(part->file, &into, 1, at, RWF_NOWAIT);
    if (got != (ssize_t)of->layout.record) {
        self->blind = got < 0 && errno == EOPNOTSUPP;
        return false;
    }
    self->reads++;
    return true;
}

void disk_foresee(const disk_desk_t *self, uint32_t node)
{
    off_t at;
    const disk_part_t *part = s_part(self->of, node, &at);
    if (part->file && !s_cached(self->of, node))
        (void)posix_fadvise(part->file, at, (off_t)self->of->layout.record, POSIX_FADV_WILLNEED);
}

err_t disk_read(ctx_t *ctx, disk_desk_t *self, uint32_t node, const uint8_t **ret)
{
    const disk_t *of = self->of;
    off_t at;
    const disk_part_t *part = s_part(of, node, &at);
    check(part->file);
    for (size_t n = 0; n < of->layout.record; ) {
        ssize_t got = pread(part->file, self->buffer + n, of->layout.record - n, at + (off_t)n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return ctx_fail(ctx, ERR_DISK, "the file of an index cannot be read at %lld: %s",
                            (long long)at, got ? strerror(errno) : "it has become shorter");
        n += (size_t)got;
    }
    self->reads++;
    *ret = self->buffer;
    return OK;
}
