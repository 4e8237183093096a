/* config - values, and the order in which they come in; see config.h
 *
 * One slot a key.  Later sources overwrite earlier ones, so a bad value is an
 * error even where a flag would have hidden it: it would bite at the next start.
 */
#include "core/base/config_int.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "core/base/limits.h"
#include "core/base/utf8.h"

typedef struct slot {
    char *text;                 /* as given; in keep's arena, like all here */
    char *where;
    config_source_t source;
    int64_t number;             /* CONFIG_INT, durations in ms, sizes in bytes, CONFIG_BOOL */
    double real;
    char **items;               /* CONFIG_LIST, [n_items] */
    size_t n_items;
} slot_t;

struct config {
    ctx_t keep;                 /* what the values live in */
    slot_t slots[];             /* [config_n_keys] */
};

/* --- one value ------------------------------------------------------------- */

typedef struct { const char *name; double factor; } unit_t;

static const unit_t s_durations[] = {
    { "ms", 1 }, { "s", 1e3 }, { "m", 60e3 }, { "min", 60e3 }, { "h", 3600e3 }, { "d", 86400e3 },
};
static const unit_t s_sizes[] = {          /* as Milvus reads them: always powers of 1024 */
    { "b", 1 }, { "k", 0x1p10 }, { "kb", 0x1p10 }, { "kib", 0x1p10 }, { "m", 0x1p20 },
    { "mb", 0x1p20 }, { "mib", 0x1p20 }, { "g", 0x1p30 }, { "gb", 0x1p30 }, { "gib", 0x1p30 },
    { "t", 0x1p40 }, { "tb", 0x1p40 }, { "tib", 0x1p40 },
};

static bool s_is_duration(config_type_t type)
{
    return type == CONFIG_MS || type == CONFIG_SECONDS;
}

static bool s_is_size(config_type_t type)
{
    return type == CONFIG_BYTES || type == CONFIG_MB;
}

/* What a bare number counts. */
static double s_bare_unit(config_type_t type)
{
    return type == CONFIG_SECONDS ? 1e3 : type == CONFIG_MB ? 0x1p20 : 1;
}

static bool s_find_unit(config_type_t type, const char *name, double *ret)
{
    const unit_t *units = s_is_duration(type) ? s_durations : s_sizes;
    size_t n = s_is_duration(type) ? ARRAY_LEN(s_durations) : ARRAY_LEN(s_sizes);
    for (size_t i = 0; i < n; i++) {
        bool same = s_is_size(type) ? strcasecmp(name, units[i].name) == 0
                                    : strcmp(name, units[i].name) == 0;
        if (same) {
            *ret = units[i].factor;
            return true;
        }
    }
    return false;
}

/* A decimal number and what follows it.  strtod alone would also take "inf", "nan", hex. */
static bool s_decimal(const char *text, double *ret, const char **ret_rest)
{
    size_t len = strspn(text, "+-0123456789.eE");
    char number[64];
    if (len == 0 || len >= sizeof number)
        return false;
    memcpy(number, text, len);
    number[len] = '\0';
    char *end = NULL;
    *ret = strtod(number, &end);
    if (end == number || !isfinite(*ret))
        return false;
    *ret_rest = text + (end - number);
    return true;
}

static bool s_in_range(const config_key_t *key, double value)
{
    return (key->min == 0 && key->max == 0) || (value >= key->min && value <= key->max);
}

static bool s_parse_number(const config_key_t *key, const char *text, slot_t *ret)
{
    double value = 0, unit = s_bare_unit(key->type);
    const char *rest = NULL;
    if (!s_decimal(text, &value, &rest))
        return false;
    bool has_units = s_is_duration(key->type) || s_is_size(key->type);
    while (has_units && *rest == ' ')
        rest++;
    if (*rest && (!has_units || !s_find_unit(key->type, rest, &unit)))
        return false;
    value *= unit;
    if (!s_in_range(key, value))
        return false;
    if (key->type == CONFIG_INT && value != floor(value))
        return false;
    ret->real = value;
    ret->number = value < 0 && has_units ? -1 : (int64_t)value;         /* -1: none, in any unit */
    return true;
}

