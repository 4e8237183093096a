/* wire: what honest clients send comes out as protobuf-c itself reads it, and
 * what they never send is refused in the right place: depth, counts, lengths,
 * wire types, text.  Every truncation and every fault on the way is walked. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/base.h"
#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/wire/wire.h"
#include "milvus.pb-c.h"

/* --- bytes by hand ------------------------------------------------------------------- */

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, GROUP = 3, FIXED32 = 5 };

static void put_varint(buf_t *buf, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_add_u8(buf, (uint8_t)(v | 0x80));
    buf_add_u8(buf, (uint8_t)v);
}

static void put_tag(buf_t *buf, uint32_t number, unsigned wire)
{
    put_varint(buf, (uint64_t)number << 3 | wire);
}

static void put_bytes(buf_t *buf, uint32_t number, const void *ptr, size_t len)
{
    put_tag(buf, number, LENGTH);
    put_varint(buf, len);
    buf_add(buf, ptr, len);
}

static void put_str(buf_t *buf, uint32_t number, const char *text)
{
    put_bytes(buf, number, text, strlen(text));
}

static void put_message(buf_t *buf, uint32_t number, const buf_t *inner)
{
    put_bytes(buf, number, inner->ptr, inner->len);
}

/* --- fixtures ------------------------------------------------------------------------- */

typedef struct fixture {
    ctx_t ctx;
    buf_t buf;
} fixture_t;

static int up(void **state)
{
    fixture_t *fx = mem_new(sizeof *fx);
    ctx_init(&fx->ctx);
    buf_init(&fx->buf, 0);
    *state = fx;
    return 0;
}

static int down(void **state)
{
    fixture_t *fx = *state;
    ctx_fini(&fx->ctx);
    buf_fini(&fx->buf);
    mem_free(fx);
    return 0;
}

static err_t unpack(fixture_t *fx, const ProtobufCMessageDescriptor *desc, void *ret_p)
{
    ProtobufCMessage *message = NULL;
    err_t err = wire_unpack(&fx->ctx, desc, buf_view(&fx->buf), &message);
    assert_true((err == OK) == (message != NULL));
    if (err == OK)
        *(ProtobufCMessage **)ret_p = message;
    return err;
}

/* The bytes in fx->buf are refused with this error and a text that says this. */
static void assert_refused(fixture_t *fx, const ProtobufCMessageDescriptor *desc, err_t want,
                           const char *says)
{
    void *message = NULL;
    assert_int_equal(unpack(fx, desc, &message), want);
    if (!strstr(fx->ctx.text, says))
        fail_msg("\"%s\" does not say \"%s\"", fx->ctx.text, says);
    buf_reset(&fx->buf);
}

#define INSERT (&milvus__insert_request__descriptor)
#define STATUS (&common__status__descriptor)

/* An insert like a client's: an int64 and a VARCHAR column, a float vector, a
 * namespace in its one-member oneof. */
