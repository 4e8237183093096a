/* vec - an array of equal elements that grows
 *
 * For counts the code bounds (nodes, channels, compares).  Data-sized arrays
 * belong in mem_try blocks, where they can be refused.
 */
#ifndef CORE_BASE_VEC_H
#define CORE_BASE_VEC_H

#include "core/base/base.h"

typedef struct vec {
    void *ptr;
    size_t len, cap;            /* in elements */
    size_t elem_bytes;
} vec_t;

void vec_init(vec_t *vec, size_t elem_bytes);
void vec_fini(vec_t *vec);
#define vec_scoped __attribute__((cleanup(vec_fini))) vec_t

/* Append a copy of *elem; returns its place, valid until the next push. */
void *vec_push(vec_t *vec, const void *elem);

/* Element i, borrowed; i must be below len. */
void *vec_at(const vec_t *vec, size_t i);

/* Remove element i by moving the last one into its place. */
void vec_swap_remove(vec_t *vec, size_t i);

/* Remove element i, keep the order. */
void vec_remove(vec_t *vec, size_t i);

#endif
