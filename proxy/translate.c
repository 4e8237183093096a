/* translate - see translate.h */
#include "proxy/translate.h"

#include "core/base/limits.h"
#include "core/schema/schema.h"

Elanus__Pair **translate_pairs_in(ctx_t *ctx, Common__KeyValuePair *const *pairs, size_t n)
{
    Elanus__Pair **out = ctx_new(ctx, (n + 1) * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        out[i] = ctx_new(ctx, sizeof *out[i]);
        elanus__pair__init(out[i]);
        out[i]->key = (char *)pairs[i]->key;
        out[i]->value = (char *)pairs[i]->value;
    }
    return out;
}

Common__KeyValuePair **translate_pairs_out(ctx_t *ctx, Elanus__Pair *const *pairs, size_t n)
{
    Common__KeyValuePair **out = ctx_new(ctx, (n + 1) * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        out[i] = ctx_new(ctx, sizeof *out[i]);
        common__key_value_pair__init(out[i]);
        out[i]->key = pairs[i]->key;
        out[i]->value = pairs[i]->value;
    }
    return out;
}

/* --- default values: a cell of the field's column ------------------------------------ */

static ProtobufCBinaryData s_cell(ctx_t *ctx, const void *bytes, size_t len)
{
    uint8_t *copy = ctx_new(ctx, len + 1);
    memcpy(copy, bytes, len);
    return (ProtobufCBinaryData){ .data = copy, .len = len };
}

/* Little-endian: a narrow integer is the low bytes of a wide one. */
static ProtobufCBinaryData s_default_in(ctx_t *ctx, type_t type, const Schema__ValueField *value)
{
    uint8_t flag = value->bool_data ? 1 : 0;
    size_t width = type == TYPE_VARCHAR ? 0 : type_width(type, 0);
    switch ((int)value->data_case) {
    case SCHEMA__VALUE_FIELD__DATA_BOOL_DATA:   return s_cell(ctx, &flag, 1);
    case SCHEMA__VALUE_FIELD__DATA_INT_DATA:    return s_cell(ctx, &value->int_data, width);
    case SCHEMA__VALUE_FIELD__DATA_LONG_DATA:   return s_cell(ctx, &value->long_data, width);
    case SCHEMA__VALUE_FIELD__DATA_FLOAT_DATA:  return s_cell(ctx, &value->float_data, width);
    case SCHEMA__VALUE_FIELD__DATA_DOUBLE_DATA: return s_cell(ctx, &value->double_data, width);
    case SCHEMA__VALUE_FIELD__DATA_STRING_DATA:
        return s_cell(ctx, value->string_data, strlen(value->string_data));
    default:
        check(!"validated");
    }
}

static Schema__ValueField *s_default_out(ctx_t *ctx, const Elanus__Field *field)
{
    Schema__ValueField *value = ctx_new(ctx, sizeof *value);
    schema__value_field__init(value);
    const uint8_t *cell = field->default_value.data;
    size_t len = field->default_value.len;
    if (field->type == TYPE_VARCHAR) {
        char *text = ctx_new(ctx, len + 1);
        if (len)
            memcpy(text, cell, len);
        value->data_case = SCHEMA__VALUE_FIELD__DATA_STRING_DATA;
        value->string_data = text;
        return value;
    }
    if (len != type_width((type_t)field->type, 0))
        return NULL;
    switch (field->type) {
    case TYPE_BOOL:
        value->data_case = SCHEMA__VALUE_FIELD__DATA_BOOL_DATA;
        value->bool_data = cell[0] != 0;
        return value;
    case TYPE_INT8:
        value->data_case = SCHEMA__VALUE_FIELD__DATA_INT_DATA;
        value->int_data = (int8_t)cell[0];
        return value;
    case TYPE_INT16:
        value->data_case = SCHEMA__VALUE_FIELD__DATA_INT_DATA;
        value->int_data = (int16_t)load_u16(cell);
        return value;
    case TYPE_INT32:
        value->data_case = SCHEMA__VALUE_FIELD__DATA_INT_DATA;
        value->int_data = (int32_t)load_u32(cell);
        return value;
    case TYPE_INT64:
        value->data_case = SCHEMA__VALUE_FIELD__DATA_LONG_DATA;
        value->long_data = load_i64(cell);
        return value;
    case TYPE_FLOAT:
        value->data_case = SCHEMA__VALUE_FIELD__DATA_FLOAT_DATA;
        memcpy(&value->float_data, cell, len);
        return value;
    case TYPE_DOUBLE:
        value->data_case = SCHEMA__VALUE_FIELD__DATA_DOUBLE_DATA;
        memcpy(&value->double_data, cell, len);
        return value;
    default:
        return NULL;
    }
}

/* --- in --------------------------------------------------------------------------------- */

