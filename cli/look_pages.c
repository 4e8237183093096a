/* look_pages - the pages that are lists: a row of the table for each item */
#include <unistd.h>

#include "cli/ask.h"
#include "cli/look.h"
#include "cli/show.h"
#include "cli/table.h"
#include "core/base/clock.h"
#include "core/node/daemon.h"

const flag_t look_page_flags[] = {
    { "--json", NULL, "print the proxy's answer as it came" },
    { "--watch", "[SECONDS]", "ask again and again (every 2 seconds)" },
    { NULL, NULL, NULL },
};
const flag_t look_segments_flags[] = {
    { "--collection", "NAME", "only those of one collection" },
    { "--db", "NAME", "the database of that collection" },
    { NULL, NULL, NULL },
};
const flag_t look_requests_flags[] = {
    { "--slow", NULL, "those that took longest first" },
    { "--most", "N", "at most so many (100)" },
    { NULL, NULL, NULL },
};

typedef struct page_view {
    const table_column_t *columns;
    size_t n_columns;
    void (*row)(table_t *table, const json_t *item, const json_t *root);
    const char *none;           /* said when there is no item */
} page_view_t;

/* --- nodes ----------------------------------------------------------------------------- */

static const table_column_t s_node_columns[] = {
    { .title = "NAME" }, { .title = "STATE" }, { .title = "CPU%", .right = true },
    { .title = "MEMORY", .right = true }, { .title = "LIMIT", .right = true, .rank = 2 },
    { .title = "CALLS", .right = true }, { .title = "UP", .right = true },
    { .title = "OPS", .rank = 1 }, { .title = "ADDRESS", .rank = 4 },
    { .title = "DISK", .right = true, .rank = 5 },
    { .title = "HOST", .rank = 3, .elastic = true }, { .title = "VERSION", .rank = 6 },
};

static void s_node_row(table_t *table, const json_t *item, const json_t *root)
{
    ctx_t *ctx = table->ctx;
    int64_t now = show_int(root, "at_ms", 0), since = show_int(item, "started_ms", now);
    bool leads = json_is_true(json_object_get(item, "leader"));
    table_add(table, show_text(item, "name"));
    table_addf(table, "%s%s", show_text(item, "state"), leads ? ", leads" : "");
    table_add(table, show_tenths_of(ctx, item, "cpu_percent"));
    table_add(table, show_bytes_of(ctx, item, "memory_used"));
    table_add(table, show_bytes_of(ctx, item, "memory_limit"));
    table_add(table, show_count_of(ctx, item, "calls"));
    table_add(table, show_age(ctx, now - since));
    table_add(table, show_text(item, "ops_address"));
    table_add(table, show_text(item, "address"));
    table_add(table, show_bytes_of(ctx, item, "disk_used"));
    table_add(table, show_text(item, "host"));
    table_add(table, show_text(item, "version"));
}

/* --- channels --------------------------------------------------------------------------- */

static const table_column_t s_channel_columns[] = {
    { .title = "CHANNEL", .elastic = true }, { .title = "OWNER" },
    { .title = "EPOCH", .right = true, .rank = 3 }, { .title = "STATE" },
    { .title = "FRONTIER", .right = true }, { .title = "CHECKPOINT", .right = true, .rank = 1 },
    { .title = "PENDING", .right = true, .rank = 4 },
    { .title = "GROWING", .right = true, .rank = 2 }, { .title = "FOLLOWERS", .elastic = true },
    { .title = "VCHANNELS", .elastic = true, .rank = 5 },
};

static const char *s_followers(ctx_t *ctx, const json_t *item)
{
    buf_scoped text = {0};
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(item, "followers"), i, one) {
        buf_addf(&text, "%s%s%s", i ? ", " : "", show_text(one, "node"),
                 json_is_true(json_object_get(one, "leader")) ? "*" : "");
        int64_t behind = show_int(one, "behind_ms", 0);
        if (behind > 0)
            buf_addf(&text, " (%s behind)", show_took(ctx, behind * 1000));
    }
    return ctx_strdup(ctx, text.len ? buf_str(&text) : "");
}

