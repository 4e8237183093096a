/* coord_groups - resource groups as clients order them: make, drop, configure, transfer
 *
 * A client says how many nodes a group should have and may have; which ones it
 * gets is found at once, in the same transaction (coord_group_nodes.c).  Codes and
 * texts are Milvus's.
 */
#include "coord/coord_groups.h"
#include "core/base/limits.h"

typedef const Elanus__ResourceGroup config_t;

static config_t *s_find(coord_node_t *self, ddl_t *ddl, const char *name)
{
    config_t *group = directory_group(self->directory, name);
    if (group || strcmp(name, COORD_DEFAULT_GROUP) != 0)
        return group;
    return coord_group_default(&ddl->memory);
}

static err_t s_get(coord_node_t *self, ddl_t *ddl, const char *name, config_t **ret)
{
    *ret = s_find(self, ddl, name);
    return *ret ? OK : ctx_fail(&ddl->memory, ERR_RESOURCE_GROUP_NOT_FOUND,
                                "resource group not found[rg=%s]", name);
}

/* --- configurations -------------------------------------------------------------------- */

static const char *s_text(ctx_t *ctx, config_t *config)
{
    return ctx_printf(ctx, "requests:{node_num:%u} limits:{node_num:%u}", config->requests,
                      config->limits);
}

static err_t s_check_names(coord_node_t *self, ddl_t *ddl, config_t *config, const char *which,
                           char *const *names, size_t n)
{
    ctx_t *ctx = &ddl->memory;
    for (size_t i = 0; i < n; i++) {
        bool itself = strcmp(names[i], config->name) == 0;
        if (itself || !s_find(self, ddl, names[i]))
            return ctx_fail(ctx, ERR_RESOURCE_GROUP_CONFIG, "resource group in `%s` %s %s: "
                            "resource group illegal config[rg=%s][config=%s]", which, names[i],
                            itself ? "should not be itself" : "not exist", config->name,
                            s_text(ctx, config));
    }
    return OK;
}

static err_t s_check(coord_node_t *self, ddl_t *ddl, config_t *config)
{
    if (config->limits < config->requests)
        return ctx_fail(&ddl->memory, ERR_RESOURCE_GROUP_CONFIG, "limits node num should not less "
                        "than requests node num: resource group illegal config[rg=%s][config=%s]",
                        config->name, s_text(&ddl->memory, config));
    TRY(s_check_names(self, ddl, config, "TransferFrom", config->from_groups,
                      config->n_from_groups));
    return s_check_names(self, ddl, config, "TransferTo", config->to_groups, config->n_to_groups);
}

static bool s_same_names(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
    bool same = n_a == n_b;
    for (size_t i = 0; i < n_a && same; i++)
        same = strcmp(a[i], b[i]) == 0;
    return same;
}

static bool s_same(config_t *a, config_t *b)
{
    bool same = a->requests == b->requests && a->limits == b->limits &&
                s_same_names(a->from_groups, a->n_from_groups, b->from_groups, b->n_from_groups) &&
                s_same_names(a->to_groups, a->n_to_groups, b->to_groups, b->n_to_groups) &&
                a->n_labels == b->n_labels;
    for (size_t i = 0; i < a->n_labels && same; i++)
        same = strcmp(a->labels[i]->key, b->labels[i]->key) == 0 &&
               strcmp(a->labels[i]->value, b->labels[i]->value) == 0;
    return same;
}

static void s_settle(coord_node_t *self, ddl_t *ddl, config_t *const *changed, size_t n)
{
    plan_t plan;
    int64_t due_ms = INT64_MAX;
    coord_plan_begin(&plan, self, ddl, &due_ms);
    coord_groups_settle(&plan, changed, n);
}

/* A group as it is configured now, with the nodes it has. */
static Elanus__ResourceGroup *s_with_nodes(ddl_t *ddl, config_t *config, config_t *known)
{
    Elanus__ResourceGroup *group = ctx_new(&ddl->memory, sizeof *group);
    *group = *config;
    group->nodes = known ? known->nodes : NULL;
    group->n_nodes = known ? known->n_nodes : 0;
    return group;
}

/* --- make, configure, drop ------------------------------------------------------------------ */

