/* config_text - what config says to people: errors, proposals, the printed file */
#include "core/base/config_int.h"

#include <stdio.h>
#include <strings.h>

/* --- what a key takes ------------------------------------------------------ */

static const char *s_amount(ctx_t *ctx, config_type_t type, double v)
{
    static const struct { const char *name; double factor; } ms[] = {
        { "d", 86400e3 }, { "h", 3600e3 }, { "m", 60e3 }, { "s", 1e3 } };
    static const struct { const char *name; double factor; } bytes[] = {
        { "TB", 0x1p40 }, { "GB", 0x1p30 }, { "MB", 0x1p20 }, { "KB", 0x1p10 } };
    bool duration = type == CONFIG_MS || type == CONFIG_SECONDS;
    bool size = type == CONFIG_BYTES || type == CONFIG_MB;
    if ((duration || size) && v < 0)
        return "-1";
    for (size_t i = 0; (duration || size) && i < 4; i++) {
        double factor = duration ? ms[i].factor : bytes[i].factor;
        const char *name = duration ? ms[i].name : bytes[i].name;
        if (v >= factor && v / factor == (double)(int64_t)(v / factor))
            return ctx_printf(ctx, "%.0f%s", v / factor, name);
    }
    return ctx_printf(ctx, "%.15g%s", v, duration && v ? "ms" : "");
}

static const char *s_range(ctx_t *ctx, const config_key_t *key)
{
    if (key->min == 0 && key->max == 0)
        return "";
    return ctx_printf(ctx, " from %s to %s", s_amount(ctx, key->type, key->min),
                      s_amount(ctx, key->type, key->max));
}

const char *config_expected(ctx_t *ctx, const config_key_t *key)
{
    switch (key->type) {
    case CONFIG_TEXT:    return key->allowed ? ctx_printf(ctx, "one of %s", key->allowed)
                                             : "a text of one line";
    case CONFIG_SECRET:  return "a secret";
    case CONFIG_LIST:    return "a list: A, B, C";
    case CONFIG_BOOL:    return "true or false";
    case CONFIG_INT:     return ctx_printf(ctx, "a whole number%s", s_range(ctx, key));
    case CONFIG_REAL:    return ctx_printf(ctx, "a number%s", s_range(ctx, key));
    case CONFIG_MS:      return ctx_printf(ctx, "a duration%s, such as 500ms, 5s or 10m (a number "
                                                "alone counts milliseconds)", s_range(ctx, key));
    case CONFIG_SECONDS: return ctx_printf(ctx, "a duration%s, such as 500ms, 5s or 10m (a number "
                                                "alone counts seconds)", s_range(ctx, key));
    case CONFIG_BYTES:   return ctx_printf(ctx, "a size%s, such as 512KB or 64MB (a number alone "
                                                "counts bytes)", s_range(ctx, key));
    case CONFIG_MB:      return ctx_printf(ctx, "a size%s, such as 512KB or 64MB (a number alone "
                                                "counts MB)", s_range(ctx, key));
    }
    check(false);
    return "";
}

const char *config_env_name(ctx_t *ctx, const config_key_t *key)
{
    char *name = ctx_strdup(ctx, key->name);
    for (char *p = name; *p; p++)
        *p = *p == '.' ? '_' : *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
    return name;
}

/* --- did you mean ---------------------------------------------------------- */

enum { MOST_NAME = 80 };

static char s_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Steps from a to b: insert, delete, change, swap neighbours (optimal string alignment).
 * Case does not count. */
static int s_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int rows[3][MOST_NAME + 1];
    if (a_len > MOST_NAME || b_len > MOST_NAME)
        return MOST_NAME;
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = (int)j;
    for (size_t i = 1; i <= a_len; i++) {
        int *now = rows[i % 3], *up = rows[(i + 2) % 3], *two_up = rows[(i + 1) % 3];
        now[0] = (int)i;
        for (size_t j = 1; j <= b_len; j++) {
            char x = s_lower(a[i - 1]), y = s_lower(b[j - 1]);
            int best = up[j - 1] + (x != y);
            best = up[j] + 1 < best ? up[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && x == s_lower(b[j - 2]) && y == s_lower(a[i - 2]) &&
                two_up[j - 2] + 1 < best)
                best = two_up[j - 2] + 1;
            now[j] = best;
        }
    }
    return rows[a_len % 3][b_len];
}

