/* look_trace - `elanus trace`: the spans of one request as a waterfall
 *
 *     proxy-4      Search                    4.2 ms  ##############################
 *     querynode-7    SEARCH                  3.9 ms   ############################
 *
 * A span stands below the one that caused it, indented; its bar begins and ends where it did.
 */
#include "cli/ask.h"
#include "cli/look.h"
#include "cli/show.h"
#include "cli/table.h"
#include "core/node/daemon.h"

enum { BAR_LEAST = 10, DEPTH_MOST = 12, NODE_WIDTH = 13, NAME_WIDTH = 28, TOOK_WIDTH = 9 };

const flag_t look_trace_flags[] = {
    { "--json", NULL, "print the proxy's answer as it came" },
    { NULL, NULL, NULL },
};

typedef struct bar {
    const json_t *item;
    size_t parent;              /* its place; SIZE_MAX: none that is known */
    size_t depth;
    bool printed;
} bar_t;

typedef struct chart {
    ctx_t *ctx;
    bar_t *spans;
    size_t n;
    int64_t from_us, to_us;
    size_t bar;                 /* columns of the longest bar */
    buf_t *into;
} chart_t;

static int64_t s_at(const bar_t *span)
{
    return show_int(span->item, "at_us", 0);
}

static int64_t s_end(const bar_t *span)
{
    return s_at(span) + show_int(span->item, "took_us", 0);
}

static size_t s_find(const chart_t *self, const char *id)
{
    for (size_t i = 0; id[0] && i < self->n; i++)
        if (strcmp(show_text(self->spans[i].item, "id"), id) == 0)
            return i;
    return SIZE_MAX;
}

static void s_collect(chart_t *self, const json_t *items)
{
    size_t i;
    const json_t *item;
    self->spans = ctx_new(self->ctx, (json_array_size(items) + 1) * sizeof *self->spans);
    json_array_foreach(items, i, item)
        self->spans[self->n++] = (bar_t){ .item = item };
    for (i = 0; i < self->n; i++) {
        bar_t *span = &self->spans[i];
        span->parent = s_find(self, show_text(span->item, "parent"));
        span->parent = span->parent == i ? SIZE_MAX : span->parent;
        self->from_us = i == 0 || s_at(span) < self->from_us ? s_at(span) : self->from_us;
        self->to_us = s_end(span) > self->to_us ? s_end(span) : self->to_us;
    }
}

static void s_repeat(buf_t *into, const char *what, size_t n)
{
    while (n-- > 0)
        buf_add_str(into, what);
}

static void s_bar(const chart_t *self, const bar_t *span)
{
    int64_t whole = self->to_us > self->from_us ? self->to_us - self->from_us : 1;
    int64_t width = (int64_t)self->bar;
    size_t from = (size_t)((s_at(span) - self->from_us) * width / whole);
    size_t to = (size_t)((s_end(span) - self->from_us) * width / whole);
    from = from >= self->bar ? self->bar - 1 : from;
    s_repeat(self->into, " ", from);
    s_repeat(self->into, "#", to > from ? to - from : 1);
}

static void s_cell(const chart_t *self, const char *text, size_t width, bool right)
{
    const char *cut = text_safe(self->ctx, text, width);
    size_t pad = width - text_width(cut);
    buf_addf(self->into, "%*s%s%*s ", right ? (int)pad : 0, "", cut, right ? 0 : (int)pad, "");
}

static void s_print_span(const chart_t *self, bar_t *span)
{
    span->printed = true;
    span->depth = span->parent == SIZE_MAX ? 0 : self->spans[span->parent].depth + 1;
    size_t indent = span->depth < DEPTH_MOST ? span->depth : DEPTH_MOST;
    const char *kind = show_text(span->item, "kind"), *error = show_text(span->item, "error");
    s_cell(self, show_text(span->item, "node"), NODE_WIDTH, false);
    s_cell(self, ctx_printf(self->ctx, "%*s%s%s%s", (int)(2 * indent), "",
                            show_text(span->item, "name"), strcmp(kind, "job") == 0 ? " (job)" : "",
                            error[0] ? " FAILED" : ""), NAME_WIDTH, false);
    s_cell(self, show_took(self->ctx, show_int(span->item, "took_us", 0)), TOOK_WIDTH, true);
    s_bar(self, span);
    buf_add_str(self->into, "\n");
    if (error[0])
        text_wrap(text_safe(self->ctx, error, 0), NODE_WIDTH + 1 + 2 * indent,
                  self->bar + NODE_WIDTH + NAME_WIDTH + TOOK_WIDTH, self->into);
}

