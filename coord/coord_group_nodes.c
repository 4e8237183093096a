/* coord_group_nodes - which query node belongs to which resource group
 *
 *     lost, or new ─► the default group ─► a group with fewer nodes than it requests
 *                          ▲                    │ from the one that can spare most
 *                          └── more than its limit
 *
 * The default group has every node that no other one has, so it needs no list of
 * them.  A group that misses nodes gets them from one beyond its limit, else from
 * those it names in from_groups, else from whoever has more than it requests.  One
 * beyond its limit gives nodes to a group that misses some, else to its to_groups,
 * else to one that has not reached its limit, else to the default group.  Nodes
 * have no labels (yet), so a group that asks for some has no nodes.
 */
#include "coord/coord_groups.h"

enum { REDUNDANT_WEIGHT = 1000000, NAMED_WEIGHT = 100000 };

typedef struct {
    const Elanus__ResourceGroup *config;
    const Elanus__ResourceGroup *known;     /* as the directory has it; NULL: it has not */
    int64_t n;                              /* nodes */
} group_t;

typedef struct {
    plan_t *plan;
    group_t *groups;            /* [0] is the default one */
    size_t n;
    size_t *of;                 /* [plan->n]: index of each server's group */
} sorting_t;

static int64_t s_positive(int64_t x)
{
    return x > 0 ? x : 0;
}

static int64_t s_missing(const group_t *group)
{
    return s_positive((int64_t)group->config->requests - group->n);
}

static int64_t s_room(const group_t *group)
{
    return s_positive((int64_t)group->config->limits - group->n);
}

static int64_t s_spare(const group_t *group)
{
    return s_positive(group->n - (int64_t)group->config->requests);
}

static int64_t s_beyond(const group_t *group)
{
    return s_positive(group->n - (int64_t)group->config->limits);
}

static bool s_accepts(const group_t *group)
{
    return group->config->n_labels == 0;
}

static bool s_named(char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* --- what there is -------------------------------------------------------------------- */

static const Elanus__ResourceGroup *s_changed(const Elanus__ResourceGroup *const *changed,
                                              size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(changed[i]->name, name) == 0)
            return changed[i];
    return NULL;
}

const Elanus__ResourceGroup *coord_group_default(ctx_t *ctx)
{
    Elanus__ResourceGroup *group = ctx_new(ctx, sizeof *group);
    elanus__resource_group__init(group);
    group->name = (char *)COORD_DEFAULT_GROUP;
    group->limits = COORD_DEFAULT_GROUP_LIMIT;
    return group;
}

static void s_add(sorting_t *sorting, const Elanus__ResourceGroup *config,
                  const Elanus__ResourceGroup *known)
{
    bool first = strcmp(config->name, COORD_DEFAULT_GROUP) == 0;
    sorting->groups[first ? 0 : sorting->n++] = (group_t){ .config = config, .known = known };
}

static void s_collect(sorting_t *sorting, const Elanus__ResourceGroup *const *changed,
                      size_t n_changed)
{
    ctx_t *ctx = &sorting->plan->ddl->memory;
    const directory_t *directory = sorting->plan->self->directory;
    const Elanus__ResourceGroup **known = NULL;
    size_t n = directory_groups(directory, ctx, &known);
    sorting->groups = ctx_new(ctx, (n + n_changed + 1) * sizeof *sorting->groups);
    sorting->groups[0] = (group_t){ .config = coord_group_default(ctx) };
    sorting->groups[0].known = sorting->groups[0].config;   /* not written while it is plain */
    sorting->n = 1;
    for (size_t i = 0; i < n; i++) {
        const Elanus__ResourceGroup *now = s_changed(changed, n_changed, known[i]->name);
        s_add(sorting, now ? now : known[i], known[i]);
    }
    for (size_t i = 0; i < n_changed; i++)
        if (!directory_group(directory, changed[i]->name))
            s_add(sorting, changed[i], NULL);
}

static void s_sort(sorting_t *sorting)
{
    plan_t *plan = sorting->plan;
    sorting->of = ctx_new(&plan->ddl->memory, (plan->n + 1) * sizeof *sorting->of);
    for (size_t g = 1; g < sorting->n; g++) {
        const Elanus__ResourceGroup *config = sorting->groups[g].config;
        for (size_t i = 0; i < config->n_nodes && s_accepts(&sorting->groups[g]); i++) {
            server_t *server = coord_plan_server(plan, config->nodes[i]);
            if (server)
                sorting->of[server - plan->servers] = g;
        }
    }
    for (size_t i = 0; i < plan->n; i++)
        sorting->groups[sorting->of[i]].n++;
}

/* --- moving one node -------------------------------------------------------------------- */

