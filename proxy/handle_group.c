/* handle_group - resource groups: make, configure, drop, describe; moving nodes, replicas, segments
 *
 * A change is the coordinator's; it is answered when our own picture of the groups
 * is as new, so that who asks next finds what was done.
 */
#include "proxy/proxy_int.h"
#include "proxy/validate.h"

#define DEFAULT_GROUP "__default_resource_group"

enum { DEFAULT_LIMIT = 1000000, SHOWN_MS = 5000, SHOWN_STEP_MS = 200 };

/* --- changes -------------------------------------------------------------------------- */

typedef struct {
    proxy_call_t *call;
    int64_t rev;
    int64_t until_ms;
} shown_t;

/* It is written, whether this proxy sees it in time or not. */
static void s_look(proxy_node_t *self, void *arg, const event_t *ev, actions_t *act)
{
    shown_t *shown = arg;
    if (directory_rev(self->directory, DIRECTORY_GROUP) >= shown->rev ||
        ev->now_ms >= shown->until_ms)
        proxy_status(self, shown->call, act, OK, NULL);
    else
        proxy_news(self, ev, act, SHOWN_STEP_MS, s_look, shown);
}

static void s_changed(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    Elanus__DdlDone *done = NULL;
    if (ev->err != OK) {
        proxy_status(self, call, act, ev->err, ctx_strdup(call->ctx, ev->text));
        return;
    }
    if (PB_UNPACK(call->ctx, elanus__ddl_done, ev->payload, &done) != OK) {
        proxy_status(self, call, act, ERR_INTERNAL, call->ctx->text);
        return;
    }
    shown_t *shown = ctx_new(call->ctx, sizeof *shown);
    *shown = (shown_t){ .call = call, .rev = done->rev, .until_ms = ev->now_ms + SHOWN_MS };
    s_look(self, shown, ev, act);
}

static void s_change(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
                     uint32_t method, Elanus__Ddl *ask)
{
    ask->db_name = call->db;
    ask->token = proxy_ddl_token(self, call);
    proxy_ask(self, call, ev, act, method, pb_pack(call->ctx, ask), s_changed);
}

/* --- configurations ------------------------------------------------------------------- */

static err_t s_illegal(proxy_call_t *call, const char *name, const Rg__ResourceGroupConfig *config,
                       const char *why)
{
    return ctx_fail(call->ctx, ERR_RESOURCE_GROUP_CONFIG, "%s: resource group illegal config[rg=%s]"
                    "[config=requests:{node_num:%d} limits:{node_num:%d}]", why, name,
                    config->requests ? config->requests->node_num : 0,
                    config->limits ? config->limits->node_num : 0);
}

static char **s_names(ctx_t *ctx, Rg__ResourceGroupTransfer *const *from, size_t n)
{
    char **names = ctx_new(ctx, (n + 1) * sizeof *names);
    for (size_t i = 0; i < n; i++)
        names[i] = (char *)from[i]->resource_group;
    return names;
}

static Elanus__Pair **s_labels(ctx_t *ctx, Common__KeyValuePair *const *labels, size_t n)
{
    Elanus__Pair **pairs = ctx_new(ctx, (n + 1) * sizeof *pairs);
    for (size_t i = 0; i < n; i++) {
        pairs[i] = ctx_new(ctx, sizeof **pairs);
        elanus__pair__init(pairs[i]);
        pairs[i]->key = (char *)labels[i]->key;
        pairs[i]->value = (char *)labels[i]->value;
    }
    return pairs;
}

/* config NULL: an old client, which says nothing. */
static err_t s_read(proxy_call_t *call, const char *name, const Rg__ResourceGroupConfig *config,
                    Elanus__ResourceGroup **ret)
{
    ctx_t *ctx = call->ctx;
    Elanus__ResourceGroup *group = ctx_new(ctx, sizeof *group);
    elanus__resource_group__init(group);
    group->name = (char *)name;
    *ret = group;
    if (!config)
        return OK;
    if (!config->requests || !config->limits)
        return s_illegal(call, name, config, "requests or limits is required");
    if (config->requests->node_num < 0 || config->limits->node_num < 0)
        return s_illegal(call, name, config,
                         "node num in `requests` or `limits` should not less than 0");
    group->requests = (uint32_t)config->requests->node_num;
    group->limits = (uint32_t)config->limits->node_num;
    group->from_groups = s_names(ctx, config->transfer_from, config->n_transfer_from);
    group->n_from_groups = config->n_transfer_from;
    group->to_groups = s_names(ctx, config->transfer_to, config->n_transfer_to);
    group->n_to_groups = config->n_transfer_to;
    const Rg__ResourceGroupNodeFilter *filter = config->node_filter;
    group->n_labels = filter ? filter->n_node_labels : 0;
    group->labels = filter ? s_labels(ctx, filter->node_labels, group->n_labels) : NULL;
    return OK;
}