static void pack_insert(fixture_t *fx)
{
    int64_t ids[] = { 1, -1, INT64_MAX, INT64_MIN, 300 };
    Schema__LongArray longs = SCHEMA__LONG_ARRAY__INIT;
    longs.n_data = ARRAY_LEN(ids), longs.data = ids;
    Schema__ScalarField long_scalars = SCHEMA__SCALAR_FIELD__INIT;
    long_scalars.data_case = SCHEMA__SCALAR_FIELD__DATA_LONG_DATA, long_scalars.long_data = &longs;
    Schema__FieldData id = SCHEMA__FIELD_DATA__INIT;
    id.type = SCHEMA__DATA_TYPE__Int64, id.field_name = "id";
    id.field_case = SCHEMA__FIELD_DATA__FIELD_SCALARS, id.scalars = &long_scalars;

    ProtobufCBinaryData words[] =
        { { 3, (uint8_t *)"a\0b" }, { 0, NULL }, { 5, (uint8_t *)"caf\xc3\xa9" } };
    Schema__StringArray strings = SCHEMA__STRING_ARRAY__INIT;
    strings.n_data = ARRAY_LEN(words), strings.data = words;
    Schema__ScalarField text_scalars = SCHEMA__SCALAR_FIELD__INIT;
    text_scalars.data_case = SCHEMA__SCALAR_FIELD__DATA_STRING_DATA;
    text_scalars.string_data = &strings;
    Schema__FieldData text = SCHEMA__FIELD_DATA__INIT;
    text.type = SCHEMA__DATA_TYPE__VarChar, text.field_name = "text";
    text.field_case = SCHEMA__FIELD_DATA__FIELD_SCALARS, text.scalars = &text_scalars;

    float numbers[] = { 0.5f, -1.25f, 3e38f, 0 };
    Schema__FloatArray floats = SCHEMA__FLOAT_ARRAY__INIT;
    floats.n_data = ARRAY_LEN(numbers), floats.data = numbers;
    Schema__VectorField vectors = SCHEMA__VECTOR_FIELD__INIT;
    vectors.dim = 4, vectors.data_case = SCHEMA__VECTOR_FIELD__DATA_FLOAT_VECTOR;
    vectors.float_vector = &floats;
    Schema__FieldData vector = SCHEMA__FIELD_DATA__INIT;
    vector.type = SCHEMA__DATA_TYPE__FloatVector, vector.field_name = "vec";
    vector.field_case = SCHEMA__FIELD_DATA__FIELD_VECTORS, vector.vectors = &vectors;

    Schema__FieldData *columns[] = { &id, &text, &vector };
    uint32_t hashes[] = { 0, 127, 128, UINT32_MAX };
    Milvus__InsertRequest insert = MILVUS__INSERT_REQUEST__INIT;
    insert.collection_name = "books";
    insert.n_fields_data = ARRAY_LEN(columns), insert.fields_data = columns;
    insert.n_hash_keys = ARRAY_LEN(hashes), insert.hash_keys = hashes;
    insert.num_rows = 5, insert.schema_timestamp = UINT64_MAX;
    insert.has_namespace_case = MILVUS__INSERT_REQUEST__HAS_NAMESPACE_NAMESPACE;
    insert.namespace_ = "";
    buf_reset(&fx->buf);
    assert_int_equal(wire_pack(&fx->ctx, &insert.pb_base, &fx->buf), OK);
}

/* --- what honest clients send ------------------------------------------------------------ */

static void an_insert_survives_the_trip(void **state)
{
    fixture_t *fx = *state;
    pack_insert(fx);
    Milvus__InsertRequest *got = NULL;
    assert_int_equal(unpack(fx, INSERT, &got), OK);

    assert_string_equal(got->collection_name, "books");
    assert_string_equal(got->db_name, "");
    assert_int_equal(got->has_namespace_case, MILVUS__INSERT_REQUEST__HAS_NAMESPACE_NAMESPACE);
    assert_string_equal(got->namespace_, "");
    assert_int_equal(got->n_fields_data, 3);
    const Schema__LongArray *longs = got->fields_data[0]->scalars->long_data;
    assert_int_equal(longs->n_data, 5);
    assert_true(longs->data[1] == -1 && longs->data[2] == INT64_MAX && longs->data[3] == INT64_MIN);
    const Schema__StringArray *strings = got->fields_data[1]->scalars->string_data;
    assert_int_equal(strings->data[0].len, 3);                  /* NUL and all */
    assert_memory_equal(strings->data[0].data, "a\0b", 3);
    assert_int_equal(strings->data[1].len, 0);
    assert_true(got->fields_data[2]->vectors->float_vector->data[1] == -1.25f);
    assert_int_equal(got->hash_keys[3], UINT32_MAX);

    buf_scoped again;
    buf_init(&again, 0);
    assert_int_equal(wire_pack(&fx->ctx, &got->pb_base, &again), OK);
    assert_true(view_eq(buf_view(&again), buf_view(&fx->buf)));
}

