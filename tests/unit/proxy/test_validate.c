/* validate: each rule of names, schemas and indexes, with the code and text that
 * Milvus gives.  Method: a schema that is fine, spoilt in one place per row. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/limits.h"
#include "core/schema/schema.h"
#include "proxy/translate.h"
#include "proxy/validate.h"
#include "proxy/validate_index.h"

static ctx_t s_ctx;

static int s_up(void **state)
{
    (void)state;
    ctx_init(&s_ctx);
    return 0;
}

static int s_down(void **state)
{
    (void)state;
    ctx_fini(&s_ctx);
    return 0;
}

/* Code and text of the last refusal. */
static void s_refused(err_t err, int code, const char *text)
{
    assert_int_equal(err_code(err), code);
    assert_string_equal(s_ctx.text, text);
}

static const char *s_long(size_t len)
{
    char *name = ctx_new(&s_ctx, len + 1);
    memset(name, 'a', len);
    return name;
}

/* --- names ----------------------------------------------------------------------------- */

static void names_of_collections(void **state)
{
    (void)state;
    assert_int_equal(validate_collection_name(&s_ctx, "name", "_a1"), OK);
    assert_int_equal(validate_collection_name(&s_ctx, "name", s_long(255)), OK);
    s_refused(validate_collection_name(&s_ctx, "name", ""), 1100,
              "collection name should not be empty: invalid parameter");
    s_refused(validate_collection_name(&s_ctx, "name", "1a"), 1100,
              "Invalid collection name: 1a.  the first character of a collection name must be an "
              "underscore or letter: invalid parameter");
    s_refused(validate_collection_name(&s_ctx, "name", "a-b"), 1100,
              "Invalid collection name: a-b.  collection name can only contain numbers, letters "
              "and underscores: invalid parameter");
    s_refused(validate_collection_name(&s_ctx, "alias", "\xc3\xa4"), 1100,
              "Invalid collection alias: \xc3\xa4.  the first character of a collection alias must "
              "be an underscore or letter: invalid parameter");
    err_t err = validate_collection_name(&s_ctx, "name", s_long(256));
    assert_int_equal(err_code(err), 1100);
    assert_non_null(strstr(s_ctx.text, "the length of a collection name must be less than 255 "
                                       "characters: invalid parameter"));
}

static void names_of_the_rest(void **state)
{
    (void)state;
    s_refused(validate_database_name(&s_ctx, "1"), 802, "the first character of a database name "
              "must be an underscore or letter: invalid database name[database=1]");
    assert_int_equal(validate_partition_name(&s_ctx, "2024-01"), OK);
    s_refused(validate_partition_name(&s_ctx, ""), 65535,
              "Invalid partition name: . Partition name should not be empty.");
    s_refused(validate_partition_name(&s_ctx, "-a"), 65535, "Invalid partition name: -a. The first "
              "character of a partition name must be an underscore or letter.");
    s_refused(validate_partition_name(&s_ctx, "a b"), 65535, "Invalid partition name: a b. "
              "Partition name can only contain numbers, letters and underscores.");
    s_refused(validate_field_name(&s_ctx, "9x"), 1701, "Invalid field name: 9x. The first "
              "character of a field name must be an underscore or letter.: field name invalid"
              "[field=9x]");
    s_refused(validate_field_name(&s_ctx, "like"), 1701, "Invalid field name: like. like is "
              "keyword in milvus.: field name invalid[field=like]");
    assert_int_equal(validate_index_name(&s_ctx, ""), OK);
    assert_int_equal(validate_index_name(&s_ctx, "a.b"), ERR_UNEXPECTED);
}

/* --- schemas ---------------------------------------------------------------------------- */

typedef struct {
    Milvus__CreateCollectionRequest request;
    Schema__CollectionSchema schema;
    Schema__FieldSchema fields[80], *list[80];
} made_t;

static Schema__FieldSchema *s_add(made_t *made, const char *name, int type)
{
    Schema__FieldSchema *field = &made->fields[made->schema.n_fields];
    schema__field_schema__init(field);
    field->name = name;
    field->data_type = (Schema__DataType)type;
    made->list[made->schema.n_fields++] = field;
    made->schema.fields = made->list;
    return field;
}

