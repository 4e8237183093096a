/* coord_builds_ask - how is the build going?  A long poll to each node that builds
 *
 * The question holds all that a node needs to build, so the first one starts
 * the work and every other one, from whichever leader, finds it going on: a
 * node knows a build by its id and attempt.  It answers when the work is over,
 * or after a while that it is not.  An answer that the way swallowed is asked
 * for again; a link that is down is judged by coord_peers.c, and the plan takes
 * the work away from who is lost.
 *
 * What came of an attempt stays here until the transaction that notes it was
 * applied: the key then says that it is over, and the work is dropped.
 */
#include "coord/coord_builds.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/base/limits.h"
#include "core/wire/pb.h"

enum {
    WAIT_MS = 5000,             /* a node may keep the question for so long */
    ASK_MS = WAIT_MS + 2000,
    ASK_AGAIN_MS = 100, ASK_AGAIN_MOST_MS = 2000,
    TRY_AGAIN_MS = 200, TRY_AGAIN_MOST_MS = 60000,
};

typedef struct {
    uint64_t build, question;
} asked_t;

/* --- works ---------------------------------------------------------------------------- */

static void s_reset(work_t *work, uint64_t attempt)
{
    ctx_fini(&work->memory);
    *work = (work_t){ .build = work->build, .look = work->look, .attempt = attempt };
    ctx_init(&work->memory);
}

work_t *coord_builds_work(coord_node_t *self, const Elanus__Build *build)
{
    work_t *work = map_get_u64(self->building->works, build->id);
    if (!work) {
        work = mem_new(sizeof *work);
        *work = (work_t){ .build = build->id, .look = self->building->looks,
                          .attempt = build->attempt };
        ctx_init(&work->memory);
        map_put_u64(self->building->works, build->id, work);
    }
    if (work->attempt != build->attempt)
        s_reset(work, build->attempt);
    return work;
}

void coord_builds_drop_work(coord_node_t *self, work_t *work)
{
    check(map_del_u64(self->building->works, work->build) == work);
    ctx_fini(&work->memory);
    mem_free(work);
}

/* --- answers -------------------------------------------------------------------------- */

static int64_t s_backoff(actions_t *act, int64_t first_ms, int64_t most_ms, uint64_t times)
{
    int64_t wait_ms = first_ms << (times < 16 ? times : 16);
    wait_ms = wait_ms < most_ms ? wait_ms : most_ms;
    return wait_ms + (int64_t)rng_below(&act->rng, (uint64_t)first_ms);
}

/* The way there or back failed, not the work. */
static bool s_is_unheard(err_t err)
{
    return err == ERR_NETWORK || err == ERR_TIMEOUT || err == ERR_OUTCOME_UNKNOWN ||
           err == ERR_CANCELED || err == ERR_NODE_NOT_MATCH;
}

static void s_unheard(work_t *work, const event_t *ev, actions_t *act)
{
    work->not_before_ms = ev->now_ms + s_backoff(act, ASK_AGAIN_MS, ASK_AGAIN_MOST_MS,
                                                 work->unheard++);
}

static void s_failed(work_t *work, err_t err, const char *text, const event_t *ev, actions_t *act)
{
    Elanus__Built *answer = ctx_new(&work->memory, sizeof *answer);
    elanus__built__init(answer);
    answer->state = ELANUS__BUILD_STATE__BUILD_FAILED;
    answer->err = (int32_t)err;
    answer->error = ctx_strdup(&work->memory, text);
    work->answer = answer;
    work->not_before_ms = ev->now_ms + s_backoff(act, TRY_AGAIN_MS, TRY_AGAIN_MOST_MS,
                                                 work->attempt);
    log_event(LOG_WARN, "build_failed", "build=%" PRIu64 " attempt=%" PRIu64 " error=%s why=\"%s\"",
              work->build, work->attempt, err_name(err), text);
}

/* Every object lies where this attempt, and nothing else, puts them. */
static bool s_names_its_own(const work_t *work, const Elanus__Built *answer)
{
    char own[64];
    int n = snprintf(own, sizeof own, "index/%" PRIu64 "/%" PRIu64 "/", work->build,
                     work->attempt);
    for (size_t i = 0; i < answer->n_objects; i++)
        if (strncmp(answer->objects[i], own, (size_t)n) != 0)
            return false;
    return answer->n_objects > 0 && answer->n_objects <= LIMIT_BUILD_OBJECTS;
}

static void s_ended(work_t *work, const Elanus__Built *answer, const event_t *ev, actions_t *act)
{
    if (answer->state == ELANUS__BUILD_STATE__BUILD_FAILED) {
        s_failed(work, err_from_wire(answer->err), answer->error, ev, act);
    } else if (!s_names_its_own(work, answer)) {
        s_failed(work, ERR_INTERNAL, "the index node names objects that are not this attempt's",
                 ev, act);
    } else {
        work->answer = answer;
        log_event(LOG_INFO, "index_built", "build=%" PRIu64 " attempt=%" PRIu64 " bytes=%" PRIu64,
                  work->build, work->attempt, answer->bytes);
    }
}

