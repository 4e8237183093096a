/* handle_index - create, drop, alter, describe indexes; how far building is
 *
 * A definition counts as built: there are no rows yet.  Figures of the index
 * tasks belong into s_describe.
 */
#include "proxy/proxy_int.h"
#include "proxy/translate.h"
#include "proxy/validate.h"
#include "proxy/validate_index.h"

/* --- changes ----------------------------------------------------------------------- */

static err_t s_check(proxy_node_t *self, proxy_call_t *call, Elanus__Ddl *ask)
{
    const Milvus__CreateIndexRequest *request = (const void *)call->request;
    const Elanus__Collection *coll = NULL;
    TRY(proxy_collection(self, call, request->collection_name, &coll));
    TRY(validate_index_name(call->ctx, request->index_name));
    const Elanus__Field *field = catalog_field(coll, request->field_name);
    if (!field || field->dynamic)
        return ctx_fail(call->ctx, ERR_UNEXPECTED, "cannot create index on non-exist field: %s",
                        request->field_name);
    bool automatic = false;
    TRY(validate_index(call->ctx, field, &ask->properties, &ask->n_properties, &automatic));
    ask->automatic = automatic;
    ask->collection_name = coll->name;
    return OK;
}

void handle_create_index(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    const Milvus__CreateIndexRequest *request = (const void *)call->request;
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.field_name = (char *)request->field_name;
    ask.index_name = (char *)request->index_name;
    ask.properties = translate_pairs_in(call->ctx, request->extra_params, request->n_extra_params);
    ask.n_properties = request->n_extra_params;
    err_t err = s_check(self, call, &ask);
    if (err == OK)
        proxy_ddl(self, call, ev, act, ELANUS__METHOD__METHOD_CREATE_INDEX, &ask);
    else
        proxy_refuse(self, call, ev, act, err);
}

void handle_drop_index(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    const Milvus__DropIndexRequest *request = (const void *)call->request;
    const Elanus__Collection *coll = NULL;
    err_t err = proxy_collection(self, call, request->collection_name, &coll);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.collection_name = coll->name;
    ask.field_name = (char *)request->field_name;
    ask.index_name = (char *)request->index_name;
    proxy_ddl(self, call, ev, act, ELANUS__METHOD__METHOD_DROP_INDEX, &ask);
}

static err_t s_check_alter(proxy_node_t *self, proxy_call_t *call)
{
    const Milvus__AlterIndexRequest *request = (const void *)call->request;
    const Elanus__Collection *coll = NULL;
    TRY(proxy_collection(self, call, request->collection_name, &coll));
    if (request->n_extra_params && request->n_delete_keys)
        return ctx_fail(call->ctx, ERR_PARAM_INVALID,
                        "cannot provide both DeleteKeys and ExtraParams: invalid parameter");
    for (size_t i = 0; i < request->n_extra_params; i++) {
        const char *key = request->extra_params[i]->key;
        if (strcmp(key, "mmap.enabled") != 0 && strcmp(key, "indexoffsetcache.enabled") != 0)
            return ctx_fail(call->ctx, ERR_PARAM_INVALID, "%s is not a configable index property: "
                            "invalid parameter", key);
    }
    return OK;
}

void handle_alter_index(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    const Milvus__AlterIndexRequest *request = (const void *)call->request;
    err_t err = s_check_alter(self, call);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Elanus__Ddl ask = ELANUS__DDL__INIT;
    ask.collection_name = (char *)request->collection_name;
    ask.index_name = (char *)request->index_name;
    ask.properties = translate_pairs_in(call->ctx, request->extra_params, request->n_extra_params);
    ask.n_properties = request->n_extra_params;
    ask.delete_keys = (char **)request->delete_keys;
    ask.n_delete_keys = request->n_delete_keys;
    proxy_ddl(self, call, ev, act, ELANUS__METHOD__METHOD_ALTER_INDEX, &ask);
}

/* --- questions --------------------------------------------------------------------- */

static const char *s_field_name(const Elanus__Collection *coll, int64_t id)
{
    for (size_t i = 0; i < coll->n_fields; i++)
        if (coll->fields[i]->id == id)
            return coll->fields[i]->name;
    return "";
}

