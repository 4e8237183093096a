/* apart_int - what the commands that take stored things apart share */
#ifndef CLI_APART_INT_H
#define CLI_APART_INT_H

#include "cli/apart.h"
#include "cli/format.h"
#include "cli/stored.h"

/* One run of such a command: it fills root, which is printed however it ends. */
typedef struct apart {
    ctx_t *ctx;
    const args_t *args;
    stored_t *stored;
    format_ask_t ask;
    json_t *root;
    const char *damage;         /* what was found, when the rest could be read all the same */
} apart_t;

/* The body of a command.  What it cannot do ends it with an error. */
int apart_run(const args_t *args, err_t (*body)(apart_t *self));

/* An object or a file, taken apart into `into`; damage is noted there and in self.
 * Errors  of stored_object: it is not there, or cannot be had */
err_t must_use apart_object(apart_t *self, const char *key, json_t *into);
err_t must_use apart_file(apart_t *self, const char *path, json_t *into);

/* A path, or the key of an object. */
err_t must_use apart_named(apart_t *self, const char *word);

/* Everything under a prefix; ERR_KEY_NOT_FOUND is not one of its errors. */
err_t must_use apart_keys(apart_t *self, const char *prefix, meta_items_t *ret);

/* Remember what is wrong with an object of several, and go on. */
void apart_note(apart_t *self, json_t *item, const char *damage);

#endif
