/* page_builds - which index of which segment is being built, where, and how far; "builds" of
 * docs/pages.md
 *
 * What is not done comes first: the newest of a hundred thousand built ones tell little.
 */
#include <stdlib.h>

#include "core/base/limits.h"
#include "proxy/page_indexes.h"

static err_t s_ask(proxy_call_t *call, Elanus__InspectAsk *ask)
{
    (void)call;
    ask->state = true;
    return OK;
}

static int s_by_segment(const void *a, const void *b)
{
    const meta_item_t *x = a, *y = b;
    uint64_t xs = page_key_id(x->key, 1), ys = page_key_id(y->key, 1);
    return (xs < ys) - (xs > ys);
}

static bool s_is_open(const Elanus__Build *build)
{
    return build->state != ELANUS__BUILD_STATE__BUILD_DONE;
}

static int s_order(const void *a, const void *b)
{
    const Elanus__Build *x = *(Elanus__Build *const *)a, *y = *(Elanus__Build *const *)b;
    if (s_is_open(x) != s_is_open(y))
        return s_is_open(x) ? -1 : 1;
    return (x->id < y->id) - (x->id > y->id);
}

static json_t *s_item(ctx_t *ctx, const page_indexes_t *indexes, const Elanus__Build *build)
{
    page_index_t index = page_indexes_tell(indexes, build);
    bool running = build->state == ELANUS__BUILD_STATE__BUILD_RUNNING;
    bool done = build->state == ELANUS__BUILD_STATE__BUILD_DONE;
    json_t *item = json_object();
    json_object_set_new(item, "build", page_id(build->id));
    json_object_set_new(item, "collection",
                        page_text(page_collection_name(indexes->self, build->collection)));
    json_object_set_new(item, "segment", page_id(build->segment));
    json_object_set_new(item, "index", page_text(index.name));
    json_object_set_new(item, "field", page_text(index.field));
    json_object_set_new(item, "type", page_text(index.type));
    json_object_set_new(item, "state", page_text(index.state));
    json_object_set_new(item, "node", page_node_name(ctx, "indexnode", running ? build->node : 0));
    json_object_set_new(item, "attempt", json_integer((json_int_t)build->attempt));
    json_object_set_new(item, "percent", index.percent);
    json_object_set_new(item, "rows", page_count(build->rows > 0, build->rows));
    json_object_set_new(item, "bytes", page_count(done, build->bytes));
    json_object_set_new(item, "started_ms", page_count(build->started_ms > 0,
                                                       (uint64_t)build->started_ms));
    json_object_set_new(item, "done_ms", page_count(build->done_ms > 0,
                                                    (uint64_t)build->done_ms));
    json_object_set_new(item, "error", page_text(build->error));
    return item;
}

static void s_fill(proxy_node_t *self, page_look_t *look)
{
    ctx_t *ctx = look->call->ctx;
    const meta_items_t *keys = &look->keys[0];
    size_t looked = keys->n < LIMIT_PAGE_KEYS ? keys->n : LIMIT_PAGE_KEYS, n = 0;
    qsort(keys->at, keys->n, sizeof keys->at[0], s_by_segment);
    Elanus__Build **builds = ctx_new(ctx, (looked + 1) * sizeof *builds);
    for (size_t i = 0; i < looked; i++) {
        Elanus__Build *build = NULL;
        if (PB_UNPACK(ctx, elanus__build, keys->at[i].value, &build) == OK)
            builds[n++] = build;
    }
    qsort(builds, n, sizeof *builds, s_order);

    page_indexes_t indexes;
    page_indexes_init(&indexes, self, look);
    for (size_t i = 0; i < n && i < look->most; i++)
        json_array_append_new(look->items, s_item(ctx, &indexes, builds[i]));
    page_indexes_fini(&indexes);
    look->more = json_pack("{s:b}", "truncated", n > look->most || keys->n > looked);
}

static const char *const s_prefixes[] = { "build/", NULL };

const page_t page_builds = { .name = "builds", .ask = s_ask, .find = page_find_items,
                             .fill = s_fill, .prefixes = s_prefixes };
