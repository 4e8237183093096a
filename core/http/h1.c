/* h1 - a request is lines, then maybe a body; this file walks those stages
 *
 *     REQUEST_LINE -> HEADER ... -> LENGTH ---------------------> END
 *                               \-> CHUNK_SIZE <-> CHUNK_DATA/CHUNK_END
 *                                        \-> TRAILER ... -------> END
 *
 * The head is kept as it came in one buffer, headers are offsets into it.
 * Every byte of a line is judged when it arrives, so garbage is refused at its
 * first wrong byte and not after 16 KiB; a whole line is then taken apart.
 */
#include "core/http/h1.h"

#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "core/base/limits.h"

typedef enum {
    REQUEST_LINE, HEADER, LENGTH, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, END, BAD
} stage_t;

/* What a step came to; the first four are h1_state_t, AGAIN means: next stage. */
enum { AGAIN = H1_BAD + 1 };

typedef struct { uint32_t at, len; } span_t;    /* inside head */
typedef struct { span_t name, value; } header_t;

struct h1 {
    h1_limits_t limits;
    stage_t stage;
    buf_t head;                 /* request line and headers, with their CR LF */
    size_t line_at;             /* where the line being read starts */
    bool skipped_blank;         /* one empty line before a request is forgiven */

    char method[8];
    span_t path, query;
    bool http_1_0;
    size_t n_headers;
    header_t headers[LIMIT_H1_HEADERS];

    bool close, keep, wants_continue;
    bool has_length, chunked;
    uint64_t left;              /* bytes of the body, or of the chunk, still to come */
    buf_t line;                 /* a chunk's first line or a trailer */
    size_t trailer_bytes;
    buf_t body;

    int status;
    const char *why;
};

h1_t *h1_new(const h1_limits_t *limits)
{
    h1_t *self = mem_new(sizeof *self);
    if (limits)
        self->limits = *limits;
    h1_limits_t *l = &self->limits;
    l->head_bytes = l->head_bytes ? l->head_bytes : LIMIT_H1_HEAD_BYTES;
    l->target_bytes = l->target_bytes ? l->target_bytes : LIMIT_H1_TARGET_BYTES;
    l->headers = l->headers ? l->headers : LIMIT_H1_HEADERS;
    l->body_bytes = l->body_bytes ? l->body_bytes : LIMIT_REQUEST_BYTES;
    check(l->headers <= LIMIT_H1_HEADERS && l->head_bytes < UINT32_MAX / 2);
    return self;
}

void h1_destroy(h1_t **self_p)
{
    h1_t *self = *self_p;
    if (!self)
        return;
    buf_fini(&self->head);
    buf_fini(&self->line);
    buf_fini(&self->body);
    mem_free(self);
    *self_p = NULL;
}

void h1_next(h1_t *self)
{
    check(self->stage == END);
    h1_limits_t limits = self->limits;
    buf_t head = self->head;
    buf_reset(&head);
    buf_fini(&self->line);
    buf_fini(&self->body);
    memset(self, 0, sizeof *self);
    self->limits = limits;
    self->head = head;
}

bool h1_idle(const h1_t *self)
{
    return self->stage == REQUEST_LINE && self->head.len == 0;
}

static int s_refuse(h1_t *self, int status, const char *why)
{
    self->stage = BAD;
    self->status = status;
    self->why = why;
    return H1_BAD;
}

static view_t s_view(const h1_t *self, span_t span)
{
    return view_of(self->head.ptr + span.at, span.len);
}

/* --- characters ------------------------------------------------------------ */

static bool s_is_token_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool s_is_token(view_t text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!s_is_token_char(text.ptr[i]))
            return false;
    return text.len > 0;
}

static bool s_same_word(view_t text, const char *word)
{
    return text.len == strlen(word) && strncasecmp((const char *)text.ptr, word, text.len) == 0;
}

