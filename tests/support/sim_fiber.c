/* sim_fiber - see sim_fiber.h.  ucontext, with what the sanitizers want to be told. */
#include "tests/support/sim_fiber.h"

#include <sys/mman.h>
#include <ucontext.h>

#include "core/base/base.h"
#include "core/base/vec.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

enum { STACK_BYTES = 512 << 10, GUARD_BYTES = 4096 };

struct sim_fiber {
    ucontext_t inside, outside;
    uint8_t *stack;             /* behind a page that nobody may touch */
    void (*fn)(void *arg);
    void *arg;
    bool began, ended;
    void *fake_inside, *fake_outside;   /* the sanitizer's */
    const void *outer_stack;
    size_t outer_bytes;
};

static sim_fiber_t *g_here;
static vec_t g_stacks;          /* of uint8_t *: free ones */

static uint8_t *s_stack(void)
{
    if (g_stacks.len > 0) {
        uint8_t *again = *(uint8_t **)vec_at(&g_stacks, g_stacks.len - 1);
        g_stacks.len--;
        return again;
    }
    uint8_t *fresh = mmap(NULL, STACK_BYTES + GUARD_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(fresh != MAP_FAILED && mprotect(fresh, GUARD_BYTES, PROT_NONE) == 0);
    return fresh;
}

static void s_leave(sim_fiber_t *self, bool last)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(last ? NULL : &self->fake_inside, self->outer_stack,
                                   self->outer_bytes);
#endif
    (void)last;
    g_here = NULL;
    swapcontext(&self->inside, &self->outside);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(self->fake_inside, &self->outer_stack, &self->outer_bytes);
#endif
}

static void s_begin(void)
{
    sim_fiber_t *self = g_here;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(NULL, &self->outer_stack, &self->outer_bytes);
#endif
    self->fn(self->arg);
    self->ended = true;
    s_leave(self, true);
}

sim_fiber_t *sim_fiber_new(void (*fn)(void *arg), void *arg)
{
    if (!g_stacks.elem_bytes)
        vec_init(&g_stacks, sizeof(uint8_t *));
    sim_fiber_t *self = mem_new(sizeof *self);
    self->fn = fn;
    self->arg = arg;
    return self;
}

void sim_fiber_destroy(sim_fiber_t **self_p)
{
    sim_fiber_t *self = *self_p;
    if (!self)
        return;
    check(self->ended || !self->began);
    if (self->stack)
        vec_push(&g_stacks, &self->stack);
    mem_free(self);
    *self_p = NULL;
}

static void s_prepare(sim_fiber_t *self)
{
    self->began = true;
    self->stack = s_stack();
    check(getcontext(&self->inside) == 0);
    self->inside.uc_stack.ss_sp = self->stack + GUARD_BYTES;
    self->inside.uc_stack.ss_size = STACK_BYTES;
    self->inside.uc_link = NULL;
    makecontext(&self->inside, s_begin, 0);
}

bool sim_fiber_resume(sim_fiber_t *self)
{
    check(!g_here && !self->ended);
    if (!self->began)
        s_prepare(self);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&self->fake_outside, self->stack + GUARD_BYTES, STACK_BYTES);
#endif
    g_here = self;
    swapcontext(&self->outside, &self->inside);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(self->fake_outside, NULL, NULL);
#endif
    return self->ended;
}

void sim_fiber_yield(void)
{
    check(g_here != NULL);
    s_leave(g_here, false);
}

sim_fiber_t *sim_fiber_here(void)
{
    return g_here;
}
