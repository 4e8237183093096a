/* proxy_seat - the proxy in a process: node, door, and what ties them together */
#ifndef PROXY_PROXY_SEAT_H
#define PROXY_PROXY_SEAT_H

#include "core/node/daemon.h"

extern const seat_t proxy_seat;

#endif