void handle_create_resource_group(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                  actions_t *act)
{
    const Milvus__CreateResourceGroupRequest *request = (const void *)call->request;
    Elanus__ResourceGroup *group = NULL;
    err_t err = validate_group_name(call->ctx, request->resource_group);
    if (err == OK)
        err = s_read(call, request->resource_group, request->config, &group);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.groups = &group;
    ask.n_groups = 1;
    s_change(self, call, ev, act, ELANUS__METHOD__METHOD_CREATE_GROUP, &ask);
}

void handle_update_resource_groups(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                   actions_t *act)
{
    const Milvus__UpdateResourceGroupsRequest *request = (const void *)call->request;
    size_t n = request->n_resource_groups;
    static const Rg__ResourceGroupConfig none = RG__RESOURCE_GROUP_CONFIG__INIT;
    Elanus__ResourceGroup **groups = ctx_new(call->ctx, (n + 1) * sizeof *groups);
    err_t err = OK;
    for (size_t i = 0; i < n && err == OK; i++) {
        const Rg__ResourceGroupConfig *config = request->resource_groups[i]->value;
        err = s_read(call, request->resource_groups[i]->key, config ? config : &none, &groups[i]);
    }
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.groups = groups;
    ask.n_groups = n;
    s_change(self, call, ev, act, ELANUS__METHOD__METHOD_UPDATE_GROUPS, &ask);
}

void handle_drop_resource_group(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                actions_t *act)
{
    const Milvus__DropResourceGroupRequest *request = (const void *)call->request;
    Elanus__ResourceGroup group = ELANUS__RESOURCE_GROUP__INIT, *groups[] = { &group };
    group.name = (char *)request->resource_group;
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.groups = groups;
    ask.n_groups = 1;
    s_change(self, call, ev, act, ELANUS__METHOD__METHOD_DROP_GROUP, &ask);
}

/* --- transfers ------------------------------------------------------------------------- */

static err_t s_check_transfer(proxy_call_t *call, const char *from, const char *to,
                              const char *what, int64_t n)
{
    TRY(validate_group_name(call->ctx, from));
    TRY(validate_group_name(call->ctx, to));
    if (strcmp(from, to) != 0 && (n <= 0 || n > INT32_MAX))
        return ctx_fail(call->ctx, ERR_PARAM_INVALID, "invalid parameter[expected=%s > 0][actual="
                        "invalid %s %lld]", what, what, (long long)n);
    return OK;
}

void handle_transfer_node(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                          actions_t *act)
{
    const Milvus__TransferNodeRequest *request = (const void *)call->request;
    const char *from = request->source_resource_group, *to = request->target_resource_group;
    err_t err = s_check_transfer(call, from, to, "NumNode", request->num_node);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Elanus__Transfer transfer = ELANUS__TRANSFER__INIT;
    transfer.from = (char *)from;
    transfer.to = (char *)to;
    transfer.n = (uint32_t)request->num_node;
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.transfer = &transfer;
    s_change(self, call, ev, act, ELANUS__METHOD__METHOD_TRANSFER_NODES, &ask);
}

void handle_transfer_replica(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                             actions_t *act)
{
    const Milvus__TransferReplicaRequest *request = (const void *)call->request;
    const char *from = request->source_resource_group, *to = request->target_resource_group;
    const Elanus__Collection *coll = NULL;
    err_t err = s_check_transfer(call, from, to, "NumReplica", request->num_replica);
    if (err == OK)
        err = proxy_collection(self, call, request->collection_name, &coll);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Elanus__Transfer transfer = ELANUS__TRANSFER__INIT;
    transfer.from = (char *)from;
    transfer.to = (char *)to;
    transfer.n = (uint32_t)request->num_replica;
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.collection_name = coll->name;
    ask.transfer = &transfer;
    proxy_ddl(self, call, ev, act, ELANUS__METHOD__METHOD_TRANSFER_REPLICAS, &ask);
}

static uint64_t *s_ids(ctx_t *ctx, const int64_t *ids, size_t n)
{
    uint64_t *copy = ctx_new(ctx, (n + 1) * sizeof *copy);
    for (size_t i = 0; i < n; i++)
        copy[i] = (uint64_t)ids[i];
    return copy;
}

