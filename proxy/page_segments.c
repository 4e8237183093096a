/* page_segments - every segment from growing to dropped, who holds it, and its indexes;
 * "segments" of docs/pages.md
 *
 *     data nodes    growing, sealed        those of the channel's owner count
 *     metadata      flushed, dropped       what it names goes before what a node still has
 *     query nodes   held_by
 *
 * The newest come first, and so many of them as were asked for.  Each node tells that many too:
 * a segment that is among the newest of all is among the newest of everyone who has it.
 */
#include <stdlib.h>

#include "core/base/limits.h"
#include "proxy/page_indexes.h"

enum { KEYS_SEG, KEYS_BUILD };

typedef struct {
    uint64_t id;
    const Elanus__Segment *stored;      /* metadata's; NULL: it has none */
    const Elanus__SegmentView *view;    /* the owner's; a query node's if no owner has it */
    const page_node_t *owner;           /* who has it growing or sealed */
    json_t *held_by, *indexes;
} row_t;

typedef struct {
    proxy_node_t *self;
    page_look_t *look;
    ctx_t *ctx;
    page_indexes_t words;
    row_t *rows;                        /* newest first, each once */
    size_t n;
    bool truncated;
} fill_t;

static err_t s_ask(proxy_call_t *call, Elanus__InspectAsk *ask)
{
    (void)call;
    ask->state = true;                  /* percents of builds */
    return OK;
}

static err_t s_find(proxy_node_t *self, page_look_t *look)
{
    TRY(page_find_items(self, look));
    look->ask.segments_most = (uint32_t)look->most + 1;     /* to see that there are more */
    look->ask.segments_before = look->before;
    look->ask.segments_of = look->collection;
    return OK;
}

/* --- which there are ----------------------------------------------------------------------- */

