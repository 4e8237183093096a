/* methods - what each RPC takes, returns and requires
 *
 * One table for every door: gRPC and REST look the method up here, the
 * interceptors ask it for the privilege, and the call goes to its handler.
 * The rows are in methods.c; an RPC of proto/milvus.proto without one does not
 * build.
 */
#ifndef PROXY_METHODS_H
#define PROXY_METHODS_H

#include "core/base/base.h"
#include "milvus.pb-c.h"

typedef struct proxy_node proxy_node_t;
typedef struct proxy_call proxy_call_t;
typedef struct event event_t;
typedef struct actions actions_t;

/* Answers the call, at once or by starting what will; part of the node's step. */
typedef void method_fn(proxy_node_t *self, proxy_call_t *call, const event_t *event,
                       actions_t *actions);

typedef struct method {
    const char *name;                           /* "Insert" */
    const char *path;                           /* "/milvus.proto.milvus.MilvusService/Insert" */
    const ProtobufCMessageDescriptor *request, *response;
    method_fn *handler;
    bool anonymous;                             /* not even a user is asked for */
    bool guarded;                               /* the three below count; else any user may */
    Common__ObjectPrivilege privilege;
    Common__ObjectType object;
    uint32_t object_field;                      /* of the request, names the object; 0: "*" */
} method_t;

/* The method at an HTTP/2 path, NULL for any we do not know.
 * Cost    a binary search over the names    Thread  any; constant data */
const method_t *methods_find(view_t path);

/* The i-th object that a request to a guarded method names, to be checked
 * against grants; NULL behind the last.  "*" stands for a method without such a
 * field and for a user left out.  A list of names may be empty: then there is
 * nothing to grant on, and Milvus denies. */
const char *methods_object(const method_t *method, const ProtobufCMessage *request, size_t i);

/* Every row but the health check's, for listings and tests; i < methods_count(). */
const method_t *methods_at(size_t i);
size_t methods_count(void);

#endif
