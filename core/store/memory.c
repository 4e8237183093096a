/* memory - objects in a sorted array; for tests and the simulator
 *
 * Thousands of objects, not millions: an insert moves pointers.  It keeps the
 * rule that no key is a directory of another, so that tests find a key scheme
 * that a local directory would refuse.  One mutex, a leaf.
 */
#include <pthread.h>

#include "core/base/fault.h"
#include "core/base/vec.h"
#include "core/store/store_int.h"

typedef struct object {
    char *key;                  /* owned */
    uint8_t *bytes;             /* owned */
    size_t len;
} object_t;

typedef struct memory {
    pthread_mutex_t lock;       /* objects */
    vec_t objects;              /* object_t, by key */
} memory_t;

static object_t *s_at(const memory_t *self, size_t i)
{
    return vec_at(&self->objects, i);
}

/* Index of the first object whose key is not below `key`. */
static size_t s_find(const memory_t *self, const char *key)
{
    size_t low = 0, high = self->objects.len;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(s_at(self, mid)->key, key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static object_t *s_get(const memory_t *self, const char *key)
{
    size_t i = s_find(self, key);
    return i < self->objects.len && strcmp(s_at(self, i)->key, key) == 0 ? s_at(self, i) : NULL;
}

/* The key that would be a directory of `key`, or in it; NULL when none. */
static const char *s_clash(ctx_t *ctx, const memory_t *self, const char *key)
{
    char *dir = ctx_printf(ctx, "%s/", key);
    size_t i = s_find(self, dir);
    if (i < self->objects.len && strncmp(s_at(self, i)->key, dir, strlen(dir)) == 0)
        return s_at(self, i)->key;
    for (char *slash = strrchr(dir, '/'); slash; slash = strrchr(dir, '/')) {
        *slash = '\0';
        if (strlen(dir) < strlen(key) && s_get(self, dir))
            return s_get(self, dir)->key;
    }
    return NULL;
}

static err_t s_fault(ctx_t *ctx, const char *key)
{
    return fault_hit() ? ctx_fail(ctx, ERR_STORE, "%s: injected fault", key) : OK;
}

static void s_insert(memory_t *self, object_t object)
{
    size_t i = s_find(self, object.key);
    vec_push(&self->objects, &object);
    object_t *at = self->objects.ptr;
    memmove(at + i + 1, at + i, (self->objects.len - 1 - i) * sizeof *at);
    at[i] = object;
}

static err_t s_put_locked(ctx_t *ctx, memory_t *self, const char *key, object_t *fresh)
{
    const char *clash = s_clash(ctx, self, key);
    if (clash)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "object %s cannot be beside object %s: one would "
                        "be a directory of the other", key, clash);
    object_t *before = s_get(self, key);
    if (before) {
        mem_free(before->bytes);
        before->bytes = take(fresh->bytes);
        before->len = fresh->len;
    } else {
        s_insert(self, (object_t){ .key = mem_strdup(key), .bytes = take(fresh->bytes),
                                   .len = fresh->len });
    }
    return OK;
}

static err_t s_memory_put(ctx_t *ctx, void *impl, const char *key, const store_parts_t *parts)
{
    memory_t *self = impl;
    TRY(s_fault(ctx, key));
    object_t fresh = { .len = store_parts_len(parts) };
    fresh.bytes = mem_try(NULL, fresh.len);
    if (!fresh.bytes)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to keep %zu bytes of %s", fresh.len, key);
    if (parts->at[0].len)
        memcpy(fresh.bytes, parts->at[0].ptr, parts->at[0].len);
    memcpy(fresh.bytes + parts->at[0].len, parts->at[1].ptr, parts->at[1].len);

    pthread_mutex_lock(&self->lock);
    err_t err = s_put_locked(ctx, self, key, &fresh);
    pthread_mutex_unlock(&self->lock);
    mem_free(fresh.bytes);
    return err;
}

static err_t s_missing(ctx_t *ctx, const char *key)
{
    return ctx_fail(ctx, ERR_KEY_NOT_FOUND, "no object %s", key);
}

static err_t s_get_locked(ctx_t *ctx, memory_t *self, const char *key, uint64_t offset,
                          uint64_t len, store_sink_t *sink)
{
    const object_t *object = s_get(self, key);
    if (!object)
        return s_missing(ctx, key);
    if (len == STORE_WHOLE)
        len = object->len;
    if (offset > object->len || len > object->len - offset)
        return ctx_fail(ctx, ERR_CORRUPT, "object %s is damaged: only %zu bytes", key, object->len);
    TRY(store_sink_open(ctx, sink, key, len));
    memcpy(sink->ptr, object->bytes + offset, len);
    sink->len = len;
    return OK;
}

static err_t s_memory_get(ctx_t *ctx, void *impl, const char *key, uint64_t offset, uint64_t len,
                          store_sink_t *sink)
{
    memory_t *self = impl;
    TRY(s_fault(ctx, key));
    pthread_mutex_lock(&self->lock);
    err_t err = s_get_locked(ctx, self, key, offset, len, sink);
    pthread_mutex_unlock(&self->lock);
    return err;
}

static err_t s_memory_head(ctx_t *ctx, void *impl, const char *key, uint64_t *ret_object_len)
{
    memory_t *self = impl;
    TRY(s_fault(ctx, key));
    pthread_mutex_lock(&self->lock);
    const object_t *object = s_get(self, key);
    uint64_t len = object ? object->len : 0;
    pthread_mutex_unlock(&self->lock);
    if (!object)
        return s_missing(ctx, key);
    *ret_object_len = len;
    return OK;
}

static err_t s_memory_list(ctx_t *ctx, void *impl, const char *prefix, const char *after,
                           size_t most, store_list_t *list)
{
    memory_t *self = impl;
    TRY(s_fault(ctx, prefix));
    pthread_mutex_lock(&self->lock);
    size_t i = s_find(self, strcmp(after, prefix) > 0 ? after : prefix);
    for (; i < self->objects.len; i++) {
        const object_t *object = s_at(self, i);
        if (strncmp(object->key, prefix, strlen(prefix)) != 0)
            break;
        if (strcmp(object->key, after) <= 0)
            continue;
        if (!store_list_add(ctx, list, most, object->key, object->len))
            break;
    }
    pthread_mutex_unlock(&self->lock);
    return OK;
}

static void s_object_fini(object_t *object)
{
    mem_free(object->key);
    mem_free(object->bytes);
}

static err_t s_memory_remove(ctx_t *ctx, void *impl, const char *key)
{
    memory_t *self = impl;
    TRY(s_fault(ctx, key));
    pthread_mutex_lock(&self->lock);
    if (s_get(self, key)) {
        size_t i = s_find(self, key);
        s_object_fini(s_at(self, i));
        vec_remove(&self->objects, i);
    }
    pthread_mutex_unlock(&self->lock);
    return OK;
}

static void s_memory_destroy(void *impl)
{
    memory_t *self = impl;
    for (size_t i = 0; i < self->objects.len; i++)
        s_object_fini(s_at(self, i));
    vec_fini(&self->objects);
    pthread_mutex_destroy(&self->lock);
    mem_free(self);
}

store_t *store_memory_new(void)
{
    static const store_driver_t driver = {
        .name = "memory", .put = s_memory_put, .get = s_memory_get, .head = s_memory_head,
        .list = s_memory_list, .remove = s_memory_remove, .destroy = s_memory_destroy,
    };
    memory_t *self = mem_new(sizeof *self);
    pthread_mutex_init(&self->lock, NULL);
    vec_init(&self->objects, sizeof(object_t));
    return store_new(&driver, self);
}
