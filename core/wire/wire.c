/* wire - an unpacker with an explicit stack
 *
 * A message on the wire is a list of fields, each a tag (number and wire type)
 * and a value.  Messages inside it are length-prefixed, so a reader can step
 * over them.  That makes two passes per message cheap:
 *
 *     measure   walk the fields of this level, check their framing, count the
 *               elements of repeated fields, then allocate arrays of just that size
 *     fill      walk them again and store values; at an inner message stop,
 *               remember the place, and do the same one level down
 *
 * The place is a frame of a fixed stack, so depth is bounded by its size and
 * not by the thread's.  Every allocation comes from the context's arena and
 * budget at the moment its size is known, and no size is trusted before as many
 * bytes (or elements) have been seen to be there.
 *
 * Rejected: counting everything in advance and then calling protobuf-c.  It
 * walks all bytes once more, and the estimate must follow each allocation that
 * protobuf-c makes inside (member slabs, unknown fields, merges).
 */
#include "core/wire/wire.h"

#include <stdio.h>

#include "core/base/limits.h"
#include "core/base/utf8.h"
#include "schema.pb-c.h"

enum { WIRE_VARINT = 0, WIRE_64BIT = 1, WIRE_LENGTH = 2, WIRE_32BIT = 5 };
enum { VARINT_MOST = 10, TAG_MOST = 5, LENGTH_MOST = 5 };

/* How each type lies on the wire, and the size of one in a struct or an array. */
static const struct { uint8_t wire, size; } types[] = {
    [PROTOBUF_C_TYPE_INT32]    = { WIRE_VARINT, 4 },
    [PROTOBUF_C_TYPE_SINT32]   = { WIRE_VARINT, 4 },
    [PROTOBUF_C_TYPE_SFIXED32] = { WIRE_32BIT,  4 },
    [PROTOBUF_C_TYPE_INT64]    = { WIRE_VARINT, 8 },
    [PROTOBUF_C_TYPE_SINT64]   = { WIRE_VARINT, 8 },
    [PROTOBUF_C_TYPE_SFIXED64] = { WIRE_64BIT,  8 },
    [PROTOBUF_C_TYPE_UINT32]   = { WIRE_VARINT, 4 },
    [PROTOBUF_C_TYPE_FIXED32]  = { WIRE_32BIT,  4 },
    [PROTOBUF_C_TYPE_UINT64]   = { WIRE_VARINT, 8 },
    [PROTOBUF_C_TYPE_FIXED64]  = { WIRE_64BIT,  8 },
    [PROTOBUF_C_TYPE_FLOAT]    = { WIRE_32BIT,  4 },
    [PROTOBUF_C_TYPE_DOUBLE]   = { WIRE_64BIT,  8 },
    [PROTOBUF_C_TYPE_BOOL]     = { WIRE_VARINT, sizeof(protobuf_c_boolean) },
    [PROTOBUF_C_TYPE_ENUM]     = { WIRE_VARINT, 4 },
    [PROTOBUF_C_TYPE_STRING]   = { WIRE_LENGTH, sizeof(char *) },
    [PROTOBUF_C_TYPE_BYTES]    = { WIRE_LENGTH, sizeof(ProtobufCBinaryData) },
    [PROTOBUF_C_TYPE_MESSAGE]  = { WIRE_LENGTH, sizeof(ProtobufCMessage *) },
};

/* A message being filled. */
typedef struct frame {
    ProtobufCMessage *message;
    const uint8_t *at, *end;                    /* what is left of its bytes */
    const ProtobufCFieldDescriptor *last;       /* of the last known field: likely the next, too */
} frame_t;

typedef struct unpack {
    ctx_t *ctx;
    const uint8_t *begin;                       /* of the outermost message, for offsets */
    bool borrow;
    size_t n_messages;
    unsigned depth;                             /* frames in use */
    frame_t stack[LIMIT_PROTO_DEPTH];
} unpack_t;

