/* index_progress: rows, states and reasons that clients see of segments and their builds */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "proxy/index_progress.h"

#include "core/schema/schema.h"

enum { INDEX = 7, SEGMENTS = 4, FIELD = 101 };

typedef struct {
    ctx_t ctx;
    Elanus__Field field, *fields[1];
    Elanus__Collection coll;
    Elanus__Pair type, *params[1];
    Elanus__Index index;
    Elanus__Segment segments[SEGMENTS], *at[SEGMENTS];
    Elanus__Build builds[SEGMENTS], *builds_at[SEGMENTS];
    index_progress_of_t of;
} world_t;

static int s_up(void **state)
{
    world_t *w = mem_new(sizeof *w);
    ctx_init(&w->ctx);
    elanus__field__init(&w->field);
    w->field.id = FIELD;
    w->field.type = TYPE_FLOAT_VECTOR;
    w->fields[0] = &w->field;
    elanus__collection__init(&w->coll);
    w->coll.fields = w->fields;
    w->coll.n_fields = 1;
    elanus__pair__init(&w->type);
    w->type.key = (char *)"index_type";
    w->type.value = (char *)"IVF_FLAT";
    w->params[0] = &w->type;
    elanus__index__init(&w->index);
    w->index.id = INDEX;
    w->index.field_id = FIELD;
    w->index.params = w->params;
    w->index.n_params = 1;
    for (int i = 0; i < SEGMENTS; i++) {
        elanus__segment__init(&w->segments[i]);
        w->segments[i].id = 10u + (unsigned)i;
        w->segments[i].rows = 2000;
        w->segments[i].state = ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED;
        w->at[i] = &w->segments[i];
    }
    w->of = (index_progress_of_t){ .coll = &w->coll, .segments = w->at, .n_segments = SEGMENTS,
                                   .builds = w->builds_at, .build_rows = 1024 };
    *state = w;
    return 0;
}

static int s_down(void **state)
{
    world_t *w = *state;
    ctx_fini(&w->ctx);
    mem_free(w);
    return 0;
}

static void s_build(world_t *w, uint64_t segment, uint64_t index, Elanus__BuildState state)
{
    Elanus__Build *build = &w->builds[w->of.n_builds];
    elanus__build__init(build);
    build->segment = segment;
    build->index = index;
    build->state = state;
    build->error = (char *)"broken";
    w->builds_at[w->of.n_builds++] = build;
}

static void s_expect(world_t *w, Common__IndexState state, int64_t total, int64_t indexed,
                     int64_t pending)
{
    index_progress_t progress;
    index_progress(&w->ctx, &w->of, &w->index, &progress);
    assert_int_equal(progress.state, state);
    assert_int_equal(progress.total, total);
    assert_int_equal(progress.indexed, indexed);
    assert_int_equal(progress.pending, pending);
}

static void nothing_stored_is_finished(void **state)
{
    world_t *w = *state;
    w->of.n_segments = 0;
    s_expect(w, COMMON__INDEX_STATE__Finished, 0, 0, 0);
}

static void it_goes_from_none_to_all(void **state)
{
    world_t *w = *state;
    s_expect(w, COMMON__INDEX_STATE__InProgress, 8000, 0, 8000);
    s_build(w, 10, INDEX, ELANUS__BUILD_STATE__BUILD_DONE);
    s_build(w, 11, INDEX, ELANUS__BUILD_STATE__BUILD_RUNNING);
    s_build(w, 12, INDEX + 1, ELANUS__BUILD_STATE__BUILD_DONE);     /* another index */
    s_expect(w, COMMON__INDEX_STATE__InProgress, 8000, 2000, 6000);
    w->builds[1].state = ELANUS__BUILD_STATE__BUILD_DONE;
    w->builds[2].index = INDEX;
    s_build(w, 13, INDEX, ELANUS__BUILD_STATE__BUILD_DONE);
    s_expect(w, COMMON__INDEX_STATE__Finished, 8000, 8000, 0);
}

static void what_is_scanned_counts_as_built(void **state)
{
    world_t *w = *state;
    w->segments[0].rows = 1023;
    s_expect(w, COMMON__INDEX_STATE__InProgress, 7023, 1023, 6000);
    w->type.value = (char *)"FLAT";
    s_expect(w, COMMON__INDEX_STATE__Finished, 7023, 7023, 0);
}

static void one_failure_fails_it_and_says_why(void **state)
{
    world_t *w = *state;
    s_build(w, 10, INDEX, ELANUS__BUILD_STATE__BUILD_DONE);
    s_build(w, 11, INDEX, ELANUS__BUILD_STATE__BUILD_FAILED);
    s_build(w, 12, INDEX, ELANUS__BUILD_STATE__BUILD_FAILED);
    s_build(w, 13, INDEX, ELANUS__BUILD_STATE__BUILD_WAITING);
    s_expect(w, COMMON__INDEX_STATE__Failed, 8000, 2000, 6000);
    index_progress_t progress;
    index_progress(&w->ctx, &w->of, &w->index, &progress);
    assert_string_equal(progress.reason, "11: broken;12: broken;");
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(nothing_stored_is_finished),
        T(it_goes_from_none_to_all),
        T(what_is_scanned_counts_as_built),
        T(one_failure_fails_it_and_says_why),
    };
    return cmocka_run_group_tests_name("index_progress", tests, NULL, NULL);
}
