/* event_texts - see event_texts.h; a test holds the table against the sources */
#include "proxy/event_texts.h"

#include <stdlib.h>

/* By name. */
static const event_text_t s_texts[] = {
    { "channel_active", "active", "datanode/data_channel.c",
      "A data node owns the channel under this epoch and takes writes again." },
    { "node_joined", "join", "core/node/member.c",
      "A node has registered: its session is in the metadata, and the others will find it there." },
};

static int s_compare(const void *name, const void *row)
{
    return strcmp(name, ((const event_text_t *)row)->event);
}

const event_text_t *event_text(const char *event)
{
    return bsearch(event, s_texts, ARRAY_LEN(s_texts), sizeof s_texts[0], s_compare);
}

const event_text_t *event_text_at(size_t i)
{
    return i < ARRAY_LEN(s_texts) ? &s_texts[i] : NULL;
}
