/* elanus-proxy - the clients' door of a cluster */
#include "proxy/proxy_seat.h"

int main(int argc, char **argv)
{
    static const config_pair_t s_flags[] = {
        { "port", "proxy.port" }, { "ops-port", "elanus.ops.port" }, { "data", "elanus.data.dir" },
        { NULL, NULL },
    };
    const seat_t seats[] = { proxy_seat, { .role = NULL } };
    const daemon_plan_t plan = {
        .name = "elanus-proxy", .about = "the door: Milvus gRPC and REST for clients",
        .seats = seats, .config = { .flags = s_flags },
    };
    return daemon_main(&plan, argc - 1, argv + 1);
}
