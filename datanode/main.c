/* elanus-datanode - owner of write channels */
#include "core/node/daemon.h"
#include "datanode/data_seat.h"

int main(int argc, char **argv)
{
    static const config_pair_t s_flags[] = {
        { "port", "dataNode.port" }, { "ops-port", "elanus.ops.port" },
        { "data", "elanus.data.dir" }, { NULL, NULL },
    };
    const seat_t seats[] = { data_seat, { .role = NULL } };
    const daemon_plan_t plan = {
        .name = "elanus-datanode",
        .about = "owner of write channels",
        .seats = seats, .config = { .flags = s_flags },
    };
    return daemon_main(&plan, argc - 1, argv + 1);
}