static void borrowed_bytes_lie_in_the_input(void **state)
{
    fixture_t *fx = *state;
    pack_insert(fx);
    ProtobufCMessage *message = NULL;
    assert_int_equal(wire_unpack_borrow(&fx->ctx, INSERT, buf_view(&fx->buf), &message), OK);
    const Milvus__InsertRequest *got = (Milvus__InsertRequest *)message;
    const ProtobufCBinaryData *word = got->fields_data[1]->scalars->string_data->data;
    assert_true(word->data > fx->buf.ptr && word->data < fx->buf.ptr + fx->buf.len);
    assert_memory_equal(word->data, "a\0b", 3);
    assert_ptr_not_equal(got->collection_name, NULL);
    assert_string_equal(got->collection_name, "books");         /* strings are copies */
}

static void nothing_is_an_empty_message(void **state)
{
    fixture_t *fx = *state;
    Common__Status *status = NULL;
    assert_int_equal(unpack(fx, STATUS, &status), OK);
    assert_string_equal(status->reason, "");
    assert_int_equal(status->code, 0);
}

/* A client newer than us: fields we do not know, of every wire type. */
static void unknown_fields_are_skipped(void **state)
{
    fixture_t *fx = *state;
    put_tag(&fx->buf, 1000, VARINT), put_varint(&fx->buf, UINT64_MAX);
    put_str(&fx->buf, 2, "why");
    put_tag(&fx->buf, 1001, FIXED64), buf_add_u64(&fx->buf, 1);
    put_bytes(&fx->buf, 1002, "\xff\x00\xff", 3);
    put_tag(&fx->buf, 536870911, FIXED32), buf_add_u32(&fx->buf, 1);    /* greatest number */
    put_tag(&fx->buf, 3, VARINT), put_varint(&fx->buf, 1100);
    Common__Status *status = NULL;
    assert_int_equal(unpack(fx, STATUS, &status), OK);
    assert_string_equal(status->reason, "why");
    assert_int_equal(status->code, 1100);
    assert_int_equal(status->base.n_unknown_fields, 0);
}

/* A repeated number may come packed, one by one, or both, in any order. */
static void packed_and_single_numbers_mix(void **state)
{
    fixture_t *fx = *state;
    put_tag(&fx->buf, 6, VARINT), put_varint(&fx->buf, 5);
    put_bytes(&fx->buf, 6, "\x06\xff\xff\xff\xff\x0f", 6);
    put_bytes(&fx->buf, 6, "", 0);
    put_tag(&fx->buf, 6, VARINT), put_varint(&fx->buf, 7);
    Milvus__InsertRequest *got = NULL;
    assert_int_equal(unpack(fx, INSERT, &got), OK);
    assert_int_equal(got->n_hash_keys, 4);
    assert_int_equal(got->hash_keys[0], 5);
    assert_int_equal(got->hash_keys[1], 6);
    assert_int_equal(got->hash_keys[2], UINT32_MAX);
    assert_int_equal(got->hash_keys[3], 7);

    buf_reset(&fx->buf);
    put_bytes(&fx->buf, 6, "\x7f\x7f\x7f", 3);                 /* greatest of one byte */
    assert_int_equal(unpack(fx, INSERT, &got), OK);
    assert_int_equal(got->n_hash_keys, 3);
    assert_int_equal(got->hash_keys[2], 127);
}

static void the_last_of_a_oneof_and_of_a_scalar_wins(void **state)
{
    fixture_t *fx = *state;
    buf_scoped empty;
    buf_init(&empty, 0);
    put_message(&fx->buf, 3, &empty);                           /* scalars … */
    put_tag(&fx->buf, 5, VARINT), put_varint(&fx->buf, 7);
    put_message(&fx->buf, 4, &empty);                           /* … then vectors */
    put_tag(&fx->buf, 5, VARINT), put_varint(&fx->buf, 8);
    Schema__FieldData *field = NULL;
    assert_int_equal(unpack(fx, &schema__field_data__descriptor, &field), OK);
    assert_int_equal(field->field_case, SCHEMA__FIELD_DATA__FIELD_VECTORS);
    assert_ptr_equal(field->vectors->base.descriptor, &schema__vector_field__descriptor);
    assert_true(field->field_id == 8);
}

/* --- what they never send ------------------------------------------------------------------ */

