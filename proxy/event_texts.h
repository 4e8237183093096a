/* event_texts - what the lines of the log mean, for those who watch a cluster at work */
#ifndef PROXY_EVENT_TEXTS_H
#define PROXY_EVENT_TEXTS_H

#include "core/base/base.h"

typedef struct event_text {
    const char *event;          /* as log_event has it */
    const char *step;           /* of what it is a part: "takeover"; NULL: of nothing */
    const char *source;         /* the file that logs it */
    const char *about;          /* a sentence */
} event_text_t;

/* NULL: nothing is known of it. */
const event_text_t *event_text(const char *event);

/* The i-th, by name; NULL behind the last. */
const event_text_t *event_text_at(size_t i);

#endif
