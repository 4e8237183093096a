/* jsonpath - one value out of a JSON text, found by walking over the rest
 *
 * Cells hold JSON as text and a filter wants one or two values of each, so
 * nothing is built: the walk compares keys, skips what it passes by counting
 * brackets, and stops at the value.  Texts were checked when they came in;
 * here any bytes are survived, and what makes no sense counts as not there.
 */
#ifndef CORE_EXPR_JSONPATH_H
#define CORE_EXPR_JSONPATH_H

#include "core/base/base.h"
#include "core/base/buf.h"

typedef enum json_kind {
    JSON_NULL, JSON_BOOL, JSON_INT, JSON_DOUBLE, JSON_STRING, JSON_ARRAY, JSON_OBJECT,
} json_kind_t;

typedef struct json_value {
    json_kind_t kind;
    bool b;
    int64_t i;                  /* a number without fraction or exponent that fits */
    double d;                   /* any other number */
    view_t raw;                 /* the value's text; of a string, what is between the quotes */
    bool escaped;               /* the string has backslashes: see jsonpath_string */
} json_value_t;

/* The value at path: keys of objects, or numbers of array elements as text.  The first
 * of repeated keys counts.  scratch is overwritten. */
bool jsonpath_find(view_t text, const view_t *path, size_t n_path, buf_t *scratch,
                   json_value_t *ret);

/* Elements of an array's raw text: start with *at = 0; false at the end. */
bool jsonpath_next(view_t array, size_t *at, json_value_t *ret);

/* A string's characters; in scratch when there are escapes to undo.  False when a
 * buffer was refused or an escape makes no sense. */
bool jsonpath_string(const json_value_t *value, buf_t *scratch, view_t *ret);

#endif
