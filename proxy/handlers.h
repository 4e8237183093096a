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
method_fn handle_list_databases;
method_fn handle_show_collections;

#endif
