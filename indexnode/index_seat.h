/* index_seat - where the index node sits in a process */
#ifndef INDEXNODE_INDEX_SEAT_H
#define INDEXNODE_INDEX_SEAT_H

#include "core/node/daemon.h"

extern const seat_t index_seat;

#endif