static bool s_parse_bool(const char *text, slot_t *ret)
{
    static const char *const yes[] = { "true", "yes", "on", "1" };
    static const char *const no[] = { "false", "no", "off", "0" };
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            ret->number = strcasecmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

/* One of "a|b|c"?  Case does not count (LOG_LEVEL=DEBUG); the text takes the table's spelling. */
static bool s_is_allowed(const char *allowed, char *text)
{
    size_t len = strlen(text);
    if (len == 0 || strchr(text, '|'))
        return false;
    for (const char *at = allowed; at; at = strchr(at, '|'), at += at != NULL) {
        if (strncasecmp(at, text, len) == 0 && (at[len] == '|' || at[len] == '\0')) {
            memcpy(text, at, len);
            return true;
        }
    }
    return false;
}

/* Split at commas, blanks around items cut off; false for an empty item. */
static bool s_parse_list(ctx_t *keep, const char *text, slot_t *ret)
{
    size_t most = 1;
    for (const char *p = text; *p; p++)
        most += *p == ',';
    ret->items = ctx_try(keep, most * sizeof *ret->items);
    char *copy = ctx_try(keep, strlen(text) + 1);
    if (!ret->items || !copy)
        return false;
    memcpy(copy, text, strlen(text) + 1);
    if (copy[strspn(copy, " ")] == '\0')
        return true;                                    /* an empty list */
    for (char *item; (item = strsep(&copy, ",")) != NULL; ) {
        item += strspn(item, " ");
        size_t len = strlen(item);
        while (len && item[len - 1] == ' ')
            item[--len] = '\0';
        if (len == 0)
            return false;
        ret->items[ret->n_items++] = item;
    }
    return true;
}

/* UTF-8 that a YAML file can hold in quotes: no control characters (C1's too), nothing that
 * ends a line, no byte order mark.  What is printed reads back because of this. */
static bool s_is_one_line(const char *text)
{
    if (!utf8_ok(view_str(text)))
        return false;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool c1 = p[0] == 0xc2 && p[1] < 0xa0;
        bool line_end = p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9);
        bool mark = p[0] == 0xef && ((p[1] == 0xbb && p[2] == 0xbf) ||
                                     (p[1] == 0xbf && p[2] >= 0xbe));
        if (*p < ' ' || *p == 0x7f || c1 || line_end || mark)
            return false;
    }
    return true;
}

static bool s_parse(ctx_t *keep, const config_key_t *key, slot_t *ret)
{
    char *text = ret->text;
    switch (key->type) {
    case CONFIG_SECRET: return true;
    case CONFIG_TEXT:   return !key->allowed || s_is_allowed(key->allowed, text);
    case CONFIG_LIST:   return s_parse_list(keep, text, ret);
    case CONFIG_BOOL:   return s_parse_bool(text, ret);
    case CONFIG_INT: case CONFIG_REAL: case CONFIG_MS: case CONFIG_SECONDS: case CONFIG_BYTES:
    case CONFIG_MB:     return s_parse_number(key, text, ret);
    }
    check(false);
    return false;
}

static char *s_keep(ctx_t *keep, const char *text)
{
    size_t len = strlen(text) + 1;
    char *copy = ctx_try(keep, len);
    return copy ? memcpy(copy, text, len) : NULL;
}

static err_t s_refuse(ctx_t *ctx, const config_key_t *key, const char *text, const char *where)
{
    if (key->type == CONFIG_SECRET)
        return ctx_fail(ctx, ERR_CONFIG, "%s: %s: the secret is not UTF-8 of one line, or is "
                        "longer than %d bytes", where, key->name, LIMIT_CONFIG_VALUE_BYTES);
    return ctx_fail(ctx, ERR_CONFIG, "%s: %s: \"%.60s\"%s is not %s", where, key->name, text,
                    strlen(text) > 60 ? "…" : "", config_expected(ctx, key));
}