static const char *s_names(ctx_t *ctx, const json_t *list, const char *key)
{
    buf_scoped text = {0};
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
        buf_addf(&text, "%s%s", i ? ", " : "", show_text(one, key));
    return ctx_strdup(ctx, text.len ? buf_str(&text) : "");
}

static void s_channel_row(table_t *table, const json_t *item, const json_t *root)
{
    (void)root;
    ctx_t *ctx = table->ctx;
    const char *owner = show_text(item, "owner");
    table_add(table, show_text(item, "channel"));
    table_add(table, owner[0] ? owner : "nobody");
    table_add(table, show_count_of(ctx, item, "epoch"));
    table_add(table, show_text(item, "state"));
    table_add(table, show_position(ctx, json_object_get(item, "frontier")));
    table_add(table, show_position(ctx, json_object_get(item, "checkpoint")));
    table_add(table, show_bytes_of(ctx, item, "pending_bytes"));
    table_add(table, show_count_of(ctx, item, "growing_rows"));
    table_add(table, s_followers(ctx, item));
    table_add(table, s_names(ctx, json_object_get(item, "vchannels"), "name"));
}

/* --- segments ----------------------------------------------------------------------------- */

static const table_column_t s_segment_columns[] = {
    { .title = "SEGMENT" }, { .title = "COLLECTION", .elastic = true },
    { .title = "PARTITION", .elastic = true, .rank = 3 }, { .title = "STATE" },
    { .title = "ROWS", .right = true }, { .title = "DELETED", .right = true, .rank = 2 },
    { .title = "SIZE", .right = true, .rank = 1 }, { .title = "LEVEL", .right = true, .rank = 4 },
    { .title = "NODES", .elastic = true }, { .title = "INDEXES", .elastic = true },
    { .title = "FROM", .elastic = true, .rank = 5 },
};

static const char *s_indexes(ctx_t *ctx, const json_t *item)
{
    buf_scoped text = {0};
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(item, "indexes"), i, one) {
        buf_addf(&text, "%s%s %s", i ? ", " : "", show_text(one, "type"), show_text(one, "state"));
        if (strcmp(show_text(one, "state"), "running") == 0)
            buf_addf(&text, " %lld%%", (long long)show_int(one, "percent", 0));
    }
    return ctx_strdup(ctx, text.len ? buf_str(&text) : "");
}

static const char *s_words(ctx_t *ctx, const json_t *list)
{
    buf_scoped text = {0};
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
        if (json_is_string(one))
            buf_addf(&text, "%s%s", i ? ", " : "", json_string_value(one));
    return ctx_strdup(ctx, text.len ? buf_str(&text) : "");
}

static void s_segment_row(table_t *table, const json_t *item, const json_t *root)
{
    (void)root;
    ctx_t *ctx = table->ctx;
    const char *owner = show_text(item, "owner");
    const char *held = s_names(ctx, json_object_get(item, "held_by"), "node");
    table_add(table, show_text(item, "id"));
    table_add(table, show_text(item, "collection"));
    table_add(table, show_text(item, "partition"));
    table_add(table, show_text(item, "state"));
    table_add(table, show_count_of(ctx, item, "rows"));
    table_add(table, show_count_of(ctx, item, "deleted"));
    table_add(table, show_bytes_of(ctx, item, "bytes"));
    table_add(table, show_count_of(ctx, item, "level"));
    table_addf(table, "%s%s%s", owner, owner[0] && held[0] ? ", " : "", held);
    table_add(table, s_indexes(ctx, item));
    table_add(table, s_words(ctx, json_object_get(item, "from")));
}

/* --- indexes -------------------------------------------------------------------------------- */

static const table_column_t s_build_columns[] = {
    { .title = "BUILD" }, { .title = "COLLECTION", .elastic = true }, { .title = "SEGMENT" },
    { .title = "INDEX", .elastic = true, .rank = 2 },
    { .title = "FIELD", .elastic = true, .rank = 1 }, { .title = "TYPE" }, { .title = "STATE" },
    { .title = "DONE", .right = true }, { .title = "NODE" },
    { .title = "ROWS", .right = true, .rank = 3 }, { .title = "TOOK", .right = true, .rank = 4 },
    { .title = "SIZE", .right = true, .rank = 5 },
    { .title = "ATTEMPT", .right = true, .rank = 7 },
    { .title = "ERROR", .elastic = true, .rank = 6 },
};

