/* binlog - reading: nothing of a file is believed before its checksum matched,
 * and no length is used before it was compared with the others.  See binlog.h. */
#include <zstd.h>

#include "core/base/crc.h"
#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/segment/binlog_int.h"

enum { TAIL_GUESS_BYTES = 16 << 10, CHUNK_BYTES = 4 << 20 };

typedef struct area {           /* of a raw file */
    uint64_t offset, len;
    size_t first, n;            /* its entries */
} area_t;

typedef struct page { binlog_entry_t entry; uint64_t first; } page_t;

struct binlog {
    char *name;                 /* owned */
    view_t bytes;               /* borrowed; ptr NULL: the object is in the store */
    store_t *store;             /* borrowed */
    uint64_t len;               /* of the file */

    binlog_head_t head;
    type_t type, element;
    size_t width, n;
    bool nulls;
    uint64_t row_bytes;
    page_t *pages;              /* owned [n_pages] */
    size_t n_pages;
    area_t areas[4];            /* by kind; BINLOG_ZSTD unused */
};

static err_t s_corrupt(ctx_t *ctx, const binlog_t *self, uint64_t at, const char *what)
{
    return ctx_fail(ctx, ERR_CORRUPT, "%s is damaged at %llu: %s", self->name,
                    (unsigned long long)at, what);
}

/* --- opening ------------------------------------------ */

static err_t s_fetch(ctx_t *ctx, const binlog_t *self, uint64_t offset, size_t len, view_t *ret)
{
    if (!self->bytes.ptr)
        return store_get_range(ctx, self->store, self->name, offset, len, ret);
    check(offset <= self->bytes.len && len <= self->bytes.len - offset);
    *ret = view_of(self->bytes.ptr + offset, len);
    return OK;
}

static err_t s_parse_head(ctx_t *ctx, binlog_t *self, view_t head)
{
    const uint8_t *p = head.ptr;
    if (memcmp(p, "ELBL", 4) != 0)
        return s_corrupt(ctx, self, 0, "not a binlog");
    if (crc32c(p, 60) != load_u32(p + 60))
        return s_corrupt(ctx, self, 0, "checksum of the header");
    if (load_u16(p + 4) != BINLOG_VERSION)
        return ctx_fail(ctx, ERR_VERSION, "%s is a binlog of version %u, this program reads %d",
                        self->name, load_u16(p + 4), BINLOG_VERSION);
    uint32_t flags = load_u32(p + 44);
    uint64_t n = load_u64(p + 32);
    if (flags > (BINLOG_RAW | BINLOG_NULLS) || n > LIMIT_SEGMENT_ROWS)
        return s_corrupt(ctx, self, 32, "rows or flags");
    self->head = (binlog_head_t){
        .field = load_i64(p + 8), .segment = load_u64(p + 16), .first = load_u64(p + 24),
        .raw = flags & BINLOG_RAW,
    };
    self->type = (type_t)p[6];
    self->element = (type_t)p[7];
    self->n = (size_t)n;
    self->width = load_u32(p + 40);
    self->nulls = flags & BINLOG_NULLS;
    return OK;
}

static page_t s_load_entry(const uint8_t *p)
{
    return (page_t){ .entry = {
        .offset = load_u64(p), .stored = load_u32(p + 8), .crc = load_u32(p + 12),
        .raw = load_u32(p + 16), .rows = load_u32(p + 20), .kind = load_u32(p + 24),
        .flags = load_u32(p + 28), .min = load_u64(p + 32), .max = load_u64(p + 40),
    } };
}

/* Pages without gaps from the header to the directory. */
static err_t s_check_tiling(ctx_t *ctx, const binlog_t *self, uint64_t directory)
{
    uint64_t at = BINLOG_HEAD_BYTES;
    for (size_t i = 0; i < self->n_pages; i++) {
        const binlog_entry_t *e = &self->pages[i].entry;
        if (e->offset != at || e->stored == 0 || e->stored > LIMIT_BINLOG_PAGE_BYTES ||
            e->raw > LIMIT_BINLOG_PAGE_BYTES || e->flags > BINLOG_RANGE)
            return s_corrupt(ctx, self, directory + i * BINLOG_ENTRY_BYTES, "a page's place");
        at += binlog_aligned(e->stored);
        if (at > directory)
            return s_corrupt(ctx, self, directory + i * BINLOG_ENTRY_BYTES, "a page's length");
    }
    if (at != directory)
        return s_corrupt(ctx, self, at, "no page");
    return OK;
}

