/* index_file - see index_file.h */
#include "core/index/index_file.h"

#include "core/base/crc.h"
#include "core/base/limits.h"
#include "core/index/index_int.h"

enum { VERSION = 1 };

static const char s_magic[4] = "ELIX";

static size_t s_aligned(size_t n)
{
    return (n + INDEX_ALIGN - 1) / INDEX_ALIGN * INDEX_ALIGN;
}

/* --- writing ---------------------------------------------------------------------------- */

void index_writer_init(index_writer_t *self, const index_head_t *head, const index_sink_t *sink,
                       size_t most)
{
    *self = (index_writer_t){ .head = *head, .sink = sink, .cap = most, .objects = 1 };
    self->entries = mem_new(most * sizeof *self->entries);
    self->bodies = mem_new(most * sizeof *self->bodies);
}

void index_writer_fini(index_writer_t *self)
{
    mem_free(self->entries);
    mem_free(self->bodies);
    *self = (index_writer_t){0};
}

static void s_write_head(const index_writer_t *self, uint32_t number, size_t len, uint8_t *into)
{
    memset(into, 0, INDEX_HEAD_BYTES);
    memcpy(into, s_magic, sizeof s_magic);
    store_u16(into + 4, VERSION);
    store_u16(into + 6, (uint16_t)self->head.spec.type);
    store_u32(into + 8, number);
    store_u64(into + 16, len);
    store_u64(into + 24, self->head.spec.seed);
    store_u32(into + 60, crc32c(into, 60));
}

void index_writer_add(index_writer_t *self, section_t kind, view_t bytes)
{
    check(self->n < self->cap);
    self->bodies[self->n] = bytes;
    self->entries[self->n++] = (index_entry_t){ .kind = kind, .len = bytes.len };
}

static err_t s_too_large(ctx_t *ctx, size_t len)
{
    return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "an index object of %zu bytes, at most %u: the "
                    "segment has too many rows for this index", len, LIMIT_INDEX_OBJECT_BYTES);
}

err_t index_writer_put(ctx_t *ctx, index_writer_t *self, section_t kind, uint8_t *object,
                       size_t len)
{
    check(self->n < self->cap && len > INDEX_HEAD_BYTES);
    if (len > LIMIT_INDEX_OBJECT_BYTES)
        return s_too_large(ctx, len);
    s_write_head(self, self->objects, len, object);
    size_t body = len - INDEX_HEAD_BYTES;
    self->entries[self->n++] = (index_entry_t){
        .kind = kind, .object = self->objects, .offset = INDEX_HEAD_BYTES, .len = body,
        .crc = crc32c(object + INDEX_HEAD_BYTES, body),
    };
    self->bytes += len;
    return self->sink->put(ctx, self->sink->arg, self->objects++, view_of(object, len));
}

/* Places of object 0's sections; returns its length. */
static size_t s_lay_out(index_writer_t *self)
{
    size_t at = s_aligned(INDEX_HEAD_BYTES + INDEX_TABLE_BYTES + self->n * INDEX_ENTRY_BYTES);
    for (size_t i = 0; i < self->n; i++)
        if (self->entries[i].object == 0) {
            self->entries[i].offset = at;
            at += s_aligned((size_t)self->entries[i].len);
        }
    return at;
}

static void s_write_table(const index_writer_t *self, uint8_t *table)
{
    const index_spec_t *spec = &self->head.spec;
    table[0] = (uint8_t)spec->metric;
    table[1] = (uint8_t)spec->cells;
    store_u16(table + 2, (uint16_t)self->n);
    store_u32(table + 4, (uint32_t)spec->dim);
    store_u64(table + 8, self->head.rows);
    store_u64(table + 16, self->head.indexed);
    store_u64(table + 24, spec->nlist);
    store_u32(table + 32, self->objects);
    uint8_t *entry = table + INDEX_TABLE_BYTES;
    for (size_t i = 0; i < self->n; i++, entry += INDEX_ENTRY_BYTES) {
        store_u32(entry, self->entries[i].kind);
        store_u32(entry + 4, self->entries[i].object);
        store_u64(entry + 8, self->entries[i].offset);
        store_u64(entry + 16, self->entries[i].len);
        store_u32(entry + 24, self->entries[i].crc);
    }
}

