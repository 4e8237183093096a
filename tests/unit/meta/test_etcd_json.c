/* etcd_json: base64 there and back for every length, known vectors, ends of
 * ranges, left-out fields, and answers that are not what etcd sends. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "core/meta/etcd_json.h"

static err_t s_read(ctx_t *ctx, const char *text, size_t skip, meta_item_t *ret)
{
    json_auto_t *kv = json_loads(text, 0, NULL);
    assert_non_null(kv);
    return etcd_read_item(ctx, kv, skip, ret);
}

static void bytes_survive_base64(void **state)
{
    (void)state;
    for (size_t len = 0; len < 300; len++) {
        ctx_t ctx;
        ctx_init(&ctx);
        uint8_t bytes[300];
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)(i * 89 + len);
        size_t cut = len / 3;
        buf_scoped kv;
        buf_init(&kv, 0);
        buf_add_str(&kv, "{\"key\":\"aw==\",\"value\":");
        etcd_add_bytes(&kv, view_of(bytes, cut), view_of(bytes + cut, len - cut));
        buf_add_str(&kv, "}");
        meta_item_t item;
        assert_int_equal(s_read(&ctx, buf_str(&kv), 0, &item), OK);
        assert_string_equal(item.key, "k");
        assert_true(view_eq(item.value, view_of(bytes, len)));
        ctx_fini(&ctx);
    }
}

static void base64_is_the_one_of_the_rfc(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {       /* RFC 4648, section 10 */
        { "", "\"\"" }, { "f", "\"Zg==\"" }, { "fo", "\"Zm8=\"" }, { "foo", "\"Zm9v\"" },
        { "foob", "\"Zm9vYg==\"" }, { "fooba", "\"Zm9vYmE=\"" }, { "foobar", "\"Zm9vYmFy\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        buf_scoped text;
        buf_init(&text, 0);
        etcd_add_bytes(&text, view_str(vectors[i][0]), (view_t){0});
        assert_string_equal(buf_str(&text), vectors[i][1]);
    }
}

static void a_prefix_ends_before_its_successor(void **state)
{
    (void)state;
    static const char *const cases[][3] = {         /* root, prefix, end */
        { "r/", "", "r0" }, { "r/", "a", "r/b" }, { "r/", "a\xff", "r/b" },
        { "r/", "\xff\xff", "r0" }, { "r/", "a\x7f", "r/a\x80" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_scoped text, expected;
        buf_init(&text, 0);
        buf_init(&expected, 0);
        etcd_add_range(&text, cases[i][0], cases[i][1], true);
        buf_add_str(&expected, "\"key\":");
        etcd_add_bytes(&expected, view_str(cases[i][0]), view_str(cases[i][1]));
        buf_add_str(&expected, ",\"range_end\":");
        etcd_add_bytes(&expected, view_str(cases[i][2]), (view_t){0});
        assert_string_equal(buf_str(&text), buf_str(&expected));
    }
}

static void numbers_come_in_two_shapes_or_not_at_all(void **state)
{
    (void)state;
    json_auto_t *object = json_loads(
        "{\"a\":\"9223372036854775807\",\"b\":17,\"c\":null,\"d\":\"x\",\"t\":\"text\"}", 0, NULL);
    assert_int_equal(etcd_int(object, "a"), INT64_MAX);
    assert_int_equal(etcd_int(object, "b"), 17);
    assert_int_equal(etcd_int(object, "c"), 0);
    assert_int_equal(etcd_int(object, "d"), 0);
    assert_int_equal(etcd_int(object, "none"), 0);
    assert_int_equal(etcd_int(NULL, "none"), 0);
    assert_string_equal(etcd_text(object, "t"), "text");
    assert_string_equal(etcd_text(object, "b"), "");
    assert_string_equal(etcd_text(NULL, "t"), "");
}

static void strange_answers_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"key\":\"a\"}", "{\"key\":\"a-==\"}", "{\"key\":\"YWFh=YWE\"}", "{\"key\":17}",
        "{\"key\":\"ci9r\",\"value\":\"?\"}", "{\"value\":\"YQ==\"}",
        "{\"key\":\"cg==\"}", "{\"key\":\"ci8AAA==\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ctx_t ctx;
        ctx_init(&ctx);
        meta_item_t item = { .mod_rev = -7 };
        assert_int_equal(s_read(&ctx, bad[i], 2, &item), ERR_MALFORMED);
        assert_int_equal(item.mod_rev, -7);
        ctx_fini(&ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_survive_base64),
        cmocka_unit_test(base64_is_the_one_of_the_rfc),
        cmocka_unit_test(a_prefix_ends_before_its_successor),
        cmocka_unit_test(numbers_come_in_two_shapes_or_not_at_all),
        cmocka_unit_test(strange_answers_are_refused),
    };
    return cmocka_run_group_tests_name("etcd_json", tests, NULL, NULL);
}
