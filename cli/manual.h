/* manual - `elanus manual`: the man page, of which docs/man/elanus.1 is a copy */
#ifndef CLI_MANUAL_H
#define CLI_MANUAL_H

#include "cli/args.h"

int manual_main(const args_t *args);

#endif
