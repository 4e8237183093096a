/* coord_count - see coord_count.h */
#include "coord/coord_count.h"

#include <stdio.h>

#include "coord/coord_builds.h"
#include "coord/coord_int.h"
#include "core/wire/pb.h"

/* Gauges: how they are called here, name, labels, help. */
#define GAUGES(X) \
    X(PROXIES, "milvus_rootcoord_proxy_num", NULL, "proxies") \
    X(DATABASES, "milvus_rootcoord_database_num", NULL, "databases") \
    X(DB_COLLECTIONS, "milvus_rootcoord_collection_num", "db_name", "collections") \
    X(PARTITIONS, "milvus_rootcoord_partition_num", NULL, "partitions") \
    X(CHANNELS, "milvus_rootcoord_dml_channel_num", NULL, "write channels in use") \
    X(INDEXED, "milvus_rootcoord_indexed_entity_num", \
      "collection_name,index_name,is_vector_index", "rows of segments whose index is built") \
    X(DATANODES, "milvus_datacoord_datanode_num", NULL, "data nodes") \
    X(INDEXNODES, "milvus_datacoord_index_node_num", NULL, "index nodes") \
    X(COLLECTIONS, "milvus_datacoord_collection_num", NULL, "collections") \
    X(SEGMENTS, "milvus_datacoord_segment_num", "segment_state,segment_level", \
      "segments that metadata names; level L1 flushed, L2 made by a compaction") \
    X(ROWS, "milvus_datacoord_stored_rows_num", \
      "db_name,collection_id,collection_name,segment_state", "rows in the object store") \
    X(BINLOGS, "milvus_datacoord_stored_binlog_size", "db_name,collection_id,segment_state", \
      "bytes of segments' objects") \
    X(INDEX_FILES, "milvus_datacoord_stored_index_files_size", \
      "db_name,collection_name,collection_id", "bytes of indexes' objects") \
    X(INDEX_TASKS, "milvus_datacoord_index_task_count", "collection_id,index_task_status", \
      "index builds: unissued, in-progress, finished, failed") \
    X(QUERYNODES, "milvus_querycoord_querynode_num", NULL, "query nodes") \
    X(LOADED, "milvus_querycoord_collection_num", NULL, "collections that are loaded") \
    X(LOADED_PARTITIONS, "milvus_querycoord_partition_num", NULL, "partitions that are loaded") \
    X(GROUP_NODES, "milvus_querycoord_resource_group_info", "rg,node_id", \
      "1 for each query node of a resource group") \
    X(GROUP_REPLICAS, "milvus_querycoord_resource_group_replica_total", "rg", \
      "replicas in a resource group") \
    X(UNOWNED, "elanus_coord_channels_unowned", NULL, \
      "channels in use without a living owner that takes writes") \
    X(DEAD_ROWS, "elanus_coord_deleted_rows", NULL, \
      "rows of flushed segments known to be deleted")

typedef enum {
#define X(id, name, labels, help) id,
    GAUGES(X)
#undef X
    GAUGES_END
} coord_gauge_t;

static_assert((int)GAUGES_END <= (int)COORD_GAUGES, "room for all gauges");

static void s_init_requests(coord_count_t *self)
{
    metrics_t *to = self->to;
    self->ddl = metrics_counter(to, "milvus_rootcoord_ddl_req_count",
        "requests that change the catalog, and how they ended; status total is all of them",
        "function_name,status");
    self->ddl_ms = metrics_histogram(to, "milvus_rootcoord_ddl_req_latency",
        "from arrival to answer, in ms", "function_name", metrics_latency_ms, METRICS_LATENCY_N);
    self->loads = metrics_counter(to, "milvus_querycoord_load_req_count",
        "requests to load, and how they ended", "status");
    self->releases = metrics_counter(to, "milvus_querycoord_release_req_count",
        "requests to release, and how they ended", "status");
    self->load_ms = metrics_cell(metrics_histogram(to, "milvus_querycoord_load_latency",
        "writing down that something is to be loaded, in ms", NULL, metrics_latency_ms,
        METRICS_LATENCY_N));
    self->release_ms = metrics_cell(metrics_histogram(to, "milvus_querycoord_release_latency",
        "writing down that something is to be released, in ms", NULL, metrics_latency_ms,
        METRICS_LATENCY_N));
    self->ids = metrics_cell(metrics_counter(to, "milvus_rootcoord_id_alloc_count",
        "ids given to other nodes", NULL));
}

