/* proxy_links - see proxy_links.h */
#include "proxy/proxy_links.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/limits.h"

enum {
    HEDGE_MS = 300,             /* without options */
    DOUBT_MS = 500,             /* a link is away for so long before others are asked about it */
    DOUBT_AGAIN_MS = 1000,
    DOUBT_ASK_MS = 2000,
    PACE_SAMPLES = 32,          /* of a collection's last reads */
    PACE_EACH = 8,              /* samples from one measurement to the next */
    PACE_TIMES = 3,
    LOOK_MS = 30000,            /* links that only lookers need are kept so long */
};

/* --- links -------------------------------------------------------------------------- */

proxy_link_t *proxy_link(const proxy_node_t *self, const char *address)
{
    return map_get_str(self->links, address);
}

bool proxy_link_usable(const proxy_node_t *self, const char *address)
{
    const proxy_link_t *link = proxy_link(self, address);
    return !link || link->state != LINK_AWAY;
}

static void s_free_unused(proxy_node_t *self, proxy_link_t *link, actions_t *act)
{
    if (link->registered || link->in_flight > 0)
        return;
    const member_t *member = &self->member;     /* which keeps its own link to the leader */
    if (!member->leader_there || strcmp(member->leader_address, link->address) != 0)
        act_hang_up(act, link->address);
    map_del_str(self->links, link->address);
    mem_free(link);
}

proxy_link_t *proxy_link_take(proxy_node_t *self, const char *address)
{
    proxy_link_t *link = proxy_link(self, address);
    if (link)
        link->in_flight++;
    return link;
}

void proxy_link_release(proxy_node_t *self, proxy_link_t *link, actions_t *act)
{
    if (!link)
        return;
    check(link->in_flight > 0);
    link->in_flight--;
    s_free_unused(self, link, act);
}

/* A node that was started again may have the address of its predecessor, whose session lasts a
 * little longer: the newest, whose id is the highest, comes first and keeps the link. */
static void s_register(proxy_node_t *self, const Elanus__NodeInfo *info, actions_t *act)
{
    proxy_link_t *link = proxy_link(self, info->address);
    if (!link) {
        if (strlen(info->address) >= sizeof link->address)
            return;
        link = mem_new(sizeof *link);
        snprintf(link->address, sizeof link->address, "%s", info->address);
        map_put_str(self->links, link->address, link);
    }
    if (link->registered)
        return;
    if (link->node != info->id)
        act_dial(act, link->address, info->id);
    link->node = info->id;
    link->registered = true;
}

void proxy_links_follow(proxy_node_t *self, const event_t *ev, actions_t *act)
{
    static const char *const s_roles[] = { "datanode", "querynode", "indexnode", "proxy", "coord" };
    size_t n_roles = ev->now_ms < self->look_until_ms ? ARRAY_LEN(s_roles) : 2;
    if (!directory_synced(self->directory, DIRECTORY_SESSION))
        return;
    void *link = NULL;
    for (size_t at = 0; map_next(self->links, &at, NULL, &link); )
        ((proxy_link_t *)link)->registered = false;
    for (size_t r = 0; r < n_roles; r++) {
        const Elanus__NodeInfo **nodes = NULL;
        size_t n = directory_nodes(self->directory, ev->ctx, s_roles[r], &nodes);
        for (size_t i = n; i-- > 0; )
            if (nodes[i]->id != self->member.self->id)
                s_register(self, nodes[i], act);
    }
    for (size_t at = 0; map_next(self->links, &at, NULL, &link); )
        s_free_unused(self, link, act);
}

void proxy_links_look(proxy_node_t *self, const event_t *ev, actions_t *act)
{
    bool looked = ev->now_ms < self->look_until_ms;
    self->look_until_ms = ev->now_ms + LOOK_MS;
    act_timer(act, TIMER_PROXY_LOOK, LOOK_MS);
    if (!looked)
        proxy_links_follow(self, ev, act);
}

void proxy_links_event(proxy_node_t *self, const event_t *ev, actions_t *act)
{
    proxy_link_t *link = proxy_link(self, ev->peer.endpoint);
    if (!link)
        return;
    link->state = ev->peer.state == NET_UP ? LINK_UP : LINK_AWAY;
    link->slow_until_ms = 0;
    link->away_since_ms = ev->now_ms;
    link->cut_off = false;
    proxy_news_all(self, ev, act);
}

