/* validate_schema - a collection's fields before they are made
 *
 * In the order in which Milvus looks, because the first complaint is the one a
 * client sees.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/base/map.h"
#include "core/schema/schema.h"
#include "proxy/validate.h"

bool validate_number(const char *text, int64_t *ret)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (text[0] == '\0' || text[0] == ' ' || *end != '\0' || errno != 0)
        return false;
    *ret = value;
    return true;
}

const char *validate_param(Common__KeyValuePair *const *pairs, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(pairs[i]->key, key) == 0)
            return pairs[i]->value;
    return NULL;
}

const char *validate_type_name(int type)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&schema__data_type__descriptor, type);
    return value ? value->name : "Unknown";
}

static const char *s_param(const Schema__FieldSchema *field, const char *key)
{
    return validate_param(field->type_params, field->n_type_params, key);
}

/* --- one field --------------------------------------------------------------------- */

static err_t s_type(ctx_t *ctx, const Schema__FieldSchema *field)
{
    if (field->data_type == SCHEMA__DATA_TYPE__String)
        return ctx_fail(ctx, ERR_UNEXPECTED, "string data type not supported yet, please use "
                        "VarChar type instead");
    if (field->data_type == SCHEMA__DATA_TYPE__None)
        return ctx_fail(ctx, ERR_UNEXPECTED, "data type None is not valid");
    if (strcmp(type_name((type_t)field->data_type), "None") == 0)
        return ctx_fail(ctx, ERR_UNEXPECTED, "data type %s of field %s is not supported",
                        validate_type_name((int)field->data_type), field->name);
    return OK;
}

static err_t s_dimension(ctx_t *ctx, const Schema__FieldSchema *field)
{
    const char *text = s_param(field, "dim");
    if (field->data_type == SCHEMA__DATA_TYPE__SparseFloatVector) {
        if (!text)
            return OK;
        return ctx_fail(ctx, ERR_UNEXPECTED, "dim should not be specified for sparse vector field "
                        "%s(%lld)", field->name, (long long)field->fieldid);
    }
    int64_t dim = 0;
    if (!text)
        return ctx_fail(ctx, ERR_UNEXPECTED, "dimension is not defined in field type params, check "
                        "type param `dim` for vector field");
    if (!validate_number(text, &dim))
        return ctx_fail(ctx, ERR_UNEXPECTED, "strconv.ParseInt: parsing \"%s\": invalid syntax",
                        text);
    bool binary = field->data_type == SCHEMA__DATA_TYPE__BinaryVector;
    if (dim <= 1)
        return ctx_fail(ctx, ERR_UNEXPECTED, "invalid dimension: %lld. should be in range 2 ~ %d",
                        (long long)dim, LIMIT_DIM);
    if (binary && dim % 8 != 0)
        return ctx_fail(ctx, ERR_UNEXPECTED, "invalid dimension: %lld. binary vector dimension "
                        "should be multiple of 8. ", (long long)dim);
    int64_t most = binary ? (int64_t)LIMIT_DIM * 8 : LIMIT_DIM;
    if (dim > most)
        return ctx_fail(ctx, ERR_UNEXPECTED, "invalid dimension: %lld. %s vector dimension should "
                        "be in range 2 ~ %lld", (long long)dim, binary ? "binary" : "float",
                        (long long)most);
    return OK;
}

static err_t s_max_length(ctx_t *ctx, const char *collection, const Schema__FieldSchema *field)
{
    const char *text = s_param(field, "max_length");
    int64_t most = 0;
    if (!text)
        return ctx_fail(ctx, ERR_UNEXPECTED, "type param(max_length) should be specified for "
                        "varChar field of collection %s", collection);
    if (!validate_number(text, &most))
        return ctx_fail(ctx, ERR_UNEXPECTED, "strconv.ParseInt: parsing \"%s\": invalid syntax",
                        text);
    if (most <= 0 || most > LIMIT_VARCHAR_BYTES)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "the maximum length specified for a VarChar should "
                        "be in (0, %d]: invalid parameter", LIMIT_VARCHAR_BYTES);
    return OK;
}

