/* index_file - the objects of an index: sections under checksums, whatever the type
 *
 * Any object, little-endian:
 *
 *     offset   size     field
 *     0        4        magic "ELIX"
 *     4        2        version, 1
 *     6        2        type (index_type_t)
 *     8        4        number of this object
 *     12       4        0
 *     16       8        length of this object
 *     24       8        seed of the build, the same in all its objects
 *     32       28       0
 *     60       4        crc32c of the bytes before
 *     64       ..       sections, each at a multiple of 64, zeros between
 *
 * Object 0 has the head as its first section, always at 64, which names all others:
 *
 *     0        1, 1     metric, cells
 *     2        2        number of sections n
 *     4        4        dim
 *     8        8        rows of the segment
 *     16       8        rows that have a vector
 *     24       8        IVF, SCANN: lists; else 0
 *     32       4        number of objects
 *     36       4        crc32c of the head without these four bytes
 *     40       32*n     sections: u32 kind, u32 object, u64 offset, u64 length, u32 crc32c with
 *                       the zeros behind it, u32 0
 *
 * Sections of an object follow one another without a gap, in the order of the table, up to its
 * end, so there is no byte that no checksum covers.  Object 0 is written last: a build that died
 * has none.
 */
#ifndef CORE_INDEX_INDEX_FILE_H
#define CORE_INDEX_INDEX_FILE_H

#include "core/base/buf.h"
#include "core/index/index.h"

enum { INDEX_HEAD_BYTES = 64, INDEX_TABLE_BYTES = 40, INDEX_ENTRY_BYTES = 32, INDEX_ALIGN = 64 };

typedef enum { SECTION_CENTROIDS = 1, SECTION_OFFSETS, SECTION_IDS, SECTION_NORMS,
               SECTION_CODES, SECTION_PARAMS, SECTION_CODEBOOK, SECTION_SCALES, SECTION_RAW,
               SECTION_LINKS, SECTION_UPPER, SECTION_TERMS, SECTION_POSTINGS,
               SECTION_BLOCKS } section_t;

/* What the head says beside the spec; spec.nlist is the size of the structure. */
typedef struct index_head {
    index_spec_t spec;
    uint64_t rows, indexed;
} index_head_t;

/* --- writing ---------------------------------------------------------------------------- */

typedef struct index_entry {
    uint32_t kind, object;
    uint64_t offset, len;
    uint32_t crc;
} index_entry_t;

typedef struct index_writer {
    index_head_t head;
    const index_sink_t *sink;
    index_entry_t *entries;     /* owned */
    view_t *bodies;             /* owned; of object 0's sections, borrowed from the caller */
    size_t n, cap;
    uint32_t objects;
    uint64_t bytes;
} index_writer_t;

/* most: sections there will be. */
void index_writer_init(index_writer_t *self, const index_head_t *head, const index_sink_t *sink,
                       size_t most);
void index_writer_fini(index_writer_t *self);

/* A section of object 0; bytes are borrowed until the end. */
void index_writer_add(index_writer_t *self, section_t kind, view_t bytes);

/* An object of one section.
 *   object  INDEX_HEAD_BYTES, which are filled in, then the section */
err_t must_use index_writer_put(ctx_t *ctx, index_writer_t *self, section_t kind, uint8_t *object,
                                size_t len);

/* Object 0, and so the end. */
err_t must_use index_writer_close(ctx_t *ctx, index_writer_t *self, index_built_t *ret);

/* --- reading ------------------------------------------------------------------------------ */

typedef struct index_reader {
    index_head_t head;
    const index_blob_t *blobs;
    index_entry_t *entries;     /* owned */
    size_t n;
} index_reader_t;

/* Verify every byte.  fini is needed after failures too.
 * Errors  ERR_CORRUPT, ERR_VERSION, ERR_MEMORY */
err_t must_use index_reader_init(ctx_t *ctx, index_reader_t *self, const index_blob_t *blobs,
                                 size_t n);
void index_reader_fini(index_reader_t *self);

/* How many sections of a kind there are, and how long section i of them is. */
size_t index_reader_count(const index_reader_t *self, section_t kind);
uint64_t index_reader_len(const index_reader_t *self, section_t kind, size_t i);

/* Section i of those of a kind, which must have `len` bytes: ERR_CORRUPT. */
err_t must_use index_reader_get(ctx_t *ctx, const index_reader_t *self, section_t kind, size_t i,
                                uint64_t len, view_t *ret);

/* The file of the object that section i of a kind is in, as index_blob_t has it. */
int index_reader_file(const index_reader_t *self, section_t kind, size_t i);

#endif
