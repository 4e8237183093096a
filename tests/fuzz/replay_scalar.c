/* fuzz_scalar over its corpus and some thousand mutations of it; the corpus has a small object of
 * every type, with its checksums as they are, and made right after mutations */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/fuzz/fuzz_scalar.c"

#define CORPUS "tests/fuzz/corpus/scalar"

static void the_corpus_is_survived(void **state)
{
    (void)state;
    assert_true(replay_corpus(CORPUS, LLVMFuzzerTestOneInput) >= 10);
}

static void mutations_are_survived(void **state)
{
    (void)state;
    replay_mutations(CORPUS, LLVMFuzzerTestOneInput, 10000, 1);
}

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
    return cmocka_run_group_tests_name("fuzz_scalar", tests, NULL, NULL);
}
