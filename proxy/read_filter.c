/* read_filter - see read_filter.h
 *
 * Template values may be lists of lists, so they are walked with a list of what
 * is still to do instead of recursion.  Each place is filled twice: as the
 * parser takes it and as the message to the nodes does.
 */
#include "proxy/read_filter.h"

#include <jansson.h>

#include "core/base/limits.h"
#include "core/base/vec.h"
#include "core/wire/pb.h"

enum { TEXT_SHOWN = 512 };      /* of an expression in an error */

/* A list that is still to be filled. */
typedef struct todo {
    const Schema__TemplateArrayValue *array;    /* one of both */
    json_t *json;
    expr_value_t *value;
    Elanus__ExprValue *out;
    int depth;
} todo_t;

typedef struct walk {
    ctx_t *ctx;
    vec_t todo;
    vec_t documents;            /* json_t *, kept until the walk ends */
} walk_t;

/* --- single values ------------------------------------------------------------------- */

static void s_set(expr_value_t *value, Elanus__ExprValue *out, expr_value_t what)
{
    *value = what;
    out->kind = (uint32_t)what.kind;
    switch (what.kind) {
    case EXPR_BOOL:
        out->b = what.b;
        break;
    case EXPR_INT:
        out->i = what.i;
        break;
    case EXPR_DOUBLE:
        out->d = what.d;
        break;
    case EXPR_STRING:
        out->s = (ProtobufCBinaryData){ .data = (uint8_t *)(uintptr_t)what.s.ptr,
                                        .len = what.s.len };
        break;
    case EXPR_NONE:
    case EXPR_ARRAY:
        break;
    }
}

static expr_value_t s_bool(bool b)     { return (expr_value_t){ .kind = EXPR_BOOL, .b = b }; }
static expr_value_t s_int(int64_t i)   { return (expr_value_t){ .kind = EXPR_INT, .i = i }; }
static expr_value_t s_double(double d) { return (expr_value_t){ .kind = EXPR_DOUBLE, .d = d }; }
static expr_value_t s_string(view_t s) { return (expr_value_t){ .kind = EXPR_STRING, .s = s }; }

/* --- lists ------------------------------------------------------------------------------- */

static err_t s_push(walk_t *walk, todo_t item)
{
    if (item.depth > LIMIT_EXPR_LIST_DEPTH)
        return ctx_fail(walk->ctx, ERR_PARAM_INVALID, "expression template values are nested "
                        "deeper than %d: invalid parameter", LIMIT_EXPR_LIST_DEPTH);
    vec_push(&walk->todo, &item);
    return OK;
}

/* Make both lists of n values; out's are initialised. */
static err_t s_list(walk_t *walk, const todo_t *item, size_t n, expr_value_t **ret,
                    Elanus__ExprValue **ret_out)
{
    expr_value_t *values = ctx_try(walk->ctx, (n + 1) * sizeof *values);
    Elanus__ExprValue *outs = ctx_try(walk->ctx, (n + 1) * sizeof *outs);
    Elanus__ExprValue **list = ctx_try(walk->ctx, (n + 1) * sizeof *list);
    if (!values || !outs || !list)
        return ctx_fail(walk->ctx, ERR_MEMORY, "memory limit exceeded: %zu template values", n);
    for (size_t i = 0; i < n; i++) {
        elanus__expr_value__init(&outs[i]);
        list[i] = &outs[i];
    }
    *item->value = (expr_value_t){ .kind = EXPR_ARRAY, .list = { values, n } };
    item->out->kind = EXPR_ARRAY;
    item->out->list = list;
    item->out->n_list = n;
    *ret = values;
    *ret_out = outs;
    return OK;
}

static err_t s_fill_json(walk_t *walk, const todo_t *item, json_t *from, expr_value_t *value,
                         Elanus__ExprValue *out)
{
    switch (json_typeof(from)) {
    case JSON_TRUE:
    case JSON_FALSE:
        s_set(value, out, s_bool(json_is_true(from)));
        return OK;
    case JSON_INTEGER:
        s_set(value, out, s_int(json_integer_value(from)));
        return OK;
    case JSON_REAL:
        s_set(value, out, s_double(json_real_value(from)));
        return OK;
    case JSON_STRING:
        s_set(value, out, s_string(view_of(json_string_value(from), json_string_length(from))));
        return OK;
    case JSON_ARRAY:
        return s_push(walk, (todo_t){ .json = from, .value = value, .out = out,
                                      .depth = item->depth + 1 });
    case JSON_OBJECT:
    case JSON_NULL:
        break;
    }
    return ctx_fail(walk->ctx, ERR_PARAM_INVALID, "an expression template value is neither bool, "
                    "number, string nor list: invalid parameter");
}