static err_t s_check_compressed(ctx_t *ctx, binlog_t *self, uint64_t directory)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < self->n_pages; i++) {
        binlog_entry_t *e = &self->pages[i].entry;
        bool last = i + 1 == self->n_pages;
        if (e->kind != BINLOG_ZSTD || e->rows == 0 || (e->rows % 64 && !last))
            return s_corrupt(ctx, self, directory + i * BINLOG_ENTRY_BYTES, "a page's rows");
        self->pages[i].first = rows;
        rows += e->rows;
    }
    if (rows != self->n)
        return s_corrupt(ctx, self, directory, "rows of all pages");
    return OK;
}

/* Which bytes belong to which area, and are they as many as the rows need? */
static err_t s_check_raw(ctx_t *ctx, binlog_t *self, uint64_t directory)
{
    uint32_t kind = BINLOG_CELLS;
    for (size_t i = 0; i < self->n_pages; i++) {
        const binlog_entry_t *e = &self->pages[i].entry;
        bool ends = i + 1 == self->n_pages || self->pages[i + 1].entry.kind != e->kind;
        if (e->kind < kind || e->kind > BINLOG_VALID || e->stored != e->raw || e->rows ||
            e->stored > BINLOG_RAW_PAGE_BYTES || (!ends && e->stored != BINLOG_RAW_PAGE_BYTES))
            return s_corrupt(ctx, self, directory + i * BINLOG_ENTRY_BYTES, "a raw page");
        kind = e->kind;
        area_t *area = &self->areas[kind];
        if (area->n++ == 0)
            *area = (area_t){ .offset = e->offset, .first = i, .n = 1 };
        area->len += e->stored;
    }
    uint64_t offsets = self->width ? 0 : 8 * ((uint64_t)self->n + 1);
    uint64_t valid = self->nulls ? 8 * binlog_words(self->n) : 0;
    if (self->areas[BINLOG_CELLS].len != self->row_bytes ||
        (self->width && self->row_bytes != (uint64_t)self->n * self->width) ||
        self->areas[BINLOG_OFFSETS].len != offsets || self->areas[BINLOG_VALID].len != valid)
        return s_corrupt(ctx, self, directory, "sizes do not fit the rows");
    return OK;
}

/* end: the file from somewhere before its directory, or from in it, to its end. */
static err_t s_parse_directory(ctx_t *ctx, binlog_t *self, view_t head, view_t end)
{
    const uint8_t *tail = end.ptr + end.len - BINLOG_TAIL_BYTES;
    size_t len = self->n_pages * BINLOG_ENTRY_BYTES;
    const uint8_t *entries = tail - len;
    uint64_t directory = self->len - BINLOG_TAIL_BYTES - len;
    uint32_t crc = crc32c_add(crc32c(head.ptr, BINLOG_HEAD_BYTES), entries, len + 24);
    if (crc != load_u32(tail + 24))
        return s_corrupt(ctx, self, directory, "checksum of the directory");
    self->row_bytes = load_u64(tail + 16);
    self->pages = mem_try(ctx, self->n_pages * sizeof self->pages[0]);
    if (!self->pages)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu pages of %s", self->n_pages,
                        self->name);
    for (size_t i = 0; i < self->n_pages; i++)
        self->pages[i] = s_load_entry(entries + i * BINLOG_ENTRY_BYTES);
    TRY(s_check_tiling(ctx, self, directory));
    return self->head.raw ? s_check_raw(ctx, self, directory)
                          : s_check_compressed(ctx, self, directory);
}

