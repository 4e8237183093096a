/* jsonpath: numbers come out as strtod has them, paths find what is there, damage is survived;
 * like: patterns that would blow up a matcher that comes back to every % do not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/rng.h"
#include "core/expr/jsonpath.h"
#include "core/expr/like.h"

static void decimals_are_exact(void **state)
{
    (void)state;
    rng_t rng;
    rng_seed(&rng, 11);
    for (int i = 0; i < 50000; i++) {
        char text[64];
        unsigned long long whole = rng_below(&rng, 3) ? rng_below(&rng, 100000) : rng_u64(&rng);
        int digits = (int)rng_below(&rng, 12) + 1;
        unsigned long long part = rng_below(&rng, 100000);
        snprintf(text, sizeof text, "%s%llu.%0*llu%s", rng_chance(&rng, 0.5) ? "-" : "", whole,
                 digits, part, rng_below(&rng, 9) ? "" : "e-3");
        buf_scoped scratch = {0};
        json_value_t v;
        assert_true(jsonpath_find(view_str(text), NULL, 0, &scratch, &v));
        assert_int_equal(v.kind, JSON_DOUBLE);
        double want = strtod(text, NULL);
        assert_memory_equal(&v.d, &want, sizeof want);
    }
}

static void integers_keep_all_bits(void **state)
{
    (void)state;
    static const struct { const char *text; json_kind_t kind; int64_t i; } cases[] = {
        { "0", JSON_INT, 0 }, { "-7", JSON_INT, -7 },
        { "9007199254740993", JSON_INT, (1ll << 53) + 1 },
        { "9223372036854775807", JSON_INT, INT64_MAX },
        { "-9223372036854775808", JSON_INT, INT64_MIN },
        { "9223372036854775808", JSON_DOUBLE, 0 }, { "1e2", JSON_DOUBLE, 0 },
        { "2.0", JSON_DOUBLE, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_scoped scratch = {0};
        json_value_t v;
        assert_true(jsonpath_find(view_str(cases[i].text), NULL, 0, &scratch, &v));
        assert_int_equal(v.kind, cases[i].kind);
        if (v.kind == JSON_INT)
            assert_int_equal(v.i, cases[i].i);
    }
}

/* Every prefix of a text, and every text with one byte changed, from memory of just that size. */
static void damage_is_survived(void **state)
{
    (void)state;
    static const char whole[] =
        "{\"a\\u0041\":[1,-2.5e3,\"x\\n\\ud83d\\ude00\",{\"b\":[true,null]}],\"k\":{\"a\":false}}";
    const view_t path[] = { view_str("aA"), view_str("3"), view_str("b"), view_str("1") };
    rng_t rng;
    rng_seed(&rng, 5);
    buf_scoped scratch = {0};
    json_value_t v;
    assert_true(jsonpath_find(view_str(whole), path, 4, &scratch, &v));
    assert_int_equal(v.kind, JSON_NULL);
    for (size_t i = 0; i < 4 * sizeof whole; i++) {
        size_t len = i < sizeof whole ? i : sizeof whole - 1;
        uint8_t *copy = malloc(len + 1);
        memcpy(copy, whole, len);
        if (i >= sizeof whole)
            copy[rng_below(&rng, len)] = (uint8_t)"\"\\{}[],:0u"[rng_below(&rng, 10)];
        uint8_t *exact = realloc(copy, len ? len : 1);
        for (size_t n = 0; n <= 4; n++) {
            if (!jsonpath_find(view_of(exact, len), path, n, &scratch, &v))
                continue;
            view_t text;
            json_value_t element;
            if (v.kind == JSON_STRING)
                (void)jsonpath_string(&v, &scratch, &text);
            for (size_t at = 0; v.kind == JSON_ARRAY && jsonpath_next(v.raw, &at, &element); )
                assert_true(at <= v.raw.len);
        }
        free(exact);
    }
}

static void surrogates_become_one_character(void **state)
{
    (void)state;
    buf_scoped scratch = {0};
    json_value_t v;
    view_t text;
    assert_true(jsonpath_find(view_str("\"\\ud83d\\ude00 \\ud800x\\/\""), NULL, 0, &scratch, &v));
    assert_true(jsonpath_string(&v, &scratch, &text));
    assert_true(view_eq(text, view_str("\xf0\x9f\x98\x80 \xef\xbf\xbdx/")));
}

static void many_percents_do_not_blow_up(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    buf_scoped pattern = {0}, text = {0};
    for (int i = 0; i < 200; i++)
        buf_add_str(&pattern, "%a_");
    buf_add_str(&pattern, "b");
    for (int i = 0; i < 20000; i++)
        buf_add_str(&text, "a");
    like_t like;
    assert_int_equal(like_compile(&ctx, buf_view(&pattern), &like), OK);
    assert_int_equal(like.kind, LIKE_GENERAL);
    assert_false(like_match(&like, buf_view(&text)));
    buf_add_str(&text, "b");
    assert_true(like_match(&like, buf_view(&text)));
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimals_are_exact), cmocka_unit_test(integers_keep_all_bits),
        cmocka_unit_test(damage_is_survived), cmocka_unit_test(surrogates_become_one_character),
        cmocka_unit_test(many_percents_do_not_blow_up),
    };
    return cmocka_run_group_tests_name("jsonpath", tests, NULL, NULL);
}