static view_t s_trim(view_t text)
{
    while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = view_of(text.ptr + 1, text.len - 1);
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

static int s_hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Cut off what stands before the first `by`; false at the end of *rest. */
static bool s_cut(view_t *rest, char by, view_t *ret)
{
    if (rest->ptr == NULL)
        return false;
    const uint8_t *at = rest->len ? memchr(rest->ptr, by, rest->len) : NULL;
    *ret = view_of(rest->ptr, at ? (size_t)(at - rest->ptr) : rest->len);
    *rest = at ? view_of(at + 1, rest->len - ret->len - 1) : view_of(NULL, 0);
    return true;
}

/* --- lines ----------------------------------------------------------------- */

/* Is byte `at` of the line allowed after the one before it? */
static bool s_is_line_byte(const buf_t *buf, size_t from, size_t at)
{
    uint8_t c = buf->ptr[at];
    bool after_cr = at > from && buf->ptr[at - 1] == '\r';
    if (c == '\n' || after_cr)
        return c == '\n' && after_cr;
    return (c >= ' ' && c != 0x7f) || c == '\t' || c == '\r';
}

typedef enum { LINE_MORE, LINE_WHOLE, LINE_BAD, LINE_LONG, LINE_NO_MEMORY } line_t;

/* Move bytes behind buf->len until a CR LF has been moved.  The line begins at
 * `from` and has at most `most` bytes, CR LF not counted. */
static line_t s_read_line(buf_t *buf, size_t from, size_t most, view_t bytes, size_t *ret_used)
{
    const uint8_t *lf = bytes.len ? memchr(bytes.ptr, '\n', bytes.len) : NULL;
    size_t piece = lf ? (size_t)(lf - bytes.ptr) + 1 : bytes.len;
    size_t room = from + most + 2 - buf->len;
    size_t take = piece < room ? piece : room;
    size_t start = buf->len;
    buf_add(buf, bytes.ptr, take);
    if (!buf_ok(buf))
        return LINE_NO_MEMORY;
    *ret_used = take;
    for (size_t i = start; i < buf->len; i++)
        if (!s_is_line_byte(buf, from, i))
            return LINE_BAD;
    if (lf && take == piece)
        return LINE_WHOLE;
    return buf->len - from >= most + 2 ? LINE_LONG : LINE_MORE;
}

/* The states that stop a line, as answers; long_status is what "too long" means here. */
static int s_refuse_line(h1_t *self, line_t line, int long_status)
{
    if (line == LINE_NO_MEMORY)
        return s_refuse(self, 503, "no memory for the request");
    if (line == LINE_LONG)
        return s_refuse(self, long_status, long_status == 414 ? "the request line is too long"
                                         : long_status == 431 ? "the header fields are too long"
                                                              : "a chunk line is too long");
    return s_refuse(self, 400, "a control character, or a line end that is not CR LF");
}

/* --- request line ---------------------------------------------------------- */

static bool s_know_method(view_t name)
{
    static const char *const known[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE",
                                         "OPTIONS" };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (view_eq(name, view_str(known[i])))
            return true;
    return false;
}

/* "http://host/path" means "/path" (RFC 9112, 3.2.2). */
static view_t s_origin_form(view_t target)
{
    const char *scheme = "http://";
    if (target.len < 7 || strncasecmp((const char *)target.ptr, scheme, 7) != 0)
        return target;
    for (size_t i = 7; i < target.len; i++)
        if (target.ptr[i] == '/' || target.ptr[i] == '?')
            return view_of(target.ptr + i, target.len - i);
    return view_of(NULL, 0);
}

static bool s_set_target(h1_t *self, view_t target)
{
    for (size_t i = 0; i < target.len; i++)
        if (target.ptr[i] <= ' ' || target.ptr[i] >= 0x7f || target.ptr[i] == '#')
            return false;
    target = s_origin_form(target);
    bool star = view_eq(target, view_str("*")) && strcmp(self->method, "OPTIONS") == 0;
    if (!star && (target.len == 0 || target.ptr[0] != '/'))
        return false;
    const uint8_t *mark = memchr(target.ptr, '?', target.len);
    size_t path_len = mark ? (size_t)(mark - target.ptr) : target.len;
    self->path = (span_t){ (uint32_t)(target.ptr - self->head.ptr), (uint32_t)path_len };
    if (mark)
        self->query = (span_t){ (uint32_t)(mark + 1 - self->head.ptr),
                                (uint32_t)(target.len - path_len - 1) };
    return true;
}

/* "HTTP/d.d", and which of ours it is. */
static int s_set_version(h1_t *self, view_t version)
{
    const uint8_t *p = version.ptr;
    if (version.len != 8 || memcmp(p, "HTTP/", 5) != 0 || p[6] != '.' ||
        p[5] < '0' || p[5] > '9' || p[7] < '0' || p[7] > '9')
        return s_refuse(self, 400, "the request line does not end in HTTP/1.1");
    if (p[5] != '1' || p[7] > '1')
        return s_refuse(self, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    self->http_1_0 = p[7] == '0';
    return AGAIN;
}

static int s_parse_request_line(h1_t *self, view_t line)
{
    view_t method, target, version;
    if (!s_cut(&line, ' ', &method) || !s_cut(&line, ' ', &target) ||
        !s_cut(&line, ' ', &version) || line.ptr)
        return s_refuse(self, 400, "the request line is not METHOD TARGET VERSION");
    if (!s_is_token(method))
        return s_refuse(self, 400, "the method is not a word");
    int state = s_set_version(self, version);
    if (state != AGAIN)
        return state;
    if (!s_know_method(method))
        return s_refuse(self, 501, "the method is not known here");
    memcpy(self->method, method.ptr, method.len);
    if (target.len > self->limits.target_bytes)
        return s_refuse(self, 414, "the request target is too long");
    if (!s_set_target(self, target))
        return s_refuse(self, 400, "the request target is not a path");
    self->stage = HEADER;
    return AGAIN;
}

/* The whole line that ends at head.len, without CR LF; moves on to the next. */
static view_t s_take_head_line(h1_t *self)
{
    view_t line = view_of(self->head.ptr + self->line_at, self->head.len - self->line_at - 2);
    self->line_at = self->head.len;
    return line;
}

static int s_step_request_line(h1_t *self, view_t bytes, size_t *ret_used)
{
    size_t most = self->limits.target_bytes + 32;       /* method, version, two blanks */
    if (most > self->limits.head_bytes)
        most = self->limits.head_bytes;
    line_t line = s_read_line(&self->head, self->line_at, most, bytes, ret_used);
    if (line == LINE_MORE)
        return H1_MORE;
    if (line != LINE_WHOLE)
        return s_refuse_line(self, line, 414);
    if (self->head.len == 2 && !self->skipped_blank) {
        self->skipped_blank = true;
        buf_reset(&self->head);
        return AGAIN;
    }
    return s_parse_request_line(self, s_take_head_line(self));
}

/* --- headers --------------------------------------------------------------- */

/* "name: value"; the line's bytes have been judged already. */
static bool s_split_field(view_t line, view_t *ret_name, view_t *ret_value)
{
    view_t name;
    if (!s_cut(&line, ':', &name) || !line.ptr || !s_is_token(name))
        return false;
    *ret_name = name;
    *ret_value = s_trim(line);
    return true;
}

static int s_add_header(h1_t *self, view_t line)
{
    view_t name, value;
    if (!s_split_field(line, &name, &value))
        return s_refuse(self, 400, "a header is not NAME: VALUE (folded lines are refused)");
    if (self->n_headers == self->limits.headers)
        return s_refuse(self, 431, "too many header fields");
    header_t *header = &self->headers[self->n_headers++];
    header->name = (span_t){ (uint32_t)(name.ptr - self->head.ptr), (uint32_t)name.len };
    header->value = (span_t){ (uint32_t)(value.ptr - self->head.ptr), (uint32_t)value.len };
    return AGAIN;
}

/* How often the header is there; *ret is its last value. */
static size_t s_find_all(const h1_t *self, const char *name, view_t *ret)
{
    size_t found = 0;
    for (size_t i = 0; i < self->n_headers; i++) {
        if (s_same_word(s_view(self, self->headers[i].name), name)) {
            *ret = s_view(self, self->headers[i].value);
            found++;
        }
    }
    return found;
}

static int s_set_length(h1_t *self, view_t digits)
{
    uint64_t length = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return s_refuse(self, 400, "Content-Length is not a number");
        if (length <= self->limits.body_bytes)          /* beyond, the value no longer matters */
            length = length * 10 + (uint64_t)(digits.ptr[i] - '0');
    }
    if (digits.len == 0)
        return s_refuse(self, 400, "Content-Length is empty");
    if (length > self->limits.body_bytes)
        return s_refuse(self, 413, "the body is too long");
    self->has_length = true;
    self->left = length;
    return AGAIN;
}

/* Where does the body end?  The question that smuggling is about. */
static int s_judge_framing(h1_t *self)
{
    view_t length = {0}, coding = {0};
    size_t lengths = s_find_all(self, "content-length", &length);
    size_t codings = s_find_all(self, "transfer-encoding", &coding);
    if (lengths + codings > 1)
        return s_refuse(self, 400, "more than one Content-Length or Transfer-Encoding");
    if (codings && self->http_1_0)
        return s_refuse(self, 400, "Transfer-Encoding in HTTP/1.0");
    if (codings && !s_same_word(coding, "chunked"))
        return s_refuse(self, 501, "the only transfer coding known here is chunked");
    self->chunked = codings > 0;
    return lengths ? s_set_length(self, length) : AGAIN;
}

static void s_judge_connection(h1_t *self)
{
    for (size_t i = 0; i < self->n_headers; i++) {
        if (!s_same_word(s_view(self, self->headers[i].name), "connection"))
            continue;
        view_t list = s_view(self, self->headers[i].value), word;
        while (s_cut(&list, ',', &word)) {
            self->close |= s_same_word(s_trim(word), "close");
            self->keep |= s_same_word(s_trim(word), "keep-alive");
        }
    }
}

static int s_judge_expect(h1_t *self)
{
    view_t expect = {0};
    if (!s_find_all(self, "expect", &expect) || self->http_1_0)
        return AGAIN;
    if (!s_same_word(expect, "100-continue"))
        return s_refuse(self, 417, "the only Expect known here is 100-continue");
    self->wants_continue = self->chunked || self->left > 0;
    return AGAIN;
}

static int s_judge_host(h1_t *self)
{
    view_t host = {0};
    size_t hosts = s_find_all(self, "host", &host);
    if (hosts > 1 || (hosts == 0 && !self->http_1_0))
        return s_refuse(self, 400, "there must be one Host header");
    for (size_t i = 0; i < host.len; i++)
        if (host.ptr[i] <= ' ' || host.ptr[i] >= 0x7f || strchr(",/?#@\\", host.ptr[i]))
            return s_refuse(self, 400, "the Host header is not a host");
    return AGAIN;
}

static int s_finish_head(h1_t *self)
{
    int (*const judges[])(h1_t *) = { s_judge_host, s_judge_framing, s_judge_expect };
    for (size_t i = 0; i < ARRAY_LEN(judges); i++) {
        int state = judges[i](self);
        if (state != AGAIN)
            return state;
    }
    s_judge_connection(self);
    self->stage = self->chunked ? CHUNK_SIZE : self->left ? LENGTH : END;
    return H1_HEAD;
}

static int s_step_header(h1_t *self, view_t bytes, size_t *ret_used)
{
    size_t spent = self->line_at, most = self->limits.head_bytes;
    line_t line = s_read_line(&self->head, self->line_at, most > spent ? most - spent : 0, bytes,
                              ret_used);
    if (line == LINE_MORE)
        return H1_MORE;
    if (line != LINE_WHOLE)
        return s_refuse_line(self, line, 431);
    view_t text = s_take_head_line(self);
    return text.len ? s_add_header(self, text) : s_finish_head(self);
}

/* --- bodies ---------------------------------------------------------------- */

static int s_take_body(h1_t *self, view_t bytes, size_t *ret_used)
{
    size_t take = bytes.len < self->left ? bytes.len : (size_t)self->left;
    buf_add(&self->body, bytes.ptr, take);
    if (!buf_ok(&self->body))
        return s_refuse(self, 503, "no memory for the body");
    *ret_used = take;
    self->left -= take;
    if (self->left)
        return H1_MORE;
    self->stage = self->chunked ? CHUNK_END : END;
    return AGAIN;
}

/* "1f", maybe followed by ";extension", which nobody uses and we skip. */
static int s_parse_chunk_size(h1_t *self, view_t line)
{
    view_t digits;
    s_cut(&line, ';', &digits);
    digits = s_trim(digits);
    uint64_t size = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (s_hex(digits.ptr[i]) < 0)
            return s_refuse(self, 400, "a chunk size is not a hexadecimal number");
        if (size <= self->limits.body_bytes)
            size = size * 16 + (uint64_t)s_hex(digits.ptr[i]);
    }
    if (digits.len == 0)
        return s_refuse(self, 400, "a chunk has no size");
    if (size > self->limits.body_bytes - self->body.len)
        return s_refuse(self, 413, "the body is too long");
    self->left = size;
    self->stage = size ? CHUNK_DATA : TRAILER;
    return AGAIN;
}

