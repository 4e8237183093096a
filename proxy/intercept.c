/* intercept - what every call passes before its handler, in Milvus's order:
 * authenticate, database, privilege
 *
 * No header and no flag of a client can claim to be internal: daemons talk to
 * each other on another socket.  Until roles and grants exist (RBAC), there is
 * one user, root, who may do everything; anyone else is refused outright.
 */
#include <sodium.h>
#include <stdio.h>

#include "proxy/proxy_int.h"

enum { CREDENTIAL_BYTES = 512 };

static bool s_same(const char *a, const char *b)
{
    size_t len = strlen(a);
    return len == strlen(b) && sodium_memcmp(a, b, len) == 0;
}

/* gRPC: base64 of user:password.  REST: "Bearer user:password", or Basic base64. */
static bool s_decode(const proxy_call_t *call, char *into, size_t room)
{
    const char *text = call->authorization;
    bool http = call->route || call->page;
    if (http && strncmp(text, "Bearer ", 7) == 0) {
        snprintf(into, room, "%s", text + 7);
        return true;
    }
    if (http && strncmp(text, "Basic ", 6) == 0)
        text += 6;
    size_t len = 0;
    if (sodium_base642bin((uint8_t *)into, room - 1, text, strlen(text), NULL, &len, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        return false;
    into[len] = '\0';
    return true;
}

bool proxy_authenticate(proxy_node_t *self, proxy_call_t *call, actions_t *act)
{
    if (!self->options->authorization || (call->method && call->method->anonymous))
        return true;
    if (!call->authorization) {
        proxy_fail(self, call, act, PROXY_GRPC_UNAUTHENTICATED, "missing authorization in header");
        return false;
    }
    char plain[CREDENTIAL_BYTES];
    char *colon = NULL;
    if (!s_decode(call, plain, sizeof plain) || (colon = strchr(plain, ':')) == NULL) {
        proxy_fail(self, call, act, PROXY_GRPC_UNAUTHENTICATED, "invalid token format");
        return false;
    }
    *colon = '\0';
    bool known = s_same(plain, "root") & s_same(colon + 1, self->options->root_password);
    snprintf(call->user, sizeof call->user, "%.*s", LIMIT_NAME_BYTES, plain);
    sodium_memzero(plain, sizeof plain);
    if (!known)
        proxy_fail(self, call, act, PROXY_GRPC_UNAUTHENTICATED,
                   "auth check failure, please check username and password are correct");
    return known;
}

const void *proxy_field(const ProtobufCMessage *request, const char *name, ProtobufCType type)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(request->descriptor, name);
    if (!field || field->type != type || field->label == PROTOBUF_C_LABEL_REPEATED)
        return NULL;
    return (const uint8_t *)request + field->offset;
}

const char *proxy_text_field(const ProtobufCMessage *request, const char *name)
{
    char *const *text = proxy_field(request, name, PROTOBUF_C_TYPE_STRING);
    return text ? *text : NULL;
}

/* The request's own db_name, else the header, else "default". */
static void s_database(proxy_call_t *call)
{
    const char *name = proxy_text_field(call->request, "db_name");
    if (!name || name[0] == '\0')
        name = call->db_header && call->db_header[0] ? call->db_header : "default";
    snprintf(call->db, sizeof call->db, "%s", name);
}

err_t proxy_read_request(proxy_call_t *call)
{
    if (!call->route)
        return wire_unpack_borrow(call->ctx, call->method->request, call->message, &call->request);
    json_t *body = NULL;
    TRY(rest_parse(call->ctx, call->message, &body));
    err_t err = call->route->read(call->ctx, body, &call->request);
    if (err == OK && (call->route->with_schema || call->route->then))
        call->json = json_incref(body);
    json_decref(body);
    return err;
}

static void s_refuse(proxy_node_t *self, proxy_call_t *call, actions_t *act, err_t err)
{
    if (call->route)
        proxy_status(self, call, act, err, call->ctx->text);
    else
        proxy_fail(self, call, act, err == ERR_MEMORY ? PROXY_GRPC_EXHAUSTED : PROXY_GRPC_INTERNAL,
                   "grpc: error unmarshalling request: %s", call->ctx->text);
}

bool proxy_enter(proxy_node_t *self, proxy_call_t *call, actions_t *act, err_t err)
{
    if (err != OK) {
        s_refuse(self, call, act, err);
        return false;
    }
    s_database(call);
    return true;
}