static Milvus__IndexDescription *s_describe(ctx_t *ctx, const Elanus__Collection *coll,
                                            const Elanus__Index *index)
{
    Milvus__IndexDescription *out = ctx_new(ctx, sizeof *out);
    milvus__index_description__init(out);
    out->index_name = index->name;
    out->indexid = (int64_t)index->id;
    out->params = translate_pairs_out(ctx, index->params, index->n_params);
    out->n_params = index->n_params;
    out->field_name = s_field_name(coll, index->field_id);
    out->state = COMMON__INDEX_STATE__Finished;
    return out;
}

/* Those that the names fit: an index's, a field's, or all. */
static err_t s_find(proxy_node_t *self, proxy_call_t *call, const char *collection,
                    const char *field, const char *name, Milvus__IndexDescription ***ret,
                    size_t *ret_n)
{
    const Elanus__Collection *coll = NULL;
    const Elanus__Index **all = NULL;
    TRY(proxy_collection(self, call, collection, &coll));
    size_t n = catalog_indexes_of(self->catalog, call->ctx, coll->id, &all), kept = 0;
    Milvus__IndexDescription **found = ctx_new(call->ctx, (n + 1) * sizeof *found);
    for (size_t i = 0; i < n; i++) {
        const char *on = s_field_name(coll, all[i]->field_id);
        if ((!name[0] || strcmp(name, all[i]->name) == 0) &&
            (!field[0] || name[0] || strcmp(field, on) == 0))
            found[kept++] = s_describe(call->ctx, coll, all[i]);
    }
    if (kept == 0)
        return name[0] ? ctx_fail(call->ctx, ERR_INDEX_NOT_FOUND, "index not found[indexName=%s]",
                                  name)
                       : ctx_fail(call->ctx, ERR_INDEX_NOT_FOUND, "index not found[collection=%s]",
                                  collection);
    *ret = found;
    *ret_n = kept;
    return OK;
}

void handle_describe_index(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                           actions_t *act)
{
    const Milvus__DescribeIndexRequest *request = (const void *)call->request;
    Milvus__DescribeIndexResponse response = MILVUS__DESCRIBE_INDEX_RESPONSE__INIT;
    err_t err = s_find(self, call, request->collection_name, request->field_name,
                       request->index_name, &response.index_descriptions,
                       &response.n_index_descriptions);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    response.status = proxy_status_new(call->ctx, OK, NULL);
    proxy_answer(self, call, act, &response);
}

void handle_get_index_statistics(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                 actions_t *act)
{
    const Milvus__GetIndexStatisticsRequest *request = (const void *)call->request;
    Milvus__GetIndexStatisticsResponse response = MILVUS__GET_INDEX_STATISTICS_RESPONSE__INIT;
    err_t err = s_find(self, call, request->collection_name, "", request->index_name,
                       &response.index_descriptions, &response.n_index_descriptions);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    response.status = proxy_status_new(call->ctx, OK, NULL);
    proxy_answer(self, call, act, &response);
}

void handle_get_index_state(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                            actions_t *act)
{
    const Milvus__GetIndexStateRequest *request = (const void *)call->request;
    Milvus__IndexDescription **found = NULL;
    size_t n = 0;
    err_t err = s_find(self, call, request->collection_name, request->field_name,
                       request->index_name, &found, &n);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Milvus__GetIndexStateResponse response = MILVUS__GET_INDEX_STATE_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.state = found[0]->state;
    proxy_answer(self, call, act, &response);
}

void handle_get_index_build_progress(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                     actions_t *act)
{
    const Milvus__GetIndexBuildProgressRequest *request = (const void *)call->request;
    Milvus__IndexDescription **found = NULL;
    size_t n = 0;
    err_t err = s_find(self, call, request->collection_name, request->field_name,
                       request->index_name, &found, &n);
    if (err != OK) {
        proxy_refuse(self, call, ev, act, err);
        return;
    }
    Milvus__GetIndexBuildProgressResponse response =
        MILVUS__GET_INDEX_BUILD_PROGRESS_RESPONSE__INIT;
    response.status = proxy_status_new(call->ctx, OK, NULL);
    response.indexed_rows = found[0]->indexed_rows;
    response.total_rows = found[0]->total_rows;
    proxy_answer(self, call, act, &response);
}
