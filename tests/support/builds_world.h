/* builds_world - coordinators and index nodes in the simulator, and the metadata they go by
 * (bw_…)
 *
 * Nodes 0 .. coords - 1 are coordinators, then come the index nodes, and last a client that
 * asks the leader for what a test wants.  Segments and definitions are put by hand.
 */
#ifndef TESTS_SUPPORT_BUILDS_WORLD_H
#define TESTS_SUPPORT_BUILDS_WORLD_H

#include "coord/coord_node.h"
#include "core/catalog/catalog.h"
#include "elanus.pb-c.h"
#include "tests/support/sim.h"

enum { BW_COLLECTION = 500, BW_INDEX = 700, BW_VECTOR = FIELD_FIRST + 1, BW_DIM = 4 };

typedef struct {
    uint64_t seed;
    double meta_lost;
    int coords, builders;
    const role_t *builder;
    const void *builder_options;
    coord_options_t coord;      /* read when a coordinator starts */
    void (*verify)(sim_t *sim, void *arg);
    void *verify_arg;
} builds_options_t;

typedef struct {
    builds_options_t options;
    sim_t *sim;
    store_t *store;
    ctx_t ctx;
    uint32_t method;            /* what the client asks next; 0: nothing */
    const void *ask;            /* packed with it */
    bool answered;
    err_t err;
} builds_world_t;

extern builds_world_t builds_world;

/* A world with a store, options.coord.store set to it, and nothing started. */
void bw_make(const builds_options_t *options);
void bw_start(void);            /* all nodes */
void bw_destroy(void);
int bw_builder(int i);          /* its number in the simulator */

/* Collection 500 with an id and a vector; a definition on it. */
void bw_put_collection(void);
void bw_put_index(uint64_t id, const char *type);

/* A record; its binlog of the vectors has the name of bw_binlog. */
void bw_put_segment(uint64_t id, uint64_t rows, Elanus__SegmentState state);
const char *bw_binlog(uint64_t segment);
void bw_write_binlog(uint64_t segment, uint64_t rows);  /* into the store */
void bw_delete(const char *key);

/* Metadata as it is now; NULL: no such key. */
const Elanus__Build *bw_build(uint64_t segment, uint64_t index);
size_t bw_count(Elanus__BuildState state);

/* Run until so many builds are in this state; false when that takes longer. */
bool bw_until(int64_t ms, Elanus__BuildState state, size_t n);

/* Have the client ask the leader until it answers. */
err_t bw_ask(uint32_t method, const void *message);
int bw_leader(void);            /* -1: nobody leads */

#endif
