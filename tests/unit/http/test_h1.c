/* h1: what a request means must not depend on how its bytes are cut, and what
 * could mean two things must be refused.
 *
 * Method: s_transcript feeds an input in pieces and writes down everything the
 * parser says; each good input is cut at every place (and into single bytes)
 * and the transcripts compared; bad inputs are a table of status and bytes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/base/rng.h"
#include "core/http/h1.h"

static void s_note_head(h1_t *h1, buf_t *into)
{
    view_t path = h1_path(h1), query = h1_query(h1), x = {0};
    buf_addf(into, "%s %.*s", h1_method(h1), (int)path.len, (const char *)path.ptr);
    if (query.len)
        buf_addf(into, " ? %.*s", (int)query.len, (const char *)query.ptr);
    if (h1_header(h1, "X-Test", &x))
        buf_addf(into, " x=[%.*s]", (int)x.len, (const char *)x.ptr);
    buf_addf(into, "%s%s;", h1_keep_alive(h1) ? "" : " close",
             h1_wants_continue(h1) ? " continue" : "");
}

/* Feed bytes, note what is said; false once the parser refused. */
static bool s_feed_piece(h1_t *h1, view_t bytes, buf_t *into)
{
    for (;;) {
        size_t used = 0;
        h1_state_t state = h1_feed(h1, bytes, &used);
        assert_true(used <= bytes.len);
        bytes = view_of(bytes.ptr + used, bytes.len - used);
        if (state == H1_MORE) {
            assert_int_equal(bytes.len, 0);
            return true;
        }
        if (state == H1_BAD) {
            buf_addf(into, "%d", h1_status(h1));
            assert_true(strlen(h1_why(h1)) > 0);
            return false;
        }
        if (state == H1_HEAD)
            s_note_head(h1, into);
        if (state == H1_DONE) {
            buf_addf(into, "%s|", buf_str(h1_body(h1)));
            h1_next(h1);
            if (bytes.len == 0)
                return true;
        }
    }
}

/* Cut the input at `cut` (0: nowhere, SIZE_MAX: everywhere). */
static void s_transcript(const h1_limits_t *limits, view_t input, size_t cut, buf_t *into)
{
    owned(h1) h1 = h1_new(limits);
    size_t step = cut == SIZE_MAX ? 1 : cut ? cut : input.len;
    for (size_t at = 0; at < input.len; at += step) {
        if (at && cut != SIZE_MAX)
            step = input.len - at;
        if (!s_feed_piece(h1, view_of(input.ptr + at, step), into))
            return;
    }
    if (!h1_idle(h1))
        buf_add_str(into, "...");
}

/* Whatever the cut, the transcript is `want`. */
static void s_expect(const h1_limits_t *limits, view_t input, const char *want)
{
    for (size_t cut = 0; cut <= input.len; cut++) {
        buf_scoped said = {0};
        s_transcript(limits, input, cut == input.len ? SIZE_MAX : cut, &said);
        if (strcmp(buf_str(&said), want) != 0)
            print_message("cut at %zu of: %.*s\n", cut, (int)input.len, (const char *)input.ptr);
        assert_string_equal(buf_str(&said), want);
    }
}

