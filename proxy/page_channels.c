/* page_channels - who owns each channel, how far it is, and who follows; "channels" of
 * docs/pages.md
 *
 * The metadata names the owner.  What only the owner knows comes from the node that has the
 * channel under that epoch or a newer one: who lost it and has not heard so is not believed.
 */
#include <stdlib.h>

#include "core/base/limits.h"
#include "proxy/pages.h"

enum { KEYS_SEAL, KEYS_CKPT };

/* One channel. */
typedef struct {
    const char *name;
    const Elanus__Owner *said;          /* by metadata; NULL: never owned */
    const Elanus__ChannelView *view;    /* of the node that has it; NULL: it did not answer */
    const page_node_t *from;
    const Elanus__Checkpoint *ckpt;
    json_t *seals, *vchannels, *followers;
} row_t;

typedef struct {
    proxy_node_t *self;
    page_look_t *look;
    ctx_t *ctx;
    map_t *rows;                        /* name -> row_t */
    size_t n_inner;                     /* vchannels and followers, of all rows */
} fill_t;

static err_t s_ask(proxy_call_t *call, Elanus__InspectAsk *ask)
{
    (void)call;
    ask->state = true;
    return OK;
}

/* --- which there are ----------------------------------------------------------------------- */

static row_t *s_row(fill_t *fill, view_t name)
{
    row_t *row = map_get(fill->rows, name);
    if (row)
        return row;
    row = ctx_new(fill->ctx, sizeof *row);
    *row = (row_t){ .name = ctx_printf(fill->ctx, "%.*s", (int)name.len, (const char *)name.ptr),
                    .seals = json_array(), .vchannels = json_array(),
                    .followers = json_array() };
    map_put(fill->rows, name, row);
    return row;
}

static void s_add_owners(fill_t *fill)
{
    const Elanus__Owner **owners = NULL;
    size_t n = directory_owners(fill->self->directory, fill->ctx, &owners);
    for (size_t i = 0; i < n; i++)
        s_row(fill, view_str(owners[i]->pchannel))->said = owners[i];
}

/* Room for one more line inside of a channel. */
static bool s_may_add(fill_t *fill)
{
    return fill->n_inner++ < LIMIT_PAGE_ITEMS;
}

static void s_add_vchannels(fill_t *fill)
{
    const void **all = NULL;
    size_t n = catalog_list(fill->self->catalog, fill->ctx, CATALOG_COLLECTION, &all);
    for (size_t i = 0; i < n; i++) {
        const Elanus__Collection *coll = all[i];
        for (size_t v = 0; v < coll->n_vchannels; v++) {
            row_t *row = s_row(fill, directory_pchannel(coll->vchannels[v]));
            if (s_may_add(fill))
                json_array_append_new(row->vchannels,
                                      json_pack("{s:s, s:s}", "name", coll->vchannels[v],
                                                "collection", coll->name));
        }
    }
}

/* --- what the nodes say -------------------------------------------------------------------- */

static void s_add_views(fill_t *fill)
{
    for (size_t i = 0; i < fill->look->n_nodes; i++) {
        const page_node_t *node = &fill->look->nodes[i];
        for (size_t c = 0; node->found && c < node->found->n_channels; c++) {
            const Elanus__ChannelView *view = node->found->channels[c];
            row_t *row = s_row(fill, view_str(view->pchannel));
            bool old = row->said && view->epoch < row->said->epoch;
            if (!old && (!row->view || view->epoch > row->view->epoch)) {
                row->view = view;
                row->from = node;
            }
        }
    }
}

static const Elanus__ShardView *s_shard(const Elanus__ChannelView *view, const char *vchannel)
{
    for (size_t i = 0; i < view->n_shards; i++)
        if (strcmp(view->shards[i]->vchannel, vchannel) == 0)
            return view->shards[i];
    return NULL;
}

/* Since when an entry waits to be applied there.  Positions are of one epoch; a channel's entries
 * are of many shards, so who has those of its own is not behind. */
