/* query_seat - what a process makes its query node with */
#ifndef QUERYNODE_QUERY_SEAT_H
#define QUERYNODE_QUERY_SEAT_H

#include "core/node/daemon.h"

extern const seat_t query_seat;

#endif