static int s_step_chunk_size(h1_t *self, view_t bytes, size_t *ret_used)
{
    line_t line = s_read_line(&self->line, 0, LIMIT_H1_CHUNK_LINE_BYTES, bytes, ret_used);
    if (line == LINE_MORE)
        return H1_MORE;
    if (line != LINE_WHOLE)
        return s_refuse_line(self, line, 400);
    int state = s_parse_chunk_size(self, view_of(self->line.ptr, self->line.len - 2));
    buf_reset(&self->line);
    return state;
}

/* The CR LF behind a chunk's bytes. */
static int s_step_chunk_end(h1_t *self, view_t bytes, size_t *ret_used)
{
    line_t line = s_read_line(&self->line, 0, 0, bytes, ret_used);
    if (line == LINE_MORE)
        return self->line.len && self->line.ptr[0] != '\r'
             ? s_refuse(self, 400, "a chunk is longer than its size") : H1_MORE;
    if (line != LINE_WHOLE)
        return s_refuse(self, 400, "a chunk is longer than its size");
    buf_reset(&self->line);
    self->stage = CHUNK_SIZE;
    return AGAIN;
}

/* Trailers must look like headers, and are dropped: merging them would let a
 * body change what its head has said. */
static int s_step_trailer(h1_t *self, view_t bytes, size_t *ret_used)
{
    size_t spent = self->trailer_bytes, most = self->limits.head_bytes;
    line_t line = s_read_line(&self->line, 0, most > spent ? most - spent : 0, bytes, ret_used);
    if (line == LINE_MORE)
        return H1_MORE;
    if (line != LINE_WHOLE)
        return s_refuse_line(self, line, 431);
    self->trailer_bytes += self->line.len;
    view_t text = view_of(self->line.ptr, self->line.len - 2), name, value;
    bool last = text.len == 0;
    if (!last && !s_split_field(text, &name, &value))
        return s_refuse(self, 400, "a trailer is not NAME: VALUE");
    buf_reset(&self->line);
    if (last)
        self->stage = END;
    return AGAIN;
}

