/* replay - run a fuzz target without a fuzzer
 *
 * A target is tests/fuzz/fuzz_NAME.c with libFuzzer's entry point and nothing
 * else; `make fuzz` links it with clang's engine.  tests/fuzz/replay_NAME.c
 * includes it and calls these, so that every test run, with gcc and each
 * sanitizer, walks the corpus and some thousand seeded mutations of it.
 *
 *     FUZZ_RUNS=1000000 FUZZ_SEED=7 build/asan/tests/fuzz/replay_NAME
 *     FUZZ_TRACE=1                 print each run's number: the last is the one that died
 */
#ifndef TESTS_SUPPORT_REPLAY_H
#define TESTS_SUPPORT_REPLAY_H

#include <stddef.h>
#include <stdint.h>

/* The entry point of every target: any input must be survived, a broken promise aborts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int replay_fn(const uint8_t *data, size_t size);

/* Run every file of a directory (relative to the repository's root); returns
 * how many, aborts when there is none. */
size_t replay_corpus(const char *dir, replay_fn *target);

/* Run n_runs mutations of the corpus: flips, cuts, repeats, splices and lying lengths. */
void replay_mutations(const char *dir, replay_fn *target, size_t n_runs, uint64_t seed);

/* The same, but bytes and words are only overwritten: what has its place by an offset keeps it, so
 * more of it is read. */
void replay_overwrites(const char *dir, replay_fn *target, size_t n_runs, uint64_t seed);

#endif
