/* coord_channels - every channel that some collection uses gets an owner
 *
 *     no owner, or RELEASED; its node is gone, restarted or lost; recovering for too long
 *        │                                                    ▲ again, later and later
 *        └─► OPEN_CHANNEL to the data node with the fewest ───┴─► ACTIVE: watched on
 *
 * The leader only asks.  Who owns a channel is decided by the data node's own
 * compare-and-swap of owner/<pchannel>, so a leader that is wrong about a death,
 * or two leaders at once, cost a takeover and nothing else; and a new leader
 * needs to know nothing but owner/.  An owner that lives and cannot write its log says so
 * (OPEN_CHANNEL, to us); then others are asked, who look at the store before they claim.
 *
 * While every channel is well and one node has two more than another, one moves at a time: its
 * owner is asked to give it up, answers what is under way and writes RELEASED; the rest is as
 * above.  A difference of one is left alone, so nothing goes to and fro.
 */
#include "coord/coord_int.h"
#include "core/wire/pb.h"

enum {
    OPEN_MS = 10000,            /* most time one asking may take */
    RECOVER_MS = 30000,         /* a node may be RECOVERING for so long */
    STALLED_MS = 1500,          /* an owner that cannot write says so more often */
    SETTLE_MS = 500,            /* after OK: until owner/ must have shown it */
    LEVEL_MS = 2000,            /* a difference lasts so long before a channel moves */
    CLOSE_MS = 3000,
    BACKOFF_MS = 100, BACKOFF_MOST_MS = 1000,   /* what fails may come right at any moment */
};

typedef struct channel {
    bool needed;
    bool asking;
    uint64_t question;          /* counts the askings: an old one's answer does not count */
    uint64_t node, incarnation; /* asked last */
    unsigned failures;          /* in a row */
    int64_t not_before_ms;      /* the next asking */
    uint64_t epoch;             /* seen RECOVERING … */
    int64_t recovering_since_ms; /* … since then */
    uint64_t stalled;           /* this epoch's owner cannot write its log … */
    int64_t stalled_until_ms;   /* … and said so, which counts until then */
} channel_t;

/* A data node that may be asked, and how many channels it has. */
typedef struct {
    const peer_t *peer;
    size_t n;
} place_t;

typedef struct {
    const event_t *ev;
    actions_t *act;
    int64_t *due_ms;
    peer_t **nodes;             /* all data nodes */
    size_t n_nodes;
    place_t *places;            /* those whose link is up */
    size_t n_places;
} look_t;

void coord_channels_forget(coord_node_t *self)
{
    void *channel = NULL;
    view_t name;
    for (size_t at = 0; map_next(self->channels, &at, &name, &channel); ) {
        map_del(self->channels, name);
        mem_free(channel);
    }
}

static void s_due(look_t *look, int64_t at_ms)
{
    if (at_ms < *look->due_ms)
        *look->due_ms = at_ms;
}

/* --- which channels ------------------------------------------------------------------ */

static void s_need(coord_node_t *self, view_t name)
{
    channel_t *channel = map_get(self->channels, name);
    if (!channel) {
        channel = mem_new(sizeof *channel);
        map_put(self->channels, name, channel);
    }
    channel->needed = true;
}

static void s_mark_needed(coord_node_t *self, ctx_t *ctx)
{
    void *channel = NULL;
    for (size_t at = 0; map_next(self->channels, &at, NULL, &channel); )
        ((channel_t *)channel)->needed = false;
    const void **all = NULL;
    size_t n = catalog_list(self->catalog, ctx, CATALOG_COLLECTION, &all);
    for (size_t i = 0; i < n; i++) {
        const Elanus__Collection *coll = all[i];
        for (size_t v = 0; v < coll->n_vchannels; v++)
            s_need(self, directory_pchannel(coll->vchannels[v]));
    }
}