/* Length of the first `parts` dotted parts of name; 0 when it has fewer. */
static size_t s_parts_len(const char *name, size_t parts)
{
    const char *at = name;
    for (; parts > 1; parts--) {
        at = strchr(at, '.');
        if (!at)
            return 0;
        at++;
    }
    const char *end = strchr(at, '.');
    return end ? (size_t)(end - name) : strlen(name);
}

static const char *s_last_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

static size_t s_count_parts(const char *name)
{
    size_t parts = 1;
    for (; *name; name++)
        parts += *name == '.';
    return parts;
}

/* Distances from here on are no likeness any more: a letter or two, more in long names. */
static int s_too_far(const char *name)
{
    size_t len = strlen(name);
    return len < 8 ? 2 : len < 16 ? 3 : len < 32 ? 4 : 5;
}

static const char *s_nearest_flag(const char *name, const config_pair_t *flags, int *nearest)
{
    const char *best = NULL;
    for (; flags && flags->name; flags++) {
        int distance = s_distance(name, strlen(name), flags->name, strlen(flags->name));
        if (distance < *nearest) {
            *nearest = distance;
            best = flags->name;
        }
    }
    return best;
}

/* parts: compare with that many parts of each key (a section then); 0: with whole keys. */
static const char *s_nearest_key(ctx_t *ctx, const char *name, size_t parts, int *nearest)
{
    const char *best = NULL;
    size_t best_len = 0;
    for (size_t i = 0; i < config_n_keys; i++) {
        const char *key = config_keys[i].name;
        size_t len = parts ? s_parts_len(key, parts) : strlen(key);
        int distance = len ? s_distance(name, strlen(name), key, len) : MOST_NAME;
        if (distance < *nearest) {
            *nearest = distance;
            best = key;
            best_len = len;
        }
    }
    return best ? ctx_printf(ctx, "%.*s", (int)best_len, best) : NULL;
}

/* The right word in the wrong section, if only one key ends in it. */
static const char *s_same_ending(const char *name)
{
    const char *best = NULL;
    for (size_t i = 0; i < config_n_keys; i++) {
        if (strcasecmp(s_last_part(name), s_last_part(config_keys[i].name)) != 0)
            continue;
        if (best)
            return NULL;
        best = config_keys[i].name;
    }
    return best;
}

err_t config_unknown(ctx_t *ctx, const char *where, const char *name)
{
    int nearest = s_too_far(name);
    const char *proposal = s_nearest_key(ctx, name, s_count_parts(name), &nearest);
    if (!proposal)
        proposal = s_same_ending(name);
    if (!proposal)
        return ctx_fail(ctx, ERR_CONFIG, "%s: unknown key %s; `elanus config` lists all keys",
                        where, name);
    return ctx_fail(ctx, ERR_CONFIG, "%s: unknown key %s; did you mean %s?", where, name, proposal);
}

err_t config_unknown_flag(ctx_t *ctx, const char *dashed, const config_pair_t *flags)
{
    const char *name = dashed + 2;
    int nearest = s_too_far(name);
    const char *proposal = s_nearest_flag(name, flags, &nearest);
    const char *key = s_nearest_key(ctx, name, 0, &nearest);
    proposal = key ? key : proposal ? proposal : s_same_ending(name);
    if (!proposal)
        return ctx_fail(ctx, ERR_CONFIG, "unknown flag %s; `elanus config` lists all keys", dashed);
    return ctx_fail(ctx, ERR_CONFIG, "unknown flag %s; did you mean --%s?", dashed, proposal);
}

/* --- the printed file ------------------------------------------------------ */

static const char *s_kind(ctx_t *ctx, const config_key_t *key)
{
    switch (key->type) {
    case CONFIG_TEXT:    return key->allowed ? key->allowed : "text";
    case CONFIG_SECRET:  return "secret";
    case CONFIG_LIST:    return "list";
    case CONFIG_BOOL:    return "true|false";
    case CONFIG_INT:     return ctx_printf(ctx, "number%s", s_range(ctx, key));
    case CONFIG_REAL:    return ctx_printf(ctx, "fraction%s", s_range(ctx, key));
    case CONFIG_MS:      return ctx_printf(ctx, "duration in ms%s", s_range(ctx, key));
    case CONFIG_SECONDS: return ctx_printf(ctx, "duration in s%s", s_range(ctx, key));
    case CONFIG_BYTES:   return ctx_printf(ctx, "size in bytes%s", s_range(ctx, key));
    case CONFIG_MB:      return ctx_printf(ctx, "size in MB%s", s_range(ctx, key));
    }
    check(false);
    return "";
}

