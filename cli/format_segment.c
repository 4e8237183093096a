/* format_segment - the objects of a sealed segment: binlogs, deltalogs, stats */
#include "cli/format.h"
#include "cli/show.h"
#include "core/base/limits.h"
#include "core/schema/column.h"
#include "core/segment/binlog.h"
#include "core/segment/delta.h"
#include "core/segment/stats.h"

enum { CELL_MOST = 32, RAW_MOST = 8 };

/* --- cells ----------------------------------------------------------------------------- */

static bool s_is_text(type_t type)
{
    return type == TYPE_VARCHAR || type == TYPE_JSON;
}

static bool s_is_real(type_t type)
{
    return type == TYPE_FLOAT || type == TYPE_DOUBLE;
}

static json_t *s_text(ctx_t *ctx, view_t cell)
{
    size_t len = cell.len > CELL_MOST ? CELL_MOST : cell.len;
    json_t *value = len ? json_stringn((const char *)cell.ptr, len) : json_string("");
    return value ? value : json_string(show_hex(ctx, cell, CELL_MOST));   /* a character is cut */
}

/* A primary key or a number as people write it; of anything else the first bytes. */
static json_t *s_cell(ctx_t *ctx, type_t type, view_t cell)
{
    if (s_is_text(type))
        return s_text(ctx, cell);
    if (type == TYPE_INT64 && cell.len == 8)
        return json_string(ctx_printf(ctx, "%lld", (long long)load_i64(cell.ptr)));
    return json_string(show_hex(ctx, cell, RAW_MOST));
}

static const char *s_bound(ctx_t *ctx, type_t type, uint64_t bits)
{
    double real;
    memcpy(&real, &bits, sizeof real);
    return s_is_real(type) ? ctx_printf(ctx, "%g", real)
                           : ctx_printf(ctx, "%lld", (long long)(int64_t)bits);
}

/* --- binlogs ------------------------------------------------------------------------------- */

static json_t *s_page(ctx_t *ctx, const binlog_t *binlog, size_t page)
{
    binlog_place_t place = binlog_place(binlog, page);
    size_t first = 0, n = 0;
    uint64_t min = 0, max = 0;
    json_t *item = json_object();
    format_count(item, "offset", place.offset);
    format_text(item, "kind", place.kind);
    format_count(item, "stored", place.stored);
    format_count(item, "unpacked", place.unpacked);
    format_count(item, "rows", place.rows);
    bool range = binlog_range(binlog, page, &first, &n, &min, &max);
    json_object_set_new(item, "min", range ? json_string(s_bound(ctx, binlog_type(binlog), min))
                                           : json_null());
    json_object_set_new(item, "max", range ? json_string(s_bound(ctx, binlog_type(binlog), max))
                                           : json_null());
    return item;
}

static uint64_t s_pages(ctx_t *ctx, const format_ask_t *ask, const binlog_t *binlog,
                        json_t *into, uint64_t *ret_unpacked)
{
    json_t *pages = json_array();
    uint64_t stored = 0;
    for (size_t i = 0; i < binlog_pages(binlog); i++) {
        binlog_place_t place = binlog_place(binlog, i);
        stored += place.stored;
        *ret_unpacked += place.unpacked;
        if (i < ask->most)
            json_array_append_new(pages, s_page(ctx, binlog, i));
    }
    json_object_set_new(into, "pages", pages);
    return stored;
}

/* Every page is read, and so verified. */
static err_t s_verify(ctx_t *ctx, const binlog_t *binlog, json_t *into)
{
    void *memory = NULL;
    column_t column = {0};
    size_t nulls = 0;
    err_t err = binlog_load(ctx, binlog, &memory, &column);
    for (size_t i = 0; err == OK && i < column.n; i++)
        nulls += column_is_null(&column, i);
    mem_free(memory);
    TRY(err);
    format_count(into, "nulls", nulls);
    format_text(into, "pages_crc", "ok");
    return OK;
}

static err_t s_binlog(ctx_t *ctx, const format_ask_t *ask, const binlog_t *binlog, json_t *into)
{
    const binlog_head_t *head = binlog_head(binlog);
    uint64_t unpacked = 0;
    bool times = head->field == 1;
    format_id(into, "segment", head->segment);
    format_text(into, "field", ctx_printf(ctx, "%lld%s", (long long)head->field,
                                          times ? " (timestamps)" : ""));
    format_text(into, "type", type_name(binlog_type(binlog)));
    format_count(into, "first_row", head->first);
    format_count(into, "rows", binlog_rows(binlog));
    uint64_t stored = s_pages(ctx, ask, binlog, into, &unpacked);
    format_count(into, "n_pages", binlog_pages(binlog));
    format_text(into, "compression", head->raw ? "none" : "zstd");
    format_count(into, "stored_bytes", stored);
    format_count(into, "unpacked_bytes", unpacked);
    return s_verify(ctx, binlog, into);
}

err_t format_binlog(ctx_t *ctx, const format_ask_t *ask, view_t bytes, const char *name,
                    json_t *into)
{
    owned(binlog) binlog = NULL;
    format_text(into, "format", "binlog");
    TRY(binlog_open(ctx, bytes, name, &binlog));
    return s_binlog(ctx, ask, binlog, into);
}

/* --- deltalogs ------------------------------------------------------------------------------ */

static void s_records(ctx_t *ctx, const format_ask_t *ask, const delta_t *delta, json_t *into)
{
    const column_t *pks = delta_pks(delta);
    json_t *records = json_array();
    for (size_t i = 0; i < pks->n && i < ask->most; i++) {
        json_t *item = json_object();
        json_object_set_new(item, "pk", s_cell(ctx, pks->type, column_cell(pks, i)));
        format_ts(ctx, item, "deleted", delta_ts(delta)[i]);
        format_id(item, "ts", delta_ts(delta)[i]);
        json_array_append_new(records, item);
    }
    json_object_set_new(into, "records", records);
}

err_t format_delta(ctx_t *ctx, const format_ask_t *ask, view_t bytes, const char *name,
                   json_t *into)
{
    owned(delta) delta = NULL;
    format_text(into, "format", "deltalog");
    TRY(delta_read(ctx, bytes, name, &delta));
    format_id(into, "segment", delta_segment(delta));
    format_text(into, "key", type_name(delta_pks(delta)->type));
    format_count(into, "n_records", delta_pks(delta)->n);
    format_text(into, "crc", "ok");
    s_records(ctx, ask, delta, into);
    return OK;
}

/* --- stats ------------------------------------------------------------------------------------ */

err_t format_stats(ctx_t *ctx, const format_ask_t *ask, view_t bytes, const char *name,
                   json_t *into)
{
    (void)ask;
    owned(stats) stats = NULL;
    format_text(into, "format", "stats");
    TRY(stats_read(ctx, bytes, name, &stats));
    format_id(into, "segment", stats->segment);
    format_count(into, "rows", stats->rows);
    format_ts(ctx, into, "first", stats->min_ts);
    format_ts(ctx, into, "last", stats->max_ts);
    format_text(into, "key", type_name(stats->pk_type));
    json_object_set_new(into, "least_key", s_cell(ctx, stats->pk_type, stats->pk_min));
    json_object_set_new(into, "greatest_key", s_cell(ctx, stats->pk_type, stats->pk_max));
    format_count(into, "filter_bytes", bloom_bytes(stats->bloom).len);
    format_text(into, "crc", "ok");
    return OK;
}