static void s_take(work_t *work, const event_t *ev, actions_t *act)
{
    Elanus__Built *answer = NULL;
    if (PB_UNPACK(&work->memory, elanus__built, ev->payload, &answer) != OK) {
        s_failed(work, ERR_MALFORMED, work->memory.text, ev, act);
    } else if (answer->id != work->build || answer->attempt != work->attempt) {
        s_failed(work, ERR_MALFORMED, "the index node answers for another attempt", ev, act);
    } else if (answer->state == ELANUS__BUILD_STATE__BUILD_DONE ||
               answer->state == ELANUS__BUILD_STATE__BUILD_FAILED) {
        s_ended(work, answer, ev, act);
    } else {
        uint32_t percent = answer->percent;
        s_reset(work, work->attempt);           /* the message is not needed any more */
        work->percent = percent;
    }
}

static void s_answered(void *node, void *arg, const event_t *ev, actions_t *act)
{
    coord_node_t *self = node;
    const asked_t *asked = arg;
    work_t *work = map_get_u64(self->building->works, asked->build);
    if (!work || !work->asking || work->question != asked->question)
        return;
    work->asking = false;
    if (ev->err == OK)
        s_take(work, ev, act);
    else if (s_is_unheard(ev->err))
        s_unheard(work, ev, act);
    else
        s_failed(work, ev->err, ev->text, ev, act);
    coord_look_at(self, ev->now_ms, ev, act);
}

/* --- questions ------------------------------------------------------------------------ */

/* Of its objects, without those of dense vectors beside this field: they are not packed, so their
 * bytes are known. */
static uint64_t s_bytes(const Elanus__Segment *segment, const schema_t *schema, size_t place)
{
    uint64_t known = 0;
    for (size_t i = 0; i < schema_len(schema); i++) {
        const field_t *field = schema_at(schema, i);
        if (i != place && type_is_dense_vector(field->type))
            known += segment->rows * type_width(field->type, field->dim);
    }
    return segment->bytes > known ? segment->bytes - known : 0;
}

/* The segment with the binlogs of one field only, borrowed; NULL when it does not fit. */
static Elanus__Segment *s_segment(coord_node_t *self, ctx_t *ctx, const Elanus__Build *build)
{
    const Elanus__Segment *known = segments_get(self->segments, build->segment, NULL);
    const schema_t *schema = catalog_schema(self->catalog, build->collection);
    const field_t *field = schema ? schema_by_id(schema, build->field) : NULL;
    if (!known || !field || known->n_binlogs != known->parts * (schema_len(schema) + 1))
        return NULL;
    size_t place = schema_index(schema, field);
    Elanus__Segment *segment = ctx_new(ctx, sizeof *segment);
    elanus__segment__init(segment);
    segment->id = known->id;
    segment->collection = known->collection;
    segment->partition = known->partition;
    segment->vchannel = known->vchannel;
    segment->state = known->state;
    segment->rows = known->rows;
    segment->bytes = s_bytes(known, schema, place);
    segment->parts = known->parts;
    segment->binlogs = ctx_new(ctx, (known->parts + 1) * sizeof *segment->binlogs);
    for (size_t part = 0; part < known->parts; part++)
        segment->binlogs[segment->n_binlogs++] =
            known->binlogs[part * (schema_len(schema) + 1) + place];
    return segment;
}

static Elanus__Field *s_field(const coord_node_t *self, const Elanus__Build *build)
{
    const Elanus__Collection *coll = catalog_collection_by_id(self->catalog, build->collection);
    for (size_t i = 0; coll && i < coll->n_fields; i++)
        if (coll->fields[i]->id == build->field)
            return coll->fields[i];
    return NULL;
}

static void s_ask(coord_node_t *self, work_t *work, const Elanus__BuildAsk *ask,
                  const peer_t *peer, const event_t *ev, actions_t *act)
{
    asked_t *asked = mem_new(sizeof *asked);
    *asked = (asked_t){ .build = work->build, .question = act_cookie(act) };
    work->asking = true;
    work->question = asked->question;
    trace_t before = act_trace(act, TRACE_NONE);
    act_call(act, peer->address, ELANUS__METHOD__METHOD_BUILD, pb_pack(ev->ctx, ask), ASK_MS,
             wait_owned(self->member.waits, act, s_answered, asked));
    act_trace(act, before);
}

void coord_builds_ask(coord_node_t *self, const Elanus__Build *build, const peer_t *peer,
                      const event_t *ev, actions_t *act, int64_t *due_ms)
{
    work_t *work = coord_builds_work(self, build);
    if (work->asking || work->answer)
        return;
    if (work->not_before_ms > ev->now_ms) {
        *due_ms = work->not_before_ms < *due_ms ? work->not_before_ms : *due_ms;
        return;
    }
    Elanus__BuildAsk ask = ELANUS__BUILD_ASK__INIT;
    ask.build = (Elanus__Build *)build;
    ask.segment = s_segment(self, ev->ctx, build);
    ask.field = s_field(self, build);
    ask.wait_ms = WAIT_MS;
    if (ask.segment && ask.field)               /* else the plan is about to remove it */
        s_ask(self, work, &ask, peer, ev, act);
}
