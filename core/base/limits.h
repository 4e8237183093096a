/* limits - every bound of Elanus by name
 *
 * A queue, a message, a name or a count without a bound is a way to take the
 * process down, so each has its row here, with Milvus's value where Milvus has
 * one (2.4 defaults) and a reason where the number is ours.
 */
#ifndef CORE_BASE_LIMITS_H
#define CORE_BASE_LIMITS_H

/* What a client may ask (Milvus's values) */
#define LIMIT_REQUEST_BYTES     (64u << 20)     /* one gRPC or REST request */
#define LIMIT_RESPONSE_BYTES    (256u << 20)
#define LIMIT_NAME_BYTES        255
#define LIMIT_TOPK              16384           /* hits of one query */
#define LIMIT_ASKED_GROUP_SIZE  10              /* hits of one group, as a client may ask */
#define LIMIT_PROXY_PACES       4096            /* collections whose reads a proxy times */
#define LIMIT_HYBRID_PARTS      1024            /* searches in one hybrid search */
#define LIMIT_RESULT_BYTES      (100u << 20)    /* of one search or query: maxOutputSize */
#define LIMIT_DIM               32768           /* of a dense vector; binary: 8 times that */
#define LIMIT_DATABASES         64
#define LIMIT_COLLECTIONS       65536
#define LIMIT_PARTITIONS        1024            /* of a collection */
#define LIMIT_SHARDS            16
#define LIMIT_PLACES            32768           /* segments of a replica; at most 24 bytes each */
#define LIMIT_FIELDS            64
#define LIMIT_VECTOR_FIELDS     4
#define LIMIT_VARCHAR_BYTES     65535
#define LIMIT_ARRAY_CAPACITY    4096
#define LIMIT_JSON_BYTES        65536           /* of a JSON cell, a row's dynamic fields */
#define LIMIT_JSON_DEPTH        1000            /* brackets in brackets of one */
#define LIMIT_IDS               (1u << 26)      /* at once: one a byte of the largest request */
#define LIMIT_KEY_PARTITIONS    16              /* a partition key's, when not said */

/* Protobuf input, checked on the wire before unpacking */
#define LIMIT_PROTO_DEPTH       32
#define LIMIT_PROTO_MESSAGES    1000000         /* submessages in one message */

/* Messages between daemons */
#define LIMIT_NET_MESSAGE_BYTES (256u << 20)    /* a search result may be that big */
#define LIMIT_NET_IN_FLIGHT     4096            /* calls being answered by one endpoint */
#define LIMIT_NET_CALLS         16384           /* own calls without an answer yet */
#define LIMIT_NET_PEERS         1024
#define LIMIT_NET_DEDUP         8192            /* answers kept for repeated requests */
#define LIMIT_NET_DEDUP_BYTES   (64u << 20)
#define LIMIT_NET_HWM           4096            /* messages queued in a socket */
#define LIMIT_NET_ENVELOPE_BYTES 4096           /* the first frame of a message */
#define LIMIT_NET_TEXT_BYTES    1023            /* an error's text between nodes */
#define LIMIT_NET_CONNECTIONS   4096            /* TCP connections one endpoint accepts */

/* The door: what one stranger may take (options of door.h can lower or raise each) */
#define LIMIT_DOOR_CONNS        10000
#define LIMIT_DOOR_CONNS_PER_IP 1024
#define LIMIT_DOOR_STREAMS      128             /* open calls of one connection */
#define LIMIT_DOOR_REQUESTS     32768           /* handed over, all connections; fits the mailbox */
#define LIMIT_DOOR_HEADER_BYTES 16384           /* HPACK size of one header list */
#define LIMIT_DOOR_STREAM_WINDOW (1u << 20)
#define LIMIT_DOOR_CONN_WINDOW  (16u << 20)
#define LIMIT_DOOR_CONN_BYTES   (64u << 20)     /* messages of one connection, and a window each */
#define LIMIT_DOOR_CONTROL_FRAMES 10000         /* in ten seconds */
#define LIMIT_DOOR_RESET_BURST  1000
#define LIMIT_DOOR_RESET_RATE   33              /* a second */
#define LIMIT_DOOR_RATE_BYTES   1024            /* a second, once grace is over */
#define LIMIT_DOOR_FIRST_MS     10000           /* TLS, preface and first headers */
#define LIMIT_DOOR_GRACE_MS     10000
#define LIMIT_DOOR_STALL_MS     30000
#define LIMIT_DOOR_PING_IDLE_MS 60000           /* Milvus: 60 s, then 10 s */
#define LIMIT_DOOR_PING_WAIT_MS 10000
#define LIMIT_DOOR_REST_IDLE_MS 120000
#define LIMIT_DOOR_REST_MS      30000           /* Milvus: 30 s without Request-Timeout */
#define LIMIT_DOOR_LINGER_MS    2000
#define LIMIT_DOOR_PIPELINE_BYTES 65536         /* REST input held while a request is out */

