/* data_node - the owner of write channels
 *
 * It registers, follows the leading coordinator and answers STATUS; channels, WAL
 * and growing segments are its next rooms.
 */
#ifndef DATANODE_DATA_NODE_H
#define DATANODE_DATA_NODE_H

#include "core/node/node.h"

extern const role_t data_role;

#endif
