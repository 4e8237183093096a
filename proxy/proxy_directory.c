/* proxy_directory - who owns a channel, who serves a collection
 *
 * The proxy follows the metadata of nodes, owners and replicas by itself.  A request that
 * finds its channel without an owner, or its shard without a leader, waits for
 * news: the next change of that picture, or a time.  It looks again then, so it
 * makes no difference what the news was.
 *
 * Waiting requests are woken all together.  Channels move seldom, and many
 * requests wait only while one is without an owner: then one change frees them
 * all.
 */
#include "proxy/proxy_links.h"

struct news {
    news_t *next;
    proxy_news_fn *then;
    void *arg;
    trace_t trace;
    int64_t until_ms;
};

/* --- news ------------------------------------------------------------------------ */

/* Let go all, or those whose time is over. */
static void s_tell(proxy_node_t *self, const event_t *ev, actions_t *act, bool all)
{
    news_t *list = self->news, *later = NULL;
    self->news = NULL;
    while (list) {
        news_t *news = list;
        list = news->next;
        if (all || ev->now_ms >= news->until_ms) {
            trace_t before = act_trace(act, news->trace);
            news->then(self, news->arg, ev, act);
            act_trace(act, before);
            mem_free(news);
        } else {
            news->next = later;
            later = news;
        }
    }
    while (later) {                             /* those may have begun to wait anew */
        news_t *news = later;
        later = news->next;
        news->next = self->news;
        self->news = news;
    }
}

static void s_wind(proxy_node_t *self, const event_t *ev, actions_t *act)
{
    int64_t due = INT64_MAX;
    for (const news_t *news = self->news; news; news = news->next)
        due = news->until_ms < due ? news->until_ms : due;
    if (self->news)
        act_timer(act, TIMER_PROXY_NEWS, due > ev->now_ms ? due - ev->now_ms : 0);
    self->news_due_ms = due;
}

void proxy_news(proxy_node_t *self, const event_t *ev, actions_t *act, int64_t wait_ms,
                proxy_news_fn *then, void *arg)
{
    check(wait_ms > 0);
    news_t *news = mem_new(sizeof *news);
    *news = (news_t){ .next = self->news, .then = then, .arg = arg, .trace = act->trace,
                      .until_ms = ev->now_ms + wait_ms };
    bool first = !self->news;
    self->news = news;
    if (first || news->until_ms < self->news_due_ms) {
        self->news_due_ms = news->until_ms;
        act_timer(act, TIMER_PROXY_NEWS, wait_ms);
    }
}

void proxy_news_all(proxy_node_t *self, const event_t *ev, actions_t *act)
{
    s_tell(self, ev, act, true);
}

void proxy_directory_timer(proxy_node_t *self, const event_t *ev, actions_t *act)
{
    s_tell(self, ev, act, false);
    s_wind(self, ev, act);
}

/* --- the picture --------------------------------------------------------------------- */

static void s_watched(void *node, void *arg, const event_t *ev, actions_t *act)
{
    proxy_node_t *self = node;
    directory_kind_t kind = (directory_kind_t)(uintptr_t)arg;
    if (ev->kind != EV_WATCH) {
        log_event(LOG_ERROR, "watch_failed", "prefix=%s why=\"%s\"", directory_root(kind),
                  ev->text);
        return;
    }
    directory_watched(self->directory, ev->ctx, kind, ev->watch.changes, ev->watch.n);
    if (kind == DIRECTORY_SESSION)
        proxy_links_follow(self, ev, act);
    s_tell(self, ev, act, true);
}

void proxy_directory_start(proxy_node_t *self, actions_t *act)
{
    self->directory = directory_new();
    proxy_links_start(self);
    for (int kind = 0; kind < DIRECTORY_KINDS; kind++)
        act_meta_watch(act, directory_root((directory_kind_t)kind),
                       wait_always(self->member.waits, act, s_watched, (void *)(uintptr_t)kind));
}

void proxy_directory_fini(proxy_node_t *self)
{
    while (self->news) {
        news_t *news = self->news;
        self->news = news->next;
        mem_free(news);
    }
    proxy_links_fini(self);
    directory_destroy(&self->directory);
}