/* One field as it lies on the wire. */
typedef struct item {
    const ProtobufCFieldDescriptor *field;      /* NULL: unknown */
    unsigned wire;
    uint64_t number;                            /* value of VARINT, 64BIT and 32BIT */
    view_t body;                                /* payload of LENGTH */
} item_t;

/* --- failing ------------------------------------------------------------------ */

static err_t s_fail(const unpack_t *u, err_t err, const ProtobufCFieldDescriptor *field,
                    const uint8_t *at, const char *why)
{
    const ProtobufCMessageDescriptor *desc = u->stack[u->depth - 1].message->descriptor;
    return ctx_fail(u->ctx, err, "%s%s%s at byte %zu: %s", desc->name, field ? "." : "",
                    field ? field->name : "", (size_t)(at - u->begin), why);
}

static err_t s_bad(const unpack_t *u, const ProtobufCFieldDescriptor *field, const uint8_t *at,
                   const char *why)
{
    return s_fail(u, ERR_MALFORMED, field, at, why);
}

static void *s_alloc(unpack_t *u, size_t bytes)
{
    return ctx_try(u->ctx, (bytes + 15) & ~(size_t)15);     /* as much as the arena takes */
}

static err_t s_no_memory(const unpack_t *u, const ProtobufCFieldDescriptor *field, size_t bytes)
{
    char why[64];
    snprintf(why, sizeof why, "no memory for %zu bytes", bytes);
    return s_fail(u, ERR_MEMORY, field, u->stack[u->depth - 1].at, why);
}

/* --- reading one field ---------------------------------------------------------- */

/* Bytes of the varint at `at`, 0 when it ends neither before `end` nor within `most`. */
static inline size_t s_varint(const uint8_t *at, const uint8_t *end, size_t most, uint64_t *ret)
{
    if (at < end && *at < 0x80) {               /* nearly every tag and length */
        *ret = *at;
        return 1;
    }
    uint64_t value = 0;
    size_t left = (size_t)(end - at);
    for (size_t i = 0; i < most && i < left; i++) {
        value |= (uint64_t)(at[i] & 0x7f) << (7 * i);
        if (at[i] < 0x80) {
            *ret = value;
            return i + 1;
        }
    }
    return 0;
}

/* The same with VARINT_MOST bytes readable, without a branch per byte: eight are
 * loaded, the first with a clear top bit ends the number, and three steps push
 * the sevens of bits together. */
static inline size_t s_varint_wide(const uint8_t *at, uint64_t *ret)
{
    uint64_t w = load_u64(at), stop = ~w & 0x8080808080808080u;
    w &= (stop ^ (stop - 1)) & 0x7f7f7f7f7f7f7f7fu;         /* all eight when none stops */
    w = (w & 0x007f007f007f007fu) | (w & 0x7f007f007f007f00u) >> 1;
    w = (w & 0x00003fff00003fffu) | (w & 0x3fff00003fff0000u) >> 2;
    w = (w & 0x000000000fffffffu) | (w & 0x0fffffff00000000u) >> 4;
    if (stop) {
        *ret = w;
        return (size_t)__builtin_ctzll(stop) / 8 + 1;
    }
    *ret = w | (uint64_t)(at[8] & 0x7f) << 56 | (uint64_t)at[9] << 63;
    if (at[8] < 0x80) {
        *ret = w | (uint64_t)at[8] << 56;
        return 9;
    }
    return at[9] < 0x80 ? 10 : 0;
}

static const ProtobufCFieldDescriptor *s_find_field(frame_t *frame, uint32_t number)
{
    if (frame->last && frame->last->id == number)
        return frame->last;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(frame->message->descriptor, number);
    if (field)
        frame->last = field;
    return field;
}

static inline bool s_is_repeated(const ProtobufCFieldDescriptor *field)
{
    return field->label == PROTOBUF_C_LABEL_REPEATED;
}