static json_t *s_behind_ms(const row_t *row, const Elanus__FollowerView *follower)
{
    if (!row->view || !follower->epoch || follower->epoch != row->view->epoch)
        return json_null();
    const Elanus__ShardView *shard = s_shard(row->view, follower->vchannel);
    if (!shard || shard->epoch < follower->epoch || shard->seq <= follower->seq)
        return json_integer(0);
    bool known = follower->heard_ts > 0 && shard->ts > follower->heard_ts;
    return known ? json_integer((json_int_t)((shard->ts - follower->heard_ts) >> 18) + 1)
                 : json_null();
}

static const char *s_collection(fill_t *fill, const char *vchannel)
{
    size_t skip = directory_pchannel(vchannel).len;
    uint64_t id = vchannel[skip] == '_' ? strtoull(vchannel + skip + 1, NULL, 10) : 0;
    return page_collection_name(fill->self, id);
}

static void s_add_follower(fill_t *fill, const page_node_t *node,
                           const Elanus__FollowerView *follower)
{
    row_t *row = s_row(fill, directory_pchannel(follower->vchannel));
    bool known = follower->epoch > 0;           /* else it begins anew */
    if (!s_may_add(fill))
        return;
    json_t *item = json_object();
    json_object_set_new(item, "node", json_string(node->name));
    json_object_set_new(item, "vchannel", json_string(follower->vchannel));
    json_object_set_new(item, "collection", page_text(s_collection(fill, follower->vchannel)));
    json_object_set_new(item, "leader", json_boolean(follower->leader));
    json_object_set_new(item, "epoch", page_count(known, follower->epoch));
    json_object_set_new(item, "seq", page_count(known, follower->seq));
    json_object_set_new(item, "behind_ms", s_behind_ms(row, follower));
    json_array_append_new(row->followers, item);
}

static void s_add_followers(fill_t *fill)
{
    for (size_t i = 0; i < fill->look->n_nodes; i++) {
        const page_node_t *node = &fill->look->nodes[i];
        for (size_t f = 0; node->found && f < node->found->n_followers; f++)
            s_add_follower(fill, node, node->found->followers[f]);
    }
}

/* --- what the metadata says ---------------------------------------------------------------- */

static void s_add_keys(fill_t *fill)
{
    const meta_items_t *seals = &fill->look->keys[KEYS_SEAL];
    const meta_items_t *ckpts = &fill->look->keys[KEYS_CKPT];
    for (size_t i = 0; i < seals->n; i++) {
        Elanus__Seal *seal = NULL;
        if (PB_UNPACK(fill->ctx, elanus__seal, seals->at[i].value, &seal) == OK)
            json_array_append_new(s_row(fill, view_str(seal->pchannel))->seals,
                                  json_pack("{s:I, s:I}", "epoch", (json_int_t)seal->epoch,
                                            "end", (json_int_t)seal->end));
    }
    for (size_t i = 0; i < ckpts->n; i++) {
        Elanus__Checkpoint *ckpt = NULL;
        if (PB_UNPACK(fill->ctx, elanus__checkpoint, ckpts->at[i].value, &ckpt) == OK)
            s_row(fill, view_str(ckpt->pchannel))->ckpt = ckpt;
    }
}

/* --- the answer ---------------------------------------------------------------------------- */

static uint64_t s_owner(const row_t *row)
{
    if (row->view)
        return row->from->info->id;
    bool owned = row->said && row->said->state != ELANUS__OWNER_STATE__OWNER_RELEASED;
    return owned ? row->said->node : 0;
}

static bool s_answered(const page_look_t *look, uint64_t node)
{
    for (size_t i = 0; i < look->n_nodes; i++)
        if (look->nodes[i].info->id == node)
            return look->nodes[i].found != NULL;
    return false;
}

/* NULL: nobody who would know has answered. */
static const char *s_state(const fill_t *fill, const row_t *row)
{
    if (row->view)
        return row->view->state;
    if (!row->said)
        return NULL;
    if (row->said->state == ELANUS__OWNER_STATE__OWNER_RELEASED)
        return "released";
    bool claimed = row->said->state == ELANUS__OWNER_STATE__OWNER_RECOVERING;
    return claimed || s_answered(fill->look, row->said->node) ? "recovering" : NULL;
}

