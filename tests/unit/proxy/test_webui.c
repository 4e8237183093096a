/* webui: the console's files over a real ops port: types, policy, tags, and what is not there. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/webui.h"

static ops_t *s_ops;

static int s_begin(void **state)
{
    ctx_t ctx;
    ctx_init(&ctx);
    assert_int_equal(ops_open(&ctx, &(ops_options_t){0}, &s_ops), OK);
    ctx_fini(&ctx);
    webui_routes(s_ops);
    return 0;
}

static int s_end(void **state)
{
    ops_destroy(&s_ops);
    return 0;
}

/* The whole answer, head and body; more: further headers, each with its line's end. */
static const char *s_get(const char *path, const char *more, buf_t *into)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)ops_port(s_ops)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval patience = { .tv_sec = 10 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    char request[512];
    int len = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: a\r\n"
                       "Connection: close\r\n%s\r\n", path, more);
    assert_int_equal(send(fd, request, (size_t)len, MSG_NOSIGNAL), len);
    buf_reset(into);
    for (ssize_t got = 1; got > 0; ) {
        uint8_t *room = buf_reserve(into, 65536);
        got = recv(fd, room, 65536, 0);
        assert_true(got >= 0);
        into->len += (size_t)got;
    }
    close(fd);
    return buf_str(into);
}

static void s_has(const char *answer, const char *text)
{
    if (!strstr(answer, text))
        fail_msg("no \"%s\" in:\n%.600s", text, answer);
}

static void test_the_page_and_its_policy(void **state)
{
    buf_scoped answer = {0};
    const char *found = s_get("/webui/", "", &answer);
    s_has(found, "HTTP/1.1 200 OK\r\n");
    s_has(found, "Content-Type: text/html; charset=utf-8\r\n");
    s_has(found, "Cache-Control: no-cache\r\n");
    s_has(found, "Content-Security-Policy: default-src 'self';");
    s_has(found, "X-Content-Type-Options: nosniff\r\n");
    s_has(found, "<title>Elanus</title>");
    s_has(found, "</html>\n");
}

/* Every file that the page and its scripts name is served, as what it is. */
static void test_every_file_that_is_named(void **state)
{
    static const char *const s_named[][2] = {
        { "style.css", "text/css" }, { "icon.svg", "image/svg+xml" },
        { "app.js", "text/javascript" }, { "index.html", "text/html" },
    };
    buf_scoped page = {0}, file = {0};
    for (size_t i = 0; i < ARRAY_LEN(s_named); i++) {
        char path[64];
        snprintf(path, sizeof path, "/webui/%s", s_named[i][0]);
        const char *found = s_get(path, "", &file);
        s_has(found, "HTTP/1.1 200 OK\r\n");
        s_has(found, s_named[i][1]);
    }
    const char *script = s_get("/webui/app.js", "", &page);
    for (const char *at = script; (at = strstr(at, " from './")) != NULL; at++) {
        char path[64];
        snprintf(path, sizeof path, "/webui/%.*s", (int)strcspn(at + 9, "'"), at + 9);
        s_has(s_get(path, "", &file), "Content-Type: text/javascript");
    }
}

static void test_who_has_it_is_told_so(void **state)
{
    buf_scoped answer = {0};
    const char *tag = strstr(s_get("/webui/style.css", "", &answer), "ETag: ");
    assert_non_null(tag);
    char more[128];
    snprintf(more, sizeof more, "If-None-Match: \"other\", W/%.*s\r\n",
             (int)strcspn(tag + 6, "\r"), tag + 6);
    const char *again = s_get("/webui/style.css", more, &answer);
    s_has(again, "HTTP/1.1 304 Not Modified\r\n");
    s_has(again, "ETag: ");
    assert_null(strstr(again, "color-scheme"));
    s_has(s_get("/webui/style.css", "If-None-Match: \"other\"\r\n", &answer), "200 OK");
}

static void test_ways_there_and_nowhere(void **state)
{
    buf_scoped answer = {0};
    s_has(s_get("/", "", &answer), "302 Found");
    s_has(s_get("/", "", &answer), "Location: /webui/\r\n");
    s_has(s_get("/webui", "", &answer), "Location: /webui/\r\n");
    s_has(s_get("/webui/none.js", "", &answer), "404 Not Found");
    s_has(s_get("/webui/../Makefile", "", &answer), "404 Not Found");
    s_has(s_get("/webui/%2e%2e/index.html", "", &answer), "404 Not Found");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_page_and_its_policy),
        cmocka_unit_test(test_every_file_that_is_named),
        cmocka_unit_test(test_who_has_it_is_told_so),
        cmocka_unit_test(test_ways_there_and_nowhere),
    };
    return cmocka_run_group_tests(tests, s_begin, s_end);
}
