/* args - what somebody typed behind `elanus COMMAND`, against what the command takes
 *
 * A command is a row of the table in commands.c: its flags, words and examples are
 * data, so that --help, the completion of shells and the man page say what the
 * parser takes.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdio.h>

#include "core/base/base.h"

typedef struct flag {
    const char *name;           /* "--ops"; a list ends with NULL */
    const char *value;          /* "HOST:PORT"; NULL: takes none; "[SECONDS]": may be left out */
    const char *about;
} flag_t;

typedef struct args args_t;

typedef struct command {
    const char *word;           /* "nodes" */
    const char *about;          /* one line */
    const char *words;          /* "[PREFIX]": what is no flag; NULL: nothing */
    const flag_t *flags[3];     /* lists of flags */
    const char *more;           /* paragraphs for --help; NULL: none */
    const char *examples;       /* lines, each with its end */
    bool config;                /* takes configuration keys as flags, and --config */
    int (*run)(const args_t *args);
    int (*run_raw)(int argc, char **argv);      /* instead: reads its flags itself */
} command_t;

enum { ARGS_FLAGS = 32, ARGS_WORDS = 4, ARGS_CONFIG = 64 };

struct args {
    const command_t *command;
    const flag_t *flags[ARGS_FLAGS];
    const char *values[ARGS_FLAGS];     /* of the flag with the same place; "" without a value */
    size_t n_flags;
    const char *words[ARGS_WORDS];
    size_t n_words;
    char *config[ARGS_CONFIG];          /* flags for config_load */
    int n_config;
};

/* Read the flags of a command.  Everything in ret is borrowed from argv.
 * Errors  ERR_PARAM_INVALID  the text names the word and says what would be right */
err_t must_use args_parse(ctx_t *ctx, const command_t *command, int argc, char **argv,
                          args_t *ret);

/* The value of a flag; "" when it was given without one; NULL when it was not given. */
const char *args_get(const args_t *self, const char *name);

/* The same as a number from 0 to most; *ret stays when it was not given.  ERR_PARAM_INVALID */
err_t must_use args_number(ctx_t *ctx, const args_t *self, const char *name, uint64_t most,
                           uint64_t *ret);

/* The flag of this name; NULL: the command has none. */
const flag_t *args_flag(const command_t *command, const char *name);

/* Print usage, flags and examples. */
void args_help(const command_t *command, FILE *out);

#endif