static void broken_framing_is_refused(void **state)
{
    fixture_t *fx = *state;
    put_tag(&fx->buf, 2, GROUP);
    assert_refused(fx, STATUS, ERR_MALFORMED, "Status.reason at byte 1: groups");
    put_tag(&fx->buf, 1000, 4);
    assert_refused(fx, STATUS, ERR_MALFORMED, "groups");
    put_tag(&fx->buf, 1000, 7);
    assert_refused(fx, STATUS, ERR_MALFORMED, "wire type");
    put_tag(&fx->buf, 0, VARINT), put_varint(&fx->buf, 1);
    assert_refused(fx, STATUS, ERR_MALFORMED, "Status at byte 0: no valid field tag");
    put_varint(&fx->buf, (uint64_t)1 << 32 | 2 << 3 | LENGTH), put_varint(&fx->buf, 0);
    assert_refused(fx, STATUS, ERR_MALFORMED, "no valid field tag");
    buf_add(&fx->buf, "\x80\x80\x80\x80\x80\x00\x00", 7);
    assert_refused(fx, STATUS, ERR_MALFORMED, "no valid field tag");
    buf_add(&fx->buf, "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12);
    assert_refused(fx, STATUS, ERR_MALFORMED, "Status.code at byte 1: a number");
    put_tag(&fx->buf, 1000, FIXED64), buf_add_u32(&fx->buf, 0);
    assert_refused(fx, STATUS, ERR_MALFORMED, "fixed-size");
    put_tag(&fx->buf, 2, VARINT), put_varint(&fx->buf, 0);
    assert_refused(fx, STATUS, ERR_MALFORMED, "Status.reason at byte 0: the wire type");
    put_tag(&fx->buf, 3, LENGTH), put_varint(&fx->buf, 0);      /* only repeated ones pack */
    assert_refused(fx, STATUS, ERR_MALFORMED, "Status.code at byte 0: the wire type");
}

static void lengths_that_lie_are_refused(void **state)
{
    fixture_t *fx = *state;
    uint64_t lies[] = { 4, 1000, INT32_MAX, UINT32_MAX, (uint64_t)1 << 34 };
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        put_tag(&fx->buf, 2, LENGTH), put_varint(&fx->buf, lies[i]), buf_add(&fx->buf, "abc", 3);
        assert_refused(fx, STATUS, ERR_MALFORMED, "Status.reason at byte 1: the length runs past");
    }
    put_tag(&fx->buf, 2, LENGTH), put_varint(&fx->buf, (uint64_t)1 << 35);
    assert_refused(fx, STATUS, ERR_MALFORMED, "too long a varint");

    /* An inner length may not reach past its own message, even where bytes follow. */
    buf_scoped inner;
    buf_init(&inner, 0);
    put_tag(&inner, 2, LENGTH), put_varint(&inner, 3), buf_add(&inner, "ab", 2);
    put_message(&fx->buf, 5, &inner);
    put_str(&fx->buf, 3, "books");
    assert_refused(fx, INSERT, ERR_MALFORMED, "FieldData.field_name at byte 3: the length runs");
}

