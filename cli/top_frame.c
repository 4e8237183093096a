/* top_frame - one frame of `elanus top`, as text; see top.h */
#include <stdio.h>

#include "cli/look.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/top.h"

enum { MISSING_MOST = 4 };

#define BOLD   "\033[1m"
#define TURNED "\033[7m"
#define PLAIN  "\033[0m"

static const struct { const char *name, *page; } s_views[TOP_VIEWS] = {
    [TOP_NODES] = { "nodes", "nodes" }, [TOP_CHANNELS] = { "channels", "channels" },
    [TOP_SEGMENTS] = { "segments", "segments" }, [TOP_INDEXES] = { "indexes", "builds" },
    [TOP_REQUESTS] = { "requests", "requests?most=200" },
    [TOP_EVENTS] = { "events", "events?most=200" },
};

const char *top_page(top_view_t view)
{
    return s_views[view].page;
}

/* --- lines ------------------------------------------------------------------------------- */

typedef struct frame {
    ctx_t *ctx;
    size_t width;
    bool bold;
    buf_t *into;
    size_t lines;
} frame_t;

/* One line, cut at the edge. */
static void s_line(frame_t *frame, const char *mark, const char *text)
{
    const char *safe = text_safe(frame->ctx, text, frame->width);
    bool marked = frame->bold && mark[0];
    buf_addf(frame->into, "%s%s%s\n", marked ? mark : "", safe, marked ? PLAIN : "");
    frame->lines++;
}

/* --- rates -------------------------------------------------------------------------------- */

static const json_t *s_find(const json_t *root, const char *name)
{
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(root, "items"), i, item)
        if (strcmp(show_text(item, "name"), name) == 0)
            return item;
    return NULL;
}

/* Calls a second between the last two answers; negative: not known, or it began anew. */
static double s_rate(const top_t *self, const json_t *item)
{
    const json_t *before = s_find(self->before, show_text(item, "name"));
    int64_t ms = show_int(self->nodes, "at_ms", 0) - show_int(self->before, "at_ms", 0);
    if (!before || ms <= 0 || !show_known(item, "calls") || !show_known(before, "calls"))
        return -1;
    return (double)(show_int(item, "calls", 0) - show_int(before, "calls", 0)) * 1000 / (double)ms;
}

static const table_column_t s_columns[] = {
    { .title = "NAME" }, { .title = "STATE" }, { .title = "CPU%", .right = true },
    { .title = "MEMORY", .right = true }, { .title = "CALLS/S", .right = true },
    { .title = "UP", .right = true, .rank = 1 }, { .title = "OPS", .rank = 2 },
    { .title = "DISK", .right = true, .rank = 4 }, { .title = "HOST", .rank = 3, .elastic = true },
};

static void s_node(const top_t *self, table_t *table, const json_t *item)
{
    ctx_t *ctx = table->ctx;
    double rate = s_rate(self, item);
    int64_t now = show_int(self->nodes, "at_ms", 0);
    bool leads = json_is_true(json_object_get(item, "leader"));
    table_add(table, show_text(item, "name"));
    table_addf(table, "%s%s", show_text(item, "state"), leads ? ", leads" : "");
    table_add(table, show_tenths_of(ctx, item, "cpu_percent"));
    table_add(table, show_bytes_of(ctx, item, "memory_used"));
    table_add(table, rate >= 0 ? ctx_printf(ctx, "%.1f", rate) : "-");
    table_add(table, show_age(ctx, now - show_int(item, "started_ms", now)));
    table_add(table, show_text(item, "ops_address"));
    table_add(table, show_bytes_of(ctx, item, "disk_used"));
    table_add(table, show_text(item, "host"));
}

static void s_nodes(const top_t *self, const frame_t *frame, buf_t *into)
{
    table_scoped table;
    table_init(&table, frame->ctx, s_columns, ARRAY_LEN(s_columns));
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(self->nodes, "items"), i, item)
        s_node(self, &table, item);
    table_print(&table, frame->width, into);
}

/* --- the head ------------------------------------------------------------------------------- */

static void s_head(const top_t *self, frame_t *frame)
{
    const json_t *root = self->nodes, *item;
    size_t i, n = 0, silent = 0;
    double calls = 0;
    json_array_foreach(json_object_get(root, "items"), i, item) {
        double rate = s_rate(self, item);
        n++;
        silent += strcmp(show_text(item, "state"), "up") != 0;
        calls += rate > 0 ? rate : 0;
    }
    const char *leader = show_text(root, "leader");
    s_line(frame, BOLD, ctx_printf(frame->ctx, "elanus top  %s (%s)  %s: leader %s, %zu node%s%s",
           show_text(root, "cluster"), show_text(root, "mode"),
           show_clock(frame->ctx, show_int(root, "at_ms", 0) * 1000), leader[0] ? leader : "NONE",
           n, n == 1 ? "" : "s", silent ? ctx_printf(frame->ctx, ", %zu NOT UP", silent) : ""));
    s_line(frame, "", ctx_printf(frame->ctx, "%.1f calls/s between nodes, told by %s of version "
           "%s", calls, show_text(root, "proxy"), show_text(root, "version")));
}

