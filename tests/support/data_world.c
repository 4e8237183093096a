/* data_world - see data_world.h */
#include "tests/support/data_world.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/base/fault.h"
#include "core/node/member.h"
#include "core/wire/pb.h"

enum { TIMER_PROBE = 100, FOREVER_MS = 20000 };

data_world_t data_world;
#define g data_world

/* --- the probe ------------------------------------------------------------------------ */

static void s_probe_replied(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)node, (void)act;
    question_t *q = arg;
    q->done = true;
    q->err = ev->err;
    snprintf(q->text, sizeof q->text, "%s", ev->text);
    if (ev->err == OK)
        buf_add_view(&q->answer, ev->payload);
}

static void s_probe_asks(member_t *self, actions_t *act)
{
    for (size_t i = 0; i < g.questions.len; i++) {
        question_t *q = *(question_t **)vec_at(&g.questions, i);
        if (!q->asked)
            act_call(act, "sim://datanode-0", q->method, buf_view(&q->payload), q->timeout_ms,
                     wait_once(self->waits, act, s_probe_replied, q));
        q->asked = true;
    }
    act_timer(act, TIMER_PROBE, 5);
}

static void s_probe_step(void *node, const event_t *ev, actions_t *act)
{
    member_t *self = node;
    if (member_step(self, self, ev, act))
        return;
    if (ev->kind == EV_START || ev->kind == EV_TIMER)
        s_probe_asks(self, act);
    if (ev->kind != EV_CALL)
        return;
    Elanus__IdRange range = ELANUS__ID_RANGE__INIT;
    range.first = g.next_id;
    range.n = 3;                                /* few, so that they run out */
    g.next_id += range.n;
    if (g.no_ids)
        act_refuse(act, ev->call.from, ERR_SERVICE_NOT_READY, "no ids today");
    else
        act_reply(act, ev->call.from, pb_pack(ev->ctx, &range));
}

static void *s_probe_make(const node_self_t *who, const void *options)
{
    (void)options;
    member_t *self = mem_new(sizeof *self);
    member_init(self, who);
    return self;
}

static void s_probe_end(void *node)
{
    member_fini(node);
    mem_free(node);
}

static bool s_probe_ready(const void *node)
{
    (void)node;
    return true;
}

static const role_t g_probe_role = {
    .name = "coord", .make = s_probe_make, .step = s_probe_step, .end = s_probe_end,
    .ready = s_probe_ready,
};

/* The data node's step; one fallible call of it fails when a test wants that. */
static void s_faulty_step(void *node, const event_t *ev, actions_t *act)
{
    bool write = ev->kind == EV_CALL && ev->call.method == ELANUS__METHOD__METHOD_WRITE;
    int *fault = write ? &g.fault_in_write : ev->kind == EV_JOB ? &g.fault_in_job : NULL;
    if (!fault || *fault < 0) {
        data_role.step(node, ev, act);
        return;
    }
    fault_arm(*fault);
    *fault = -1;
    data_role.step(node, ev, act);
    g.fault_fired |= fault_disarm();
}

/* --- the world ------------------------------------------------------------------------ */

static void s_put(const char *key, const void *message)
{
    meta_op_t put = { .kind = META_PUT, .key = key, .value = pb_pack(&g.ctx, message) };
    meta_txn_result_t done = {0};
    assert_int_equal(meta_txn(&g.ctx, sim_meta(g.sim), &(meta_txn_t){ .ops = &put, .n_ops = 1 },
                              &done), OK);
}

void dw_delete_key(const char *key)
{
    meta_op_t op = { .kind = META_DELETE, .key = key };
    meta_txn_result_t done = {0};
    assert_int_equal(meta_txn(&g.ctx, sim_meta(g.sim), &(meta_txn_t){ .ops = &op, .n_ops = 1 },
                              &done), OK);
}