void coord_count_init(coord_count_t *self, const node_self_t *who)
{
    *self = (coord_count_t){ .to = who->metrics };
    if (!self->to)
        return;
    s_init_requests(self);
#define X(id, name, labels, help) self->gauges[id] = metrics_gauge(self->to, name, help, labels);
    GAUGES(X)
#undef X
}

/* --- requests ------------------------------------------------------------------------------- */

/* "METHOD_CREATE_COLLECTION" -> "CreateCollection", as Milvus calls it. */
static void s_function(uint32_t method, char *into, size_t room)
{
    static const char s_method[] = "METHOD_";
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&elanus__method__descriptor, (int)method);
    check(value && strncmp(value->name, s_method, sizeof s_method - 1) == 0);
    size_t len = 0;
    bool first = true;
    for (const char *at = value->name + sizeof s_method - 1; *at && len + 1 < room; at++) {
        if (*at != '_')
            into[len++] = first || *at < 'A' || *at > 'Z' ? *at : (char)(*at - 'A' + 'a');
        first = *at == '_';
    }
    into[len] = '\0';
}

static void s_count_status(metrics_family_t *of, err_t err)
{
    metrics_add(metrics_cell(of, "total"), 1);
    metrics_add(metrics_cell(of, err == OK ? "success" : "fail"), 1);
}

void coord_count_ddl(const coord_count_t *self, const ddl_t *ddl, err_t err)
{
    if (!self->to || ddl->method == ELANUS__METHOD__METHOD_NONE ||
        ddl->method == ELANUS__METHOD__METHOD_CATALOG)
        return;
    if (ddl->method == ELANUS__METHOD__METHOD_ALLOC_IDS) {
        metrics_add(self->ids, err == OK ? ddl->n_ids : 0);
        return;
    }
    char function[48];
    s_function(ddl->method, function, sizeof function);
    (void)metrics_took_ms(metrics_cell(self->ddl_ms, function), ddl->began_us);
    metrics_add(metrics_cell(self->ddl, function, "total"), 1);
    metrics_add(metrics_cell(self->ddl, function, err == OK ? "success" : "fail"), 1);
    if (ddl->method == ELANUS__METHOD__METHOD_LOAD) {
        s_count_status(self->loads, err);
        (void)metrics_took_ms(self->load_ms, ddl->began_us);
    } else if (ddl->method == ELANUS__METHOD__METHOD_RELEASE) {
        s_count_status(self->releases, err);
        (void)metrics_took_ms(self->release_ms, ddl->began_us);
    }
}

/* --- what there is -------------------------------------------------------------------------- */

#define SET(gauge, value, ...) \
    metrics_set(metrics_cell_at(self->gauges[gauge], (const char *const[]){ __VA_ARGS__ NULL }, \
                                sizeof((const char *const[]){ __VA_ARGS__ NULL }) / \
                                sizeof(char *) - 1), (double)(value))

static const char *s_text(ctx_t *ctx, uint64_t id)
{
    return ctx_printf(ctx, "%llu", (unsigned long long)id);
}

static const char *s_db_name(const coord_node_t *node, const Elanus__Collection *coll)
{
    const Elanus__Database *db = coll ? catalog_database_by_id(node->catalog, coll->db_id) : NULL;
    return db ? db->name : "";
}

static void s_show_nodes(const coord_node_t *node, ctx_t *ctx)
{
    static const struct { coord_gauge_t gauge; const char *role; } s_roles[] = {
        { PROXIES, "proxy" }, { DATANODES, "datanode" }, { INDEXNODES, "indexnode" },
        { QUERYNODES, "querynode" },
    };
    const coord_count_t *self = &node->count;
    peer_t **peers = NULL;
    for (size_t i = 0; i < ARRAY_LEN(s_roles); i++) {
        size_t n = coord_peers_of(node, ctx, s_roles[i].role, &peers);
        SET(s_roles[i].gauge, n);
    }
}