static void broken_packed_numbers_are_refused(void **state)
{
    fixture_t *fx = *state;
    put_bytes(&fx->buf, 6, "\x01\x80", 2);
    assert_refused(fx, INSERT, ERR_MALFORMED, "InsertRequest.hash_keys at byte 3: a number is cut");
    put_bytes(&fx->buf, 6, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    assert_refused(fx, INSERT, ERR_MALFORMED, "too long a varint");
    put_bytes(&fx->buf, 1, "\x00\x00\x80\x3f\x00", 5);
    assert_refused(fx, &schema__float_array__descriptor, ERR_MALFORMED, "no multiple");
    put_bytes(&fx->buf, 1, "1234567", 7);
    assert_refused(fx, &schema__double_array__descriptor, ERR_MALFORMED, "no multiple");
}

static void bad_text_is_refused(void **state)
{
    fixture_t *fx = *state;
    put_str(&fx->buf, 2, "caf\xe9");
    assert_refused(fx, STATUS, ERR_MALFORMED, "Status.reason at byte 5: the text is not valid");
    put_bytes(&fx->buf, 2, "a\0b", 3);
    assert_refused(fx, STATUS, ERR_MALFORMED, "Status.reason at byte 3: a NUL");
    put_str(&fx->buf, 1, "\xed\xa0\x80");                       /* bytes in C, text to a client */
    assert_refused(fx, &schema__string_array__descriptor, ERR_MALFORMED, "StringArray.data at");
    put_str(&fx->buf, 1, "\xed\xa0\x80");
    Schema__JSONArray *json = NULL;
    assert_int_equal(unpack(fx, &schema__jsonarray__descriptor, &json), OK);
}

static void a_single_message_given_twice_is_refused(void **state)
{
    fixture_t *fx = *state;
    put_bytes(&fx->buf, 1, "", 0), put_bytes(&fx->buf, 1, "", 0);
    assert_refused(fx, INSERT, ERR_MALFORMED, "InsertRequest.base at byte 4: a single message");
    put_bytes(&fx->buf, 3, "", 0), put_bytes(&fx->buf, 3, "", 0);
    assert_refused(fx, &schema__field_data__descriptor, ERR_MALFORMED, "FieldData.scalars at byte");
}

/* FieldData -> StructArrayField -> FieldData …, levels messages in all. */
static void put_nested(fixture_t *fx, unsigned levels)
{
    buf_scoped inner;
    buf_init(&inner, 0);
    for (unsigned i = 1; i < levels; i++) {
        bool around_field = i % 2 == 1;
        buf_reset(&fx->buf);
        put_message(&fx->buf, around_field ? 1 : 8, &inner);
        buf_reset(&inner);
        buf_add_view(&inner, buf_view(&fx->buf));
    }
}

static void depth_has_an_end(void **state)
{
    fixture_t *fx = *state;
    const ProtobufCMessageDescriptor *outermost[2] =
        { &schema__field_data__descriptor, &schema__struct_array_field__descriptor };
    Schema__StructArrayField *got = NULL;
    put_nested(fx, LIMIT_PROTO_DEPTH);
    assert_int_equal(unpack(fx, outermost[(LIMIT_PROTO_DEPTH - 1) % 2], &got), OK);
    unsigned depth = 1;
    while (got->n_fields && got->fields[0]->struct_arrays)
        got = got->fields[0]->struct_arrays, depth += 2;
    assert_int_equal(depth + got->n_fields, LIMIT_PROTO_DEPTH);

    put_nested(fx, LIMIT_PROTO_DEPTH + 1);
    assert_refused(fx, outermost[LIMIT_PROTO_DEPTH % 2], ERR_PARAM_TOO_LARGE, "nested too deep");
    put_nested(fx, 10000);
    assert_refused(fx, outermost[9999 % 2], ERR_PARAM_TOO_LARGE, "nested too deep");
}

/* Two bytes each on the wire, a struct each in memory. */
static void a_million_empty_messages_are_refused(void **state)
{
    fixture_t *fx = *state;
    for (size_t i = 0; i < LIMIT_PROTO_MESSAGES; i++)
        buf_add(&fx->buf, "\x2a\x00", 2);
    assert_refused(fx, INSERT, ERR_PARAM_TOO_LARGE, "fields_data at byte 2000000: too many");

    for (size_t i = 0; i < LIMIT_PROTO_MESSAGES; i++)
        buf_add(&fx->buf, "\x2a\x00", 2);
    fx->ctx.spent_bytes = 0;
    fx->ctx.budget_bytes = 10 << 20;
    size_t held = fx->ctx.arena.held_bytes;
    assert_refused(fx, INSERT, ERR_MEMORY, "no memory");
    assert_true(fx->ctx.spent_bytes <= fx->ctx.budget_bytes);
    assert_true(fx->ctx.arena.held_bytes - held < 13 << 20);
}

/* Of a field that is not repeated only the last counts, and unknown ones leave nothing. */
static void repetition_costs_nothing(void **state)
{
    fixture_t *fx = *state;
    for (size_t i = 0; i < 100000; i++)
        buf_add(&fx->buf, "\x18\x07\xc0\x3e\x01", 5);           /* code, and an unknown field */
    Common__Status *status = NULL;
    fx->ctx.budget_bytes = 256;
    assert_int_equal(unpack(fx, STATUS, &status), OK);          /* fits in one struct */
    assert_int_equal(status->code, 7);
}

/* --- walking everything ---------------------------------------------------------------------- */

/* However a request is cut off, it is read whole or refused. */
static void every_truncation_is_harmless(void **state)
{
    fixture_t *fx = *state;
    pack_insert(fx);
    size_t n_ok = 0;
    for (size_t len = 0; len < fx->buf.len; len++) {
        ProtobufCMessage *message = NULL;
        uint8_t *exact = mem_new(len);                          /* so that asan sees the end */
        memcpy(exact, fx->buf.ptr, len);
        err_t err = wire_unpack(&fx->ctx, INSERT, view_of(exact, len), &message);
        assert_true(err == OK || err == ERR_MALFORMED);
        n_ok += err == OK;
        mem_free(exact);
    }
    assert_true(n_ok >= 7 && n_ok < 20);                        /* at the ends of fields only */
}

static void every_fault_is_reported(void **state)
{
    fixture_t *fx = *state;
    pack_insert(fx);
    for (int nth = 0; ; nth++) {
        ProtobufCMessage *message = NULL;
        fault_arm(nth);
        err_t err = wire_unpack(&fx->ctx, INSERT, buf_view(&fx->buf), &message);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            assert_true(nth > 15);
            break;
        }
        assert_int_equal(err, ERR_MEMORY);
        assert_null(message);
    }
}