void handle_load_balance(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                         actions_t *act)
{
    const Milvus__LoadBalanceRequest *request = (const void *)call->request;
    const Elanus__Collection *coll = NULL;
    err_t err = proxy_collection(self, call, request->collectionname, &coll);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Elanus__Balance balance = ELANUS__BALANCE__INIT;
    balance.from = (uint64_t)request->src_nodeid;
    balance.to = s_ids(call->ctx, request->dst_nodeids, request->n_dst_nodeids);
    balance.n_to = request->n_dst_nodeids;
    balance.segments = s_ids(call->ctx, request->sealed_segmentids, request->n_sealed_segmentids);
    balance.n_segments = request->n_sealed_segmentids;
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.collection_name = coll->name;
    ask.balance = &balance;
    proxy_ddl(self, call, ev, act, ELANUS__METHOD__METHOD_LOAD_BALANCE, &ask);
}

/* --- what there is ----------------------------------------------------------------------- */

void handle_list_resource_groups(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                 actions_t *act)
{
    (void)ev;
    const Elanus__ResourceGroup **groups = NULL;
    size_t n = directory_groups(self->directory, call->ctx, &groups);
    Milvus__ListResourceGroupsResponse response = MILVUS__LIST_RESOURCE_GROUPS_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.resource_groups = ctx_new(call->ctx, (n + 1) * sizeof(char *));
    response.resource_groups[response.n_resource_groups++] = DEFAULT_GROUP;
    for (size_t i = 0; i < n; i++)
        if (strcmp(groups[i]->name, DEFAULT_GROUP) != 0)
            response.resource_groups[response.n_resource_groups++] = groups[i]->name;
    proxy_answer(self, call, act, &response);
}

/* The group a node is in: the default one when no other names it. */
static const char *s_group_of(proxy_node_t *self, ctx_t *ctx, uint64_t node)
{
    const Elanus__ResourceGroup **groups = NULL;
    size_t n = directory_groups(self->directory, ctx, &groups);
    for (size_t g = 0; g < n; g++)
        for (size_t i = 0; i < groups[g]->n_nodes; i++)
            if (groups[g]->nodes[i] == node)
                return groups[g]->name;
    return DEFAULT_GROUP;
}

static void s_add_nodes(proxy_node_t *self, ctx_t *ctx, Milvus__ResourceGroup *out)
{
    const Elanus__NodeInfo **nodes = NULL;
    size_t n = directory_nodes(self->directory, ctx, "querynode", &nodes);
    out->nodes = ctx_new(ctx, (n + 1) * sizeof(void *));
    for (size_t i = 0; i < n; i++) {
        if (strcmp(s_group_of(self, ctx, nodes[i]->id), out->name) != 0)
            continue;
        Common__NodeInfo *info = ctx_new(ctx, sizeof *info);
        common__node_info__init(info);
        const char *scheme = strstr(nodes[i]->address, "://");
        info->node_id = (int64_t)nodes[i]->id;
        info->address = scheme ? scheme + 3 : nodes[i]->address;
        info->hostname = nodes[i]->host;
        out->nodes[out->n_nodes++] = info;
    }
    out->num_available_node = (int32_t)out->n_nodes;
}

/* A count by collection.  All three maps of the message have entries of this shape. */
typedef Milvus__ResourceGroup__NumLoadedReplicaEntry entry_t;

typedef struct {
    ctx_t *ctx;
    const ProtobufCMessageDescriptor *type;
    entry_t **entries;
    size_t n;
} counts_t;

static counts_t s_counts(ctx_t *ctx, const ProtobufCMessageDescriptor *type, size_t most)
{
    return (counts_t){ .ctx = ctx, .type = type,
                       .entries = ctx_new(ctx, (most + 1) * sizeof(entry_t *)) };
}

static void s_count(counts_t *counts, const char *collection, int32_t by)
{
    if (by == 0)
        return;
    for (size_t i = 0; i < counts->n; i++) {
        if (strcmp(counts->entries[i]->key, collection) == 0) {
            counts->entries[i]->value += by;
            return;
        }
    }
    entry_t *entry = ctx_new(counts->ctx, sizeof *entry);
    counts->type->message_init((ProtobufCMessage *)entry);
    entry->key = collection;
    entry->value = by;
    counts->entries[counts->n++] = entry;
}

/* How many nodes of a replica are in this group. */
static int32_t s_nodes_in(proxy_node_t *self, ctx_t *ctx, const Elanus__Replica *replica,
                          const char *group)
{
    int32_t n = 0;
    for (size_t i = 0; i < replica->n_nodes; i++)
        n += strcmp(s_group_of(self, ctx, replica->nodes[i]), group) == 0;
    return n;
}

