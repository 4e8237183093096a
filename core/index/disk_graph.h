/* disk_graph - Vamana: a graph in which a greedy walk from one entry finds what is near
 *
 * Each node has at most `degree` links.  A new node looks for itself from the entry, and of all it
 * came by it keeps, nearest first, those that no kept one is much nearer to: x goes when some kept
 * y has ALPHA · |x - y|² <= |x - node|².  With ALPHA above 1 some long links survive, and with
 * them a walk needs few steps, which on a disk are what costs.  Then its links are made mutual; a
 * node that gets too many chooses anew among them.
 *
 * Nodes come in a random order and in batches: all of a batch search the graph as it was before,
 * then the links of all are made, in an order that depends on the batch only.  So several threads
 * build the same graph as one.  Batches grow with the graph up to a share of the whole; who is in
 * the same batch can miss a neighbour there, who finds it when coming later.
 *
 * Lists may grow past `degree` by half while the graph is built, so that choosing anew, the
 * dearest part, is rarer; at the end all are cut.
 *
 * Rejected: one lock a node and no batches, as in the paper: not deterministic, and no faster.
 *
 * Source  Subramanya et al. 2019, "DiskANN", 2.3 - 2.4 (GreedySearch, RobustPrune, Vamana);
 *         batches as in Manohar et al. 2024, "ParlayANN", 3.1
 */
#ifndef CORE_INDEX_DISK_GRAPH_H
#define CORE_INDEX_DISK_GRAPH_H

#include "core/index/index.h"

typedef struct disk_points {
    const float *at;            /* [n][cells] borrowed; the less |x - y|², the nearer */
    size_t n, cells;
} disk_points_t;

typedef struct disk_graph {
    size_t n, degree, stride;
    uint32_t entry;
    uint32_t *links;            /* owned; [n][stride]: how many, then they */
} disk_graph_t;

static inline const uint32_t *disk_graph_links(const disk_graph_t *self, size_t node)
{
    return self->links + node * self->stride;
}

/* Build the graph of n >= 1 points.
 *   list    nodes a walk keeps; more make it better and slower
 *   ret     fini is needed after failures too
 * Errors  ERR_MEMORY; ERR_CANCELED, ERR_TIMEOUT
 * Cost    memory: 6 degree bytes a point; percent goes from 10 to 90 */
err_t must_use disk_graph_build(ctx_t *ctx, disk_graph_t *ret, const disk_points_t *points,
                                size_t degree, size_t list, uint64_t seed,
                                const index_how_t *how);
void disk_graph_fini(disk_graph_t *self);

#endif
