/* row_model - what readers of a whole cluster may see of each key
 *
 * Everybody may write every key; each write has a version that no other write has.  A write
 * took effect somewhere between its start and its answer, or any time after its start, or never,
 * when the answer was an error.  A Strong read sees the state at some moment between its start
 * and its end.  From starts and ends alone follow orders: A came before B when A was surely done
 * before B began, or before a read began that saw B.  So nobody may see A any more once B is
 * done: that is what is checked, key by key, as each answer comes.
 */
#ifndef TESTS_SUPPORT_ROW_MODEL_H
#define TESTS_SUPPORT_ROW_MODEL_H

#include "core/base/base.h"

enum { ROW_ABSENT = 0 };        /* as a version: a delete */

typedef struct row_model row_model_t;

typedef enum { ROW_EVENTUALLY, ROW_SESSION, ROW_STRONG } row_level_t;

/* One read, from its start on.  who: its client, whose own writes a Session has to see. */
typedef struct row_look {
    row_level_t level;
    int who;
    int64_t from_us, until_us;
} row_look_t;

row_model_t *row_model_new(size_t n_keys);
void row_model_destroy(row_model_t **self_p);

/* A write begins; it was acknowledged.  One that fails just never ends. */
void row_model_begin(row_model_t *self, size_t key, int64_t version, int who, int64_t now_us);
void row_model_acked(row_model_t *self, size_t key, int64_t version, int64_t now_us);
void row_model_acked_delete(row_model_t *self, size_t key, int64_t began_us, int64_t now_us);

/* An answer: first look, then every row of it, then compare each key that it was about.  What a
 * look that found no row of a key means is that it is absent. */
void row_model_look(row_model_t *self, const row_look_t *look);
void row_model_see(row_model_t *self, int64_t key, int64_t version);
void row_model_compare(row_model_t *self, size_t key);
void row_model_compare_all(row_model_t *self);

/* How many rows a look may count. */
void row_model_count(row_model_t *self, const row_look_t *look, int64_t count);

/* May this key be there, and be absent, as far as one knows: for choosing what to do. */
bool row_model_never_written(const row_model_t *self, size_t key);

void row_model_wrong(row_model_t *self, const char *format, ...) printf_like(2, 3);
const char *row_model_verdict(const row_model_t *self);     /* NULL: nothing was wrong */

#endif
