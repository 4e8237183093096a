/* handle_metrics - GetMetrics {"metric_type":"system_info"} in Milvus's JSON
 *
 * Attu, milvus-cli and the SDKs read the cluster's topology from it.  Elanus
 * has one coordinator where Milvus 2.4 has three, so the leader appears as
 * rootcoord, querycoord and datacoord, which is what Attu looks for; a
 * standby coordinator appears as itself.  Figures come from each node at the
 * moment of asking; a node that did not answer keeps its entry, with has_error.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proxy/proxy_int.h"

static void s_set_time(json_t *into, const char *key, int64_t wall_ms)
{
    char text[64];
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    size_t len = strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &utc);
    snprintf(text + len, sizeof text - len, ".%03d +0000 UTC", (int)(wall_ms % 1000));
    json_object_set_new(into, key, json_string(text));
}

static void s_set_count(json_t *into, const char *key, uint64_t value)
{
    json_object_set_new(into, key, json_integer((json_int_t)value));
}

/* HOST:PORT as Milvus shows it; a node inside this process is reached by its operations port. */
static const char *s_place(const Elanus__NodeInfo *info)
{
    static const char s_tcp[] = "tcp://";
    bool tcp = strncmp(info->address, s_tcp, sizeof s_tcp - 1) == 0;
    return tcp ? info->address + sizeof s_tcp - 1 : info->ops_address;
}

static json_t *s_hardware(const Elanus__Member *member)
{
    static const Elanus__NodeStatus s_unknown;
    const Elanus__NodeStatus *status = member->status ? member->status : &s_unknown;
    json_t *hardware = json_object();
    json_object_set_new(hardware, "ip", json_string(s_place(member->info)));
    s_set_count(hardware, "cpu_core_count", (uint64_t)status->cpu_cores);
    json_object_set_new(hardware, "cpu_core_usage", json_real(status->cpu_percent));
    s_set_count(hardware, "memory", status->memory_total);
    s_set_count(hardware, "memory_usage", status->memory_used);
    s_set_count(hardware, "disk", status->disk_total);
    s_set_count(hardware, "disk_usage", status->disk_used);
    s_set_count(hardware, "io_wait_percentage", 0);
    return hardware;
}

static json_t *s_system(const proxy_node_t *self, const Elanus__Member *member)
{
    json_t *system = json_object();
    json_object_set_new(system, "system_version", json_string(member->info->version));
    json_object_set_new(system, "deploy_mode",
                        json_string(self->member.self->standalone ? "STANDALONE" : "DISTRIBUTED"));
    json_object_set_new(system, "build_version", json_string(PROXY_VERSION));
    json_object_set_new(system, "build_time", json_string(__DATE__ " " __TIME__));
    json_object_set_new(system, "used_go_version", json_string("none: written in C"));
    return system;
}

/* Which settings a role shows, by Milvus's keys: what the node told, or what is fixed. */
static const struct { const char *role, *key, *fixed; } s_settings[] = {
    { "querynode", "simd_type", NULL },
    { "querycoord", "search_channel_prefix", "" },          /* there are no such channels */
    { "querycoord", "search_result_channel_prefix", "" },
    { "datanode", "flush_insert_buffer_size", NULL },
    { "indexnode", "simd_type", NULL },
    { "indexnode", "minio_bucket_name", NULL },
    { "datacoord", "segment_max_size", NULL },
    { "rootcoord", "min_segment_size_to_enable_index", NULL },
    { "proxy", "default_partition_name", "_default" },
    { "proxy", "default_index_name", "_default_idx" },
};

/* A number where the text is one. */
static json_t *s_value(const char *text)
{
    char *end = NULL;
    double number = strtod(text, &end);
    if (!text[0] || *end)
        return json_string(text);
    return number == (double)(json_int_t)number ? json_integer((json_int_t)number)
                                                : json_real(number);
}

static json_t *s_configuration(const Elanus__NodeStatus *status, const char *role)
{
    json_t *out = json_object();
    for (size_t i = 0; i < ARRAY_LEN(s_settings); i++) {
        if (strcmp(s_settings[i].role, role) != 0)
            continue;
        const char *text = s_settings[i].fixed;
        for (size_t k = 0; !text && status && k < status->n_settings; k++)
            if (strcmp(status->settings[k]->key, s_settings[i].key) == 0)
                text = status->settings[k]->value;
        if (text)
            json_object_set_new(out, s_settings[i].key,
                                s_settings[i].fixed ? json_string(text) : s_value(text));
    }
    return out;
}

/* --- what is stored and held ------------------------------------------------------------ */

static void s_raise(json_t *object, const char *key, uint64_t by)
{
    json_int_t before = json_integer_value(json_object_get(object, key));
    json_object_set_new(object, key, json_integer(before + (json_int_t)by));
}

static void s_id(uint64_t id, char into[24])
{
    snprintf(into, 24, "%llu", (unsigned long long)id);
}