static err_t s_array(ctx_t *ctx, const char *collection, const Schema__FieldSchema *field)
{
    type_t element = (type_t)field->element_type;
    bool fits = element == TYPE_BOOL || type_is_number(element) || element == TYPE_VARCHAR;
    if (!fits)
        return ctx_fail(ctx, ERR_UNEXPECTED, "element type %s is not supported",
                        validate_type_name((int)field->element_type));
    if (element == TYPE_VARCHAR)
        TRY(s_max_length(ctx, collection, field));
    const char *text = s_param(field, "max_capacity");
    int64_t most = 0;
    if (!text)
        return ctx_fail(ctx, ERR_UNEXPECTED, "type param(max_capacity) should be specified for "
                        "array field of collection %s", collection);
    if (!validate_number(text, &most))
        return ctx_fail(ctx, ERR_UNEXPECTED, "the value of %s must be an integer", "max_capacity");
    if (most <= 0 || most > LIMIT_ARRAY_CAPACITY)
        return ctx_fail(ctx, ERR_UNEXPECTED, "the maximum capacity specified for a Array should be "
                        "in (0, %d]", LIMIT_ARRAY_CAPACITY);
    return OK;
}

static err_t s_nullable(ctx_t *ctx, const Schema__FieldSchema *field)
{
    if (!field->nullable)
        return OK;
    if (field->is_primary_key)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "primary field not support null: "
                        "invalid parameter");
    if (type_is_vector((type_t)field->data_type))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "vector type not support null: invalid parameter");
    return OK;
}

/* The kind of value in a default for each type that may have one. */
static Schema__ValueField__DataCase s_default_case(type_t type)
{
    switch (type) {
    case TYPE_BOOL:    return SCHEMA__VALUE_FIELD__DATA_BOOL_DATA;
    case TYPE_INT8:
    case TYPE_INT16:
    case TYPE_INT32:   return SCHEMA__VALUE_FIELD__DATA_INT_DATA;
    case TYPE_INT64:   return SCHEMA__VALUE_FIELD__DATA_LONG_DATA;
    case TYPE_FLOAT:   return SCHEMA__VALUE_FIELD__DATA_FLOAT_DATA;
    case TYPE_DOUBLE:  return SCHEMA__VALUE_FIELD__DATA_DOUBLE_DATA;
    case TYPE_VARCHAR: return SCHEMA__VALUE_FIELD__DATA_STRING_DATA;
    case TYPE_NONE: case TYPE_ARRAY: case TYPE_JSON: case TYPE_BINARY_VECTOR:
    case TYPE_FLOAT_VECTOR: case TYPE_FLOAT16_VECTOR: case TYPE_BFLOAT16_VECTOR:
    case TYPE_SPARSE_VECTOR: case TYPE_INT8_VECTOR:
        break;
    }
    return SCHEMA__VALUE_FIELD__DATA__NOT_SET;
}

static err_t s_default_fits(ctx_t *ctx, const Schema__FieldSchema *field)
{
    const Schema__ValueField *value = field->default_value;
    int64_t most = 0;
    if (field->data_type == SCHEMA__DATA_TYPE__VarChar &&
        validate_number(s_param(field, "max_length"), &most) &&
        strlen(value->string_data) > (size_t)most)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "the length (%zu) of string exceeds max length "
                        "(%lld): invalid parameter[expected=valid length string][actual=string "
                        "length exceeds max length]", strlen(value->string_data), (long long)most);
    int bits = field->data_type == SCHEMA__DATA_TYPE__Int8 ? 8 :
               field->data_type == SCHEMA__DATA_TYPE__Int16 ? 16 : 0;
    int32_t high = bits ? (1 << (bits - 1)) - 1 : 0;
    if (bits && (value->int_data > high || value->int_data < -high - 1))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "[%d out of range %d <= value <= %d]: "
                        "invalid parameter", value->int_data, -high - 1, high);
    return OK;
}

