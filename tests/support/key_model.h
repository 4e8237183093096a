/* key_model - what readers may see of rows, according to the answers that writers got
 *
 * Keys are numbers from 0.  Each has a history of acknowledged versions with their
 * timestamps, and at most one change under way.  A reader up to T may see of a key the newest
 * version not above T, or what the change under way makes of it; of each key one row.
 */
#ifndef TESTS_SUPPORT_KEY_MODEL_H
#define TESTS_SUPPORT_KEY_MODEL_H

#include "core/base/base.h"

enum { KEY_ABSENT = -1 };       /* as a version */

typedef struct key_model key_model_t;

key_model_t *key_model_new(size_t n_keys);
void key_model_destroy(key_model_t **self_p);

/* A key is being changed to this version; the change was acknowledged, with its timestamp. */
void key_model_begin(key_model_t *self, int64_t key, int64_t version);
void key_model_acked(key_model_t *self, int64_t key, uint64_t ts);

/* The same of one that was sent several times: it was done at some time from `from` to ts. */
void key_model_acked_by(key_model_t *self, int64_t key, uint64_t from, uint64_t ts);
int64_t key_model_newest(const key_model_t *self, int64_t key);

/* What somebody sees, row by row; then compare those keys for which key % of == rest. */
void key_model_look(key_model_t *self, const char *who);
void key_model_see(key_model_t *self, int64_t key, int64_t version);
void key_model_compare(key_model_t *self, int64_t of, int64_t rest, uint64_t ts);

/* Something is not as it should be; the first is kept. */
void key_model_wrong(key_model_t *self, const char *format, ...) printf_like(2, 3);

/* NULL: nothing was wrong so far. */
const char *key_model_verdict(const key_model_t *self);

#endif
