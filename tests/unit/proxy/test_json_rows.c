/* json_rows: rows of JSON become the messages that gRPC clients send, which become columns; what
 * is no row or no value of its field is refused. */
#include <stdio.h>

#include "core/base/fault.h"
#include "proxy/json_rows.h"
#include "tests/support/field_data.h"

static err_t s_read(ctx_t *ctx, schema_t *schema, bool upsert, const char *text, rows_t *ret)
{
    json_t *data = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(data);
    rows_input_t in = { .kind = upsert ? ROWS_UPSERT : ROWS_INSERT, .schema = schema };
    Schema__FieldData **fields = NULL;
    err_t err = json_rows(ctx, data, schema, upsert, &fields, &in.n_data, &in.n_rows);
    in.data = fields;
    if (err == OK)
        err = rows_read(ctx, &in, ret);
    json_decref(data);
    return err;
}

static rows_t s_take(schema_t *schema, const char *text)
{
    rows_t rows = {0};
    if (s_read(&fd_ctx, schema, false, text, &rows) != OK)
        fail_msg("refused: %s", fd_ctx.text);
    return rows;
}

static void s_is_refused(schema_t *schema, const char *text, const char *why)
{
    ctx_t ctx;
    ctx_init(&ctx);
    rows_t rows;
    err_t err = s_read(&ctx, schema, false, text, &rows);
    char want[256];
    snprintf(want, sizeof want, "fail to deal the insert data, error: %s", why);
    assert_string_equal(err == OK ? "taken" : ctx.text, want);
    assert_int_equal(err, ERR_REST_INSERT);
    ctx_fini(&ctx);
}

static void members_become_cells(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(
        { .name = "b", .type = TYPE_BOOL }, { .name = "i", .type = TYPE_INT8 },
        { .name = "f", .type = TYPE_FLOAT }, { .name = "d", .type = TYPE_DOUBLE },
        { .name = "s", .type = TYPE_VARCHAR, .max_length = 8 }, { .name = "j", .type = TYPE_JSON },
        { .name = "a", .type = TYPE_ARRAY, .element = TYPE_VARCHAR, .max_capacity = 4,
          .max_length = 4 });
    rows_t rows = s_take(schema,
        "[{\"id\":9007199254740993,\"b\":true,\"i\":-7,\"f\":1.5,\"d\":2,\"s\":\"kite\","
        "\"j\":{\"k\":[1]},\"a\":[\"x\",\"y\"]},"
        "{\"id\":\"-9007199254740993\",\"b\":\"false\",\"i\":\"7\",\"f\":\"2.5\",\"d\":\"1e3\","
        "\"s\":12,\"j\":\"{\\\"k\\\":2}\",\"a\":[]}]");
    CELL(&rows.columns[0], 0, int64_t, 9007199254740993);
    CELL(&rows.columns[0], 1, int64_t, -9007199254740993);
    CELL(&rows.columns[1], 0, uint8_t, 1);
    CELL(&rows.columns[1], 1, uint8_t, 0);
    CELL(&rows.columns[2], 0, int8_t, -7);
    CELL(&rows.columns[2], 1, int8_t, 7);
    CELL(&rows.columns[3], 1, float, 2.5f);
    CELL(&rows.columns[4], 1, double, 1000);
    fd_text_is(&rows.columns[5], 0, "kite");
    fd_text_is(&rows.columns[5], 1, "12");
    fd_text_is(&rows.columns[6], 0, "{\"k\":[1]}");
    fd_text_is(&rows.columns[6], 1, "{\"k\":2}");
    fd_cell_is(&rows.columns[7], 0, "\2\0\0\0\1\0\0\0x\1\0\0\0y", 14);
}

static void a_string_that_is_no_json_is_a_json_string(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA({ .name = "j", .type = TYPE_JSON });
    rows_t rows = s_take(schema, "{\"id\":1,\"j\":\"black kite\"}");
    fd_text_is(&rows.columns[1], 0, "\"black kite\"");
}

static void vectors_of_every_kind_become_cells(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(
        fd_vec, { .name = "bin", .type = TYPE_BINARY_VECTOR, .dim = 16 },
        { .name = "f16", .type = TYPE_FLOAT16_VECTOR, .dim = 2 },
        { .name = "i8", .type = TYPE_INT8_VECTOR, .dim = 2 },
        { .name = "sp", .type = TYPE_SPARSE_VECTOR });
    rows_t rows = s_take(schema,
        "[{\"id\":1,\"vec\":[1,2],\"bin\":\"YWI=\",\"f16\":[1,2],\"i8\":[1,-2],\"sp\":{\"7\":0.5}},"
        "{\"id\":2,\"vec\":[3,4.5],\"bin\":\"Y2Q=\",\"f16\":[0,1],\"i8\":[0,0],\"sp\":{}}]");
    fd_cell_is(&rows.columns[1], 1, (const float[]){ 3, 4.5f }, 8);
    fd_cell_is(&rows.columns[2], 1, "cd", 2);
    fd_cell_is(&rows.columns[3], 0, "\0\x3c\0\x40", 4);
    fd_cell_is(&rows.columns[4], 0, "\1\xfe", 2);
    fd_cell_is(&rows.columns[5], 0, &(fd_pair_t){ 7, 0.5f }, 8);
    fd_cell_is(&rows.columns[5], 1, "", 0);
}