/* --- feeding --------------------------------------------------------------- */

static int s_step(h1_t *self, view_t bytes, size_t *ret_used)
{
    switch (self->stage) {
    case REQUEST_LINE: return s_step_request_line(self, bytes, ret_used);
    case HEADER:       return s_step_header(self, bytes, ret_used);
    case LENGTH:
    case CHUNK_DATA:   return s_take_body(self, bytes, ret_used);
    case CHUNK_SIZE:   return s_step_chunk_size(self, bytes, ret_used);
    case CHUNK_END:    return s_step_chunk_end(self, bytes, ret_used);
    case TRAILER:      return s_step_trailer(self, bytes, ret_used);
    case END:          return H1_DONE;
    case BAD:          return H1_BAD;
    }
    check(false);
    return H1_BAD;
}

h1_state_t h1_feed(h1_t *self, view_t bytes, size_t *ret_used)
{
    size_t used = 0;
    int state = AGAIN;
    while (state == AGAIN) {
        size_t took = 0;
        view_t rest = bytes.len ? view_of(bytes.ptr + used, bytes.len - used) : bytes;
        state = s_step(self, rest, &took);
        used += took;
        check(used <= bytes.len);
    }
    *ret_used = used;
    return (h1_state_t)state;
}

const char *h1_method(const h1_t *self)       { return self->method; }
view_t h1_path(const h1_t *self)              { return s_view(self, self->path); }
view_t h1_query(const h1_t *self)             { return s_view(self, self->query); }
bool h1_wants_continue(const h1_t *self)      { return self->wants_continue; }
buf_t *h1_body(h1_t *self)                    { return &self->body; }
int h1_status(const h1_t *self)               { return self->status; }
const char *h1_why(const h1_t *self)          { return self->why ? self->why : ""; }

