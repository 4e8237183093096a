/* elanus-coord - one leads, the others stand by: who does what in a cluster */
#include "core/node/daemon.h"
#include "coord/coord_seat.h"

int main(int argc, char **argv)
{
    static const config_pair_t s_flags[] = {
        { "port", "rootCoord.port" }, { "ops-port", "elanus.ops.port" },
        { "data", "elanus.data.dir" }, { NULL, NULL },
    };
    const seat_t seats[] = { coord_seat, { .role = NULL } };
    const daemon_plan_t plan = {
        .name = "elanus-coord",
        .about = "one leads, the others stand by: who does what in a cluster",
        .seats = seats, .config = { .flags = s_flags },
    };
    return daemon_main(&plan, argc - 1, argv + 1);
}