err_t config_set(ctx_t *ctx, config_t *self, int index, const char *text, config_source_t source,
                 const char *where)
{
    check(index >= 0 && (size_t)index < config_n_keys);
    const config_key_t *key = &config_keys[index];
    if (strlen(text) > LIMIT_CONFIG_VALUE_BYTES || !s_is_one_line(text))
        return s_refuse(ctx, key, text, where);
    ctx_clear(&self->keep);
    slot_t slot = { .source = source };
    slot.text = s_keep(&self->keep, text);
    slot.where = s_keep(&self->keep, where);
    bool parsed = slot.text && s_parse(&self->keep, key, &slot);
    if (!slot.text || !slot.where || (key->type == CONFIG_LIST && !slot.items))
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the configuration");
    if (!parsed)
        return s_refuse(ctx, key, text, where);
    self->slots[index] = slot;
    return OK;
}

int config_find(const char *name)
{
    for (size_t i = 0; i < config_n_keys; i++)
        if (strcmp(config_keys[i].name, name) == 0)
            return (int)i;
    return -1;
}

config_source_t config_source(const config_t *self, int key) { return self->slots[key].source; }
const char *config_text(const config_t *self, int key)       { return self->slots[key].text; }

/* --- sources --------------------------------------------------------------- */

static err_t s_set_defaults(ctx_t *ctx, config_t *self, const config_pair_t *own)
{
    for (size_t i = 0; i < config_n_keys; i++)
        TRY(config_set(ctx, self, (int)i, config_keys[i].def, FROM_TABLE, "default"));
    for (; own && own->name; own++) {
        int key = config_find(own->name);
        check(key >= 0);
        TRY(config_set(ctx, self, key, own->value, FROM_PROGRAM, "default"));
    }
    return OK;
}

/* NAME of "NAME=value" against a key: exact is ETCD_ROOTPATH; otherwise any '_' may be there
 * or not and case does not matter.  Returns the value, NULL when it is another name. */
static const char *s_env_value(const char *entry, const char *name, bool exact)
{
    while (*entry && *entry != '=') {
        if (!exact && (*entry == '_' || *name == '.' || *name == '_')) {
            if (*entry == '_')
                entry++;
            else
                name++;
            continue;
        }
        int want = *name == '.' ? '_' : *name >= 'a' && *name <= 'z' ? *name - 32 : *name;
        int got = !exact && *entry >= 'a' && *entry <= 'z' ? *entry - 32 : *entry;
        if (want != got)
            return NULL;
        entry++;
        name++;
    }
    return *entry == '=' && *name == '\0' ? entry + 1 : NULL;
}

/* Kubernetes announces a service called minio as MINIO_PORT=tcp://10.0.0.7:9000: not for us. */
static bool s_is_service_link(const config_key_t *key, const char *value)
{
    return key->type == CONFIG_INT &&
           (strncmp(value, "tcp://", 6) == 0 || strncmp(value, "udp://", 6) == 0);
}

static const char *s_find_env(const char *const *env, const config_key_t *key, const char *name,
                              bool exact, const char **ret_entry)
{
    for (; *env; env++) {
        const char *value = s_env_value(*env, name, exact);
        if (value && *value && !s_is_service_link(key, value)) {
            *ret_entry = *env;
            return value;
        }
    }
    return NULL;
}

static err_t s_read_env(ctx_t *ctx, config_t *self, const char *const *env)
{
    for (size_t i = 0; i < config_n_keys; i++) {
        const config_key_t *key = &config_keys[i];
        const char *entry = NULL;
        const char *value = s_find_env(env, key, key->name, true, &entry);
        if (!value)
            value = s_find_env(env, key, key->name, false, &entry);
        if (!value && key->env)
            value = s_find_env(env, key, key->env, true, &entry);
        if (!value)
            continue;
        const char *where = ctx_printf(ctx, "environment %.*s", (int)strcspn(entry, "="), entry);
        TRY(config_set(ctx, self, (int)i, value, FROM_ENV, where));
    }
    return OK;
}

