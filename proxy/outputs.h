/* outputs - the fields a reader asked for, by name
 *
 * "*" is every field, vectors too.  A name that is no field is a key of the
 * dynamic field, if the collection has one; the client then finds the key in
 * the column `$meta`, which carries only the keys that were asked for.
 */
#ifndef PROXY_OUTPUTS_H
#define PROXY_OUTPUTS_H

#include "core/schema/schema.h"

typedef struct outputs {
    size_t *fields;             /* [n] places in the schema, each once, as first asked for */
    size_t n;
    const char **names;         /* [n_names] what the client asked for, "*" written out */
    size_t n_names;
    view_t *keys;               /* [n_keys] of the dynamic field; none: all of them */
    size_t n_keys;
} outputs_t;

/* Work out what `asked` means; all in the arena.
 *   with_pk  the primary key is added when it was not asked for
 * Errors  ERR_UNEXPECTED  "field x not exist" and the like, in Milvus's words */
err_t must_use outputs_read(ctx_t *ctx, const schema_t *schema, const char *const *asked, size_t n,
                            bool with_pk, outputs_t *ret);

/* Are these `count(*)` and nothing else? */
bool outputs_are_count(ctx_t *ctx, const char *const *asked, size_t n);

#endif
