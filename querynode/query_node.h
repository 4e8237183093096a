/* query_node - holder of loaded segments, searcher
 *
 * It registers, follows the leading coordinator and answers STATUS; segments and
 * searches are its next rooms.
 */
#ifndef QUERYNODE_QUERY_NODE_H
#define QUERYNODE_QUERY_NODE_H

#include "core/node/node.h"

extern const role_t query_role;

#endif