typedef struct {
    char *name;                 /* without dashes and value; in ctx's arena */
    const char *value;          /* NULL: none was given */
    int n_args;                 /* it took up, 1 or 2 */
} flag_t;

static err_t s_split_flag(ctx_t *ctx, int argc, char *const *argv, flag_t *ret)
{
    if (strncmp(argv[0], "--", 2) != 0 || argv[0][2] == '\0' || argv[0][2] == '=')
        return ctx_fail(ctx, ERR_CONFIG, "%.80s: expected --KEY VALUE", argv[0]);
    flag_t flag = { .name = ctx_strdup(ctx, argv[0] + 2), .n_args = 1 };
    char *equals = strchr(flag.name, '=');
    if (equals) {
        *equals = '\0';
        flag.value = equals + 1;
    } else if (argc > 1 && strncmp(argv[1], "--", 2) != 0) {
        flag.value = argv[1];
        flag.n_args = 2;
    }
    *ret = flag;
    return OK;
}

static const char *s_long_name(const config_pair_t *flags, const char *name)
{
    for (; flags && flags->name; flags++)
        if (strcmp(flags->name, name) == 0)
            return flags->value;
    return name;
}

static err_t s_read_flag(ctx_t *ctx, config_t *self, const flag_t *flag, const config_pair_t *flags)
{
    const char *where = ctx_printf(ctx, "--%.100s", flag->name);
    int key = config_find(s_long_name(flags, flag->name));
    if (key < 0)
        return config_unknown_flag(ctx, where, flags);
    const char *value = flag->value;
    if (!value && config_keys[key].type == CONFIG_BOOL)
        value = "true";
    if (!value)
        return ctx_fail(ctx, ERR_CONFIG, "%s needs a value: %s", where,
                        config_expected(ctx, &config_keys[key]));
    return config_set(ctx, self, key, value, FROM_FLAG, where);
}

static err_t s_read_flags(ctx_t *ctx, config_t *self, int argc, char *const *argv,
                          const config_pair_t *flags)
{
    flag_t flag = {0};
    for (int i = 0; i < argc; i += flag.n_args) {
        TRY(s_split_flag(ctx, argc - i, argv + i, &flag));
        if (strcmp(flag.name, "config") != 0)
            TRY(s_read_flag(ctx, self, &flag, flags));
    }
    return OK;
}

/* The file's path from --config or ELANUS_CONFIG; NULL when there is none. */
static err_t s_find_file(ctx_t *ctx, int argc, char *const *argv, const char *const *env,
                         const char **ret)
{
    for (; *env; env++)
        if (strncmp(*env, "ELANUS_CONFIG=", 14) == 0 && (*env)[14])
            *ret = *env + 14;
    flag_t flag = {0};
    for (int i = 0; i < argc; i += flag.n_args) {
        TRY(s_split_flag(ctx, argc - i, argv + i, &flag));
        if (strcmp(flag.name, "config") != 0)
            continue;
        if (!flag.value || !*flag.value)
            return ctx_fail(ctx, ERR_CONFIG, "--config needs a value: the path of a YAML file");
        *ret = flag.value;
    }
    return OK;
}

/* --- what hangs together --------------------------------------------------- */

/* Milvus's compose file gives MINIO_ADDRESS=minio:9000: then the port is there. */
static err_t s_settle_minio(ctx_t *ctx, config_t *self)
{
    int address = config_find("minio.address"), port = config_find("minio.port");
    const slot_t *slot = &self->slots[address];
    const char *colon = strrchr(slot->text, ':');
    bool bare_v6 = colon && slot->text[0] != '[' && strchr(slot->text, ':') != colon;
    if (!colon || bare_v6 || (slot->text[0] == '[' && colon[-1] != ']'))
        return OK;
    char *host = ctx_strdup(ctx, slot->text);
    host[colon - slot->text] = '\0';
    const char *digits = ctx_strdup(ctx, colon + 1), *where = ctx_strdup(ctx, slot->where);
    config_source_t source = slot->source;
    if (!*host || !*digits || strspn(digits, "0123456789") != strlen(digits) || strchr(host, '/'))
        return ctx_fail(ctx, ERR_CONFIG, "%s: minio.address: \"%.60s\" is not HOST or HOST:PORT",
                        where, slot->text);
    TRY(config_set(ctx, self, port, digits, source, where));
    return config_set(ctx, self, address, host, source, where);
}

