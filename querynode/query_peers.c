/* query_peers - the leader of a shard and the other nodes of its replica: METHOD_HELD
 *
 * One long poll to each of them is always under way.  It says which segments we read there or are
 * about to, and is answered with what is held there as soon as that is news.  When what we say
 * changes, another poll takes the place of the one under way, whose answer does not count then.
 *
 * A poll that names something new asks to be answered at once: the answer proves that the node
 * has heard of it, and so will keep what it still holds then (`sure`).  Before we have settled,
 * at the end of a reset, nobody lets anything go, and all that is held is sure.
 *
 * When a poll fails, or the link is suspect, the node holds nothing as far as we know: what
 * is read there is read elsewhere or is lost until it answers again, which may be at once.
 */
#include "querynode/querynode_int.h"

enum {
    POLL_WAIT_MS = 5000,        /* it answers by then, with or without news */
    POLL_GRACE_MS = 3000,
    RETRY_MS = 20,              /* the first time; then doubled */
    RETRY_MOST_MS = 500,
};

typedef struct errand {
    query_channel_t *ch;        /* held */
    uint64_t node, no;
} errand_t;

/* --- peers ------------------------------------------------------------------------------- */

query_peer_t *query_peer(const query_channel_t *ch, uint64_t node)
{
    for (size_t i = 0; i < ch->peers.len; i++) {
        query_peer_t *peer = *(query_peer_t **)vec_at(&ch->peers, i);
        if (peer->node == node)
            return peer;
    }
    return NULL;
}

bool query_peers_hold(const query_channel_t *ch, uint64_t segment)
{
    for (size_t i = 0; i < ch->peers.len; i++)
        if (map_get_u64((*(query_peer_t **)vec_at(&ch->peers, i))->held, segment))
            return true;
    return false;
}

static void s_forget_held(query_peer_t *peer)
{
    void *told = NULL;
    for (size_t at = 0; map_next(peer->held, &at, NULL, &told); )
        mem_free(told);
    map_destroy(&peer->held);
    peer->held = map_new();
    peer->version = 0;
}

static void s_error(query_peer_t *peer, err_t err, const char *text)
{
    mem_free(peer->error);
    peer->error = text && text[0] ? mem_strdup(text) : NULL;
    peer->err = err;
}

static void s_free(query_peer_t *peer)
{
    s_forget_held(peer);
    map_destroy(&peer->held);
    s_error(peer, OK, NULL);
    vec_fini(&peer->asked);
    mem_free(peer->address);
    mem_free(peer);
}

void query_peers_free(query_channel_t *ch)
{
    for (size_t i = 0; i < ch->peers.len; i++)
        s_free(*(query_peer_t **)vec_at(&ch->peers, i));
    ch->peers.len = 0;
}

/* As far as we know it has nothing, until it tells. */
static void s_lose(query_channel_t *ch, query_peer_t *peer)
{
    s_forget_held(peer);
    peer->poll_no = 0;
    peer->answers = false;
    query_dirty(ch->coll);
}

static void s_meet(query_channel_t *ch, const Elanus__NodeInfo *info)
{
    query_peer_t *peer = query_peer(ch, info->id);
    if (peer && peer->incarnation == info->incarnation)
        return;
    if (!peer) {
        peer = mem_new(sizeof *peer);
        *peer = (query_peer_t){ .node = info->id, .held = map_new() };
        vec_init(&peer->asked, sizeof(uint64_t));
        vec_push(&ch->peers, &peer);
    }
    s_lose(ch, peer);
    mem_free(peer->address);
    peer->address = mem_strdup(info->address);
    peer->incarnation = info->incarnation;
    peer->retry_ms = 0;
    peer->failures = 0;
}

static bool s_is_used(const query_channel_t *ch, uint64_t node)
{
    vec_scoped using = {0};
    vec_init(&using, sizeof(uint64_t));
    query_using(ch, node, &using);
    return using.len > 0;
}

static bool s_is_listed(const Elanus__Replica *replica, uint64_t node)
{
    for (size_t i = 0; replica && i < replica->n_nodes; i++)
        if (replica->nodes[i] == node)
            return true;
    return false;
}

