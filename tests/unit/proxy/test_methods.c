/* methods: the table against the service descriptor and against Milvus's rules,
 * and finding rows by path.  That a missing row does not build is seen by
 * building; here is what a compiler cannot see. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "core/base/base.h"
#include "health.pb-c.h"
#include "proxy/handlers.h"
#include "proxy/methods.h"

/* Stand-ins, so that the table links without what the handlers need. */
#define STAND_IN(name) \
    void handle_##name(proxy_node_t *node, proxy_call_t *call, const event_t *event, \
                       actions_t *actions) {}
STAND_IN(check_health)
STAND_IN(connect)
STAND_IN(get_component_states)
STAND_IN(get_metrics)
STAND_IN(get_version)
STAND_IN(health)
STAND_IN(create_collection)
STAND_IN(alter_collection)
STAND_IN(alter_collection_field)
STAND_IN(describe_collection)
STAND_IN(drop_collection)
STAND_IN(get_collection_statistics)
STAND_IN(has_collection)
STAND_IN(rename_collection)
STAND_IN(show_collections)
STAND_IN(create_partition)
STAND_IN(drop_partition)
STAND_IN(get_partition_statistics)
STAND_IN(has_partition)
STAND_IN(show_partitions)
STAND_IN(load_collection)
STAND_IN(load_partitions)
STAND_IN(release_collection)
STAND_IN(release_partitions)
STAND_IN(get_load_state)
STAND_IN(get_loading_progress)
STAND_IN(create_alias)
STAND_IN(alter_alias)
STAND_IN(describe_alias)
STAND_IN(drop_alias)
STAND_IN(list_aliases)
STAND_IN(create_index)
STAND_IN(alter_index)
STAND_IN(describe_index)
STAND_IN(drop_index)
STAND_IN(get_index_build_progress)
STAND_IN(get_index_state)
STAND_IN(get_index_statistics)
STAND_IN(create_database)
STAND_IN(alter_database)
STAND_IN(describe_database)
STAND_IN(drop_database)
STAND_IN(list_databases)
STAND_IN(alloc_timestamp)
STAND_IN(unimplemented)

static const method_t *find(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "/milvus.proto.milvus.MilvusService/%s", name);
    return methods_find(view_str(path));
}

/* Each row has its method's name and types; paths are in the order that finding needs. */
static void every_rpc_has_its_row(void **state)
{
    (void)state;
    const ProtobufCServiceDescriptor *service = &milvus__milvus_service__descriptor;
    assert_int_equal(methods_count(), service->n_methods);
    for (unsigned i = 0; i < service->n_methods; i++) {
        const method_t *method = find(service->methods[i].name);
        assert_non_null(method);
        assert_string_equal(method->name, service->methods[i].name);
        assert_ptr_equal(method->request, service->methods[i].input);
        assert_ptr_equal(method->response, service->methods[i].output);
        assert_non_null(method->handler);
    }
    for (size_t i = 1; i < methods_count(); i++)
        assert_true(strcmp(methods_at(i - 1)->path, methods_at(i)->path) < 0);
}

/* The field that names the object exists and is a string, or a message that begins with one. */
static void every_object_field_is_a_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < methods_count(); i++) {
        const method_t *method = methods_at(i);
        bool is_global = method->object == COMMON__OBJECT_TYPE__Global;
        if (!method->guarded || (is_global && method->object_field == 0))
            continue;
        assert_false(is_global);
        if (method->object_field == 0)
            continue;
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(method->request, method->object_field);
        assert_non_null(field);
        if (field->type == PROTOBUF_C_TYPE_MESSAGE)
            field = protobuf_c_message_descriptor_get_field(field->descriptor, 1);
        assert_int_equal(field->type, PROTOBUF_C_TYPE_STRING);
        assert_non_null(strstr(field->name, method->object == COMMON__OBJECT_TYPE__User ? "name"
                                                                                   : "ollection"));
    }
}

#define PRIVILEGE(p) COMMON__OBJECT_PRIVILEGE__Privilege##p
#define OBJECT(o) COMMON__OBJECT_TYPE__##o