static void s_build_row(table_t *table, const json_t *item, const json_t *root)
{
    ctx_t *ctx = table->ctx;
    int64_t from = show_int(item, "started_ms", 0);
    int64_t to = show_int(item, "done_ms", show_int(root, "at_ms", from));
    table_add(table, show_text(item, "build"));
    table_add(table, show_text(item, "collection"));
    table_add(table, show_text(item, "segment"));
    table_add(table, show_text(item, "index"));
    table_add(table, show_text(item, "field"));
    table_add(table, show_text(item, "type"));
    table_add(table, show_text(item, "state"));
    table_add(table, show_known(item, "percent")
              ? ctx_printf(ctx, "%lld%%", (long long)show_int(item, "percent", 0)) : "-");
    table_add(table, show_text(item, "node"));
    table_add(table, show_count_of(ctx, item, "rows"));
    table_add(table, from > 0 ? show_age(ctx, to - from) : "-");
    table_add(table, show_bytes_of(ctx, item, "bytes"));
    table_add(table, show_count_of(ctx, item, "attempt"));
    table_add(table, show_text(item, "error"));
}

/* --- requests -------------------------------------------------------------------------------- */

static const table_column_t s_request_columns[] = {
    { .title = "TRACE" }, { .title = "AT" }, { .title = "METHOD", .elastic = true },
    { .title = "COLLECTION", .elastic = true }, { .title = "TOOK", .right = true },
    { .title = "CODE", .right = true }, { .title = "NQ", .right = true, .rank = 3 },
    { .title = "LIMIT", .right = true, .rank = 2 }, { .title = "ROWS", .right = true, .rank = 4 },
    { .title = "FILTER", .elastic = true, .rank = 1 }, { .title = "PROXY", .rank = 5 },
    { .title = "USER", .rank = 7 }, { .title = "ERROR", .elastic = true, .rank = 6 },
};

static void s_request_row(table_t *table, const json_t *item, const json_t *root)
{
    (void)root;
    ctx_t *ctx = table->ctx;
    table_add(table, show_text(item, "trace"));
    table_add(table, show_clock(ctx, show_int(item, "at_us", 0)));
    table_add(table, show_text(item, "method"));
    table_add(table, show_text(item, "collection"));
    table_add(table, show_took(ctx, show_int(item, "took_us", 0)));
    table_add(table, show_count_of(ctx, item, "code"));
    table_add(table, show_count_of(ctx, item, "nq"));
    table_add(table, show_count_of(ctx, item, "limit"));
    table_add(table, show_count_of(ctx, item, "rows"));
    table_add(table, show_text(item, "filter"));
    table_add(table, show_text(item, "proxy"));
    table_add(table, show_text(item, "user"));
    table_add(table, show_text(item, "error"));
}

/* --- running ---------------------------------------------------------------------------- */

#define VIEW(name, nothing) \
    { s_##name##_columns, ARRAY_LEN(s_##name##_columns), s_##name##_row, nothing }

static const struct { const char *page; page_view_t view; } s_views[] = {
    { "nodes", VIEW(node, "no nodes") },
    { "channels", VIEW(channel, "no channels: the first collection opens them") },
    { "segments", VIEW(segment, "no segments: inserted rows make them") },
    { "builds", VIEW(build, "no index builds: flushed segments of an indexed field make them") },
    { "requests", VIEW(request, "no requests of clients yet") },
};

bool look_table(ctx_t *ctx, const char *page, const json_t *root, size_t width, buf_t *into)
{
    const page_view_t *view = NULL;
    for (size_t i = 0; i < ARRAY_LEN(s_views); i++)
        if (strncmp(page, s_views[i].page, strlen(s_views[i].page)) == 0)
            view = &s_views[i].view;
    if (!view)
        return false;
    table_scoped table;
    table_init(&table, ctx, view->columns, view->n_columns);
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(root, "items"), i, item)
        view->row(&table, item, root);
    if (i > 0)
        table_print(&table, width, into);
    else
        buf_addf(into, "%s\n", view->none);
    return true;
}