static Elanus__Field *s_field_in(ctx_t *ctx, const Schema__FieldSchema *from, int64_t id,
                                 bool auto_id)
{
    Elanus__Field *to = ctx_new(ctx, sizeof *to);
    elanus__field__init(to);
    to->id = id;
    to->name = (char *)from->name;
    to->description = (char *)from->description;
    to->type = (int32_t)from->data_type;
    to->element = (int32_t)from->element_type;
    to->type_params = translate_pairs_in(ctx, from->type_params, from->n_type_params);
    to->n_type_params = from->n_type_params;
    to->index_params = translate_pairs_in(ctx, from->index_params, from->n_index_params);
    to->n_index_params = from->n_index_params;
    to->primary_key = from->is_primary_key;
    to->auto_id = from->autoid || (auto_id && from->is_primary_key);
    to->partition_key = from->is_partition_key;
    to->clustering_key = from->is_clustering_key;
    to->nullable = from->nullable;
    const Schema__ValueField *value = from->default_value;
    to->has_default = value && value->data_case != SCHEMA__VALUE_FIELD__DATA__NOT_SET;
    if (to->has_default)
        to->default_value = s_default_in(ctx, (type_t)to->type, value);
    return to;
}

static Elanus__Field *s_dynamic_field(ctx_t *ctx, int64_t id)
{
    Elanus__Field *field = ctx_new(ctx, sizeof *field);
    elanus__field__init(field);
    field->id = id;
    field->name = (char *)"$meta";
    field->description = (char *)"dynamic schema";
    field->type = TYPE_JSON;
    field->dynamic = true;
    return field;
}

Elanus__Collection *translate_collection_in(ctx_t *ctx,
                                            const Milvus__CreateCollectionRequest *request,
                                            const Schema__CollectionSchema *schema)
{
    Elanus__Collection *coll = ctx_new(ctx, sizeof *coll);
    elanus__collection__init(coll);
    coll->description = (char *)schema->description;
    coll->auto_id = schema->autoid;
    coll->consistency = (int32_t)request->consistency_level;
    coll->properties = translate_pairs_in(ctx, request->properties, request->n_properties);
    coll->n_properties = request->n_properties;
    coll->fields = ctx_new(ctx, (schema->n_fields + 1) * sizeof(void *));
    bool keyed = false;
    for (size_t i = 0; i < schema->n_fields; i++) {
        coll->fields[i] = s_field_in(ctx, schema->fields[i], FIELD_FIRST + (int64_t)i,
                                     schema->autoid);
        keyed |= schema->fields[i]->is_partition_key;
    }
    coll->n_fields = schema->n_fields;
    if (schema->enable_dynamic_field) {
        coll->fields[coll->n_fields] = s_dynamic_field(ctx, FIELD_FIRST + (int64_t)coll->n_fields);
        coll->n_fields++;
    }
    if (keyed)
        coll->key_partitions = request->num_partitions > 0 ? request->num_partitions
                                                           : LIMIT_KEY_PARTITIONS;
    return coll;
}

/* --- out -------------------------------------------------------------------------------- */

static Schema__FieldSchema *s_field_out(ctx_t *ctx, const Elanus__Field *from)
{
    Schema__FieldSchema *to = ctx_new(ctx, sizeof *to);
    schema__field_schema__init(to);
    to->fieldid = from->id;
    to->name = from->name;
    to->description = from->description;
    to->data_type = (Schema__DataType)from->type;
    to->element_type = (Schema__DataType)from->element;
    to->type_params = translate_pairs_out(ctx, from->type_params, from->n_type_params);
    to->n_type_params = from->n_type_params;
    to->index_params = translate_pairs_out(ctx, from->index_params, from->n_index_params);
    to->n_index_params = from->n_index_params;
    to->is_primary_key = from->primary_key;
    to->autoid = from->auto_id;
    to->is_partition_key = from->partition_key;
    to->is_clustering_key = from->clustering_key;
    to->nullable = from->nullable;
    if (from->has_default)
        to->default_value = s_default_out(ctx, from);
    return to;
}

Schema__CollectionSchema *translate_schema_out(ctx_t *ctx, const Elanus__Collection *coll)
{
    Schema__CollectionSchema *schema = ctx_new(ctx, sizeof *schema);
    schema__collection_schema__init(schema);
    schema->name = coll->name;
    schema->description = coll->description;
    schema->autoid = coll->auto_id;
    schema->fields = ctx_new(ctx, (coll->n_fields + 1) * sizeof(void *));
    for (size_t i = 0; i < coll->n_fields; i++) {
        if (coll->fields[i]->dynamic)
            schema->enable_dynamic_field = true;
        else
            schema->fields[schema->n_fields++] = s_field_out(ctx, coll->fields[i]);
    }
    return schema;
}
