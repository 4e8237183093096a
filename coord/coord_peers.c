/* coord_peers - the registered nodes, the leader's links to them, their health
 *
 * The watch on session/ says who is registered; the links say who is alive.
 * A suspect node stays registered: what its suspicion means is decided by
 * whoever depends on it (a channel moves, a segment loads elsewhere).
 *
 * A session that ends says little: after an outage of the metadata all leases have ended, and
 * everybody registers again within a second.  Who is still heard, or was a moment ago, is
 * therefore kept for VANISHED_MS, unless the link says that it died.
 */
#include <stdio.h>
#include <stdlib.h>

#include "coord/coord_int.h"
#include "core/wire/pb.h"

enum {
    STATUS_TIMEOUT_MS = 800,
    SUSPECT_MS = 150,           /* a link that was up is down for so long: its node is lost */
    JOIN_MS = 2000,             /* so long may one take that was never up */
    VANISHED_MS = 3000,         /* so long a node may take to register again */
    FLUSH_LINGER_MS = 50,
};

/* --- the list --------------------------------------------------------------- */

static void s_peer_free(peer_t *peer)
{
    mem_free((void *)peer->packed.ptr);
    mem_free(peer);
}

static peer_t *s_by_address(const coord_node_t *self, const char *address)
{
    void *value = NULL;
    for (size_t at = 0; map_next(self->peers, &at, NULL, &value); ) {
        peer_t *peer = value;
        if (strcmp(peer->address, address) == 0)
            return peer;
    }
    return NULL;
}

/* A node that was started again may have its predecessor's address, whose session lasts a little
 * longer: the link is the newer one's. */
static const peer_t *s_successor(const coord_node_t *self, const peer_t *peer)
{
    void *value = NULL;
    for (size_t at = 0; map_next(self->peers, &at, NULL, &value); ) {
        const peer_t *other = value;
        if (other != peer && other->started_ms >= peer->started_ms && other->id != peer->id &&
            strcmp(other->address, peer->address) == 0)
            return other;
    }
    return NULL;
}

static bool s_is_me(const coord_node_t *self, const peer_t *peer)
{
    return peer->incarnation == self->member.self->incarnation;
}

static void s_dial(coord_node_t *self, const peer_t *peer, actions_t *act)
{
    if (elect_leads(&self->elect) && !s_is_me(self, peer))
        act_dial(act, peer->address, peer->id);
}

static void s_hang_up(coord_node_t *self, const peer_t *peer, actions_t *act)
{
    const peer_t *successor = s_successor(self, peer);
    if (successor) {                            /* that link lives on */
        s_dial(self, successor, act);
        return;
    }
    bool to_leader = self->member.leader_there &&
                     strcmp(peer->address, self->member.leader_address) == 0;
    if (s_is_me(self, peer) || to_leader)       /* that link is the member's */
        return;
    map_del_str(self->links, peer->address);
    act_hang_up(act, peer->address);
}

/* A link lives on when it changes its purpose: the old leader's becomes one to
 * a registered node.  What is not kept will be hung up by the asker. */
bool coord_peers_keep(coord_node_t *self, const char *address)
{
    if (s_by_address(self, address))
        return true;
    map_del_str(self->links, address);
    return false;
}

/* As last heard; NET_GONE: there is no link. */
net_peer_state_t coord_peers_link_state(const coord_node_t *self, const char *address)
{
    uintptr_t heard = (uintptr_t)map_get_str(self->links, address);
    return heard == 0 ? NET_GONE : (net_peer_state_t)(heard - 1);
}

/* Of one without a successor. */
static Elanus__NodeHealth s_health_alone(const coord_node_t *self, const peer_t *peer)
{
    if (s_is_me(self, peer))
        return ELANUS__NODE_HEALTH__NODE_UP;
    uintptr_t heard = (uintptr_t)map_get_str(self->links, peer->address);
    if (heard == 0)
        return ELANUS__NODE_HEALTH__NODE_JOINING;
    return heard - 1 == NET_UP ? ELANUS__NODE_HEALTH__NODE_UP : ELANUS__NODE_HEALTH__NODE_SUSPECT;
}

