/* elanus-querynode - holder of loaded segments, searcher */
#include "core/node/daemon.h"
#include "querynode/query_seat.h"

int main(int argc, char **argv)
{
    static const config_pair_t s_flags[] = {
        { "port", "queryNode.port" }, { "ops-port", "elanus.ops.port" },
        { "data", "elanus.data.dir" }, { NULL, NULL },
    };
    const seat_t seats[] = { query_seat, { .role = NULL } };
    const daemon_plan_t plan = {
        .name = "elanus-querynode",
        .about = "holder of loaded segments, searcher",
        .seats = seats, .config = { .flags = s_flags },
    };
    return daemon_main(&plan, argc - 1, argv + 1);
}