/* What can be checked of the last 32 bytes before the directory's length is used. */
static err_t s_parse_tail(ctx_t *ctx, binlog_t *self, view_t end)
{
    const uint8_t *tail = end.ptr + end.len - BINLOG_TAIL_BYTES;
    uint64_t n_pages = load_u64(tail), room = self->len - BINLOG_HEAD_BYTES - BINLOG_TAIL_BYTES;
    if (memcmp(tail + 28, "ELBE", 4) != 0)
        return s_corrupt(ctx, self, self->len - 4, "the end is missing");
    if (load_u64(tail + 8) != self->len || n_pages > LIMIT_BINLOG_PAGES ||
        n_pages * BINLOG_ENTRY_BYTES > room)
        return s_corrupt(ctx, self, self->len - BINLOG_TAIL_BYTES, "length or number of pages");
    self->n_pages = (size_t)n_pages;
    return OK;
}

static err_t s_parse(ctx_t *ctx, binlog_t *self)
{
    if (self->len < BINLOG_HEAD_BYTES + BINLOG_TAIL_BYTES)
        return s_corrupt(ctx, self, self->len, "too short for a binlog");
    view_t head = {0}, end = {0};
    size_t guess = self->len < TAIL_GUESS_BYTES ? (size_t)self->len : TAIL_GUESS_BYTES;
    TRY(s_fetch(ctx, self, 0, BINLOG_HEAD_BYTES, &head));
    TRY(s_parse_head(ctx, self, head));
    TRY(s_fetch(ctx, self, self->len - guess, guess, &end));
    TRY(s_parse_tail(ctx, self, end));
    size_t need = self->n_pages * BINLOG_ENTRY_BYTES + BINLOG_TAIL_BYTES;
    if (need > end.len)
        TRY(s_fetch(ctx, self, self->len - need, need, &end));
    return s_parse_directory(ctx, self, head, end);
}

err_t binlog_open(ctx_t *ctx, view_t bytes, const char *name, binlog_t **ret)
{
    check(ret && *ret == NULL && (uintptr_t)bytes.ptr % 8 == 0);
    owned(binlog) self = mem_new(sizeof *self);
    self->name = mem_strdup(name);
    self->bytes = bytes;
    self->len = bytes.len;
    TRY(s_parse(ctx, self));
    *ret = take(self);
    return OK;
}

err_t binlog_open_store(ctx_t *ctx, store_t *store, const char *key, binlog_t **ret)
{
    check(ret && *ret == NULL);
    owned(binlog) self = mem_new(sizeof *self);
    self->name = mem_strdup(key);
    self->store = store;
    TRY(store_head(ctx, store, key, &self->len));
    TRY(s_parse(ctx, self));
    *ret = take(self);
    return OK;
}

void binlog_destroy(binlog_t **self_p)
{
    binlog_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    mem_free(self->name);
    mem_free(self->pages);
    mem_free(self);
}

const binlog_head_t *binlog_head(const binlog_t *self)  { return &self->head; }
size_t binlog_rows(const binlog_t *self)                { return self->n; }
type_t binlog_type(const binlog_t *self)                { return self->type; }
size_t binlog_pages(const binlog_t *self)               { return self->n_pages; }

binlog_place_t binlog_place(const binlog_t *self, size_t page)
{
    static const char *const s_kinds[] = { "zstd", "cells", "offsets", "valid" };
    check(page < self->n_pages);
    const binlog_entry_t *e = &self->pages[page].entry;
    return (binlog_place_t){ .kind = s_kinds[e->kind], .offset = e->offset, .stored = e->stored,
                             .unpacked = e->raw, .rows = e->rows };
}

err_t binlog_expect(ctx_t *ctx, const binlog_t *self, const field_t *field, uint64_t segment,
                    uint64_t first)
{
    if (self->head.field != field->id || self->head.segment != segment ||
        self->head.first != first || self->type != field->type ||
        self->element != field->element || self->width != type_width(field->type, field->dim))
        return ctx_fail(ctx, ERR_CORRUPT, "%s holds field %lld of segment %llu from row %llu on, "
                        "expected were field %lld (%s) of %llu from %llu on", self->name,
                        (long long)self->head.field, (unsigned long long)self->head.segment,
                        (unsigned long long)self->head.first, (long long)field->id,
                        type_name(field->type), (unsigned long long)segment,
                        (unsigned long long)first);
    return OK;
}