static void s_show_catalog(const coord_node_t *node, ctx_t *ctx)
{
    const coord_count_t *self = &node->count;
    const void **dbs = NULL, **colls = NULL;
    size_t n_dbs = catalog_list(node->catalog, ctx, CATALOG_DATABASE, &dbs), partitions = 0;
    size_t n = catalog_list(node->catalog, ctx, CATALOG_COLLECTION, &colls);
    for (size_t d = 0; d < n_dbs; d++) {
        const Elanus__Database *db = dbs[d];
        size_t in_db = 0;
        for (size_t i = 0; i < n; i++)
            in_db += ((const Elanus__Collection *)colls[i])->db_id == db->id;
        SET(DB_COLLECTIONS, in_db, db->name,);
    }
    for (size_t i = 0; i < n; i++)
        partitions += ((const Elanus__Collection *)colls[i])->n_partitions;
    SET(DATABASES, n_dbs);
    SET(COLLECTIONS, n);
    SET(PARTITIONS, partitions);
}

static void s_show_loads(const coord_node_t *node, ctx_t *ctx)
{
    const coord_count_t *self = &node->count;
    const void **all = NULL;
    size_t n = catalog_list(node->catalog, ctx, CATALOG_LOAD, &all), partitions = 0;
    for (size_t i = 0; i < n; i++) {
        const Elanus__Load *load = all[i];
        const Elanus__Collection *coll =
            catalog_collection_by_id(node->catalog, load->collection_id);
        partitions += load->whole && coll ? coll->n_partitions : load->n_partitions;
    }
    SET(LOADED, n);
    SET(LOADED_PARTITIONS, partitions);
}

/* Sums of one collection's flushed segments. */
typedef struct stock { uint64_t rows, bytes, index_bytes; } stock_t;

static void s_show_stock(const coord_node_t *node, ctx_t *ctx, uint64_t id, const stock_t *stock)
{
    const coord_count_t *self = &node->count;
    const Elanus__Collection *coll = catalog_collection_by_id(node->catalog, id);
    const char *db = s_db_name(node, coll), *text = s_text(ctx, id);
    if (!coll)
        return;                                 /* dropped, and on its way out of metadata */
    SET(ROWS, stock->rows, db, text, coll->name, "Flushed",);
    SET(BINLOGS, stock->bytes, db, text, "Flushed",);
    SET(INDEX_FILES, stock->index_bytes, db, coll->name, text,);
}

static void s_count_segments(const coord_node_t *node, ctx_t *ctx, map_t *stocks)
{
    const coord_count_t *self = &node->count;
    size_t counts[2][3] = {{0}};
    uint64_t deleted = 0;
    const Elanus__Segment **all = NULL;
    size_t n = segments_of(node->segments, ctx, 0, &all);
    for (size_t i = 0; i < n; i++) {
        bool flushed = all[i]->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED;
        counts[flushed][all[i]->level < 3 ? all[i]->level : 0]++;
        stock_t *stock = flushed ? map_get_u64(stocks, all[i]->collection) : NULL;
        if (!stock)
            continue;
        stock->rows += all[i]->rows;
        stock->bytes += all[i]->bytes;
        deleted += all[i]->deleted;
    }
    for (size_t level = 1; level < 3; level++) {
        SET(SEGMENTS, counts[true][level], "Flushed", level == 1 ? "L1" : "L2",);
        SET(SEGMENTS, counts[false][level], "Dropped", level == 1 ? "L1" : "L2",);
    }
    SET(DEAD_ROWS, deleted);
}

static bool s_is_vector(int64_t field, const schema_t *schema)
{
    for (size_t i = 0; i < schema_len(schema); i++)
        if (schema_at(schema, i)->id == field)
            return type_is_vector(schema_at(schema, i)->type);
    return false;
}

