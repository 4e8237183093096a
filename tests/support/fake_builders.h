/* fake_builders - index nodes that build nothing, and say what a test wants
 *
 * Each answers a question as its `manner` tells, and notes what it was asked.
 */
#ifndef TESTS_SUPPORT_FAKE_BUILDERS_H
#define TESTS_SUPPORT_FAKE_BUILDERS_H

#include "core/base/vec.h"
#include "core/node/node.h"

enum { FAKE_BUILDERS = 3 };

typedef enum { HOLDS, BUILDS, SAYS_NOT_YET, FAILS, REFUSES, NAMES_OTHERS, NAMES_NONE,
               SAYS_ANOTHER_ATTEMPT } fake_manner_t;

typedef struct { uint64_t build, attempt, segment; int node; } fake_heard_t;

typedef struct {
    fake_manner_t manner[FAKE_BUILDERS];
    err_t err;                  /* FAILS, REFUSES */
    vec_t heard;                /* of fake_heard_t: each attempt once a node */
} fake_builders_t;

extern fake_builders_t fake_builders;
extern const role_t fake_builder_role;          /* for builds_world */

void fake_builders_make(fake_manner_t manner);  /* all of them */
void fake_builders_free(void);

#endif
