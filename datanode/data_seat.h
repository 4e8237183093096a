/* data_seat - what a process makes its data node with */
#ifndef DATANODE_DATA_SEAT_H
#define DATANODE_DATA_SEAT_H

#include "core/node/daemon.h"

/* Standalone keeps logs below elanus.data.dir; a cluster will keep them on the object store, and
 * until then has none. */
extern const seat_t data_seat;

#endif