static Elanus__NodeHealth s_health(const coord_node_t *self, const peer_t *peer)
{
    bool followed = !s_is_me(self, peer) && s_successor(self, peer);
    return followed ? ELANUS__NODE_HEALTH__NODE_SUSPECT : s_health_alone(self, peer);
}

bool coord_peer_up(const coord_node_t *self, const peer_t *peer)
{
    return s_health(self, peer) == ELANUS__NODE_HEALTH__NODE_UP;
}

bool coord_peer_lost(const coord_node_t *self, const peer_t *peer, int64_t now_ms, int64_t *due_ms)
{
    if (s_successor(self, peer))
        return true;
    Elanus__NodeHealth health = s_health_alone(self, peer);
    if (health == ELANUS__NODE_HEALTH__NODE_UP)
        return false;
    int64_t at = peer->down_since_ms +
                 (health == ELANUS__NODE_HEALTH__NODE_JOINING ? JOIN_MS : SUSPECT_MS);
    if (now_ms < at && at < *due_ms)
        *due_ms = at;
    return now_ms >= at;
}

static int s_by_id(const void *a, const void *b)
{
    const peer_t *x = *(peer_t *const *)a, *y = *(peer_t *const *)b;
    return (x->id > y->id) - (x->id < y->id);
}

size_t coord_peers_of(const coord_node_t *self, ctx_t *ctx, const char *role, peer_t ***ret)
{
    peer_t **found = ctx_new(ctx, (map_len(self->peers) + 1) * sizeof *found);
    size_t n = 0;
    void *value = NULL;
    for (size_t at = 0; map_next(self->peers, &at, NULL, &value); )
        if (strcmp(((peer_t *)value)->role, role) == 0)
            found[n++] = value;
    qsort(found, n, sizeof *found, s_by_id);
    *ret = found;
    return n;
}

static void s_remove(coord_node_t *self, view_t key, actions_t *act)
{
    peer_t *peer = map_del(self->peers, key);
    if (!peer)
        return;
    log_event(LOG_INFO, "node_gone", "node=%s-%llu address=%s", peer->role,
              (unsigned long long)peer->id, peer->address);
    s_hang_up(self, peer, act);
    s_peer_free(peer);
}

static void s_put(coord_node_t *self, const meta_item_t *item, const event_t *ev, actions_t *act)
{
    Elanus__NodeInfo *info = NULL;
    if (PB_UNPACK(ev->ctx, elanus__node_info, item->value, &info) != OK) {
        log_event(LOG_ERROR, "session_damaged", "key=%s why=\"%s\"", item->key, ev->ctx->text);
        return;
    }
    peer_t *known = map_get_str(self->peers, item->key);
    if (known)
        known->vanished_ms = 0;
    if (known && view_eq(known->packed, item->value))
        return;
    s_remove(self, view_str(item->key), act);

    peer_t *peer = mem_new(sizeof *peer);
    *peer = (peer_t){ .id = info->id, .incarnation = info->incarnation,
                      .started_ms = info->started_ms,
                      .memory_limit = info->memory_limit, .down_since_ms = ev->now_ms };
    snprintf(peer->role, sizeof peer->role, "%s", info->role);
    snprintf(peer->address, sizeof peer->address, "%s", info->address);
    uint8_t *copy = mem_new(item->value.len);
    if (item->value.len)
        memcpy(copy, item->value.ptr, item->value.len);
    peer->packed = view_of(copy, item->value.len);
    map_put_str(self->peers, item->key, peer);
    log_event(LOG_INFO, "node_registered", "node=%s-%llu address=%s version=%s", peer->role,
              (unsigned long long)peer->id, peer->address, info->version);
    s_dial(self, peer, act);
}