static err_t s_default(ctx_t *ctx, const Schema__FieldSchema *field)
{
    const Schema__ValueField *value = field->default_value;
    if (!value || value->data_case == SCHEMA__VALUE_FIELD__DATA__NOT_SET)
        return OK;
    if (field->is_primary_key)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "primary field not support default_value: "
                        "invalid parameter");
    Schema__ValueField__DataCase want = s_default_case((type_t)field->data_type);
    if (want == SCHEMA__VALUE_FIELD__DATA__NOT_SET)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "type not support default_value, type:%s, name:%s: "
                        "invalid parameter", validate_type_name((int)field->data_type),
                        field->name);
    if (value->data_case != want)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "type (%s) of field (%s) is not equal to the type "
                        "of default_value: invalid parameter",
                        validate_type_name((int)field->data_type), field->name);
    return s_default_fits(ctx, field);
}

err_t validate_field(ctx_t *ctx, const char *collection, const Schema__FieldSchema *field)
{
    TRY(validate_field_name(ctx, field->name));
    TRY(s_type(ctx, field));
    if (type_is_vector((type_t)field->data_type))
        TRY(s_dimension(ctx, field));
    if (field->data_type == SCHEMA__DATA_TYPE__VarChar)
        TRY(s_max_length(ctx, collection, field));
    if (field->data_type == SCHEMA__DATA_TYPE__Array)
        TRY(s_array(ctx, collection, field));
    TRY(s_nullable(ctx, field));
    return s_default(ctx, field);
}

/* --- all of them ------------------------------------------------------------------------ */

static err_t s_counts(ctx_t *ctx, const Milvus__CreateCollectionRequest *request,
                      const Schema__CollectionSchema *schema)
{
    size_t vectors = 0;
    for (size_t i = 0; i < schema->n_fields; i++)
        vectors += type_is_vector((type_t)schema->fields[i]->data_type);
    if (request->shards_num > LIMIT_SHARDS)
        return ctx_fail(ctx, ERR_UNEXPECTED, "maximum shards's number should be limited to %d",
                        LIMIT_SHARDS);
    if (schema->n_fields > LIMIT_FIELDS)
        return ctx_fail(ctx, ERR_UNEXPECTED, "maximum field's number should be limited to %d",
                        LIMIT_FIELDS);
    if (vectors > LIMIT_VECTOR_FIELDS)
        return ctx_fail(ctx, ERR_UNEXPECTED, "maximum vector field's number should be limited to "
                        "%d", LIMIT_VECTOR_FIELDS);
    if (vectors == 0)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "schema does not contain vector field: "
                        "invalid parameter");
    return OK;
}

static err_t s_no_twins(ctx_t *ctx, const Schema__CollectionSchema *schema)
{
    owned(map) names = map_new();
    for (size_t i = 0; i < schema->n_fields; i++)
        if (map_put_str(names, schema->fields[i]->name, schema->fields[i]))
            return ctx_fail(ctx, ERR_UNEXPECTED, "duplicated field name");
    return OK;
}

static bool s_is_key_type(const Schema__FieldSchema *field)
{
    return field->data_type == SCHEMA__DATA_TYPE__Int64 ||
           field->data_type == SCHEMA__DATA_TYPE__VarChar;
}

static err_t s_primary_key(ctx_t *ctx, const Schema__CollectionSchema *schema)
{
    const Schema__FieldSchema *key = NULL;
    for (size_t i = 0; i < schema->n_fields; i++) {
        const Schema__FieldSchema *field = schema->fields[i];
        if (!field->is_primary_key)
            continue;
        if (key)
            return ctx_fail(ctx, ERR_UNEXPECTED, "there are more than one primary key, field name "
                            "= %s, %s", key->name, field->name);
        if (!s_is_key_type(field))
            return ctx_fail(ctx, ERR_UNEXPECTED, "the data type of primary key should be Int64 or "
                            "VarChar");
        key = field;
    }
    return key ? OK : ctx_fail(ctx, ERR_UNEXPECTED, "primary key is not specified");
}

