/* standalone - every role in one process, on embedded stores */
#ifndef CLI_STANDALONE_H
#define CLI_STANDALONE_H

/* `elanus standalone …`: runs until SIGTERM; argv without the command word. */
int standalone_main(int argc, char **argv);

#endif