/* Metadata */
#define LIMIT_META_KEY_BYTES    512             /* LMDB's MDB_MAXKEYSIZE is 511 + NUL */
#define LIMIT_META_VALUE_BYTES  (1u << 20)      /* etcd takes requests of 1.5 MiB */
#define LIMIT_META_TXN_OPS      120             /* etcd allows 128; ours adds a marker */
#define LIMIT_META_TXN_BYTES    (5u << 18)      /* keys and values of one txn; same 1.5 MiB */
#define LIMIT_META_LEASES       4096            /* of a local store */
#define LIMIT_META_WATCHES      256             /* of one open store */
#define LIMIT_META_WATCH_PENDING 65536          /* changes a slow watcher may lag; then RESET */
#define LIMIT_META_ANSWER_BYTES (64u << 20)     /* one answer of etcd, or line of a watch */
#define LIMIT_META_ENDPOINTS    16
#define LIMIT_META_DB_BYTES     (64ull << 30)   /* LMDB's map grows up to here */

/* Objects */
#define LIMIT_STORE_KEY_BYTES   512
#define LIMIT_STORE_KEY_PART_BYTES 255          /* a file name on every file system */
#define LIMIT_STORE_OBJECT_BYTES (1ull << 30)
#define LIMIT_STORE_LIST        10000           /* objects in one list */
#define LIMIT_STORE_ROOT_BYTES  256             /* S3 takes 1024 for root and key together */
#define LIMIT_STORE_TRIES       10              /* of a call without a deadline: about 6 s */
#define LIMIT_STORE_READS       3               /* of bytes that do not match their checksum */
#define LIMIT_STORE_FOOTERS_BYTES (8u << 20)    /* footers kept per store */
#define LIMIT_STORE_LOCAL_DIRS  65536           /* directories remembered as synced */
#define LIMIT_STORE_COPY_BYTES  (8u << 20)      /* a part of an object on its way to a file */
#define LIMIT_STORE_COPY_LEAST  (1u << 20)      /* objects below this are not worth a file */

/* Reading */
#define LIMIT_GROUP_SIZE        10000           /* hits of one group; the proxy allows fewer */
#define LIMIT_SEARCH_HITS       (1 << 24)       /* of all queries of one search, in one node */
#define LIMIT_QUERY_ROWS        (1 << 24)       /* of one query, in one node */

/* Segments */
#define LIMIT_SEGMENT_ROWS      (1u << 28) /* a row's place is a uint32, pk tables twice that */
#define LIMIT_BLOCK_ROWS        4096            /* of a growing segment */
#define LIMIT_BLOCK_BYTES       (1u << 20)      /* aim, for all fields of a fixed width together */

#define LIMIT_MERGE_SEGMENTS    30              /* of one compaction; Milvus's maxSegment */
#define LIMIT_COMPACTIONS       1024            /* manual ones a data node remembers */
#define LIMIT_STATS_BYTES       (16u << 20)     /* of segments' stats kept per channel */

#define LIMIT_BINLOG_BYTES      (256u << 20)    /* cells of one field in one object, about */
#define LIMIT_BINLOG_PAGE_BYTES (128u << 20)    /* one page: the biggest cell and some */
#define LIMIT_BINLOG_PAGES      (1u << 20)

/* Indexes */
#define LIMIT_INDEX_LISTS       65536           /* nlist and nprobe; Milvus's */
#define LIMIT_INDEX_DEGREE      2048            /* HNSW: M; DISKANN: max_degree */
#define LIMIT_INDEX_ROWS        (1u << 28)      /* of one segment, as LIMIT_SEGMENT_ROWS */
#define LIMIT_INDEX_EF          32768           /* HNSW: rows kept on the way */
#define LIMIT_INDEX_OBJECT_BYTES (512u << 20)   /* one object; a build holds one at a time */
#define LIMIT_SCALAR_BITMAPS    1000            /* values of a BITMAP; of more it keeps lists */
#define LIMIT_SCALAR_ANSWERS    32              /* bitmaps of a segment that a filter may hold */

/* The write-ahead log */
#define LIMIT_WAL_OBJECT_BYTES  (128u << 20)    /* one object: a request of 64 MiB and its frame */
#define LIMIT_WAL_PUT_BYTES     (4u << 20)      /* requests that share an object of the store */
#define LIMIT_WAL_BEHIND        3000            /* objects that a takeover should have to read */
#define LIMIT_WAL_FIELDS        256             /* columns of one entry */
#define LIMIT_WAL_NAME_BYTES    320             /* a vchannel: a pchannel's name and a suffix */
#define LIMIT_WAL_PENDING_BYTES (256u << 20)    /* appended to one channel, not yet committed */

