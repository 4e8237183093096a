/* sim_planted - see sim_planted.h; nothing in any other build */
#ifdef DATA_PLANTED
#define WAL_PLANTED
#include "core/wal/wal_objects.c"
#undef PLANTED

#include "datanode/data_planted.h"
#include "querynode/query_planted.h"
#include "tests/support/sim_planted.h"

data_bug_t data_planted;
query_bug_t query_planted;

/* The WAL model's six, then what else is to be found, then the rest of what there is. */
static const sim_bug_t s_bugs[] = {
    { .name = "acknowledged without a fence check", .data = BUG_NO_FENCE },
    { .name = "fence check before the put", .data = BUG_EARLY_FENCE },
    { .name = "list before the claim", .data = BUG_EARLY_SURVEY },
    { .name = "takeover without a seal", .data = BUG_NO_SEAL },
    { .name = "acknowledged across a gap", .wal = OBJECTS_BUG_GAP },
    { .name = "frontier without a fence check", .data = BUG_OLD_FRONTIER },
    { .name = "shown before it is stored", .data = BUG_EARLY_SHOW },
    { .name = "a repeated request is done again", .data = BUG_FORGET_REQUESTS },
    { .name = "a delete is lost in a handoff", .query = QUERY_BUG_HANDOFF },
    { .name = "an unguarded checkpoint", .data = BUG_NO_GUARD },
    { .name = "acknowledged before the put", .data = BUG_ACK_BEFORE_SYNC },
    { .name = "rows applied twice in a replay", .data = BUG_DOUBLE_APPLY },
    { .name = "flushed segments replayed", .data = BUG_KNOWN_SEGMENTS },
    { .name = "deletes not written", .data = BUG_DELETE_LOST },
    { .name = "deletes during a flush lost", .data = BUG_DELETE_LATE },
    { .name = "checkpoint before its rows", .data = BUG_CKPT_BEFORE_DATA },
    { .name = "a merge drops its newest input", .data = BUG_MERGE_DROPS_NEWEST },
    { .name = "a merge forgets deletes", .data = BUG_MERGE_FORGETS },
};

size_t sim_bugs(void)
{
    return ARRAY_LEN(s_bugs);
}

const sim_bug_t *sim_bug(size_t i)
{
    return &s_bugs[i];
}

void sim_plant(const sim_bug_t *bug)
{
    data_planted = bug ? (data_bug_t)bug->data : BUG_NONE;
    query_planted = bug ? (query_bug_t)bug->query : QUERY_BUG_NONE;
    objects_planted = bug ? bug->wal : OBJECTS_BUG_NONE;
}
#endif
