/* builds_world - see builds_world.h */
#include "tests/support/builds_world.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "core/catalog/builds.h"
#include "core/catalog/segments.h"
#include "core/node/member.h"
#include "core/segment/binlog.h"
#include "core/wire/pb.h"

enum { TIMER_ASK = 100, ASK_MS = 20, ANSWER_MS = 2000, FOREVER_MS = 30000 };

builds_world_t builds_world;
#define g builds_world

/* --- a client ----------------------------------------------------------------------------- */

static void s_client_replied(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node, (void)arg;
    if (ev->err == ERR_NETWORK || ev->err == ERR_TIMEOUT || ev->err == ERR_SERVICE_NOT_READY) {
        act_timer(act, TIMER_ASK, ASK_MS);
        return;
    }
    g.answered = true;
    g.err = ev->err;
    g.method = 0;
    act_timer(act, TIMER_ASK, ASK_MS);
}

static void s_client_asks(member_t *self, const event_t *ev, actions_t *act)
{
    if (g.method && self->leader_there)
        act_call(act, self->leader_address, g.method, pb_pack(ev->ctx, g.ask), ANSWER_MS,
                 wait_once(self->waits, act, s_client_replied, NULL));
    else
        act_timer(act, TIMER_ASK, ASK_MS);
}

static void s_client_step(void *node, const event_t *ev, actions_t *act)
{
    member_t *self = node;
    if (member_step(self, self, ev, act))
        return;
    if (ev->kind == EV_START || (ev->kind == EV_TIMER && ev->timer == TIMER_ASK))
        s_client_asks(self, ev, act);
}

static void *s_client_make(const node_self_t *who, const void *options)
{
    (void)options;
    member_t *self = mem_new(sizeof *self);
    member_init(self, who);
    return self;
}

static void s_client_end(void *node)
{
    member_fini(node);
    mem_free(node);
}

static bool s_client_ready(const void *node)
{
    (void)node;
    return true;
}

static const role_t s_client_role = {
    .name = "proxy", .make = s_client_make, .step = s_client_step, .end = s_client_end,
    .ready = s_client_ready,
};

/* --- the world ------------------------------------------------------------------------------ */

void bw_make(const builds_options_t *options)
{
    g = (builds_world_t){ .options = *options };
    ctx_init(&g.ctx);
    g.store = store_memory_new();
    g.options.coord.store = g.store;
    g.sim = sim_new(&(sim_options_t){ .seed = options->seed, .meta_lost = options->meta_lost,
                                      .verify = options->verify,
                                      .verify_arg = options->verify_arg });
    for (int i = 0; i < options->coords; i++)
        sim_add_with(g.sim, &coord_role, &g.options.coord);
    for (int i = 0; i < options->builders; i++)
        sim_add_with(g.sim, options->builder, options->builder_options);
    sim_add(g.sim, &s_client_role);
}

void bw_start(void)
{
    for (int n = 0; n < sim_nodes(g.sim); n++)
        sim_start(g.sim, n);
}

void bw_destroy(void)
{
    sim_destroy(&g.sim);
    store_destroy(&g.store);
    ctx_fini(&g.ctx);
}

int bw_builder(int i) { return g.options.coords + i; }

int bw_leader(void)
{
    for (int i = 0; i < g.options.coords; i++)
        if (sim_alive(g.sim, i) && coord_node_leads(sim_node(g.sim, i)))
            return i;
    return -1;
}

static bool s_answered(sim_t *sim, void *arg)
{
    (void)sim, (void)arg;
    return g.answered;
}

err_t bw_ask(uint32_t method, const void *message)
{
    g.ask = message;
    g.answered = false;
    g.method = method;
    assert_true(sim_until(g.sim, FOREVER_MS, s_answered, NULL));
    return g.err;
}

/* --- metadata -------------------------------------------------------------------------------- */

static void s_txn(const meta_op_t *op)
{
    meta_txn_result_t done = {0};
    assert_int_equal(meta_txn(&g.ctx, sim_meta(g.sim), &(meta_txn_t){ .ops = op, .n_ops = 1 },
                              &done), OK);
}

static void s_put(const char *key, const void *message)
{
    s_txn(&(meta_op_t){ .kind = META_PUT, .key = key, .value = pb_pack(&g.ctx, message) });
}

void bw_delete(const char *key)
{
    s_txn(&(meta_op_t){ .kind = META_DELETE, .key = key });
}

static Elanus__Pair *s_pair(const char *key, const char *value)
{
    Elanus__Pair *pair = ctx_new(&g.ctx, sizeof *pair);
    elanus__pair__init(pair);
    pair->key = (char *)key;
    pair->value = (char *)value;
    return pair;
}

static Elanus__Field *s_field(int64_t id, const char *name, type_t type)
{
    Elanus__Field *field = ctx_new(&g.ctx, sizeof *field);
    elanus__field__init(field);
    field->id = id;
    field->name = (char *)name;
    field->type = (int32_t)type;
    return field;
}

