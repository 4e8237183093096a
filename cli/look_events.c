/* look_events - `elanus events`: what all nodes logged, as one story
 *
 *     12:33:18.123  coord-1      takeover  channel_moves channel=… from=… to=…
 *
 * With --explain a sentence and the source file follow each line.
 */
#include "cli/ask.h"
#include "cli/look.h"
#include "cli/show.h"
#include "cli/table.h"
#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/log.h"
#include "core/node/daemon.h"

enum { FOLLOW_MS = 500, INDENT = 14, MOST = 1000 };

const flag_t look_events_flags[] = {
    { "--follow", NULL, "go on with what comes, until ctrl-C" },
    { "--explain", NULL, "add what each event means and the source file that does it" },
    { "--steps", NULL, "only the steps of a failover: suspect, takeover, sealed, active …" },
    { "--node", "NAME", "only what this node said" },
    { "--level", "LEVEL", "info, warn or error: this and above" },
    { "--most", "N", "begin with the last N lines of each node (200)" },
    { "--json", NULL, "print the proxy's answer; with --follow a line for each event" },
    { NULL, NULL, NULL },
};

typedef struct wish {
    const args_t *args;
    const char *node;
    log_level_t level;
    bool steps, explain, follow, json;
    uint64_t most;
} wish_t;

static err_t s_wish(ctx_t *ctx, const args_t *args, wish_t *ret)
{
    const char *level = args_get(args, "--level");
    *ret = (wish_t){ .args = args, .node = args_get(args, "--node"), .level = LOG_DEBUG,
                     .steps = args_get(args, "--steps"), .explain = args_get(args, "--explain"),
                     .follow = args_get(args, "--follow"), .json = args_get(args, "--json"),
                     .most = 200 };
    if (level && !log_level_parse(level, &ret->level))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "--level has to be info, warn or error, not \"%s\"",
                        level);
    return args_number(ctx, args, "--most", MOST, &ret->most);
}

static bool s_wanted(const wish_t *wish, const json_t *item)
{
    log_level_t level = LOG_INFO;
    bool known = log_level_parse(show_text(item, "level"), &level);
    return (!wish->node || strcmp(wish->node, show_text(item, "node")) == 0) &&
           (!wish->steps || show_text(item, "step")[0]) && (!known || level >= wish->level);
}

/* --- printing ------------------------------------------------------------------------------ */

static void s_print_text(ctx_t *ctx, const json_t *item, size_t width, buf_t *into)
{
    const char *level = show_text(item, "level"), *step = show_text(item, "step");
    const char *text = text_safe(ctx, show_text(item, "text"), 0);
    bool loud = strcmp(level, "info") != 0;
    const char *head = ctx_printf(ctx, "%s  %-12s %-9s %s%s%s",
        show_clock(ctx, show_int(item, "at_us", 0)), text_safe(ctx, show_text(item, "node"), 0),
        text_safe(ctx, step, 0), loud ? level : "", loud ? ": " : "",
        text_safe(ctx, show_text(item, "event"), 0));
    bool fits = text_width(head) + 1 + text_width(text) <= width;
    buf_addf(into, "%s%s%s\n", head, fits && text[0] ? " " : "", fits ? text : "");
    if (!fits)
        text_wrap(text, INDENT, width, into);
}

void look_event(ctx_t *ctx, const json_t *item, size_t width, bool explain, buf_t *into)
{
    s_print_text(ctx, item, width, into);
    if (!explain)
        return;
    const char *about = show_text(item, "about"), *source = show_text(item, "source");
    text_wrap(ctx_printf(ctx, "%s%s%s%s", text_safe(ctx, about, 0), source[0] ? " [" : "",
                         text_safe(ctx, source, 0), source[0] ? "]" : ""), INDENT, width, into);
}

static void s_print(ctx_t *ctx, const wish_t *wish, const json_t *root, buf_t *into)
{
    size_t i, width = text_columns();
    const json_t *item;
    json_array_foreach(json_object_get(root, "items"), i, item) {
        if (!s_wanted(wish, item))
            continue;
        if (wish->json)
            show_json(item, JSON_COMPACT, into);
        else
            look_event(ctx, item, width, wish->explain, into);
    }
    int64_t lost = show_int(root, "lost", 0);
    if (lost > 0)
        fprintf(stderr, "elanus events: %lld older lines are gone: a node keeps its last %d\n",
                (long long)lost, LIMIT_JOURNAL_LINES);
}

/* Without --follow the answer is one object; what was not asked for leaves it. */
static void s_print_object(const wish_t *wish, const char *text, json_t *root, buf_t *into)
{
    json_t *items = json_object_get(root, "items");
    size_t before = json_array_size(items);
    for (size_t i = before; i-- > 0; )
        if (!s_wanted(wish, json_array_get(items, i)))
            json_array_remove(items, i);
    if (json_array_size(items) == before)
        buf_addf(into, "%s\n", text);
    else
        show_json(root, JSON_COMPACT, into);
}

/* --- asking --------------------------------------------------------------------------------- */

/* One answer; *next becomes the cursor behind it. */
static err_t s_once(ctx_t *ctx, look_t *look, const wish_t *wish, char **next, bool first)
{
    json_t *root = NULL;
    const char *text = NULL;
    const char *page = ctx_printf(ctx, "events?most=%llu%s%s", (unsigned long long)wish->most,
                                  *next ? "&after=" : "", *next ? ask_escape(ctx, *next) : "");
    TRY(look_ask(ctx, look, page, &text, &root));
    buf_scoped out = {0};
    if (wish->json && !wish->follow)
        s_print_object(wish, text, root, &out);
    else
        s_print(ctx, wish, root, &out);
    if (first)
        look_say_missing(look, root);
    mem_free(*next);
    *next = mem_strdup(show_text(root, "next"));
    json_decref(root);
    return show_out(&out) ? OK : ctx_fail(ctx, ERR_CANCELED, "nobody reads");
}

static err_t s_events(ctx_t *ctx, look_t *look, const wish_t *wish, char **next)
{
    err_t err = s_once(ctx, look, wish, next, true);
    bool said = false;
    while (wish->follow && err != ERR_CANCELED) {
        if (err != OK && !said)
            (void)look_failed(ctx, wish->args);     /* once: it may come back */
        said = err != OK;
        clock_sleep_ms(FOLLOW_MS);
        ctx_t one;
        ctx_init(&one);
        err = s_once(&one, look, wish, next, said);
        if (err != OK)
            ctx_fail(ctx, err, "%s", one.text);
        ctx_fini(&one);
    }
    return err;
}

int look_events(const args_t *args)
{
    ctx_t ctx;
    ctx_init(&ctx);
    look_scoped look = {0};
    wish_t wish;
    char *next = NULL;
    err_t err = s_wish(&ctx, args, &wish);
    if (err == OK)
        err = look_open(&ctx, args, &look);
    if (err == OK)
        err = s_events(&ctx, &look, &wish, &next);
    int code = err == OK ? EXIT_SERVED : look_failed(&ctx, args);
    mem_free(next);
    ctx_fini(&ctx);
    return code;
}