static json_t *s_ids_of(const Elanus__NodeStatus *status)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < status->n_stocks; i++) {
        bool known = false;
        for (size_t k = 0; k < i; k++)
            known |= status->stocks[k]->collection == status->stocks[i]->collection;
        if (!known)
            json_array_append_new(ids, json_integer((json_int_t)status->stocks[i]->collection));
    }
    return ids;
}

/* collection -> its rows, or bytes; and partitions of each, where `parts` is given. */
static json_t *s_sums(const Elanus__NodeStatus *status, bool bytes, json_t *parts)
{
    json_t *sums = json_object();
    for (size_t i = 0; i < status->n_stocks; i++) {
        const Elanus__Stock *stock = status->stocks[i];
        char coll[24], part[24];
        s_id(stock->collection, coll);
        s_id(stock->partition, part);
        s_raise(sums, coll, bytes ? stock->bytes : stock->rows);
        if (!parts)
            continue;
        json_t *of = json_object_get(parts, coll);
        if (!of) {
            of = json_object();
            json_object_set_new(parts, coll, of);
        }
        s_raise(of, part, stock->bytes);
    }
    return sums;
}

/* A query node's: rows of each collection, memory of what grows. */
static void s_add_held(json_t *infos, const Elanus__NodeStatus *status, uint64_t node)
{
    json_t *quota = json_object_get(infos, "quota_metrics"), *effect = json_object();
    s_set_count(quota, "GrowingSegmentsSize", status->growing_bytes);
    s_set_count(effect, "NodeID", node);
    json_object_set_new(effect, "CollectionIDs", s_ids_of(status));
    json_object_set_new(quota, "Effect", effect);
    json_object_set_new(infos, "collection_metrics",
                        json_pack("{s:o}", "CollectionRows", s_sums(status, false, NULL)));
}

/* The leading coordinator's, as datacoord: what is in the object store. */
static void s_add_stored(json_t *infos, const Elanus__NodeStatus *status)
{
    json_t *quota = json_object(), *parts = json_object(), *colls = json_object();
    json_t *rows = s_sums(status, false, NULL), *n = NULL;
    const char *id = NULL;
    uint64_t total = 0;
    for (size_t i = 0; i < status->n_stocks; i++)
        total += status->stocks[i]->bytes;
    s_set_count(quota, "TotalBinlogSize", total);
    json_object_set_new(quota, "CollectionBinlogSize", s_sums(status, true, parts));
    json_object_set_new(quota, "PartitionsBinlogSize", parts);
    json_object_foreach(rows, id, n)
        json_object_set_new(colls, id, json_pack("{s:I}", "NumEntitiesTotal",
                                                 json_integer_value(n)));
    json_decref(rows);
    json_object_set_new(infos, "quota_metrics", quota);
    json_object_set_new(infos, "collection_metrics", json_pack("{s:o}", "Collections", colls));
}

static void s_add_quota(json_t *infos, const Elanus__Member *member, const char *role)
{
    bool works = strcmp(role, "querynode") == 0 || strcmp(role, "datanode") == 0 ||
                 strcmp(role, "proxy") == 0;
    if (!member->status)
        return;                                 /* it has not answered: nothing is known */
    if (works)
        json_object_set_new(infos, "quota_metrics",
                            json_pack("{s:O}", "Hms", json_object_get(infos, "hardware_infos")));
    if (strcmp(role, "querynode") == 0)
        s_add_held(infos, member->status, member->info->id);
    else if (strcmp(role, "datacoord") == 0)
        s_add_stored(infos, member->status);
}

static json_t *s_entry(const proxy_node_t *self, const Elanus__Member *member, const char *role)
{
    const Elanus__NodeInfo *info = member->info;
    char name[64];
    snprintf(name, sizeof name, "%s%llu", role, (unsigned long long)info->id);
    bool failed = member->error && member->error[0];

    json_t *infos = json_object();
    json_object_set_new(infos, "has_error", json_boolean(failed));
    json_object_set_new(infos, "error_reason", json_string(failed ? member->error : ""));
    json_object_set_new(infos, "name", json_string(name));
    json_object_set_new(infos, "hardware_infos", s_hardware(member));
    json_object_set_new(infos, "system_info", s_system(self, member));
    s_set_time(infos, "created_time", info->started_ms);
    s_set_time(infos, "updated_time", member->status ? member->status->at_ms : info->started_ms);
    json_object_set_new(infos, "type", json_string(role));
    json_object_set_new(infos, "id", json_integer((json_int_t)info->id));
    json_object_set_new(infos, "system_configurations", s_configuration(member->status, role));
    s_add_quota(infos, member, role);

    json_t *entry = json_object();
    json_object_set_new(entry, "identifier", json_integer((json_int_t)info->id));
    json_object_set_new(entry, "connected", json_null());
    json_object_set_new(entry, "infos", infos);
    return entry;
}

static void s_connect(json_t *list, uint64_t id, const char *type, const char *target)
{
    json_t *edge = json_object();
    json_object_set_new(edge, "connected_identifier", json_integer((json_int_t)id));
    json_object_set_new(edge, "type", json_string(type));
    json_object_set_new(edge, "target_type", json_string(target));
    json_array_append_new(list, edge);
}

