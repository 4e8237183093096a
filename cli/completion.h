/* completion - `elanus completion bash|zsh`: a script that the shell reads */
#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include "cli/args.h"

int completion_main(const args_t *args);

#endif
