/* coord_seat - how a process seats the coordinator: what of the configuration it gets */
#ifndef COORD_COORD_SEAT_H
#define COORD_COORD_SEAT_H

#include "core/node/daemon.h"

extern const seat_t coord_seat;

#endif
