/* rest_schema - see rest_schema.h */
#include "proxy/rest_schema.h"

#include "common.pb-c.h"

Common__KeyValuePair *rest_schema_pair(ctx_t *ctx, const char *key, const char *value)
{
    Common__KeyValuePair *pair = ctx_new(ctx, sizeof *pair);
    common__key_value_pair__init(pair);
    pair->key = key;
    pair->value = value;
    return pair;
}

const char *rest_schema_text(ctx_t *ctx, json_t *value)
{
    const char *text = json_string_value(value);
    return text ? ctx_strdup(ctx, text) : rest_dump_text(ctx, value);
}

/* --- fields ----------------------------------------------------------------------------- */

static err_t s_type(ctx_t *ctx, json_t *field, const char *key, const char *what,
                    Schema__DataType *ret)
{
    const char *name = "";
    TRY(rest_text(ctx, field, key, &name));
    const ProtobufCEnumValue *type =
        protobuf_c_enum_descriptor_get_value_by_name(&schema__data_type__descriptor, name);
    if (!type)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "%s %s is invalid(case sensitive).: invalid "
                        "parameter", what, name);
    *ret = (Schema__DataType)type->value;
    return OK;
}

static err_t s_params(ctx_t *ctx, json_t *from, Schema__FieldSchema *to)
{
    json_t *params = json_object_get(from, "elementTypeParams"), *value = NULL;
    const char *key = NULL;
    if (params && !json_is_null(params) && !json_is_object(params))
        return rest_wrong(ctx, "elementTypeParams", "an object");
    to->type_params = ctx_new(ctx, (json_object_size(params) + 1) * sizeof(void *));
    json_object_foreach(params, key, value)
        to->type_params[to->n_type_params++] =
            rest_schema_pair(ctx, ctx_strdup(ctx, key), rest_schema_text(ctx, value));
    return OK;
}

/* The member of the value that the type wants; false: this is no such value. */
static bool s_set_default(ctx_t *ctx, Schema__DataType type, json_t *from, Schema__ValueField *to)
{
    switch ((int)type) {
    case SCHEMA__DATA_TYPE__Bool:
        to->data_case = SCHEMA__VALUE_FIELD__DATA_BOOL_DATA;
        to->bool_data = json_is_true(from);
        return json_is_boolean(from);
    case SCHEMA__DATA_TYPE__Int8:
    case SCHEMA__DATA_TYPE__Int16:
    case SCHEMA__DATA_TYPE__Int32:
        to->data_case = SCHEMA__VALUE_FIELD__DATA_INT_DATA;
        to->int_data = (int32_t)json_integer_value(from);
        return json_is_integer(from) && to->int_data == json_integer_value(from);
    case SCHEMA__DATA_TYPE__Int64:
        to->data_case = SCHEMA__VALUE_FIELD__DATA_LONG_DATA;
        to->long_data = json_integer_value(from);
        return json_is_integer(from);
    case SCHEMA__DATA_TYPE__Float:
        to->data_case = SCHEMA__VALUE_FIELD__DATA_FLOAT_DATA;
        to->float_data = (float)json_number_value(from);
        return json_is_number(from);
    case SCHEMA__DATA_TYPE__Double:
        to->data_case = SCHEMA__VALUE_FIELD__DATA_DOUBLE_DATA;
        to->double_data = json_number_value(from);
        return json_is_number(from);
    case SCHEMA__DATA_TYPE__VarChar:
        to->data_case = SCHEMA__VALUE_FIELD__DATA_STRING_DATA;
        to->string_data = json_is_string(from) ? rest_schema_text(ctx, from) : "";
        return json_is_string(from);
    default:
        return false;
    }
}

static err_t s_default(ctx_t *ctx, json_t *from, Schema__FieldSchema *to)
{
    json_t *value = json_object_get(from, "defaultValue");
    if (!value || json_is_null(value))
        return OK;
    to->default_value = ctx_new(ctx, sizeof *to->default_value);
    schema__value_field__init(to->default_value);
    if (!s_set_default(ctx, to->data_type, value, to->default_value))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "convert defaultValue fail, field %s, value "
                        "%.100s: invalid parameter", to->name, rest_dump_text(ctx, value));
    return OK;
}

static err_t s_field(ctx_t *ctx, json_t *from, Schema__FieldSchema *to)
{
    schema__field_schema__init(to);
    TRY(rest_text(ctx, from, "fieldName", &to->name));
    if (to->name[0] == '\0')
        return rest_missing(ctx, "FieldSchema", "FieldName");
    if (!json_object_get(from, "dataType"))
        return rest_missing(ctx, "FieldSchema", "DataType");
    TRY(s_type(ctx, from, "dataType", "data type", &to->data_type));
    if (to->data_type == SCHEMA__DATA_TYPE__Array)
        TRY(s_type(ctx, from, "elementDataType", "element data type", &to->element_type));
    TRY(rest_text(ctx, from, "description", &to->description));
    to->is_primary_key = json_is_true(json_object_get(from, "isPrimary"));
    to->is_partition_key = json_is_true(json_object_get(from, "isPartitionKey"));
    to->is_clustering_key = json_is_true(json_object_get(from, "isClusteringKey"));
    to->nullable = json_is_true(json_object_get(from, "nullable"));
    TRY(s_params(ctx, from, to));
    return s_default(ctx, from, to);
}

