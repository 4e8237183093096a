/* read_filter - the filter of a request, checked, and as nodes take it
 *
 * The text goes to the nodes as it came, the template values in Elanus's own
 * message; each node parses them again.  Here it is parsed to refuse what is
 * wrong before anybody is asked.
 */
#ifndef PROXY_READ_FILTER_H
#define PROXY_READ_FILTER_H

#include "core/expr/expr.h"
#include "elanus.pb-c.h"
#include "milvus.pb-c.h"

/* One `{name}` and what stands for it. */
typedef struct template_value {
    const char *name;
    const Schema__TemplateValue *value;
} template_value_t;

/* The map entries of a request (each request has its own type of them), in the arena. */
#define TEMPLATES(ctx, entries, n) \
    ({ template_value_t *list_ = ctx_new((ctx), ((n) + 1) * sizeof *list_); \
       for (size_t i_ = 0; i_ < (n); i_++) \
           list_[i_] = (template_value_t){ (entries)[i_]->key, (entries)[i_]->value }; \
       list_; })

typedef struct read_filter {
    expr_t *plan;               /* NULL until read; ends with read_filter_fini */
    char *text;                 /* borrowed from the request */
    Elanus__ExprParam **params; /* [n_params] in the arena */
    size_t n_params;
} read_filter_t;

/* Errors  ERR_PARAM_INVALID  "failed to create query plan: cannot parse expression: …", all in
 *                            Milvus's words; ERR_MEMORY */
err_t must_use read_filter(ctx_t *ctx, schema_t *schema, const char *text,
                           const template_value_t *templates, size_t n, read_filter_t *ret);
void read_filter_fini(read_filter_t *self);

#endif