bool binlog_range(const binlog_t *self, size_t page, size_t *ret_first, size_t *ret_n,
                  uint64_t *ret_min, uint64_t *ret_max)
{
    check(page < self->n_pages);
    const page_t *p = &self->pages[page];
    if (!(p->entry.flags & BINLOG_RANGE))
        return false;
    *ret_first = (size_t)p->first;
    *ret_n = p->entry.rows;
    *ret_min = p->entry.min;
    *ret_max = p->entry.max;
    return true;
}

/* --- compressed pages ------------------------------------------ */

static err_t s_unpack(ctx_t *ctx, const binlog_t *self, const page_t *page, column_t *ret)
{
    const binlog_entry_t *e = &page->entry;
    view_t stored = {0};
    TRY(s_fetch(ctx, self, e->offset, (size_t)binlog_aligned(e->stored), &stored));
    if (crc32c(stored.ptr, stored.len) != e->crc)
        return s_corrupt(ctx, self, e->offset, "checksum of a page");
    uint8_t *image = ctx_try(ctx, e->raw);
    if (!image)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %u bytes of %s", e->raw, self->name);
    if (ZSTD_decompress(image, e->raw, stored.ptr, e->stored) != e->raw)
        return s_corrupt(ctx, self, e->offset, "a page does not unpack");
    size_t len = 0;
    column_t c;
    if (column_read(ctx, view_of(image, e->raw), &c, &len) != OK)
        return ctx_prefix(ctx, "%s is damaged at %llu", self->name, (unsigned long long)e->offset);
    if (len != e->raw || c.n != e->rows || c.type != self->type || c.element != self->element ||
        c.width != self->width || (c.valid && !self->nulls))
        return s_corrupt(ctx, self, e->offset, "a page of another kind");
    *ret = c;
    return OK;
}

