/* handle_index - create, drop, alter, describe indexes; how far building is
 *
 * To create one is to note its definition: the coord has it built, segment by
 * segment.  How far it is, is read from metadata when somebody asks.
 */
#include "core/catalog/builds.h"
#include "proxy/index_progress.h"
#include "proxy/proxy_gather.h"
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

/* of NULL: nobody counted. */
static Milvus__IndexDescription *s_describe(ctx_t *ctx, const Elanus__Collection *coll,
                                            const Elanus__Index *index,
                                            const index_progress_of_t *of)
{
    Milvus__IndexDescription *out = ctx_new(ctx, sizeof *out);
    milvus__index_description__init(out);
    out->index_name = index->name;
    out->indexid = (int64_t)index->id;
    out->params = translate_pairs_out(ctx, index->params, index->n_params);
    out->n_params = index->n_params;
    out->field_name = s_field_name(coll, index->field_id);
    index_progress_t progress = { .reason = "" };
    if (of)
        index_progress(ctx, of, index, &progress);
    out->state = progress.state;
    out->index_state_fail_reason = (char *)progress.reason;
    out->total_rows = progress.total;
    out->indexed_rows = progress.indexed;
    out->pending_index_rows = progress.pending;
    return out;
}

/* What one of the four questions names: all of them give a collection. */
typedef struct {
    const char *collection, *field, *name;
} names_t;

static names_t s_names(const proxy_call_t *call)
{
    const void *request = call->request;
    const ProtobufCMessageDescriptor *type = call->method->request;
    if (type == &milvus__get_index_statistics_request__descriptor) {
        const Milvus__GetIndexStatisticsRequest *from = request;
        return (names_t){ from->collection_name, "", from->index_name };
    }
    if (type == &milvus__get_index_state_request__descriptor) {
        const Milvus__GetIndexStateRequest *from = request;
        return (names_t){ from->collection_name, from->field_name, from->index_name };
    }
    if (type == &milvus__get_index_build_progress_request__descriptor) {
        const Milvus__GetIndexBuildProgressRequest *from = request;
        return (names_t){ from->collection_name, from->field_name, from->index_name };
    }
    check(type == &milvus__describe_index_request__descriptor);
    const Milvus__DescribeIndexRequest *from = request;
    return (names_t){ from->collection_name, from->field_name, from->index_name };
}

typedef struct {
    Milvus__IndexDescription **at;
    size_t n;
} found_t;

/* Those that the names fit: an index's, a field's, or all. */
static err_t s_find(proxy_node_t *self, proxy_call_t *call, index_progress_of_t *of,
                    const Elanus__Collection **ret, found_t *found)
{
    const names_t names = s_names(call);
    const Elanus__Collection *coll = NULL;
    const Elanus__Index **all = NULL;
    TRY(proxy_collection(self, call, names.collection, &coll));
    if (of)
        of->coll = coll;
    size_t n = catalog_indexes_of(self->catalog, call->ctx, coll->id, &all);
    *found = (found_t){ .at = ctx_new(call->ctx, (n + 1) * sizeof *found->at) };
    for (size_t i = 0; i < n; i++) {
        const char *on = s_field_name(coll, all[i]->field_id);
        if ((!names.name[0] || strcmp(names.name, all[i]->name) == 0) &&
            (!names.field[0] || names.name[0] || strcmp(names.field, on) == 0))
            found->at[found->n++] = s_describe(call->ctx, coll, all[i], of);
    }
    if (found->n == 0)
        return names.name[0]
            ? ctx_fail(call->ctx, ERR_INDEX_NOT_FOUND, "index not found[indexName=%s]", names.name)
            : ctx_fail(call->ctx, ERR_INDEX_NOT_FOUND, "index not found[collection=%s]",
                       names.collection);
    *ret = coll;
    return OK;
}