/* Builds of one collection, by state; rows and bytes of those that are done. */
static void s_show_builds(const coord_node_t *node, ctx_t *ctx, const Elanus__Collection *coll,
                          stock_t *stock)
{
    static const char *const s_states[] = { "unissued", "in-progress", "finished", "failed" };
    const coord_count_t *self = &node->count;
    const Elanus__Build **all = NULL;
    const Elanus__Index **indexes = NULL;
    size_t n = builds_of(node->building->builds, ctx, coll->id, 0, &all);
    size_t n_indexes = catalog_indexes_of(node->catalog, ctx, coll->id, &indexes);
    size_t counts[ARRAY_LEN(s_states)] = {0};
    uint64_t *rows = ctx_new(ctx, (n_indexes + 1) * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        size_t at = all[i]->state > ELANUS__BUILD_STATE__BUILD_WAITING
                  ? (size_t)(all[i]->state - ELANUS__BUILD_STATE__BUILD_WAITING) : 0;
        counts[at < ARRAY_LEN(s_states) ? at : 0]++;
        bool done = all[i]->state == ELANUS__BUILD_STATE__BUILD_DONE;
        stock->index_bytes += done ? all[i]->bytes : 0;
        for (size_t k = 0; done && k < n_indexes; k++)
            rows[k] += indexes[k]->id == all[i]->index ? all[i]->rows : 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(s_states); i++)
        SET(INDEX_TASKS, counts[i], s_text(ctx, coll->id), s_states[i],);
    schema_t *schema = catalog_schema(node->catalog, coll->id);
    for (size_t k = 0; k < n_indexes; k++)
        SET(INDEXED, rows[k], coll->name, indexes[k]->name,
            s_is_vector(indexes[k]->field_id, schema) ? "true" : "false",);
}

static void s_show_segments(const coord_node_t *node, ctx_t *ctx)
{
    map_t *stocks = map_new();
    const void **colls = NULL;
    size_t n = catalog_list(node->catalog, ctx, CATALOG_COLLECTION, &colls);
    stock_t *all = ctx_new(ctx, (n + 1) * sizeof *all);
    for (size_t i = 0; i < n; i++)
        map_put_u64(stocks, ((const Elanus__Collection *)colls[i])->id, &all[i]);
    s_count_segments(node, ctx, stocks);
    for (size_t i = 0; i < n; i++) {
        s_show_builds(node, ctx, colls[i], &all[i]);
        s_show_stock(node, ctx, ((const Elanus__Collection *)colls[i])->id, &all[i]);
    }
    map_destroy(&stocks);
}

static void s_show_groups(const coord_node_t *node, ctx_t *ctx)
{
    const coord_count_t *self = &node->count;
    const Elanus__ResourceGroup **groups = NULL;
    const Elanus__Replica **replicas = NULL;
    size_t n = directory_groups(node->directory, ctx, &groups);
    size_t n_replicas = directory_replicas(node->directory, ctx, 0, &replicas);
    for (size_t i = 0; i < n; i++) {
        size_t in_group = 0;
        for (size_t k = 0; k < groups[i]->n_nodes; k++)
            SET(GROUP_NODES, 1, groups[i]->name, s_text(ctx, groups[i]->nodes[k]),);
        for (size_t k = 0; k < n_replicas; k++)
            in_group += strcmp(replicas[k]->resource_group, groups[i]->name) == 0;
        SET(GROUP_REPLICAS, in_group, groups[i]->name,);
    }
}

static void s_show_channels(const coord_node_t *node, ctx_t *ctx)
{
    const coord_count_t *self = &node->count;
    size_t used = 0, unowned = coord_channels_unowned(node, ctx, &used);
    SET(CHANNELS, used);
    SET(UNOWNED, unowned);
}

void coord_count_measure(void *of, int64_t wall_ms)
{
    const coord_node_t *node = of;
    (void)wall_ms;
    ctx_t ctx;
    ctx_init(&ctx);
    for (size_t i = 0; i < GAUGES_END; i++)
        metrics_mark(node->count.gauges[i]);
    if (node->ready) {
        s_show_nodes(node, &ctx);
        s_show_catalog(node, &ctx);
        s_show_loads(node, &ctx);
        s_show_segments(node, &ctx);
        s_show_groups(node, &ctx);
        s_show_channels(node, &ctx);
    }
    for (size_t i = 0; i < GAUGES_END; i++)
        metrics_sweep(node->count.gauges[i]);
    ctx_fini(&ctx);
}

void coord_count_tell(const void *of, ctx_t *ctx, Elanus__NodeStatus *into)
{
    const coord_node_t *node = of;
    const Elanus__Segment **all = NULL;
    size_t n = node->ready ? segments_of(node->segments, ctx, 0, &all) : 0;
    for (size_t i = 0; i < n; i++)
        if (all[i]->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED)
            member_add_stock(ctx, into, n, all[i]->collection, all[i]->partition, all[i]->rows,
                             all[i]->bytes);
}
