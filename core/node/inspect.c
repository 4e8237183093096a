/* inspect - see inspect.h */
#include "core/node/inspect.h"

#include <stdlib.h>

#include "core/base/journal.h"
#include "core/base/limits.h"
#include "core/base/spans.h"
#include "core/wire/pb.h"

typedef struct look {
    hostinfo_t host;            /* first: what the job fills in */
    member_t *member;
    net_from_t from;
    Elanus__InspectAsk ask;     /* CALL: a copy; it has no pointers */
    const Elanus__InspectAsk *own;      /* SELF */
    inspect_then_fn *then;      /* NULL: CALL */
    void *arg;
} look_t;

static void s_add_figures(const member_t *member, const void *node, ctx_t *ctx,
                          Elanus__Inspection *into)
{
    size_t n = 0;
    while (member->figures && member->figures[n].name)
        n++;
    into->figures = ctx_new(ctx, (n + 1) * sizeof into->figures[0]);
    for (size_t i = 0; i < n; i++) {
        Elanus__Figure *figure = ctx_new(ctx, sizeof *figure);
        elanus__figure__init(figure);
        figure->name = (char *)member->figures[i].name;
        figure->value = member->figures[i].read(node);
        into->figures[into->n_figures++] = figure;
    }
}

static void s_add_journal(const Elanus__InspectAsk *ask, ctx_t *ctx, Elanus__Inspection *into)
{
    journal_part_t part = {0};
    journal_read(ctx, ask->journal_after, ask->journal_most, &part);
    into->journal_next = part.next;
    into->journal_lost = part.lost;
    into->journal = ctx_new(ctx, (part.n + 1) * sizeof into->journal[0]);
    for (size_t i = 0; i < part.n; i++) {
        Elanus__JournalLine *line = ctx_new(ctx, sizeof *line);
        elanus__journal_line__init(line);
        line->seq = part.lines[i].seq;
        line->at_us = part.lines[i].at_us;
        line->level = (uint32_t)part.lines[i].level;
        line->event = (char *)part.lines[i].event;
        line->text = (char *)part.lines[i].text;
        into->journal[into->n_journal++] = line;
    }
}

static void s_add_spans(const member_t *member, uint64_t trace, ctx_t *ctx,
                        Elanus__Inspection *into)
{
    span_t *spans = NULL;
    size_t n = spans_of(ctx, trace, member->self->id, &spans);
    into->spans = ctx_new(ctx, (n + 1) * sizeof into->spans[0]);
    for (size_t i = 0; i < n; i++) {
        Elanus__Span *span = ctx_new(ctx, sizeof *span);
        elanus__span__init(span);
        span->trace = trace;
        span->id = spans[i].id;
        span->parent = spans[i].parent;
        span->name = spans[i].name;
        span->kind = (char *)span_kind_name(spans[i].kind);
        span->at_us = spans[i].at_us;
        span->took_us = spans[i].took_us;
        span->err = (int32_t)spans[i].err;
        into->spans[into->n_spans++] = span;
    }
}

static Elanus__Inspection *s_found(const look_t *look, const void *node,
                                   const Elanus__InspectAsk *ask, const event_t *ev)
{
    ctx_t *ctx = ev->ctx;
    Elanus__Inspection *found = ctx_new(ctx, sizeof *found);
    elanus__inspection__init(found);
    found->status = member_status(look->member, ctx, &look->host, ev->wall_ms);
    found->process = journal_process();
    found->calls = look->member->calls;
    s_add_figures(look->member, node, ctx, found);
    if (ask->journal_most > 0)
        s_add_journal(ask, ctx, found);
    if (ask->trace != 0)
        s_add_spans(look->member, ask->trace, ctx, found);
    if (look->member->inspect)
        look->member->inspect(node, ask, ctx, found);
    return found;
}

static void s_measured(void *node, void *arg, const event_t *ev, actions_t *act)
{
    look_t *look = arg;
    const Elanus__InspectAsk *ask = look->then ? look->own : &look->ask;
    Elanus__Inspection *found = ev->err == OK ? s_found(look, node, ask, ev) : NULL;
    if (look->then)
        look->then(node, look->arg, ev, act, found);
    else if (!found)
        act_refuse(act, look->from, ev->err, "%s", ev->text);
    else
        act_reply(act, look->from, pb_pack(ev->ctx, found));
}

static void s_measure(look_t *look, actions_t *act)
{
    act_job(act, member_measure, &look->host,
            wait_owned(look->member->waits, act, s_measured, look));
}

void inspect_call(member_t *member, const event_t *ev, actions_t *act)
{
    Elanus__InspectAsk *ask = NULL;
    if (PB_UNPACK(ev->ctx, elanus__inspect_ask, ev->call.payload, &ask) != OK) {
        act_refuse(act, ev->call.from, ERR_MALFORMED, "%s", ev->ctx->text);
        return;
    }
    look_t *look = mem_new(sizeof *look);
    *look = (look_t){ .member = member, .from = ev->call.from, .ask = *ask };
    s_measure(look, act);
}

void inspect_self(member_t *member, const Elanus__InspectAsk *ask, inspect_then_fn *then,
                  void *arg, actions_t *act)
{
    look_t *look = mem_new(sizeof *look);
    *look = (look_t){ .member = member, .own = ask, .then = then, .arg = arg };
    s_measure(look, act);
}

/* --- for the roles ------------------------------------------------------------------- */

bool inspect_wants(const Elanus__InspectAsk *ask, uint64_t collection, uint64_t segment)
{
    return (!ask->segments_of || ask->segments_of == collection) &&
           (!ask->segments_before || segment < ask->segments_before);
}

static int s_newest_first(const void *a, const void *b)
{
    const Elanus__SegmentView *x = *(Elanus__SegmentView *const *)a;
    const Elanus__SegmentView *y = *(Elanus__SegmentView *const *)b;
    return (x->id < y->id) - (x->id > y->id);
}

void inspect_cut_segments(const Elanus__InspectAsk *ask, Elanus__Inspection *into)
{
    qsort(into->segments, into->n_segments, sizeof into->segments[0], s_newest_first);
    if (into->n_segments > ask->segments_most)
        into->n_segments = ask->segments_most;
}
