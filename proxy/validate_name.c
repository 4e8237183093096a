/* validate_name - names of databases, collections, aliases, partitions, fields, indexes
 *
 * The rules are one: a letter or underscore, then letters, digits and
 * underscores, at most LIMIT_NAME_BYTES.  The texts are Milvus's, each kind's
 * its own.  (ASCII only; so a byte is a character.)
 */
#include "core/base/limits.h"
#include "proxy/validate.h"

static bool s_is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool s_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

typedef enum { NAME_FINE, NAME_EMPTY, NAME_LONG, NAME_FIRST, NAME_CHARS } name_fault_t;

/* also: what a partition may have besides: digits first, and this character anywhere */
static name_fault_t s_look(const char *name, bool digit_first, char also)
{
    size_t len = strlen(name);
    if (len == 0)
        return NAME_EMPTY;
    if (len > LIMIT_NAME_BYTES)
        return NAME_LONG;
    if (!(name[0] == '_' || s_is_alpha(name[0]) || (digit_first && s_is_digit(name[0]))))
        return NAME_FIRST;
    for (size_t i = 1; i < len; i++)
        if (!(name[i] == '_' || s_is_alpha(name[i]) || s_is_digit(name[i]) ||
              (also && name[i] == also)))
            return NAME_CHARS;
    return NAME_FINE;
}

err_t validate_collection_name(ctx_t *ctx, const char *what, const char *name)
{
    switch (s_look(name, false, '\0')) {
    case NAME_EMPTY:
        return ctx_fail(ctx, ERR_PARAM_INVALID,
                        "collection %s should not be empty: invalid parameter", what);
    case NAME_LONG:
        return ctx_fail(ctx, ERR_PARAM_INVALID, "Invalid collection %s: %s.  the length of a "
                        "collection %s must be less than %d characters: invalid parameter", what,
                        name, what, LIMIT_NAME_BYTES);
    case NAME_FIRST:
        return ctx_fail(ctx, ERR_PARAM_INVALID, "Invalid collection %s: %s.  the first character "
                        "of a collection %s must be an underscore or letter: invalid parameter",
                        what, name, what);
    case NAME_CHARS:
        return ctx_fail(ctx, ERR_PARAM_INVALID, "Invalid collection %s: %s.  collection %s can "
                        "only contain numbers, letters and underscores: invalid parameter", what,
                        name, what);
    case NAME_FINE:
        break;
    }
    return OK;
}

err_t validate_database_name(ctx_t *ctx, const char *name)
{
    static const char *const s_texts[] = {
        [NAME_EMPTY] = "database name should not be empty",
        [NAME_LONG] = "the length of a database name must be less than 255 characters",
        [NAME_FIRST] = "the first character of a database name must be an underscore or letter",
        [NAME_CHARS] = "database name can only contain numbers, letters and underscores",
    };
    name_fault_t fault = s_look(name, false, '\0');
    if (fault == NAME_FINE)
        return OK;
    return ctx_fail(ctx, ERR_DATABASE_NAME, "%s: invalid database name[database=%s]",
                    s_texts[fault], name);
}

err_t validate_partition_name(ctx_t *ctx, const char *name)
{
    static const char *const s_texts[] = {
        [NAME_EMPTY] = "Partition name should not be empty.",
        [NAME_LONG] = "The length of a partition name must be less than 255 characters.",
        [NAME_FIRST] = "The first character of a partition name must be an underscore or letter.",
        [NAME_CHARS] = "Partition name can only contain numbers, letters and underscores.",
    };
    name_fault_t fault = s_look(name, true, '-');
    if (fault == NAME_FINE)
        return OK;
    return ctx_fail(ctx, ERR_UNEXPECTED, "Invalid partition name: %s. %s", name, s_texts[fault]);
}

err_t validate_group_name(ctx_t *ctx, const char *name)
{
    static const char *const s_texts[] = {
        [NAME_LONG] = "the length of a resource group name must be less than 255 characters",
        [NAME_FIRST] = "the first character of a resource group name must be an underscore or "
                       "letter",
        [NAME_CHARS] = "resource group name can only contain numbers, letters and underscores",
    };
    name_fault_t fault = s_look(name, false, '\0');
    if (fault == NAME_FINE)
        return OK;
    if (fault == NAME_EMPTY)
        return ctx_fail(ctx, ERR_UNEXPECTED, "resource group name couldn't be empty");
    return ctx_fail(ctx, ERR_PARAM_INVALID, "Invalid resource group name %s. %s: invalid parameter",
                    name, s_texts[fault]);
}

/* Words of the expression language. */
static bool s_is_keyword(const char *name)
{
    static const char *const s_words[] = {
        "$meta", "like", "exists", "EXISTS", "and", "or", "not", "in",
        "json_contains", "JSON_CONTAINS", "json_contains_all", "JSON_CONTAINS_ALL",
        "json_contains_any", "JSON_CONTAINS_ANY", "array_contains", "ARRAY_CONTAINS",
        "array_contains_all", "ARRAY_CONTAINS_ALL", "array_contains_any", "ARRAY_CONTAINS_ANY",
        "array_length", "ARRAY_LENGTH", "true", "True", "TRUE", "false", "False", "FALSE",
    };
    for (size_t i = 0; i < ARRAY_LEN(s_words); i++)
        if (strcmp(name, s_words[i]) == 0)
            return true;
    return false;
}

err_t validate_field_name(ctx_t *ctx, const char *name)
{
    static const char *const s_texts[] = {
        [NAME_LONG] = "The length of a field name must be less than 255 characters.",
        [NAME_FIRST] = "The first character of a field name must be an underscore or letter.",
        [NAME_CHARS] = "Field name can only contain numbers, letters, and underscores.",
    };
    name_fault_t fault = s_look(name, false, '\0');
    if (fault == NAME_EMPTY)
        return ctx_fail(ctx, ERR_FIELD_NAME,
                        "field name should not be empty: field name invalid[field=]");
    if (fault != NAME_FINE)
        return ctx_fail(ctx, ERR_FIELD_NAME,
                        "Invalid field name: %s. %s: field name invalid[field=%s]", name,
                        s_texts[fault], name);
    if (s_is_keyword(name))
        return ctx_fail(ctx, ERR_FIELD_NAME, "Invalid field name: %s. %s is keyword in milvus.: "
                        "field name invalid[field=%s]", name, name, name);
    return OK;
}

err_t validate_index_name(ctx_t *ctx, const char *name)
{
    static const char *const s_texts[] = {
        [NAME_LONG] = "The length of a index name must be less than 255 characters.",
        [NAME_FIRST] = "The first character of a index name must be an underscore or letter.",
        [NAME_CHARS] = "Index name can only contain numbers, letters, and underscores.",
    };
    name_fault_t fault = s_look(name, false, '\0');
    if (fault == NAME_FINE || fault == NAME_EMPTY)
        return OK;                              /* no name: the field's */
    return ctx_fail(ctx, ERR_UNEXPECTED, "Invalid index name: %s. %s", name, s_texts[fault]);
}
