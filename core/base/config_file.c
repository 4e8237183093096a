/* config_file - the YAML file, by libyaml's events
 *
 * The walk keeps the path of keys it is in ("proxy.http") and knows whether
 * a key or a value comes next; depth is bounded, nothing recurses.  What a
 * configuration has no use for and what makes YAML files surprising (anchors,
 * aliases, tags, several documents) is refused by name.  An empty value
 * (`port:`, `~`, `null`) leaves the key as it was.
 */
#include "core/base/config_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "core/base/fault.h"
#include "core/base/limits.h"

typedef struct reader {
    ctx_t *ctx;
    config_t *config;
    const char *file;
    char path[LIMIT_CONFIG_DEPTH * 64];
    size_t starts[LIMIT_CONFIG_DEPTH + 1];  /* where each open mapping's own part of path begins */
    size_t depth;                           /* open mappings */
    bool want_value;                        /* path is a whole name, its value comes next */
    bool in_list;
    bool done;                              /* the document has ended */
    yaml_mark_t key_mark, list_mark;
    buf_t list;                             /* items of a sequence, comma-separated */
} reader_t;

static const char *s_at(reader_t *r, yaml_mark_t mark)
{
    return ctx_printf(r->ctx, "%s:%zu:%zu", r->file, mark.line + 1, mark.column + 1);
}

static err_t s_fail(reader_t *r, yaml_mark_t mark, const char *why)
{
    return ctx_fail(r->ctx, ERR_CONFIG, "%s: %s", s_at(r, mark), why);
}

/* --- the path -------------------------------------------------------------- */

static err_t s_push_key(reader_t *r, yaml_mark_t mark, view_t name)
{
    size_t at = r->starts[r->depth];
    if (name.len == 0 || name.len >= 64 || at + name.len + 2 > sizeof r->path)
        return s_fail(r, mark, "a key is empty or too long");
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] <= ' ' || name.ptr[i] >= 0x7f)
            return s_fail(r, mark, "a key has a blank or a strange character");
    memcpy(r->path + at, name.ptr, name.len);
    r->path[at + name.len] = '\0';
    r->want_value = true;
    r->key_mark = mark;
    return OK;
}

static void s_pop_key(reader_t *r)
{
    r->path[r->starts[r->depth]] = '\0';
    r->want_value = false;
}

/* Is path the beginning of some key's name, a dot following? */
static bool s_is_section(const char *path)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < config_n_keys; i++)
        if (strncmp(config_keys[i].name, path, len) == 0 && config_keys[i].name[len] == '.')
            return true;
    return false;
}

static const char *s_example(const char *section)
{
    size_t len = strlen(section);
    for (size_t i = 0; i < config_n_keys; i++)
        if (strncmp(config_keys[i].name, section, len) == 0)
            return config_keys[i].name;
    return "";
}

/* --- values ---------------------------------------------------------------- */

static err_t s_find_key(reader_t *r, int *ret)
{
    int key = config_find(r->path);
    if (key >= 0) {
        *ret = key;
        return OK;
    }
    const char *at = s_at(r, r->key_mark);
    if (s_is_section(r->path))
        return ctx_fail(r->ctx, ERR_CONFIG, "%s: %s is a section; it holds keys such as %s", at,
                        r->path, s_example(r->path));
    return config_unknown(r->ctx, at, r->path);
}

static err_t s_set_value(reader_t *r, yaml_mark_t mark, const char *text)
{
    int key = -1;
    TRY(s_find_key(r, &key));
    if (config_source(r->config, key) == FROM_FILE)
        return ctx_fail(r->ctx, ERR_CONFIG, "%s: %s is there twice, first at %s",
                        s_at(r, r->key_mark), r->path, config_where(r->config, r->path));
    TRY(config_set(r->ctx, r->config, key, text, FROM_FILE, s_at(r, mark)));
    s_pop_key(r);
    return OK;
}

static bool s_is_null(const yaml_event_t *event)
{
    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
    for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
        if (strcmp((const char *)event->data.scalar.value, nulls[i]) == 0)
            return true;
    return false;
}

