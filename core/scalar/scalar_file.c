/* scalar_file - the object of a scalar index; its bytes are in scalar_int.h */
#include "core/base/crc.h"
#include "core/scalar/scalar_int.h"

enum { VERSION = 1, BODY = 64 };

static const char s_magic[4] = "ELSC";

static size_t s_aligned(size_t n)
{
    return (n + SCALAR_ALIGN - 1) / SCALAR_ALIGN * SCALAR_ALIGN;
}

/* --- writing ------------------------------------------------------------------------------ */

static void s_pad(buf_t *out)
{
    static const uint8_t zeros[SCALAR_ALIGN];
    buf_add(out, zeros, s_aligned(out->len) - out->len);
}

void scalar_writer_begin(scalar_writer_t *self)
{
    static const uint8_t zeros[SCALAR_HEAD_BYTES];
    buf_add(self->out, zeros, sizeof zeros);
}

/* Lengths are kept in the head, where it has its place already; of where sections begin only
 * the sum is known, and that is enough. */
void scalar_writer_end(scalar_writer_t *self, part_kind_t part)
{
    size_t at = SCALAR_HEAD_BYTES;
    check(part >= self->next && part < PARTS);
    if (!buf_ok(self->out))
        return;
    for (part_kind_t i = 0; i < part; i++)
        at += s_aligned((size_t)load_u64(self->out->ptr + BODY + 8 * i));
    store_u64(self->out->ptr + BODY + 8 * part, self->out->len - at);
    self->next = part + 1;
    s_pad(self->out);
}

err_t scalar_writer_close(ctx_t *ctx, scalar_writer_t *self)
{
    buf_t *out = self->out;
    if (!buf_ok(out))
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a scalar index of %llu values",
                        (unsigned long long)self->n);
    if (out->len > LIMIT_INDEX_OBJECT_BYTES)
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "a scalar index of %zu bytes, at most %u: the "
                        "segment has too many values for it", out->len, LIMIT_INDEX_OBJECT_BYTES);
    uint8_t *p = out->ptr;
    memcpy(p, s_magic, sizeof s_magic);
    store_u16(p + 4, VERSION);
    p[6] = (uint8_t)self->spec.type;
    p[7] = (uint8_t)self->spec.cells;
    p[8] = (uint8_t)self->spec.element;
    p[9] = (uint8_t)self->dict;
    p[10] = (uint8_t)self->posts;
    store_u64(p + 16, out->len);
    store_u64(p + 24, self->spec.seed);
    store_u64(p + 32, self->rows);
    store_u64(p + 40, self->n);
    store_u64(p + 48, self->listed);
    store_u32(p + 56, crc32c(p + BODY, out->len - BODY));
    store_u32(p + 60, crc32c(p, 60));
    return OK;
}

/* --- reading ------------------------------------------------------------------------------ */

err_t scalar_damaged(ctx_t *ctx, const scalar_index_t *self, const char *what)
{
    return ctx_fail(ctx, ERR_CORRUPT, "%s: %s: the scalar index has to be built again", self->name,
                    what);
}

static err_t s_check_head(ctx_t *ctx, view_t bytes, scalar_index_t *self)
{
    const uint8_t *p = bytes.ptr;
    if (bytes.len < SCALAR_HEAD_BYTES || memcmp(p, s_magic, sizeof s_magic) != 0)
        return scalar_damaged(ctx, self, "no object of a scalar index");
    if (crc32c(p, 60) != load_u32(p + 60))
        return scalar_damaged(ctx, self, "the checksum of its head is wrong");
    if (load_u16(p + 4) != VERSION)
        return ctx_fail(ctx, ERR_VERSION, "%s has version %u, this program reads %d", self->name,
                        load_u16(p + 4), VERSION);
    if (load_u64(p + 16) != bytes.len)
        return scalar_damaged(ctx, self, "cut, or longer than it says");
    if (crc32c(p + BODY, bytes.len - BODY) != load_u32(p + 56))
        return scalar_damaged(ctx, self, "its checksum is wrong");
    return OK;
}

/* Which halves go with which type and cells? */
static bool s_fits(const scalar_index_t *self)
{
    const scalar_spec_t *spec = &self->spec;
    type_t of = spec->cells == TYPE_ARRAY ? spec->element : spec->cells;
    dict_t dict = spec->type == SCALAR_TRIE ? DICT_TRIE : of == TYPE_VARCHAR ? DICT_TEXTS
                : of == TYPE_FLOAT || of == TYPE_DOUBLE ? DICT_DOUBLES : DICT_INTS;
    bool posts = spec->type == SCALAR_SORT ? self->posts == POSTS_ROWS
               : self->posts == POSTS_LISTS ||
                 (spec->type == SCALAR_BITMAP && self->posts == POSTS_BITMAPS);
    return scalar_type_fits(spec->type, spec->cells, spec->element) && self->dict == dict && posts;
}

static err_t s_find_parts(ctx_t *ctx, view_t bytes, scalar_index_t *self)
{
    size_t at = SCALAR_HEAD_BYTES;
    for (part_kind_t i = 0; i < PARTS; i++) {
        uint64_t len = load_u64(bytes.ptr + BODY + 8 * i);
        if (len > bytes.len - at || s_aligned((size_t)len) > bytes.len - at)
            return scalar_damaged(ctx, self, "a section is longer than the object");
        self->parts[i] = view_of(bytes.ptr + at, (size_t)len);
        at += s_aligned((size_t)len);
    }
    return at == bytes.len ? OK : scalar_damaged(ctx, self, "bytes that belong to no section");
}

static err_t s_check_valid(ctx_t *ctx, scalar_index_t *self)
{
    view_t words = self->parts[PART_VALID];
    size_t n = ((size_t)self->rows + 63) / 64;
    self->valid = self->rows;
    if (words.len == 0)
        return OK;
    if (words.len != 8 * n)
        return scalar_damaged(ctx, self, "its bitmap of nulls has another length");
    self->valid = 0;
    for (size_t i = 0; i < n; i++)
        self->valid += (uint64_t)__builtin_popcountll(load_u64(words.ptr + 8 * i));
    if (self->rows % 64 && load_u64(words.ptr + 8 * (n - 1)) >> self->rows % 64)
        return scalar_damaged(ctx, self, "its bitmap of nulls has bits behind the last row");
    return OK;
}

err_t scalar_read(ctx_t *ctx, const char *name, view_t bytes, scalar_index_t *ret)
{
    const uint8_t *p = bytes.ptr;
    ret->name = name;
    TRY(s_check_head(ctx, bytes, ret));
    ret->spec = (scalar_spec_t){ .type = (scalar_type_t)p[6], .cells = (type_t)p[7],
                                 .element = (type_t)p[8], .seed = load_u64(p + 24) };
    ret->dict = (dict_t)p[9];
    ret->posts = (posts_t)p[10];
    ret->rows = load_u64(p + 32);
    ret->n = load_u64(p + 40);
    ret->listed = load_u64(p + 48);
    if (!s_fits(ret))
        return scalar_damaged(ctx, ret, "type, cells and structure do not fit one another");
    if (ret->rows > LIMIT_INDEX_ROWS || ret->n > bytes.len || ret->listed < ret->n)
        return scalar_damaged(ctx, ret, "more rows or values than there may be");
    TRY(s_find_parts(ctx, bytes, ret));
    return s_check_valid(ctx, ret);
}