/* May the text stand in YAML without quotes, and come back as the same text? */
static bool s_is_plain(const char *text)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    static const char *const words[] = { "null", "Null", "NULL" };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(text, words[i]) == 0)
            return false;
    size_t len = strlen(text);
    if (len == 0 || text[0] == '.' || (text[0] == '-' && (text[1] < '0' || text[1] > '9')))
        return false;
    for (size_t i = 0; i < len; i++) {
        bool inner_colon = text[i] == ':' && i > 0 && i + 1 < len;
        if (!inner_colon && strchr(safe, text[i]) == NULL)
            return false;
    }
    return true;
}

static void s_print_scalar(buf_t *into, const char *text)
{
    if (s_is_plain(text)) {
        buf_add_str(into, text);
        return;
    }
    buf_add_u8(into, '"');
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\')
            buf_add_u8(into, '\\');
        buf_add_u8(into, (uint8_t)*p);
    }
    buf_add_u8(into, '"');
}

static void s_indent(buf_t *into, size_t depth)
{
    buf_addf(into, "%*s", (int)depth * 2, "");
}

/* Open the sections that name is in and the key before it was not; returns the depth. */
static size_t s_print_sections(buf_t *into, const char *before, const char *name)
{
    size_t depth = 0;
    bool same = true;
    for (const char *dot; (dot = strchr(name, '.')) != NULL; name = dot + 1, depth++) {
        size_t len = (size_t)(dot - name) + 1;
        same = same && strncmp(before, name, len) == 0;
        before = same ? before + len : "";
        if (same)
            continue;
        if (depth == 0)
            buf_add_str(into, "\n");
        s_indent(into, depth);
        buf_add(into, name, len - 1);
        buf_add_str(into, ":\n");
    }
    return depth;
}

static void s_print_key(const config_t *self, ctx_t *scratch, int index, size_t depth, buf_t *into)
{
    const config_key_t *key = &config_keys[index];
    bool secret = key->type == CONFIG_SECRET;
    s_indent(into, depth);
    buf_addf(into, "# %s\n", key->meaning);
    s_indent(into, depth);
    buf_addf(into, "# %s, default %s, env %s%s%s\n", s_kind(scratch, key),
             !*key->def ? "empty" : secret ? "built in" : key->def, config_env_name(scratch, key),
             key->env ? " or " : "", key->env ? key->env : "");
    s_indent(into, depth);
    buf_addf(into, "%s%s: ", secret ? "# " : "", s_last_part(key->name));
    s_print_scalar(into, !secret ? config_text(self, index)
                                 : *config_text(self, index) ? "***" : "");
    if (config_source(self, index) != FROM_TABLE)
        buf_addf(into, "    # from %s", config_source(self, index) == FROM_PROGRAM
                                        ? "this program" : config_where(self, key->name));
    buf_add_str(into, "\n");
}

void config_print(const config_t *self, buf_t *into)
{
    ctx_t scratch;
    ctx_init(&scratch);
    buf_add_str(into,
                "# Elanus: every key with its present value.  Keep what you change.\n"
                "# A flag (--KEY VALUE) beats the environment, which beats this file.\n"
                "# Durations take ms s m h d, sizes KB MB GB TB.\n");
    const char *before = "";
    for (size_t i = 0; i < config_n_keys; i++) {
        size_t depth = s_print_sections(into, before, config_keys[i].name);
        s_print_key(self, &scratch, (int)i, depth, into);
        before = config_keys[i].name;
    }
    ctx_fini(&scratch);
}

void config_print_flags(const config_program_t *program, buf_t *into)
{
    for (const config_pair_t *flag = program->flags; flag && flag->name; flag++) {
        int key = config_find(flag->value);
        check(key >= 0);
        buf_addf(into, "  --%-12s %s (%s)\n", flag->name, config_keys[key].meaning, flag->value);
    }
    buf_addf(into, "  --%-12s %s\n", "config", "YAML file with any of the keys (ELANUS_CONFIG)");
    buf_addf(into, "  --%-12s %s\n", "KEY", "any key that `elanus config` lists");
}