/* Many numbers in one length-prefixed value; a decoder must take both ways. */
static inline bool s_is_packed(const item_t *item)
{
    return item->wire == WIRE_LENGTH && s_is_repeated(item->field) &&
           types[item->field->type].wire != WIRE_LENGTH;
}

static err_t s_read_fixed(unpack_t *u, const uint8_t **at_p, const uint8_t *end, size_t size,
                          item_t *item)
{
    if ((size_t)(end - *at_p) < size)
        return s_bad(u, item->field, *at_p, "the message ends inside a fixed-size number");
    item->number = size == 8 ? load_u64(*at_p) : load_u32(*at_p);
    *at_p += size;
    return OK;
}

static err_t s_read_length(unpack_t *u, const uint8_t **at_p, const uint8_t *end, item_t *item)
{
    uint64_t len = 0;
    size_t used = s_varint(*at_p, end, LENGTH_MOST, &len);
    if (used == 0)
        return s_bad(u, item->field, *at_p, "the length is cut off or too long a varint");
    if (len > (size_t)(end - *at_p) - used)
        return s_bad(u, item->field, *at_p, "the length runs past the end of its message");
    item->body = view_of(*at_p + used, (size_t)len);
    *at_p += used + len;
    return OK;
}

static err_t s_read_value(unpack_t *u, const uint8_t **at_p, const uint8_t *end, item_t *item)
{
    size_t used = 0;
    switch (item->wire) {
    case WIRE_VARINT:
        used = s_varint(*at_p, end, VARINT_MOST, &item->number);
        if (used == 0)
            return s_bad(u, item->field, *at_p, "a number is cut off or too long a varint");
        *at_p += used;
        return OK;
    case WIRE_64BIT:
        return s_read_fixed(u, at_p, end, 8, item);
    case WIRE_LENGTH:
        return s_read_length(u, at_p, end, item);
    case WIRE_32BIT:
        return s_read_fixed(u, at_p, end, 4, item);
    default:
        return s_bad(u, item->field, *at_p, "groups and reserved wire types are not supported");
    }
}

/* Read the field at *at_p and step over it. */
static inline err_t s_read(unpack_t *u, frame_t *frame, const uint8_t **at_p, item_t *ret)
{
    const uint8_t *begin = *at_p;
    uint64_t tag = 0;
    size_t used = s_varint(begin, frame->end, TAG_MOST, &tag);
    if (used == 0 || tag > UINT32_MAX || tag < 8)
        return s_bad(u, NULL, begin, "no valid field tag");

    item_t item = { .field = s_find_field(frame, (uint32_t)tag >> 3), .wire = tag & 7 };
    *at_p = begin + used;
    TRY(s_read_value(u, at_p, frame->end, &item));
    if (item.field && item.wire != types[item.field->type].wire && !s_is_packed(&item))
        return s_bad(u, item.field, begin, "the wire type is not the field's");
    *ret = item;
    return OK;
}

/* --- first pass: measure ------------------------------------------------------------ */

static inline void *s_member(const frame_t *frame, unsigned offset)
{
    return (char *)frame->message + offset;
}

/* Varints end where the top bit is clear: count those, eight bytes at a time. */
static size_t s_count_varints(view_t body)
{
    size_t n = 0, at = 0;
    for (; body.len - at >= 8; at += 8)
        n += (size_t)__builtin_popcountll(~load_u64(body.ptr + at) & 0x8080808080808080u);
    for (; at < body.len; at++)
        n += body.ptr[at] < 0x80;
    return n;
}

/* Elements of a packed value; broken ends are found in the second pass. */
static size_t s_count_packed(const item_t *item)
{
    switch (types[item->field->type].wire) {
    case WIRE_32BIT:    return item->body.len / 4;
    case WIRE_64BIT:    return item->body.len / 8;
    default:            return s_count_varints(item->body);
    }
}

