/* standalone - the nodes of a cluster as threads of one process
 *
 * The same step functions and the same hosts as the daemons, joined by inproc
 * sockets; metadata in LMDB and objects in files below one directory, which
 * belongs to this process alone.  It listens on loopback unless told otherwise.
 */
#include "cli/standalone.h"

#include "coord/coord_seat.h"
#include "core/node/daemon.h"
#include "datanode/data_seat.h"
#include "indexnode/index_seat.h"
#include "proxy/proxy_seat.h"
#include "querynode/query_seat.h"

int standalone_main(int argc, char **argv)
{
    static const config_pair_t s_flags[] = {
        { "data", "elanus.data.dir" }, { "port", "proxy.port" }, { "ops-port", "elanus.ops.port" },
        { NULL, NULL },
    };
    static const config_pair_t s_defaults[] = {
        { "metastore.type", "lmdb" }, { "common.storageType", "local" },
        { "elanus.data.dir", "elanus-data" }, { "elanus.ops.address", "127.0.0.1" },
        { "elanus.proxy.address", "127.0.0.1" }, { NULL, NULL },
    };
    const seat_t seats[] = {
        coord_seat, data_seat, query_seat, index_seat, proxy_seat, { .role = NULL },
    };
    const daemon_plan_t plan = {
        .name = "elanus", .about = "the whole vector database in one process", .seats = seats,
        .config = { .flags = s_flags, .defaults = s_defaults }, .standalone = true,
    };
    return daemon_main(&plan, argc, argv);
}
