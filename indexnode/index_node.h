/* index_node - builder of indexes
 *
 * It registers, follows the leading coordinator and answers STATUS; build tasks
 * are its next room.
 */
#ifndef INDEXNODE_INDEX_NODE_H
#define INDEXNODE_INDEX_NODE_H

#include "core/node/node.h"

extern const role_t index_role;

#endif
