/* proxy_answer - the ends of a call */
#include <stdio.h>

#include "core/base/utf8.h"
#include "proxy/proxy_int.h"

/* A text that was cut to its bound may end within a character, and clients choke on what is
 * not UTF-8. */
static const char *s_utf8(ctx_t *ctx, const char *text)
{
    size_t len = strlen(text);
    if (utf8_ok(view_of(text, len)))
        return text;
    char *copy = ctx_strdup(ctx, text);
    for (size_t at = 0; (at += utf8_valid_len(view_of(copy + at, len - at))) < len; )
        copy[at++] = '?';
    return copy;
}

Common__Status *proxy_status_new(ctx_t *ctx, err_t err, const char *text)
{
    Common__Status *status = ctx_new(ctx, sizeof *status);
    common__status__init(status);
    if (err == OK)
        return status;                          /* all zero: what clients take for success */
    status->code = err_code(err);
    status->error_code = (Common__ErrorCode)err_legacy(err);
    status->reason = s_utf8(ctx, text && text[0] ? text : err_text(err));
    status->detail = status->reason;
    status->retriable = err_retriable(err);
    return status;
}

/* The Status inside a response: a field named status, or the response itself. */
static const Common__Status *s_status_of(const ProtobufCMessage *response)
{
    if (response->descriptor == &common__status__descriptor)
        return (const Common__Status *)response;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(response->descriptor, "status");
    if (!field || field->descriptor != &common__status__descriptor)
        return NULL;
    return *(Common__Status *const *)((const uint8_t *)response + field->offset);
}

void proxy_end(proxy_node_t *self, proxy_call_t *call, actions_t *act)
{
    self->open_calls--;
    proxy_count_call(self, call);
    json_decref(call->json);
    call->json = NULL;
    act_item(act, call);
}

static void s_answer_rest(proxy_call_t *call, const ProtobufCMessage *response)
{
    const Common__Status *status = s_status_of(response);
    call->http_status = 200;
    if (status && status->code != 0)
        rest_error(&call->body, status->code, status->reason);
    else if (call->route->render)
        call->route->render(response, &call->body);
    else
        rest_success(&call->body, call->route->write(response));
}

void proxy_pack(proxy_call_t *call, const void *response)
{
    const Common__Status *status = s_status_of(response);
    call->code = status ? status->code : 0;
    if (call->code != 0)
        call->reason = ctx_strdup(call->ctx, status->reason);
    if (call->route)
        s_answer_rest(call, response);
    else if (wire_pack(call->ctx, response, &call->body) != OK)
        call->body.failed = true;
    call->grpc_status = PROXY_GRPC_OK;
    if (!buf_ok(&call->body)) {
        call->grpc_status = PROXY_GRPC_EXHAUSTED;
        call->http_status = 500;
        call->text = "no memory for the answer";
    }
}

/* Some routes stand for several RPCs: go on with the next when one has succeeded. */
static bool s_goes_on(proxy_node_t *self, proxy_call_t *call, actions_t *act,
                      const ProtobufCMessage *response)
{
    const Common__Status *status = s_status_of(response);
    const char *rpc = NULL;
    if (!call->route || !call->route->then || (status && status->code != 0))
        return false;
    err_t err = call->route->then(call->ctx, call->json, ++call->step, &rpc, &call->request);
    if (err != OK) {
        proxy_status(self, call, act, err, ctx_strdup(call->ctx, call->ctx->text));
        return true;
    }
    if (!rpc)
        return false;
    call->method = methods_find(view_str(rpc));
    call->looked_again = false;
    check(call->method != NULL);
    call->method->handler(self, call, self->now, act);
    return true;
}

void proxy_answer(proxy_node_t *self, proxy_call_t *call, actions_t *act, const void *response)
{
    if (s_goes_on(self, call, act, response))
        return;
    proxy_pack(call, response);
    proxy_end(self, call, act);
}

static int s_http_status(int grpc_status)
{
    switch (grpc_status) {
    case PROXY_GRPC_UNAUTHENTICATED:   return 401;
    case PROXY_GRPC_PERMISSION_DENIED: return 403;
    case PROXY_GRPC_DEADLINE:          return 408;
    case PROXY_GRPC_UNIMPLEMENTED:     return 404;
    default:                           return 500;
    }
}

void proxy_fail(proxy_node_t *self, proxy_call_t *call, actions_t *act, int grpc_status,
                const char *format, ...)
{
    char text[CTX_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    call->grpc_status = call->code = grpc_status;
    call->reason = call->text = ctx_strdup(call->ctx, text);
    call->http_status = s_http_status(grpc_status);
    if (call->route && grpc_status == PROXY_GRPC_UNAUTHENTICATED)
        rest_error(&call->body, err_code(ERR_REST_AUTH), err_text(ERR_REST_AUTH));
    else if (call->route || call->page)
        rest_error(&call->body, err_code(ERR_UNEXPECTED), text);
    proxy_end(self, call, act);
}

void proxy_status(proxy_node_t *self, proxy_call_t *call, actions_t *act, err_t err,
                  const char *text)
{
    const ProtobufCMessageDescriptor *type = call->method->response;
    Common__Status *status = proxy_status_new(call->ctx, err, text);
    if (type == &common__status__descriptor) {
        proxy_answer(self, call, act, status);
        return;
    }
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(type, "status");
    if (!field || field->descriptor != &common__status__descriptor) {
        proxy_fail(self, call, act, PROXY_GRPC_INTERNAL, "%s", status->reason);
        return;
    }
    ProtobufCMessage *response = ctx_new(call->ctx, type->sizeof_message);
    protobuf_c_message_init(type, response);
    *(Common__Status **)((uint8_t *)response + field->offset) = status;
    proxy_answer(self, call, act, response);
}
