/* methods - the table
 *
 * ROW(rpc, object type, privilege, field, handler): the user needs the privilege
 * on the object that this field of the request names; field 0 stands for any
 * object, "*".  OPEN(rpc, handler): any user may call it, and what it shows is
 * filtered by what the user may see.  Milvus keeps the same facts as an option
 * on its request messages; these are 2.4's where 2.4 has the method (later ones
 * guard GetPartitionStatistics), else 3.0's.
 *
 * scripts/methods.awk makes METHODS, the list of RPCs, from proto/milvus.proto.  A row
 * is a constant of its own, so one too few is an unknown name and one too many
 * an unused constant: both fail to build.
 */
#include "proxy/methods.h"

#include "health.pb-c.h"
#include "methods.inc"
#include "proxy/handlers.h"

#define SERVICE "/milvus.proto.milvus.MilvusService/"
#define HEALTH_PATH "/grpc.health.v1.Health/Check"

#define METHOD(rpc, does, ...) \
    static const method_t ROW_##rpc = { \
        .name = #rpc, .path = SERVICE #rpc, .request = &METHOD_IN_##rpc, \
        .response = &METHOD_OUT_##rpc, .handler = handle_##does, __VA_ARGS__ }
#define ROW(rpc, type, right, field, does) \
    METHOD(rpc, does, .guarded = true, .privilege = COMMON__OBJECT_PRIVILEGE__Privilege##right, \
           .object = COMMON__OBJECT_TYPE__##type, .object_field = field)
#define OPEN(rpc, does) METHOD(rpc, does, .guarded = false)

/* Collections */
ROW(CreateCollection,          Global,     CreateCollection,          0, create_collection);
ROW(AddCollectionField,        Collection, AddCollectionField,        3, unimplemented);
ROW(AddCollectionStructField,  Collection, AddCollectionField,        3, unimplemented);
ROW(AlterCollection,           Global,     CreateCollection,          0, alter_collection);
ROW(AlterCollectionField,      Global,     CreateCollection,          0, alter_collection_field);
ROW(AlterCollectionSchema,     Collection, AlterCollectionSchema,     3, unimplemented);
ROW(AddCollectionFunction,     Global,     CreateCollection,          0, unimplemented);
ROW(AlterCollectionFunction,   Global,     CreateCollection,          0, unimplemented);
ROW(DropCollectionFunction,    Global,     CreateCollection,          0, unimplemented);
ROW(BatchDescribeCollection,   Global,     DescribeCollection,        0, unimplemented);
ROW(DescribeCollection,        Global,     DescribeCollection,        0, describe_collection);
ROW(DropCollection,            Global,     DropCollection,            0, drop_collection);
ROW(GetCollectionStatistics,   Collection, GetStatistics,             3, get_collection_statistics);
OPEN(HasCollection,                                                has_collection);
ROW(RenameCollection,          Global,     RenameCollection,          0, rename_collection);
OPEN(ShowCollections,                                              show_collections);
ROW(TruncateCollection,        Global,     DropCollection,            0, unimplemented);

/* Partitions and namespaces */
ROW(CreatePartition,           Collection, CreatePartition,           3, create_partition);
ROW(DropPartition,             Collection, DropPartition,             3, drop_partition);
OPEN(GetPartitionStatistics,                                       get_partition_statistics);
ROW(HasPartition,              Collection, HasPartition,              3, has_partition);
ROW(ShowPartitions,            Collection, ShowPartitions,            3, show_partitions);
ROW(CreateNamespace,           Collection, CreatePartition,           3, unimplemented);
ROW(DescribeNamespace,         Collection, ShowPartitions,            3, unimplemented);
ROW(DropNamespace,             Collection, DropPartition,             3, unimplemented);
ROW(GetNamespaceStats,         Collection, ShowPartitions,            3, unimplemented);
ROW(HasNamespace,              Collection, HasPartition,              3, unimplemented);
ROW(ListNamespaces,            Collection, ShowPartitions,            3, unimplemented);

/* Loading */
ROW(LoadCollection,            Collection, Load,                      3, load_collection);
ROW(LoadPartitions,            Collection, Load,                      3, load_partitions);
ROW(ReleaseCollection,         Collection, Release,                   3, release_collection);
ROW(ReleasePartitions,         Collection, Release,                   3, release_partitions);
ROW(GetLoadState,              Collection, GetLoadState,              2, get_load_state);
ROW(GetLoadingProgress,        Collection, GetLoadState,              2, get_loading_progress);
ROW(Prewarm,                   Collection, Load,                      3, unimplemented);
OPEN(DescribePrewarmTask,                                          unimplemented);

/* Aliases */
ROW(CreateAlias,               Global,     CreateAlias,               0, create_alias);
ROW(AlterAlias,                Global,     CreateAlias,               0, alter_alias);
ROW(DescribeAlias,             Global,     DescribeAlias,             0, describe_alias);
ROW(DropAlias,                 Global,     DropAlias,                 0, drop_alias);
ROW(ListAliases,               Global,     ListAliases,               0, list_aliases);

/* Indexes */
ROW(CreateIndex,               Collection, CreateIndex,               3, create_index);
ROW(AlterIndex,                Collection, CreateIndex,               3, alter_index);
ROW(DescribeIndex,             Collection, IndexDetail,               3, describe_index);
ROW(DropIndex,                 Collection, DropIndex,                 3, drop_index);
ROW(GetIndexBuildProgress,     Collection, IndexDetail,               3, get_index_build_progress);
ROW(GetIndexState,             Collection, IndexDetail,               3, get_index_state);
ROW(GetIndexStatistics,        Collection, IndexDetail,               3, get_index_statistics);

/* Data */
ROW(Insert,                    Collection, Insert,                    3, insert);
ROW(Upsert,                    Collection, Upsert,                    3, upsert);
ROW(Delete,                    Collection, Delete,                    3, delete);
ROW(Search,                    Collection, Search,                    3, search);
ROW(HybridSearch,              Collection, Search,                    3, hybrid_search);
ROW(Query,                     Collection, Query,                     3, query);
ROW(Import,                    Collection, Import,                    1, unimplemented);
OPEN(GetImportState,                                               unimplemented);
OPEN(ListImportTasks,                                              unimplemented);
ROW(BatchUpdateManifest,       Collection, Insert,                    3, unimplemented);
OPEN(RunAnalyzer,                                                  unimplemented);
OPEN(ComputePhraseMatchSlop,                                       unimplemented);
OPEN(CalcDistance,                                                 unimplemented);

/* Flush and compaction */
ROW(Flush,                     Collection, Flush,                     3, flush);
ROW(FlushAll,                  Global,     FlushAll,                  0, flush_all);
ROW(GetFlushState,             Collection, GetFlushState,             4, get_flush_state);
OPEN(GetFlushAllState,                                             get_flush_all_state);
ROW(ManualCompaction,          Collection, Compaction,                4, manual_compaction);
OPEN(GetCompactionState,                                           get_compaction_state);
OPEN(GetCompactionStateWithPlans,                                  get_compaction_plans);

/* Databases */
ROW(CreateDatabase,            Global,     CreateDatabase,            0, create_database);
ROW(AlterDatabase,             Global,     AlterDatabase,             0, alter_database);
ROW(DescribeDatabase,          Global,     DescribeDatabase,          0, describe_database);
ROW(DropDatabase,              Global,     DropDatabase,              0, drop_database);
OPEN(ListDatabases,                                                list_databases);

/* Users, roles, privileges */
ROW(CreateCredential,          Global,     CreateOwnership,           0, unimplemented);
ROW(UpdateCredential,          User,       UpdateUser,                2, unimplemented);
ROW(DeleteCredential,          Global,     DropOwnership,             0, unimplemented);
ROW(ListCredUsers,             Global,     SelectOwnership,           0, unimplemented);
ROW(CreateRole,                Global,     CreateOwnership,           0, unimplemented);
ROW(AlterRole,                 Global,     CreateOwnership,           0, unimplemented);
ROW(DropRole,                  Global,     DropOwnership,             0, unimplemented);
ROW(OperateUserRole,           Global,     ManageOwnership,           0, unimplemented);
ROW(SelectRole,                Global,     SelectOwnership,           0, unimplemented);
ROW(SelectUser,                User,       SelectUser,                2, unimplemented);
ROW(OperatePrivilege,          Global,     ManageOwnership,           0, unimplemented);
ROW(OperatePrivilegeV2,        Global,     ManageOwnership,           0, unimplemented);
ROW(SelectGrant,               Global,     SelectOwnership,           0, unimplemented);
ROW(BackupRBAC,                Global,     BackupRBAC,                0, unimplemented);
ROW(RestoreRBAC,               Global,     RestoreRBAC,               0, unimplemented);
ROW(CreatePrivilegeGroup,      Global,     CreatePrivilegeGroup,      0, unimplemented);
ROW(DropPrivilegeGroup,        Global,     DropPrivilegeGroup,        0, unimplemented);
ROW(ListPrivilegeGroups,       Global,     ListPrivilegeGroups,       0, unimplemented);
ROW(OperatePrivilegeGroup,     Global,     OperatePrivilegeGroup,     0, unimplemented);
ROW(AddUserTags,               User,       UpdateUser,                2, unimplemented);
ROW(DeleteUserTags,            User,       UpdateUser,                2, unimplemented);
ROW(GetUserTags,               User,       SelectUser,                2, unimplemented);
ROW(ListUsersWithTag,          User,       SelectUser,                0, unimplemented);
ROW(CreateRowPolicy,           Collection, CreateOwnership,           3, unimplemented);
ROW(DropRowPolicy,             Collection, DropOwnership,             3, unimplemented);
ROW(ListRowPolicies,           Collection, SelectOwnership,           3, unimplemented);

/* Resource groups, replicas, segments */
ROW(CreateResourceGroup,       Global,     CreateResourceGroup,       0, create_resource_group);
ROW(UpdateResourceGroups,      Global,     UpdateResourceGroups,      0, update_resource_groups);
ROW(DescribeResourceGroup,     Global,     DescribeResourceGroup,     0, describe_resource_group);
ROW(DropResourceGroup,         Global,     DropResourceGroup,         0, drop_resource_group);
ROW(ListResourceGroups,        Global,     ListResourceGroups,        0, list_resource_groups);
ROW(TransferNode,              Global,     TransferNode,              0, transfer_node);
ROW(TransferReplica,           Global,     TransferReplica,           0, transfer_replica);
ROW(LoadBalance,               Collection, LoadBalance,               5, load_balance);
OPEN(GetReplicas,                                                  get_replicas);
OPEN(GetPersistentSegmentInfo,                                     get_persistent_segment_info);
OPEN(GetQuerySegmentInfo,                                          get_query_segment_info);
OPEN(ListIndexedSegment,                                           unimplemented);
OPEN(DescribeSegmentIndexData,                                     unimplemented);

/* Snapshots and external collections */
ROW(CreateSnapshot,            Collection, CreateSnapshot,            5, unimplemented);
ROW(DropSnapshot,              Collection, DropSnapshot,              4, unimplemented);
ROW(ListSnapshots,             Collection, ListSnapshots,             3, unimplemented);
ROW(DescribeSnapshot,          Collection, DescribeSnapshot,          4, unimplemented);
ROW(RestoreSnapshot,           Collection, RestoreSnapshot,           4, unimplemented);
ROW(RestoreExternalSnapshot,   Global,     RestoreExternalSnapshot,   0, unimplemented);
OPEN(GetRestoreSnapshotState,                                      unimplemented);
ROW(ListRestoreSnapshotJobs,   Collection, RestoreSnapshot,           3, unimplemented);
ROW(ExportSnapshot,            Global,     ExportSnapshot,            0, unimplemented);
ROW(GetExportSnapshotState,    Global,     ExportSnapshot,            0, unimplemented);
ROW(PinSnapshotData,           Global,     PinSnapshotData,           0, unimplemented);
ROW(UnpinSnapshotData,         Global,     UnpinSnapshotData,         0, unimplemented);
ROW(RefreshExternalCollection, Collection, RefreshExternalCollection, 3, unimplemented);
OPEN(GetRefreshExternalCollectionProgress,                         unimplemented);
OPEN(ListRefreshExternalCollectionJobs,                            unimplemented);

/* The server */
OPEN(Connect,                                                      connect);
OPEN(GetVersion,                                                   get_version);
OPEN(CheckHealth,                                                  check_health);
OPEN(GetComponentStates,                                           get_component_states);
OPEN(GetMetrics,                                                   get_metrics);
OPEN(AllocTimestamp,                                               alloc_timestamp);
OPEN(Dummy,                                                        unimplemented);
OPEN(RegisterLink,                                                 unimplemented);
ROW(AddFileResource,           Global,     AddFileResource,           0, unimplemented);
ROW(RemoveFileResource,        Global,     RemoveFileResource,        0, unimplemented);
ROW(ListFileResources,         Global,     ListFileResources,         0, unimplemented);

/* Replication */
OPEN(ReplicateMessage,                                             unimplemented);
ROW(UpdateReplicateConfiguration, Global,     UpdateReplicateConfiguration, 0, unimplemented);
ROW(GetReplicateConfiguration, Global,     GetReplicateConfiguration, 0, unimplemented);
OPEN(GetReplicateInfo,                                             unimplemented);
OPEN(CreateReplicateStream,                                        unimplemented);
OPEN(DumpMessages,                                                 unimplemented);

#define POINTER(rpc) &ROW_##rpc,
static const method_t *const methods[] = { METHODS(POINTER) };

/* For load balancers and probes, which carry no credentials. */
static const method_t health_check = {
    .name = "Check", .path = HEALTH_PATH, .request = &health__health_check_request__descriptor,
    .response = &health__health_check_response__descriptor, .handler = handle_health,
    .anonymous = true,
};

const method_t *methods_find(view_t path)
{
    size_t low = 0, high = ARRAY_LEN(methods);
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = view_cmp(path, view_str(methods[mid]->path));
        if (order == 0)
            return methods[mid];
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return view_eq(path, view_str(HEALTH_PATH)) ? &health_check : NULL;
}

/* A string field, or the name inside a message like UserEntity, whose first field it is. */
static const char *s_name_of(const ProtobufCFieldDescriptor *field, const void *at)
{
    while (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const char *inner = *(const char *const *)at;
        if (!inner)
            return "*";
        field = protobuf_c_message_descriptor_get_field(field->descriptor, 1);
        check(field != NULL);
        at = inner + field->offset;
    }
    check(field->type == PROTOBUF_C_TYPE_STRING);
    return *(const char *const *)at;
}

const char *methods_object(const method_t *method, const ProtobufCMessage *request, size_t i)
{
    check(method->guarded && request->descriptor == method->request);
    if (method->object_field == 0)
        return i == 0 ? "*" : NULL;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(method->request, method->object_field);
    check(field != NULL);
    const char *at = (const char *)request + field->offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t n = *(const size_t *)((const char *)request + field->quantifier_offset);
        return i < n ? (*(const char *const *const *)at)[i] : NULL;
    }
    if (i > 0)
        return NULL;
    const char *name = s_name_of(field, at);
    return field->type == PROTOBUF_C_TYPE_MESSAGE && name[0] == '\0' ? "*" : name;
}

const method_t *methods_at(size_t i)
{
    check(i < ARRAY_LEN(methods));
    return methods[i];
}

size_t methods_count(void)
{
    return ARRAY_LEN(methods);
}