err_t coord_create_group(coord_node_t *self, ddl_t *ddl)
{
    ctx_t *ctx = &ddl->memory;
    if (ddl->ask->n_groups != 1)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "one group is made at a time, not %zu",
                        ddl->ask->n_groups);
    config_t *config = ddl->ask->groups[0];
    config_t *known = s_find(self, ddl, config->name);
    if (known && s_same(known, config))
        return OK;
    if (known)
        return ctx_fail(ctx, ERR_RESOURCE_GROUP_EXISTS, "resource group already exist, but create "
                        "with different config[rg=%s]", config->name);
    const Elanus__ResourceGroup **all = NULL;
    size_t n = directory_groups(self->directory, ctx, &all);
    n += !directory_group(self->directory, COORD_DEFAULT_GROUP);
    if (n >= self->groups_most)
        return ctx_fail(ctx, ERR_RESOURCE_GROUP_LIMIT, "resource group num reach limit[rg=%s]"
                        "[limit=%zu]", config->name, self->groups_most);
    TRY(s_check(self, ddl, config));
    config_t *group = s_with_nodes(ddl, config, NULL);
    s_settle(self, ddl, &group, 1);
    return OK;
}

/* More groups than fit into one transaction are refused by who writes it. */
err_t coord_update_groups(coord_node_t *self, ddl_t *ddl)
{
    const Elanus__Ddl *ask = ddl->ask;
    config_t **changed = ctx_new(&ddl->memory, (ask->n_groups + 1) * sizeof *changed);
    for (size_t i = 0; i < ask->n_groups; i++) {
        config_t *known = NULL;
        TRY(s_get(self, ddl, ask->groups[i]->name, &known));
        TRY(s_check(self, ddl, ask->groups[i]));
        changed[i] = s_with_nodes(ddl, ask->groups[i], known);
    }
    if (ask->n_groups > LIMIT_META_TXN_OPS / 2)
        return ctx_fail(&ddl->memory, ERR_PARAM_TOO_LARGE, "at most %d resource groups are "
                        "configured by one request", LIMIT_META_TXN_OPS / 2);
    s_settle(self, ddl, changed, ask->n_groups);
    return OK;
}

static err_t s_not_used(coord_node_t *self, ddl_t *ddl, const char *name)
{
    ctx_t *ctx = &ddl->memory;
    const Elanus__ResourceGroup **all = NULL;
    size_t n = directory_groups(self->directory, ctx, &all);
    for (size_t i = 0; i < n; i++) {
        config_t *group = all[i];
        bool from = false, to = false;
        for (size_t j = 0; j < group->n_from_groups; j++)
            from |= strcmp(group->from_groups[j], name) == 0;
        for (size_t j = 0; j < group->n_to_groups; j++)
            to |= strcmp(group->to_groups[j], name) == 0;
        const char *which = from ? "TransferFrom" : "TransferTo";
        if (from || to)
            return ctx_fail(ctx, ERR_PARAM_INVALID, "resource group %s is used by %s's `%s`, "
                            "remove that configuration first: invalid parameter[expected=not `%s` "
                            "of resource group][actual=%s]", name, group->name, which, which,
                            name);
    }
    return OK;
}

static err_t s_is_deletable(coord_node_t *self, ddl_t *ddl, const char *name)
{
    ctx_t *ctx = &ddl->memory;
    const Elanus__Replica **replicas = NULL;
    size_t n = directory_replicas(self->directory, ctx, 0, &replicas);
    for (size_t i = 0; i < n; i++)
        if (strcmp(replicas[i]->resource_group, name) == 0)
            return ctx_fail(ctx, ERR_PARAM_INVALID, "some replicas still loaded in resource "
                            "group[%s], release it first: invalid parameter[expected=empty "
                            "resource group][actual=resource group %s has collection %llu loaded]",
                            name, name, (unsigned long long)replicas[i]->collection);
    if (strcmp(name, COORD_DEFAULT_GROUP) == 0)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "default resource group is not deletable: invalid "
                        "parameter[expected=not default resource group][actual=%s]", name);
    config_t *group = directory_group(self->directory, name);
    if (group && group->limits != 0)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "resource group's limits node num is not 0: "
                        "invalid parameter[expected=not empty resource group][actual=%s]", name);
    return s_not_used(self, ddl, name);
}

/* What is not there is dropped already.  Its nodes are the default group's by that alone. */
err_t coord_drop_group(coord_node_t *self, ddl_t *ddl)
{
    const char *name = ddl->ask->n_groups > 0 ? ddl->ask->groups[0]->name : "";
    TRY(s_is_deletable(self, ddl, name));
    if (directory_group(self->directory, name))
        coord_ddl_delete(ddl, directory_key_group(&ddl->memory, name));
    return OK;
}

/* --- transfers ---------------------------------------------------------------------------- */

static err_t s_not_the_same(ddl_t *ddl, const char *from, const char *to)
{
    if (strcmp(from, to) != 0)
        return OK;
    return ctx_fail(&ddl->memory, ERR_PARAM_INVALID, "source resource group and target resource "
                    "group should not be the same, resource group: %s: invalid parameter", from);
}

