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

/* What each kind of node tells of its settings; the keys are Milvus's. */
static json_t *s_configuration(const char *role)
{
    static const struct { const char *role, *key; int number; const char *text; } s_rows[] = {
        { "querynode", "simd_type", 0, "auto" },
        { "querycoord", "search_channel_prefix", 0, "" },
        { "querycoord", "search_result_channel_prefix", 0, "" },
        { "datanode", "flush_insert_buffer_size", 16777216, NULL },
        { "indexnode", "simd_type", 0, "auto" },
        { "indexnode", "minio_bucket_name", 0, "" },
        { "datacoord", "segment_max_size", 1024, NULL },
        { "rootcoord", "min_segment_size_to_enable_index", 1024, NULL },
        { "proxy", "default_partition_name", 0, "_default" },
        { "proxy", "default_index_name", 0, "_default_idx" },
    };
    json_t *out = json_object();
    for (size_t i = 0; i < ARRAY_LEN(s_rows); i++) {
        if (strcmp(s_rows[i].role, role) != 0)
            continue;
        json_t *value = s_rows[i].text ? json_string(s_rows[i].text)
                                       : json_integer(s_rows[i].number);
        json_object_set_new(out, s_rows[i].key, value);
    }
    return out;
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
    json_object_set_new(infos, "system_configurations", s_configuration(role));

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
