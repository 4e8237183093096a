/* journal - the last lines this process logged, kept for those who look in
 *
 * log_event puts every line it writes here too, and nobody else does.  A ring
 * of LIMIT_JOURNAL_BYTES and at most LIMIT_JOURNAL_LINES: what is new takes the
 * place of what is oldest, so a flood of lines costs memory no more than
 * silence does.  Any thread.
 */
#ifndef CORE_BASE_JOURNAL_H
#define CORE_BASE_JOURNAL_H

#include "core/base/log.h"

typedef struct journal_line {
    uint64_t seq;               /* counts from 1 in this process */
    int64_t at_us;              /* wall clock */
    log_level_t level;
    const char *event, *text;   /* in the arena of the one who reads */
} journal_line_t;

typedef struct journal_part {
    journal_line_t *lines;      /* oldest first; in the arena */
    size_t n;
    uint64_t next;              /* to read on behind */
    uint64_t lost;              /* lines behind `after` that are gone */
} journal_part_t;

/* Keep a line; event and text are cut to LIMIT_JOURNAL_TEXT together. */
void journal_add(int64_t at_us, log_level_t level, const char *event, const char *text);

/* At most `most` lines with numbers above `after`, the oldest of them first; after 0: the newest
 * `most`.  Cost: a copy of them under a lock that every logging thread takes. */
void journal_read(ctx_t *ctx, uint64_t after, size_t most, journal_part_t *ret);

/* A number that tells this process's journal from every other's. */
uint64_t journal_process(void);

#endif
