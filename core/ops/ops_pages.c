/* ops_pages - see ops_pages.h; answers are word for word what Milvus gives */
#include "core/ops/ops_pages.h"

#include <strings.h>

#include "core/base/log.h"

static const char s_json[] = "application/json";

/* --- health ---------------------------------------------------------------- */

static bool s_mentions_json(const ops_request_t *request, const char *header)
{
    view_t value = {0};
    return ops_header(request, header, &value) && value.len >= sizeof s_json - 1 &&
           memmem(value.ptr, value.len, s_json, sizeof s_json - 1) != NULL;
}

static void s_write_health(const ops_component_t *parts, size_t n, const char *state, buf_t *into)
{
    buf_addf(into, "{\"state\":\"%s\",\"detail\":[", state);
    for (size_t i = 0; i < n; i++)
        buf_addf(into, "%s{\"name\":\"%s\",\"code\":%d}", i ? "," : "", parts[i].name,
                 (int)parts[i].code);
    buf_add_str(into, "]}");
}

static void s_on_healthz(void *arg, const ops_request_t *request, ops_reply_t *reply)
{
    const ops_pages_t *pages = arg;
    ops_component_t parts[64];
    size_t n = pages->health ? pages->health(pages->arg, parts, ARRAY_LEN(parts)) : 0, well = 0;
    check(n <= ARRAY_LEN(parts));
    for (size_t i = 0; i < n; i++)
        well += parts[i].code == OPS_HEALTHY || parts[i].code == OPS_STANDBY;

    buf_scoped state = {0};
    if (well == n)
        buf_add_str(&state, "OK");
    else
        buf_addf(&state, "Not all components are healthy, %zu/%zu", well, n);
    reply->status = well == n ? 200 : 500;
    if (s_mentions_json(request, "content-type") || s_mentions_json(request, "accept")) {
        reply->type = s_json;
        s_write_health(parts, n, buf_str(&state), &reply->body);
    } else {
        buf_add_view(&reply->body, buf_view(&state));
    }
}

static void s_on_alive(void *arg, const ops_request_t *request, ops_reply_t *reply)
{
    (void)arg, (void)request;
    reply->type = s_json;
    buf_add_str(&reply->body, "{\"status\":\"ok\"}");
}

/* --- metrics --------------------------------------------------------------- */

static void s_on_metrics(void *arg, const ops_request_t *request, ops_reply_t *reply)
{
    (void)request;
    const ops_pages_t *pages = arg;
    reply->type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write(pages->metrics, &reply->body);
    if (pages->figures)
        pages->figures(pages->arg, &reply->body);
}

/* --- log level ------------------------------------------------------------- */

static void s_skip_blanks(view_t *text)
{
    while (text->len && strchr(" \t\r\n", text->ptr[0]) && text->ptr[0])
        *text = view_of(text->ptr + 1, text->len - 1);
}

static bool s_skip_word(view_t *text, const char *word)
{
    s_skip_blanks(text);
    size_t len = strlen(word);
    if (text->len < len || memcmp(text->ptr, word, len) != 0)
        return false;
    *text = view_of(text->ptr + len, text->len - len);
    return true;
}

/* {"level":"debug"} or level=debug: all that the handler is ever sent. */
static bool s_parse_level(view_t body, log_level_t *ret)
{
    bool json = s_skip_word(&body, "{");
    bool named = json ? s_skip_word(&body, "\"level\"") && s_skip_word(&body, ":") &&
                        s_skip_word(&body, "\"")
                      : s_skip_word(&body, "level=");
    char word[8] = "";
    size_t len = 0;
    while (named && len < body.len && len < sizeof word - 1 &&
           ((body.ptr[len] | 0x20) >= 'a' && (body.ptr[len] | 0x20) <= 'z')) {
        word[len] = (char)(body.ptr[len] | 0x20);
        len++;
    }
    body = view_of(body.ptr + len, body.len - len);
    bool closed = !json || (s_skip_word(&body, "\"") && s_skip_word(&body, "}"));
    s_skip_blanks(&body);
    return named && closed && body.len == 0 && log_level_parse(word, ret);
}

static void s_on_get_level(void *arg, const ops_request_t *request, ops_reply_t *reply)
{
    (void)arg, (void)request;
    reply->type = s_json;
    buf_addf(&reply->body, "{\"level\":\"%s\"}", log_level_name(log_level()));
}

static void s_on_put_level(void *arg, const ops_request_t *request, ops_reply_t *reply)
{
    log_level_t level = LOG_INFO;
    if (s_parse_level(request->body, &level)) {
        log_event(LOG_INFO, "log_level", "from=%s to=%s", log_level_name(log_level()),
                  log_level_name(level));
        log_set_level(level);
        s_on_get_level(arg, request, reply);
        return;
    }
    reply->status = 400;
    reply->type = s_json;
    buf_add_str(&reply->body, "{\"error\":\"expected {\\\"level\\\":\\\"L\\\"} where L is one of "
                              "debug, info, warn, error, fatal\"}");
}

void ops_pages_route(ops_t *ops, ops_pages_t *pages)
{
    ops_route(ops, "GET", "/healthz", s_on_healthz, pages);
    ops_route(ops, "GET", "/api/v1/health", s_on_alive, pages);
    ops_route(ops, "GET", "/metrics", s_on_metrics, pages);
    ops_route(ops, "GET", "/log/level", s_on_get_level, pages);
    ops_route(ops, "PUT", "/log/level", s_on_put_level, pages);
}