static void s_vanished(coord_node_t *self, view_t key, const event_t *ev)
{
    peer_t *peer = map_get(self->peers, key);
    if (peer && !peer->vanished_ms)
        peer->vanished_ms = ev->now_ms;
}

/* Who has vanished and is lost, or did not come back, is gone. */
void coord_peers_sweep(coord_node_t *self, const event_t *ev, actions_t *act, int64_t *due_ms)
{
    view_t key;
    void *value = NULL;
    for (size_t at = 0; map_next(self->peers, &at, &key, &value); ) {
        const peer_t *peer = value;
        if (!peer->vanished_ms)
            continue;
        int64_t until = peer->vanished_ms + VANISHED_MS;
        if (ev->now_ms >= until || coord_peer_lost(self, peer, ev->now_ms, due_ms))
            s_remove(self, key, act);
        else if (until < *due_ms)
            *due_ms = until;
    }
}

/* After a re-list: who was not in it has vanished. */
static void s_relisted(coord_node_t *self, const event_t *ev)
{
    view_t key;
    for (size_t at = 0; map_next(self->peers, &at, &key, NULL); )
        if (!map_get(self->relisted, key))
            s_vanished(self, key, ev);
    map_destroy(&self->relisted);
    self->relisted = map_new();
    self->peers_listed = true;
}

static void s_watched(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    coord_node_t *self = node;
    if (ev->kind != EV_WATCH) {
        log_event(LOG_ERROR, "watch_failed", "prefix=%s why=\"%s\"", MEMBER_SESSIONS, ev->text);
        return;
    }
    for (size_t i = 0; i < ev->watch.n; i++) {
        const meta_change_t *change = &ev->watch.changes[i];
        switch (change->kind) {
        case META_WATCH_RESET:
            self->peers_listed = false;
            break;
        case META_WATCH_PUT:
            if (!self->peers_listed)
                map_put_str(self->relisted, change->item.key, self);
            s_put(self, &change->item, ev, act);
            break;
        case META_WATCH_DELETE:
            s_vanished(self, view_str(change->item.key), ev);
            break;
        case META_WATCH_SYNCED:
            s_relisted(self, ev);
            break;
        }
    }
    coord_look_at(self, ev->now_ms, ev, act);
}

static void s_directory_watched(void *node, void *arg, const event_t *ev, actions_t *act)
{
    coord_node_t *self = node;
    directory_kind_t kind = (directory_kind_t)(uintptr_t)arg;
    if (ev->kind != EV_WATCH) {
        log_event(LOG_ERROR, "watch_failed", "prefix=%s why=\"%s\"", directory_root(kind),
                  ev->text);
        return;
    }
    directory_watched(self->directory, ev->ctx, kind, ev->watch.changes, ev->watch.n);
    coord_look_at(self, ev->now_ms, ev, act);
}

/* Data nodes flush many segments at once: they are placed together. */
static void s_segments_watched(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    coord_node_t *self = node;
    if (ev->kind != EV_WATCH) {
        log_event(LOG_ERROR, "watch_failed", "prefix=%s why=\"%s\"", segments_root(SEGMENTS_SEG),
                  ev->text);
        return;
    }
    segments_watched(self->segments, ev->ctx, SEGMENTS_SEG, ev->watch.changes, ev->watch.n, NULL,
                     NULL);
    coord_look_at(self, ev->now_ms + FLUSH_LINGER_MS, ev, act);
}

void coord_peers_start(coord_node_t *self, actions_t *act)
{
    static const directory_kind_t s_followed[] = { DIRECTORY_OWNER, DIRECTORY_REPLICA,
                                                   DIRECTORY_PLACE, DIRECTORY_GROUP };
    act_meta_watch(act, MEMBER_SESSIONS, wait_always(self->member.waits, act, s_watched, NULL));
    for (size_t i = 0; i < ARRAY_LEN(s_followed); i++)
        act_meta_watch(act, directory_root(s_followed[i]),
                       wait_always(self->member.waits, act, s_directory_watched,
                                   (void *)(uintptr_t)s_followed[i]));
    act_meta_watch(act, segments_root(SEGMENTS_SEG),
                   wait_always(self->member.waits, act, s_segments_watched, NULL));
}