size_t coord_channels_unowned(const coord_node_t *self, ctx_t *ctx, size_t *ret_used)
{
    peer_t **nodes = NULL;
    size_t n_nodes = coord_peers_of(self, ctx, "datanode", &nodes), unowned = 0;
    view_t name;
    void *channel = NULL;
    *ret_used = 0;
    for (size_t at = 0; map_next(self->channels, &at, &name, &channel); ) {
        if (!((const channel_t *)channel)->needed)
            continue;
        const char *text = ctx_printf(ctx, "%.*s", (int)name.len, (const char *)name.ptr);
        const Elanus__Owner *owner = directory_owner(self->directory, text, NULL);
        bool owned = false;
        for (size_t i = 0; i < n_nodes && owner; i++)
            owned |= owner->state == ELANUS__OWNER_STATE__OWNER_ACTIVE &&
                     nodes[i]->id == owner->node && coord_peer_up(self, nodes[i]) &&
                     nodes[i]->incarnation == owner->incarnation;
        *ret_used += 1;
        unowned += !owned;
    }
    return unowned;
}

/* --- which nodes ---------------------------------------------------------------------- */

static const peer_t *s_node(const look_t *look, uint64_t id, uint64_t incarnation)
{
    for (size_t i = 0; i < look->n_nodes; i++)
        if (look->nodes[i]->id == id && look->nodes[i]->incarnation == incarnation)
            return look->nodes[i];
    return NULL;
}

/* Registered as that incarnation, and not lost. */
static bool s_lives(coord_node_t *self, look_t *look, uint64_t id, uint64_t incarnation)
{
    const peer_t *peer = s_node(look, id, incarnation);
    return peer && !coord_peer_lost(self, peer, look->ev->now_ms, look->due_ms);
}

static void s_count(look_t *look, uint64_t node)
{
    for (size_t i = 0; i < look->n_places; i++)
        look->places[i].n += look->places[i].peer->id == node;
}

static void s_find_places(coord_node_t *self, look_t *look)
{
    ctx_t *ctx = look->ev->ctx;
    look->n_nodes = coord_peers_of(self, ctx, "datanode", &look->nodes);
    look->places = ctx_new(ctx, (look->n_nodes + 1) * sizeof *look->places);
    for (size_t i = 0; i < look->n_nodes; i++)
        if (coord_peer_up(self, look->nodes[i]))
            look->places[look->n_places++].peer = look->nodes[i];
    const Elanus__Owner **owners = NULL;
    size_t n = directory_owners(self->directory, ctx, &owners);
    for (size_t i = 0; i < n; i++)
        if (s_node(look, owners[i]->node, owners[i]->incarnation))
            s_count(look, owners[i]->node);
    void *channel = NULL;
    for (size_t at = 0; map_next(self->channels, &at, NULL, &channel); )
        if (((channel_t *)channel)->asking)
            s_count(look, ((channel_t *)channel)->node);
}

/* It reaches us and the metadata and not the store: whether others do, they find out. */
static bool s_is_stalled(const look_t *look, const channel_t *channel, const Elanus__Owner *owner)
{
    return owner && owner->epoch == channel->stalled &&
           look->ev->now_ms < channel->stalled_until_ms;
}

/* The emptiest; another than the one that failed or gave it up, where there is another. */
static place_t *s_choose(look_t *look, const channel_t *channel, const Elanus__Owner *owner)
{
    place_t *best = NULL;
    for (size_t i = 0; i < look->n_places; i++) {
        place_t *place = &look->places[i];
        uint64_t incarnation = place->peer->incarnation;
        bool failed = channel->failures > 0 && incarnation == channel->incarnation;
        bool released = channel->failures == 0 && owner && owner->incarnation == incarnation &&
                        owner->state == ELANUS__OWNER_STATE__OWNER_RELEASED;
        bool stalled = owner && owner->incarnation == incarnation &&
                       s_is_stalled(look, channel, owner);
        if (stalled || ((failed || released) && look->n_places > 1))
            continue;
        if (!best || place->n < best->n)
            best = place;
    }
    return best;
}

/* --- asking ------------------------------------------------------------------------------ */

typedef struct {
    uint64_t question;
    char name[];
} asked_t;

static void s_failed(channel_t *channel, const char *name, const event_t *ev, actions_t *act)
{
    unsigned shift = channel->failures < 6 ? channel->failures : 6;
    int64_t wait = (int64_t)BACKOFF_MS << shift;
    wait = wait < BACKOFF_MOST_MS ? wait : BACKOFF_MOST_MS;
    channel->failures++;
    channel->not_before_ms = ev->now_ms + wait + (int64_t)rng_below(&act->rng, BACKOFF_MS);
    if ((channel->failures & (channel->failures - 1)) == 0)
        log_event(LOG_WARN, "channel_open_failed", "channel=%s node=datanode-%llu times=%u "
                  "why=\"%s\"", name, (unsigned long long)channel->node, channel->failures,
                  ev->text);
}