/* Of the head without its own four bytes, with the zeros up to the next section. */
static uint32_t s_table_crc(const uint8_t *table, size_t n)
{
    size_t all = s_aligned(INDEX_HEAD_BYTES + INDEX_TABLE_BYTES + n * INDEX_ENTRY_BYTES) -
                 INDEX_HEAD_BYTES;
    return crc32c_add(crc32c(table, 36), table + INDEX_TABLE_BYTES, all - INDEX_TABLE_BYTES);
}

err_t index_writer_close(ctx_t *ctx, index_writer_t *self, index_built_t *ret)
{
    size_t len = s_lay_out(self);
    if (len > LIMIT_INDEX_OBJECT_BYTES)
        return s_too_large(ctx, len);
    uint8_t *object = mem_try(ctx, len);
    if (!object)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for an index object of %zu bytes", len);
    s_write_head(self, 0, len, object);
    for (size_t i = 0; i < self->n; i++) {
        index_entry_t *entry = &self->entries[i];
        if (entry->object != 0)
            continue;
        if (entry->len)
            memcpy(object + entry->offset, self->bodies[i].ptr, (size_t)entry->len);
        entry->crc = crc32c(object + entry->offset, s_aligned((size_t)entry->len));
    }
    uint8_t *table = object + INDEX_HEAD_BYTES;
    s_write_table(self, table);
    store_u32(table + 36, s_table_crc(table, self->n));
    self->bytes += len;
    err_t err = self->sink->put(ctx, self->sink->arg, 0, view_of(object, len));
    mem_free(object);
    if (err == OK)
        *ret = (index_built_t){ .n_objects = self->objects, .bytes = self->bytes,
                                .rows = self->head.indexed };
    return err;
}

/* --- reading ------------------------------------------------------------------------------ */

static err_t s_damaged(ctx_t *ctx, const index_blob_t *blob, size_t at, const char *what)
{
    return ctx_fail(ctx, ERR_CORRUPT, "%s is damaged at %zu: %s (%zu bytes): the index has to be "
                    "built again", blob->name, at, what, blob->bytes.len);
}

static err_t s_check_head(ctx_t *ctx, const index_blob_t *blobs, size_t i)
{
    const index_blob_t *blob = &blobs[i];
    const uint8_t *p = blob->bytes.ptr;
    if (blob->bytes.len < INDEX_HEAD_BYTES || memcmp(p, s_magic, sizeof s_magic) != 0)
        return s_damaged(ctx, blob, 0, "no object of an index");
    if (crc32c(p, 60) != load_u32(p + 60))
        return s_damaged(ctx, blob, 0, "the checksum of its head is wrong");
    if (load_u16(p + 4) != VERSION)
        return ctx_fail(ctx, ERR_VERSION, "%s has version %u, this program reads %d", blob->name,
                        load_u16(p + 4), VERSION);
    if (load_u64(p + 16) != blob->bytes.len)
        return s_damaged(ctx, blob, 16, "cut, or longer than it says");
    const uint8_t *first = blobs[0].bytes.ptr;
    if (load_u32(p + 8) != i || load_u64(p + 24) != load_u64(first + 24) ||
        load_u16(p + 6) != load_u16(first + 6))
        return s_damaged(ctx, blob, 8, "not an object of this build, or not in its place");
    return OK;
}

