/* page_indexes - see page_indexes.h */
#include "proxy/page_indexes.h"

void page_indexes_init(page_indexes_t *self, const proxy_node_t *node, const page_look_t *look)
{
    const void **all = NULL;
    size_t n = catalog_list(node->catalog, look->call->ctx, CATALOG_INDEX, &all);
    *self = (page_indexes_t){ .self = node, .definitions = map_new(), .running = map_new() };
    for (size_t i = 0; i < n; i++)
        map_put_u64(self->definitions, ((const Elanus__Index *)all[i])->id, (void *)all[i]);
    for (size_t i = 0; i < look->n_nodes; i++) {
        const Elanus__Inspection *found = look->nodes[i].found;
        for (size_t b = 0; found && b < found->n_builds; b++)
            map_put_u64(self->running, found->builds[b]->id, found->builds[b]);
    }
}

void page_indexes_fini(page_indexes_t *self)
{
    map_destroy(&self->definitions);
    map_destroy(&self->running);
}

static const char *s_field(const page_indexes_t *self, const Elanus__Build *build)
{
    const Elanus__Collection *coll = catalog_collection_by_id(self->self->catalog,
                                                              build->collection);
    for (size_t i = 0; coll && i < coll->n_fields; i++)
        if (coll->fields[i]->id == build->field)
            return coll->fields[i]->name;
    return NULL;
}

/* As it was built; before that, as it is defined. */
static const char *s_type(const Elanus__Build *build, const Elanus__Index *definition)
{
    const char *type = catalog_pair(build->params, build->n_params, "index_type");
    return type || !definition ? type
         : catalog_pair(definition->params, definition->n_params, "index_type");
}

static const char *s_state(const Elanus__Build *build)
{
    static const char *const s_names[] = {
        [ELANUS__BUILD_STATE__BUILD_WAITING] = "waiting",
        [ELANUS__BUILD_STATE__BUILD_RUNNING] = "running",
        [ELANUS__BUILD_STATE__BUILD_DONE] = "done",
        [ELANUS__BUILD_STATE__BUILD_FAILED] = "failed",
    };
    return (size_t)build->state < ARRAY_LEN(s_names) ? s_names[build->state] : NULL;
}

static json_t *s_percent(const page_indexes_t *self, const Elanus__Build *build)
{
    const Elanus__BuildView *view = map_get_u64(self->running, build->id);
    if (build->state == ELANUS__BUILD_STATE__BUILD_DONE)
        return json_integer(100);
    if (build->state == ELANUS__BUILD_STATE__BUILD_WAITING)
        return json_integer(0);
    bool known = build->state == ELANUS__BUILD_STATE__BUILD_RUNNING && view &&
                 view->attempt == build->attempt;
    return page_count(known, known ? view->percent : 0);
}

page_index_t page_indexes_tell(const page_indexes_t *self, const Elanus__Build *build)
{
    const Elanus__Index *definition = map_get_u64(self->definitions, build->index);
    return (page_index_t){
        .name = definition ? definition->name : NULL, .field = s_field(self, build),
        .type = s_type(build, definition), .state = s_state(build),
        .percent = s_percent(self, build),
    };
}
