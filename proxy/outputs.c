/* outputs - see outputs.h */
#include "proxy/outputs.h"

#include <ctype.h>
#include <strings.h>

static char *s_trim(ctx_t *ctx, const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        len--;
    return ctx_printf(ctx, "%.*s", (int)len, text);
}

static bool s_has_name(const outputs_t *self, const char *name)
{
    for (size_t i = 0; i < self->n_names; i++)
        if (strcmp(self->names[i], name) == 0)
            return true;
    return false;
}

static void s_add_field(outputs_t *self, size_t place)
{
    for (size_t i = 0; i < self->n; i++)
        if (self->fields[i] == place)
            return;
    self->fields[self->n++] = place;
}

static void s_add_name(outputs_t *self, const char *name)
{
    if (!s_has_name(self, name))
        self->names[self->n_names++] = name;
}

static void s_add(outputs_t *self, const schema_t *schema, size_t place)
{
    s_add_field(self, place);
    s_add_name(self, schema_at(schema, place)->name);
}

/* Could this stand as a name in an expression?  Milvus parses it as one. */
static bool s_is_identifier(const char *name)
{
    if (!isalpha((unsigned char)name[0]) && name[0] != '_')
        return false;
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '_')
            return false;
    return true;
}

static err_t s_add_key(ctx_t *ctx, outputs_t *self, const schema_t *schema, const char *name)
{
    const field_t *dynamic = schema_dynamic(schema);
    if (!dynamic)
        return ctx_fail(ctx, ERR_UNEXPECTED, "field %s not exist", name);
    if (!s_is_identifier(name))
        return ctx_fail(ctx, ERR_UNEXPECTED, "parse output field name failed: %s", name);
    if (!s_has_name(self, name))
        self->keys[self->n_keys++] = view_str(name);
    s_add_field(self, schema_index(schema, dynamic));
    s_add_name(self, name);
    return OK;
}

static err_t s_add_asked(ctx_t *ctx, outputs_t *self, const schema_t *schema, const char *name,
                         bool *whole_dynamic)
{
    const field_t *field = schema_by_name(schema, name);
    bool all = strcmp(name, "*") == 0;
    *whole_dynamic |= all || (field && field->dynamic);
    for (size_t i = 0; all && i < schema_len(schema); i++)
        s_add(self, schema, i);
    if (field)
        s_add(self, schema, schema_index(schema, field));
    else if (!all)
        return s_add_key(ctx, self, schema, name);
    return OK;
}

err_t outputs_read(ctx_t *ctx, const schema_t *schema, const char *const *asked, size_t n,
                   bool with_pk, outputs_t *ret)
{
    size_t most = n + schema_len(schema) + 1;
    bool whole_dynamic = false;
    *ret = (outputs_t){
        .fields = ctx_try(ctx, schema_len(schema) * sizeof *ret->fields),
        .names = ctx_try(ctx, most * sizeof *ret->names),
        .keys = ctx_try(ctx, most * sizeof *ret->keys),
    };
    if (!ret->fields || !ret->names || !ret->keys)
        return ctx_fail(ctx, ERR_MEMORY, "memory limit exceeded: %zu output fields", n);
    for (size_t i = 0; i < n; i++)
        TRY(s_add_asked(ctx, ret, schema, s_trim(ctx, asked[i]), &whole_dynamic));
    if (with_pk)
        s_add(ret, schema, schema_index(schema, schema_pk(schema)));
    if (whole_dynamic)
        ret->n_keys = 0;
    return OK;
}

bool outputs_are_count(ctx_t *ctx, const char *const *asked, size_t n)
{
    return n == 1 && strcasecmp(s_trim(ctx, asked[0]), "count(*)") == 0;
}
