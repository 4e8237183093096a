/* field_data - clients' messages of rows, as pymilvus packs them, and what becomes of them
 *
 * The makers take cells and give a FieldData; all memory is the test's, and goes
 * with it.  `fd_take` wants the rows taken, `fd_is_refused` refused with a code
 * and a text.
 */
#ifndef TESTS_SUPPORT_FIELD_DATA_H
#define TESTS_SUPPORT_FIELD_DATA_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "proxy/rows.h"

typedef Schema__FieldData fd_data_t;
typedef struct { uint32_t index; float value; } fd_pair_t;

extern ctx_t fd_ctx;            /* of the test's own things */
int fd_up(void **state);        /* setup and teardown of every test */
int fd_down(void **state);

/* Fields of a schema. */
extern const field_t fd_id, fd_auto_id, fd_auto_text, fd_vec, fd_meta;

fd_data_t *fd_data(const char *name);
Schema__ScalarField *fd_scalar_row(void);
Schema__ScalarField *fd_scalars(fd_data_t *data);
Schema__ScalarField *fd_set_bools(Schema__ScalarField *to, const int *values, size_t n);
Schema__ScalarField *fd_set_ints(Schema__ScalarField *to, const int32_t *values, size_t n);
Schema__ScalarField *fd_set_longs(Schema__ScalarField *to, const int64_t *values, size_t n);
Schema__ScalarField *fd_set_floats(Schema__ScalarField *to, const float *values, size_t n);
Schema__ScalarField *fd_set_doubles(Schema__ScalarField *to, const double *values, size_t n);
Schema__ScalarField *fd_set_texts(Schema__ScalarField *to, const char *const *texts, size_t n);
Schema__ScalarField *fd_set_jsons(Schema__ScalarField *to, const char *const *texts, size_t n);
Schema__ScalarField *fd_set_arrays(Schema__ScalarField *to, Schema__ScalarField **rows,
                                         size_t n);
fd_data_t *fd_longs(const char *name, const int64_t *values, size_t n);
fd_data_t *fd_ints(const char *name, const int32_t *values, size_t n);
fd_data_t *fd_texts(const char *name, const char *const *values, size_t n);
fd_data_t *fd_jsons(const char *name, const char *const *values, size_t n);
fd_data_t *fd_floats(const char *name, const float *values, size_t n);
fd_data_t *fd_doubles(const char *name, const double *values, size_t n);
fd_data_t *fd_bools(const char *name, const int *values, size_t n);
fd_data_t *fd_arrays(const char *name, Schema__ScalarField **rows, size_t n);
fd_data_t *fd_float_vectors(const char *name, int64_t dim, const float *values, size_t n);
fd_data_t *fd_byte_vectors(const char *name, int64_t dim, Schema__VectorField__DataCase member,
                              const void *bytes, size_t len);
fd_data_t *fd_sparse(const char *name, const fd_pair_t *const *rows, const size_t *lens, size_t n);
fd_data_t *fd_one_sparse(const char *name, const fd_pair_t *row, size_t len);
fd_data_t *fd_valid(fd_data_t *data, const int *valid, size_t n);
fd_data_t *fd_dynamic(fd_data_t *data);
schema_t *fd_schema(field_t key, const field_t *others, size_t n);
err_t fd_read(ctx_t *ctx, rows_kind_t kind, schema_t *schema, uint32_t n_rows,
                    fd_data_t *const *data, size_t n, rows_t *ret);
rows_t fd_take(rows_kind_t kind, schema_t *schema, uint32_t n_rows, fd_data_t *const *data,
                     size_t n);
void fd_is_refused(rows_kind_t kind, schema_t *schema, uint32_t n_rows, fd_data_t *const *data,
                         size_t n, int code, const char *text);
void fd_field_is_refused(field_t field, fd_data_t *data, size_t n_rows, int code,
                               const char *text);
void fd_cell_is(const column_t *c, size_t row, const void *bytes, size_t len);
void fd_text_is(const column_t *c, size_t row, const char *text);

#define N(array) (array), ARRAY_LEN(array)
#define LONGS(name, ...)   fd_longs(name, (const int64_t[]){ __VA_ARGS__ }, \
                                   ARRAY_LEN(((const int64_t[]){ __VA_ARGS__ })))
#define INTS(name, ...)    fd_ints(name, (const int32_t[]){ __VA_ARGS__ }, \
                                  ARRAY_LEN(((const int32_t[]){ __VA_ARGS__ })))
#define TEXTS(name, ...)   fd_texts(name, (const char *const[]){ __VA_ARGS__ }, \
                                   ARRAY_LEN(((const char *const[]){ __VA_ARGS__ })))
#define JSONS(name, ...)   fd_jsons(name, (const char *const[]){ __VA_ARGS__ }, \
                                   ARRAY_LEN(((const char *const[]){ __VA_ARGS__ })))
#define FLOATS(name, ...)  fd_floats(name, (const float[]){ __VA_ARGS__ }, \
                                    ARRAY_LEN(((const float[]){ __VA_ARGS__ })))
#define VECTORS(name, dim, ...) fd_float_vectors(name, dim, (const float[]){ __VA_ARGS__ }, \
                                                ARRAY_LEN(((const float[]){ __VA_ARGS__ })))
#define SCHEMA(...) fd_schema(fd_id, (const field_t[]){ __VA_ARGS__ }, \
                              ARRAY_LEN(((const field_t[]){ __VA_ARGS__ })))
#define DATA(...) ((fd_data_t *const[]){ __VA_ARGS__ }), \
                  ARRAY_LEN(((fd_data_t *const[]){ __VA_ARGS__ }))
#define CELL(c, row, type, value) \
    do { type want_ = (value); fd_cell_is((c), (row), &want_, sizeof want_); } while (0)

#endif