/* A collection of an id and a text; partitions 501 and, if there are two, 502. */
void dw_put_collection(uint64_t id, size_t n_partitions)
{
    Elanus__Field fields[2], *at[2] = { &fields[0], &fields[1] };
    Elanus__Pair length = ELANUS__PAIR__INIT, *params = &length;
    length.key = (char *)"max_length";
    length.value = (char *)"1000";
    for (int i = 0; i < 2; i++) {
        elanus__field__init(&fields[i]);
        fields[i].id = FIELD_FIRST + i;
        fields[i].name = (char *)(i ? "text" : "id");
        fields[i].type = i ? TYPE_VARCHAR : TYPE_INT64;
        fields[i].primary_key = i == 0;
        fields[i].type_params = &params;
        fields[i].n_type_params = (size_t)i;
    }
    Elanus__Partition parts[2], *part_at[2] = { &parts[0], &parts[1] };
    for (int i = 0; i < 2; i++) {
        elanus__partition__init(&parts[i]);
        parts[i].id = 501 + (uint64_t)i;
        parts[i].name = ctx_printf(&g.ctx, "p%d", i);
    }
    Elanus__Collection coll = ELANUS__COLLECTION__INIT;
    char *vchannel = ctx_printf(&g.ctx, "%s_%" PRIu64 "v0", DATA_WORLD_PCHANNEL, id);
    coll.id = id;
    coll.name = ctx_printf(&g.ctx, "rows%" PRIu64, id);
    coll.db_id = 1;
    coll.fields = at;
    coll.n_fields = 2;
    coll.vchannels = &vchannel;
    coll.n_vchannels = 1;
    coll.partitions = part_at;
    coll.n_partitions = n_partitions;
    s_put(catalog_key_collection(&g.ctx, id), &coll);
    schema_unref(&g.schema);
    assert_int_equal(catalog_make_schema(&g.ctx, &coll, &g.schema), OK);
}

static void s_lead(void)
{
    const node_self_t *who = sim_self(g.sim, DATA_WORLD_PROBE);
    Elanus__NodeInfo info = ELANUS__NODE_INFO__INIT;
    info.id = who->id;
    info.role = (char *)who->role;
    info.address = (char *)who->address;
    info.incarnation = who->incarnation;
    info.version = info.ops_address = info.host = (char *)"";
    Elanus__Leader leader = ELANUS__LEADER__INIT;
    leader.info = &info;
    s_put(MEMBER_LEADER_KEY, &leader);
}

int dw_up(void **state)
{
    (void)state;
    memset(&g, 0, sizeof g);
    ctx_init(&g.ctx);
    vec_init(&g.questions, sizeof(question_t *));
    g.next_id = 1000;
    g.fault_in_write = g.fault_in_job = -1;
    g.disks = sim_disks_new();
    g.options = (data_options_t){
        .open_disk = sim_disks_open, .disk_arg = g.disks, .wal_file_bytes = 4096,
        .repeat_ms = 60000, .seal_age_ms = INT64_MAX, .seal_idle_ms = INT64_MAX,
        .delete_bytes = UINT64_MAX, .delete_age_ms = INT64_MAX,
    };
    g.role = data_role;
    g.role.step = s_faulty_step;
    g.sim = sim_new(&(sim_options_t){ .seed = 7, .same_clocks = true });
    dw_put_collection(500, 2);
    sim_add_with(g.sim, &g.role, &g.options);
    sim_start(g.sim, DATA_WORLD_NODE);
    sim_start(g.sim, sim_add(g.sim, &g_probe_role));
    s_lead();
    sim_run(g.sim, 800);
    return 0;
}

int dw_down(void **state)
{
    (void)state;
    sim_disks_power(g.disks, false);
    sim_destroy(&g.sim);
    sim_disks_destroy(&g.disks);
    for (size_t i = 0; i < g.questions.len; i++) {
        question_t *q = *(question_t **)vec_at(&g.questions, i);
        buf_fini(&q->payload);
        buf_fini(&q->answer);
        mem_free(q);
    }
    vec_fini(&g.questions);
    schema_unref(&g.schema);
    ctx_fini(&g.ctx);
    return 0;
}