/* Give each repeated field an array for the elements counted, and set its count
 * back to 0, to be counted up again as they are stored. */
static err_t s_make_arrays(unpack_t *u, frame_t *frame)
{
    const ProtobufCMessageDescriptor *desc = frame->message->descriptor;
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &desc->fields[i];
        if (!s_is_repeated(field))
            continue;
        size_t *n = s_member(frame, field->quantifier_offset);
        if (*n == 0)
            continue;
        size_t bytes = *n * types[field->type].size;
        void *array = s_alloc(u, bytes);
        if (!array)
            return s_no_memory(u, field, bytes);
        *(void **)s_member(frame, field->offset) = array;
        *n = 0;
    }
    return OK;
}

static err_t s_measure(unpack_t *u, frame_t *frame)
{
    bool repeats = false;
    item_t item = {0};
    for (const uint8_t *at = frame->at; at < frame->end; ) {
        TRY(s_read(u, frame, &at, &item));
        if (!item.field || !s_is_repeated(item.field))
            continue;
        size_t *n = s_member(frame, item.field->quantifier_offset);
        *n += s_is_packed(&item) ? s_count_packed(&item) : 1;
        repeats = true;
    }
    return repeats ? s_make_arrays(u, frame) : OK;
}

/* Begin a message of this type in these bytes; it is returned measured and on
 * the stack, to be filled. */
static err_t s_enter(unpack_t *u, const ProtobufCMessageDescriptor *desc, view_t body,
                     ProtobufCMessage **ret)
{
    ProtobufCMessage *message = s_alloc(u, desc->sizeof_message);
    if (!message)
        return ctx_fail(u->ctx, ERR_MEMORY, "%s at byte %zu: no memory for its %zu bytes",
                        desc->name, (size_t)(body.ptr - u->begin), desc->sizeof_message);
    protobuf_c_message_init(desc, message);
    u->n_messages++;
    frame_t *frame = &u->stack[u->depth++];
    *frame = (frame_t){ .message = message, .at = body.ptr, .end = body.ptr + body.len };
    TRY(s_measure(u, frame));
    *ret = message;
    return OK;
}

/* --- second pass: fill ---------------------------------------------------------------- */

static uint64_t s_unzigzag(uint64_t v)
{
    return (v >> 1) ^ (0 - (v & 1));
}

static inline void s_store_number(ProtobufCType type, void *at, uint64_t v)
{
    if (type == PROTOBUF_C_TYPE_SINT32)
        store_u32(at, (uint32_t)s_unzigzag((uint32_t)v));
    else if (type == PROTOBUF_C_TYPE_SINT64)
        store_u64(at, s_unzigzag(v));
    else if (type == PROTOBUF_C_TYPE_BOOL)
        *(protobuf_c_boolean *)at = v != 0;
    else if (types[type].size == 8)
        store_u64(at, v);
    else
        store_u32(at, (uint32_t)v);
}

/* Text must be UTF-8.  StringArray's values are bytes in C, but text all the same. */
static err_t s_check_text(unpack_t *u, const frame_t *frame, const item_t *item)
{
    bool is_string = item->field->type == PROTOBUF_C_TYPE_STRING;
    if (!is_string && frame->message->descriptor != &schema__string_array__descriptor)
        return OK;
    size_t valid = utf8_valid_len(item->body);
    if (valid < item->body.len)
        return s_bad(u, item->field, item->body.ptr + valid, "the text is not valid UTF-8");
    const uint8_t *nul = is_string && valid ? memchr(item->body.ptr, 0, valid) : NULL;
    return nul ? s_bad(u, item->field, nul, "a NUL inside a string") : OK;
}

/* An empty string needs no memory.  It is not protobuf-c's own empty string:
 * packing takes a member of a oneof that points there for unset. */
