/* envelope: what goes in comes out; what strangers send is refused, whatever it is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/rng.h"
#include "core/wire/envelope.h"
#include "elanus.pb-c.h"

typedef struct {
    ctx_t ctx;
    envelope_room_t room;
    uint8_t bytes[LIMIT_NET_ENVELOPE_BYTES];
} fixture_t;

static int fixture_up(void **state)
{
    fixture_t *fx = mem_new(sizeof *fx);
    ctx_init(&fx->ctx);
    *state = fx;
    return 0;
}

static int fixture_down(void **state)
{
    fixture_t *fx = *state;
    ctx_fini(&fx->ctx);
    mem_free(fx);
    return 0;
}

static err_t s_unpack(fixture_t *fx, size_t len, envelope_t *ret)
{
    return envelope_unpack(&fx->ctx, view_of(fx->bytes, len), &fx->room, ret);
}

static envelope_t s_hello(void)
{
    return (envelope_t){ .type = ENVELOPE_HELLO, .has_hello = true, .hello = {
        .cluster = "elanus", .version = "1.2.3", .role = "coord", .node_id = 7,
        .incarnation = UINT64_MAX } };
}

static void what_goes_in_comes_out(void **state)
{
    fixture_t *fx = *state;
    envelope_t in = { .type = ENVELOPE_REPLY, .kind = 3, .request_id = UINT64_MAX, .trace = 1,
                      .epoch = 2, .error = ERR_MOVED, .error_text = "to node 5" }, out;
    assert_int_equal(s_unpack(fx, envelope_pack(&in, fx->bytes), &out), OK);
    assert_int_equal(out.type, ENVELOPE_REPLY);
    assert_int_equal(out.kind, 3);
    assert_true(out.request_id == UINT64_MAX);
    assert_int_equal(out.trace, 1);
    assert_int_equal(out.epoch, 2);
    assert_int_equal(out.error, ERR_MOVED);
    assert_string_equal(out.error_text, "to node 5");
    assert_false(out.has_hello);

    in = s_hello();
    assert_int_equal(s_unpack(fx, envelope_pack(&in, fx->bytes), &out), OK);
    assert_true(out.has_hello);
    assert_string_equal(out.hello.cluster, "elanus");
    assert_string_equal(out.hello.version, "1.2.3");
    assert_string_equal(out.hello.role, "coord");
    assert_int_equal(out.hello.node_id, 7);
    assert_true(out.hello.incarnation == UINT64_MAX);
    assert_string_equal(out.error_text, "");
}

static void long_texts_are_cut(void **state)
{
    fixture_t *fx = *state;
    char text[3 * LIMIT_NET_TEXT_BYTES];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    envelope_t in = { .type = ENVELOPE_REPLY, .request_id = 1, .error = ERR_STORE,
                      .error_text = text }, out;
    assert_int_equal(s_unpack(fx, envelope_pack(&in, fx->bytes), &out), OK);
    assert_int_equal(strlen(out.error_text), LIMIT_NET_TEXT_BYTES);
}

/* A message put together by the generated code, field by field wrong. */
static void wrong_fields_are_refused(void **state)
{
    fixture_t *fx = *state;
    char long_name[LIMIT_NAME_BYTES + 2];
    memset(long_name, 'n', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    Elanus__Hello hello = ELANUS__HELLO__INIT, odd = ELANUS__HELLO__INIT;
    odd.role = long_name;
    Elanus__Envelope base = ELANUS__ENVELOPE__INIT;
    base.version = ENVELOPE_LAYOUT;
    struct { Elanus__Envelope message; err_t err; } rows[8];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rows[i].message = base;
        rows[i].err = ERR_MALFORMED;
    }
    rows[0].message.type = 0;
    rows[1].message.type = ENVELOPE_BYE + 1;
    rows[2].message.type = ENVELOPE_CALL;               /* without an id */
    rows[3].message.type = ENVELOPE_HELLO;              /* without a name */
    rows[4].message.type = ENVELOPE_WELCOME;
    rows[4].message.hello = &odd;
    rows[5].message.type = ENVELOPE_PING;
    rows[5].message.deadline_ms = INT64_MAX;
    rows[6].message.type = ENVELOPE_PING;
    rows[6].message.version = 2;
    rows[6].err = ERR_VERSION;
    rows[7].message.type = ENVELOPE_HELLO;
    rows[7].message.hello = &hello;
    rows[7].err = OK;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        envelope_t out;
        size_t len = elanus__envelope__pack(&rows[i].message, fx->bytes);
        assert_int_equal(s_unpack(fx, len, &out), rows[i].err);
    }
    assert_non_null(strstr(fx->ctx.text, "layout 2"));
    envelope_t out;
    assert_int_equal(envelope_unpack(&fx->ctx, (view_t){0}, &fx->room, &out), ERR_MALFORMED);
    view_t too_long = view_of(fx->room.bytes, LIMIT_NET_ENVELOPE_BYTES + 1);
    assert_int_equal(envelope_unpack(&fx->ctx, too_long, &fx->room, &out), ERR_MALFORMED);
}

/* Unknown fields make protobuf-c copy; many small ones use the room up, not the heap. */
static void the_room_is_all_there_is(void **state)
{
    fixture_t *fx = *state;
    envelope_t in = { .type = ENVELOPE_PING }, out;
    size_t len = envelope_pack(&in, fx->bytes);
    while (len + 3 <= LIMIT_NET_ENVELOPE_BYTES) {
        memcpy(fx->bytes + len, "\xf8\x06\x01", 3);     /* field 111, varint 1 */
        len += 3;
    }
    assert_int_equal(s_unpack(fx, len, &out), ERR_MALFORMED);
}

/* Every cut, every flipped bit and a lot of noise: read or refused, under asan. */
static void noise_does_no_harm(void **state)
{
    fixture_t *fx = *state;
    envelope_t in = s_hello(), out;
    in.error_text = "why not";
    size_t len = envelope_pack(&in, fx->bytes);
    for (size_t cut = 0; cut < len; cut++) {
        err_t err = s_unpack(fx, cut, &out);
        assert_true(err == OK || err == ERR_MALFORMED);
    }
    for (size_t bit = 0; bit < len * 8; bit++) {
        fx->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        err_t err = s_unpack(fx, len, &out);
        assert_true(err == OK || err == ERR_MALFORMED || err == ERR_VERSION);
        fx->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    rng_t rng;
    rng_seed(&rng, 9);
    for (int round = 0; round < 20000; round++) {
        size_t n = rng_below(&rng, 100);
        for (size_t i = 0; i < n; i++)
            fx->bytes[i] = (uint8_t)rng_u64(&rng);
        err_t err = s_unpack(fx, n, &out);
        assert_true(err == OK || err == ERR_MALFORMED || err == ERR_VERSION);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_up, fixture_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_goes_in_comes_out),
        T(long_texts_are_cut),
        T(wrong_fields_are_refused),
        T(the_room_is_all_there_is),
        T(noise_does_no_harm),
    };
    return cmocka_run_group_tests_name("envelope", tests, NULL, NULL);
}