void bw_put_collection(void)
{
    Elanus__Field *fields[] = { s_field(FIELD_FIRST, "id", TYPE_INT64),
                                s_field(BW_VECTOR, "v", TYPE_FLOAT_VECTOR) };
    Elanus__Pair *dim = s_pair("dim", ctx_printf(&g.ctx, "%d", BW_DIM));
    fields[0]->primary_key = true;
    fields[1]->type_params = &dim;
    fields[1]->n_type_params = 1;
    char *vchannel = (char *)"dml_0_500v0";
    Elanus__Collection coll = ELANUS__COLLECTION__INIT;
    coll.id = BW_COLLECTION;
    coll.name = (char *)"coll";
    coll.db_id = 1;
    coll.fields = fields;
    coll.n_fields = ARRAY_LEN(fields);
    coll.vchannels = &vchannel;
    coll.n_vchannels = 1;
    s_put(catalog_key_collection(&g.ctx, BW_COLLECTION), &coll);
}

void bw_put_index(uint64_t id, const char *type)
{
    Elanus__Pair *params[] = { s_pair("index_type", type), s_pair("metric_type", "L2"),
                               s_pair("nlist", "4") };
    Elanus__Index index = ELANUS__INDEX__INIT;
    index.id = id;
    index.collection_id = BW_COLLECTION;
    index.field_id = BW_VECTOR;
    index.name = ctx_printf(&g.ctx, "index_%llu", (unsigned long long)id);
    index.params = params;
    index.n_params = ARRAY_LEN(params);
    s_put(catalog_key_index(&g.ctx, BW_COLLECTION, id), &index);
}

const char *bw_binlog(uint64_t segment)
{
    return ctx_printf(&g.ctx, "binlog/%d/1/%llu/%d/1-0", BW_COLLECTION,
                      (unsigned long long)segment, BW_VECTOR);
}

void bw_put_segment(uint64_t id, uint64_t rows, Elanus__SegmentState state)
{
    char *binlogs[] = { (char *)"binlog/id", (char *)bw_binlog(id), (char *)"binlog/ts" };
    Elanus__Segment segment = ELANUS__SEGMENT__INIT;
    segment.id = id;
    segment.collection = BW_COLLECTION;
    segment.partition = 1;
    segment.vchannel = (char *)"dml_0_500v0";
    segment.state = state;
    segment.rows = rows;
    segment.parts = 1;
    segment.binlogs = binlogs;
    segment.n_binlogs = ARRAY_LEN(binlogs);
    s_put(segments_key(&g.ctx, BW_COLLECTION, id), &segment);
}

void bw_write_binlog(uint64_t segment, uint64_t rows)
{
    ctx_t ctx;
    ctx_init(&ctx);
    float *cells = ctx_new(&ctx, rows * BW_DIM * sizeof *cells);
    rng_t rng;
    rng_seed(&rng, segment);
    for (size_t i = 0; i < rows * BW_DIM; i++)
        cells[i] = (float)rng_unit(&rng);
    column_t column = { .type = TYPE_FLOAT_VECTOR, .width = BW_DIM * sizeof *cells, .n = rows,
                        .cells = (const uint8_t *)cells };
    binlog_head_t head = { .field = BW_VECTOR, .segment = segment, .raw = true };
    buf_scoped bytes = {0};
    assert_int_equal(binlog_write(&ctx, &head, &column, 1, &bytes), OK);
    assert_int_equal(store_put(&ctx, g.store, bw_binlog(segment), buf_view(&bytes)), OK);
    ctx_fini(&ctx);
}

/* --- builds --------------------------------------------------------------------------------- */

const Elanus__Build *bw_build(uint64_t segment, uint64_t index)
{
    meta_item_t item = {0};
    Elanus__Build *build = NULL;
    const char *key = builds_key(&g.ctx, BW_COLLECTION, segment, index);
    err_t err = meta_get(&g.ctx, sim_meta(g.sim), key, &item);
    if (err == ERR_KEY_NOT_FOUND)
        return NULL;
    assert_int_equal(err, OK);
    assert_int_equal(PB_UNPACK(&g.ctx, elanus__build, item.value, &build), OK);
    return build;
}

size_t bw_count(Elanus__BuildState state)
{
    ctx_t ctx;
    ctx_init(&ctx);
    meta_items_t items = {0};
    assert_int_equal(meta_list(&ctx, sim_meta(g.sim), builds_root(), &items), OK);
    size_t n = 0;
    for (size_t i = 0; i < items.n; i++) {
        Elanus__Build *build = NULL;
        assert_int_equal(PB_UNPACK(&ctx, elanus__build, items.at[i].value, &build), OK);
        n += state == ELANUS__BUILD_STATE__BUILD_NONE || build->state == state;
    }
    ctx_fini(&ctx);
    return n;
}

typedef struct {
    Elanus__BuildState state;
    size_t n;
} wish_t;

static bool s_is_so(sim_t *sim, void *arg)
{
    const wish_t *wish = arg;
    (void)sim;
    return bw_count(wish->state) == wish->n;
}

bool bw_until(int64_t ms, Elanus__BuildState state, size_t n)
{
    wish_t wish = { state, n };
    return sim_until(g.sim, ms, s_is_so, &wish);
}