bool h1_keep_alive(const h1_t *self)
{
    return !self->close && (!self->http_1_0 || self->keep);
}

bool h1_header(const h1_t *self, const char *name, view_t *ret)
{
    for (size_t i = 0; i < self->n_headers; i++) {
        if (s_same_word(s_view(self, self->headers[i].name), name)) {
            *ret = s_view(self, self->headers[i].value);
            return true;
        }
    }
    return false;
}

/* --- query strings --------------------------------------------------------- */

static bool s_decode(view_t text, char *ret, size_t room)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int c = text.ptr[i];
        if (c == '+')
            c = ' ';
        if (c == '%') {
            if (i + 2 >= text.len || s_hex(text.ptr[i + 1]) < 0 || s_hex(text.ptr[i + 2]) < 0)
                return false;
            c = s_hex(text.ptr[i + 1]) * 16 + s_hex(text.ptr[i + 2]);
            i += 2;
        }
        if (c == 0 || len + 1 >= room)
            return false;
        ret[len++] = (char)c;
    }
    ret[len] = '\0';
    return true;
}

bool h1_param(view_t query, const char *name, char *ret, size_t room)
{
    check(room > 0);
    view_t pair, key;
    while (s_cut(&query, '&', &pair)) {
        if (s_cut(&pair, '=', &key) && view_eq(key, view_str(name)))
            return s_decode(pair, ret, room);
    }
    return false;
}