/* --- asking --------------------------------------------------------------------------- */

question_t *dw_ask(uint32_t method, view_t payload, int64_t timeout_ms)
{
    question_t *q = mem_new(sizeof *q);
    *q = (question_t){ .method = method, .timeout_ms = timeout_ms };
    buf_init(&q->payload, 0);
    buf_init(&q->answer, 0);
    buf_add_view(&q->payload, payload);
    vec_push(&g.questions, &q);
    return q;
}

static bool s_is_done(sim_t *sim, void *arg)
{
    (void)sim;
    return ((question_t *)arg)->done;
}

err_t dw_wait(question_t *q)
{
    assert_true(sim_until(g.sim, FOREVER_MS, s_is_done, q));
    return q->err;
}

question_t *dw_open(void)
{
    Elanus__OpenChannel ask = ELANUS__OPEN_CHANNEL__INIT;
    ask.pchannel = (char *)DATA_WORLD_PCHANNEL;
    question_t *q = dw_ask(ELANUS__METHOD__METHOD_OPEN_CHANNEL, pb_pack(&g.ctx, &ask),
                           DATA_WORLD_MS);
    dw_wait(q);
    return q;
}

/* The epoch that metadata has the channel under; 0: it is not ACTIVE. */
uint64_t dw_epoch(void)
{
    meta_item_t item = {0};
    Elanus__Owner *owner = NULL;
    assert_int_equal(meta_get(&g.ctx, sim_meta(g.sim), "owner/dml_3", &item), OK);
    assert_int_equal(PB_UNPACK(&g.ctx, elanus__owner, item.value, &owner), OK);
    return owner->state == ELANUS__OWNER_STATE__OWNER_ACTIVE ? owner->epoch : 0;
}

void dw_open_well(void)
{
    question_t *q = dw_open();
    assert_string_equal(q->text, "");
    assert_int_equal(q->err, OK);
    g.epoch = dw_epoch();
    assert_true(g.epoch > 0);
}

static void s_columns(const rows_t *rows, column_builder_t b[2])
{
    field_t number = *schema_at(g.schema, 0);
    column_builder_init(&b[0], rows->null_keys ? &number : schema_at(g.schema, 0));
    column_builder_init(&b[1], schema_at(g.schema, rows->text_is_number ? 0 : 1));
    uint8_t *text = mem_new(rows->text_bytes + 8);
    for (size_t i = 0; i < rows->n; i++) {
        int64_t id = rows->first + (int64_t)i;
        if (rows->null_keys)
            column_builder_add_null(&b[0]);
        else
            column_builder_add(&b[0], view_of(&id, 8));
        column_builder_add(&b[1], view_of(text, rows->text_is_number ? 8 : rows->text_bytes));
    }
    mem_free(text);
}

static wal_entry_t s_entry(const rows_t *rows, const column_t *pks, wal_field_t fields[2],
                           uint64_t request)
{
    wal_entry_t entry = {
        .kind = rows->kind, .collection = rows->collection ? rows->collection : 500,
        .partition = rows->partition ? rows->partition : 501, .request = { request, 1 },
        .vchannel = view_str(rows->vchannel ? rows->vchannel : DATA_WORLD_VCHANNEL),
    };
    if (rows->kind == WAL_DELETE || rows->kind == WAL_UPSERT)
        entry.deletes = pks;
    if (rows->kind == WAL_INSERT || rows->kind == WAL_UPSERT) {
        entry.fields = fields;
        entry.n_fields = rows->no_text ? 1 : 2;
    }
    return entry;
}

