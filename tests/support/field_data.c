/* field_data - see field_data.h */
#include "tests/support/field_data.h"

ctx_t fd_ctx;

int fd_up(void **state)
{
    (void)state;
    ctx_init(&fd_ctx);
    return 0;
}

int fd_down(void **state)
{
    (void)state;
    ctx_fini(&fd_ctx);
    return 0;
}

const field_t fd_id = { .name = "id", .type = TYPE_INT64, .primary_key = true };
const field_t fd_auto_id = { .name = "id", .type = TYPE_INT64, .primary_key = true,
                                   .auto_id = true };
const field_t fd_auto_text = { .name = "id", .type = TYPE_VARCHAR, .max_length = 5,
                                     .primary_key = true, .auto_id = true };
const field_t fd_vec = { .name = "vec", .type = TYPE_FLOAT_VECTOR, .dim = 2 };
const field_t fd_meta = { .name = "$meta", .type = TYPE_JSON, .dynamic = true };

#define LIST(type, init, element, values, n_values) \
    ({ type *list_ = ctx_new(&fd_ctx, sizeof *list_); \
       init(list_); \
       list_->n_data = (n_values); \
       list_->data = fd_copy((values), (n_values) * sizeof(element)); \
       list_; })

/* --- makers ----------------------------------------------------------------------------- */

static void *fd_copy(const void *from, size_t bytes)
{
    return bytes ? memcpy(ctx_new(&fd_ctx, bytes), from, bytes) : NULL;
}

fd_data_t *fd_data(const char *name)
{
    fd_data_t *data = ctx_new(&fd_ctx, sizeof *data);
    schema__field_data__init(data);
    data->field_name = name;
    return data;
}

Schema__ScalarField *fd_scalar_row(void)
{
    Schema__ScalarField *field = ctx_new(&fd_ctx, sizeof *field);
    schema__scalar_field__init(field);
    return field;
}

Schema__ScalarField *fd_scalars(fd_data_t *data)
{
    data->field_case = SCHEMA__FIELD_DATA__FIELD_SCALARS;
    return data->scalars = fd_scalar_row();
}

static Schema__VectorField *fd_vectors(fd_data_t *data, int64_t dim)
{
    data->field_case = SCHEMA__FIELD_DATA__FIELD_VECTORS;
    data->vectors = ctx_new(&fd_ctx, sizeof *data->vectors);
    schema__vector_field__init(data->vectors);
    data->vectors->dim = dim;
    return data->vectors;
}

Schema__ScalarField *fd_set_bools(Schema__ScalarField *to, const int *values, size_t n)
{
    to->data_case = SCHEMA__SCALAR_FIELD__DATA_BOOL_DATA;
    to->bool_data = LIST(Schema__BoolArray, schema__bool_array__init, int, values, n);
    return to;
}

Schema__ScalarField *fd_set_ints(Schema__ScalarField *to, const int32_t *values, size_t n)
{
    to->data_case = SCHEMA__SCALAR_FIELD__DATA_INT_DATA;
    to->int_data = LIST(Schema__IntArray, schema__int_array__init, int32_t, values, n);
    return to;
}

Schema__ScalarField *fd_set_longs(Schema__ScalarField *to, const int64_t *values, size_t n)
{
    to->data_case = SCHEMA__SCALAR_FIELD__DATA_LONG_DATA;
    to->long_data = LIST(Schema__LongArray, schema__long_array__init, int64_t, values, n);
    return to;
}

Schema__ScalarField *fd_set_floats(Schema__ScalarField *to, const float *values, size_t n)
{
    to->data_case = SCHEMA__SCALAR_FIELD__DATA_FLOAT_DATA;
    to->float_data = LIST(Schema__FloatArray, schema__float_array__init, float, values, n);
    return to;
}

Schema__ScalarField *fd_set_doubles(Schema__ScalarField *to, const double *values, size_t n)
{
    to->data_case = SCHEMA__SCALAR_FIELD__DATA_DOUBLE_DATA;
    to->double_data = LIST(Schema__DoubleArray, schema__double_array__init, double, values, n);
    return to;
}

