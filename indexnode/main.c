/* elanus-indexnode - builder of indexes */
#include "core/node/daemon.h"
#include "indexnode/index_seat.h"

int main(int argc, char **argv)
{
    static const config_pair_t s_flags[] = {
        { "port", "indexNode.port" }, { "ops-port", "elanus.ops.port" },
        { "data", "elanus.data.dir" }, { NULL, NULL },
    };
    const seat_t seats[] = { index_seat, { .role = NULL } };
    const daemon_plan_t plan = {
        .name = "elanus-indexnode",
        .about = "builder of indexes",
        .seats = seats, .config = { .flags = s_flags },
    };
    return daemon_main(&plan, argc - 1, argv + 1);
}
