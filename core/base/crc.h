/* crc - CRC32C (Castagnoli), the checksum of everything Elanus stores
 *
 * SSE4.2's instruction where the CPU has it, three streams interleaved so
 * that its latency is hidden; slicing-by-8 tables elsewhere.  Both give the
 * same numbers (RFC 3720 B.4 vectors are the test).
 */
#ifndef CORE_BASE_CRC_H
#define CORE_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *ptr, size_t len);

/* Go on from the crc of the bytes before; crc32c_add(0, p, n) == crc32c(p, n). */
uint32_t crc32c_add(uint32_t crc, const void *ptr, size_t len);

/* The table version, whatever the CPU: for tests and benchmarks. */
uint32_t crc32c_add_portable(uint32_t crc, const void *ptr, size_t len);

#endif