static err_t s_list_item(reader_t *r, const yaml_event_t *event, const char *text)
{
    if (s_is_null(event) || strchr(text, ','))
        return s_fail(r, event->start_mark, "a list item is empty or has a comma");
    if (r->list.len)
        buf_add_str(&r->list, ",");
    buf_add_str(&r->list, text);
    if (!buf_ok(&r->list))
        return ctx_fail(r->ctx, ERR_CONFIG, "%s: the list is longer than %d bytes, or there is no "
                        "memory for it", s_at(r, event->start_mark), LIMIT_CONFIG_VALUE_BYTES);
    return OK;
}

static err_t s_on_scalar(reader_t *r, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    yaml_mark_t mark = event->start_mark;
    if (strlen(text) != event->data.scalar.length)
        return s_fail(r, mark, "a value has a NUL character");
    if (r->in_list)
        return s_list_item(r, event, text);
    if (r->depth == 0)
        return s_is_null(event) ? OK : s_fail(r, mark, "expected KEY: VALUE");
    if (!r->want_value)
        return s_push_key(r, mark, view_str(text));
    if (!s_is_null(event))
        return s_set_value(r, mark, text);
    if (!s_is_section(r->path)) {
        int key = -1;
        TRY(s_find_key(r, &key));
    }
    s_pop_key(r);
    return OK;
}

/* --- structure ------------------------------------------------------------- */

static err_t s_on_mapping(reader_t *r, yaml_mark_t mark)
{
    if (r->in_list || (r->depth && !r->want_value))
        return s_fail(r, mark, "expected a text here, not a mapping");
    if (r->depth == LIMIT_CONFIG_DEPTH)
        return s_fail(r, mark, "nested too deep");
    if (r->depth && !s_is_section(r->path)) {
        int key = -1;
        TRY(s_find_key(r, &key));
        return ctx_fail(r->ctx, ERR_CONFIG, "%s: %s takes %s, not keys below it", s_at(r, mark),
                        r->path, config_expected(r->ctx, &config_keys[key]));
    }
    size_t len = strlen(r->path);
    if (r->depth)
        r->path[len++] = '.';                   /* s_push_key left room */
    r->path[len] = '\0';
    r->starts[++r->depth] = len;
    r->want_value = false;
    return OK;
}

static void s_on_mapping_end(reader_t *r)
{
    check(r->depth > 0 && !r->want_value);
    r->depth--;
    s_pop_key(r);
}

static err_t s_on_sequence(reader_t *r, yaml_mark_t mark)
{
    if (r->depth == 0 || !r->want_value || r->in_list)
        return s_fail(r, mark, r->in_list ? "a list in a list" : "expected KEY: VALUE, not a list");
    int key = -1;
    TRY(s_find_key(r, &key));
    if (config_keys[key].type != CONFIG_LIST)
        return ctx_fail(r->ctx, ERR_CONFIG, "%s: %s takes %s, not a list", s_at(r, mark), r->path,
                        config_expected(r->ctx, &config_keys[key]));
    r->in_list = true;
    r->list_mark = mark;
    buf_reset(&r->list);
    return OK;
}

static err_t s_on_sequence_end(reader_t *r)
{
    r->in_list = false;
    return s_set_value(r, r->list_mark, buf_str(&r->list));
}

/* Anchors and tags may hang on any node. */
static err_t s_refuse_decoration(reader_t *r, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    }
    if (anchor || event->type == YAML_ALIAS_EVENT)
        return s_fail(r, event->start_mark, "anchors and aliases (&x, *x) are not read here; "
                                            "write the value out");
    if (tag)
        return s_fail(r, event->start_mark, "tags (!x) are not read here; leave it out");
    return OK;
}

