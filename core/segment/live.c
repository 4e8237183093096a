/* live - see live.h */
#include "core/segment/live.h"

#include <pthread.h>

#include "core/base/map.h"

typedef struct { uint64_t owner, segment; } live_key_t;

static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;     /* a leaf */
static map_t *g_segments;                                      /* live_key_t -> growing_t */
static map_t *g_owners;                                        /* that began, to something */
static bool g_apart;

static view_t s_key(const live_key_t *key)
{
    return view_of(key, sizeof *key);
}

void live_begin(uint64_t owner)
{
    pthread_mutex_lock(&g_lock);
    if (!g_owners)
        g_owners = map_new();
    map_put_u64(g_owners, owner, &g_owners);
    pthread_mutex_unlock(&g_lock);
}

void live_apart(bool apart)
{
    pthread_mutex_lock(&g_lock);
    g_apart = apart;
    pthread_mutex_unlock(&g_lock);
}

bool live_is_here(uint64_t owner)
{
    pthread_mutex_lock(&g_lock);
    bool here = !g_apart && g_owners && map_get_u64(g_owners, owner);
    pthread_mutex_unlock(&g_lock);
    return here;
}

static void s_end_owner(uint64_t owner)
{
    pthread_mutex_lock(&g_lock);
    if (g_owners)
        map_del_u64(g_owners, owner);
    if (g_owners && map_len(g_owners) == 0)
        map_destroy(&g_owners);
    pthread_mutex_unlock(&g_lock);
}

void live_put(uint64_t owner, growing_t *segment)
{
    live_key_t key = { owner, growing_id(segment).segment };
    pthread_mutex_lock(&g_lock);
    if (!g_segments)
        g_segments = map_new();
    growing_t *before = map_put(g_segments, s_key(&key), growing_ref(segment));
    pthread_mutex_unlock(&g_lock);
    growing_unref(&before);
}

growing_t *live_get(uint64_t owner, uint64_t segment)
{
    live_key_t key = { owner, segment };
    pthread_mutex_lock(&g_lock);
    growing_t *found = g_segments ? map_get(g_segments, s_key(&key)) : NULL;
    if (found)
        growing_ref(found);
    pthread_mutex_unlock(&g_lock);
    return found;
}

/* The table goes with its last entry, so that nothing of it outlives the nodes. */
static void s_drop_locked(const live_key_t *key, growing_t **ret)
{
    *ret = g_segments ? map_del(g_segments, s_key(key)) : NULL;
    if (g_segments && map_len(g_segments) == 0)
        map_destroy(&g_segments);
}

void live_drop(uint64_t owner, uint64_t segment)
{
    growing_t *gone = NULL;
    pthread_mutex_lock(&g_lock);
    s_drop_locked(&(live_key_t){ owner, segment }, &gone);
    pthread_mutex_unlock(&g_lock);
    growing_unref(&gone);
}

static growing_t *s_drop_one_of(uint64_t owner)
{
    growing_t *gone = NULL;
    view_t key;
    pthread_mutex_lock(&g_lock);
    for (size_t at = 0; g_segments && !gone && map_next(g_segments, &at, &key, NULL); ) {
        live_key_t copy;
        memcpy(&copy, key.ptr, sizeof copy);
        if (copy.owner != owner)
            continue;
        s_drop_locked(&copy, &gone);
        break;
    }
    pthread_mutex_unlock(&g_lock);
    return gone;
}

void live_drop_all(uint64_t owner)
{
    s_end_owner(owner);
    for (growing_t *gone; (gone = s_drop_one_of(owner)) != NULL; )
        growing_unref(&gone);
}
