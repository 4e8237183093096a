/* elanus - the operator's command: run, look, take apart; commands.c has the table */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "core/node/daemon.h"

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    const command_t *command = command_find(strcmp(word, "--version") == 0 ? "version" : word);
    if (command)
        return command_run(command, argc - 2, argv + 2);
    if (word[0] && word[0] != '-' && strcmp(word, "help") != 0) {
        fprintf(stderr, "elanus: no command \"%s\"; elanus --help tells which there are\n", word);
        return EXIT_USAGE;
    }
    bool help = strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
    command_overview(help ? stdout : stderr);
    return help ? EXIT_SERVED : EXIT_USAGE;
}
