/* coord_node - start, election, dispatch; see coord_node.h */
#include "coord/coord_int.h"

bool coord_node_leads(const coord_node_t *self)
{
    return self->ready;
}

int64_t coord_node_term(const coord_node_t *self)
{
    return elect_leads(&self->elect) ? self->elect.term : 0;
}

static void s_on_leader(void *node, const event_t *ev, actions_t *act)
{
    coord_node_t *self = node;
    elect_look(&self->elect, self, ev, act);
}

static bool s_keeps_link(void *node, const char *address)
{
    return coord_peers_keep(node, address);
}

static net_peer_state_t s_knows_link(void *node, const char *address)
{
    return coord_peers_link_state(node, address);
}

static void s_on_lead(void *node, const event_t *ev, actions_t *act)
{
    coord_node_t *self = node;
    coord_peers_link(self, ev, act);
    coord_root_load(self, ev, act);
}

static void s_on_lost(void *node, const event_t *ev, actions_t *act)
{
    (void)ev;
    coord_node_t *self = node;
    self->ready = false;
    coord_peers_unlink(self, act);
    coord_ddl_lost(self, act);
    coord_channels_forget(self);
    coord_builds_lost(self);
}

/* --- looking after channels, replicas and builds --------------------------------- */

/* Many changes at once are looked at once: the timer runs behind them. */
void coord_look_at(coord_node_t *self, int64_t at_ms, const event_t *ev, actions_t *act)
{
    if (!self->ready || (self->look_at_ms && self->look_at_ms <= at_ms))
        return;
    self->look_at_ms = at_ms;
    act_timer(act, TIMER_COORD_LOOK, at_ms > ev->now_ms ? at_ms - ev->now_ms : 0);
}

static void s_timer(coord_node_t *self, const event_t *ev, actions_t *act)
{
    if (elect_timer(&self->elect, self, ev, act) || ev->timer != TIMER_COORD_LOOK)
        return;
    self->look_at_ms = 0;
    if (!self->ready)
        return;
    int64_t due_ms = INT64_MAX;
    coord_peers_sweep(self, ev, act, &due_ms);
    coord_channels_look(self, ev, act, &due_ms);
    coord_replicas_look(self, ev, act, &due_ms);
    coord_builds_look(self, ev, act, &due_ms);
    if (due_ms < INT64_MAX)
        coord_look_at(self, due_ms, ev, act);
}

/* --- life ------------------------------------------------------------------------- */

static void *s_make(const node_self_t *who, const void *options)
{
    static const coord_options_t s_defaults = {
        .channels = COORD_CHANNELS, .groups = COORD_GROUPS, .balance = true,
        .balance_interval_ms = COORD_BALANCE_MS, .build_rows = COORD_BUILD_ROWS,
        .builds_a_node = COORD_BUILDS_A_NODE,
    };
    const coord_options_t *with = options ? options : &s_defaults;
    coord_node_t *self = mem_new(sizeof *self);
    member_init(&self->member, who);
    self->member.figures = coord_role.figures;
    self->member.tell = coord_count_tell;
    coord_count_init(&self->count, who);
    self->member.inspect = coord_peers_inspect;
    elect_init(&self->elect, &self->member);
    self->member.on_leader = s_on_leader;
    self->member.keeps_link = s_keeps_link;
    self->member.knows_link = s_knows_link;
    self->elect.on_lead = s_on_lead;
    self->elect.on_lost = s_on_lost;
    self->peers = map_new();
    self->links = map_new();
    self->relisted = map_new();
    self->catalog = catalog_new();
    self->directory = directory_new();
    self->segments = segments_new();
    self->channels = map_new();
    self->channels_most = (int)with->channels;
    self->groups_most = (size_t)with->groups;
    self->balances = with->balance;
    self->balance_interval_ms = with->balance_interval_ms;
    coord_builds_init(self, with);
    return self;
}

static void s_end(void *node)
{
    coord_node_t *self = node;
    coord_peers_fini(self);
    coord_ddl_fini(self);
    coord_channels_forget(self);
    coord_builds_fini(self);
    map_destroy(&self->channels);
    directory_destroy(&self->directory);
    segments_destroy(&self->segments);
    member_fini(&self->member);
    mem_free(self);
}

/* Only the leader answers: a standby names it, so that the caller can go there. */
static void s_call(coord_node_t *self, const event_t *ev, actions_t *act)
{
    if (!self->ready) {
        act_refuse(act, ev->call.from, ERR_SERVICE_NOT_READY,
                   "coord-%llu does not lead; the leader is coord-%llu at %s",
                   (unsigned long long)self->member.self->id,
                   (unsigned long long)self->member.leader_id,
                   self->member.leader_there ? self->member.leader_address : "(none yet)");
        return;
    }
    if (ev->call.method == ELANUS__METHOD__METHOD_CLUSTER)
        coord_peers_cluster(self, ev, act);
    else if (ev->call.method == ELANUS__METHOD__METHOD_OPEN_CHANNEL)
        coord_channels_stalled(self, ev, act);
    else
        coord_ddl_call(self, ev, act);
}

static void s_step(void *node, const event_t *ev, actions_t *act)
{
    coord_node_t *self = node;
    if (member_step(&self->member, self, ev, act))
        return;
    switch (ev->kind) {
    case EV_START:
        coord_peers_start(self, act);
        coord_builds_start(self, act);
        break;
    case EV_CALL:
        s_call(self, ev, act);
        break;
    case EV_PEER:
        coord_peers_event(self, ev, act);
        break;
    case EV_TIMER:
        s_timer(self, ev, act);
        break;
    case EV_STOP:
        self->ready = false;                    /* the lease's end removes the leader key */
        break;
    case EV_CANCELLED:
    case EV_REPLY:
    case EV_META:
    case EV_WATCH:
    case EV_JOB:
    case EV_ITEM:
        break;
    }
}

/* The leader when its state is read, a standby when it has a leader to stand by for. */
static bool s_ready(const void *node)
{
    const coord_node_t *self = node;
    return self->ready || (self->member.state == MEMBER_JOINED && self->member.leader_there &&
                           !member_leads(&self->member));
}

static int64_t s_leads(const void *node)       { return coord_node_leads(node); }
static int64_t s_term(const void *node)        { return coord_node_term(node); }
static int64_t s_builds(const void *node)      { return (int64_t)coord_builds_open(node); }
static int64_t s_members(const void *node)     { return (int64_t)coord_node_members(node, false); }
static int64_t s_members_up(const void *node)  { return (int64_t)coord_node_members(node, true); }

static const figure_t s_figures[] = {
    { "elanus_coord_leader", "1 when this coordinator leads and answers", s_leads },
    { "elanus_coord_term", "revision of the leader key it holds, 0 when it does not lead", s_term },
    { "elanus_coord_members", "registered nodes", s_members },
    { "elanus_coord_members_up", "registered nodes whose link to this coordinator is up",
      s_members_up },
    { "elanus_coord_builds_open", "index builds that wait or run, as the leader knows them",
      s_builds },
    { NULL, NULL, NULL },
};

const role_t coord_role = {
    .name = "coord", .make = s_make, .step = s_step, .end = s_end, .ready = s_ready,
    .figures = s_figures, .measure = coord_count_measure,
};
