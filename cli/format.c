/* format - see format.h */
#include "cli/format.h"

#include "cli/show.h"
#include "cli/table.h"

enum { COLUMNS_MOST = 24, COLUMNS_KEPT = 5, CUT_BEHIND = 32 };

typedef err_t format_fn(ctx_t *ctx, const format_ask_t *ask, view_t bytes, const char *name,
                        json_t *into);

static const struct { const char *magic; format_fn *read; } s_formats[] = {
    { "EWAL", format_wal }, { "EWEP", format_wal_epoch }, { "ELBL", format_binlog },
    { "ELDL", format_delta }, { "ELST", format_stats }, { "ELIX", format_index },
    { "ELSC", format_scalar },
};

err_t format_read(ctx_t *ctx, const format_ask_t *ask, view_t bytes, const char *name,
                  json_t *into)
{
    for (size_t i = 0; i < ARRAY_LEN(s_formats); i++)
        if (bytes.len >= 4 && memcmp(bytes.ptr, s_formats[i].magic, 4) == 0)
            return s_formats[i].read(ctx, ask, bytes, name, into);
    return ctx_fail(ctx, bytes.len < 4 ? ERR_CORRUPT : ERR_PARAM_INVALID, "%s begins with %s at 0: "
                    "it is no log, binlog, deltalog, stats or index of ours, or its first bytes "
                    "are damaged", name, bytes.len ? show_hex(ctx, bytes, 4) : "nothing");
}

/* --- members ------------------------------------------------------------------------------ */

void format_count(json_t *into, const char *key, uint64_t value)
{
    json_object_set_new(into, key, json_integer((json_int_t)value));
}

void format_id(json_t *into, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    json_object_set_new(into, key, json_string(text));
}

void format_ts(ctx_t *ctx, json_t *into, const char *key, uint64_t ts)
{
    json_object_set_new(into, key, ts ? json_string(show_ts(ctx, ts)) : json_null());
}

void format_text(json_t *into, const char *key, const char *text)
{
    json_t *value = json_string(text);
    json_object_set_new(into, key, value ? value : json_null());
}

/* --- printing ------------------------------------------------------------------------------ */

static const char *s_scalar(ctx_t *ctx, const json_t *value)
{
    if (!value || json_is_null(value))
        return "-";
    if (json_is_string(value))
        return text_safe(ctx, json_string_value(value), 0);
    buf_scoped text = {0};
    show_json(value, JSON_COMPACT, &text);
    text.len--;                                 /* the line end */
    return text_safe(ctx, buf_str(&text), 0);
}

static bool s_is_list(const json_t *value)
{
    return json_is_array(value) && json_array_size(value) > 0;
}

/* Only what is long is cut: half a time or a number says nothing. */
static bool s_is_long(ctx_t *ctx, const json_t *list, const char *key)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item)
        if (text_width(s_scalar(ctx, json_object_get(item, key))) > CUT_BEHIND)
            return true;
    return false;
}

/* The members of the first item are the columns; later ones are the first to be left out. */
static void s_print_table(ctx_t *ctx, const json_t *list, size_t width, buf_t *into)
{
    table_column_t columns[COLUMNS_MOST] = {0};
    size_t n = 0, i;
    const char *key;
    json_t *value, *item;
    json_object_foreach(json_array_get(list, 0), key, value) {
        if (n == COLUMNS_MOST)
            break;
        columns[n] = (table_column_t){ .title = key, .right = json_is_number(value),
                                       .elastic = s_is_long(ctx, list, key),
                                       .rank = n < COLUMNS_KEPT ? 0 : (int)n };
        n++;
    }
    table_scoped table;
    table_init(&table, ctx, columns, n);
    json_array_foreach(list, i, item) {
        for (size_t at = 0; at < n; at++) {
            value = json_object_get(item, columns[at].title);
            table_add(&table, value ? s_scalar(ctx, value) : "");
        }
    }
    table_print(&table, width, into);
}

static void s_print_list(ctx_t *ctx, const char *key, const json_t *list, size_t width,
                         buf_t *into)
{
    size_t i;
    json_t *item;
    buf_addf(into, "\n%s (%zu)\n", key, json_array_size(list));
    if (json_is_object(json_array_get(list, 0))) {
        s_print_table(ctx, list, width, into);
        return;
    }
    json_array_foreach(list, i, item)
        buf_addf(into, "  %s\n", s_scalar(ctx, item));
}

static size_t s_widest(const json_t *root)
{
    const char *key;
    json_t *value;
    size_t wide = 0;
    json_object_foreach((json_t *)(uintptr_t)root, key, value)
        wide = !s_is_list(value) && strlen(key) > wide ? strlen(key) : wide;
    return wide;
}

static void s_print_members(ctx_t *ctx, const json_t *root, size_t indent, buf_t *into)
{
    const char *key;
    json_t *value;
    int wide = (int)s_widest(root);
    json_object_foreach((json_t *)(uintptr_t)root, key, value)
        if (!s_is_list(value) && (indent || !json_is_object(value)))
            buf_addf(into, "%*s%-*s  %s\n", (int)indent, "", wide, key, s_scalar(ctx, value));
}

void format_print(ctx_t *ctx, const json_t *root, size_t width, buf_t *into)
{
    const char *key;
    json_t *value;
    s_print_members(ctx, root, 0, into);
    json_object_foreach((json_t *)(uintptr_t)root, key, value) {
        if (json_is_object(value)) {
            buf_addf(into, "\n%s\n", key);
            s_print_members(ctx, value, 2, into);
        }
    }
    json_object_foreach((json_t *)(uintptr_t)root, key, value)
        if (s_is_list(value))
            s_print_list(ctx, key, value, width, into);
}