static void s_param(Schema__FieldSchema *field, const char *key, const char *value)
{
    Common__KeyValuePair *pair = ctx_new(&s_ctx, sizeof *pair);
    common__key_value_pair__init(pair);
    pair->key = key;
    pair->value = value;
    Common__KeyValuePair **pairs = ctx_new(&s_ctx, (field->n_type_params + 1) * sizeof *pairs);
    for (size_t i = 0; i < field->n_type_params; i++)
        pairs[i] = field->type_params[i];
    pairs[field->n_type_params++] = pair;
    field->type_params = pairs;
}

/* id Int64 primary key, vec FloatVector(8) */
static made_t *s_made(void)
{
    made_t *made = ctx_new(&s_ctx, sizeof *made);
    milvus__create_collection_request__init(&made->request);
    schema__collection_schema__init(&made->schema);
    made->request.collection_name = made->schema.name = "books";
    s_add(made, "id", TYPE_INT64)->is_primary_key = true;
    s_param(s_add(made, "vec", TYPE_FLOAT_VECTOR), "dim", "8");
    return made;
}

static err_t s_validate(const made_t *made)
{
    return validate_create(&s_ctx, &made->request, &made->schema);
}

static void counts_have_bounds(void **state)
{
    (void)state;
    made_t *made = s_made();
    assert_int_equal(s_validate(made), OK);
    made->request.shards_num = 17;
    s_refused(s_validate(made), 65535, "maximum shards's number should be limited to 16");
    made = s_made();
    for (int i = 0; i < 63; i++)
        s_add(made, ctx_printf(&s_ctx, "f%d", i), TYPE_BOOL);
    s_refused(s_validate(made), 65535, "maximum field's number should be limited to 64");
    made = s_made();
    for (int i = 0; i < 4; i++)
        s_param(s_add(made, ctx_printf(&s_ctx, "v%d", i), TYPE_FLOAT_VECTOR), "dim", "4");
    s_refused(s_validate(made), 65535, "maximum vector field's number should be limited to 4");
    made = s_made();
    made->schema.n_fields = 1;
    s_refused(s_validate(made), 1100, "schema does not contain vector field: invalid parameter");
}

static void keys_have_rules(void **state)
{
    (void)state;
    made_t *made = s_made();
    made->fields[0].is_primary_key = false;
    s_refused(s_validate(made), 65535, "primary key is not specified");
    made = s_made();
    s_add(made, "b", TYPE_INT64)->is_primary_key = true;
    s_refused(s_validate(made), 65535,
              "there are more than one primary key, field name = id, b");
    made = s_made();
    made->fields[0].data_type = SCHEMA__DATA_TYPE__Int32;
    s_refused(s_validate(made), 65535,
              "the data type of primary key should be Int64 or VarChar");
    made = s_made();
    s_add(made, "b", TYPE_INT64)->autoid = true;
    s_refused(s_validate(made), 65535,
              "only primary field can speficy AutoID with true, field name = b");
    made = s_made();
    made->fields[0].is_partition_key = true;
    s_refused(s_validate(made), 65535, "the partition key field must not be primary field");
    made = s_made();
    s_add(made, "b", TYPE_BOOL)->is_partition_key = true;
    s_refused(s_validate(made), 65535,
              "the data type of partition key should be Int64 or VarChar");
    made = s_made();
    made->request.num_partitions = 4;
    s_refused(s_validate(made), 65535,
              "num_partitions should only be specified with partition key field enabled");
    made = s_made();
    s_add(made, "id", TYPE_BOOL);
    s_refused(s_validate(made), 65535, "duplicated field name");
}

static void dimensions_have_bounds(void **state)
{
    (void)state;
    static const struct { int type; const char *dim, *text; } s_rows[] = {
        { TYPE_FLOAT_VECTOR, NULL, "dimension is not defined in field type params, check type "
                                   "param `dim` for vector field" },
        { TYPE_FLOAT_VECTOR, "1", "invalid dimension: 1. should be in range 2 ~ 32768" },
        { TYPE_FLOAT_VECTOR, "32769", "invalid dimension: 32769. float vector dimension should be "
                                      "in range 2 ~ 32768" },
        { TYPE_BINARY_VECTOR, "13", "invalid dimension: 13. binary vector dimension should be "
                                    "multiple of 8. " },
        { TYPE_BINARY_VECTOR, "262152", "invalid dimension: 262152. binary vector dimension should "
                                        "be in range 2 ~ 262144" },
        { TYPE_SPARSE_VECTOR, "8", "dim should not be specified for sparse vector field v(0)" },
        { TYPE_FLOAT_VECTOR, "8x", "strconv.ParseInt: parsing \"8x\": invalid syntax" },
    };
    for (size_t i = 0; i < ARRAY_LEN(s_rows); i++) {
        made_t *made = s_made();
        Schema__FieldSchema *field = s_add(made, "v", s_rows[i].type);
        if (s_rows[i].dim)
            s_param(field, "dim", s_rows[i].dim);
        s_refused(s_validate(made), 65535, s_rows[i].text);
    }
    made_t *made = s_made();
    s_param(s_add(made, "v", TYPE_BINARY_VECTOR), "dim", "262144");
    assert_int_equal(s_validate(made), OK);
}

