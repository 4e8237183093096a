/* elect - see elect.h */
#include "core/node/elect.h"

#include "core/wire/pb.h"

enum {
    FIRST_LINK_MS = 1000,       /* a new leader's link has this long to come up */
    JITTER_MS = 100,            /* standbys do not all jump at once */
    RETRY_MS = 300,
    PATIENCE_MOST_MS = 30000,
    CALM_MS = 60000,            /* led this long: patience starts afresh */
};

void elect_init(elect_t *self, member_t *member)
{
    *self = (elect_t){ .member = member, .suspect_since_ms = -1 };
}

meta_cmp_t elect_guard(const elect_t *self)
{
    return (meta_cmp_t){ .kind = META_IF_MOD_REV, .key = MEMBER_LEADER_KEY, .rev = self->term };
}

static void s_became_leader(elect_t *self, int64_t term, void *node, const event_t *ev,
                            actions_t *act)
{
    self->state = ELECT_LEADER;
    self->term = term;
    self->lead_since_ms = ev->now_ms;
    self->suspect_since_ms = -1;
    log_event(LOG_INFO, "coord_leads", "node=coord-%llu term=%lld",
              (unsigned long long)self->member->self->id, (long long)term);
    self->on_lead(node, ev, act);
}

static void s_was_deposed(elect_t *self, void *node, const event_t *ev, actions_t *act)
{
    bool calm = ev->now_ms - self->lead_since_ms > CALM_MS;
    int64_t patience = self->patience_ms ? self->patience_ms * 2 : FIRST_LINK_MS;
    self->patience_ms = calm ? 0 : patience < PATIENCE_MOST_MS ? patience : PATIENCE_MOST_MS;
    self->state = ELECT_STANDBY;
    self->term = 0;
    log_event(LOG_WARN, "coord_deposed", "node=coord-%llu by=coord-%llu term=%lld",
              (unsigned long long)self->member->self->id,
              (unsigned long long)self->member->leader_id,
              (long long)self->member->leader_term);
    self->on_lost(node, ev, act);
}

static void s_campaigned(void *node, void *arg, const event_t *ev, actions_t *act)
{
    elect_t *self = arg;
    if (self->state != ELECT_CAMPAIGN)
        return;                                 /* the watch was faster */
    if (ev->err == OK && ev->meta.txn.applied) {
        s_became_leader(self, ev->meta.txn.rev, node, ev, act);
        elect_look(self, node, ev, act);        /* the watch may have seen a later one */
        return;
    }
    self->state = ELECT_STANDBY;
    act_timer(act, TIMER_ELECT_LOOK, RETRY_MS + (int64_t)rng_below(&act->rng, JITTER_MS));
}

static void s_campaign(elect_t *self, const event_t *ev, actions_t *act)
{
    const member_t *member = self->member;
    Elanus__Leader leader = ELANUS__LEADER__INIT;
    leader.info = member_info(member, ev->ctx);
    meta_cmp_t cmp = member->leader_there
        ? (meta_cmp_t){ .kind = META_IF_MOD_REV, .key = MEMBER_LEADER_KEY,
                        .rev = member->leader_term }
        : (meta_cmp_t){ .kind = META_IF_ABSENT, .key = MEMBER_LEADER_KEY };
    meta_op_t put = {
        .kind = META_PUT, .key = MEMBER_LEADER_KEY, .lease = member->lease,
        .value = pb_pack(ev->ctx, &leader),
    };
    self->state = ELECT_CAMPAIGN;
    act_meta_txn(act, &(meta_txn_t){ .cmps = &cmp, .n_cmps = 1, .ops = &put, .n_ops = 1 },
                 wait_once(member->waits, act, s_campaigned, self));
}

/* How long to wait before taking the key from its holder; < 0: not at all. */
static int64_t s_wait_ms(elect_t *self, const event_t *ev, actions_t *act)
{
    const member_t *member = self->member;
    if (!member->leader_there)
        return 0;
    if (strcmp(member->leader_address, member->self->address) == 0)
        return 0;                               /* our own predecessor: it cannot be alive */
    int64_t first_link = member->leader_seen_ms + FIRST_LINK_MS - ev->now_ms;
    switch (member->leader_link) {
    case NET_UP:
        self->suspect_since_ms = -1;
        return -1;
    case NET_GONE:                              /* not up yet, or it said goodbye */
        if (first_link > 0)
            return first_link;
        break;
    case NET_SUSPECT:
    case NET_REFUSED:
        break;
    }
    if (self->suspect_since_ms < 0) {
        self->suspect_since_ms = ev->now_ms + (int64_t)rng_below(&act->rng, JITTER_MS);
        log_event(LOG_WARN, "leader_suspect", "node=coord-%llu leader=coord-%llu",
                  (unsigned long long)member->self->id, (unsigned long long)member->leader_id);
    }
    int64_t left = self->suspect_since_ms + self->patience_ms - ev->now_ms;
    return left > 0 ? left : 0;
}

void elect_look(elect_t *self, void *node, const event_t *ev, actions_t *act)
{
    const member_t *member = self->member;
    if (!member->leader_synced)
        return;
    bool named = member_leads(member);
    switch (self->state) {
    case ELECT_LEADER:
        /* What the watch shows may be older than our own success. */
        if (member->leader_term > self->term || (named && member->leader_term == self->term)) {
            if (!named)
                s_was_deposed(self, node, ev, act);
        }
        break;
    case ELECT_STANDBY:
    case ELECT_CAMPAIGN:
        if (named)                              /* our write did arrive, whatever its answer */
            s_became_leader(self, member->leader_term, node, ev, act);
        break;
    }
    if (self->state != ELECT_STANDBY || member->state != MEMBER_JOINED)
        return;
    int64_t wait = s_wait_ms(self, ev, act);
    if (wait == 0)
        s_campaign(self, ev, act);
    else if (wait > 0)
        act_timer(act, TIMER_ELECT_LOOK, wait);
}

bool elect_timer(elect_t *self, void *node, const event_t *ev, actions_t *act)
{
    if (ev->timer != TIMER_ELECT_LOOK)
        return false;
    elect_look(self, node, ev, act);
    return true;
}