static err_t s_flags(ctx_t *ctx, const Schema__CollectionSchema *schema)
{
    for (size_t i = 0; i < schema->n_fields; i++)
        if (schema->fields[i]->is_dynamic)
            return ctx_fail(ctx, ERR_UNEXPECTED,
                            "cannot explicitly set a field as a dynamic field");
    for (size_t i = 0; i < schema->n_fields; i++)
        if (schema->fields[i]->autoid && !schema->fields[i]->is_primary_key)
            return ctx_fail(ctx, ERR_UNEXPECTED, "only primary field can speficy AutoID with true, "
                            "field name = %s", schema->fields[i]->name);
    if (schema->n_functions || schema->n_struct_array_fields)
        return ctx_fail(ctx, ERR_OPERATION_UNSUPPORTED, "functions and struct fields are not "
                        "supported by this server: unsupported operation");
    return OK;
}

static err_t s_partition_key(ctx_t *ctx, const Milvus__CreateCollectionRequest *request,
                             const Schema__CollectionSchema *schema)
{
    const Schema__FieldSchema *key = NULL;
    for (size_t i = 0; i < schema->n_fields; i++) {
        const Schema__FieldSchema *field = schema->fields[i];
        if (!field->is_partition_key)
            continue;
        if (key)
            return ctx_fail(ctx, ERR_UNEXPECTED, "there are more than one partition key, field "
                            "name = %s, %s", key->name, field->name);
        if (field->is_primary_key)
            return ctx_fail(ctx, ERR_UNEXPECTED, "the partition key field must not be primary "
                            "field");
        if (!s_is_key_type(field))
            return ctx_fail(ctx, ERR_UNEXPECTED, "the data type of partition key should be Int64 "
                            "or VarChar");
        key = field;
    }
    if (!key && request->num_partitions != 0)
        return ctx_fail(ctx, ERR_UNEXPECTED, "num_partitions should only be specified with "
                        "partition key field enabled");
    if (request->num_partitions < 0)
        return ctx_fail(ctx, ERR_UNEXPECTED, "The specified partitions should be greater than 0 if "
                        "partition key is used");
    if (request->num_partitions > LIMIT_PARTITIONS)
        return ctx_fail(ctx, ERR_UNEXPECTED, "partition number (%lld) exceeds max configuration "
                        "(%d)", (long long)request->num_partitions, LIMIT_PARTITIONS);
    return OK;
}

static err_t s_clustering_key(ctx_t *ctx, const Schema__CollectionSchema *schema)
{
    const Schema__FieldSchema *key = NULL;
    for (size_t i = 0; i < schema->n_fields; i++) {
        const Schema__FieldSchema *field = schema->fields[i];
        if (!field->is_clustering_key)
            continue;
        if (key)
            return ctx_fail(ctx, ERR_UNEXPECTED, "there are more than one clustering key, field "
                            "name = %s, %s", key->name, field->name);
        if (type_is_vector((type_t)field->data_type))
            return ctx_fail(ctx, ERR_CLUSTERING_KEY, "vector clustering key not allowed"
                            "[collectionName=%s]", schema->name);
        key = field;
    }
    return OK;
}

err_t validate_create(ctx_t *ctx, const Milvus__CreateCollectionRequest *request,
                      const Schema__CollectionSchema *schema)
{
    TRY(s_counts(ctx, request, schema));
    TRY(validate_collection_name(ctx, "name", request->collection_name));
    TRY(s_no_twins(ctx, schema));
    TRY(s_primary_key(ctx, schema));
    TRY(s_flags(ctx, schema));
    TRY(s_partition_key(ctx, request, schema));
    TRY(s_clustering_key(ctx, schema));
    for (size_t i = 0; i < schema->n_fields; i++)
        TRY(validate_field(ctx, request->collection_name, schema->fields[i]));
    return OK;
}