/* A coordinator manages the workers of its kind. */
static json_t *s_manages(const Elanus__Cluster *cluster, const char *worker)
{
    json_t *list = json_array();
    for (size_t i = 0; i < cluster->n_members; i++)
        if (strcmp(cluster->members[i]->info->role, worker) == 0)
            s_connect(list, cluster->members[i]->info->id, "manage", worker);
    return list;
}

static const Elanus__Member *s_leader(const Elanus__Cluster *cluster)
{
    for (size_t i = 0; i < cluster->n_members; i++)
        if (cluster->members[i]->leader)
            return cluster->members[i];
    return NULL;
}

static json_t *s_forwards(const Elanus__Cluster *cluster)
{
    static const char *const s_targets[] = { "rootcoord", "querycoord", "datacoord" };
    json_t *list = json_array();
    const Elanus__Member *leader = s_leader(cluster);
    for (size_t i = 0; leader && i < ARRAY_LEN(s_targets); i++)
        s_connect(list, leader->info->id, "forward", s_targets[i]);
    return list;
}

static void s_add_role(const proxy_node_t *self, json_t *nodes, const Elanus__Cluster *cluster,
                       const char *role)
{
    for (size_t i = 0; i < cluster->n_members; i++) {
        const Elanus__Member *member = cluster->members[i];
        bool standby = strcmp(role, "coord") == 0 && member->leader;
        if (strcmp(member->info->role, role) != 0 || standby)
            continue;
        json_t *entry = s_entry(self, member, role);
        if (strcmp(role, "proxy") == 0)
            json_object_set_new(entry, "connected", s_forwards(cluster));
        json_array_append_new(nodes, entry);
    }
}

static void s_add_coord(const proxy_node_t *self, json_t *nodes, const Elanus__Cluster *cluster,
                        const char *as, const char *manages)
{
    const Elanus__Member *leader = s_leader(cluster);
    if (!leader)
        return;
    json_t *entry = s_entry(self, leader, as);
    if (manages)
        json_object_set_new(entry, "connected", s_manages(cluster, manages));
    json_array_append_new(nodes, entry);
}

static void s_system_info(const proxy_node_t *self, const Elanus__Cluster *cluster, buf_t *into)
{
    json_t *nodes = json_array();
    s_add_role(self, nodes, cluster, "querynode");
    s_add_coord(self, nodes, cluster, "querycoord", "querynode");
    s_add_role(self, nodes, cluster, "datanode");
    s_add_role(self, nodes, cluster, "indexnode");
    s_add_coord(self, nodes, cluster, "datacoord", "datanode");
    s_add_coord(self, nodes, cluster, "rootcoord", NULL);
    s_add_role(self, nodes, cluster, "coord");
    s_add_role(self, nodes, cluster, "proxy");
    json_t *root = json_object();
    json_object_set_new(root, "nodes_info", nodes);
    rest_dump(into, root);
}

static void s_gathered(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    Elanus__Cluster *cluster = NULL;
    if (ev->err != OK) {
        proxy_status(self, call, act, ev->err, ev->text);
        return;
    }
    if (PB_UNPACK(call->ctx, elanus__cluster, ev->payload, &cluster) != OK) {
        proxy_status(self, call, act, ERR_INTERNAL, call->ctx->text);
        return;
    }
    Milvus__GetMetricsResponse response = MILVUS__GET_METRICS_RESPONSE__INIT;
    buf_scoped text = {0};
    s_system_info(self, cluster, &text);
    response.status = proxy_status_new(call->ctx, buf_ok(&text) ? OK : ERR_MEMORY, NULL);
    response.response = buf_str(&text);
    response.component_name = ctx_printf(call->ctx, "proxy%llu",
                                         (unsigned long long)self->member.self->id);
    proxy_answer(self, call, act, &response);
}

void handle_get_metrics(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    const Milvus__GetMetricsRequest *request = (const void *)call->request;
    json_error_t error;
    json_t *asked = json_loads(request->request, JSON_REJECT_DUPLICATES, &error);
    const char *type = json_string_value(json_object_get(asked, "metric_type"));
    char *kind = ctx_strdup(call->ctx, type ? type : "");
    bool readable = asked != NULL;
    json_decref(asked);

    if (!readable)
        proxy_status(self, call, act, ERR_UNEXPECTED,
                     ctx_printf(call->ctx, "failed to decode the request: %s", error.text));
    else if (!type)
        proxy_status(self, call, act, ERR_UNEXPECTED, "metric_type not found in request");
    else if (strcmp(kind, "system_info") == 0)
        proxy_ask(self, call, ev, act, ELANUS__METHOD__METHOD_CLUSTER, view_of("", 0), s_gathered);
    else
        proxy_status(self, call, act, ERR_METRIC_NOT_FOUND,
                     ctx_printf(call->ctx, "metric not found[metric=%s]", kind));
}