static void s_tell(proxy_node_t *self, proxy_call_t *call, const found_t *found, actions_t *act)
{
    Common__Status *status = proxy_status_new(call->ctx, OK, NULL);
    const ProtobufCMessageDescriptor *type = call->method->response;
    if (type == &milvus__describe_index_response__descriptor) {
        Milvus__DescribeIndexResponse response = MILVUS__DESCRIBE_INDEX_RESPONSE__INIT;
        response.status = status;
        response.index_descriptions = found->at;
        response.n_index_descriptions = found->n;
        proxy_answer(self, call, act, &response);
    } else if (type == &milvus__get_index_statistics_response__descriptor) {
        Milvus__GetIndexStatisticsResponse response = MILVUS__GET_INDEX_STATISTICS_RESPONSE__INIT;
        response.status = status;
        response.index_descriptions = found->at;
        response.n_index_descriptions = found->n;
        proxy_answer(self, call, act, &response);
    } else if (type == &milvus__get_index_state_response__descriptor) {
        Milvus__GetIndexStateResponse response = MILVUS__GET_INDEX_STATE_RESPONSE__INIT;
        response.status = status;
        response.state = found->at[0]->state;
        response.fail_reason = found->at[0]->index_state_fail_reason;
        proxy_answer(self, call, act, &response);
    } else {
        Milvus__GetIndexBuildProgressResponse response =
            MILVUS__GET_INDEX_BUILD_PROGRESS_RESPONSE__INIT;
        response.status = status;
        response.indexed_rows = found->at[0]->indexed_rows;
        response.total_rows = found->at[0]->total_rows;
        proxy_answer(self, call, act, &response);
    }
}

typedef struct {
    proxy_call_t *call;
    index_progress_of_t of;
} question_t;

/* What cannot be read is left out, and so counts as not built. */
static void s_builds_listed(void *node, void *arg, const event_t *ev, actions_t *act)
{
    proxy_node_t *self = node;
    question_t *question = arg;
    proxy_call_t *call = question->call;
    if (ev->err != OK) {
        proxy_status(self, call, act, ev->err, ctx_strdup(call->ctx, ev->text));
        return;
    }
    const meta_items_t *items = &ev->meta.items;
    Elanus__Build **builds = ctx_new(call->ctx, (items->n + 1) * sizeof *builds);
    for (size_t i = 0; i < items->n; i++)
        if (PB_UNPACK(call->ctx, elanus__build, items->at[i].value,
                      &builds[question->of.n_builds]) == OK)
            question->of.n_builds++;
    question->of.builds = builds;
    const Elanus__Collection *coll = NULL;
    found_t found = {0};
    err_t err = s_find(self, call, &question->of, &coll, &found);   /* again: it may be gone */
    if (err == OK)
        s_tell(self, call, &found, act);
    else
        proxy_refuse(self, call, ev, act, err);
}

static void s_stored(proxy_node_t *self, proxy_call_t *call, uint64_t collection,
                     Elanus__Segment *const *segments, size_t n, const event_t *ev,
                     actions_t *act)
{
    (void)ev;
    question_t *question = ctx_new(call->ctx, sizeof *question);
    *question = (question_t){ .call = call, .of = {
        .segments = segments, .n_segments = n, .build_rows = self->options->build_rows } };
    act_meta_list(act, ctx_printf(call->ctx, "%s%llu/", builds_root(),
                                  (unsigned long long)collection),
                  wait_once(self->member.waits, act, s_builds_listed, question));
}

static void s_question(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act)
{
    const Elanus__Collection *coll = NULL;
    found_t found = {0};
    err_t err = s_find(self, call, NULL, &coll, &found);
    if (err == OK)
        proxy_stored(self, call, coll->id, s_stored, act);
    else
        proxy_refuse(self, call, ev, act, err);
}

void handle_describe_index(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                           actions_t *act)
{
    s_question(self, call, ev, act);
}

void handle_get_index_statistics(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                 actions_t *act)
{
    s_question(self, call, ev, act);
}

void handle_get_index_state(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                            actions_t *act)
{
    s_question(self, call, ev, act);
}

void handle_get_index_build_progress(proxy_node_t *self, proxy_call_t *call, const event_t *ev,
                                     actions_t *act)
{
    s_question(self, call, ev, act);
}
