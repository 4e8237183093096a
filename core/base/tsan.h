/* tsan - hand-overs the thread sanitizer cannot see
 *
 * A library that was not built for it (libzmq) hands memory from one thread to
 * another by means the sanitizer does not know, so it takes what both do to it for
 * a race.  Say tsan_release before giving the memory away and tsan_acquire after
 * getting it; in other builds both are nothing.
 */
#ifndef CORE_BASE_TSAN_H
#define CORE_BASE_TSAN_H

#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *at);
void __tsan_release(void *at);
static inline void tsan_acquire(void *at) { __tsan_acquire(at); }
static inline void tsan_release(void *at) { __tsan_release(at); }
#else
static inline void tsan_acquire(void *at) { (void)at; }
static inline void tsan_release(void *at) { (void)at; }
#endif

#endif
