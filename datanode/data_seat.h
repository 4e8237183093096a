/* data_seat - what a process makes its data node with */
#ifndef DATANODE_DATA_SEAT_H
#define DATANODE_DATA_SEAT_H

#include "core/node/daemon.h"

/* Standalone keeps logs below elanus.data.dir, a cluster on the object store. */
extern const seat_t data_seat;

#endif