err_t config_load(ctx_t *ctx, int argc, char *const *argv, const config_program_t *program,
                  config_t **ret)
{
    check(ret && *ret == NULL);
    static const config_program_t none = {0};
    const config_program_t *with = program ? program : &none;
    const char *const *env = with->env ? with->env : (const char *const *)environ;

    owned(config) self = mem_new(sizeof *self + config_n_keys * sizeof self->slots[0]);
    ctx_init(&self->keep);
    TRY(s_set_defaults(ctx, self, with->defaults));
    const char *file = NULL;
    TRY(s_find_file(ctx, argc, argv, env, &file));
    if (file)
        TRY(config_read_file(ctx, self, file));
    TRY(s_read_env(ctx, self, env));
    TRY(s_read_flags(ctx, self, argc, argv, with->flags));
    TRY(s_settle_minio(ctx, self));
    *ret = take(self);
    return OK;
}

void config_destroy(config_t **self_p)
{
    config_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < config_n_keys; i++)
        if (config_keys[i].type == CONFIG_SECRET && self->slots[i].text)
            explicit_bzero(self->slots[i].text, strlen(self->slots[i].text));
    ctx_fini(&self->keep);
    mem_free(self);
    *self_p = NULL;
}

/* --- reading --------------------------------------------------------------- */

static const slot_t *s_slot(const config_t *self, const char *name, unsigned types)
{
    int key = config_find(name);
    check(key >= 0);
    check(types & (1u << config_keys[key].type));
    return &self->slots[key];
}

enum {
    TEXTS = 1 << CONFIG_TEXT | 1 << CONFIG_SECRET,
    WHOLE = 1 << CONFIG_INT | 1 << CONFIG_MS | 1 << CONFIG_SECONDS | 1 << CONFIG_BYTES |
            1 << CONFIG_MB,
    ANY = (1 << (CONFIG_MB + 1)) - 1,
};

const char *config_str(const config_t *self, const char *key)
{
    return s_slot(self, key, TEXTS)->text;
}

int64_t config_int(const config_t *self, const char *key)
{
    return s_slot(self, key, WHOLE)->number;
}

double config_real(const config_t *self, const char *key)
{
    return s_slot(self, key, 1 << CONFIG_REAL)->real;
}

bool config_bool(const config_t *self, const char *key)
{
    return s_slot(self, key, 1 << CONFIG_BOOL)->number != 0;
}

size_t config_list_len(const config_t *self, const char *key)
{
    return s_slot(self, key, 1 << CONFIG_LIST)->n_items;
}

const char *config_list_at(const config_t *self, const char *key, size_t i)
{
    const slot_t *slot = s_slot(self, key, 1 << CONFIG_LIST);
    check(i < slot->n_items);
    return slot->items[i];
}

bool config_given(const config_t *self, const char *key)
{
    return s_slot(self, key, ANY)->source != FROM_TABLE;
}

const char *config_where(const config_t *self, const char *key)
{
    return s_slot(self, key, ANY)->where;
}

bool config_next(const config_t *self, size_t *at, const char **ret_key, const char **ret_value)
{
    if (*at == config_n_keys)
        return false;
    const config_key_t *key = &config_keys[*at];
    const char *text = self->slots[*at].text;
    *ret_key = key->name;
    *ret_value = key->type == CONFIG_SECRET && *text ? "***" : text;
    ++*at;
    return true;
}
