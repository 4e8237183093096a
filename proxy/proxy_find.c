/* proxy_find - the primary keys of the rows that a filter takes; see proxy_int.h */
#include "proxy/proxy_int.h"

void proxy_find_pks(proxy_node_t *self, proxy_call_t *call, const event_t *ev, actions_t *act,
                    const proxy_find_t *find, proxy_found_fn *then, void *arg)
{
    (void)find;
    err_t err = ctx_fail(call->ctx, ERR_UNIMPLEMENTED, "deletes by other expressions than primary "
                         "keys are not implemented yet");
    then(self, call, ev, act, arg, err, NULL);
}
