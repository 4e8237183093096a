/* handlers - what the proxy does for each RPC; the rows of methods.c name them
 *
 * A handler decodes nothing and checks no privilege: the call carries the
 * unpacked request, and the interceptors have let it through.
 */
#ifndef PROXY_HANDLERS_H
#define PROXY_HANDLERS_H

#include "proxy/methods.h"

method_fn handle_unimplemented;         /* gRPC status UNIMPLEMENTED, never a silent success */

method_fn handle_check_health;
method_fn handle_connect;
method_fn handle_get_component_states;
method_fn handle_get_metrics;
method_fn handle_get_version;
method_fn handle_health;                /* grpc.health.v1.Health/Check */

/* The catalog */
method_fn handle_create_collection;
method_fn handle_alter_collection;
method_fn handle_alter_collection_field;
method_fn handle_describe_collection;
method_fn handle_drop_collection;
method_fn handle_get_collection_statistics;
method_fn handle_has_collection;
method_fn handle_rename_collection;
method_fn handle_show_collections;
method_fn handle_create_partition;
method_fn handle_drop_partition;
method_fn handle_get_partition_statistics;
method_fn handle_has_partition;
method_fn handle_show_partitions;
method_fn handle_load_collection;
method_fn handle_load_partitions;
method_fn handle_release_collection;
method_fn handle_release_partitions;
method_fn handle_get_load_state;
method_fn handle_get_loading_progress;
method_fn handle_create_alias;
method_fn handle_alter_alias;
method_fn handle_describe_alias;
method_fn handle_drop_alias;
method_fn handle_list_aliases;
method_fn handle_create_index;
method_fn handle_alter_index;
method_fn handle_describe_index;
method_fn handle_drop_index;
method_fn handle_get_index_build_progress;
method_fn handle_get_index_state;
method_fn handle_get_index_statistics;
method_fn handle_create_database;
method_fn handle_alter_database;
method_fn handle_describe_database;
method_fn handle_drop_database;
method_fn handle_list_databases;
method_fn handle_alloc_timestamp;

/* Reads */
method_fn handle_search;
method_fn handle_hybrid_search;
method_fn handle_query;

/* Segments, and what keeps them */
method_fn handle_flush;
method_fn handle_flush_all;
method_fn handle_get_flush_state;
method_fn handle_get_flush_all_state;
method_fn handle_manual_compaction;
method_fn handle_get_compaction_state;
method_fn handle_get_compaction_plans;
method_fn handle_get_persistent_segment_info;
method_fn handle_get_query_segment_info;
method_fn handle_get_replicas;
method_fn handle_load_balance;
method_fn handle_transfer_replica;
method_fn handle_transfer_node;
method_fn handle_list_resource_groups;
method_fn handle_drop_resource_group;
method_fn handle_describe_resource_group;
method_fn handle_update_resource_groups;
method_fn handle_create_resource_group;

/* Rows */
method_fn handle_delete;
method_fn handle_insert;
method_fn handle_upsert;

#endif