/* The bytes that a proxy would send. */
void dw_bytes(const rows_t *rows, uint64_t request, buf_t *into)
{
    column_builder_t b[2];
    s_columns(rows, b);
    column_t pks = column_builder_view(&b[rows->no_keys ? 1 : 0]);
    wal_field_t fields[2];
    for (int i = 0; i < 2; i++)
        fields[i] = (wal_field_t){ .id = FIELD_FIRST + (rows->swapped ? 1 - i : i),
                                   .column = column_builder_view(&b[rows->swapped ? 1 - i : i]) };
    wal_batch_t batch;
    wal_batch_init(&batch, view_str(rows->pchannel ? rows->pchannel : DATA_WORLD_PCHANNEL));
    wal_entry_t entry = s_entry(rows, &pks, fields, request);
    assert_int_equal(wal_batch_add(&g.ctx, &batch, &entry), OK);
    entry.request[0]++;
    if (rows->two_requests)
        assert_int_equal(wal_batch_add(&g.ctx, &batch, &entry), OK);
    wal_link_t link = { .at = { rows->epoch ? rows->epoch : g.epoch, 1 } };
    view_t bytes = {0};
    uint8_t hash[WAL_HASH_BYTES];
    assert_int_equal(wal_batch_seal(&g.ctx, &batch, &link, &bytes, hash), OK);
    buf_add_view(into, bytes);
    wal_batch_fini(&batch);
    column_builder_fini(&b[0]);
    column_builder_fini(&b[1]);
}

question_t *dw_write_soon(rows_t rows)
{
    buf_scoped bytes;
    buf_init(&bytes, 0);
    dw_bytes(&rows, rows.request ? rows.request : ++g.next_request + 1000000, &bytes);
    return dw_ask(ELANUS__METHOD__METHOD_WRITE, buf_view(&bytes), DATA_WORLD_MS);
}

question_t *dw_write(rows_t rows)
{
    question_t *q = dw_write_soon(rows);
    dw_wait(q);
    return q;
}

uint64_t dw_ts(const question_t *q)
{
    Elanus__Written *written = NULL;
    assert_string_equal(q->text, "");
    assert_int_equal(q->err, OK);
    assert_int_equal(PB_UNPACK(&g.ctx, elanus__written, buf_view(&q->answer), &written), OK);
    return written->ts;
}

/* What SEGMENTS says of a collection. */
const Elanus__SegmentList *dw_segments(uint64_t collection)
{
    Elanus__SegmentsAsk ask = ELANUS__SEGMENTS_ASK__INIT;
    ask.collections = &collection;
    ask.n_collections = 1;
    question_t *q = dw_ask(ELANUS__METHOD__METHOD_SEGMENTS, pb_pack(&g.ctx, &ask), DATA_WORLD_MS);
    assert_int_equal(dw_wait(q), OK);
    Elanus__SegmentList *list = NULL;
    assert_int_equal(PB_UNPACK(&g.ctx, elanus__segment_list, buf_view(&q->answer), &list), OK);
    return list;
}

uint64_t dw_rows(void)
{
    const Elanus__SegmentList *list = dw_segments(500);
    uint64_t rows = 0;
    for (size_t i = 0; i < list->n_segments; i++)
        rows += list->segments[i]->rows;
    return rows;
}

question_t *dw_follow(uint64_t epoch, uint64_t seq, int64_t wait_ms)
{
    Elanus__Follow ask = ELANUS__FOLLOW__INIT;
    ask.vchannel = (char *)DATA_WORLD_VCHANNEL;
    ask.epoch = epoch;
    ask.seq = seq;
    ask.wait_ms = wait_ms;
    return dw_ask(ELANUS__METHOD__METHOD_FOLLOW, pb_pack(&g.ctx, &ask), DATA_WORLD_MS);
}

question_t *dw_follow_remote(const Elanus__Follow *ask)
{
    Elanus__Follow remote = *ask;
    remote.vchannel = (char *)DATA_WORLD_VCHANNEL;
    remote.remote = true;
    return dw_ask(ELANUS__METHOD__METHOD_FOLLOW, pb_pack(&g.ctx, &remote), DATA_WORLD_MS);
}

const Elanus__Followed *dw_followed(question_t *q)
{
    Elanus__Followed *news = NULL;
    assert_int_equal(dw_wait(q), OK);
    assert_int_equal(PB_UNPACK(&g.ctx, elanus__followed, buf_view(&q->answer), &news), OK);
    return news;
}