/* Who has left the replica is asked on while we read something there. */
static void s_part(query_channel_t *ch, const Elanus__Replica *replica)
{
    const directory_t *directory = ch->node->directory;
    for (size_t i = 0; i < ch->peers.len; ) {
        query_peer_t *peer = *(query_peer_t **)vec_at(&ch->peers, i);
        const Elanus__NodeInfo *info = directory_node(directory, peer->node);
        if (info && (s_is_listed(replica, peer->node) || s_is_used(ch, peer->node))) {
            i++;
            continue;
        }
        s_lose(ch, peer);
        s_free(peer);
        vec_swap_remove(&ch->peers, i);
    }
}

static const Elanus__Replica *s_replica(const query_channel_t *ch, ctx_t *ctx)
{
    const Elanus__Replica **replicas = NULL;
    size_t n = directory_replicas(ch->node->directory, ctx, ch->coll->id, &replicas);
    for (size_t i = 0; i < n; i++)
        if (replicas[i]->id == ch->replica)
            return replicas[i];
    return NULL;
}

void query_peers_look(query_channel_t *ch, ctx_t *ctx)
{
    const Elanus__Replica *replica = s_replica(ch, ctx);
    uint64_t self = ch->node->member.self->id;
    for (size_t i = 0; replica && i < replica->n_nodes; i++) {
        const Elanus__NodeInfo *info = directory_node(ch->node->directory, replica->nodes[i]);
        if (info && info->id != self)
            s_meet(ch, info);
    }
    s_part(ch, replica);
}

/* --- answers ----------------------------------------------------------------------------- */

