/* show - see show.h */
#include "cli/show.h"

#include <stdio.h>
#include <time.h>

const char *show_bytes(ctx_t *ctx, double bytes)
{
    static const char *const s_units[] = { "B", "KB", "MB", "GB", "TB", "PB" };
    size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < ARRAY_LEN(s_units)) {
        bytes /= 1024;
        unit++;
    }
    return ctx_printf(ctx, unit ? "%.1f %s" : "%.0f %s", bytes, s_units[unit]);
}

const char *show_took(ctx_t *ctx, int64_t us)
{
    if (us < 1000)
        return ctx_printf(ctx, "%lld us", (long long)us);
    if (us < 1000000)
        return ctx_printf(ctx, "%.1f ms", (double)us / 1e3);
    return ctx_printf(ctx, "%.2f s", (double)us / 1e6);
}

const char *show_age(ctx_t *ctx, int64_t ms)
{
    static const struct { int64_t ms; const char *unit; } s_units[] = {
        { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" },
    };
    for (size_t i = 0; i < ARRAY_LEN(s_units); i++)
        if (ms >= 2 * s_units[i].ms)
            return ctx_printf(ctx, "%lld %s", (long long)(ms / s_units[i].ms), s_units[i].unit);
    return ctx_printf(ctx, "%.1f s", (double)(ms > 0 ? ms : 0) / 1000);
}

static const char *s_time(ctx_t *ctx, int64_t us, const char *format)
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm parts;
    char text[64];
    if (us < 0 || !localtime_r(&seconds, &parts) ||
        strftime(text, sizeof text, format, &parts) == 0)
        return ctx_printf(ctx, "%lld us", (long long)us);
    return ctx_printf(ctx, "%s.%03d", text, (int)(us / 1000 % 1000));
}

const char *show_clock(ctx_t *ctx, int64_t us)
{
    return s_time(ctx, us, "%H:%M:%S");
}

const char *show_date(ctx_t *ctx, int64_t us)
{
    return s_time(ctx, us, "%Y-%m-%d %H:%M:%S");
}

const char *show_ts(ctx_t *ctx, uint64_t ts)
{
    return ctx_printf(ctx, "%s +%llu", show_date(ctx, (int64_t)(ts >> 18) * 1000),
                      (unsigned long long)(ts & ((1u << 18) - 1)));
}

const char *show_hex(ctx_t *ctx, view_t bytes, size_t most)
{
    size_t n = bytes.len > most ? most : bytes.len;
    buf_scoped text = {0};
    for (size_t i = 0; i < n; i++)
        buf_addf(&text, "%02x", bytes.ptr[i]);
    if (n < bytes.len)
        buf_add_str(&text, "…");
    return ctx_strdup(ctx, text.len ? buf_str(&text) : "");
}

/* --- members --------------------------------------------------------------------------- */

const char *show_text(const json_t *item, const char *key)
{
    const char *text = json_string_value(json_object_get(item, key));
    return text ? text : "";
}

double show_real(const json_t *item, const char *key, double none)
{
    const json_t *value = json_object_get(item, key);
    return json_is_number(value) ? json_number_value(value) : none;
}

int64_t show_int(const json_t *item, const char *key, int64_t none)
{
    const json_t *value = json_object_get(item, key);
    return json_is_integer(value) ? json_integer_value(value)
         : json_is_real(value) ? (int64_t)json_real_value(value) : none;
}

bool show_known(const json_t *item, const char *key)
{
    const json_t *value = json_object_get(item, key);
    return value && !json_is_null(value);
}

const char *show_count_of(ctx_t *ctx, const json_t *item, const char *key)
{
    return json_is_number(json_object_get(item, key))
        ? ctx_printf(ctx, "%lld", (long long)show_int(item, key, 0)) : "-";
}

const char *show_bytes_of(ctx_t *ctx, const json_t *item, const char *key)
{
    return json_is_number(json_object_get(item, key))
        ? show_bytes(ctx, show_real(item, key, 0)) : "-";
}

const char *show_tenths_of(ctx_t *ctx, const json_t *item, const char *key)
{
    return show_known(item, key) ? ctx_printf(ctx, "%.1f", show_real(item, key, 0)) : "-";
}

const char *show_position(ctx_t *ctx, const json_t *position)
{
    return json_is_object(position)
        ? ctx_printf(ctx, "%lld/%lld", (long long)show_int(position, "epoch", 0),
                     (long long)show_int(position, "seq", 0)) : "-";
}

static int s_add(const char *text, size_t len, void *arg)
{
    buf_add(arg, text, len);
    return buf_ok(arg) ? 0 : -1;
}

void show_json(const json_t *root, size_t json_flags, buf_t *into)
{
    check(json_dump_callback(root, s_add, into, json_flags | JSON_ENCODE_ANY) == 0);
    buf_add_str(into, "\n");
}

bool show_out(buf_t *text)
{
    bool good = text->len == 0 || fwrite(text->ptr, text->len, 1, stdout) == 1;
    good = fflush(stdout) == 0 && good;
    buf_reset(text);
    return good;
}
