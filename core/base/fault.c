/* fault - a process-wide countdown; see fault.h */
#include "core/base/fault.h"

#include <stdatomic.h>

enum { UNARMED = -1, FIRED = -2 };

static _Atomic int s_left = UNARMED;

bool fault_hit(void)
{
    if (__builtin_expect(atomic_load_explicit(&s_left, memory_order_relaxed) < 0, 1))
        return false;
    int left = atomic_fetch_sub(&s_left, 1);
    if (left == 0)
        atomic_store(&s_left, FIRED);
    return left == 0;
}

void fault_arm(int nth)
{
    atomic_store(&s_left, nth);
}

bool fault_disarm(void)
{
    return atomic_exchange(&s_left, UNARMED) == FIRED;
}