static Schema__CollectionSchema *s_schema(ctx_t *ctx, size_t n_fields)
{
    Schema__CollectionSchema *schema = ctx_new(ctx, sizeof *schema);
    schema__collection_schema__init(schema);
    schema->fields = ctx_new(ctx, (n_fields + 1) * sizeof(void *));
    for (size_t i = 0; i < n_fields; i++) {
        schema->fields[i] = ctx_new(ctx, sizeof *schema->fields[i]);
        schema__field_schema__init(schema->fields[i]);
    }
    schema->n_fields = n_fields;
    return schema;
}

err_t rest_schema_read(ctx_t *ctx, json_t *from, Schema__CollectionSchema **ret)
{
    json_t *fields = json_object_get(from, "fields");
    json_t *auto_id = json_object_get(from, "autoID");
    if (!json_is_array(fields))
        return rest_missing(ctx, "CollectionSchema", "Fields");
    if (json_array_size(json_object_get(from, "functions")) > 0)
        return ctx_fail(ctx, ERR_OPERATION_UNSUPPORTED, "functions and struct fields are not "
                        "supported: unsupported operation");
    Schema__CollectionSchema *schema = s_schema(ctx, json_array_size(fields));
    auto_id = auto_id ? auto_id : json_object_get(from, "autoId");
    schema->autoid = json_is_true(auto_id);
    schema->enable_dynamic_field = json_is_true(json_object_get(from, "enableDynamicField"));
    for (size_t i = 0; i < schema->n_fields; i++) {
        TRY(s_field(ctx, json_array_get(fields, i), schema->fields[i]));
        schema->fields[i]->autoid = schema->autoid && schema->fields[i]->is_primary_key;
    }
    *ret = schema;
    return OK;
}

/* --- quick ---------------------------------------------------------------------------------- */

static void s_param(ctx_t *ctx, Schema__FieldSchema *field, const char *key, const char *value)
{
    field->type_params = ctx_new(ctx, sizeof(void *));
    field->type_params[field->n_type_params++] = rest_schema_pair(ctx, key, value);
}

static err_t s_quick_key(ctx_t *ctx, json_t *body, Schema__FieldSchema *to)
{
    const char *type = "", *name = "";
    json_t *length = json_object_get(json_object_get(body, "params"), "max_length");
    TRY(rest_text(ctx, body, "idType", &type));
    TRY(rest_text(ctx, body, "primaryFieldName", &name));
    bool text = strcmp(type, "VarChar") == 0 || strcmp(type, "Varchar") == 0;
    if (!text && type[0] && strcmp(type, "Int64") != 0)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "idType can only be [Int64, VarChar], default: "
                        "Int64: invalid parameter[expected=Int64, VarChar][actual=%s]", type);
    to->name = name[0] ? name : "id";
    to->is_primary_key = true;
    to->data_type = text ? SCHEMA__DATA_TYPE__VarChar : SCHEMA__DATA_TYPE__Int64;
    if (text && length)
        s_param(ctx, to, "max_length", rest_schema_text(ctx, length));
    return OK;
}

err_t rest_schema_quick(ctx_t *ctx, json_t *body, Schema__CollectionSchema **ret)
{
    Schema__CollectionSchema *schema = s_schema(ctx, 2);
    json_t *auto_id = json_object_get(body, "autoID");
    json_t *dimension = json_object_get(body, "dimension");
    json_t *dynamic = json_object_get(json_object_get(body, "params"), "enableDynamicField");
    const char *name = "";
    if (!json_is_integer(dimension))
        return rest_wrong(ctx, "dimension", "a whole number");
    TRY(s_quick_key(ctx, body, schema->fields[0]));
    TRY(rest_text(ctx, body, "vectorFieldName", &name));
    auto_id = auto_id ? auto_id : json_object_get(body, "autoId");
    schema->autoid = schema->fields[0]->autoid = json_is_true(auto_id);
    schema->enable_dynamic_field = !json_is_false(dynamic);
    schema->fields[1]->name = name[0] ? name : "vector";
    schema->fields[1]->data_type = SCHEMA__DATA_TYPE__FloatVector;
    s_param(ctx, schema->fields[1], "dim", rest_schema_text(ctx, dimension));
    *ret = schema;
    return OK;
}