static err_t s_check_spec(ctx_t *ctx, index_reader_t *self)
{
    const index_blob_t *blob = &self->blobs[0];
    const uint8_t *table = blob->bytes.ptr + INDEX_HEAD_BYTES;
    index_spec_t *spec = &self->head.spec;
    simd_kernel_t kernel;
    *spec = (index_spec_t){
        .type = (index_type_t)load_u16(blob->bytes.ptr + 6), .metric = (metric_t)table[0],
        .cells = (cell_t)table[1], .dim = load_u32(table + 4), .nlist = load_u64(table + 24),
        .seed = load_u64(blob->bytes.ptr + 24),
    };
    self->head.rows = load_u64(table + 8);
    self->head.indexed = load_u64(table + 16);
    if (!index_ops_of(spec->type))
        return ctx_fail(ctx, ERR_VERSION, "%s is an index of type %d, which this program does not "
                        "know", blob->name, (int)spec->type);
    size_t most = spec->cells == CELL_BIN ? 8 * LIMIT_DIM : LIMIT_DIM;
    bool sparse = spec->type == INDEX_SPARSE_INVERTED || spec->type == INDEX_SPARSE_WAND;
    bool binary = spec->type == INDEX_BIN_IVF_FLAT;
    bool fits = spec->metric <= METRIC_JACCARD &&
                (sparse ? spec->metric == METRIC_IP && spec->dim == 0
                        : metric_kernel(spec->metric, spec->cells, &kernel) && spec->dim > 0);
    if (!fits || binary != (spec->cells == CELL_BIN) || sparse != (spec->cells == CELL_SPARSE) ||
        spec->dim > most || (spec->cells == CELL_BIN && spec->dim % 8))
        return s_damaged(ctx, blob, INDEX_HEAD_BYTES,
                         "metric, type and dim do not fit one another");
    if (self->head.rows > LIMIT_INDEX_ROWS || self->head.indexed > self->head.rows ||
        spec->nlist > LIMIT_INDEX_LISTS)
        return s_damaged(ctx, blob, INDEX_HEAD_BYTES + 8, "more rows or lists than there may be");
    return OK;
}

/* Sections of an object have to fill it: at[object] is where the next one begins. */
static err_t s_read_entry(ctx_t *ctx, index_reader_t *self, const uint8_t *p, size_t n_blobs,
                          size_t *at)
{
    index_entry_t *entry = &self->entries[self->n++];
    *entry = (index_entry_t){ .kind = load_u32(p), .object = load_u32(p + 4),
                              .offset = load_u64(p + 8), .len = load_u64(p + 16),
                              .crc = load_u32(p + 24) };
    if (entry->object >= n_blobs)
        return s_damaged(ctx, &self->blobs[0], (size_t)(p - self->blobs[0].bytes.ptr),
                         "a section in an object that it does not have");
    const index_blob_t *blob = &self->blobs[entry->object];
    size_t left = blob->bytes.len - at[entry->object];
    if (entry->offset != at[entry->object] || entry->len > left)
        return s_damaged(ctx, blob, at[entry->object], "a section is not in its place");
    size_t len = entry->object ? (size_t)entry->len : s_aligned((size_t)entry->len);
    if (len > left || crc32c(blob->bytes.ptr + entry->offset, len) != entry->crc)
        return s_damaged(ctx, blob, (size_t)entry->offset, "the checksum of a section is wrong");
    at[entry->object] += len;
    return OK;
}

static err_t s_read_entries(ctx_t *ctx, index_reader_t *self, size_t n_blobs, size_t n, size_t *at)
{
    const uint8_t *p = self->blobs[0].bytes.ptr + INDEX_HEAD_BYTES + INDEX_TABLE_BYTES;
    for (size_t i = 0; i < n_blobs; i++)
        at[i] = INDEX_HEAD_BYTES;
    at[0] = s_aligned(INDEX_HEAD_BYTES + INDEX_TABLE_BYTES + n * INDEX_ENTRY_BYTES);
    for (size_t i = 0; i < n; i++)
        TRY(s_read_entry(ctx, self, p + i * INDEX_ENTRY_BYTES, n_blobs, at));
    for (size_t i = 0; i < n_blobs; i++)
        if (at[i] != self->blobs[i].bytes.len)
            return s_damaged(ctx, &self->blobs[i], at[i], "bytes that belong to no section");
    return OK;
}