static void types_have_parameters(void **state)
{
    (void)state;
    made_t *made = s_made();
    Schema__FieldSchema *field = s_add(made, "s", TYPE_VARCHAR);
    s_refused(s_validate(made), 65535,
              "type param(max_length) should be specified for varChar field of collection books");
    s_param(field, "max_length", "65536");
    s_refused(s_validate(made), 1100,
              "the maximum length specified for a VarChar should be in (0, 65535]: "
              "invalid parameter");
    made = s_made();
    field = s_add(made, "a", TYPE_ARRAY);
    field->element_type = SCHEMA__DATA_TYPE__JSON;
    s_refused(s_validate(made), 65535, "element type JSON is not supported");
    field->element_type = SCHEMA__DATA_TYPE__Int8;
    s_refused(s_validate(made), 65535,
              "type param(max_capacity) should be specified for array field of collection books");
    s_param(field, "max_capacity", "4097");
    s_refused(s_validate(made), 65535,
              "the maximum capacity specified for a Array should be in (0, 4096]");
    made = s_made();
    s_add(made, "s", 20);
    s_refused(s_validate(made), 65535,
              "string data type not supported yet, please use VarChar type instead");
    s_add(made = s_made(), "x", 77);
    assert_int_equal(s_validate(made), ERR_UNEXPECTED);
}

static void defaults_fit_their_field(void **state)
{
    (void)state;
    Schema__ValueField value = SCHEMA__VALUE_FIELD__INIT;
    value.data_case = SCHEMA__VALUE_FIELD__DATA_INT_DATA;
    value.int_data = -128;
    made_t *made = s_made();
    Schema__FieldSchema *field = s_add(made, "n", TYPE_INT8);
    field->default_value = &value;
    field->nullable = true;
    assert_int_equal(s_validate(made), OK);
    Elanus__Collection *coll = translate_collection_in(&s_ctx, &made->request, &made->schema);
    Schema__CollectionSchema *back = translate_schema_out(&s_ctx, coll);
    assert_int_equal(back->fields[2]->default_value->int_data, -128);
    assert_true(back->fields[2]->nullable);
    value.int_data = 128;
    assert_int_equal(err_code(s_validate(made)), 1100);
    field->data_type = SCHEMA__DATA_TYPE__Int64;
    assert_int_equal(err_code(s_validate(made)), 1100);
    field->data_type = SCHEMA__DATA_TYPE__JSON;
    assert_int_equal(err_code(s_validate(made)), 1100);
    made = s_made();
    made->fields[0].nullable = true;
    s_refused(s_validate(made), 1100, "primary field not support null: invalid parameter");
}

static void the_dynamic_field_is_hidden(void **state)
{
    (void)state;
    made_t *made = s_made();
    made->schema.enable_dynamic_field = true;
    Elanus__Collection *coll = translate_collection_in(&s_ctx, &made->request, &made->schema);
    assert_int_equal(coll->n_fields, 3);
    assert_string_equal(coll->fields[2]->name, "$meta");
    assert_int_equal(coll->fields[2]->id, 102);
    Schema__CollectionSchema *back = translate_schema_out(&s_ctx, coll);
    assert_int_equal(back->n_fields, 2);
    assert_true(back->enable_dynamic_field);
    assert_string_equal(back->fields[1]->type_params[0]->value, "8");
}

/* --- indexes ------------------------------------------------------------------------------ */

typedef struct {
    int type, element;
    const char *index, *metric, *extra;
    int code;
    const char *text;
} index_row_t;

#define BAD "invalid parameter[expected=valid index params][actual=invalid index params]"

