/* replay - see replay.h */
#include "tests/support/replay.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/base.h"
#include "core/base/rng.h"

enum { FILES_MOST = 512, INPUT_MOST = 20 << 10 };

typedef struct corpus {
    size_t n;
    struct { uint8_t *ptr; size_t len; } file[FILES_MOST];
} corpus_t;

static int s_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void s_add_file(corpus_t *corpus, const char *dir, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    check(f != NULL && corpus->n < FILES_MOST);
    uint8_t *ptr = mem_new(INPUT_MOST);
    corpus->file[corpus->n].ptr = ptr;
    corpus->file[corpus->n++].len = fread(ptr, 1, INPUT_MOST, f);
    fclose(f);
}

/* Sorted by name, so that a seed means the same on every machine. */
static void s_load(corpus_t *corpus, const char *dir)
{
    struct dirent **entry = NULL;
    int n = scandir(dir, &entry, s_visible, alphasort);
    if (n <= 0) {
        fprintf(stderr, "no corpus in %s: run from the repository's root\n", dir);
        abort();
    }
    corpus->n = 0;
    for (int i = 0; i < n; i++) {
        s_add_file(corpus, dir, entry[i]->d_name);
        free(entry[i]);
    }
    free(entry);
}

static void s_unload(corpus_t *corpus)
{
    for (size_t i = 0; i < corpus->n; i++)
        mem_free(corpus->file[i].ptr);
}

/* From an allocation of just this size, so that asan sees one byte too far. */
static void s_run(replay_fn *target, const uint8_t *ptr, size_t len)
{
    uint8_t *exact = malloc(len ? len : 1);
    check(exact != NULL);
    memcpy(exact, ptr, len);
    target(exact, len);
    free(exact);
}

size_t replay_corpus(const char *dir, replay_fn *target)
{
    corpus_t corpus;
    s_load(&corpus, dir);
    for (size_t i = 0; i < corpus.n; i++)
        s_run(target, corpus.file[i].ptr, corpus.file[i].len);
    s_unload(&corpus);
    return corpus.n;
}

/* --- mutations ---------------------------------------------------------------------- */

typedef struct input {
    uint8_t at[INPUT_MOST];
    size_t len;
} input_t;

static void s_cut(input_t *in, size_t from, size_t len)
{
    memmove(in->at + from, in->at + from + len, in->len - from - len);
    in->len -= len;
}

static void s_insert(input_t *in, size_t where, const uint8_t *ptr, size_t len)
{
    uint8_t copy[INPUT_MOST];
    if (len > INPUT_MOST - in->len)
        len = INPUT_MOST - in->len;
    memcpy(copy, ptr, len);                     /* it may come from the input itself */
    memmove(in->at + where + len, in->at + where, in->len - where);
    memcpy(in->at + where, copy, len);
    in->len += len;
}

/* Bytes on which length-prefixed formats trip. */
static void s_put_magic(rng_t *rng, input_t *in, size_t where)
{
    static const char *const magic[] = {
        "\x00", "\x01", "\x7f", "\x80", "\xff", "\xff\xff\xff\x7f", "\xff\xff\xff\xff\x0f",
        "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        "\xe2\x82", "\xed\xa0\x80",
    };
    size_t i = rng_below(rng, ARRAY_LEN(magic));
    size_t len = i == 0 ? 1 : strlen(magic[i]);
    if (rng_chance(rng, 0.5))
        s_cut(in, where, len < in->len - where ? len : in->len - where);
    s_insert(in, where, (const uint8_t *)magic[i], len);
}

static void s_mutate(rng_t *rng, input_t *in, const corpus_t *corpus)
{
    size_t where = rng_below(rng, in->len + 1), left = in->len - where;
    size_t some = left ? 1 + rng_below(rng, left) : 0;
    switch (rng_below(rng, 7)) {
    case 0:
        if (left)
            in->at[where] ^= (uint8_t)(1u << rng_below(rng, 8));
        break;
    case 1:
        if (left)
            in->at[where] = (uint8_t)rng_u64(rng);
        break;
    case 2:
        s_cut(in, where, some < 16 ? some : 16);
        break;
    case 3:
        in->len = where;
        break;
    case 4:
        s_insert(in, rng_below(rng, in->len + 1), in->at + where, some);
        break;
    case 5: {
        size_t other = rng_below(rng, corpus->n);
        size_t from = rng_below(rng, corpus->file[other].len + 1);
        s_insert(in, where, corpus->file[other].ptr + from, corpus->file[other].len - from);
        break;
    }
    default:
        s_put_magic(rng, in, where);
    }
}

/* Some bytes, or a number of 2 or 4 that is near, far, or no float. */
static void s_overwrite(rng_t *rng, input_t *in, const corpus_t *corpus)
{
    static const uint32_t odd[] = { 0, 1, 0xff, 0xffff, 0x7fffffff, 0x80000000, UINT32_MAX,
                                    0x7f800000, 0xff800000, 0x7fc00000, 0x7f7fffff, 1000 };
    (void)corpus;
    size_t width = rng_chance(rng, 0.5) ? 4 : rng_chance(rng, 0.5) ? 2 : 1;
    if (in->len < 8)
        return;
    size_t where = rng_below(rng, in->len - width + 1);
    uint32_t word = 0;
    memcpy(&word, in->at + where, width);
    switch (rng_below(rng, 4)) {
    case 0:
        word = odd[rng_below(rng, ARRAY_LEN(odd))];
        break;
    case 1:
        word += (uint32_t)rng_below(rng, 5) - 2;
        break;
    case 2:
        word ^= 1u << rng_below(rng, 8 * width);
        break;
    default:
        word = (uint32_t)rng_u64(rng);
    }
    memcpy(in->at + where, &word, width);
}

static uint64_t s_from_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

typedef void mutate_fn(rng_t *rng, input_t *in, const corpus_t *corpus);

static void s_replay(const char *dir, replay_fn *target, mutate_fn *mutate, size_t n_runs,
                     uint64_t seed)
{
    corpus_t corpus;
    s_load(&corpus, dir);
    rng_t rng;
    rng_seed(&rng, s_from_env("FUZZ_SEED", seed));
    n_runs = s_from_env("FUZZ_RUNS", n_runs);
    input_t in;
    for (size_t run = 0; run < n_runs; run++) {
        if (getenv("FUZZ_TRACE"))
            fprintf(stderr, "run %zu\n", run);
        size_t start = rng_below(&rng, corpus.n);
        memcpy(in.at, corpus.file[start].ptr, corpus.file[start].len);
        in.len = corpus.file[start].len;
        for (uint64_t n = 1 + rng_below(&rng, 6); n > 0; n--)
            mutate(&rng, &in, &corpus);
        s_run(target, in.at, in.len);
    }
    s_unload(&corpus);
}

void replay_mutations(const char *dir, replay_fn *target, size_t n_runs, uint64_t seed)
{
    s_replay(dir, target, s_mutate, n_runs, seed);
}

void replay_overwrites(const char *dir, replay_fn *target, size_t n_runs, uint64_t seed)
{
    s_replay(dir, target, s_overwrite, n_runs, seed);
}
