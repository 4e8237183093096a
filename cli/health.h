/* health - `elanus health`: does the daemon behind an ops port say that it is well? */
#ifndef CLI_HEALTH_H
#define CLI_HEALTH_H

#include "cli/args.h"

/* `elanus health [HOST:PORT]`; 127.0.0.1:9091 unless told otherwise.  Prints what /healthz
 * answers.  Exit status: 0 it is healthy, 1 it is not, 3 it cannot be reached. */
int health_main(const args_t *args);

#endif
