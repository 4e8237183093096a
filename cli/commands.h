/* commands - every word that `elanus` takes, in one table
 *
 * The help, the completions of shells and the man page are made of it, so a
 * command that is not here does not exist anywhere.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/args.h"

typedef struct command_group {
    const char *about;          /* "Look at a cluster" */
    const command_t *commands;  /* ends with word NULL */
} command_group_t;

extern const command_group_t command_groups[];      /* ends with about NULL */

/* NULL: there is none. */
const command_t *command_find(const char *word);

/* Run `elanus WORD …`; argv begins behind the word.  The exit status. */
int command_run(const command_t *command, int argc, char **argv);

/* All commands by purpose. */
void command_overview(FILE *out);

#endif