static err_t s_store_string(unpack_t *u, const item_t *item, const char **at)
{
    if (item->body.len == 0) {
        *at = "";
        return OK;
    }
    char *copy = s_alloc(u, item->body.len + 1);        /* zeroed, so it is terminated */
    if (!copy)
        return s_no_memory(u, item->field, item->body.len + 1);
    memcpy(copy, item->body.ptr, item->body.len);
    *at = copy;
    return OK;
}

static err_t s_store_bytes(unpack_t *u, const item_t *item, ProtobufCBinaryData *at)
{
    uint8_t *data = NULL;
    if (u->borrow && item->body.len > 0) {
        data = (uint8_t *)item->body.ptr;
    } else if (item->body.len > 0) {
        data = s_alloc(u, item->body.len);
        if (!data)
            return s_no_memory(u, item->field, item->body.len);
        memcpy(data, item->body.ptr, item->body.len);
    }
    *at = (ProtobufCBinaryData){ .data = data, .len = item->body.len };
    return OK;
}

static err_t s_store_message(unpack_t *u, const item_t *item, ProtobufCMessage **at)
{
    if (*at)
        return s_bad(u, item->field, item->body.ptr, "a single message is given twice");
    if (u->depth == LIMIT_PROTO_DEPTH)
        return s_fail(u, ERR_PARAM_TOO_LARGE, item->field, item->body.ptr,
                      "messages are nested too deep");
    if (u->n_messages == LIMIT_PROTO_MESSAGES)
        return s_fail(u, ERR_PARAM_TOO_LARGE, item->field, item->body.ptr,
                      "too many messages inside one");
    return s_enter(u, item->field->descriptor, item->body, at);
}

static err_t s_store(unpack_t *u, const frame_t *frame, const item_t *item, void *at)
{
    ProtobufCType type = item->field->type;
    if (item->wire != WIRE_LENGTH) {
        s_store_number(type, at, item->number);
        return OK;
    }
    if (type == PROTOBUF_C_TYPE_MESSAGE)
        return s_store_message(u, item, at);
    TRY(s_check_text(u, frame, item));
    if (type == PROTOBUF_C_TYPE_STRING)
        return s_store_string(u, item, at);
    return s_store_bytes(u, item, at);
}

/* Decode a whole packed value; inlined once per type that matters, so that the
 * loop asks nothing about the type. */
static inline __attribute__((always_inline))
err_t s_decode(unpack_t *u, const item_t *item, ProtobufCType type, uint8_t *to, size_t *n)
{
    const uint8_t *at = item->body.ptr, *end = at + item->body.len;
    uint8_t *begin = to;
    for (; at < end; to += types[type].size) {
        uint64_t v = 0;
        size_t used = end - at >= VARINT_MOST ? s_varint_wide(at, &v)
                                              : s_varint(at, end, VARINT_MOST, &v);
        if (used == 0)
            return s_bad(u, item->field, at, "a number is cut off or too long a varint");
        s_store_number(type, to, v);
        at += used;
    }
    *n += (size_t)(to - begin) / types[type].size;
    return OK;
}

static err_t s_store_packed_varints(unpack_t *u, const item_t *item, uint8_t *to, size_t *n)
{
    ProtobufCType type = item->field->type;
    if (type == PROTOBUF_C_TYPE_INT64 || type == PROTOBUF_C_TYPE_UINT64)
        return s_decode(u, item, PROTOBUF_C_TYPE_INT64, to, n);
    if (type == PROTOBUF_C_TYPE_INT32 || type == PROTOBUF_C_TYPE_UINT32)
        return s_decode(u, item, PROTOBUF_C_TYPE_INT32, to, n);
    return s_decode(u, item, type, to, n);
}

