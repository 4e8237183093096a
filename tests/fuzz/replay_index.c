/* fuzz_index over its corpus and some thousand mutations of it; the corpus has small
 * objects of every type, each with its checksums as they are, and made right after mutations */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/fuzz/fuzz_index.c"

#define CORPUS "tests/fuzz/corpus/index"

static void the_corpus_is_survived(void **state)
{
    (void)state;
    assert_true(replay_corpus(CORPUS, LLVMFuzzerTestOneInput) >= 5);
}

static void mutations_are_survived(void **state)
{
    (void)state;
    replay_mutations(CORPUS, LLVMFuzzerTestOneInput, 20000, 1);
}

/* What lies behind right checksums. */
static void overwritten_objects_are_survived(void **state)
{
    (void)state;
    replay_overwrites(CORPUS, LLVMFuzzerTestOneInput, 20000, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus_is_survived),
        cmocka_unit_test(mutations_are_survived),
        cmocka_unit_test(overwritten_objects_are_survived),
    };
    return cmocka_run_group_tests_name("fuzz_index", tests, NULL, NULL);
}