static void s_opened(void *node, void *arg, const event_t *ev, actions_t *act)
{
    coord_node_t *self = node;
    const asked_t *asked = arg;
    channel_t *channel = map_get_str(self->channels, asked->name);
    if (!channel || channel->question != asked->question)
        return;
    channel->asking = false;
    if (ev->err != OK) {
        s_failed(channel, asked->name, ev, act);
    } else {
        channel->failures = 0;
        channel->not_before_ms = ev->now_ms + SETTLE_MS;
    }
    coord_look_at(self, ev->now_ms, ev, act);
}

static void s_ask(coord_node_t *self, look_t *look, channel_t *channel, view_t name)
{
    const char *text = ctx_printf(look->ev->ctx, "%.*s", (int)name.len, (const char *)name.ptr);
    const Elanus__Owner *owner = directory_owner(self->directory, text, NULL);
    place_t *place = s_choose(look, channel, owner);
    if (!place)
        return;                                 /* whoever comes is seen and looked at */
    place->n++;
    asked_t *asked = mem_new(sizeof *asked + name.len + 1);
    memcpy(asked->name, name.ptr, name.len);
    /* A number that no question of an earlier term had. */
    asked->question = channel->question = act_cookie(look->act);
    channel->asking = true;
    channel->node = place->peer->id;
    channel->incarnation = place->peer->incarnation;
    Elanus__OpenChannel open = ELANUS__OPEN_CHANNEL__INIT;
    open.pchannel = asked->name;
    bool owned = owner && owner->state != ELANUS__OWNER_STATE__OWNER_RELEASED;
    log_event(LOG_INFO, "channel_assigned", "channel=%s node=datanode-%llu from=%s", asked->name,
              (unsigned long long)channel->node,
              owned ? ctx_printf(look->ev->ctx, "datanode-%llu", (unsigned long long)owner->node)
                    : "nobody");
    act_call(look->act, place->peer->address, ELANUS__METHOD__METHOD_OPEN_CHANNEL,
             pb_pack(look->ev->ctx, &open), OPEN_MS,
             wait_owned(self->member.waits, look->act, s_opened, asked));
}

/* --- looking --------------------------------------------------------------------------- */

static bool s_recovers_in_vain(look_t *look, channel_t *channel, const Elanus__Owner *owner)
{
    if (channel->failures > 0 && channel->incarnation == owner->incarnation)
        return true;                            /* it has told us so */
    if (channel->epoch != owner->epoch) {
        channel->epoch = owner->epoch;
        channel->recovering_since_ms = look->ev->now_ms;
    }
    int64_t until = channel->recovering_since_ms + RECOVER_MS;
    if (look->ev->now_ms >= until)
        return true;
    s_due(look, until);
    return false;
}

static bool s_lacks_owner(coord_node_t *self, look_t *look, channel_t *channel, const char *name)
{
    const Elanus__Owner *owner = directory_owner(self->directory, name, NULL);
    if (owner && owner->state == ELANUS__OWNER_STATE__OWNER_RELEASED)
        return true;
    if (!owner || !s_lives(self, look, owner->node, owner->incarnation) ||
        s_is_stalled(look, channel, owner))
        return true;
    return owner->state != ELANUS__OWNER_STATE__OWNER_ACTIVE &&
           s_recovers_in_vain(look, channel, owner);
}

static void s_look_at(coord_node_t *self, look_t *look, channel_t *channel, view_t name)
{
    if (channel->asking && s_lives(self, look, channel->node, channel->incarnation))
        return;
    channel->asking = false;                    /* who was asked has died over it */
    const char *text = ctx_printf(look->ev->ctx, "%.*s", (int)name.len, (const char *)name.ptr);
    if (!s_lacks_owner(self, look, channel, text))
        return;
    if (look->ev->now_ms < channel->not_before_ms)
        s_due(look, channel->not_before_ms);
    else
        s_ask(self, look, channel, name);
}