static ProtobufCBinaryData *fd_binaries(const char *const *texts, size_t n)
{
    ProtobufCBinaryData *list = ctx_new(&fd_ctx, (n + 1) * sizeof *list);
    for (size_t i = 0; i < n; i++)
        list[i] = (ProtobufCBinaryData){ strlen(texts[i]), fd_copy(texts[i], strlen(texts[i])) };
    return list;
}

Schema__ScalarField *fd_set_texts(Schema__ScalarField *to, const char *const *texts, size_t n)
{
    to->data_case = SCHEMA__SCALAR_FIELD__DATA_STRING_DATA;
    to->string_data = LIST(Schema__StringArray, schema__string_array__init, char, "", 0);
    to->string_data->n_data = n;
    to->string_data->data = fd_binaries(texts, n);
    return to;
}

Schema__ScalarField *fd_set_jsons(Schema__ScalarField *to, const char *const *texts, size_t n)
{
    to->data_case = SCHEMA__SCALAR_FIELD__DATA_JSON_DATA;
    to->json_data = LIST(Schema__JSONArray, schema__jsonarray__init, char, "", 0);
    to->json_data->n_data = n;
    to->json_data->data = fd_binaries(texts, n);
    return to;
}

Schema__ScalarField *fd_set_arrays(Schema__ScalarField *to, Schema__ScalarField **rows,
                                         size_t n)
{
    to->data_case = SCHEMA__SCALAR_FIELD__DATA_ARRAY_DATA;
    to->array_data = LIST(Schema__ArrayArray, schema__array_array__init, void *, rows, n);
    return to;
}

fd_data_t *fd_longs(const char *name, const int64_t *values, size_t n)
{
    fd_data_t *data = fd_data(name);
    fd_set_longs(fd_scalars(data), values, n);
    return data;
}

fd_data_t *fd_ints(const char *name, const int32_t *values, size_t n)
{
    fd_data_t *data = fd_data(name);
    fd_set_ints(fd_scalars(data), values, n);
    return data;
}

fd_data_t *fd_texts(const char *name, const char *const *values, size_t n)
{
    fd_data_t *data = fd_data(name);
    fd_set_texts(fd_scalars(data), values, n);
    return data;
}

fd_data_t *fd_jsons(const char *name, const char *const *values, size_t n)
{
    fd_data_t *data = fd_data(name);
    fd_set_jsons(fd_scalars(data), values, n);
    return data;
}

fd_data_t *fd_floats(const char *name, const float *values, size_t n)
{
    fd_data_t *data = fd_data(name);
    fd_set_floats(fd_scalars(data), values, n);
    return data;
}

fd_data_t *fd_doubles(const char *name, const double *values, size_t n)
{
    fd_data_t *data = fd_data(name);
    fd_set_doubles(fd_scalars(data), values, n);
    return data;
}

fd_data_t *fd_bools(const char *name, const int *values, size_t n)
{
    fd_data_t *data = fd_data(name);
    fd_set_bools(fd_scalars(data), values, n);
    return data;
}

fd_data_t *fd_arrays(const char *name, Schema__ScalarField **rows, size_t n)
{
    fd_data_t *data = fd_data(name);
    fd_set_arrays(fd_scalars(data), rows, n);
    return data;
}

fd_data_t *fd_float_vectors(const char *name, int64_t dim, const float *values, size_t n)
{
    fd_data_t *data = fd_data(name);
    Schema__VectorField *vectors = fd_vectors(data, dim);
    vectors->data_case = SCHEMA__VECTOR_FIELD__DATA_FLOAT_VECTOR;
    vectors->float_vector = LIST(Schema__FloatArray, schema__float_array__init, float, values, n);
    return data;
}

fd_data_t *fd_byte_vectors(const char *name, int64_t dim, Schema__VectorField__DataCase member,
                              const void *bytes, size_t len)
{
    fd_data_t *data = fd_data(name);
    Schema__VectorField *vectors = fd_vectors(data, dim);
    vectors->data_case = member;
    vectors->binary_vector = (ProtobufCBinaryData){ len, fd_copy(bytes, len) };
    return data;
}

