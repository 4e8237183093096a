/* envelope - protobuf-c between a checked length and a fixed room
 *
 * protobuf-c allocates while it unpacks: the message, each string, a copy of
 * each unknown field.  The allocator below hands out the room front to back
 * and says no when it is used up, which makes the unpacking fail as a whole;
 * so there is nothing to free.  An Envelope nests one message deep by its
 * schema, and protobuf-c only descends where the schema does, so depth needs
 * no check of its own here.
 */
#include "core/wire/envelope.h"

#include <stdio.h>

#include "elanus.pb-c.h"

/* A year: adding it to a clock is safe. */
static const int64_t MOST_DEADLINE_MS = 366 * 86400000ll;

typedef struct {
    envelope_room_t *room;
    size_t used;
} filler_t;

_Static_assert((int)ENVELOPE_CALL == (int)ELANUS__ENVELOPE_TYPE__ENVELOPE_CALL &&
               (int)ENVELOPE_BYE == (int)ELANUS__ENVELOPE_TYPE__ENVELOPE_BYE,
               "envelope.h and elanus.proto number the types alike");
/* Numbers of ten fields take at most 120 bytes, five strings the rest. */
_Static_assert(LIMIT_NET_TEXT_BYTES + 3 * LIMIT_NAME_BYTES + 256 <= LIMIT_NET_ENVELOPE_BYTES,
               "whatever may be packed fits");

static void *s_alloc(void *data, size_t size)
{
    filler_t *filler = data;
    size_t need = (size + 15) & ~(size_t)15;
    if (size > sizeof filler->room->bytes || need > sizeof filler->room->bytes - filler->used)
        return NULL;
    void *at = filler->room->bytes + filler->used;
    filler->used += need;
    return at;
}

static void s_free(void *data, void *pointer)
{
    (void)data;
    (void)pointer;
}

static char *s_name(const char *name)
{
    check(name && strlen(name) <= LIMIT_NAME_BYTES);
    return (char *)name;        /* protobuf-c's structs are not const, packing does not write */
}

size_t envelope_pack(const envelope_t *envelope, uint8_t out[LIMIT_NET_ENVELOPE_BYTES])
{
    Elanus__Envelope message = ELANUS__ENVELOPE__INIT;
    Elanus__Hello hello = ELANUS__HELLO__INIT;
    char text[LIMIT_NET_TEXT_BYTES + 1];

    check(envelope->type >= ENVELOPE_CALL && envelope->type <= ENVELOPE_BYE);
    message.version = ENVELOPE_LAYOUT;
    message.kind = envelope->kind;
    message.type = (uint32_t)envelope->type;
    message.request_id = envelope->request_id;
    message.deadline_ms = envelope->deadline_ms;
    message.trace = envelope->trace;
    message.span = envelope->span;
    message.epoch = envelope->epoch;
    message.error = (int32_t)envelope->error;
    if (envelope->error_text && envelope->error_text[0]) {
        snprintf(text, sizeof text, "%s", envelope->error_text);
        message.error_text = text;
    }
    if (envelope->has_hello) {
        hello.cluster = s_name(envelope->hello.cluster);
        hello.version = s_name(envelope->hello.version);
        hello.role = s_name(envelope->hello.role);
        hello.node_id = envelope->hello.node_id;
        hello.incarnation = envelope->hello.incarnation;
        message.hello = &hello;
    }
    size_t len = elanus__envelope__pack(&message, out);
    check(len > 0 && len <= LIMIT_NET_ENVELOPE_BYTES);
    return len;
}

static bool s_names_fit(const Elanus__Hello *hello)
{
    return strlen(hello->cluster) <= LIMIT_NAME_BYTES &&
           strlen(hello->version) <= LIMIT_NAME_BYTES && strlen(hello->role) <= LIMIT_NAME_BYTES;
}

static err_t s_verify(ctx_t *ctx, const Elanus__Envelope *message)
{
    if (message->version == 0)
        return ctx_fail(ctx, ERR_MALFORMED, "bytes that are no envelope");
    if (message->version != ENVELOPE_LAYOUT)
        return ctx_fail(ctx, ERR_VERSION, "message layout %u, this node reads %d; run one "
                        "version of Elanus in a cluster", message->version, ENVELOPE_LAYOUT);
    if (message->type < ENVELOPE_CALL || message->type > ENVELOPE_BYE)
        return ctx_fail(ctx, ERR_MALFORMED, "envelope type %u", message->type);
    if (message->type <= ENVELOPE_CANCEL && message->request_id == 0)
        return ctx_fail(ctx, ERR_MALFORMED, "envelope without a request id");
    if (message->deadline_ms > MOST_DEADLINE_MS)
        return ctx_fail(ctx, ERR_MALFORMED, "a deadline in %lld ms",
                        (long long)message->deadline_ms);
    if (message->type == ENVELOPE_HELLO && !message->hello)
        return ctx_fail(ctx, ERR_MALFORMED, "greeting without a name");
    if (message->hello && !s_names_fit(message->hello))
        return ctx_fail(ctx, ERR_MALFORMED, "greeting with a name over %d bytes",
                        LIMIT_NAME_BYTES);
    return OK;
}

err_t envelope_unpack(ctx_t *ctx, view_t bytes, envelope_room_t *room, envelope_t *ret)
{
    if (bytes.len > LIMIT_NET_ENVELOPE_BYTES)
        return ctx_fail(ctx, ERR_MALFORMED, "envelope of %zu bytes, at most %d are read",
                        bytes.len, LIMIT_NET_ENVELOPE_BYTES);
    filler_t filler = { .room = room };
    ProtobufCAllocator allocator = { .alloc = s_alloc, .free = s_free, .allocator_data = &filler };
    const Elanus__Envelope *message = elanus__envelope__unpack(&allocator, bytes.len, bytes.ptr);
    if (!message)
        return ctx_fail(ctx, ERR_MALFORMED, "%zu bytes that are no envelope", bytes.len);
    TRY(s_verify(ctx, message));

    *ret = (envelope_t){
        .type = (envelope_type_t)message->type, .kind = message->kind,
        .request_id = message->request_id, .deadline_ms = message->deadline_ms,
        .trace = message->trace, .span = message->span, .epoch = message->epoch,
        .error = err_from_wire(message->error), .error_text = message->error_text,
        .has_hello = message->hello != NULL,
    };
    if (message->hello) {
        ret->hello.cluster = message->hello->cluster;
        ret->hello.version = message->hello->version;
        ret->hello.role = message->hello->role;
        ret->hello.node_id = message->hello->node_id;
        ret->hello.incarnation = message->hello->incarnation;
    }
    return OK;
}
