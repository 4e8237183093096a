/* fuzz_wire - bytes into wire_unpack, with protobuf-c's own unpacker as a witness
 *
 * The first byte picks a message type, the rest are its bytes.  Promises:
 *
 *   taken     the budget was kept; packing and unpacking again gives the same
 *             bytes; protobuf-c reads our packing to the same message, and the input
 *             too, which it only refuses where a packed boolean is neither 0 nor 1
 *   refused   as malformed, too large or too much memory, with a text; and where
 *             protobuf-c would have taken it, for one of the reasons in wire.h
 */
#include <protobuf-c/protobuf-c.h>

#include "core/base/base.h"
#include "core/wire/wire.h"
#include "elanus.pb-c.h"
#include "milvus.pb-c.h"
#include "tests/support/replay.h"

enum { BUDGET_BYTES = 1 << 20, WITNESS_MOST = 8192 };

static const ProtobufCMessageDescriptor *s_pick(uint8_t byte)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        &milvus__insert_request__descriptor, &milvus__search_request__descriptor,
        &milvus__query_request__descriptor, &schema__collection_schema__descriptor,
        &schema__field_data__descriptor, &milvus__search_results__descriptor,
        &common__status__descriptor, &milvus__flush_response__descriptor,
        &milvus__connect_request__descriptor, &elanus__envelope__descriptor,
    };
    return types[byte % ARRAY_LEN(types)];
}

/* protobuf-c keeps unknown fields and packs them again; ours drops them.  The
 * depth is bounded by what wire_unpack took. */
static void s_forget_unknown(ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        char *base = (char *)message;
        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            ProtobufCMessage **list = *(ProtobufCMessage ***)(base + field->offset);
            for (size_t k = 0; k < *(size_t *)(base + field->quantifier_offset); k++)
                s_forget_unknown(list[k]);
        } else if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
                   *(uint32_t *)(base + field->quantifier_offset) == field->id) {
            ProtobufCMessage *inner = *(ProtobufCMessage **)(base + field->offset);
            if (inner)
                s_forget_unknown(inner);
        }
    }
    message->n_unknown_fields = 0;
}

static void *s_alloc(void *ctx, size_t bytes)
{
    return ctx_try(ctx, bytes);
}

static void s_free(void *ctx, void *ptr)
{
}

/* protobuf-c's reading of the input, packed again; false when it refuses. */
static bool s_witness(const ProtobufCMessageDescriptor *desc, view_t bytes, buf_t *ret)
{
    ctx_t ctx;
    ctx_init(&ctx);
    ProtobufCAllocator arena = { .alloc = s_alloc, .free = s_free, .allocator_data = &ctx };
    ProtobufCMessage *message = protobuf_c_message_unpack(desc, &arena, bytes.len, bytes.ptr);
    if (message) {
        s_forget_unknown(message);
        check(wire_pack(&ctx, message, ret) == OK);
    }
    ctx_fini(&ctx);
    return message != NULL;
}

static uint64_t s_varint(const uint8_t **at)
{
    uint64_t value = 0;
    for (unsigned shift = 0; ; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
}

/* Is there a byte other than 0 and 1 in a packed list of booleans?  The bytes
 * are well formed: wire_unpack took them. */
static bool s_has_odd_boolean(const ProtobufCMessageDescriptor *desc, view_t bytes)
{
    for (const uint8_t *at = bytes.ptr, *end = at + bytes.len; at < end; ) {
        uint64_t tag = s_varint(&at);
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(desc, (unsigned)(tag >> 3));
        if ((tag & 7) == 0)
            s_varint(&at);
        if ((tag & 7) == 1)
            at += 8;
        if ((tag & 7) == 5)
            at += 4;
        if ((tag & 7) != 2)
            continue;
        size_t len = s_varint(&at);
        at += len;
        if (field && field->type == PROTOBUF_C_TYPE_MESSAGE &&
            s_has_odd_boolean(field->descriptor, view_of(at - len, len)))
            return true;
        for (size_t i = 0; field && field->type == PROTOBUF_C_TYPE_BOOL && i < len; i++) {
            if ((at - len)[i] > 1)
                return true;
        }
    }
    return false;
}

static void s_check_taken(ctx_t *ctx, const ProtobufCMessageDescriptor *desc, view_t bytes,
                          const ProtobufCMessage *message)
{
    buf_scoped ours = {0}, again = {0}, theirs = {0}, first = {0};
    check(wire_pack(ctx, message, &ours) == OK);
    check(s_witness(desc, buf_view(&ours), &theirs));
    check(view_eq(buf_view(&ours), buf_view(&theirs)));

    ProtobufCMessage *twin = NULL;
    ctx->budget_bytes = 0;
    check(wire_unpack_borrow(ctx, desc, buf_view(&ours), &twin) == OK);
    check(wire_pack(ctx, twin, &again) == OK);
    check(view_eq(buf_view(&ours), buf_view(&again)));

    /* It alone refuses packed booleans other than 0 and 1. */
    if (s_witness(desc, bytes, &first))
        check(view_eq(buf_view(&ours), buf_view(&first)));
    else
        check(s_has_odd_boolean(desc, bytes));
}

static void s_check_refused(const ctx_t *ctx, err_t err, const ProtobufCMessageDescriptor *desc,
                            view_t bytes)
{
    static const char *const stricter[] = {
        "is not valid UTF-8", "a NUL inside", "is given twice", "is not the field's",
        "no valid field tag",
    };
    check(err == ERR_MALFORMED || err == ERR_PARAM_TOO_LARGE || err == ERR_MEMORY);
    check(err == ctx->err && strlen(ctx->text) > 10);
    if (err != ERR_MALFORMED || bytes.len > WITNESS_MOST)
        return;
    buf_scoped theirs = {0};
    if (!s_witness(desc, bytes, &theirs))
        return;
    for (size_t i = 0; i < ARRAY_LEN(stricter); i++) {
        if (strstr(ctx->text, stricter[i]))
            return;
    }
    check(!"refused what protobuf-c takes");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const ProtobufCMessageDescriptor *desc = s_pick(data[0]);
    view_t bytes = view_of(data + 1, size - 1);
    ctx_t ctx;
    ctx_init(&ctx);
    ctx.budget_bytes = BUDGET_BYTES;
    ProtobufCMessage *message = NULL;
    err_t err = wire_unpack(&ctx, desc, bytes, &message);
    check((err == OK) == (message != NULL) && ctx.spent_bytes <= BUDGET_BYTES);
    if (err == OK)
        s_check_taken(&ctx, desc, bytes, message);
    else
        s_check_refused(&ctx, err, desc, bytes);
    ctx_fini(&ctx);
    return 0;
}