static const index_row_t s_indexes[] = {
    { TYPE_FLOAT_VECTOR, 0, NULL, NULL, NULL, 0, "COSINE" },
    { TYPE_FLOAT_VECTOR, 0, "", "L2", NULL, 0, "L2" },
    { TYPE_BINARY_VECTOR, 0, "AUTOINDEX", NULL, NULL, 0, "HAMMING" },
    { TYPE_FLOAT_VECTOR, 0, "FLAT", "IP", NULL, 0, "IP" },
    { TYPE_FLOAT_VECTOR, 0, "AUTOINDEX", NULL, "nlist", 65535,
      "only metric type can be passed when use AutoIndex" },
    { TYPE_FLOAT_VECTOR, 0, "IVF_FLAT", "L2", NULL, 1100,
      "nlist out of range: [1, 65536]: " BAD },
    { TYPE_FLOAT_VECTOR, 0, "SCANN", "L2", "nlist", 1100,
      "dimension must be able to be divided by 2, dimension: 15: " BAD },
    { TYPE_SPARSE_VECTOR, 0, "SPARSE_WAND", "IP", "drop_ratio_build", 1100,
      "invalid drop_ratio_build: 1, must be in range [0, 1): " BAD },
    { TYPE_FLOAT_VECTOR, 0, "IVF_FLAT", "L2", "nlist", 0, "1" },
    { TYPE_FLOAT_VECTOR, 0, "IVF_FLAT", "L2", "params", 1100,
      "nlist out of range: [1, 65536]: " BAD },
    { TYPE_FLOAT_VECTOR, 0, "NOPE", "L2", NULL, 1100,
      "invalid parameter[expected=valid index][actual=invalid index type: NOPE]" },
    { TYPE_FLOAT_VECTOR, 0, "FLAT", NULL, NULL, 1100,
      "metric type not set for vector index: " BAD },
    { TYPE_FLOAT_VECTOR, 0, "FLAT", "HAMMING", NULL, 1100,
      "float vector index does not support metric type: HAMMING: " BAD },
    { TYPE_VARCHAR, 0, "STL_SORT", NULL, NULL, 65535,
      "STL_SORT are only supported on numeric field" },
    { TYPE_INT8, 0, "Trie", NULL, NULL, 65535, "TRIE are only supported on varchar field" },
    { TYPE_JSON, 0, "INVERTED", NULL, NULL, 65535, "INVERTED are not supported on JSON field" },
    { TYPE_FLOAT, 0, "BITMAP", NULL, NULL, 65535,
      "bitmap index are only supported on bool, int, string and array field" },
    { TYPE_ARRAY, TYPE_INT32, "BITMAP", NULL, NULL, 0, NULL },
    { TYPE_JSON, 0, NULL, NULL, NULL, 65535, "create auto index on type:JSON is not supported" },
};

static void indexes_fit_their_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(s_indexes); i++) {
        const index_row_t *row = &s_indexes[i];
        Elanus__Field field = ELANUS__FIELD__INIT;
        field.type = row->type;
        field.element = row->element;
        Elanus__Pair dim = ELANUS__PAIR__INIT, *dims[] = { &dim };
        dim.key = (char *)"dim";
        dim.value = (char *)"15";
        field.type_params = dims;
        field.n_type_params = 1;
        Elanus__Pair pairs[3], *list[3], **got = list;
        bool json = row->extra && strcmp(row->extra, "params") == 0;
        const char *given[3][2] = { { "index_type", row->index }, { "metric_type", row->metric },
                                    { row->extra, json ? "{\"nlist\": 0}" : "1" } };
        size_t n = 0;
        for (int p = 0; p < 3; p++) {
            if (!given[p][0] || !given[p][1])
                continue;
            elanus__pair__init(&pairs[n]);
            pairs[n].key = (char *)given[p][0];
            pairs[n].value = (char *)given[p][1];
            list[n] = &pairs[n];
            n++;
        }
        bool automatic = false;
        err_t err = validate_index(&s_ctx, &field, &got, &n, &automatic);
        if (row->code)
            s_refused(err, row->code, row->text);
        else
            assert_int_equal(err, OK);
        if (!row->code && row->text)
            assert_string_equal(got[n - 1]->value, row->text);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(names_of_collections), T(names_of_the_rest), T(counts_have_bounds), T(keys_have_rules),
        T(dimensions_have_bounds), T(types_have_parameters), T(defaults_fit_their_field),
        T(the_dynamic_field_is_hidden), T(indexes_fit_their_field),
    };
    return cmocka_run_group_tests_name("validate", tests, NULL, NULL);
}