/* --- answers --------------------------------------------------------------- */

const char *h1_reason(int status)
{
    static const struct { int status; const char *words; } table[] = {
        { 200, "OK" }, { 204, "No Content" }, { 301, "Moved Permanently" }, { 302, "Found" },
        { 304, "Not Modified" }, { 400, "Bad Request" }, { 401, "Unauthorized" },
        { 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
        { 408, "Request Timeout" }, { 409, "Conflict" }, { 411, "Length Required" },
        { 413, "Content Too Large" }, { 414, "URI Too Long" }, { 415, "Unsupported Media Type" },
        { 417, "Expectation Failed" }, { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
        { 501, "Not Implemented" }, { 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" }, { 507, "Insufficient Storage" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].status == status)
            return table[i].words;
    return "Unknown";
}

static void s_write_field(buf_t *into, const char *name, const char *value)
{
    check(s_is_token(view_str(name)));
    buf_addf(into, "%s: ", name);
    for (const char *p = value; *p; p++)
        buf_add_u8(into, (unsigned char)*p < ' ' || *p == 0x7f ? ' ' : (uint8_t)*p);
    buf_add_str(into, "\r\n");
}

static void s_write_date(buf_t *into, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    char text[40];
    gmtime_r(&seconds, &utc);
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    s_write_field(into, "Date", text);
}

void h1_write_head(buf_t *into, const h1_answer_t *answer)
{
    check(answer->status >= 200 && answer->status <= 599);
    buf_addf(into, "HTTP/1.1 %d %s\r\n", answer->status, h1_reason(answer->status));
    if (answer->wall_ms)
        s_write_date(into, answer->wall_ms);
    if (answer->type)
        s_write_field(into, "Content-Type", answer->type);
    if (answer->status != 204 && answer->status != 304)
        buf_addf(into, "Content-Length: %zu\r\n", answer->body_bytes);
    if (answer->close)
        buf_add_str(into, "Connection: close\r\n");
    for (size_t i = 0; i < answer->n_fields; i++)
        s_write_field(into, answer->fields[i].name, answer->fields[i].value);
    buf_add_str(into, "\r\n");
}
