/* meta_recorder - a watcher that remembers, for tests of meta */
#ifndef TESTS_SUPPORT_META_RECORDER_H
#define TESTS_SUPPORT_META_RECORDER_H

#include <pthread.h>

#include "core/base/vec.h"
#include "core/meta/meta.h"

typedef struct recorded {
    meta_watch_kind_t kind;
    char *key;                  /* NULL for RESET and SYNCED */
    char *value;                /* NUL-terminated copy */
    int64_t mod_rev;
} recorded_t;

typedef struct recorder {
    pthread_mutex_t lock;
    pthread_cond_t grown;
    vec_t seen;                 /* recorded_t */
    size_t resets;
} recorder_t;

void recorder_init(recorder_t *rec);
void recorder_fini(recorder_t *rec);

/* The meta_watch_fn; arg is the recorder. */
void recorder_watch(void *arg, const meta_change_t *changes, size_t n);

/* Wait until n are recorded; false after 10 s. */
bool recorder_wait(recorder_t *rec, size_t n);

/* Wait for a change of this kind to this key at or after this revision. */
bool recorder_wait_for(recorder_t *rec, meta_watch_kind_t kind, const char *key, int64_t rev);

/* Record i as "RESET", "SYNCED", "PUT key=value" or "DELETE key", in a buffer
 * of the calling thread that lasts until the next call. */
const char *recorder_text(recorder_t *rec, size_t i);
size_t recorder_len(recorder_t *rec);
size_t recorder_resets(recorder_t *rec);

/* Assert that revisions never fall, that no (key, revision) comes twice since
 * the last RESET and that SYNCED follows each RESET. */
void recorder_check_order(recorder_t *rec);

/* --- short forms for tests -------------------------------------------------- */

/* Write one key; asserts success.  Returns the revision. */
int64_t meta_put_text(meta_t *meta, const char *key, const char *value);

/* The value as text in a buffer of the calling thread, or NULL when absent; asserts otherwise. */
const char *meta_get_text(meta_t *meta, const char *key);

#endif
