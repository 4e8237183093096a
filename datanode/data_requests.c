/* data_requests - the recent requests of a channel by their ids
 *
 * A proxy that lost an answer asks again with the same id, perhaps after this
 * process died and the log was replayed.  Kept are LIMIT_DATA_REQUESTS at most, oldest
 * first in a ring: a repeat comes soon or never.
 */
#include "datanode/data_path.h"

struct data_requests {
    map_t *by_key;              /* id and vchannel -> data_request_t */
    data_request_t **ring;      /* [LIMIT_DATA_REQUESTS], grown by need up to there */
    size_t cap, from, n;
};

enum { KEY_BYTES = 16 + LIMIT_WAL_NAME_BYTES, FIRST_CAP = 64 };

data_requests_t *data_requests_new(void)
{
    data_requests_t *self = mem_new(sizeof *self);
    self->by_key = map_new();
    return self;
}

static data_request_t **s_at(const data_requests_t *self, size_t i)
{
    return &self->ring[(self->from + i) % self->cap];
}

void data_requests_destroy(data_requests_t **self_p)
{
    data_requests_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->n; i++)
        mem_free(*s_at(self, i));
    map_destroy(&self->by_key);
    mem_free(self->ring);
    mem_free(self);
    *self_p = NULL;
}

static view_t s_key(uint8_t into[KEY_BYTES], view_t vchannel, const uint64_t id[2])
{
    check(vchannel.len <= LIMIT_WAL_NAME_BYTES);
    store_u64(into, id[0]);
    store_u64(into + 8, id[1]);
    memcpy(into + 16, vchannel.ptr, vchannel.len);
    return view_of(into, 16 + vchannel.len);
}

data_request_t *data_requests_find(const data_requests_t *self, view_t vchannel,
                                   const uint64_t id[2])
{
    uint8_t key[KEY_BYTES];
    return id[0] || id[1] ? map_get(self->by_key, s_key(key, vchannel, id)) : NULL;
}

static void s_pop(data_requests_t *self)
{
    data_request_t *oldest = *s_at(self, 0);
    if (!oldest->gone)
        map_del(self->by_key, view_of(oldest->key, oldest->key_len));
    mem_free(oldest);
    self->from = (self->from + 1) % self->cap;
    self->n--;
}

static void s_make_room(data_requests_t *self)
{
    if (self->n == LIMIT_DATA_REQUESTS && !(*s_at(self, 0))->write)
        s_pop(self);
    if (self->n < self->cap)
        return;
    size_t cap = self->cap ? self->cap * 2 : FIRST_CAP;
    data_request_t **ring = mem_new(cap * sizeof *ring);
    for (size_t i = 0; i < self->n; i++)
        ring[i] = *s_at(self, i);
    mem_free(self->ring);
    self->ring = ring;
    self->cap = cap;
    self->from = 0;
}

data_request_t *data_requests_add(data_requests_t *self, view_t vchannel, const uint64_t id[2],
                                  uint64_t ts, wal_position_t at, data_write_t *write)
{
    uint8_t bytes[KEY_BYTES];
    view_t key = s_key(bytes, vchannel, id);
    check(!map_get(self->by_key, key));
    s_make_room(self);
    data_request_t *request = mem_new(sizeof *request + key.len);
    *request = (data_request_t){ .ts = ts, .at = at, .write = write, .key_len = key.len,
                                  .since_ms = (int64_t)(ts >> 18) };
    memcpy(request->key, key.ptr, key.len);
    map_put(self->by_key, key, request);
    *s_at(self, self->n++) = request;
    return request;
}

view_t data_request_vchannel(const data_request_t *request, uint64_t ret_id[2])
{
    ret_id[0] = load_u64(request->key);
    ret_id[1] = load_u64(request->key + 8);
    return view_of(request->key + 16, request->key_len - 16);
}

void data_requests_forget(data_requests_t *self, data_request_t *request)
{
    map_del(self->by_key, view_of(request->key, request->key_len));
    request->gone = true;
    request->write = NULL;
}

void data_requests_learned(data_requests_t *self, int64_t wall_ms)
{
    for (size_t i = 0; i < self->n; i++)
        (*s_at(self, i))->since_ms = wall_ms;
}

const data_request_t *data_requests_since(data_requests_t *self, int64_t wall_ms)
{
    while (self->n > 0) {
        const data_request_t *oldest = *s_at(self, 0);
        if (oldest->write || (!oldest->gone && oldest->since_ms >= wall_ms))
            return oldest;
        s_pop(self);
    }
    return NULL;
}