static void good_requests_mean_the_same_however_cut(void **state)
{
    (void)state;
    static const struct { const char *bytes, *want; } table[] = {
        { "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /;|" },
        { "\r\nGET /a?b=c&d HTTP/1.1\r\nhost:a:9091\r\nx-test: \t hi there \t\r\n\r\n",
          "GET /a ? b=c&d x=[hi there];|" },
        { "GET http://a.b:80/p?q HTTP/1.1\r\nHost: a.b\r\n\r\n", "GET /p ? q;|" },
        { "GET / HTTP/1.0\r\n\r\n", "GET / close;|" },
        { "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET /;|" },
        { "GET / HTTP/1.1\r\nHost: a\r\nConnection: TE, close\r\n\r\n", "GET / close;|" },
        { "OPTIONS * HTTP/1.1\r\nHost: a\r\nX-Test:\r\n\r\n", "OPTIONS * x=[];|" },
        { "POST /p HTTP/1.1\r\nHost: a\r\n\r\n", "POST /p;|" },
        { "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "POST /p;|" },
        { "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 05\r\n\r\nhello", "POST /p;hello|" },
        { "PUT /p HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\nhi",
          "PUT /p continue;hi|" },
        { "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
          "5\r\nhello\r\n1;ext=\"v\"\r\n \r\n00A\r\nworld, me!\r\n0\r\n\r\n",
          "POST /p;hello world, me!|" },
        { "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
          "0\r\nX-Test: late\r\nContent-Length: 9\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
          "POST /p;|GET /;|" },
        { "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
          "\r\nokGET /3 HTTP/1.1\r\nHost: a\r\n\r\nDELETE /4", "GET /1;|POST /2;ok|GET /3;|..." },
        { "GET / HTTP/1.1\r\nHost: [::1]:9091\r\nX-Test: caf\xc3\xa9\r\n\r\n",
          "GET / x=[caf\xc3\xa9];|" },
        { "", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        s_expect(NULL, view_str(table[i].bytes), table[i].want);
}

#define HOST "Host: a\r\n"

static void hostile_requests_are_refused(void **state)
{
    (void)state;
    static const struct { const char *bytes, *want; } table[] = {
        /* not HTTP */
        { "\x16\x03\x01\x02", "400" },
        { "GET\r\n", "400" }, { "GET /\r\n", "400" }, { " / HTTP/1.1\r\n", "400" },
        { "\r\n\r\nGET / HTTP/1.1\r\n", "400" },
        { "GET  / HTTP/1.1\r\n", "400" }, { "GET / HTTP/1.1 \r\n", "400" },
        { "GET\t/ HTTP/1.1\r\n", "400" }, { "G(T / HTTP/1.1\r\n", "400" },
        { "GET / http/1.1\r\n", "400" }, { "GET / HTTP/11\r\n", "400" },
        { "GET / HTTP/2.0\r\n", "505" }, { "PRI * HTTP/2.0\r\n", "505" },
        { "GET / HTTP/1.2\r\n", "505" }, { "GET / HTTP/0.9\r\n", "505" },
        { "BREW / HTTP/1.1\r\n", "501" }, { "CONNECT a:1 HTTP/1.1\r\n", "501" },
        { "TRACE / HTTP/1.1\r\n", "501" }, { "get / HTTP/1.1\r\n", "501" },
        { "GET a HTTP/1.1\r\n", "400" }, { "GET * HTTP/1.1\r\n", "400" },
        { "GET /#x HTTP/1.1\r\n", "400" }, { "GET /\xc3\xa9 HTTP/1.1\r\n", "400" },
        { "GET http://a HTTP/1.1\r\n", "400" }, { "GET ?q HTTP/1.1\r\n", "400" },
        /* line ends and control characters */
        { "GET / HTTP/1.1\n", "400" }, { "GET / HTTP/1.1\r\nHost: a\n", "400" },
        { "GET / HTTP/1.1\rHost: a\r\n", "400" }, { "GET / HTTP/1.1\r\r\n", "400" },
        { "GET / HTTP/1.1\r\nX: a\x01\r\n", "400" }, { "GET / HTTP/1.1\r\nX: a\x7f\r\n", "400" },
        { "GET / HTTP/1.1\r\nX: a\rb\r\n", "400" },
        /* headers */
        { "GET / HTTP/1.1\r\nHost : a\r\n", "400" }, { "GET / HTTP/1.1\r\n Host: a\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST "X: 1\r\n 2\r\n", "400" },
        { "GET / HTTP/1.1\r\n: a\r\n", "400" }, { "GET / HTTP/1.1\r\nHost\r\n", "400" },
        { "GET / HTTP/1.1\r\nX\xc3\xa9: 1\r\n", "400" },
        { "GET / HTTP/1.1\r\n\r\n", "400" }, { "GET / HTTP/1.1\r\n" HOST HOST "\r\n", "400" },
        { "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400" },
        { "GET / HTTP/1.1\r\n" HOST "Expect: the worst\r\n\r\n", "417" },
        /* where the body ends */
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
          "400" },
        { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
          "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 3, 3\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: +3\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x3\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 3 3\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n", "413" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551617\r\n\r\n", "413" },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999x\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", "501" },
        { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", "501" },
        { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
          "Transfer-Encoding: chunked\r\n\r\n",
          "400" },
        { "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "400" },
    };
    h1_limits_t limits = { .body_bytes = 1000 };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        s_expect(&limits, view_str(table[i].bytes), table[i].want);
}

static void hostile_chunks_are_refused(void **state)
{
    (void)state;
    static const struct { const char *bytes, *want; } table[] = {
        { "x\r\n", "400" }, { "\r\n", "400" }, { "-1\r\n", "400" }, { "0x5\r\n", "400" },
        { "5 5\r\n", "400" }, { ";x\r\n", "400" }, { "5\nhello", "400" },
        { "5\r\nhello!\r\n", "400" }, { "5\r\nhello\n", "400" }, { "5\r\nhello\rx", "400" },
        { "3e9\r\n", "413" }, { "ffffffffffffffff1\r\n", "413" },
        { "5\r\nhello\r\n3e4\r\n", "413" },
        { "0\r\nbad trailer\r\n", "400" }, { "0\r\n X: y\r\n", "400" },
    };
    h1_limits_t limits = { .body_bytes = 1000 };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        buf_scoped input = {0}, want = {0};
        buf_addf(&input, "POST /c HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n%s",
                 table[i].bytes);
        buf_addf(&want, "POST /c;%s", table[i].want);
        s_expect(&limits, buf_view(&input), buf_str(&want));
    }
}

static void s_repeat(buf_t *into, const char *text, size_t times)
{
    while (times--)
        buf_add_str(into, text);
}

static const char *s_once(const h1_limits_t *limits, buf_t *input, buf_t *said)
{
    s_transcript(limits, buf_view(input), 0, said);
    return buf_str(said);
}

/* Each bound: just inside is fine, one more is refused, in the middle of the line too. */
static void bounds_hold_to_the_byte(void **state)
{
    (void)state;
    h1_limits_t limits = { .target_bytes = 100, .head_bytes = 400, .headers = 5, .body_bytes = 10 };
    for (size_t more = 0; more < 2; more++) {
        buf_scoped target = {0}, said_target = {0};
        buf_add_str(&target, "GET /");
        s_repeat(&target, "a", 99 + more);
        buf_add_str(&target, " HTTP/1.0\r\n\r\n");
        assert_int_equal(strcmp(s_once(&limits, &target, &said_target), "414") == 0, more);

        buf_scoped many = {0}, said_many = {0};
        buf_add_str(&many, "GET / HTTP/1.0\r\n");
        s_repeat(&many, "X: y\r\n", 5 + more);
        buf_add_str(&many, "\r\n");
        assert_string_equal(s_once(&limits, &many, &said_many), more ? "431" : "GET / close;|");

        buf_scoped head = {0}, said_head = {0};         /* 16 + 5 + n + 2 = 400 at the most */
        buf_add_str(&head, "GET / HTTP/1.0\r\nX: ");
        s_repeat(&head, "y", 400 - 19 + more);
        buf_add_str(&head, "\r\n\r\n");
        assert_string_equal(s_once(&limits, &head, &said_head), more ? "431" : "GET / close;|");

        buf_scoped chunk = {0}, said_chunk = {0};
        buf_add_str(&chunk, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0;");
        s_repeat(&chunk, "e", LIMIT_H1_CHUNK_LINE_BYTES - 2 + more);
        buf_add_str(&chunk, "\r\n\r\n");
        assert_string_equal(s_once(&limits, &chunk, &said_chunk), more ? "PUT /;400" : "PUT /;|");

        buf_scoped trailer = {0}, said_trailer = {0};
        buf_add_str(&trailer, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "0\r\n");
        s_repeat(&trailer, "X: 123456\r\n", 36 + more);         /* 11 bytes each, 396 fit */
        buf_add_str(&trailer, "\r\n");
        assert_string_equal(s_once(&limits, &trailer, &said_trailer),
                            more ? "PUT /;431" : "PUT /;|");
    }
    buf_scoped endless = {0}, said = {0};
    s_repeat(&endless, "A", 1000);
    assert_string_equal(s_once(&limits, &endless, &said), "414");
}

static void every_refused_allocation_is_a_503(void **state)
{
    (void)state;
    const char *request = "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "5\r\nhello\r\n0\r\n\r\n";
    for (int nth = 0; ; nth++) {
        owned(h1) h1 = h1_new(NULL);
        view_t bytes = view_str(request);
        h1_state_t said = H1_MORE;
        fault_arm(nth);
        while (said == H1_MORE || said == H1_HEAD) {
            size_t used = 0;
            said = h1_feed(h1, bytes, &used);
            bytes = view_of(bytes.ptr + used, bytes.len - used);
        }
        if (!fault_disarm()) {
            assert_int_equal(said, H1_DONE);
            assert_true(nth >= 3);
            break;
        }
        assert_int_equal(said, H1_BAD);
        assert_int_equal(h1_status(h1), 503);
    }
}

/* Mutated requests: whatever comes out, it is the same for two different cuts. */
static void mutations_do_not_depend_on_the_cut(void **state)
{
    (void)state;
    const char *seed = "POST /p?q=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "5\r\nhello\r\n0\r\nA: b\r\n\r\nPUT /2 HTTP/1.1\r\nHost: a\r\n"
                       "Content-Length: 4\r\nConnection: close\r\n\r\nbodyGET / HTTP/1.0\r\n\r\n";
    static const char spice[] = "\r\n :;,0159aZ/?\t\0\x80%+-";
    rng_t rng;
    rng_seed(&rng, 11);
    for (int round = 0; round < 3000; round++) {
        char text[400];
        size_t len = strlen(seed);
        memcpy(text, seed, len);
        for (uint64_t n = rng_below(&rng, 4); n-- > 0; ) {
            size_t at = rng_below(&rng, len);
            if (rng_chance(&rng, 0.3)) {
                memmove(text + at, text + at + 1, --len - at);
            } else if (rng_chance(&rng, 0.5) && len < sizeof text - 1) {
                memmove(text + at + 1, text + at, len++ - at);
                text[at] = spice[rng_below(&rng, sizeof spice)];
            } else {
                text[at] = spice[rng_below(&rng, sizeof spice)];
            }
        }
        buf_scoped whole = {0}, bytewise = {0}, halves = {0};
        s_transcript(NULL, view_of(text, len), 0, &whole);
        s_transcript(NULL, view_of(text, len), SIZE_MAX, &bytewise);
        s_transcript(NULL, view_of(text, len), 1 + rng_below(&rng, len - 1), &halves);
        assert_string_equal(buf_str(&whole), buf_str(&bytewise));
        assert_string_equal(buf_str(&whole), buf_str(&halves));
    }
}

static void body_can_be_taken_away(void **state)
{
    (void)state;
    owned(h1) h1 = h1_new(NULL);
    view_t request = view_str("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    size_t used = 0;
    assert_int_equal(h1_feed(h1, request, &used), H1_HEAD);
    assert_int_equal(used, request.len - 2);
    assert_false(h1_idle(h1));
    assert_int_equal(h1_feed(h1, view_of(request.ptr + used, 2), &used), H1_DONE);
    buf_scoped mine = *h1_body(h1);
    *h1_body(h1) = (buf_t){0};
    h1_next(h1);
    assert_true(h1_idle(h1));
    assert_string_equal(buf_str(&mine), "hi");
}

static void parameters_are_decoded(void **state)
{
    (void)state;
    char text[8];
    view_t query = view_str("a=1&role=a%20b+c&empty=&a=2&bad=%4&nul=%00&flag&long=12345678");
    assert_true(h1_param(query, "a", text, sizeof text));
    assert_string_equal(text, "1");
    assert_true(h1_param(query, "role", text, sizeof text));
    assert_string_equal(text, "a b c");
    assert_true(h1_param(query, "empty", text, sizeof text));
    assert_string_equal(text, "");
    assert_true(h1_param(query, "flag", text, sizeof text));
    assert_string_equal(text, "");
    assert_false(h1_param(query, "bad", text, sizeof text));
    assert_false(h1_param(query, "nul", text, sizeof text));
    assert_false(h1_param(query, "long", text, sizeof text));
    assert_false(h1_param(query, "rol", text, sizeof text));
    assert_false(h1_param(view_of(NULL, 0), "a", text, sizeof text));
}

static void heads_are_written_whole_and_cannot_be_split(void **state)
{
    (void)state;
    buf_scoped head = {0};
    h1_field_t fields[] = { { "Retry-After", "1" }, { "X-Evil", "a\r\nSet-Cookie: b" } };
    h1_write_head(&head, &(h1_answer_t){
        .status = 503, .type = "text/plain", .body_bytes = 12, .close = true,
        .wall_ms = 784111777000, .fields = fields, .n_fields = 2 });
    assert_string_equal(buf_str(&head),
        "HTTP/1.1 503 Service Unavailable\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        "Content-Type: text/plain\r\nContent-Length: 12\r\nConnection: close\r\n"
        "Retry-After: 1\r\nX-Evil: a  Set-Cookie: b\r\n\r\n");
    buf_reset(&head);
    h1_write_head(&head, &(h1_answer_t){ .status = 204 });
    assert_string_equal(buf_str(&head), "HTTP/1.1 204 No Content\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests_mean_the_same_however_cut),
        cmocka_unit_test(hostile_requests_are_refused),
        cmocka_unit_test(hostile_chunks_are_refused),
        cmocka_unit_test(bounds_hold_to_the_byte),
        cmocka_unit_test(every_refused_allocation_is_a_503),
        cmocka_unit_test(mutations_do_not_depend_on_the_cut),
        cmocka_unit_test(body_can_be_taken_away),
        cmocka_unit_test(parameters_are_decoded),
        cmocka_unit_test(heads_are_written_whole_and_cannot_be_split),
    };
    return cmocka_run_group_tests_name("h1", tests, NULL, NULL);
}