/* --- who is away for us only ------------------------------------------------------------ */

static void s_doubt_answered(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    proxy_node_t *self = node;
    Elanus__Cluster *cluster = NULL;
    self->doubting = false;
    self->doubt_again_ms = ev->now_ms + DOUBT_AGAIN_MS;
    if (ev->err != OK || PB_UNPACK(ev->ctx, elanus__cluster, ev->payload, &cluster) != OK)
        return;
    bool news = false;
    for (size_t i = 0; i < cluster->n_members; i++) {
        const Elanus__Member *member = cluster->members[i];
        proxy_link_t *link = member->info ? proxy_link(self, member->info->address) : NULL;
        if (!link || link->node != member->info->id)
            continue;
        link->cut_off = link->state == LINK_AWAY && member->status;
        news |= link->cut_off;
    }
    if (news)
        proxy_news_all(self, ev, act);
}

bool proxy_link_cut_off(proxy_node_t *self, const char *address, const event_t *ev, actions_t *act)
{
    const proxy_link_t *link = proxy_link(self, address);
    if (!link || link->state != LINK_AWAY)
        return false;
    bool ask = ev->now_ms - link->away_since_ms >= DOUBT_MS && !self->doubting &&
               ev->now_ms >= self->doubt_again_ms && self->member.leader_there;
    if (ask) {
        self->doubting = true;
        act_call(act, self->member.leader_address, ELANUS__METHOD__METHOD_CLUSTER, view_of("", 0),
                 DOUBT_ASK_MS, wait_once(self->member.waits, act, s_doubt_answered, NULL));
    }
    return link->cut_off;
}

/* --- pace ---------------------------------------------------------------------------- */

typedef struct pace {
    int32_t took_ms[PACE_SAMPLES];
    size_t n;                   /* samples ever */
    int64_t late_ms;
} pace_t;

static int64_t s_least_ms(const proxy_node_t *self)
{
    return self->options->hedge_ms ? self->options->hedge_ms : HEDGE_MS;
}

static int s_by_size(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static int64_t s_most_of(const pace_t *pace)
{
    int32_t sorted[PACE_SAMPLES];
    size_t n = pace->n < PACE_SAMPLES ? pace->n : PACE_SAMPLES;
    memcpy(sorted, pace->took_ms, n * sizeof sorted[0]);
    qsort(sorted, n, sizeof sorted[0], s_by_size);
    return sorted[(n * 19 - 1) / 20];
}

int64_t proxy_pace_late_ms(const proxy_node_t *self, uint64_t collection)
{
    const pace_t *pace = map_get_u64(self->paces, collection);
    int64_t least = s_least_ms(self);
    return pace && pace->late_ms > least ? pace->late_ms : least;
}

static void s_forget_paces(proxy_node_t *self)
{
    void *pace = NULL;
    for (size_t at = 0; map_next(self->paces, &at, NULL, &pace); )
        mem_free(pace);
    map_destroy(&self->paces);
}

/* Those of dropped collections go with all the others now and then: they are soon learnt anew. */
static pace_t *s_pace(proxy_node_t *self, uint64_t collection)
{
    pace_t *pace = map_get_u64(self->paces, collection);
    if (pace)
        return pace;
    if (map_len(self->paces) >= LIMIT_PROXY_PACES) {
        s_forget_paces(self);
        self->paces = map_new();
    }
    pace = mem_new(sizeof *pace);
    map_put_u64(self->paces, collection, pace);
    return pace;
}

void proxy_pace_took(proxy_node_t *self, uint64_t collection, int64_t took_ms)
{
    pace_t *pace = s_pace(self, collection);
    pace->took_ms[pace->n++ % PACE_SAMPLES] = took_ms < INT32_MAX ? (int32_t)took_ms : INT32_MAX;
    if (pace->n % PACE_EACH == 0)
        pace->late_ms = PACE_TIMES * s_most_of(pace);
}

/* --- life ---------------------------------------------------------------------------- */

void proxy_links_start(proxy_node_t *self)
{
    self->links = map_new();
    self->paces = map_new();
}

void proxy_links_fini(proxy_node_t *self)
{
    void *link = NULL;
    for (size_t at = 0; self->links && map_next(self->links, &at, NULL, &link); )
        mem_free(link);
    map_destroy(&self->links);
    if (self->paces)
        s_forget_paces(self);
}