static err_t s_expand_json(walk_t *walk, const todo_t *item)
{
    expr_value_t *values = NULL;
    Elanus__ExprValue *outs = NULL;
    size_t n = json_array_size(item->json);
    TRY(s_list(walk, item, n, &values, &outs));
    for (size_t i = 0; i < n; i++)
        TRY(s_fill_json(walk, item, json_array_get(item->json, i), &values[i], &outs[i]));
    return OK;
}

/* A list of mixed kinds: each element is a JSON text. */
static err_t s_expand_texts(walk_t *walk, const todo_t *item, const Schema__JSONArray *texts)
{
    expr_value_t *values = NULL;
    Elanus__ExprValue *outs = NULL;
    TRY(s_list(walk, item, texts->n_data, &values, &outs));
    for (size_t i = 0; i < texts->n_data; i++) {
        json_error_t error;
        json_t *document = json_loadb((const char *)texts->data[i].data, texts->data[i].len,
                                      JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        if (!document)
            return ctx_fail(walk->ctx, ERR_PARAM_INVALID, "an expression template value is no "
                            "JSON: %s: invalid parameter", error.text);
        vec_push(&walk->documents, &document);
        TRY(s_fill_json(walk, item, document, &values[i], &outs[i]));
    }
    return OK;
}

static size_t s_array_len(const Schema__TemplateArrayValue *array)
{
    switch ((int)array->data_case) {
    case SCHEMA__TEMPLATE_ARRAY_VALUE__DATA_BOOL_DATA:   return array->bool_data->n_data;
    case SCHEMA__TEMPLATE_ARRAY_VALUE__DATA_LONG_DATA:   return array->long_data->n_data;
    case SCHEMA__TEMPLATE_ARRAY_VALUE__DATA_DOUBLE_DATA: return array->double_data->n_data;
    case SCHEMA__TEMPLATE_ARRAY_VALUE__DATA_STRING_DATA: return array->string_data->n_data;
    case SCHEMA__TEMPLATE_ARRAY_VALUE__DATA_ARRAY_DATA:  return array->array_data->n_data;
    default:                                             return 0;
    }
}

static err_t s_fill(walk_t *walk, const todo_t *item, size_t i, expr_value_t *value,
                    Elanus__ExprValue *out)
{
    const Schema__TemplateArrayValue *array = item->array;
    switch ((int)array->data_case) {
    case SCHEMA__TEMPLATE_ARRAY_VALUE__DATA_BOOL_DATA:
        s_set(value, out, s_bool(array->bool_data->data[i]));
        return OK;
    case SCHEMA__TEMPLATE_ARRAY_VALUE__DATA_LONG_DATA:
        s_set(value, out, s_int(array->long_data->data[i]));
        return OK;
    case SCHEMA__TEMPLATE_ARRAY_VALUE__DATA_DOUBLE_DATA:
        s_set(value, out, s_double(array->double_data->data[i]));
        return OK;
    case SCHEMA__TEMPLATE_ARRAY_VALUE__DATA_STRING_DATA:
        s_set(value, out, s_string(view_of(array->string_data->data[i].data,
                                           array->string_data->data[i].len)));
        return OK;
    default:
        return s_push(walk, (todo_t){ .array = array->array_data->data[i], .value = value,
                                      .out = out, .depth = item->depth + 1 });
    }
}

static err_t s_expand(walk_t *walk, const todo_t *item)
{
    expr_value_t *values = NULL;
    Elanus__ExprValue *outs = NULL;
    if (item->json)
        return s_expand_json(walk, item);
    if (item->array->data_case == SCHEMA__TEMPLATE_ARRAY_VALUE__DATA_JSON_DATA)
        return s_expand_texts(walk, item, item->array->json_data);
    size_t n = s_array_len(item->array);
    TRY(s_list(walk, item, n, &values, &outs));
    for (size_t i = 0; i < n; i++)
        TRY(s_fill(walk, item, i, &values[i], &outs[i]));
    return OK;
}

/* --- a template value -------------------------------------------------------------------- */

static err_t s_value(walk_t *walk, const template_value_t *from, expr_value_t *value,
                     Elanus__ExprValue *out)
{
    const Schema__TemplateValue *given = from->value;
    switch (given ? (int)given->val_case : 0) {
    case SCHEMA__TEMPLATE_VALUE__VAL_BOOL_VAL:
        s_set(value, out, s_bool(given->bool_val));
        return OK;
    case SCHEMA__TEMPLATE_VALUE__VAL_INT64_VAL:
        s_set(value, out, s_int(given->int64_val));
        return OK;
    case SCHEMA__TEMPLATE_VALUE__VAL_FLOAT_VAL:
        s_set(value, out, s_double(given->float_val));
        return OK;
    case SCHEMA__TEMPLATE_VALUE__VAL_STRING_VAL:
        s_set(value, out, s_string(view_str(given->string_val)));
        return OK;
    case SCHEMA__TEMPLATE_VALUE__VAL_ARRAY_VAL:
        return s_push(walk, (todo_t){ .array = given->array_val, .value = value, .out = out,
                                      .depth = 1 });
    default:
        return ctx_fail(walk->ctx, ERR_PARAM_INVALID, "expression template variable {%s} has a "
                        "value of a kind that is not supported: invalid parameter", from->name);
    }
}

static err_t s_walk(walk_t *walk, const template_value_t *from, expr_value_t *value,
                    Elanus__ExprValue *out)
{
    TRY(s_value(walk, from, value, out));
    while (walk->todo.len > 0) {
        todo_t item = *(todo_t *)vec_at(&walk->todo, walk->todo.len - 1);
        vec_remove(&walk->todo, walk->todo.len - 1);
        TRY(s_expand(walk, &item));
    }
    return OK;
}

static err_t s_templates(walk_t *walk, const template_value_t *from, size_t n, expr_param_t *params,
                         read_filter_t *ret)
{
    ctx_t *ctx = walk->ctx;
    for (size_t i = 0; i < n; i++) {
        Elanus__ExprValue out = ELANUS__EXPR_VALUE__INIT;
        params[i].name = view_str(from[i].name);
        TRY(s_walk(walk, &from[i], &params[i].value, &out));
        view_t packed = pb_pack(ctx, &out);
        Elanus__ExprParam *param = ctx_new(ctx, sizeof *param);
        elanus__expr_param__init(param);
        param->name = (char *)from[i].name;
        param->value = (ProtobufCBinaryData){ .data = (uint8_t *)(uintptr_t)packed.ptr,
                                              .len = packed.len };
        ret->params[i] = param;
    }
    ret->n_params = n;
    return OK;
}

/* --- the filter -------------------------------------------------------------------------- */

static err_t s_refuse(ctx_t *ctx, const char *text, err_t err)
{
    if (err == ERR_MEMORY)
        return err;
    const char *why = ctx_strdup(ctx, ctx->text);
    size_t len = strlen(text);
    return ctx_fail(ctx, err, "failed to create query plan: cannot parse expression: %.*s%s, "
                    "error: %s: invalid parameter", TEXT_SHOWN, text,
                    len > TEXT_SHOWN ? "…" : "", why);
}

err_t read_filter(ctx_t *ctx, schema_t *schema, const char *text,
                  const template_value_t *templates, size_t n, read_filter_t *ret)
{
    expr_param_t *params = ctx_try(ctx, (n + 1) * sizeof *params);
    *ret = (read_filter_t){ .text = (char *)(uintptr_t)text,
                            .params = ctx_try(ctx, (n + 1) * sizeof *ret->params) };
    if (!params || !ret->params)
        return ctx_fail(ctx, ERR_MEMORY, "memory limit exceeded: %zu template values", n);
    walk_t walk = { .ctx = ctx };
    vec_init(&walk.todo, sizeof(todo_t));
    vec_init(&walk.documents, sizeof(json_t *));
    err_t err = s_templates(&walk, templates, n, params, ret);
    if (err == OK) {
        err = expr_parse(ctx, view_str(text), schema, params, n, &ret->plan);
        err = err == OK ? OK : s_refuse(ctx, text, err);
    }
    for (size_t i = 0; i < walk.documents.len; i++)
        json_decref(*(json_t **)vec_at(&walk.documents, i));
    vec_fini(&walk.documents);
    vec_fini(&walk.todo);
    return err;
}

void read_filter_fini(read_filter_t *self)
{
    expr_unref(&self->plan);
}
