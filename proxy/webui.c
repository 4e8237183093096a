/* webui - see webui.h
 *
 * The assembler puts the files into the program as they are, so that a daemon
 * needs no directory beside it and the console is always of its own version.
 * Names carry no version: a browser asks each time whether its copy is still
 * the right one (ETag) and is told 304 when it is.
 */
#include "proxy/webui.h"

#include <stdio.h>

#include "core/base/crc.h"

#define PREFIX "/webui/"

/* X(C's name, the file, what it is); "" is the page itself. */
#define FILES(X) \
    X(index,       "index.html",     "text/html; charset=utf-8") \
    X(style,       "style.css",      "text/css; charset=utf-8") \
    X(icon,        "icon.svg",       "image/svg+xml") \
    X(app,         "app.js",         SCRIPT) \
    X(dom,         "dom.js",         SCRIPT) \
    X(source,      "source.js",      SCRIPT) \
    X(topology,    "topology.js",    SCRIPT) \
    X(channels,    "channels.js",    SCRIPT) \
    X(segments,    "segments.js",    SCRIPT) \
    X(indexes,     "indexes.js",     SCRIPT) \
    X(collections, "collections.js", SCRIPT) \
    X(rows,        "rows.js",        SCRIPT) \
    X(requests,    "requests.js",    SCRIPT) \
    X(events,      "events.js",      SCRIPT)
#define SCRIPT "text/javascript; charset=utf-8"

#define X(name, file, kind) \
    __asm__(".section .rodata\n" \
            ".global webui_" #name "\n.global webui_" #name "_end\n" \
            "webui_" #name ":\n.incbin \"web/" file "\"\n" \
            "webui_" #name "_end:\n.byte 0\n" \
            ".previous\n"); \
    extern const uint8_t webui_##name[], webui_##name##_end[];
FILES(X)
#undef X

typedef struct file {
    const char *name, *type;
    const uint8_t *from, *to;
} file_t;

#define X(name_, file, kind) { .name = file, .type = kind, .from = webui_##name_, \
                               .to = webui_##name_##_end },
static const file_t s_files[] = { FILES(X) };
#undef X

/* No script, style or answer from anywhere else, in nobody's frame. */
static const char s_policy[] =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static const file_t *s_find(view_t path)
{
    char name[64];
    size_t prefix = strlen(PREFIX);
    snprintf(name, sizeof name, "%.*s", (int)(path.len - prefix), (const char *)path.ptr + prefix);
    for (size_t i = 0; i < ARRAY_LEN(s_files); i++)
        if (strcmp(name[0] ? name : "index.html", s_files[i].name) == 0)
            return &s_files[i];
    return NULL;
}

static void s_add_field(ops_reply_t *reply, const char *name, const char *value)
{
    reply->fields[reply->n_fields++] = (h1_field_t){ name, value };
}

static void s_on_file(void *arg, const ops_request_t *request, ops_reply_t *reply)
{
    (void)arg;
    const file_t *file = s_find(request->path);
    if (!file) {
        reply->status = 404;
        buf_add_str(&reply->body, "the console has no such file; it begins at " PREFIX "\n");
        return;
    }
    view_t bytes = view_of(file->from, (size_t)(file->to - file->from));
    reply->type = file->type;
    reply->cache = "no-cache";
    snprintf(reply->etag, sizeof reply->etag, "\"%08x-%zx\"", crc32c(bytes.ptr, bytes.len),
             bytes.len);
    s_add_field(reply, "Content-Security-Policy", s_policy);
    s_add_field(reply, "X-Content-Type-Options", "nosniff");
    s_add_field(reply, "Referrer-Policy", "no-referrer");
    buf_add_view(&reply->body, bytes);
}

static void s_on_elsewhere(void *arg, const ops_request_t *request, ops_reply_t *reply)
{
    (void)arg, (void)request;
    reply->status = 302;
    s_add_field(reply, "Location", PREFIX);
}

void webui_routes(ops_t *ops)
{
    ops_route(ops, "GET", "/", s_on_elsewhere, NULL);
    ops_route(ops, "GET", "/webui", s_on_elsewhere, NULL);
    ops_route(ops, "GET", PREFIX "*", s_on_file, NULL);
}
