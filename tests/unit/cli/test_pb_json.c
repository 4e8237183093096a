/* pb_json: proto3's JSON of our messages, and metadata values by their keys */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cli/pb_json.h"
#include "cli/show.h"
#include "core/wire/pb.h"
#include "elanus.pb-c.h"

static const char *s_dump(ctx_t *ctx, json_t *root)
{
    buf_scoped text = {0};
    show_json(root, JSON_COMPACT, &text);
    json_decref(root);
    text.len--;
    return ctx_strdup(ctx, buf_str(&text));
}

static void values_are_proto3_json(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    Elanus__Seal seal = ELANUS__SEAL__INIT;
    seal.pchannel = "ch";
    seal.epoch = UINT64_MAX;
    seal.hash = (ProtobufCBinaryData){ 2, (uint8_t *)"\x0f\xa0" };
    assert_string_equal(s_dump(&ctx, pb_json(&ctx, &seal.base)),
                        "{\"pchannel\":\"ch\",\"epoch\":\"18446744073709551615\",\"end\":\"0\","
                        "\"max_ts\":\"0\",\"hash\":\"0fa0\"}");
    Elanus__NodeStatus status = ELANUS__NODE_STATUS__INIT;
    status.cpu_percent = 12.5;
    const char *text = s_dump(&ctx, pb_json(&ctx, &status.base));
    assert_non_null(strstr(text, "\"cpu_percent\":12.5"));
    status.cpu_percent = 0.0 / 0.0;
    assert_non_null(strstr(s_dump(&ctx, pb_json(&ctx, &status.base)), "\"cpu_percent\":\"NaN\""));
    ctx_fini(&ctx);
}

static void messages_lie_in_messages(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    Elanus__Collection collection = ELANUS__COLLECTION__INIT;
    Elanus__Field field = ELANUS__FIELD__INIT;
    Elanus__Pair pair = ELANUS__PAIR__INIT;
    Elanus__Field *fields[] = { &field, &field };
    Elanus__Pair *pairs[] = { &pair };
    char *channels[] = { "a", "b" };
    pair.key = "dim", pair.value = "8";
    field.name = "vec", field.n_type_params = 1, field.type_params = pairs;
    field.primary_key = true;
    collection.n_fields = 2, collection.fields = fields;
    collection.n_vchannels = 2, collection.vchannels = channels;
    json_t *root = pb_json(&ctx, &collection.base);
    const json_t *second = json_array_get(json_object_get(root, "fields"), 1);
    const json_t *param = json_array_get(json_object_get(second, "type_params"), 0);
    assert_string_equal(show_text(param, "value"), "8");
    assert_true(json_is_true(json_object_get(second, "primary_key")));
    assert_null(json_object_get(second, "auto_id"));
    assert_int_equal(json_array_size(json_object_get(root, "vchannels")), 2);
    assert_string_equal(show_text(root, "state"), "COLLECTION_LIVE");
    json_decref(root);
    ctx_fini(&ctx);
}

static void a_key_tells_what_its_value_is(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    Elanus__Owner owner = ELANUS__OWNER__INIT;
    owner.pchannel = "ch";
    owner.state = ELANUS__OWNER_STATE__OWNER_ACTIVE;
    view_t bytes = pb_pack(&ctx, &owner);
    const char *type = NULL;
    json_t *root = pb_json_meta(&ctx, "owner/ch", bytes, &type);
    assert_string_equal(type, "Owner");
    assert_string_equal(show_text(root, "state"), "OWNER_ACTIVE");
    json_decref(root);

    root = pb_json_meta(&ctx, "owner/ch", view_of(bytes.ptr, 2), &type);
    assert_string_equal(show_text(root, "hex"), show_hex(&ctx, view_of(bytes.ptr, 2), 2));
    assert_non_null(strstr(show_text(root, "damage"), "Owner"));
    json_decref(root);

    root = pb_json_meta(&ctx, "strange/key", view_str("ab"), &type);
    assert_string_equal(show_text(root, "hex"), "6162");
    assert_string_equal(type, "");
    json_decref(root);

    uint64_t number = 7;
    assert_string_equal(s_dump(&ctx, pb_json_meta(&ctx, "id/node", view_of(&number, 8), &type)),
                        "\"7\"");
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_proto3_json),
        cmocka_unit_test(messages_lie_in_messages),
        cmocka_unit_test(a_key_tells_what_its_value_is),
    };
    return cmocka_run_group_tests_name("pb_json", tests, NULL, NULL);
}