static int s_newest_first(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

/* Ids of all that somebody names; repeated where several do. */
static size_t s_ids(const fill_t *fill, uint64_t **ret)
{
    const page_look_t *look = fill->look;
    const meta_items_t *keys = &look->keys[KEYS_SEG];
    size_t n = 0, room = keys->n;
    for (size_t i = 0; i < look->n_nodes; i++)
        room += look->nodes[i].found ? look->nodes[i].found->n_segments : 0;
    uint64_t *ids = ctx_new(fill->ctx, (room + 1) * sizeof *ids);
    for (size_t i = 0; i < keys->n; i++) {
        uint64_t id = page_key_id(keys->at[i].key, 1);
        if (id && (!look->before || id < look->before))
            ids[n++] = id;
    }
    for (size_t i = 0; i < look->n_nodes; i++) {
        const Elanus__Inspection *found = look->nodes[i].found;
        for (size_t s = 0; found && s < found->n_segments; s++)
            ids[n++] = found->segments[s]->id;
    }
    *ret = ids;
    return n;
}

static void s_make_rows(fill_t *fill)
{
    uint64_t *ids = NULL;
    size_t n = s_ids(fill, &ids);
    qsort(ids, n, sizeof *ids, s_newest_first);
    fill->rows = ctx_new(fill->ctx, (fill->look->most + 1) * sizeof *fill->rows);
    for (size_t i = 0; i < n && !fill->truncated; i++) {
        if (i > 0 && ids[i] == ids[i - 1])
            continue;
        if (fill->n == fill->look->most)
            fill->truncated = true;
        else
            fill->rows[fill->n++] = (row_t){ .id = ids[i], .held_by = json_array(),
                                             .indexes = json_array() };
    }
}

static int s_find_row(const void *id, const void *row)
{
    return s_newest_first(id, &((const row_t *)row)->id);
}

/* NULL: it is older than what is shown. */
static row_t *s_row(const fill_t *fill, uint64_t id)
{
    return fill->n ? bsearch(&id, fill->rows, fill->n, sizeof *fill->rows, s_find_row) : NULL;
}

/* --- who says what of them ----------------------------------------------------------------- */

static void s_add_stored(fill_t *fill)
{
    const meta_items_t *keys = &fill->look->keys[KEYS_SEG];
    for (size_t i = 0; i < keys->n; i++) {
        row_t *row = s_row(fill, page_key_id(keys->at[i].key, 1));
        Elanus__Segment *stored = NULL;
        if (row && PB_UNPACK(fill->ctx, elanus__segment, keys->at[i].value, &stored) == OK)
            row->stored = stored;
    }
}

static bool s_owns(const fill_t *fill, const page_node_t *node, const char *vchannel)
{
    const char *pchannel = ctx_printf(fill->ctx, "%.*s", (int)directory_pchannel(vchannel).len,
                                      vchannel);
    const Elanus__Owner *owner = directory_owner(fill->self->directory, pchannel, NULL);
    return owner && owner->node == node->info->id;
}

static void s_add_unflushed(fill_t *fill, const page_node_t *node,
                            const Elanus__SegmentView *view)
{
    row_t *row = s_row(fill, view->id);
    if (row && (!row->owner || s_owns(fill, node, view->vchannel))) {
        row->owner = node;
        row->view = view;
    }
}

static const char *s_state(Elanus__SegmentState state)
{
    static const char *const s_names[] = {
        [ELANUS__SEGMENT_STATE__SEGMENT_GROWING] = "growing",
        [ELANUS__SEGMENT_STATE__SEGMENT_SEALED] = "sealed",
        [ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED] = "flushed",
        [ELANUS__SEGMENT_STATE__SEGMENT_DROPPED] = "dropped",
    };
    return (size_t)state < ARRAY_LEN(s_names) ? s_names[state] : NULL;
}

static void s_add_held(fill_t *fill, const page_node_t *node, const Elanus__SegmentView *view)
{
    row_t *row = s_row(fill, view->id);
    if (!row)
        return;
    if (!row->view)
        row->view = view;
    json_t *indexes = json_array();
    for (size_t i = 0; i < view->n_indexes; i++)
        json_array_append_new(indexes, page_id(view->indexes[i]));
    json_array_append_new(row->held_by, json_pack("{s:s, s:s, s:o}", "node", node->name, "state",
                                                  s_state(view->state), "indexes", indexes));
}

static void s_add_views(fill_t *fill, const char *role,
                        void (*add)(fill_t *, const page_node_t *, const Elanus__SegmentView *))
{
    for (size_t i = 0; i < fill->look->n_nodes; i++) {
        const page_node_t *node = &fill->look->nodes[i];
        if (strcmp(node->info->role, role) != 0)
            continue;
        for (size_t s = 0; node->found && s < node->found->n_segments; s++)
            add(fill, node, node->found->segments[s]);
    }
}

static json_t *s_index(const fill_t *fill, const Elanus__Build *build)
{
    page_index_t index = page_indexes_tell(&fill->words, build);
    json_t *item = json_object();
    json_object_set_new(item, "index", page_id(build->index));
    json_object_set_new(item, "name", page_text(index.name));
    json_object_set_new(item, "field", page_text(index.field));
    json_object_set_new(item, "type", page_text(index.type));
    json_object_set_new(item, "state", page_text(index.state));
    json_object_set_new(item, "build", page_id(build->id));
    json_object_set_new(item, "attempt", json_integer((json_int_t)build->attempt));
    json_object_set_new(item, "percent", index.percent);
    return item;
}

static void s_add_builds(fill_t *fill)
{
    const meta_items_t *keys = &fill->look->keys[KEYS_BUILD];
    for (size_t i = 0; i < keys->n; i++) {
        row_t *row = s_row(fill, page_key_id(keys->at[i].key, 1));
        Elanus__Build *build = NULL;
        if (row && PB_UNPACK(fill->ctx, elanus__build, keys->at[i].value, &build) == OK)
            json_array_append_new(row->indexes, s_index(fill, build));
    }
}

/* --- the answer ---------------------------------------------------------------------------- */

static const char *s_partition(const fill_t *fill, uint64_t collection, uint64_t id)
{
    const Elanus__Collection *coll = catalog_collection_by_id(fill->self->catalog, collection);
    for (size_t i = 0; coll && i < coll->n_partitions; i++)
        if (coll->partitions[i]->id == id)
            return coll->partitions[i]->name;
    return NULL;
}

/* One shape for all: metadata's, made of a view where metadata has none.  What a query node still
 * holds and metadata names no more was dropped. */
static Elanus__Segment s_segment(const row_t *row)
{
    if (row->stored)
        return *row->stored;
    Elanus__Segment segment = ELANUS__SEGMENT__INIT;
    if (!row->view)
        return segment;
    segment.collection = row->view->collection;
    segment.partition = row->view->partition;
    segment.vchannel = row->view->vchannel;
    segment.rows = row->view->rows;
    segment.bytes = row->view->bytes;
    segment.state = row->view->state == ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED
                  ? ELANUS__SEGMENT_STATE__SEGMENT_DROPPED : row->view->state;
    return segment;
}

static json_t *s_item(const fill_t *fill, const row_t *row)
{
    const Elanus__Segment segment = s_segment(row);
    const char *coll = page_collection_name(fill->self, segment.collection);
    bool unflushed = row->owner && !row->stored;
    json_t *from = json_array(), *item = json_object();
    for (size_t i = 0; i < segment.n_from; i++)
        json_array_append_new(from, page_id(segment.from[i]));
    json_object_set_new(item, "id", page_id(row->id));
    json_object_set_new(item, "collection", page_text(coll));
    json_object_set_new(item, "collection_id", page_id(segment.collection));
    json_object_set_new(item, "partition", page_text(s_partition(fill, segment.collection,
                                                                 segment.partition)));
    json_object_set_new(item, "vchannel", page_text(segment.vchannel));
    json_object_set_new(item, "state", page_text(s_state(segment.state)));
    json_object_set_new(item, "level", page_count(row->stored, segment.level));
    json_object_set_new(item, "rows", json_integer((json_int_t)segment.rows));
    json_object_set_new(item, "deleted", page_count(row->stored, segment.deleted));
    json_object_set_new(item, "bytes", json_integer((json_int_t)segment.bytes));
    json_object_set_new(item, "owner", page_text(unflushed ? row->owner->name : NULL));
    json_object_set_new(item, "held_by", row->held_by);
    json_object_set_new(item, "indexes", row->indexes);
    json_object_set_new(item, "from", from);
    json_object_set_new(item, "into", segment.into ? page_id(segment.into) : json_null());
    return item;
}

static void s_fill(proxy_node_t *self, page_look_t *look)
{
    fill_t fill = { .self = self, .look = look, .ctx = look->call->ctx };
    page_indexes_init(&fill.words, self, look);
    s_make_rows(&fill);
    s_add_stored(&fill);
    s_add_views(&fill, "datanode", s_add_unflushed);
    s_add_views(&fill, "querynode", s_add_held);
    s_add_builds(&fill);
    for (size_t i = 0; i < fill.n; i++)
        json_array_append_new(look->items, s_item(&fill, &fill.rows[i]));
    look->more = json_pack("{s:b, s:o}", "truncated", fill.truncated, "next", fill.truncated
                           && fill.n ? page_id(fill.rows[fill.n - 1].id) : json_null());
    page_indexes_fini(&fill.words);
}

static const char *const s_prefixes[] = { [KEYS_SEG] = "seg/", [KEYS_BUILD] = "build/", NULL };

const page_t page_segments = { .name = "segments", .ask = s_ask, .find = s_find, .fill = s_fill,
                               .prefixes = s_prefixes };