static size_t s_page_of(const binlog_t *self, size_t row)
{
    size_t low = 0, high = self->n_pages;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (self->pages[mid].first <= row)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* --- columns put together ------------------------------------------ */

typedef struct joint {
    column_t c;
    uint8_t *cells;
    uint64_t *offsets, *valid;
    size_t cells_len, cells_cap;
} joint_t;

static size_t s_joint_bytes(const binlog_t *self, size_t n, size_t cells_cap)
{
    size_t offsets = self->width ? 0 : 8 * (n + 1), valid = self->nulls ? 8 * binlog_words(n) : 0;
    return (size_t)binlog_aligned(cells_cap) + offsets + valid + BINLOG_ALIGN;
}

/* memory: zeroed, s_joint_bytes of it. */
static joint_t s_joint(const binlog_t *self, uint8_t *memory, size_t n, size_t cells_cap)
{
    memory += -(uintptr_t)memory & (BINLOG_ALIGN - 1);
    joint_t to = { .cells = memory, .cells_cap = cells_cap };
    memory += binlog_aligned(cells_cap);
    if (!self->width) {
        to.offsets = (uint64_t *)(void *)memory;
        memory += 8 * (n + 1);
    }
    if (self->nulls)
        to.valid = (uint64_t *)(void *)memory;
    to.c = (column_t){ .type = self->type, .element = self->element, .width = self->width,
                       .cells = to.cells, .offsets = to.offsets, .valid = to.valid };
    return to;
}

/* Append; false when the cells do not fit.  to->c.n is a multiple of 64. */
static bool s_join(joint_t *to, const column_t *c)
{
    const uint8_t *cells = c->width ? c->cells : c->cells + c->offsets[0];
    size_t len = c->width ? c->n * c->width : (size_t)(c->offsets[c->n] - c->offsets[0]);
    if (len > to->cells_cap - to->cells_len)
        return false;
    if (len)
        memcpy(to->cells + to->cells_len, cells, len);
    for (size_t i = 1; to->offsets && i <= c->n; i++)
        to->offsets[to->c.n + i] = to->cells_len + c->offsets[i] - c->offsets[0];
    uint64_t *words = to->valid ? to->valid + to->c.n / 64 : NULL;
    for (size_t i = 0; words && i < binlog_words(c->n); i++)
        words[i] = c->valid ? c->valid[i] : ~0ull;
    to->cells_len += len;
    to->c.n += c->n;
    return true;
}

static err_t s_read_compressed(ctx_t *ctx, const binlog_t *self, size_t from, size_t n,
                               column_t *ret)
{
    size_t page = s_page_of(self, from), last = s_page_of(self, from + n - 1), cap = 0;
    size_t skip = from - (size_t)self->pages[page].first, rows = 0;
    if (page == last) {
        TRY(s_unpack(ctx, self, &self->pages[page], ret));
        *ret = column_slice(ret, skip, n);
        return OK;
    }
    for (size_t i = page; i <= last; i++) {
        cap += self->pages[i].entry.raw;
        rows += self->pages[i].entry.rows;
    }
    uint8_t *memory = ctx_try(ctx, s_joint_bytes(self, rows, cap));
    if (!memory)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu rows of %s", rows, self->name);
    joint_t to = s_joint(self, memory, rows, cap);
    for (size_t i = page; i <= last; i++) {
        column_t c;
        TRY(s_unpack(ctx, self, &self->pages[i], &c));
        check(s_join(&to, &c));
    }
    *ret = column_slice(&to.c, skip, n);
    return OK;
}

/* --- raw areas ------------------------------------------ */

/* Bytes [at, at + len) of an area, after the pages that hold them were verified. */
static err_t s_area(ctx_t *ctx, const binlog_t *self, int kind, uint64_t at, size_t len,
                    view_t *ret)
{
    *ret = view_of("", 0);
    const area_t *area = &self->areas[kind];
    check(at <= area->len && len <= area->len - at);
    if (len == 0)
        return OK;
    size_t first = area->first + at / BINLOG_RAW_PAGE_BYTES;
    size_t last = area->first + (at + len - 1) / BINLOG_RAW_PAGE_BYTES;
    const binlog_entry_t *begin = &self->pages[first].entry, *end = &self->pages[last].entry;
    view_t bytes = {0};
    size_t whole = (size_t)(end->offset + binlog_aligned(end->stored) - begin->offset);
    TRY(s_fetch(ctx, self, begin->offset, whole, &bytes));
    for (size_t i = first; i <= last; i++) {
        const binlog_entry_t *e = &self->pages[i].entry;
        if (crc32c(bytes.ptr + (e->offset - begin->offset), binlog_aligned(e->stored)) != e->crc)
            return s_corrupt(ctx, self, e->offset, "checksum of a page");
    }
    *ret = view_of(bytes.ptr + at % BINLOG_RAW_PAGE_BYTES, len);
    return OK;
}

/* The offsets of n rows from `from` on, counted from the first of their cells. */
static err_t s_raw_offsets(ctx_t *ctx, const binlog_t *self, size_t from, size_t n,
                           const uint64_t **ret, uint64_t *ret_start)
{
    view_t bytes = {0};
    TRY(s_area(ctx, self, BINLOG_OFFSETS, 8 * (uint64_t)from, 8 * (n + 1), &bytes));
    uint64_t place = self->areas[BINLOG_OFFSETS].offset + 8 * from, start = load_u64(bytes.ptr);
    uint64_t before = start;
    for (size_t i = 0; i <= n; i++) {
        uint64_t offset = load_u64(bytes.ptr + 8 * i);
        if (offset < before || offset > self->row_bytes || (from + i == 0 && offset) ||
            (from + i == self->n && offset != self->row_bytes))
            return s_corrupt(ctx, self, place + 8 * i, "an offset");
        before = offset;
    }
    *ret = (const uint64_t *)(const void *)bytes.ptr;
    *ret_start = start;
    if (start == 0)
        return OK;
    uint64_t *moved = ctx_try(ctx, 8 * (n + 1));
    if (!moved)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu rows of %s", n, self->name);
    for (size_t i = 0; i <= n; i++)
        moved[i] = load_u64(bytes.ptr + 8 * i) - start;
    *ret = moved;
    return OK;
}

static err_t s_read_raw(ctx_t *ctx, const binlog_t *self, size_t from, size_t n, column_t *ret)
{
    column_t c = { .type = self->type, .element = self->element, .width = self->width, .n = n };
    uint64_t start = (uint64_t)from * self->width;
    size_t len = n * self->width;
    view_t cells = {0}, valid = {0};
    if (!self->width) {
        TRY(s_raw_offsets(ctx, self, from, n, &c.offsets, &start));
        len = (size_t)c.offsets[n];
    }
    TRY(s_area(ctx, self, BINLOG_CELLS, start, len, &cells));
    c.cells = cells.ptr;
    if (self->nulls) {
        TRY(s_area(ctx, self, BINLOG_VALID, from / 8, 8 * binlog_words(n), &valid));
        c.valid = (const uint64_t *)(const void *)valid.ptr;
    }
    *ret = c;
    return OK;
}

/* --- reading ------------------------------------------ */

err_t binlog_read(ctx_t *ctx, const binlog_t *self, size_t from, size_t n, column_t *ret)
{
    check(from % 64 == 0 && from <= self->n && n <= self->n - from);
    if (self->head.raw)
        return s_read_raw(ctx, self, from, n, ret);
    static const uint64_t s_zero[1];
    if (n == 0) {
        *ret = (column_t){ .type = self->type, .element = self->element, .width = self->width,
                           .cells = (const uint8_t *)"", .offsets = self->width ? NULL : s_zero };
        return OK;
    }
    return s_read_compressed(ctx, self, from, n, ret);
}

/* How many rows from `from` on to read at once. */
static size_t s_step(const binlog_t *self, size_t from)
{
    if (!self->head.raw)
        return self->pages[s_page_of(self, from)].entry.rows;
    size_t row = self->width ? self->width : (size_t)(self->row_bytes / self->n) + 1;
    size_t step = (CHUNK_BYTES / row + 64) & ~(size_t)63;
    return step < self->n - from ? step : self->n - from;
}

static err_t s_load_rows(ctx_t *ctx, const binlog_t *self, joint_t *to)
{
    while (to->c.n < self->n) {
        ctx_t part;
        ctx_init(&part);
        part.deadline_ms = ctx->deadline_ms;
        column_t c;
        err_t err = binlog_read(&part, self, to->c.n, s_step(self, to->c.n), &c);
        if (err == OK && !s_join(to, &c))
            err = s_corrupt(&part, self, self->len - BINLOG_TAIL_BYTES, "too many cells");
        if (err != OK)
            ctx_fail(ctx, err, "%s", part.text);
        ctx_fini(&part);
        TRY(err);
        TRY(ctx_alive(ctx));
    }
    return OK;
}

err_t binlog_load(ctx_t *ctx, const binlog_t *self, void **ret_memory, column_t *ret)
{
    check(*ret_memory == NULL);
    if (self->head.raw && self->bytes.ptr)
        return binlog_read(ctx, self, 0, self->n, ret);
    if (self->row_bytes > LIMIT_STORE_OBJECT_BYTES * 4)
        return s_corrupt(ctx, self, self->len - BINLOG_TAIL_BYTES, "bytes of all rows");
    size_t bytes = s_joint_bytes(self, self->n, (size_t)self->row_bytes);
    uint8_t *memory = mem_try(ctx, bytes);
    if (!memory)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu bytes of %s", bytes, self->name);
    joint_t to = s_joint(self, memory, self->n, (size_t)self->row_bytes);
    err_t err = s_load_rows(ctx, self, &to);
    if (err == OK && to.cells_len != self->row_bytes)
        err = s_corrupt(ctx, self, self->len - BINLOG_TAIL_BYTES, "too few cells");
    if (err != OK) {
        mem_free(memory);
        return err;
    }
    *ret_memory = memory;
    *ret = to.c;
    return OK;
}