/* Children after their parent, by time; without recursion: the next one is below the span that was
 * printed last, or below its nearest ancestor that has one left. */
static size_t s_next(const chart_t *self, size_t last)
{
    size_t of = last;
    for (size_t step = 0; step <= self->n; step++) {    /* parents may go round in a circle */
        for (size_t i = 0; i < self->n; i++)
            if (!self->spans[i].printed && self->spans[i].parent == of)
                return i;
        of = of == SIZE_MAX ? of : self->spans[of].parent;
    }
    for (size_t i = 0; i < self->n; i++)
        if (!self->spans[i].printed)
            return i;
    return SIZE_MAX;
}

static void s_print_request(const chart_t *self, const json_t *request)
{
    static const char *const s_shown[] = { "method", "db", "collection", "filter", "user", "nq",
                                           "limit", "rows", "code", "error" };
    const char *sep = "";
    for (size_t i = 0; i < ARRAY_LEN(s_shown); i++) {
        const char *text = show_text(request, s_shown[i]);
        const char *number = show_count_of(self->ctx, request, s_shown[i]);
        if (!text[0] && number[0] == '-')
            continue;
        buf_addf(self->into, "%s%s %s", sep, s_shown[i],
                 text[0] ? text_safe(self->ctx, text, 60) : number);
        sep = ", ";
    }
    buf_add_str(self->into, sep[0] ? "\n" : "");
}

void look_waterfall(ctx_t *ctx, const json_t *root, size_t width, buf_t *into)
{
    enum { BEFORE = NODE_WIDTH + NAME_WIDTH + TOOK_WIDTH + 3 };
    chart_t self = { .ctx = ctx, .into = into,
                     .bar = width > BEFORE + BAR_LEAST ? width - BEFORE : BAR_LEAST };
    s_collect(&self, json_object_get(root, "items"));
    s_print_request(&self, json_object_get(root, "request"));
    buf_addf(into, "%s, %s in all, %zu spans\n\n", show_date(ctx, self.from_us),
             show_took(ctx, self.to_us - self.from_us), self.n);
    for (size_t at = s_next(&self, SIZE_MAX); at != SIZE_MAX; at = s_next(&self, at))
        s_print_span(&self, &self.spans[at]);
}

static err_t s_trace(ctx_t *ctx, const args_t *args, look_t *look, buf_t *into)
{
    json_t *root = NULL;
    const char *text = NULL, *id = args->words[0];
    TRY(look_open(ctx, args, look));
    TRY(look_ask(ctx, look, ctx_printf(ctx, "trace?id=%s", ask_escape(ctx, id)), &text, &root));
    bool none = json_array_size(json_object_get(root, "items")) == 0;
    if (args_get(args, "--json"))
        buf_addf(into, "%s\n", text);
    else if (!none)
        look_waterfall(ctx, root, text_columns(), into);
    look_say_missing(look, root);
    json_decref(root);
    return !none ? OK : ctx_fail(ctx, ERR_KEY_NOT_FOUND, "no node remembers the request %s: "
                                 "`elanus requests` has those that can still be looked at", id);
}

int look_trace(const args_t *args)
{
    ctx_t ctx;
    ctx_init(&ctx);
    look_scoped look = {0};
    buf_scoped text = {0};
    int code = EXIT_SERVED;
    err_t err = s_trace(&ctx, args, &look, &text);
    show_out(&text);
    if (err != OK)
        code = look_failed(&ctx, args);
    ctx_fini(&ctx);
    return code;
}
