/* data_planted - bugs that a test plants in the data node to see that it finds them
 *
 * Only a test that compiles these files itself, with DATA_PLANTED, has them.
 */
#ifndef DATANODE_DATA_PLANTED_H
#define DATANODE_DATA_PLANTED_H

#ifdef DATA_PLANTED
typedef enum {
    BUG_NONE,
    BUG_ACK_BEFORE_SYNC,        /* a write is answered when it was appended */
    BUG_DOUBLE_APPLY,           /* a replay applies rows twice */
    BUG_KNOWN_SEGMENTS,         /* and those of segments that were flushed */
    BUG_FORGET_REQUESTS,        /* a request that comes again is done again */
    BUG_DELETE_LOST,            /* deletes count as flushed and are not written */
    BUG_DELETE_LATE,            /* those that come during a flush are taken as being in it */
    BUG_CKPT_BEFORE_DATA,       /* the checkpoint does not wait for rows */
    BUG_MERGE_DROPS_NEWEST,     /* a merge leaves its newest input out */
    BUG_MERGE_FORGETS,          /* it is taken to know every delete of its time */
    BUG_NO_FENCE,               /* what is stored is taken for committed */
    BUG_NO_SEAL,                /* a takeover writes no seals */
    BUG_EARLY_FENCE,            /* a fence question commits what was stored after it was asked */
    BUG_EARLY_SURVEY,           /* a takeover looks at the log before it has the channel */
    BUG_OLD_FRONTIER,           /* FRONTIER does not ask whether the channel is still its own */
    BUG_EARLY_SHOW,             /* rows are shown before they are stored */
    BUG_NO_GUARD,               /* checkpoints and segments are named by whoever wants to */
} data_bug_t;
extern data_bug_t data_planted;
#define PLANTED(bug) (data_planted == (bug))
#else
#define PLANTED(bug) false
#endif

#endif