static err_t s_read_table(ctx_t *ctx, index_reader_t *self, size_t n_blobs)
{
    const index_blob_t *blob = &self->blobs[0];
    const uint8_t *table = blob->bytes.ptr + INDEX_HEAD_BYTES;
    if (blob->bytes.len < INDEX_HEAD_BYTES + INDEX_TABLE_BYTES)
        return s_damaged(ctx, blob, blob->bytes.len, "cut");
    size_t n = load_u16(table + 2);
    if (blob->bytes.len < s_aligned(INDEX_HEAD_BYTES + INDEX_TABLE_BYTES + n * INDEX_ENTRY_BYTES))
        return s_damaged(ctx, blob, blob->bytes.len, "cut");
    if (s_table_crc(table, n) != load_u32(table + 36))
        return s_damaged(ctx, blob, INDEX_HEAD_BYTES, "the checksum of its table is wrong");
    if (load_u32(table + 32) != n_blobs)
        return ctx_fail(ctx, ERR_CORRUPT, "%s: the index has %u objects, given were %zu",
                        blob->name, load_u32(table + 32), n_blobs);
    TRY(s_check_spec(ctx, self));
    self->entries = mem_try(ctx, n * sizeof *self->entries);
    size_t *at = mem_try(ctx, n_blobs * sizeof *at);
    err_t err = self->entries && at ? s_read_entries(ctx, self, n_blobs, n, at)
              : ctx_fail(ctx, ERR_MEMORY, "no memory for %zu sections", n);
    mem_free(at);
    return err;
}

err_t index_reader_init(ctx_t *ctx, index_reader_t *self, const index_blob_t *blobs, size_t n)
{
    *self = (index_reader_t){ .blobs = blobs };
    if (n == 0 || n > UINT16_MAX)
        return ctx_fail(ctx, ERR_CORRUPT, "an index of %zu objects", n);
    for (size_t i = 0; i < n; i++)
        TRY(s_check_head(ctx, blobs, i));
    return s_read_table(ctx, self, n);
}

void index_reader_fini(index_reader_t *self)
{
    mem_free(self->entries);
    *self = (index_reader_t){0};
}

static const index_entry_t *s_entry(const index_reader_t *self, section_t kind, size_t i)
{
    for (size_t e = 0; e < self->n; e++)
        if (self->entries[e].kind == kind && i-- == 0)
            return &self->entries[e];
    return NULL;
}

size_t index_reader_count(const index_reader_t *self, section_t kind)
{
    size_t n = 0;
    while (s_entry(self, kind, n))
        n++;
    return n;
}

uint64_t index_reader_len(const index_reader_t *self, section_t kind, size_t i)
{
    const index_entry_t *entry = s_entry(self, kind, i);
    check(entry);
    return entry->len;
}

err_t index_reader_get(ctx_t *ctx, const index_reader_t *self, section_t kind, size_t i,
                       uint64_t len, view_t *ret)
{
    const index_entry_t *entry = s_entry(self, kind, i);
    if (!entry)
        return s_damaged(ctx, &self->blobs[0], INDEX_HEAD_BYTES, "a section is missing");
    const index_blob_t *blob = &self->blobs[entry->object];
    if (entry->len != len)
        return s_damaged(ctx, blob, (size_t)entry->offset, "a section has not the length that it "
                         "must have");
    *ret = view_of(blob->bytes.ptr + entry->offset, (size_t)len);
    return OK;
}

int index_reader_file(const index_reader_t *self, section_t kind, size_t i)
{
    const index_entry_t *entry = s_entry(self, kind, i);
    check(entry);
    return self->blobs[entry->object].file;
}
