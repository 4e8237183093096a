/* fake_builders - see fake_builders.h */
#include "tests/support/fake_builders.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <inttypes.h>

#include "core/node/member.h"
#include "core/wire/pb.h"
#include "tests/support/builds_world.h"

enum { TIMER_ANSWER = 100 };

fake_builders_t fake_builders;

typedef struct {
    member_t member;
    int i;                      /* which of them */
    vec_t held;                 /* of asked_t */
} fake_t;

typedef struct { net_from_t from; uint64_t build, attempt; } asked_t;

static void s_fake_answer(const asked_t *asked, fake_manner_t manner, const event_t *ev,
                          actions_t *act)
{
    Elanus__Built built = ELANUS__BUILT__INIT;
    char *object = ctx_printf(ev->ctx, "index/%" PRIu64 "/%" PRIu64 "/0",
                              asked->build + (manner == NAMES_OTHERS), asked->attempt);
    built.id = asked->build;
    built.attempt = asked->attempt + (manner == SAYS_ANOTHER_ATTEMPT);
    built.state = manner == SAYS_NOT_YET ? ELANUS__BUILD_STATE__BUILD_RUNNING
                : manner == FAILS ? ELANUS__BUILD_STATE__BUILD_FAILED
                                  : ELANUS__BUILD_STATE__BUILD_DONE;
    built.err = manner == FAILS ? (int32_t)fake_builders.err : 0;
    built.error = manner == FAILS ? (char *)"it went wrong" : (char *)"";
    built.objects = &object;
    built.n_objects = built.state == ELANUS__BUILD_STATE__BUILD_DONE && manner != NAMES_NONE;
    built.bytes = 1234;
    if (manner == REFUSES)
        act_refuse(act, asked->from, fake_builders.err, "not me");
    else
        act_reply(act, asked->from, pb_pack(ev->ctx, &built));
}

static void s_fake_note(const fake_t *self, const Elanus__BuildAsk *ask)
{
    fake_heard_t heard = { ask->build->id, ask->build->attempt, ask->segment->id, self->i };
    for (size_t i = 0; i < fake_builders.heard.len; i++)
        if (memcmp(vec_at(&fake_builders.heard, i), &heard, sizeof heard) == 0)
            return;
    vec_push(&fake_builders.heard, &heard);
}

static void s_fake_call(fake_t *self, const event_t *ev)
{
    Elanus__BuildAsk *ask = NULL;
    assert_int_equal(PB_UNPACK(ev->ctx, elanus__build_ask, ev->call.payload, &ask), OK);
    assert_int_equal(ask->segment->n_binlogs, 1);
    assert_string_equal(ask->segment->binlogs[0], bw_binlog(ask->segment->id));
    assert_string_equal(ask->field->name, "v");
    assert_true(ask->wait_ms > 0);
    s_fake_note(self, ask);
    vec_push(&self->held, &(asked_t){ ev->call.from, ask->build->id, ask->build->attempt });
}

static void s_fake_timer(fake_t *self, const event_t *ev, actions_t *act)
{
    fake_manner_t manner = fake_builders.manner[self->i];
    for (size_t i = self->held.len; manner != HOLDS && i-- > 0; ) {
        asked_t asked = *(asked_t *)vec_at(&self->held, i);
        vec_remove(&self->held, i);
        s_fake_answer(&asked, manner, ev, act);
    }
    act_timer(act, TIMER_ANSWER, 20);
}

static void s_fake_step(void *node, const event_t *ev, actions_t *act)
{
    fake_t *self = node;
    if (member_step(&self->member, self, ev, act))
        return;
    if (ev->kind == EV_CALL)
        s_fake_call(self, ev);
    else if (ev->kind == EV_START || (ev->kind == EV_TIMER && ev->timer == TIMER_ANSWER))
        s_fake_timer(self, ev, act);
}

static void *s_fake_make(const node_self_t *who, const void *options)
{
    (void)options;
    fake_t *self = mem_new(sizeof *self);
    member_init(&self->member, who);
    vec_init(&self->held, sizeof(asked_t));
    for (int i = 0; i < builds_world.options.builders; i++)
        if (strcmp(who->address, sim_self(builds_world.sim, bw_builder(i))->address) == 0)
            self->i = i;
    return self;
}

static void s_fake_end(void *node)
{
    fake_t *self = node;
    vec_fini(&self->held);
    member_fini(&self->member);
    mem_free(self);
}

static bool s_fake_ready(const void *node)
{
    (void)node;
    return true;
}

const role_t fake_builder_role = {
    .name = "indexnode", .make = s_fake_make, .step = s_fake_step, .end = s_fake_end,
    .ready = s_fake_ready,
};

void fake_builders_make(fake_manner_t manner)
{
    vec_init(&fake_builders.heard, sizeof(fake_heard_t));
    for (int i = 0; i < FAKE_BUILDERS; i++)
        fake_builders.manner[i] = manner;
    fake_builders.err = ERR_STORE;
}

void fake_builders_free(void)
{
    vec_fini(&fake_builders.heard);
}