fd_data_t *fd_sparse(const char *name, const fd_pair_t *const *rows, const size_t *lens, size_t n)
{
    fd_data_t *data = fd_data(name);
    Schema__VectorField *vectors = fd_vectors(data, 0);
    vectors->data_case = SCHEMA__VECTOR_FIELD__DATA_SPARSE_FLOAT_VECTOR;
    Schema__SparseFloatArray *list = ctx_new(&fd_ctx, sizeof *list);
    schema__sparse_float_array__init(list);
    list->n_contents = n;
    list->contents = ctx_new(&fd_ctx, (n + 1) * sizeof *list->contents);
    for (size_t i = 0; i < n; i++)
        list->contents[i] = (ProtobufCBinaryData){ lens[i], fd_copy(rows[i], lens[i]) };
    vectors->sparse_float_vector = list;
    return data;
}

fd_data_t *fd_one_sparse(const char *name, const fd_pair_t *row, size_t len)
{
    return fd_sparse(name, &row, &len, 1);
}

/* Which of the rows have a value. */
fd_data_t *fd_valid(fd_data_t *data, const int *valid, size_t n)
{
    data->n_valid_data = n;
    data->valid_data = fd_copy(valid, n * sizeof *valid);
    return data;
}

fd_data_t *fd_dynamic(fd_data_t *data)
{
    data->is_dynamic = true;
    return data;
}

/* --- schemas ---------------------------------------------------------------------------- */

/* A key and the fields given; ids and places follow. */
schema_t *fd_schema(field_t key, const field_t *others, size_t n)
{
    field_t fields[32] = { key };
    for (size_t i = 0; i < n; i++)
        fields[i + 1] = others[i];
    for (size_t i = 0; i <= n; i++)
        fields[i].id = FIELD_FIRST + (int64_t)i;
    return schema_new(fields, n + 1);
}

/* --- checks ----------------------------------------------------------------------------- */

err_t fd_read(ctx_t *ctx, rows_kind_t kind, schema_t *schema, uint32_t n_rows,
                    fd_data_t *const *data, size_t n, rows_t *ret)
{
    rows_input_t in = { .kind = kind, .schema = schema, .data = data, .n_data = n,
                        .n_rows = n_rows };
    return rows_read(ctx, &in, ret);
}

rows_t fd_take(rows_kind_t kind, schema_t *schema, uint32_t n_rows, fd_data_t *const *data,
                     size_t n)
{
    rows_t rows = {0};
    err_t err = fd_read(&fd_ctx, kind, schema, n_rows, data, n, &rows);
    if (err != OK)
        fail_msg("refused: %s", fd_ctx.text);
    assert_int_equal(rows.n, n_rows);
    return rows;
}

void fd_is_refused(rows_kind_t kind, schema_t *schema, uint32_t n_rows, fd_data_t *const *data,
                         size_t n, int code, const char *text)
{
    ctx_t ctx;
    ctx_init(&ctx);
    rows_t rows = {0};
    err_t err = fd_read(&ctx, kind, schema, n_rows, data, n, &rows);
    assert_string_equal(err == OK ? "taken" : ctx.text, text);
    assert_int_equal(err_code(err), code);
    ctx_fini(&ctx);
}

/* A field beside the key; one row, or two. */
void fd_field_is_refused(field_t field, fd_data_t *data, size_t n_rows, int code,
                               const char *text)
{
    owned(schema) schema = SCHEMA(field);
    fd_is_refused(ROWS_INSERT, schema, (uint32_t)n_rows,
                 DATA(n_rows == 2 ? LONGS("id", 1, 2) : LONGS("id", 1), data), code, text);
}

void fd_cell_is(const column_t *c, size_t row, const void *bytes, size_t len)
{
    view_t cell = column_cell(c, row);
    assert_int_equal(cell.len, len);
    if (len)
        assert_memory_equal(cell.ptr, bytes, len);
}

void fd_text_is(const column_t *c, size_t row, const char *text)
{
    fd_cell_is(c, row, text, strlen(text));
}
