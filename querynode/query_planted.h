/* query_planted - bugs that a test plants in the query node to see that it finds them
 *
 * Only a test that compiles these files itself, with DATA_PLANTED, has them.
 */
#ifndef QUERYNODE_QUERY_PLANTED_H
#define QUERYNODE_QUERY_PLANTED_H

#ifdef DATA_PLANTED
typedef enum {
    QUERY_BUG_NONE,
    QUERY_BUG_HANDOFF,          /* a segment misses deletes that came before it was in view */
} query_bug_t;
extern query_bug_t query_planted;
#define QUERY_PLANTED(bug) (query_planted == (bug))
#else
#define QUERY_PLANTED(bug) false
#endif

#endif