void coord_peers_link(coord_node_t *self, const event_t *ev, actions_t *act)
{
    void *value = NULL;
    for (size_t at = 0; map_next(self->peers, &at, NULL, &value); ) {
        peer_t *peer = value;
        peer->down_since_ms = ev->now_ms;       /* nobody is judged by what happened before */
        s_dial(self, peer, act);
    }
}

void coord_peers_unlink(coord_node_t *self, actions_t *act)
{
    void *peer = NULL;
    for (size_t at = 0; map_next(self->peers, &at, NULL, &peer); )
        s_hang_up(self, peer, act);
}

size_t coord_node_members(const coord_node_t *self, bool only_up)
{
    size_t n = 0;
    void *value = NULL;
    for (size_t at = 0; map_next(self->peers, &at, NULL, &value); ) {
        const peer_t *peer = value;
        n += only_up ? s_health(self, peer) == ELANUS__NODE_HEALTH__NODE_UP : !peer->vanished_ms;
    }
    return n;
}

/* --- health ----------------------------------------------------------------- */

/* Heard is remembered for any address: a link may be up before its session is seen. */
void coord_peers_event(coord_node_t *self, const event_t *ev, actions_t *act)
{
    peer_t *peer = s_by_address(self, ev->peer.endpoint);
    bool was_up = peer && s_health(self, peer) == ELANUS__NODE_HEALTH__NODE_UP;
    map_put_str(self->links, ev->peer.endpoint, (void *)(uintptr_t)(1 + ev->peer.state));
    bool up = ev->peer.state == NET_UP;
    if (peer && was_up && !up)
        peer->down_since_ms = ev->now_ms;
    if (peer && up && !was_up && strcmp(peer->role, "querynode") == 0)
        coord_balance_joined(self, ev->now_ms);
    coord_look_at(self, ev->now_ms, ev, act);
    if (peer && up != was_up && elect_leads(&self->elect))
        log_event(up ? LOG_INFO : LOG_WARN, up ? "node_up" : "node_suspect",
                  "node=%s-%llu why=\"%s\"", peer->role, (unsigned long long)peer->id, ev->text);
}

/* Whoever does not lead has no links to judge by. */
void coord_peers_inspect(const void *node, const Elanus__InspectAsk *ask, ctx_t *ctx,
                         Elanus__Inspection *into)
{
    const coord_node_t *self = node;
    if (!ask->state || !elect_leads(&self->elect))
        return;
    into->members = ctx_new(ctx, (map_len(self->peers) + 1) * sizeof into->members[0]);
    void *value = NULL;
    for (size_t at = 0; map_next(self->peers, &at, NULL, &value); ) {
        const peer_t *peer = value;
        Elanus__Member *member = ctx_new(ctx, sizeof *member);
        elanus__member__init(member);
        if (PB_UNPACK(ctx, elanus__node_info, peer->packed, &member->info) != OK)
            continue;
        member->health = s_health(self, peer);
        member->leader = s_is_me(self, peer);
        into->members[into->n_members++] = member;
    }
}

/* --- CLUSTER: ask everyone how they are ------------------------------------- */

struct gather {
    gather_t *next;
    net_from_t from;
    ctx_t memory;
    Elanus__Cluster out;
    size_t waiting;
};

typedef struct {
    hostinfo_t host;            /* first: what the job of asking ourselves fills in */
    gather_t *gather;
    size_t at;
} asked_t;

static void s_gather_free(coord_node_t *self, gather_t *gather)
{
    for (gather_t **link = &self->gathers; *link; link = &(*link)->next) {
        if (*link == gather) {
            *link = gather->next;
            break;
        }
    }
    ctx_fini(&gather->memory);
    mem_free(gather);
}

