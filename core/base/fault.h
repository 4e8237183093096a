/* fault - make the n-th fallible call of a test fail
 *
 * Library code asks fault_hit() where a call can fail for reasons outside the
 * program (memory, disk, network).  Unarmed, that is one relaxed load.  A
 * test runs the same code with n = 0, 1, 2 … until a run gets through with
 * no fault fired: then every error path has been walked (SQLite's method).
 *
 *     for (int nth = 0; ; nth++) {
 *         fault_arm(nth);
 *         err_t err = thing_load(…);
 *         if (!fault_disarm()) { assert(err == OK); break; }
 *         assert(err != OK);
 *     }
 */
#ifndef CORE_BASE_FAULT_H
#define CORE_BASE_FAULT_H

#include <stdbool.h>

/* True exactly once after fault_arm(n): on the n-th ask, counting from 0. */
bool fault_hit(void);

/* Any thread's asks count; use it in single-threaded tests. */
void fault_arm(int nth);

/* Disarm; true when the fault had fired. */
bool fault_disarm(void);

#endif
