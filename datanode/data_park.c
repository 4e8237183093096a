/* data_park - writes that cannot be done at once, and soon can
 *
 * Either a new segment is needed and no id is at hand, or the collection or partition is
 * not known here: it may be so new that only the proxy has seen it, so metadata is asked
 * before "not found" is said.
 */
#include "datanode/data_path.h"

enum { ID_WAIT_MS = 3000, ID_TIMER_MS = 200 };

typedef struct park {
    net_from_t from;
    trace_t trace;
    int64_t since_ms, deadline_ms;
    buf_t payload;
    bool looked;
    bool looking;               /* for metadata; else for an id */
    bool gone;                  /* the asker does not want it any more */
} park_t;

static void s_free(data_node_t *self, park_t *park)
{
    self->parked_bytes -= park->payload.len;
    buf_fini(&park->payload);
    mem_free(park);
}

static park_t *s_at(const data_node_t *self, size_t i)
{
    return *(park_t **)vec_at(&self->parked, i);
}

static park_t *s_park(data_node_t *self, net_from_t from, int64_t deadline_ms, view_t payload,
                      const event_t *ev, actions_t *act)
{
    park_t *park = mem_new(sizeof *park);
    *park = (park_t){ .from = from, .trace = act->trace,
                      .deadline_ms = deadline_ms, .since_ms = ev->now_ms };
    buf_init(&park->payload, 0);
    if (payload.len <= LIMIT_DATA_PARKED_BYTES - self->parked_bytes)
        buf_add_view(&park->payload, payload);
    self->parked_bytes += park->payload.len;
    if (park->payload.len == payload.len && buf_ok(&park->payload)) {
        vec_push(&self->parked, &park);
        return park;
    }
    act_refuse(act, from, ERR_QUEUE_FULL, "%llu bytes of writes wait at this data node: write "
               "again in a moment", (unsigned long long)self->parked_bytes);
    s_free(self, park);
    return NULL;
}

void data_park_for_id(data_node_t *self, net_from_t from, int64_t deadline_ms, view_t payload,
                      bool looked, const event_t *ev, actions_t *act)
{
    park_t *park = s_park(self, from, deadline_ms, payload, ev, act);
    if (!park)
        return;
    park->looked = looked;
    data_ids_fill(self, act);
    act_timer(act, TIMER_DATA_IDS, ID_TIMER_MS);
}

static void s_remove(data_node_t *self, park_t *park)
{
    for (size_t i = 0; i < self->parked.len; i++) {
        if (s_at(self, i) == park) {
            vec_remove(&self->parked, i);
            return;
        }
    }
}

static void s_looked(void *node, void *arg, const event_t *ev, actions_t *act)
{
    data_node_t *self = node;
    park_t *park = arg;
    s_remove(self, park);
    if (ev->err == OK)
        data_collection_ahead(self, ev->ctx, &ev->meta.item);
    if (!park->gone && (ev->err == OK || ev->err == ERR_KEY_NOT_FOUND))
        data_write_take(self, park->from, park->deadline_ms, buf_view(&park->payload), true, ev,
                        act);
    else if (!park->gone)
        act_refuse(act, park->from, ev->err, "%s", ev->text);
    s_free(self, park);
}

void data_park_for_look(data_node_t *self, net_from_t from, int64_t deadline_ms, view_t payload,
                        uint64_t collection, const event_t *ev, actions_t *act)
{
    park_t *park = s_park(self, from, deadline_ms, payload, ev, act);
    if (!park)
        return;
    park->looking = true;
    act_meta_get(act, catalog_key_collection(ev->ctx, collection),
                 wait_once(self->member.waits, act, s_looked, park));
}

/* Those that wait for ids: again, in their order; who still lacks one parks again. */
void data_park_ids_came(data_node_t *self, const event_t *ev, actions_t *act)
{
    for (size_t i = 0, n = self->parked.len; i < n; n--) {
        park_t *park = s_at(self, i);
        if (park->looking) {
            i++;
            continue;
        }
        vec_remove(&self->parked, i);
        trace_t before = act_trace(act, park->trace);
        if (!park->gone && park->deadline_ms > ev->now_ms)
            data_write_take(self, park->from, park->deadline_ms, buf_view(&park->payload),
                            park->looked, ev, act);
        act_trace(act, before);
        s_free(self, park);
    }
}

void data_park_expire(data_node_t *self, const event_t *ev, actions_t *act)
{
    for (size_t i = 0; i < self->parked.len; ) {
        park_t *park = s_at(self, i);
        if (park->looking || park->since_ms + ID_WAIT_MS > ev->now_ms) {
            i++;
            continue;
        }
        vec_remove(&self->parked, i);
        if (!park->gone)
            act_refuse(act, park->from, ERR_SERVICE_NOT_READY, "no id for a new segment: no "
                       "coordinator has answered for %d s", ID_WAIT_MS / 1000);
        s_free(self, park);
    }
}

static bool s_same(net_from_t a, net_from_t b)
{
    return a.link == b.link && a.request_id == b.request_id;
}

void data_park_cancelled(data_node_t *self, net_from_t from)
{
    for (size_t i = 0; i < self->parked.len; i++)
        s_at(self, i)->gone |= s_same(s_at(self, i)->from, from);
}

void data_park_refuse(data_node_t *self, actions_t *act)
{
    for (size_t i = 0; i < self->parked.len; i++) {
        if (!s_at(self, i)->gone)
            act_refuse(act, s_at(self, i)->from, ERR_SERVICE_NOT_READY,
                       "this data node is stopping");
        s_at(self, i)->gone = true;
    }
}

void data_park_end(data_node_t *self)
{
    for (size_t i = 0; i < self->parked.len; i++)
        s_free(self, s_at(self, i));
    vec_fini(&self->parked);
}