static void s_gather_end(coord_node_t *self, gather_t *gather, const event_t *ev, actions_t *act)
{
    act_reply(act, gather->from, pb_pack(ev->ctx, &gather->out));
    s_gather_free(self, gather);
}

static void s_answered(void *node, void *arg, const event_t *ev, actions_t *act)
{
    coord_node_t *self = node;
    asked_t *asked = arg;
    gather_t *gather = asked->gather;
    Elanus__Member *member = gather->out.members[asked->at];
    view_t copy = {0};
    if (ev->err != OK)
        member->error = ctx_strdup(&gather->memory, ev->text);
    else if (ctx_copy(&gather->memory, ev->payload, &copy) != OK ||
             PB_UNPACK(&gather->memory, elanus__node_status, copy, &member->status) != OK)
        member->error = ctx_strdup(&gather->memory, gather->memory.text);
    if (--gather->waiting == 0)
        s_gather_end(self, gather, ev, act);
}

static void s_measured(void *node, void *arg, const event_t *ev, actions_t *act)
{
    coord_node_t *self = node;
    const asked_t *asked = arg;
    gather_t *gather = asked->gather;
    Elanus__Member *member = gather->out.members[asked->at];
    if (ev->err != OK)
        member->error = ctx_strdup(&gather->memory, ev->text);
    else
        member->status = member_status(&self->member, &gather->memory, &asked->host, ev->wall_ms);
    if (--gather->waiting == 0)
        s_gather_end(self, gather, ev, act);
}

static void s_ask(coord_node_t *self, gather_t *gather, const peer_t *peer, actions_t *act)
{
    size_t at = gather->out.n_members++;
    Elanus__Member *member = ctx_new(&gather->memory, sizeof *member);
    elanus__member__init(member);
    gather->out.members[at] = member;
    view_t packed = {0};
    if (ctx_copy(&gather->memory, peer->packed, &packed) != OK ||
        PB_UNPACK(&gather->memory, elanus__node_info, packed, &member->info) != OK)
        member->error = ctx_strdup(&gather->memory, gather->memory.text);
    member->health = s_health(self, peer);
    member->leader = s_is_me(self, peer);
    if (member->health != ELANUS__NODE_HEALTH__NODE_UP) {
        member->error = ctx_strdup(&gather->memory, "no link to this node");
        return;
    }
    asked_t *asked = mem_new(sizeof *asked);
    *asked = (asked_t){ .gather = gather, .at = at };
    gather->waiting++;
    waits_t *waits = self->member.waits;
    if (s_is_me(self, peer))
        act_job(act, member_measure, &asked->host, wait_owned(waits, act, s_measured, asked));
    else
        act_call(act, peer->address, ELANUS__METHOD__METHOD_STATUS, view_of("", 0),
                 STATUS_TIMEOUT_MS, wait_owned(waits, act, s_answered, asked));
}

void coord_peers_cluster(coord_node_t *self, const event_t *ev, actions_t *act)
{
    gather_t *gather = mem_new(sizeof *gather);
    *gather = (gather_t){ .next = self->gathers, .from = ev->call.from };
    self->gathers = gather;
    ctx_init(&gather->memory);
    elanus__cluster__init(&gather->out);
    gather->out.term = self->elect.term;
    gather->out.members = ctx_new(&gather->memory, (map_len(self->peers) + 1) * sizeof(void *));
    gather->waiting = 1;                        /* ours, so that it does not end while asking */
    void *peer = NULL;
    for (size_t at = 0; map_next(self->peers, &at, NULL, &peer); )
        s_ask(self, gather, peer, act);
    if (--gather->waiting == 0)
        s_gather_end(self, gather, ev, act);
}

void coord_peers_fini(coord_node_t *self)
{
    while (self->gathers)
        s_gather_free(self, self->gathers);
    void *peer = NULL;
    for (size_t at = 0; map_next(self->peers, &at, NULL, &peer); )
        s_peer_free(peer);
    map_destroy(&self->peers);
    map_destroy(&self->links);
    map_destroy(&self->relisted);
}