static void packing_into_a_full_buffer_says_so(void **state)
{
    fixture_t *fx = *state;
    buf_scoped small;
    buf_init(&small, 5);
    Common__Status status = COMMON__STATUS__INIT;
    status.reason = "much too long";
    buf_add_str(&small, "abc");
    assert_int_equal(wire_pack(&fx->ctx, &status.base, &small), ERR_MEMORY);
    assert_int_equal(small.len, 3);
    assert_non_null(strstr(fx->ctx.text, "milvus.proto.common.Status"));
}

/* --- every number type, against protobuf-c -------------------------------------------------- */

/* A message with one singular and one repeated field of each numeric type; some
 * of these types Milvus does not use yet. */
enum { N_TYPES = 14 };

typedef struct wide {
    ProtobufCMessage base;
    uint64_t one[N_TYPES];
    size_t n[N_TYPES];
    void *many[N_TYPES];
} wide_t;

static ProtobufCFieldDescriptor wide_fields[2 * N_TYPES];
static const ProtobufCIntRange wide_ranges[] = { { 1, 0 }, { 0, 2 * N_TYPES } };
static ProtobufCMessageDescriptor wide_desc;

static void init_wide(ProtobufCMessage *message)
{
    memset(message, 0, sizeof(wide_t));
    message->descriptor = &wide_desc;
}

static void make_wide_descriptor(void)
{
    static const ProtobufCType types[N_TYPES] = {
        PROTOBUF_C_TYPE_INT32, PROTOBUF_C_TYPE_SINT32, PROTOBUF_C_TYPE_SFIXED32,
        PROTOBUF_C_TYPE_INT64, PROTOBUF_C_TYPE_SINT64, PROTOBUF_C_TYPE_SFIXED64,
        PROTOBUF_C_TYPE_UINT32, PROTOBUF_C_TYPE_FIXED32, PROTOBUF_C_TYPE_UINT64,
        PROTOBUF_C_TYPE_FIXED64, PROTOBUF_C_TYPE_FLOAT, PROTOBUF_C_TYPE_DOUBLE,
        PROTOBUF_C_TYPE_BOOL, PROTOBUF_C_TYPE_ENUM,
    };
    for (unsigned i = 0; i < 2 * N_TYPES; i++) {
        unsigned t = i / 2;
        bool many = i % 2;
        wide_fields[i] = (ProtobufCFieldDescriptor){
            .name = "field", .id = i + 1, .type = types[t],
            .label = many ? PROTOBUF_C_LABEL_REPEATED : PROTOBUF_C_LABEL_NONE,
            .quantifier_offset = (unsigned)(many ? offsetof(wide_t, n[t]) : 0),
            .offset = (unsigned)(many ? offsetof(wide_t, many[t]) : offsetof(wide_t, one[t])),
            .flags = many ? PROTOBUF_C_FIELD_FLAG_PACKED : 0,
        };
    }
    wide_desc = (ProtobufCMessageDescriptor){
        .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC, .name = "test.Wide", .short_name = "Wide",
        .c_name = "wide_t", .package_name = "test", .sizeof_message = sizeof(wide_t),
        .n_fields = 2 * N_TYPES, .fields = wide_fields, .n_field_ranges = 1,
        .field_ranges = wide_ranges, .message_init = init_wide,
    };
}

