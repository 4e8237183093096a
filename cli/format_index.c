/* format_index - objects of vector and scalar indexes; bytes: core/index/index_file.h and
 * core/scalar/scalar_index.h */
#include "cli/format.h"
#include "cli/show.h"
#include "core/base/crc.h"
#include "core/index/index_file.h"
#include "core/scalar/scalar_index.h"

static const char *s_section(uint32_t kind)
{
    static const char *const s_names[] = {
        [SECTION_CENTROIDS] = "centroids", [SECTION_OFFSETS] = "offsets", [SECTION_IDS] = "ids",
        [SECTION_NORMS] = "norms", [SECTION_CODES] = "codes", [SECTION_PARAMS] = "params",
        [SECTION_CODEBOOK] = "codebook", [SECTION_SCALES] = "scales", [SECTION_RAW] = "raw",
        [SECTION_LINKS] = "links", [SECTION_UPPER] = "upper", [SECTION_TERMS] = "terms",
        [SECTION_POSTINGS] = "postings", [SECTION_BLOCKS] = "blocks",
    };
    return kind < ARRAY_LEN(s_names) && s_names[kind] ? s_names[kind] : "?";
}

static const char *s_type(uint32_t type)
{
    return type > INDEX_NONE && type < INDEX_TYPES ? index_type_name((index_type_t)type)
                                                   : "unknown";
}

/* The head that every object has; false: it is none, or damaged. */
static bool s_head(view_t bytes, json_t *into)
{
    const uint8_t *p = bytes.ptr;
    if (bytes.len < INDEX_HEAD_BYTES || crc32c(p, 60) != load_u32(p + 60))
        return false;
    format_text(into, "type", s_type(load_u16(p + 6)));
    format_count(into, "version", load_u16(p + 4));
    format_count(into, "object", load_u32(p + 8));
    format_count(into, "length", load_u64(p + 16));
    format_id(into, "build", load_u64(p + 24));
    format_text(into, "head_crc", "ok");
    return true;
}

static void s_sections(ctx_t *ctx, const index_reader_t *reader, json_t *into)
{
    json_t *sections = json_array();
    for (size_t i = 0; i < reader->n; i++) {
        const index_entry_t *entry = &reader->entries[i];
        json_t *item = json_object();
        format_text(item, "section", s_section(entry->kind));
        format_count(item, "object", entry->object);
        format_count(item, "offset", entry->offset);
        format_count(item, "bytes", entry->len);
        format_text(item, "crc", ctx_printf(ctx, "%08x ok", entry->crc));
        json_array_append_new(sections, item);
    }
    json_object_set_new(into, "sections", sections);
}

static void s_index(ctx_t *ctx, const index_reader_t *reader, json_t *into)
{
    const index_spec_t *spec = &reader->head.spec;
    format_text(into, "metric", metric_name(spec->metric));
    format_count(into, "dim", spec->dim);
    format_count(into, "rows", reader->head.rows);
    format_count(into, "rows_indexed", reader->head.indexed);
    if (spec->nlist)
        format_count(into, "lists", spec->nlist);
    format_text(into, "sections_crc", "ok");
    s_sections(ctx, reader, into);
}

err_t format_index_objects(ctx_t *ctx, const view_t *bytes, const char *const *names, size_t n,
                           json_t *into)
{
    index_blob_t *blobs = ctx_new(ctx, (n + 1) * sizeof *blobs);
    index_reader_t reader = {0};
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++) {
        blobs[i].name = names[i];
        blobs[i].bytes = bytes[i];
        all += bytes[i].len;
    }
    format_text(into, "format", "vector index");
    (void)s_head(bytes[0], into);
    format_count(into, "objects", n);
    format_count(into, "bytes", all);
    err_t err = index_reader_init(ctx, &reader, blobs, n);
    if (err == OK)
        s_index(ctx, &reader, into);
    index_reader_fini(&reader);
    return err;
}

/* One object by itself: number 0 of one that has no other is all of the index. */
err_t format_index(ctx_t *ctx, const format_ask_t *ask, view_t bytes, const char *name,
                   json_t *into)
{
    (void)ask;
    bool first = bytes.len >= INDEX_HEAD_BYTES + INDEX_TABLE_BYTES && load_u32(bytes.ptr + 8) == 0;
    uint32_t objects = first ? load_u32(bytes.ptr + INDEX_HEAD_BYTES + 32) : 0;
    if (first && objects <= 1)
        return format_index_objects(ctx, &bytes, &name, 1, into);
    format_text(into, "format", "object of a vector index");
    if (!s_head(bytes, into))
        return ctx_fail(ctx, ERR_CORRUPT, "%s is damaged at 0: the checksum of its head is wrong, "
                        "or it is cut (%zu bytes)", name, bytes.len);
    if (load_u64(bytes.ptr + 16) != bytes.len)
        return ctx_fail(ctx, ERR_CORRUPT, "%s is damaged at %zu: it says that it has %llu bytes",
                        name, bytes.len, (unsigned long long)load_u64(bytes.ptr + 16));
    format_text(into, "sections", first ? "with the other objects in one directory, or by the "
                "build's id, they can be verified" : "object 0 of the build names them");
    return OK;
}

err_t format_scalar(ctx_t *ctx, const format_ask_t *ask, view_t bytes, const char *name,
                    json_t *into)
{
    (void)ask;
    owned(scalar_index) index = NULL;
    format_text(into, "format", "scalar index");
    format_count(into, "bytes", bytes.len);
    TRY(scalar_index_open(ctx, name, bytes, &index));
    const scalar_spec_t *spec = scalar_index_spec(index);
    format_text(into, "type", scalar_type_name(spec->type));
    format_text(into, "cells", type_name(spec->cells));
    if (spec->cells == TYPE_ARRAY)
        format_text(into, "elements", type_name(spec->element));
    format_id(into, "build", spec->seed);
    format_count(into, "rows", scalar_index_rows(index));
    format_count(into, "values", scalar_index_terms(index));
    format_text(into, "crc", "ok");
    return OK;
}