static void other_members_go_into_the_dynamic_field(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(fd_vec, fd_meta);
    rows_t rows = s_take(schema,
        "[{\"id\":1,\"vec\":[1,2],\"c\":\"red\",\"n\":null,\"o\":{\"id\":2}},"
        "{\"id\":2,\"vec\":[1,2]}]");
    fd_text_is(&rows.columns[2], 0, "{\"c\":\"red\",\"o\":{\"id\":2}}");
    fd_text_is(&rows.columns[2], 1, "{}");
    owned(schema) strict = SCHEMA(fd_vec);
    s_is_refused(strict, "{\"id\":1,\"vec\":[1,2],\"c\":1}",
                 "has pass more field without dynamic schema, please check it");
}

static void what_is_left_out_is_null(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA({ .name = "s", .type = TYPE_VARCHAR, .max_length = 8,
                                    .nullable = true }, fd_vec);
    rows_t rows = s_take(schema, "[{\"id\":1,\"vec\":[1,2]},{\"id\":2,\"vec\":[1,2],\"s\":\"a\"},"
                                 "{\"id\":3,\"vec\":[1,2],\"s\":null}]");
    const column_t *s = &rows.columns[1];
    assert_true(column_is_null(s, 0) && !column_is_null(s, 1) && column_is_null(s, 2));
    s_is_refused(schema, "{\"id\":1}", "missing vector field: vec: invalid parameter");
    s_is_refused(schema, "{\"vec\":[1,2]}", "row 0 does not has field id");
}

static void values_of_other_types_are_refused(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA({ .name = "i", .type = TYPE_INT8 });
    owned(schema) bools = SCHEMA({ .name = "b", .type = TYPE_BOOL });
    owned(schema) automatic = fd_schema(fd_auto_id, &fd_vec, 1);
#define AS(type, value) "cannot use it as " type ": invalid parameter[expected=" type "][actual=" \
                        value "]"
    s_is_refused(schema, "[1]", "a row has to be an object: invalid parameter[expected=JSON]");
    s_is_refused(schema, "{\"id\":1,\"i\":1.5}", AS("Int8", "1.5"));
    s_is_refused(schema, "{\"id\":1,\"i\":\"7x\"}", AS("Int8", "\"7x\""));
    s_is_refused(schema, "{\"id\":1,\"i\":\"\"}", AS("Int8", "\"\""));
    s_is_refused(schema, "{\"id\":1,\"i\":3000000000}", AS("Int8", "3000000000"));
    s_is_refused(schema, "{\"id\":\"99999999999999999999\",\"i\":1}",
                 AS("Int64", "\"99999999999999999999\""));
    s_is_refused(bools, "{\"id\":1,\"b\":2}", AS("Bool", "2"));
    s_is_refused(automatic, "{\"id\":1,\"vec\":[1,2]}",
                 "set primary key but autoID == true: invalid parameter");
    rows_t rows = {0};
    assert_int_equal(s_read(&fd_ctx, automatic, true, "{\"id\":\"4\",\"vec\":[1,2]}", &rows), OK);
    CELL(rows.replaced, 0, int64_t, 4);
}

static void every_fault_is_told(void **state)
{
    (void)state;
    owned(schema) schema = SCHEMA(
        fd_vec, { .name = "sp", .type = TYPE_SPARSE_VECTOR },
        { .name = "n", .type = TYPE_INT32, .nullable = true },
        { .name = "a", .type = TYPE_ARRAY, .element = TYPE_INT8, .max_capacity = 4 }, fd_meta);
    for (int nth = 0; ; nth++) {
        ctx_t ctx;
        ctx_init(&ctx);
        rows_t rows = {0};
        fault_arm(nth);
        err_t err = s_read(&ctx, schema, false, "{\"id\":1,\"vec\":[1,2],\"sp\":{\"1\":2},"
                                                "\"n\":5,\"a\":[1],\"x\":2}", &rows);
        bool fired = fault_disarm();
        ctx_fini(&ctx);
        assert_int_equal(err, fired ? ERR_MEMORY : OK);
        if (!fired) {
            assert_true(nth >= 12);
            return;
        }
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, fd_up, fd_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(members_become_cells), T(a_string_that_is_no_json_is_a_json_string),
        T(vectors_of_every_kind_become_cells), T(other_members_go_into_the_dynamic_field),
        T(what_is_left_out_is_null), T(values_of_other_types_are_refused), T(every_fault_is_told),
    };
    return cmocka_run_group_tests_name("json_rows", tests, NULL, NULL);
}