static void s_say_missing(fill_t *fill, const row_t *row)
{
    uint64_t owner = s_owner(row);
    if (row->view || (owner && s_answered(fill->look, owner)))
        return;
    if (owner)
        page_missing(fill->look, row->name,
                     ctx_printf(fill->ctx, "its owner by the metadata, datanode-%llu, does not "
                                "answer", (unsigned long long)owner),
                     "how far it is, is not known.  If that node is dead, the leading coord gives "
                     "the channel to another data node in a moment: is there one?");
    else
        page_missing(fill->look, row->name, "nobody owns it",
                     "the leading coord gives it to a data node: is there one, and a coord?");
}

static json_t *s_position(bool known, uint64_t epoch, uint64_t seq)
{
    return known ? json_pack("{s:I, s:I}", "epoch", (json_int_t)epoch, "seq", (json_int_t)seq)
                 : json_null();
}

static json_t *s_item(fill_t *fill, const row_t *row)
{
    static const Elanus__ChannelView s_none;
    const Elanus__ChannelView *view = row->view ? row->view : &s_none;
    const Elanus__Checkpoint *ckpt = row->ckpt;
    bool known = view->frontier_epoch > 0;
    uint64_t epoch = row->view ? view->epoch : row->said ? row->said->epoch : 0;
    json_t *item = json_object();
    json_object_set_new(item, "channel", json_string(row->name));
    json_object_set_new(item, "owner", page_node_name(fill->ctx, "datanode", s_owner(row)));
    json_object_set_new(item, "epoch", page_count(epoch > 0, epoch));
    json_object_set_new(item, "state", page_text(s_state(fill, row)));
    json_object_set_new(item, "frontier", s_position(known, view->frontier_epoch,
                                                     view->frontier_seq));
    json_object_set_new(item, "frontier_ts_ms", page_ts_ms(view->frontier_ts));
    json_object_set_new(item, "checkpoint", s_position(ckpt, ckpt ? ckpt->epoch : 0,
                                                       ckpt ? ckpt->seq : 0));
    json_object_set_new(item, "checkpoint_ts_ms", page_ts_ms(ckpt ? ckpt->ts : 0));
    json_object_set_new(item, "pending_bytes", page_count(row->view, view->pending_bytes));
    json_object_set_new(item, "growing_rows", page_count(known, view->growing_rows));
    json_object_set_new(item, "seals", row->seals);
    json_object_set_new(item, "vchannels", row->vchannels);
    json_object_set_new(item, "followers", row->followers);
    return item;
}

/* elanus-dml_2 before elanus-dml_10. */
static int s_by_name(const void *a, const void *b)
{
    const char *x = (*(row_t *const *)a)->name, *y = (*(row_t *const *)b)->name;
    size_t nx = strlen(x), ny = strlen(y);
    return nx != ny ? (nx > ny) - (nx < ny) : strcmp(x, y);
}

static void s_fill(proxy_node_t *self, page_look_t *look)
{
    fill_t fill = { .self = self, .look = look, .ctx = look->call->ctx, .rows = map_new() };
    s_add_owners(&fill);
    s_add_vchannels(&fill);
    s_add_keys(&fill);
    s_add_views(&fill);
    s_add_followers(&fill);

    size_t n = map_len(fill.rows), i = 0;
    row_t **rows = ctx_new(fill.ctx, (n + 1) * sizeof *rows);
    void *row = NULL;
    for (size_t at = 0; map_next(fill.rows, &at, NULL, &row); )
        rows[i++] = row;
    qsort(rows, n, sizeof *rows, s_by_name);
    for (i = 0; i < n; i++) {
        s_say_missing(&fill, rows[i]);
        json_array_append_new(look->items, s_item(&fill, rows[i]));
    }
    look->more = json_pack("{s:b}", "truncated", fill.n_inner > LIMIT_PAGE_ITEMS);
    map_destroy(&fill.rows);
}

static const char *const s_prefixes[] = { [KEYS_SEAL] = "seal/", [KEYS_CKPT] = "ckpt/", NULL };

const page_t page_channels = { .name = "channels", .ask = s_ask, .fill = s_fill,
                               .prefixes = s_prefixes };
