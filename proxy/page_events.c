/* page_events - the journals of all nodes as one; "events" of docs/pages.md
 *
 * A cursor says for each node up to where its journal was read: "7.181-3.55",
 * node and line.  Nodes of one process share a journal, so lines are told apart
 * by process and number.
 */
#include <stdlib.h>

#include "proxy/event_texts.h"
#include "proxy/pages.h"

enum { MOST = 1000, USUAL = 200 };

static err_t s_ask(proxy_call_t *call, Elanus__InspectAsk *ask)
{
    uint64_t most = USUAL;
    TRY(page_number(call, "most", MOST, &most));
    ask->journal_most = (uint32_t)most;
    return OK;
}

/* Where to read on with this node; 0: it is new to the asker. */
static void s_ask_node(page_look_t *look, const page_node_t *node, Elanus__InspectAsk *ask)
{
    ask->journal_after = 0;
    for (const char *at = page_param(look->call, "after"); *at; ) {
        char *end = NULL;
        unsigned long long id = strtoull(at, &end, 10);
        if (end == at || *end != '.')
            return;
        at = end + 1;
        unsigned long long seq = strtoull(at, &end, 10);
        if (id == node->info->id)
            ask->journal_after = seq;
        at = *end == '-' ? end + 1 : "";
    }
}

typedef struct line {
    const Elanus__JournalLine *line;
    const page_node_t *node;
    uint64_t process;
    bool shared;                /* several nodes are in that process: no telling which said it */
} line_t;

static int s_order(const void *a, const void *b)
{
    const line_t *x = a, *y = b;
    if (x->line->at_us != y->line->at_us)
        return x->line->at_us < y->line->at_us ? -1 : 1;
    if (x->process != y->process)
        return x->process < y->process ? -1 : 1;
    return x->line->seq < y->line->seq ? -1 : x->line->seq > y->line->seq;
}

/* "key=value" or "key=\"some words\""; where the next one begins. */
static const char *s_field(ctx_t *ctx, const char *at, json_t *into)
{
    at += strspn(at, " ");
    size_t name = strcspn(at, "= ");
    const char *value = at + name;
    if (*value != '=')
        return value;                           /* a word by itself */
    value++;
    bool quoted = *value == '"';
    value += quoted;
    size_t len = strcspn(value, quoted ? "\"" : " ");
    if (name > 0)
        json_object_set_new(into, ctx_printf(ctx, "%.*s", (int)name, at),
                            json_stringn(value, len));
    value += len;
    return value + (quoted && *value == '"');
}

static json_t *s_fields(ctx_t *ctx, const char *text)
{
    json_t *fields = json_object();
    for (const char *at = text; *at; )
        at = s_field(ctx, at, fields);
    return fields;
}

static json_t *s_item(ctx_t *ctx, const line_t *line)
{
    static const char *const s_levels[] = { "debug", "info", "warn", "error", "fatal" };
    const Elanus__JournalLine *said = line->line;
    const event_text_t *text = event_text(said->event);
    json_t *fields = s_fields(ctx, said->text);
    json_t *item = json_object();
    json_object_set_new(item, "at_us", json_integer(said->at_us));
    json_object_set_new(item, "node", json_string(line->shared ? "standalone" : line->node->name));
    json_object_set_new(item, "level", json_string(s_levels[said->level < ARRAY_LEN(s_levels)
                                                            ? said->level : LOG_ERROR]));
    json_object_set_new(item, "event", page_text(said->event));
    json_object_set_new(item, "text", page_text(said->text));
    json_object_set_new(item, "fields", fields);
    json_object_set_new(item, "about", page_text(text ? text->about : NULL));
    json_object_set_new(item, "step", page_text(text ? text->step : NULL));
    json_object_set_new(item, "source", page_text(text ? text->source : NULL));
    return item;
}

static bool s_shared(const page_look_t *look, const page_node_t *node)
{
    for (size_t i = 0; i < look->n_nodes; i++) {
        const Elanus__Inspection *other = look->nodes[i].found;
        if (&look->nodes[i] != node && other && other->process == node->found->process)
            return true;
    }
    return false;
}

static size_t s_collect(page_look_t *look, line_t **ret)
{
    size_t n = 0, room = 0;
    for (size_t i = 0; i < look->n_nodes; i++)
        room += look->nodes[i].found ? look->nodes[i].found->n_journal : 0;
    *ret = ctx_new(look->call->ctx, (room + 1) * sizeof **ret);
    for (size_t i = 0; i < look->n_nodes; i++) {
        const Elanus__Inspection *found = look->nodes[i].found;
        bool shared = found && s_shared(look, &look->nodes[i]);
        for (size_t j = 0; found && j < found->n_journal; j++)
            (*ret)[n++] = (line_t){ found->journal[j], &look->nodes[i], found->process, shared };
    }
    qsort(*ret, n, sizeof **ret, s_order);
    return n;
}

static void s_fill(proxy_node_t *self, page_look_t *look)
{
    (void)self;
    line_t *lines = NULL;
    size_t n = s_collect(look, &lines);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || s_order(&lines[i - 1], &lines[i]) != 0)
            json_array_append_new(look->items, s_item(look->call->ctx, &lines[i]));

    buf_scoped next = {0};
    uint64_t lost = 0;
    for (size_t i = 0; i < look->n_nodes; i++) {
        const page_node_t *node = &look->nodes[i];
        uint64_t seq = node->found ? node->found->journal_next : 0;
        if (seq == 0) {                         /* silent: go on later where it was */
            Elanus__InspectAsk ask = ELANUS__INSPECT_ASK__INIT;
            s_ask_node(look, node, &ask);
            seq = ask.journal_after;
        }
        lost += node->found ? node->found->journal_lost : 0;
        if (seq > 0)
            buf_addf(&next, "%s%llu.%llu", next.len ? "-" : "",
                     (unsigned long long)node->info->id, (unsigned long long)seq);
    }
    look->more = json_object();
    json_object_set_new(look->more, "next", json_string(next.len ? buf_str(&next) : ""));
    json_object_set_new(look->more, "lost", json_integer((json_int_t)lost));
}

const page_t page_events = { .name = "events", .ask = s_ask, .ask_node = s_ask_node,
                             .fill = s_fill };
