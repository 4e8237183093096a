/* pb_json - see pb_json.h */
#include "cli/pb_json.h"

#include <math.h>

#include "cli/show.h"
#include "core/base/vec.h"
#include "core/wire/pb.h"
#include "elanus.pb-c.h"

enum { HEX_MOST = 4096 };

/* --- one value ----------------------------------------------------------------------- */

static json_t *s_real(double value)
{
    if (isfinite(value))
        return json_real(value);
    return json_string(isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
}

static json_t *s_enum(const ProtobufCFieldDescriptor *field, int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(field->descriptor,
                                                                           value);
    return found ? json_string(found->name) : json_integer(value);
}

static json_t *s_text(const char *text)
{
    json_t *value = json_string(text ? text : "");
    return value ? value : json_string("?");            /* not UTF-8: wire_unpack refuses it */
}

/* What lies at `at`; NULL: a message, which the caller sees to. */
static json_t *s_value(ctx_t *ctx, const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32: case PROTOBUF_C_TYPE_SINT32: case PROTOBUF_C_TYPE_SFIXED32:
        return json_integer(*(const int32_t *)at);
    case PROTOBUF_C_TYPE_UINT32: case PROTOBUF_C_TYPE_FIXED32:
        return json_integer(*(const uint32_t *)at);
    case PROTOBUF_C_TYPE_INT64: case PROTOBUF_C_TYPE_SINT64: case PROTOBUF_C_TYPE_SFIXED64:
        return json_string(ctx_printf(ctx, "%lld", (long long)*(const int64_t *)at));
    case PROTOBUF_C_TYPE_UINT64: case PROTOBUF_C_TYPE_FIXED64:
        return json_string(ctx_printf(ctx, "%llu", (unsigned long long)*(const uint64_t *)at));
    case PROTOBUF_C_TYPE_FLOAT:
        return s_real(*(const float *)at);
    case PROTOBUF_C_TYPE_DOUBLE:
        return s_real(*(const double *)at);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)at);
    case PROTOBUF_C_TYPE_ENUM:
        return s_enum(field, *(const int *)at);
    case PROTOBUF_C_TYPE_STRING:
        return s_text(*(char *const *)at);
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *bytes = at;
        return json_string(show_hex(ctx, view_of(bytes->data, bytes->len), HEX_MOST));
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    return NULL;
}

static size_t s_width(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64: case PROTOBUF_C_TYPE_SINT64: case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64: case PROTOBUF_C_TYPE_FIXED64: case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING: case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_INT32: case PROTOBUF_C_TYPE_SINT32: case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32: case PROTOBUF_C_TYPE_FIXED32: case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        break;
    }
    return 4;
}

static bool s_is_empty(const ProtobufCFieldDescriptor *field, const json_t *value)
{
    bool texts = field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_BYTES;
    return json_is_false(value) || (texts && json_string_length(value) == 0);
}

/* --- messages ---------------------------------------------------------------------------- */

/* A message that is still to be taken apart, and the object its fields go into. */
typedef struct { const ProtobufCMessage *message; json_t *into; } todo_t;

static void s_one(ctx_t *ctx, vec_t *todo, const ProtobufCFieldDescriptor *field, const void *at,
                  json_t *list, json_t *object)
{
    json_t *value = s_value(ctx, field, at);
    if (!value) {
        const ProtobufCMessage *message = *(ProtobufCMessage *const *)at;
        if (!message)
            return;
        value = json_object();
        vec_push(todo, &(todo_t){ message, value });    /* borrowed: its owner is in the tree */
    } else if (!list && s_is_empty(field, value)) {
        json_decref(value);
        return;
    }
    if (list)
        json_array_append_new(list, value);
    else
        json_object_set_new(object, field->name, value);
}

static void s_field(ctx_t *ctx, vec_t *todo, const todo_t *of,
                    const ProtobufCFieldDescriptor *field)
{
    const uint8_t *base = (const uint8_t *)of->message;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
        *(const uint32_t *)(base + field->quantifier_offset) != field->id)
        return;
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        s_one(ctx, todo, field, base + field->offset, NULL, of->into);
        return;
    }
    size_t n = *(const size_t *)(base + field->quantifier_offset);
    if (n == 0)
        return;
    const uint8_t *cells = *(const uint8_t *const *)(base + field->offset);
    json_t *list = json_array();
    json_object_set_new(of->into, field->name, list);
    for (size_t i = 0; i < n; i++)
        s_one(ctx, todo, field, cells + i * s_width(field->type), list, NULL);
}

json_t *pb_json(ctx_t *ctx, const ProtobufCMessage *message)
{
    json_t *root = json_object();
    vec_scoped todo;
    vec_init(&todo, sizeof(todo_t));
    vec_push(&todo, &(todo_t){ message, root });
    while (todo.len > 0) {
        todo_t of = *(todo_t *)vec_at(&todo, todo.len - 1);
        vec_swap_remove(&todo, todo.len - 1);
        for (unsigned i = 0; i < of.message->descriptor->n_fields; i++)
            s_field(ctx, &todo, &of, &of.message->descriptor->fields[i]);
    }
    return root;
}

/* --- metadata ------------------------------------------------------------------------------ */

static const struct { const char *prefix; const ProtobufCMessageDescriptor *type; } s_tables[] = {
    { "alias/", &elanus__alias__descriptor },
    { "build/", &elanus__build__descriptor },
    { "ckpt/", &elanus__checkpoint__descriptor },
    { "clock/", &elanus__clock__descriptor },
    { "cluster/identity", &elanus__cluster_identity__descriptor },
    { "coll/", &elanus__collection__descriptor },
    { "db/", &elanus__database__descriptor },
    { "id/catalog", &elanus__catalog_mark__descriptor },
    { "id/global", &elanus__id_mark__descriptor },
    { "index/", &elanus__index__descriptor },
    { "leader/", &elanus__leader__descriptor },
    { "load/", &elanus__load__descriptor },
    { "owner/", &elanus__owner__descriptor },
    { "place/", &elanus__placement__descriptor },
    { "replica/", &elanus__replica__descriptor },
    { "rg/", &elanus__resource_group__descriptor },
    { "seal/", &elanus__seal__descriptor },
    { "seg/", &elanus__segment__descriptor },
    { "session/", &elanus__node_info__descriptor },
};

static json_t *s_raw(ctx_t *ctx, view_t value, const char *key, const char *why)
{
    json_t *root = json_object();
    json_object_set_new(root, "hex", json_string(show_hex(ctx, value, HEX_MOST)));
    json_object_set_new(root, key, json_string(why));
    return root;
}

json_t *pb_json_meta(ctx_t *ctx, const char *key, view_t value, const char **ret_type)
{
    *ret_type = "";
    if (strcmp(key, "id/node") == 0 && value.len == 8) {
        *ret_type = "u64";
        return json_string(ctx_printf(ctx, "%llu", (unsigned long long)load_u64(value.ptr)));
    }
    for (size_t i = 0; i < ARRAY_LEN(s_tables); i++) {
        if (strncmp(key, s_tables[i].prefix, strlen(s_tables[i].prefix)) != 0)
            continue;
        ProtobufCMessage *message = NULL;
        *ret_type = s_tables[i].type->short_name;
        if (wire_unpack(ctx, s_tables[i].type, value, &message) == OK)
            return pb_json(ctx, message);
        json_t *raw = s_raw(ctx, value, "damage", ctx->text);
        ctx_clear(ctx);
        return raw;
    }
    return s_raw(ctx, value, "unknown", "a key of no table that this program knows");
}