/* --- levelling -------------------------------------------------------------------------- */

static void s_closing(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node, (void)arg, (void)act;           /* what comes of it, owner/ tells */
    if (ev->err != OK)
        log_event(LOG_WARN, "channel_not_moved", "why=\"%s\"", ev->text);
}

/* Every channel that is used has an owner that lives and is ACTIVE. */
static bool s_all_well(coord_node_t *self, look_t *look)
{
    view_t name;
    void *value = NULL;
    for (size_t at = 0; map_next(self->channels, &at, &name, &value); ) {
        const channel_t *channel = value;
        const char *text = ctx_printf(look->ev->ctx, "%.*s", (int)name.len,
                                      (const char *)name.ptr);
        const Elanus__Owner *owner = directory_owner(self->directory, text, NULL);
        if (channel->needed &&
            (channel->asking || !owner || owner->state != ELANUS__OWNER_STATE__OWNER_ACTIVE ||
             s_is_stalled(look, channel, owner) ||
             !s_lives(self, look, owner->node, owner->incarnation)))
            return false;
    }
    return true;
}

/* Its first channel that is used. */
static void s_ask_to_close(coord_node_t *self, look_t *look, const place_t *from)
{
    const Elanus__Owner **owners = NULL;
    size_t n = directory_owners(self->directory, look->ev->ctx, &owners);
    for (size_t i = 0; i < n; i++) {
        const channel_t *channel = map_get_str(self->channels, owners[i]->pchannel);
        if (owners[i]->incarnation != from->peer->incarnation || !channel || !channel->needed)
            continue;
        Elanus__OpenChannel close = ELANUS__OPEN_CHANNEL__INIT;
        close.pchannel = owners[i]->pchannel;
        log_event(LOG_INFO, "channel_moves", "channel=%s from=datanode-%llu", close.pchannel,
                  (unsigned long long)owners[i]->node);
        act_call(look->act, from->peer->address, ELANUS__METHOD__METHOD_CLOSE_CHANNEL,
                 pb_pack(look->ev->ctx, &close), CLOSE_MS,
                 wait_once(self->member.waits, look->act, s_closing, NULL));
        return;
    }
}

static void s_level(coord_node_t *self, look_t *look)
{
    const place_t *most = NULL, *least = NULL;
    for (size_t i = 0; i < look->n_places; i++) {
        const place_t *place = &look->places[i];
        most = !most || place->n > most->n ? place : most;
        least = !least || place->n < least->n ? place : least;
    }
    int64_t now = look->ev->now_ms;
    if (!most || most->n < least->n + 2 || !s_all_well(self, look)) {
        self->level_at_ms = 0;
        return;
    }
    if (self->level_at_ms && now >= self->level_at_ms)
        s_ask_to_close(self, look, most);
    if (!self->level_at_ms || now >= self->level_at_ms)
        self->level_at_ms = now + LEVEL_MS;
    s_due(look, self->level_at_ms);
}

void coord_channels_look(coord_node_t *self, const event_t *ev, actions_t *act, int64_t *due_ms)
{
    look_t look = { .ev = ev, .act = act, .due_ms = due_ms };
    s_mark_needed(self, ev->ctx);
    s_find_places(self, &look);
    view_t name;
    void *channel = NULL;
    for (size_t at = 0; map_next(self->channels, &at, &name, &channel); )
        if (((channel_t *)channel)->needed)
            s_look_at(self, &look, channel, name);
    s_level(self, &look);
}

void coord_channels_stalled(coord_node_t *self, const event_t *ev, actions_t *act)
{
    Elanus__Owner *told = NULL;
    if (PB_UNPACK(ev->ctx, elanus__owner, ev->call.payload, &told) != OK) {
        act_refuse(act, ev->call.from, ERR_MALFORMED, "%s", ev->ctx->text);
        return;
    }
    channel_t *channel = map_get_str(self->channels, told->pchannel);
    if (channel) {
        channel->stalled = told->epoch;
        channel->stalled_until_ms = ev->now_ms + STALLED_MS;
    }
    act_reply(act, ev->call.from, view_of("", 0));
    coord_look_at(self, ev->now_ms, ev, act);
}
