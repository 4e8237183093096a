/* querynode_builds - indexes in querynode_world.h: who is told of them, and how they come to be */
#include <inttypes.h>

#include "core/catalog/builds.h"
#include "core/catalog/catalog.h"
#include "core/catalog/segments.h"
#include "core/node/member.h"
#include "core/segment/field_index.h"
#include "core/wire/pb.h"
#include "tests/support/querynode_world_int.h"

static void s_put(querynode_world_t *w, const char *key, const void *message)
{
    meta_op_t op = { .kind = META_PUT, .key = key, .value = pb_pack(&w->ctx, message) };
    meta_txn_result_t result;
    check(meta_txn(&w->ctx, w->meta, &(meta_txn_t){ .ops = &op, .n_ops = 1 }, &result) == OK);
}

void qw_lead_coord(querynode_world_t *self)
{
    Elanus__NodeInfo info = ELANUS__NODE_INFO__INIT;
    info.id = 1;
    info.role = (char *)"coord";
    info.address = (char *)QW_COORD;
    Elanus__Leader leader = ELANUS__LEADER__INIT;
    leader.info = &info;
    s_put(self, MEMBER_LEADER_KEY, &leader);
}

const Elanus__BuildDamaged *qw_damaged(const querynode_world_t *self, size_t *ret_n)
{
    *ret_n = self->n_damaged;
    return self->damaged;
}

/* --- builds -------------------------------------------------------------------------------- */

static const index_pair_t s_params[] = {
    { "index_type", "IVF_FLAT" }, { "metric_type", "L2" }, { "nlist", "2" },
};

static Elanus__Pair **s_pairs(querynode_world_t *w)
{
    Elanus__Pair **pairs = ctx_new(&w->ctx, ARRAY_LEN(s_params) * sizeof *pairs);
    for (size_t i = 0; i < ARRAY_LEN(s_params); i++) {
        pairs[i] = ctx_new(&w->ctx, sizeof **pairs);
        elanus__pair__init(pairs[i]);
        pairs[i]->key = (char *)s_params[i].key;
        pairs[i]->value = (char *)s_params[i].value;
    }
    return pairs;
}

void qw_define_index(querynode_world_t *self)
{
    Elanus__Index index = ELANUS__INDEX__INIT;
    index.id = QW_INDEX;
    index.collection_id = QW_COLL;
    index.field_id = schema_at(self->schema, 1)->id;
    index.name = (char *)"v";
    index.params = s_pairs(self);
    index.n_params = ARRAY_LEN(s_params);
    s_put(self, catalog_key_index(&self->ctx, QW_COLL, QW_INDEX), &index);
}

static const char *s_prefix(querynode_world_t *w, uint64_t attempt)
{
    return ctx_printf(&w->ctx, "index/%d/%" PRIu64, QW_BUILD, attempt);
}

const char *qw_build_object(querynode_world_t *self, uint64_t attempt, size_t n)
{
    return ctx_printf(&self->ctx, "%s/%zu", s_prefix(self, attempt), n);
}

static const Elanus__Segment *s_record(querynode_world_t *w, uint64_t segment)
{
    meta_item_t item = {0};
    Elanus__Segment *record = NULL;
    check(meta_get(&w->ctx, w->meta, segments_key(&w->ctx, QW_COLL, segment), &item) == OK);
    check(PB_UNPACK(&w->ctx, elanus__segment, item.value, &record) == OK);
    return record;
}

void qw_build(querynode_world_t *self, size_t i, uint64_t attempt)
{
    const Elanus__Segment *record = s_record(self, qw_seg(self, i)->id);
    const field_t *field = schema_at(self->schema, 1);
    field_index_job_t job = {
        .segment = record->id, .n_rows = record->rows, .field = field,
        .binlogs = (const char *const *)record->binlogs, .n_binlogs = record->n_binlogs,
        .params = s_params, .n_params = ARRAY_LEN(s_params), .seed = QW_BUILD,
        .prefix = s_prefix(self, attempt),
    };
    index_built_t built;
    check(field_index_build(&self->ctx, self->store, &job, &built) == OK);
    Elanus__Build build = ELANUS__BUILD__INIT;
    build.id = QW_BUILD;
    build.collection = QW_COLL;
    build.segment = record->id;
    build.index = QW_INDEX;
    build.field = field->id;
    build.state = ELANUS__BUILD_STATE__BUILD_DONE;
    build.attempt = attempt;
    build.rows = built.rows;
    build.bytes = built.bytes;
    build.params = s_pairs(self);
    build.n_params = ARRAY_LEN(s_params);
    build.n_objects = built.n_objects;
    build.objects = ctx_new(&self->ctx, built.n_objects * sizeof *build.objects);
    for (size_t n = 0; n < built.n_objects; n++)
        build.objects[n] = (char *)qw_build_object(self, attempt, n);
    s_put(self, builds_key(&self->ctx, QW_COLL, record->id, QW_INDEX), &build);
}
