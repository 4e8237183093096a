/* fuzz_h1 - bytes into the HTTP/1.1 parser, once whole and once cut in pieces
 *
 * The first byte picks how the rest is cut.  Promises:
 *
 *   the same     requests, bodies and refusal come out however the bytes are cut
 *   bounded      no more is taken than is given, heads and bodies keep their limits
 *   decided      each refusal has a status and a reason, and is final
 */
#include "core/base/base.h"
#include "core/base/buf.h"
#include "core/http/h1.h"
#include "tests/support/replay.h"

enum { MOST_BODY = 1000, MOST_HEAD = 2000 };

static void s_note(buf_t *into, const char *label, view_t bytes)
{
    buf_addf(into, "%s%zu:", label, bytes.len);
    buf_add_view(into, bytes);
}

static void s_note_head(h1_t *h1, buf_t *into)
{
    static const char *const names[] = { "host", "content-length", "transfer-encoding", "x" };
    buf_addf(into, "%s %d%d", h1_method(h1), h1_keep_alive(h1), h1_wants_continue(h1));
    s_note(into, " path", h1_path(h1));
    s_note(into, " query", h1_query(h1));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        view_t value = {0};
        if (h1_header(h1, names[i], &value))
            s_note(into, names[i], value);
        check(value.len <= MOST_HEAD);
    }
    char param[16];
    if (h1_param(h1_query(h1), "a", param, sizeof param))
        s_note(into, " a", view_str(param));
}

/* False once the input is refused. */
static bool s_feed(h1_t *h1, view_t bytes, buf_t *into)
{
    for (;;) {
        size_t used = 0;
        h1_state_t said = h1_feed(h1, bytes, &used);
        check(used <= bytes.len);
        bytes = view_of(bytes.ptr + used, bytes.len - used);
        if (said == H1_HEAD)
            s_note_head(h1, into);
        if (said == H1_DONE) {
            check(h1_body(h1)->len <= MOST_BODY);
            s_note(into, " body", buf_view(h1_body(h1)));
            h1_next(h1);
            check(h1_idle(h1));
        }
        if (said == H1_BAD) {
            check(h1_status(h1) >= 400 && h1_status(h1) <= 505 && *h1_why(h1));
            check(h1_feed(h1, view_str("GET / HTTP/1.0\r\n\r\n"), &used) == H1_BAD && used == 0);
            buf_addf(into, " %d", h1_status(h1));
            return false;
        }
        if (said == H1_MORE || (said == H1_DONE && bytes.len == 0)) {
            check(bytes.len == 0);
            return true;
        }
    }
}

static void s_transcribe(view_t input, size_t piece, buf_t *into)
{
    h1_limits_t limits = { .body_bytes = MOST_BODY, .head_bytes = MOST_HEAD, .target_bytes = 500,
                           .headers = 10 };
    owned(h1) h1 = h1_new(&limits);
    for (size_t at = 0; at < input.len; at += piece) {
        size_t len = input.len - at < piece ? input.len - at : piece;
        if (!s_feed(h1, view_of(input.ptr + at, len), into))
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    view_t input = view_of(data + 1, size - 1);
    buf_scoped whole = {0}, cut = {0};
    s_transcribe(input, input.len, &whole);
    s_transcribe(input, 1 + data[0] % 64, &cut);
    check(view_eq(buf_view(&whole), buf_view(&cut)));
    return 0;
}
