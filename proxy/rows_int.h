/* rows_int - what rows*.c share: the values of one field as a column without nulls */
#ifndef PROXY_ROWS_INT_H
#define PROXY_ROWS_INT_H

#include "proxy/rows.h"

/* Values of one field; from data, in the arena or borrowed from it.
 *   expected   how many values there should be; refused when there are others
 *   named      names that keys of the dynamic field must not have; NULL: not the dynamic field
 * Errors  as rows_read */
err_t must_use rows_values(ctx_t *ctx, const field_t *field, const Schema__FieldData *data,
                           size_t expected, const schema_t *named, column_t *ret);

/* No memory for so many bytes of a field. */
err_t rows_no_memory(ctx_t *ctx, const char *field, size_t bytes);

/* Zeroed arena memory in which what follows it can be read in words. */
void *rows_alloc(ctx_t *ctx, size_t n, size_t each);

#endif
