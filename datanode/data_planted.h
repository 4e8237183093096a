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
} data_bug_t;
extern data_bug_t data_planted;
#define PLANTED(bug) (data_planted == (bug))
#else
#define PLANTED(bug) false
#endif

#endif