static void s_missing(const top_t *self, frame_t *frame)
{
    const json_t *list = json_object_get(self->page ? self->page : self->nodes, "missing"), *entry;
    size_t i;
    json_array_foreach(list, i, entry) {
        if (i == MISSING_MOST) {
            s_line(frame, TURNED, ctx_printf(frame->ctx, "… and %zu more are missing",
                                             json_array_size(list) - i));
            break;
        }
        s_line(frame, TURNED, ctx_printf(frame->ctx, "MISSING %s: %s", show_text(entry, "what"),
                                         show_text(entry, "why")));
    }
}

static void s_tabs(const top_t *self, frame_t *frame)
{
    buf_scoped text = {0};
    for (top_view_t view = 0; view < TOP_VIEWS; view++) {
        bool here = view == self->view;
        buf_addf(&text, "%s%s%s%s%s ", here && frame->bold ? TURNED : "", here ? "[" : " ",
                 s_views[view].name, here ? "]" : " ", here && frame->bold ? PLAIN : "");
    }
    buf_addf(frame->into, "\n%s\n", buf_str(&text));
    frame->lines += 2;
}

/* --- the body --------------------------------------------------------------------------------- */

static const char s_keys[] =
    "tab, left, right   another view        1 … 6   that view\n"
    "up, down           a line              space, b, page up, page down   a page\n"
    "e                  events: what each means\n"
    "?                  this, and back      q       leave\n";

static void s_events(const top_t *self, const frame_t *frame, buf_t *into)
{
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(self->page, "items"), i, item)
        look_event(frame->ctx, item, frame->width, self->explain, into);
}

static void s_body(const top_t *self, const frame_t *frame, buf_t *into)
{
    if (self->help)
        buf_add_str(into, s_keys);
    else if (self->view == TOP_NODES)
        s_nodes(self, frame, into);
    else if (self->view == TOP_EVENTS)
        s_events(self, frame, into);
    else if (self->page)
        check(look_table(frame->ctx, top_page(self->view), self->page, frame->width, into));
}

static size_t s_count(const buf_t *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->len; i++)
        n += text->ptr[i] == '\n';
    return n;
}

/* The lines from `skip` on, at most `most`. */
static void s_part(frame_t *frame, buf_t *body, size_t skip, size_t most)
{
    const char *at = body->len ? buf_str(body) : "";
    for (size_t line = 0; *at && most > 0; line++) {
        size_t len = strcspn(at, "\n");
        if (line >= skip) {
            s_line(frame, "", ctx_printf(frame->ctx, "%.*s", (int)len, at));
            most--;
        }
        at += len + (at[len] == '\n');
    }
}

static void s_no_answer(const top_t *self, frame_t *frame)
{
    buf_scoped text = {0};
    s_line(frame, BOLD, ctx_printf(frame->ctx, "elanus top  %s", show_clock(frame->ctx,
                                                                            self->now_us)));
    s_line(frame, TURNED, ctx_printf(frame->ctx, "NO ANSWER for %s: nothing here is known to be "
           "true now", show_age(frame->ctx, self->error_ms)));
    text_wrap(text_safe(frame->ctx, self->error, 0), 0, frame->width, &text);
    s_part(frame, &text, 0, 6);
}

/* Tables begin at their top; events end with the newest. */
static size_t s_skip(const top_t *self, size_t lines, size_t room)
{
    size_t most = lines > room ? lines - room : 0;
    if (self->view == TOP_EVENTS && !self->help)
        return self->scroll < most ? most - self->scroll : 0;
    return self->scroll < most ? self->scroll : most;
}

void top_frame(ctx_t *ctx, const top_t *self, size_t width, size_t height, bool bold,
               buf_t *into)
{
    frame_t frame = { .ctx = ctx, .width = width, .bold = bold, .into = into };
    buf_scoped body = {0};
    if (self->error || !self->nodes) {
        s_no_answer(self, &frame);
    } else {
        s_head(self, &frame);
        s_missing(self, &frame);
        s_tabs(self, &frame);
        s_body(self, &frame, &body);
    }
    size_t lines = s_count(&body);
    size_t room = height == 0 ? lines : height > frame.lines + 1 ? height - frame.lines - 1 : 0;
    size_t skip = s_skip(self, lines, room);
    s_part(&frame, &body, skip, room);
    while (height > 0 && frame.lines + 1 < height)
        s_line(&frame, "", "");
    if (height > 0)
        s_line(&frame, TURNED, lines > room
               ? ctx_printf(ctx, "lines %zu to %zu of %zu   q leaves, ? tells the keys", skip + 1,
                            skip + room, lines) : "q leaves, ? tells the keys");
}