/* The one that has the least to move; the newest of equals. */
static void s_move(sorting_t *sorting, size_t from, size_t to)
{
    const plan_t *plan = sorting->plan;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < plan->n; i++) {
        const server_t *server = &plan->servers[i];
        const server_t *least = &plan->servers[best == SIZE_MAX ? i : best];
        if (sorting->of[i] == from &&
            (server->shards < least->shards ||
             (server->shards == least->shards && server->bytes <= least->bytes)))
            best = i;
    }
    check(best != SIZE_MAX);
    sorting->of[best] = to;
    sorting->groups[from].n--;
    sorting->groups[to].n++;
    log_event(LOG_INFO, "node_grouped", "node=querynode-%llu group=%s from=%s",
              (unsigned long long)plan->servers[best].id, sorting->groups[to].config->name,
              sorting->groups[from].config->name);
}

static int64_t s_giver(const group_t *giver, const group_t *taker)
{
    if (s_beyond(giver) > 0)
        return s_beyond(giver) * REDUNDANT_WEIGHT;
    bool named = s_named(taker->config->from_groups, taker->config->n_from_groups,
                         giver->config->name);
    return s_spare(giver) * (named ? NAMED_WEIGHT : 1);
}

static int64_t s_taker(const group_t *giver, const group_t *taker)
{
    if (!s_accepts(taker))
        return 0;
    if (s_missing(taker) > 0)
        return s_missing(taker) * REDUNDANT_WEIGHT;
    bool named = s_named(giver->config->to_groups, giver->config->n_to_groups,
                         taker->config->name);
    return s_room(taker) * (named ? NAMED_WEIGHT : 1);
}

static bool s_fill(sorting_t *sorting, size_t to)
{
    int64_t most = 0;
    size_t from = 0;
    for (size_t g = 0; g < sorting->n; g++) {
        int64_t weight = g == to ? 0 : s_giver(&sorting->groups[g], &sorting->groups[to]);
        if (weight > most && s_spare(&sorting->groups[g]) > 0) {
            most = weight;
            from = g;
        }
    }
    if (most > 0)
        s_move(sorting, from, to);
    return most > 0;
}

static bool s_relieve(sorting_t *sorting, size_t from)
{
    int64_t most = 0;
    size_t to = 0;
    for (size_t g = 0; g < sorting->n; g++) {
        int64_t weight = g == from ? 0 : s_taker(&sorting->groups[from], &sorting->groups[g]);
        if (weight > most) {
            most = weight;
            to = g;
        }
    }
    if (to == from)
        return false;                           /* the default group, and nobody has room */
    s_move(sorting, from, to);
    return true;
}

static bool s_step(sorting_t *sorting)
{
    for (size_t g = 0; g < sorting->n; g++)
        if (s_missing(&sorting->groups[g]) > 0 && s_accepts(&sorting->groups[g]) &&
            s_fill(sorting, g))
            return true;
    for (size_t g = 0; g < sorting->n; g++)
        if (s_beyond(&sorting->groups[g]) > 0 && s_relieve(sorting, g))
            return true;
    return false;
}

/* --- writing ------------------------------------------------------------------------------ */

static bool s_same_nodes(const Elanus__ResourceGroup *known, const uint64_t *nodes, size_t n)
{
    return known->n_nodes == n && (n == 0 || memcmp(known->nodes, nodes, n * sizeof *nodes) == 0);
}

static void s_put(const sorting_t *sorting, size_t g)
{
    const group_t *group = &sorting->groups[g];
    const plan_t *plan = sorting->plan;
    ctx_t *ctx = &plan->ddl->memory;
    uint64_t *nodes = ctx_new(ctx, (plan->n + 1) * sizeof *nodes);
    size_t n = 0;
    for (size_t i = 0; i < plan->n && g > 0; i++)
        if (sorting->of[i] == g)
            nodes[n++] = plan->servers[i].id;
    if (group->config == group->known && s_same_nodes(group->known, nodes, n))
        return;
    Elanus__ResourceGroup record = *group->config;
    record.nodes = nodes;
    record.n_nodes = n;
    coord_plan_put(sorting->plan, directory_key_group(ctx, record.name), &record);
}

void coord_groups_settle(plan_t *plan, const Elanus__ResourceGroup *const *changed, size_t n)
{
    sorting_t sorting = { .plan = plan };
    s_collect(&sorting, changed, n);
    s_sort(&sorting);
    for (size_t steps = 0; steps < 2 * plan->n && s_step(&sorting); steps++)
        ;
    for (size_t g = 0; g < sorting.n; g++)
        s_put(&sorting, g);
    for (size_t i = 0; i < plan->n; i++)
        plan->servers[i].group = sorting.groups[sorting.of[i]].config->name;
}