static err_t s_on_event(reader_t *r, const yaml_event_t *event)
{
    TRY(s_refuse_decoration(r, event));
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return r->done ? s_fail(r, event->start_mark, "one document a file (--- starts a second)")
                       : OK;
    case YAML_DOCUMENT_END_EVENT:
        r->done = true;
        return OK;
    case YAML_SCALAR_EVENT:         return s_on_scalar(r, event);
    case YAML_SEQUENCE_START_EVENT: return s_on_sequence(r, event->start_mark);
    case YAML_SEQUENCE_END_EVENT:   return s_on_sequence_end(r);
    case YAML_MAPPING_START_EVENT:  return s_on_mapping(r, event->start_mark);
    case YAML_MAPPING_END_EVENT:
        s_on_mapping_end(r);
        return OK;
    case YAML_NO_EVENT: case YAML_STREAM_START_EVENT: case YAML_STREAM_END_EVENT:
    case YAML_ALIAS_EVENT:
        return OK;
    }
    check(false);
    return OK;
}

/* --- the file -------------------------------------------------------------- */

static err_t s_fail_parse(reader_t *r, const yaml_parser_t *parser, view_t bytes)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return ctx_fail(r->ctx, ERR_MEMORY, "%s: no memory to read it", r->file);
    size_t at = parser->problem_mark.index;
    bool tab = at < bytes.len && bytes.ptr[at] == '\t';
    return ctx_fail(r->ctx, ERR_CONFIG, "%s: not YAML: %s%s", s_at(r, parser->problem_mark),
                    parser->problem ? parser->problem : "unreadable",
                    tab ? " (a tab; indent with blanks)" : "");
}

static err_t s_walk(reader_t *r, yaml_parser_t *parser, view_t bytes)
{
    for (bool more = true; more; ) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return s_fail_parse(r, parser, bytes);
        more = event.type != YAML_STREAM_END_EVENT;
        err_t err = s_on_event(r, &event);
        yaml_event_delete(&event);
        TRY(err);
    }
    return OK;
}

static err_t s_parse(ctx_t *ctx, config_t *config, const char *path, view_t bytes)
{
    reader_t reader = { .ctx = ctx, .config = config, .file = path };
    buf_init(&reader.list, LIMIT_CONFIG_VALUE_BYTES);
    yaml_parser_t parser;
    if (fault_hit() || !yaml_parser_initialize(&parser)) {
        buf_fini(&reader.list);
        return ctx_fail(ctx, ERR_MEMORY, "%s: no memory to read it", path);
    }
    yaml_parser_set_input_string(&parser, bytes.ptr, bytes.len);
    err_t err = s_walk(&reader, &parser, bytes);
    yaml_parser_delete(&parser);
    buf_fini(&reader.list);
    return err;
}

static err_t s_slurp(ctx_t *ctx, const char *path, int fd, buf_t *into)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        return ctx_fail(ctx, ERR_CONFIG, "%s is a directory; --config wants a YAML file", path);
    for (ssize_t got = 1; got > 0; into->len += (size_t)got) {
        uint8_t *room = buf_reserve(into, 4096);
        if (!room)
            return ctx_fail(ctx, ERR_CONFIG, "%s is larger than %u KB, or there is no memory for "
                            "it; is it a configuration?", path, LIMIT_CONFIG_FILE_BYTES / 1024);
        got = fault_hit() ? (errno = EIO, -1) : read(fd, room, 4096);
        if (got < 0)
            return ctx_fail(ctx, ERR_CONFIG, "cannot read %s: %s", path, strerror(errno));
    }
    return OK;
}

err_t config_read_file(ctx_t *ctx, config_t *self, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return ctx_fail(ctx, ERR_CONFIG, "cannot read %s: %s; --config names the configuration",
                        path, strerror(errno));
    buf_scoped bytes;
    buf_init(&bytes, LIMIT_CONFIG_FILE_BYTES);
    err_t err = s_slurp(ctx, path, fd, &bytes);
    close(fd);
    if (err == OK)
        err = s_parse(ctx, self, path, buf_view(&bytes));
    if (bytes.ptr)
        explicit_bzero(bytes.ptr, bytes.cap);           /* it may hold secrets */
    return err;
}