static void s_add_replicas(proxy_node_t *self, ctx_t *ctx, Milvus__ResourceGroup *out)
{
    const Elanus__Replica **replicas = NULL;
    size_t n = directory_replicas(self->directory, ctx, 0, &replicas);
    counts_t loaded = s_counts(
        ctx, &milvus__resource_group__num_loaded_replica_entry__descriptor, n);
    counts_t leaving = s_counts(
        ctx, &milvus__resource_group__num_outgoing_node_entry__descriptor, n);
    counts_t coming = s_counts(
        ctx, &milvus__resource_group__num_incoming_node_entry__descriptor, n);
    for (size_t i = 0; i < n; i++) {
        const Elanus__Collection *coll = catalog_collection_by_id(self->catalog,
                                                                  replicas[i]->collection);
        if (!coll)
            continue;
        int32_t here = s_nodes_in(self, ctx, replicas[i], out->name);
        bool ours = strcmp(replicas[i]->resource_group, out->name) == 0;
        s_count(&loaded, coll->name, ours ? 1 : 0);
        s_count(&leaving, coll->name, ours ? (int32_t)replicas[i]->n_nodes - here : 0);
        s_count(&coming, coll->name, ours ? 0 : here);
    }
    out->num_loaded_replica = loaded.entries;
    out->n_num_loaded_replica = loaded.n;
    out->num_outgoing_node = (void *)leaving.entries;
    out->n_num_outgoing_node = leaving.n;
    out->num_incoming_node = (void *)coming.entries;
    out->n_num_incoming_node = coming.n;
}

static Rg__ResourceGroupLimit *s_limit(ctx_t *ctx, uint32_t n)
{
    Rg__ResourceGroupLimit *limit = ctx_new(ctx, sizeof *limit);
    rg__resource_group_limit__init(limit);
    limit->node_num = (int32_t)n;
    return limit;
}

static Rg__ResourceGroupTransfer **s_transfers(ctx_t *ctx, char *const *names, size_t n)
{
    Rg__ResourceGroupTransfer **all = ctx_new(ctx, (n + 1) * sizeof *all);
    for (size_t i = 0; i < n; i++) {
        all[i] = ctx_new(ctx, sizeof **all);
        rg__resource_group_transfer__init(all[i]);
        all[i]->resource_group = names[i];
    }
    return all;
}

static Rg__ResourceGroupNodeFilter *s_filter(ctx_t *ctx, const Elanus__ResourceGroup *group)
{
    if (group->n_labels == 0)
        return NULL;
    Rg__ResourceGroupNodeFilter *filter = ctx_new(ctx, sizeof *filter);
    rg__resource_group_node_filter__init(filter);
    filter->node_labels = ctx_new(ctx, group->n_labels * sizeof(void *));
    for (size_t i = 0; i < group->n_labels; i++) {
        Common__KeyValuePair *pair = ctx_new(ctx, sizeof *pair);
        common__key_value_pair__init(pair);
        pair->key = group->labels[i]->key;
        pair->value = group->labels[i]->value;
        filter->node_labels[filter->n_node_labels++] = pair;
    }
    return filter;
}

static Rg__ResourceGroupConfig *s_config(ctx_t *ctx, const Elanus__ResourceGroup *group)
{
    Rg__ResourceGroupConfig *config = ctx_new(ctx, sizeof *config);
    rg__resource_group_config__init(config);
    config->requests = s_limit(ctx, group ? group->requests : 0);
    config->limits = s_limit(ctx, group ? group->limits : DEFAULT_LIMIT);
    if (!group)
        return config;
    config->transfer_from = s_transfers(ctx, group->from_groups, group->n_from_groups);
    config->n_transfer_from = group->n_from_groups;
    config->transfer_to = s_transfers(ctx, group->to_groups, group->n_to_groups);
    config->n_transfer_to = group->n_to_groups;
    config->node_filter = s_filter(ctx, group);
    return config;
}

void handle_describe_resource_group(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                    actions_t *act)
{
    (void)ev;
    const Milvus__DescribeResourceGroupRequest *request = (const void *)call->request;
    ctx_t *ctx = call->ctx;
    const char *name = request->resource_group;
    bool first = strcmp(name, DEFAULT_GROUP) == 0;
    const Elanus__ResourceGroup *group = directory_group(self->directory, name);
    if (!group && !first) {
        proxy_status(self, call, act, ERR_RESOURCE_GROUP_NOT_FOUND,
                     ctx_printf(ctx, "resource group not found[rg=%s]", name));
        return;
    }
    Milvus__ResourceGroup out = MILVUS__RESOURCE_GROUP__INIT;
    out.name = name;
    out.config = s_config(ctx, group);
    out.capacity = first ? DEFAULT_LIMIT : (int32_t)group->requests;
    s_add_nodes(self, ctx, &out);
    s_add_replicas(self, ctx, &out);
    Milvus__DescribeResourceGroupResponse response = MILVUS__DESCRIBE_RESOURCE_GROUP_RESPONSE__INIT;
    response.status = proxy_status_new(ctx, OK, NULL);
    response.resource_group = &out;
    proxy_answer(self, call, act, &response);
}