static size_t s_count_nodes(coord_node_t *self, ddl_t *ddl, const char *group)
{
    plan_t plan;
    int64_t due_ms = INT64_MAX;
    coord_plan_begin(&plan, self, ddl, &due_ms);
    size_t n = 0;
    for (size_t i = 0; i < plan.n; i++)
        n += strcmp(plan.servers[i].group, group) == 0;
    return n;
}

static uint32_t s_less(uint32_t x, uint32_t by)
{
    return x > by ? x - by : 0;
}

/* Milvus keeps this old call by changing what both groups request. */
err_t coord_transfer_nodes(coord_node_t *self, ddl_t *ddl)
{
    const Elanus__Transfer *ask = ddl->ask->transfer;
    config_t *from = NULL, *to = NULL;
    if (!ask)
        return ctx_fail(&ddl->memory, ERR_PARAM_INVALID, "a transfer without its groups");
    TRY(s_not_the_same(ddl, ask->from, ask->to));
    TRY(s_get(self, ddl, ask->from, &from));
    TRY(s_get(self, ddl, ask->to, &to));
    if (coord_ddl_is_done(ddl, to->token))
        return OK;
    size_t n = s_count_nodes(self, ddl, ask->from);
    if (n < ask->n)
        return ctx_fail(&ddl->memory, ERR_RESOURCE_GROUP_NODES, "resource group node not enough"
                        "[rg=%s][currentNodeNum=%zu][expectedNodeNum=%u]", ask->from, n, ask->n);
    Elanus__ResourceGroup *giver = s_with_nodes(ddl, from, from);
    Elanus__ResourceGroup *taker = s_with_nodes(ddl, to, to);
    giver->requests = s_less(giver->requests, ask->n);
    if (strcmp(ask->from, COORD_DEFAULT_GROUP) != 0)
        giver->limits = s_less(giver->limits, ask->n);
    taker->token = ddl->ask->token;
    taker->requests += ask->n;
    if (taker->requests > taker->limits)
        taker->limits = taker->requests;
    config_t *changed[] = { giver, taker };
    s_settle(self, ddl, changed, 2);
    return OK;
}

static err_t s_check_transfer(coord_node_t *self, ddl_t *ddl, const Elanus__Transfer *ask)
{
    ctx_t *ctx = &ddl->memory;
    if (!s_find(self, ddl, ask->from))
        return ctx_fail(ctx, ERR_RESOURCE_GROUP_NOT_FOUND, "the source resource group[%s] doesn't "
                        "exist: resource group not found[rg=%s]", ask->from, ask->from);
    if (!s_find(self, ddl, ask->to))
        return ctx_fail(ctx, ERR_RESOURCE_GROUP_NOT_FOUND, "the target resource group[%s] doesn't "
                        "exist: resource group not found[rg=%s]", ask->to, ask->to);
    return s_not_the_same(ddl, ask->from, ask->to);
}

/* From now on the load says of each replica in which group it is; which of the replicas that
 * are there go is found from that. */
err_t coord_transfer_replicas(coord_node_t *self, ddl_t *ddl)
{
    ctx_t *ctx = &ddl->memory;
    const Elanus__Transfer *ask = ddl->ask->transfer;
    const Elanus__Collection *coll = NULL;
    if (!ask)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "a transfer without its groups");
    TRY(coord_find_collection(self, ddl, &coll));
    TRY(s_check_transfer(self, ddl, ask));
    const Elanus__Load *known = catalog_load(self->catalog, coll->id);
    if (!known)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "invalid parameter[expected=Collection not loaded]"
                        "[actual=collectionID %llu]", (unsigned long long)coll->id);
    if (coord_ddl_is_done(ddl, known->token))
        return OK;
    Elanus__Load load = *known;
    load.token = ddl->ask->token;
    size_t want = coord_replicas_wanted(known), found = 0;
    load.resource_groups = ctx_new(ctx, want * sizeof(char *));
    load.n_resource_groups = want;
    for (size_t i = 0; i < want; i++) {
        const char *group = coord_replicas_group(known, i);
        bool goes = strcmp(group, ask->from) == 0;
        load.resource_groups[i] = (char *)(goes && found < ask->n ? ask->to : group);
        found += goes;
    }
    if (found < ask->n)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "invalid parameter[expected=NumReplica not greater "
                        "than the number of replica in source resource group][actual=only found "
                        "[%zu] replicas of collection [%llu] in source resource group [%s], but %u "
                        "require]", found, (unsigned long long)coll->id, ask->from, ask->n);
    coord_ddl_put(ddl, catalog_key_load(ctx, coll->id), &load);
    coord_replicas_place(self, ddl, &load);
    return OK;
}