static bool s_was_named(const query_peer_t *peer, uint64_t id)
{
    const uint64_t *ids = peer->asked.ptr;
    size_t low = 0, high = peer->asked.len;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (ids[mid] == id)
            return true;
        if (ids[mid] < id)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

static void s_take(query_channel_t *ch, query_peer_t *peer, const Elanus__Held *held)
{
    s_forget_held(peer);
    peer->version = held->version;
    for (size_t i = 0; i < held->n_segments; i++) {
        const Elanus__HeldSegment *one = held->segments[i];
        query_told_t *told = mem_new(sizeof *told + one->n_indexes * sizeof told->indexes[0]);
        told->rows = one->rows;
        told->bytes = one->bytes;
        told->sure = !peer->asked_settled || s_was_named(peer, one->id);
        told->n_indexes = one->n_indexes;
        if (one->n_indexes)
            memcpy(told->indexes, one->indexes, one->n_indexes * sizeof told->indexes[0]);
        mem_free(map_put_u64(peer->held, one->id, told));
    }
    s_error(peer, (err_t)held->err, held->error);
    query_dirty(ch->coll);
}

static void s_failed(query_channel_t *ch, query_peer_t *peer, const char *why, const event_t *ev)
{
    unsigned n = peer->failures < 8 ? peer->failures : 8;
    int64_t ms = (int64_t)RETRY_MS << n;
    peer->failures++;
    peer->retry_ms = ev->now_ms + (ms < RETRY_MOST_MS ? ms : RETRY_MOST_MS);
    query_wake_at(ch->node, peer->retry_ms);
    if ((peer->failures & (peer->failures - 1)) == 0)
        log_event(LOG_INFO, "held_failed", "channel=%s node=%llu times=%u why=\"%s\"", ch->name,
                  (unsigned long long)peer->node, peer->failures, why);
    s_lose(ch, peer);
}

static void s_answered(query_channel_t *ch, query_peer_t *peer, const event_t *ev)
{
    Elanus__Held *held = NULL;
    peer->poll_no = 0;
    if (ev->err != OK) {
        s_failed(ch, peer, ev->text, ev);
    } else if (PB_UNPACK(ev->ctx, elanus__held, ev->payload, &held) != OK) {
        s_failed(ch, peer, ev->ctx->text, ev);
    } else if (held->incarnation != peer->incarnation) {
        s_failed(ch, peer, "another process answered than the one that is registered", ev);
    } else {
        peer->failures = 0;
        peer->answers = true;
        s_take(ch, peer, held);
    }
}

static void s_replied(void *node, void *arg, const event_t *ev, actions_t *act)
{
    const errand_t *errand = arg;
    query_channel_t *ch = errand->ch;
    query_peer_t *peer = ch->gone ? NULL : query_peer(ch, errand->node);
    (void)node, (void)act;
    if (peer && peer->poll_no == errand->no) {
        s_answered(ch, peer, ev);
        query_dirty(ch->coll);
    }
    query_channel_put(ch);
}

/* --- polls ------------------------------------------------------------------------------- */

static bool s_is_same(const vec_t *a, const vec_t *b)
{
    return a->len == b->len && (a->len == 0 ||
                                memcmp(a->ptr, b->ptr, a->len * sizeof(uint64_t)) == 0);
}

/* Is something named that was not before? */
static bool s_is_more(const query_peer_t *peer, const vec_t *using)
{
    for (size_t i = 0; i < using->len; i++)
        if (!s_was_named(peer, *(uint64_t *)vec_at(using, i)))
            return true;
    return false;
}

/* What a settled leader does not name any more may be gone the moment the poll arrives. */
static void s_let_go(query_peer_t *peer)
{
    void *value = NULL;
    view_t key;
    for (size_t at = 0; peer->asked_settled && map_next(peer->held, &at, &key, &value); )
        ((query_told_t *)value)->sure &= s_was_named(peer, load_u64(key.ptr));
}

static void s_send(query_channel_t *ch, query_peer_t *peer, const event_t *ev, actions_t *act)
{
    query_node_t *self = ch->node;
    s_let_go(peer);
    Elanus__HeldAsk ask = ELANUS__HELD_ASK__INIT;
    ask.vchannel = ch->name;
    ask.replica = ch->replica;
    ask.version = peer->version;
    ask.wait_ms = POLL_WAIT_MS;
    ask.settled = peer->asked_settled;
    ask.using_ = peer->asked.ptr;
    ask.n_using_ = peer->asked.len;
    ask.no = peer->poll_no = ++self->polls;
    errand_t *errand = mem_new(sizeof *errand);
    *errand = (errand_t){ .ch = ch, .node = peer->node, .no = peer->poll_no };
    ch->users++;
    query_dial(self, directory_node(self->directory, peer->node), act);
    trace_t before = act_trace(act, TRACE_NONE);
    act_call(act, peer->address, ELANUS__METHOD__METHOD_HELD, pb_pack(ev->ctx, &ask),
             POLL_WAIT_MS + POLL_GRACE_MS,
             wait_owned(self->member.waits, act, s_replied, errand));
    act_trace(act, before);
}

static void s_poll(query_channel_t *ch, query_peer_t *peer, const event_t *ev, actions_t *act)
{
    vec_t using;
    bool settled = !ch->resetting;
    vec_init(&using, sizeof(uint64_t));
    query_using(ch, peer->node, &using);
    bool same = settled == peer->asked_settled && s_is_same(&using, &peer->asked);
    if (ev->now_ms < peer->retry_ms)
        query_wake_at(ch->node, peer->retry_ms);
    if (ev->now_ms < peer->retry_ms || (peer->poll_no && same)) {
        vec_fini(&using);
        return;
    }
    if (!same && (settled != peer->asked_settled || s_is_more(peer, &using)))
        peer->version = 0;                      /* to be answered at once */
    vec_fini(&peer->asked);
    peer->asked = using;
    peer->asked_settled = settled;
    s_send(ch, peer, ev, act);
}

void query_peers_poll(query_channel_t *ch, const event_t *ev, actions_t *act)
{
    for (size_t i = 0; i < ch->peers.len; i++)
        s_poll(ch, *(query_peer_t **)vec_at(&ch->peers, i), ev, act);
}

/* --- doubt ------------------------------------------------------------------------------- */

void query_peer_doubt(query_channel_t *ch, uint64_t node)
{
    query_peer_t *peer = query_peer(ch, node);
    if (peer)
        s_lose(ch, peer);
}

void query_peers_suspect(query_node_t *self, const char *address)
{
    void *value = NULL;
    for (size_t at = 0; map_next(self->channels, &at, NULL, &value); ) {
        query_channel_t *ch = value;
        for (size_t i = 0; i < ch->peers.len; i++) {
            query_peer_t *peer = *(query_peer_t **)vec_at(&ch->peers, i);
            if (strcmp(peer->address, address) == 0)
                s_lose(ch, peer);
        }
    }
}
