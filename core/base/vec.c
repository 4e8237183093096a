/* vec - see vec.h */
#include "core/base/vec.h"

static uint8_t *s_at(const vec_t *vec, size_t i)
{
    return (uint8_t *)vec->ptr + i * vec->elem_bytes;
}

void vec_init(vec_t *vec, size_t elem_bytes)
{
    check(elem_bytes > 0);
    *vec = (vec_t){ .elem_bytes = elem_bytes };
}

void vec_fini(vec_t *vec)
{
    mem_free(vec->ptr);
    vec->ptr = NULL;
    vec->len = vec->cap = 0;
}

void *vec_push(vec_t *vec, const void *elem)
{
    check(vec->elem_bytes > 0);
    if (vec->len == vec->cap) {
        vec->cap = vec->cap ? vec->cap * 2 : 8;
        vec->ptr = mem_resize(vec->ptr, vec->cap * vec->elem_bytes);
    }
    return memcpy(s_at(vec, vec->len++), elem, vec->elem_bytes);
}

void *vec_at(const vec_t *vec, size_t i)
{
    check(i < vec->len);
    return s_at(vec, i);
}

void vec_swap_remove(vec_t *vec, size_t i)
{
    check(i < vec->len);
    vec->len--;
    if (i != vec->len)
        memcpy(s_at(vec, i), s_at(vec, vec->len), vec->elem_bytes);
}

void vec_remove(vec_t *vec, size_t i)
{
    check(i < vec->len);
    memmove(s_at(vec, i), s_at(vec, i + 1), (vec->len - i - 1) * vec->elem_bytes);
    vec->len--;
}
