/* apart - `elanus meta`, `wal`, `segment`, `index`: what is stored, printed for people */
#ifndef CLI_APART_H
#define CLI_APART_H

#include "cli/args.h"

int apart_meta(const args_t *args);
int apart_wal(const args_t *args);
int apart_segment(const args_t *args);
int apart_index(const args_t *args);

extern const flag_t apart_flags[];      /* --most */
extern const flag_t apart_wal_flags[];  /* --most, --entries */

#endif