/* What Milvus 2.4 asks for, written down independently of the table. */
static void known_rules_hold(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        Common__ObjectType object;
        Common__ObjectPrivilege privilege;
        uint32_t field;
    } want[] = {
        { "CreateCollection", OBJECT(Global), PRIVILEGE(CreateCollection), 0 },
        { "AlterCollectionField", OBJECT(Global), PRIVILEGE(CreateCollection), 0 },
        { "DescribeCollection", OBJECT(Global), PRIVILEGE(DescribeCollection), 0 },
        { "LoadPartitions", OBJECT(Collection), PRIVILEGE(Load), 3 },
        { "GetLoadingProgress", OBJECT(Collection), PRIVILEGE(GetLoadState), 2 },
        { "Insert", OBJECT(Collection), PRIVILEGE(Insert), 3 },
        { "HybridSearch", OBJECT(Collection), PRIVILEGE(Search), 3 },
        { "GetIndexState", OBJECT(Collection), PRIVILEGE(IndexDetail), 3 },
        { "AlterAlias", OBJECT(Global), PRIVILEGE(CreateAlias), 0 },
        { "Flush", OBJECT(Collection), PRIVILEGE(Flush), 3 },
        { "GetFlushState", OBJECT(Collection), PRIVILEGE(GetFlushState), 4 },
        { "LoadBalance", OBJECT(Collection), PRIVILEGE(LoadBalance), 5 },
        { "Import", OBJECT(Collection), PRIVILEGE(Import), 1 },
        { "UpdateCredential", OBJECT(User), PRIVILEGE(UpdateUser), 2 },
        { "SelectUser", OBJECT(User), PRIVILEGE(SelectUser), 2 },
        { "OperateUserRole", OBJECT(Global), PRIVILEGE(ManageOwnership), 0 },
        { "DescribeDatabase", OBJECT(Global), PRIVILEGE(DescribeDatabase), 0 },
        { "OperatePrivilegeGroup", OBJECT(Global), PRIVILEGE(OperatePrivilegeGroup), 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        const method_t *method = find(want[i].name);
        assert_true(method->guarded && !method->anonymous);
        assert_int_equal(method->object, want[i].object);
        assert_int_equal(method->privilege, want[i].privilege);
        assert_int_equal(method->object_field, want[i].field);
    }
    static const char *const open[] = {
        "HasCollection", "ShowCollections", "GetPartitionStatistics", "GetFlushAllState",
        "GetPersistentSegmentInfo", "GetQuerySegmentInfo", "GetReplicas", "GetMetrics",
        "GetComponentStates", "GetCompactionState", "GetCompactionStateWithPlans",
        "GetImportState", "ListImportTasks", "GetVersion", "CheckHealth", "Connect",
        "AllocTimestamp", "ListDatabases", "Dummy",
    };
    for (size_t i = 0; i < ARRAY_LEN(open); i++)
        assert_false(find(open[i])->guarded || find(open[i])->anonymous);
}

static void paths_are_found_whole_or_not_at_all(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "", "/", "Insert", "/milvus.proto.milvus.MilvusService/",
        "/milvus.proto.milvus.MilvusService/Inser", "/milvus.proto.milvus.MilvusService/Inserts",
        "/milvus.proto.milvus.MilvusService/insert", "/milvus.proto.milvus.ProxyService/Insert",
        "/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/Check2",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_null(methods_find(view_str(wrong[i])));
    assert_null(methods_find(view_of(NULL, 0)));
    assert_ptr_equal(find("Insert")->request, &milvus__insert_request__descriptor);
    assert_ptr_equal(find("Connect")->handler, handle_connect);

    const method_t *health = methods_find(view_str("/grpc.health.v1.Health/Check"));
    assert_ptr_equal(health->request, &health__health_check_request__descriptor);
    assert_true(health->anonymous && !health->guarded);
}

static void requests_name_their_objects(void **state)
{
    (void)state;
    Milvus__InsertRequest insert = MILVUS__INSERT_REQUEST__INIT;
    insert.collection_name = "books";
    assert_string_equal(methods_object(find("Insert"), &insert.pb_base, 0), "books");
    assert_null(methods_object(find("Insert"), &insert.pb_base, 1));

    Milvus__CreateCollectionRequest create = MILVUS__CREATE_COLLECTION_REQUEST__INIT;
    assert_string_equal(methods_object(find("CreateCollection"), &create.pb_base, 0), "*");
    assert_null(methods_object(find("CreateCollection"), &create.pb_base, 1));

    const char *names[] = { "a", "b" };
    Milvus__FlushRequest flush = MILVUS__FLUSH_REQUEST__INIT;
    assert_null(methods_object(find("Flush"), &flush.pb_base, 0));
    flush.collection_names = names, flush.n_collection_names = 2;
    assert_string_equal(methods_object(find("Flush"), &flush.pb_base, 1), "b");
    assert_null(methods_object(find("Flush"), &flush.pb_base, 2));

    Milvus__UserEntity user = MILVUS__USER_ENTITY__INIT;
    Milvus__SelectUserRequest select = MILVUS__SELECT_USER_REQUEST__INIT;
    assert_string_equal(methods_object(find("SelectUser"), &select.pb_base, 0), "*");
    select.user = &user;
    assert_string_equal(methods_object(find("SelectUser"), &select.pb_base, 0), "*");
    user.name = "ada";
    assert_string_equal(methods_object(find("SelectUser"), &select.pb_base, 0), "ada");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rpc_has_its_row),
        cmocka_unit_test(every_object_field_is_a_name),
        cmocka_unit_test(known_rules_hold),
        cmocka_unit_test(paths_are_found_whole_or_not_at_all),
        cmocka_unit_test(requests_name_their_objects),
    };
    return cmocka_run_group_tests_name("methods", tests, NULL, NULL);
}