static size_t wire_size(ProtobufCType type)
{
    switch ((int)type) {
    case PROTOBUF_C_TYPE_SFIXED32: case PROTOBUF_C_TYPE_FIXED32: case PROTOBUF_C_TYPE_FLOAT:
        return 4;
    case PROTOBUF_C_TYPE_SFIXED64: case PROTOBUF_C_TYPE_FIXED64: case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    default:
        return 0;
    }
}

static void put_number(buf_t *buf, ProtobufCType type, uint64_t v)
{
    if (wire_size(type))
        buf_add(buf, &v, wire_size(type));
    else
        put_varint(buf, type == PROTOBUF_C_TYPE_BOOL ? v & 1 : v);
}

static void every_number_type_reads_as_protobuf_c_reads_it(void **state)
{
    fixture_t *fx = *state;
    static const uint64_t values[] = { 0, 1, 127, 128, 0x7fffffff, 0x80000000, UINT32_MAX,
                                       INT64_MAX, (uint64_t)INT64_MIN, UINT64_MAX };
    make_wide_descriptor();
    buf_scoped packed;
    buf_init(&packed, 0);
    for (unsigned i = 0; i < 2 * N_TYPES; i++) {
        ProtobufCType type = wide_fields[i].type;
        static const unsigned wires[9] = { [0] = VARINT, [4] = FIXED32, [8] = FIXED64 };
        buf_reset(&packed);
        for (size_t v = 0; v < ARRAY_LEN(values); v++) {
            put_tag(&fx->buf, i + 1, wires[wire_size(type)]);   /* singular: the last wins */
            put_number(&fx->buf, type, values[v] ^ i);
            put_number(&packed, type, values[v] + i);
        }
        if (i % 2)
            put_message(&fx->buf, i + 1, &packed);
    }
    wide_t *ours = NULL;
    assert_int_equal(unpack(fx, &wide_desc, &ours), OK);
    wide_t *theirs =
        (wide_t *)protobuf_c_message_unpack(&wide_desc, NULL, fx->buf.len, fx->buf.ptr);
    assert_non_null(theirs);
    for (unsigned t = 0; t < N_TYPES; t++) {
        assert_true(ours->one[t] == theirs->one[t]);
        assert_int_equal(ours->n[t], 2 * ARRAY_LEN(values));
        assert_int_equal(theirs->n[t], ours->n[t]);
    }
    buf_scoped a, b;
    buf_init(&a, 0), buf_init(&b, 0);
    assert_int_equal(wire_pack(&fx->ctx, &ours->base, &a), OK);
    assert_int_equal(wire_pack(&fx->ctx, &theirs->base, &b), OK);
    assert_true(view_eq(buf_view(&a), buf_view(&b)));
    protobuf_c_message_free_unpacked(&theirs->base, NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_insert_survives_the_trip),
        T(borrowed_bytes_lie_in_the_input),
        T(nothing_is_an_empty_message),
        T(unknown_fields_are_skipped),
        T(packed_and_single_numbers_mix),
        T(the_last_of_a_oneof_and_of_a_scalar_wins),
        T(broken_framing_is_refused),
        T(lengths_that_lie_are_refused),
        T(broken_packed_numbers_are_refused),
        T(bad_text_is_refused),
        T(a_single_message_given_twice_is_refused),
        T(depth_has_an_end),
        T(a_million_empty_messages_are_refused),
        T(repetition_costs_nothing),
        T(every_truncation_is_harmless),
        T(every_fault_is_reported),
        T(packing_into_a_full_buffer_says_so),
        T(every_number_type_reads_as_protobuf_c_reads_it),
    };
    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