static err_t s_once(ctx_t *ctx, look_t *look, const char *page, buf_t *into)
{
    json_t *root = NULL;
    const char *text = NULL;
    TRY(look_ask(ctx, look, page, &text, &root));
    if (args_get(look->args, "--json"))
        buf_addf(into, "%s\n", text);
    else
        check(look_table(ctx, page, root, text_columns(), into));
    look_say_missing(look, root);
    json_decref(root);
    return OK;
}

/* A screen of its own each time on a terminal; elsewhere one below the other. */
static void s_before_next(const look_t *look, const char *page, uint64_t seconds, buf_t *into)
{
    if (args_get(look->args, "--json"))
        return;
    if (isatty(STDOUT_FILENO))
        buf_add_str(into, "\033[H\033[2J");
    ctx_t ctx;
    ctx_init(&ctx);
    buf_addf(into, "elanus %s, every %llu s, %s\n\n", page, (unsigned long long)seconds,
             show_clock(&ctx, clock_wall_us()));
    ctx_fini(&ctx);
}

static int s_watch(look_t *look, const char *page, uint64_t seconds)
{
    for (bool heard = true; heard; clock_sleep_ms((int64_t)seconds * 1000)) {
        ctx_t ctx;
        ctx_init(&ctx);
        buf_scoped text = {0};
        s_before_next(look, look->args->command->word, seconds, &text);
        if (s_once(&ctx, look, page, &text) != OK)
            (void)look_failed(&ctx, look->args);
        if (!args_get(look->args, "--json"))
            buf_add_str(&text, "\n");
        heard = show_out(&text);
        ctx_fini(&ctx);
    }
    return EXIT_SERVED;
}

static err_t s_look(ctx_t *ctx, const args_t *args, const char *page, look_t *look, int *ret_code)
{
    uint64_t seconds = 2;
    TRY(args_number(ctx, args, "--watch", 3600, &seconds));
    TRY(look_open(ctx, args, look));
    if (args_get(args, "--watch")) {
        *ret_code = s_watch(look, page, seconds ? seconds : 1);
        return OK;
    }
    buf_scoped text = {0};
    TRY(s_once(ctx, look, page, &text));
    show_out(&text);
    return OK;
}

static int s_run(const args_t *args, ctx_t *ctx, const char *page)
{
    int code = EXIT_SERVED;
    look_scoped look = {0};
    if (s_look(ctx, args, page, &look, &code) != OK)
        code = look_failed(ctx, args);
    return code;
}

static int s_page(const args_t *args, const char *page)
{
    ctx_t ctx;
    ctx_init(&ctx);
    int code = s_run(args, &ctx, page);
    ctx_fini(&ctx);
    return code;
}

int look_nodes(const args_t *args)
{
    return s_page(args, "nodes");
}

int look_channels(const args_t *args)
{
    return s_page(args, "channels");
}

int look_indexes(const args_t *args)
{
    return s_page(args, "builds");
}

int look_segments(const args_t *args)
{
    ctx_t ctx;
    ctx_init(&ctx);
    const char *collection = args_get(args, "--collection"), *db = args_get(args, "--db");
    const char *page = "segments";
    if (collection)
        page = ctx_printf(&ctx, "segments?collection=%s%s%s", ask_escape(&ctx, collection),
                          db ? "&db=" : "", db ? ask_escape(&ctx, db) : "");
    int code = s_run(args, &ctx, page);
    ctx_fini(&ctx);
    return code;
}

int look_requests(const args_t *args)
{
    ctx_t ctx;
    ctx_init(&ctx);
    uint64_t most = 100;
    int code = 0;
    if (args_number(&ctx, args, "--most", 10000, &most) != OK)
        code = look_failed(&ctx, args);
    else
        code = s_run(args, &ctx, ctx_printf(&ctx, "requests?most=%llu%s",
                     (unsigned long long)most, args_get(args, "--slow") ? "&slow=1" : ""));
    ctx_fini(&ctx);
    return code;
}
