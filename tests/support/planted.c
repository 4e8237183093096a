/* planted - the bug that a whole server has when it is built to be found broken
 *
 * `make durability PLANTED=BUG_X` compiles the data node with its planted bugs
 * and links this; in any other build there is nothing here.
 */
#ifdef PLANTED_BUG
#include "datanode/data_planted.h"

data_bug_t data_planted = PLANTED_BUG;
#endif
