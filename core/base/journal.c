/* journal - see journal.h
 *
 * Bytes lie in one ring, one line's after the other's; a line that does not fit
 * before the end begins at 0 again.  Where the lines are stands in a second
 * ring, by number.  The oldest go until there is room.
 */
#include "core/base/journal.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "core/base/limits.h"
#include "core/base/rng.h"

typedef struct place {
    int64_t at_us;
    uint32_t from;              /* in s_bytes */
    uint16_t event_len, text_len;
    uint8_t level;
} place_t;

static pthread_mutex_t s_lock = PTHREAD_MUTEX_INITIALIZER;     /* a leaf */
static uint8_t s_bytes[LIMIT_JOURNAL_BYTES];
static place_t s_places[LIMIT_JOURNAL_LINES];
static uint64_t s_first = 1, s_next = 1;        /* numbers of the lines that are kept */
static uint32_t s_end;                          /* of the newest line's bytes */

static place_t *s_place(uint64_t seq)
{
    return &s_places[seq % LIMIT_JOURNAL_LINES];
}

/* Does the oldest line lie within [from, to), or is there no number left for one more? */
static bool s_oldest_in_the_way(uint32_t from, uint32_t to)
{
    if (s_first == s_next)
        return false;
    if (s_next - s_first == LIMIT_JOURNAL_LINES)
        return true;
    const place_t *oldest = s_place(s_first);
    uint32_t end = oldest->from + oldest->event_len + oldest->text_len;
    return oldest->from < to && end > from;
}

/* Where a line of this length goes; what is there goes away. */
static uint32_t s_make_room(uint32_t len)
{
    uint32_t from = s_end;
    if (from + len > LIMIT_JOURNAL_BYTES) {
        while (s_oldest_in_the_way(from, LIMIT_JOURNAL_BYTES))
            s_first++;
        from = 0;
    }
    while (s_oldest_in_the_way(from, from + len))
        s_first++;
    return from;
}

static size_t s_at_most(const char *text, size_t most)
{
    return strnlen(text, most);
}

void journal_add(int64_t at_us, log_level_t level, const char *event, const char *text)
{
    size_t event_len = s_at_most(event, LIMIT_JOURNAL_TEXT);
    size_t text_len = s_at_most(text, LIMIT_JOURNAL_TEXT - event_len);
    pthread_mutex_lock(&s_lock);
    uint32_t from = s_make_room((uint32_t)(event_len + text_len));
    memcpy(s_bytes + from, event, event_len);
    memcpy(s_bytes + from + event_len, text, text_len);
    *s_place(s_next++) = (place_t){
        .at_us = at_us, .from = from, .event_len = (uint16_t)event_len,
        .text_len = (uint16_t)text_len, .level = (uint8_t)level,
    };
    s_end = from + (uint32_t)(event_len + text_len);
    pthread_mutex_unlock(&s_lock);
}

static char *s_copy(ctx_t *ctx, const uint8_t *bytes, size_t len)
{
    char *text = ctx_new(ctx, len + 1);
    memcpy(text, bytes, len);
    return text;
}

static journal_line_t s_line(ctx_t *ctx, uint64_t seq)
{
    const place_t *place = s_place(seq);
    const uint8_t *bytes = s_bytes + place->from;
    return (journal_line_t){
        .seq = seq, .at_us = place->at_us, .level = (log_level_t)place->level,
        .event = s_copy(ctx, bytes, place->event_len),
        .text = s_copy(ctx, bytes + place->event_len, place->text_len),
    };
}

void journal_read(ctx_t *ctx, uint64_t after, size_t most, journal_part_t *ret)
{
    *ret = (journal_part_t){0};
    if (most > LIMIT_JOURNAL_LINES)
        most = LIMIT_JOURNAL_LINES;
    ret->lines = ctx_new(ctx, (most + 1) * sizeof ret->lines[0]);
    pthread_mutex_lock(&s_lock);
    uint64_t from = after + 1;
    if (after == 0)
        from = s_next - s_first > most ? s_next - most : s_first;
    else if (from > s_next)
        from = s_first;                         /* of another life of this process */
    if (from < s_first) {
        ret->lost = s_first - from;
        from = s_first;
    }
    for (; from < s_next && ret->n < most; from++)
        ret->lines[ret->n++] = s_line(ctx, from);
    ret->next = from - 1;
    pthread_mutex_unlock(&s_lock);
}

static uint64_t s_process;
static pthread_once_t s_process_once = PTHREAD_ONCE_INIT;

static void s_make_process(void)
{
    s_process = rng_from_os() | 1;
}

uint64_t journal_process(void)
{
    pthread_once(&s_process_once, s_make_process);
    return s_process;
}
