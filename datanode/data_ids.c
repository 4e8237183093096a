/* data_ids - ids for new segments, asked for before they are needed
 *
 * The leading coordinator gives them out in blocks.  There is a block in use and a
 * spare one, so that a write waits for an id only when no coordinator answers.
 */
#include "datanode/data_path.h"

#include "core/wire/pb.h"

enum { BLOCK = 128, LOW = 64, ASK_MS = 2000, RETRY_MS = 200 };

uint64_t data_ids_left(const data_node_t *self)
{
    return self->end_id - self->next_id + self->spare_end - self->spare_id;
}

static void s_take(data_node_t *self, const Elanus__IdRange *range)
{
    if (self->next_id == self->end_id) {
        self->next_id = range->first;
        self->end_id = range->first + range->n;
    } else {
        self->spare_id = range->first;
        self->spare_end = range->first + range->n;
    }
}

static void s_came(void *node, void *arg, const event_t *ev, actions_t *act)
{
    (void)arg;
    data_node_t *self = node;
    self->ids_asked = false;
    Elanus__IdRange *range = NULL;
    err_t err = ev->err != OK ? ev->err : PB_UNPACK(ev->ctx, elanus__id_range, ev->payload, &range);
    if (err != OK || range->first == 0 || range->n == 0) {
        act_timer(act, TIMER_DATA_IDS, RETRY_MS);
        return;
    }
    s_take(self, range);
    data_park_ids_came(self, ev, act);
    data_ids_fill(self, act);
}

void data_ids_fill(data_node_t *self, actions_t *act)
{
    if (self->ids_asked || self->stopping || !self->member.leader_there ||
        data_ids_left(self) >= LOW)
        return;
    ctx_t ctx;
    ctx_init(&ctx);
    self->ids_asked = true;
    Elanus__AllocIds ask = ELANUS__ALLOC_IDS__INIT;
    ask.n = BLOCK;
    act_call(act, self->member.leader_address, ELANUS__METHOD__METHOD_ALLOC_IDS,
             pb_pack(&ctx, &ask), ASK_MS, wait_once(self->member.waits, act, s_came, NULL));
    ctx_fini(&ctx);
}

uint64_t data_id(data_node_t *self, actions_t *act)
{
    if (self->next_id == self->end_id) {
        self->next_id = self->spare_id;
        self->end_id = self->spare_end;
        self->spare_id = self->spare_end = 0;
    }
    uint64_t id = self->next_id < self->end_id ? self->next_id++ : 0;
    data_ids_fill(self, act);
    return id;
}

void data_ids_due(data_node_t *self, const event_t *ev, actions_t *act)
{
    data_ids_fill(self, act);
    data_park_expire(self, ev, act);
    if (self->parked.len > 0)
        act_timer(act, TIMER_DATA_IDS, RETRY_MS);
}
