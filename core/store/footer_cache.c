/* footer_cache - a map for finding, a ring for forgetting (head.next is the
 * most recently used entry, head.prev goes first) */
#include "core/store/footer_cache.h"

#include <pthread.h>

#include "core/base/map.h"

typedef struct entry entry_t;
struct entry {
    entry_t *next, *prev;
    char *key;                  /* owned */
    uint64_t object_len;
    size_t len;
    uint8_t footer[];
};

struct footer_cache {
    pthread_mutex_t lock;       /* everything below */
    map_t *by_key;
    entry_t head;
    size_t bytes, most_bytes;
};

footer_cache_t *footer_cache_new(size_t most_bytes)
{
    footer_cache_t *self = mem_new(sizeof *self);
    pthread_mutex_init(&self->lock, NULL);
    self->by_key = map_new();
    self->head.next = self->head.prev = &self->head;
    self->most_bytes = most_bytes;
    return self;
}

static size_t s_cost(const entry_t *entry)
{
    return sizeof *entry + entry->len + strlen(entry->key) + 1;
}

static void s_unlink(entry_t *entry)
{
    entry->prev->next = entry->next;
    entry->next->prev = entry->prev;
}

static void s_link_first(footer_cache_t *self, entry_t *entry)
{
    entry->next = self->head.next;
    entry->prev = &self->head;
    entry->next->prev = entry;
    self->head.next = entry;
}

static void s_forget(footer_cache_t *self, entry_t *entry)
{
    check(entry != &self->head);
    map_del_str(self->by_key, entry->key);
    s_unlink(entry);
    self->bytes -= s_cost(entry);
    mem_free(entry->key);
    mem_free(entry);
}

void footer_cache_destroy(footer_cache_t **self_p)
{
    footer_cache_t *self = *self_p;
    if (!self)
        return;
    while (self->head.next != &self->head)
        s_forget(self, self->head.next);
    check(self->bytes == 0);
    map_destroy(&self->by_key);
    pthread_mutex_destroy(&self->lock);
    mem_free(self);
    *self_p = NULL;
}

bool footer_cache_get(footer_cache_t *self, ctx_t *ctx, const char *key,
                      view_t *ret_footer, uint64_t *ret_object_len)
{
    bool found = false;
    pthread_mutex_lock(&self->lock);
    entry_t *entry = map_get_str(self->by_key, key);
    uint8_t *copy = entry ? ctx_try(ctx, entry->len) : NULL;
    if (copy) {
        memcpy(copy, entry->footer, entry->len);
        *ret_footer = view_of(copy, entry->len);
        *ret_object_len = entry->object_len;
        s_unlink(entry);
        s_link_first(self, entry);
        found = true;
    }
    pthread_mutex_unlock(&self->lock);
    return found;
}

void footer_cache_put(footer_cache_t *self, const char *key, view_t footer, uint64_t object_len)
{
    entry_t *entry = mem_try(NULL, sizeof *entry + footer.len);
    if (!entry)
        return;                                 /* a cache may forget */
    entry->key = mem_strdup(key);
    entry->object_len = object_len;
    entry->len = footer.len;
    memcpy(entry->footer, footer.ptr, footer.len);

    pthread_mutex_lock(&self->lock);
    entry_t *before = map_get_str(self->by_key, key);
    if (before)
        s_forget(self, before);
    map_put_str(self->by_key, key, entry);
    s_link_first(self, entry);
    self->bytes += s_cost(entry);
    while (self->bytes > self->most_bytes && self->head.prev != &self->head)
        s_forget(self, self->head.prev);
    pthread_mutex_unlock(&self->lock);
}

void footer_cache_drop(footer_cache_t *self, const char *key)
{
    pthread_mutex_lock(&self->lock);
    entry_t *entry = map_get_str(self->by_key, key);
    if (entry)
        s_forget(self, entry);
    pthread_mutex_unlock(&self->lock);
}

size_t footer_cache_bytes(footer_cache_t *self)
{
    pthread_mutex_lock(&self->lock);
    size_t bytes = self->bytes;
    pthread_mutex_unlock(&self->lock);
    return bytes;
}