static err_t s_store_packed(unpack_t *u, const item_t *item, uint8_t *array, size_t *n)
{
    size_t size = types[item->field->type].size;
    uint8_t *at = array + *n * size;
    if (item->body.len == 0)
        return OK;
    if (types[item->field->type].wire == WIRE_VARINT)
        return s_store_packed_varints(u, item, at, n);
    if (item->body.len % size != 0)
        return s_bad(u, item->field, item->body.ptr, "the length is no multiple of the element's");
    memcpy(at, item->body.ptr, item->body.len);
    *n += item->body.len / size;
    return OK;
}

/* The last member of a oneof wins: drop an earlier one of another number. */
static void s_choose(const frame_t *frame, const ProtobufCFieldDescriptor *field)
{
    uint32_t *chosen = s_member(frame, field->quantifier_offset);
    if (*chosen != field->id)
        memset(s_member(frame, field->offset), 0, types[field->type].size);
    *chosen = field->id;
}

static err_t s_fill_repeated(unpack_t *u, const frame_t *frame, const item_t *item)
{
    size_t *n = s_member(frame, item->field->quantifier_offset);
    uint8_t *array = *(uint8_t **)s_member(frame, item->field->offset);
    if (s_is_packed(item))
        return s_store_packed(u, item, array, n);
    size_t i = (*n)++;
    return s_store(u, frame, item, array + i * types[item->field->type].size);
}

static err_t s_fill_single(unpack_t *u, const frame_t *frame, const item_t *item)
{
    const ProtobufCFieldDescriptor *field = item->field;
    check(field->label != PROTOBUF_C_LABEL_REQUIRED);       /* proto2 */
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        s_choose(frame, field);
    else if (field->quantifier_offset != 0)
        *(protobuf_c_boolean *)s_member(frame, field->quantifier_offset) = true;
    return s_store(u, frame, item, s_member(frame, field->offset));
}

/* Store one field of the innermost message, or leave that message at its end. */
static err_t s_step(unpack_t *u)
{
    frame_t *frame = &u->stack[u->depth - 1];
    if (frame->at == frame->end) {
        u->depth--;
        return OK;
    }
    item_t item = {0};
    TRY(s_read(u, frame, &frame->at, &item));
    if (!item.field)
        return OK;
    return s_is_repeated(item.field) ? s_fill_repeated(u, frame, &item)
                                     : s_fill_single(u, frame, &item);
}

static err_t s_unpack(ctx_t *ctx, const ProtobufCMessageDescriptor *desc, view_t bytes, bool borrow,
                      ProtobufCMessage **ret)
{
    if (bytes.len > INT32_MAX)
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "%s: %zu bytes are too many for one message",
                        desc->name, bytes.len);
    if (bytes.len == 0)
        bytes.ptr = (const uint8_t *)"";
    unpack_t u;
    u.ctx = ctx, u.begin = bytes.ptr, u.borrow = borrow, u.n_messages = 0, u.depth = 0;
    ProtobufCMessage *message = NULL;
    TRY(s_enter(&u, desc, bytes, &message));
    while (u.depth > 0)
        TRY(s_step(&u));
    *ret = message;
    return OK;
}

err_t wire_unpack(ctx_t *ctx, const ProtobufCMessageDescriptor *desc, view_t bytes,
                  ProtobufCMessage **ret)
{
    return s_unpack(ctx, desc, bytes, false, ret);
}

err_t wire_unpack_borrow(ctx_t *ctx, const ProtobufCMessageDescriptor *desc, view_t bytes,
                         ProtobufCMessage **ret)
{
    return s_unpack(ctx, desc, bytes, true, ret);
}

/* --- packing -------------------------------------------------------------------------- */

err_t wire_pack(ctx_t *ctx, const ProtobufCMessage *message, buf_t *buf)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *at = buf_reserve(buf, len);
    if (!at)
        return ctx_fail(ctx, ERR_MEMORY, "%s: no room for its %zu bytes",
                        message->descriptor->name, len);
    size_t wrote = protobuf_c_message_pack(message, at);
    check(wrote == len);
    buf->len += len;
    return OK;
}