/* Channels of a data node */
#define LIMIT_DATA_REQUESTS     65536           /* of a channel, known when they come again */
#define LIMIT_DATA_PENDING_BYTES (512u << 20)   /* of all channels, not yet committed */
#define LIMIT_DATA_PARKED_BYTES (256u << 20)    /* writes that wait for an id or for metadata */
#define LIMIT_DATA_OPENERS      64              /* who waits for one channel */
#define LIMIT_DATA_FOLLOWERS    64              /* of one vchannel */
#define LIMIT_DATA_QUESTIONS    4096            /* FRONTIERs that wait */
#define LIMIT_DATA_EARLY_BYTES  (64u << 10)     /* of a call that waits for a replay */
#define LIMIT_DATA_PAGE_BYTES   (2u << 20)      /* rows, and deletes, in one FOLLOWED to a copy */
#define LIMIT_DATA_FOLLOW_BYTES (16u << 20)     /* deletes in one answer to FOLLOW, about */

/* The query node */
#define LIMIT_QUERY_READS       3072            /* waiting and at work; below LIMIT_NET_IN_FLIGHT */
#define LIMIT_QUERY_OPENS       4               /* segments being opened: half the I/O threads */
#define LIMIT_QUERY_RUN_BYTES   (256u << 20)    /* deletes kept for a channel's segments to come */
#define LIMIT_QUERY_HELD_ASKS   4096            /* HELDs that wait: one a leader's shard */
#define LIMIT_QUERY_PLANS       64              /* parsed filters kept */
#define LIMIT_QUERY_PLAN_BYTES  4096            /* of text and parameters; longer ones are not */

/* Index builds */
#define LIMIT_BUILD_CHANGES     48              /* of one transaction, a write and a compare each */
#define LIMIT_BUILD_OBJECTS     1024            /* of one index */
#define LIMIT_BUILD_ASKERS      8               /* who waits for one build: leaders, old and new */
#define LIMIT_BUILDS_WAITING    64              /* at one index node */
#define LIMIT_BUILDS_KEPT       1024            /* answers an index node remembers */
#define LIMIT_INDEX_ORPHANS     65536           /* objects without a name, until they may go */

/* The ops port */
#define LIMIT_OPS_CONNECTIONS   64              /* one more, and the longest idle one is closed */
#define LIMIT_OPS_ROUTES        128
#define LIMIT_OPS_BODY_BYTES    (1u << 20)      /* of a request */
#define LIMIT_OPS_ANSWER_BYTES  (64u << 20)

/* What a process tells of itself and its requests */
#define LIMIT_JOURNAL_BYTES     (256u << 10)    /* of the last lines of the log */
#define LIMIT_JOURNAL_LINES     2048
#define LIMIT_JOURNAL_TEXT      1024            /* bytes of one line */
#define LIMIT_SPANS             16384           /* pieces of requests' ways; 128 bytes each */
#define LIMIT_REQUESTS_KEPT     1024            /* a proxy's last ones */
#define LIMIT_SLOW_KEPT         128             /* and of the slow ones */
#define LIMIT_PAGE_MS           1000            /* for the other nodes to answer a proxy's page */
#define LIMIT_PAGE_ITEMS        5000            /* of one page, or lines inside its items */
#define LIMIT_PAGE_KEYS         20000           /* builds that are sorted for one */

/* Metrics */
#define LIMIT_METRICS_CELLS     4096            /* label combinations of one family */
#define LIMIT_METRICS_HISTOGRAMS 256            /* the same of a histogram: 20 lines each */
#define LIMIT_METRICS_LABELS    8               /* labels of one family */

/* Configuration */
#define LIMIT_CONFIG_FILE_BYTES (1u << 20)
#define LIMIT_CONFIG_VALUE_BYTES 4096
#define LIMIT_CONFIG_DEPTH      8 /* sections in sections; our deepest key has 5 parts */

/* HTTP/1.1: REST at the proxy's door, the ops port */
#define LIMIT_H1_HEAD_BYTES     (16u << 10)     /* request line and headers; then trailers again */
#define LIMIT_H1_TARGET_BYTES   8192
#define LIMIT_H1_HEADERS        64
#define LIMIT_H1_CHUNK_LINE_BYTES 256           /* size and extensions */

/* Filter expressions */
#define LIMIT_EXPR_BYTES        (16u << 20)     /* of text: some 10^6 primary keys to delete */
#define LIMIT_EXPR_NODES        (1u << 21)      /* constants, fields and operators */
#define LIMIT_EXPR_DEPTH        1000            /* brackets in brackets */
#define LIMIT_EXPR_PATH_KEYS    64              /* of a["b"]["c"] */
#define LIMIT_EXPR_LIST_DEPTH   16              /* lists in lists */
#define LIMIT_EXPR_LISTS        1024            /* lists in one list: they are looked through */

/* Inside a process */
#define LIMIT_BITSET_BITS       0xffffffffu     /* rows of a segment fit CRoaring's uint32 */
#define LIMIT_QUEUE_ITEMS       65536           /* mailbox of a node */
#define LIMIT_POOL_JOBS         65536           /* jobs waiting in a worker pool */

#endif
