/* results - columns as the FieldData, ids and scores that clients read
 *
 * What a node answered is a column of cells; what a client reads is a protobuf
 * message per field.  Where the cells already lie as the message wants them
 * (64-bit integers, floats, dense vectors) the message points at them, so a
 * big answer is copied once, into the bytes that go out.  The columns must
 * therefore live until the message was packed.
 *
 * Milvus's layout: every field has a member set even for no row at all, a
 * scalar that is null has a cell of zeros and `valid_data` false, a vector that
 * is null has no cell.
 */
#ifndef PROXY_RESULTS_H
#define PROXY_RESULTS_H

#include "core/schema/column.h"
#include "milvus.pb-c.h"

/* A column of this field.  ERR_MEMORY, ERR_CORRUPT (an array cell that is none). */
err_t must_use results_field(ctx_t *ctx, const field_t *field, const column_t *column,
                             Schema__FieldData **ret);

/* The dynamic column with these keys only; a row has those it has. */
err_t must_use results_dynamic(ctx_t *ctx, const field_t *field, const column_t *column,
                               const view_t *keys, size_t n_keys, Schema__FieldData **ret);

/* Primary keys. */
err_t must_use results_ids(ctx_t *ctx, const column_t *pks, Schema__IDs **ret);

/* count(*): one row of one column of that name. */
Schema__FieldData *results_count(ctx_t *ctx, uint64_t count);

/* Scores to so many decimals, -1: as they are. */
void results_round(float *scores, size_t n, int decimals);

#endif
