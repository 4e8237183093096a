/* err - every error Elanus can return, in one table
 *
 * A row is X(NAME, milvus code, legacy code, retriable, text).  The first
 * block is Milvus's own list (merr, 2.4): clients compare its codes and match
 * its texts, so neither changes.  The second block are conditions that Milvus
 * has no word for; they carry the Milvus code a client understands best.
 *
 * `retriable` means: the same request may succeed if sent again unchanged.
 * The legacy code is the 2.2 enum that old SDKs still read; it is never 0 for
 * an error, because 0 means success to them.
 */
#ifndef CORE_BASE_ERR_H
#define CORE_BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

#define ERR_TABLE(X) \
    X(SERVICE_NOT_READY,        1, 56, true,  "service not ready") \
    X(SERVICE_UNAVAILABLE,      2,  1, true,  "service unavailable") \
    X(MEMORY,                   3, 52, false, "memory limit exceeded") \
    X(QUEUE_FULL,               4,  1, true,  "too many concurrent requests, queue is full") \
    X(INTERNAL,                 5,  1, false, "service internal error") \
    X(CROSS_CLUSTER,            6,  1, false, "cross cluster routing") \
    X(DISK_FULL,                7, 54, false, "disk limit exceeded") \
    X(RATE_LIMIT,               8, 49, true,  "rate limit exceeded") \
    X(QUOTA_EXCEEDED,           9, 48, false, "quota exceeded") \
    X(UNIMPLEMENTED,           10,  1, false, "service unimplemented") \
    X(TIME_TICK_DELAY,         11, 55, false, "time tick long delay") \
    X(RESOURCE_INSUFFICIENT,   12,  1, true,  "service resource insufficient") \
    X(COLLECTION_NOT_FOUND,   100,  4, false, "collection not found") \
    X(COLLECTION_NOT_LOADED,  101,  1, false, "collection not loaded") \
    X(COLLECTION_LIMIT,       102,  1, false, "exceeded the limit number of collections") \
    X(COLLECTION_PARTLY_LOADED, 103, 1, true, "collection not fully loaded") \
    X(COLLECTION_LOADED,      104,  1, false, "collection already loaded") \
    X(COLLECTION_SCHEMA,      105,  1, false, "illegal collection schema") \
    X(COLLECTION_RECOVERING,  106,  1, true,  "collection on recovering") \
    X(CLUSTERING_KEY,         107,  1, false, "vector clustering key not allowed") \
    X(SCHEMA_MISMATCH,        109, 62, false, "collection schema mismatch") \
    X(PARTITION_NOT_FOUND,    200, 15, false, "partition not found") \
    X(PARTITION_NOT_LOADED,   201,  1, false, "partition not loaded") \
    X(PARTITION_PARTLY_LOADED, 202, 1, true,  "partition not fully loaded") \
    X(CAPACITY_EXCEEDED,      250,  1, false, "general capacity exceeded") \
    X(RESOURCE_GROUP_NOT_FOUND, 300, 1, false, "resource group not found") \
    X(RESOURCE_GROUP_EXISTS,  301,  1, false, \
      "resource group already exist, but create with different config") \
    X(RESOURCE_GROUP_LIMIT,   302,  1, false, "resource group num reach limit") \
    X(RESOURCE_GROUP_CONFIG,  303,  1, false, "resource group illegal config") \
    X(RESOURCE_GROUP_NODES,   304,  1, false, "resource group node not enough") \
    X(RESOURCE_GROUP_SERVICE, 305,  1, true,  "resource group service available") \
    X(REPLICA_NOT_FOUND,      400, 15, false, "replica not found") \
    X(REPLICA_NOT_AVAILABLE,  401, 46, false, "replica not available") \
    X(CHANNEL_NOT_FOUND,      500,  1, false, "channel not found") \
    X(CHANNEL_LACK,           501, 15, false, "channel lacks") \
    X(CHANNEL_REDUPLICATE,    502,  1, false, "channel reduplicates") \
    X(CHANNEL_NOT_AVAILABLE,  503, 46, false, "channel not available") \
    X(CHANNEL_CP_LAG,         504,  1, false, "channel checkpoint exceed max lag") \
    X(SEGMENT_NOT_FOUND,      600, 47, false, "segment not found") \
    X(SEGMENT_NOT_LOADED,     601,  1, false, "segment not loaded") \
    X(SEGMENT_LACK,           602,  1, false, "segment lacks") \
    X(SEGMENT_REDUPLICATE,    603,  1, false, "segment reduplicates") \
    X(SEGMENT_LOAD_FAILED,    604,  1, false, "segment load failed") \
    X(INDEX_NOT_FOUND,        700, 25, false, "index not found") \
    X(INDEX_TYPE,             701,  1, false, "index type not supported") \
    X(INDEX_DUPLICATE,        702,  1, false, "index duplicates") \
    X(DATABASE_NOT_FOUND,     800,  1, false, "database not found") \
    X(DATABASE_LIMIT,         801,  1, false, "exceeded the limit number of database") \
    X(DATABASE_NAME,          802,  1, false, "invalid database name") \
    X(NODE_NOT_FOUND,         901,  1, false, "node not found") \
    X(NODE_OFFLINE,           902,  1, false, "node offline") \
    X(NODE_LACK,              903,  1, false, "node lacks") \
    X(NODE_NOT_MATCH,         904, 50, false, "node not match") \
    X(NODE_NOT_AVAILABLE,     905, 46, false, "node not available") \
    X(NODE_STATE,             906,  1, false, "node state unexpected") \
    X(KEY_NOT_FOUND,         1000,  1, false, "key not found") \
    X(IO_FAILED,             1001,  1, false, "IO failed") \
    X(UNEXPECTED_EOF,        1002,  1, true,  "unexpected EOF") \
    X(PARAM_INVALID,         1100,  5, false, "invalid parameter") \
    X(PARAM_MISSING,         1101,  1, false, "missing parameter") \
    X(PARAM_TOO_LARGE,       1102,  1, false, "parameter too large") \
    X(METRIC_NOT_FOUND,      1200,  1, false, "metric not found") \
    X(TOPIC_NOT_FOUND,       1300,  1, false, "topic not found") \
    X(TOPIC_NOT_EMPTY,       1301,  1, false, "topic not empty") \
    X(MQ_INTERNAL,           1302,  1, false, "message queue internal error") \
    X(MQ_DENIED,             1303,  1, false, "deny to write the message to mq") \
    X(CONSUMER_LIMIT,        1304,  1, false, "consumer number limit exceeded") \
    X(NOT_AUTHENTICATED,     1400,  1, false, "not authenticated") \
    X(PRIVILEGE_NOT_PERMITTED, 1401, 1, false, "privilege not permitted") \
    X(PRIVILEGE_GROUP_NAME,  1402,  1, false, "invalid privilege group name") \
    X(ALIAS_NOT_FOUND,       1600,  1, false, "alias not found") \
    X(ALIAS_CONFLICT,        1601,  1, false, "alias and collection name conflict") \
    X(ALIAS_EXISTS,          1602,  1, false, "alias already exist") \
    X(ALIAS_COLLECTION,      1603,  1, false, "collection id of alias not found") \
    X(FIELD_NOT_FOUND,       1700,  1, false, "field not found") \
    X(FIELD_NAME,            1701,  1, false, "field name invalid") \
    X(REST_AUTH,             1800,  1, false, "user hasn't authenticated") \
    X(REST_JSON,             1801,  1, false, "can only accept json format request") \
    X(REST_MISSING,          1802,  1, false, "missing required parameters") \
    X(REST_SCHEMA,           1803,  1, false, "fail to marshal collection schema") \
    X(REST_INSERT,           1804,  1, false, "fail to deal the insert data") \
    X(REST_RESULT,           1805,  1, false, "fail to parse search result") \
    X(REST_PRIMARY_KEY,      1806,  1, false, \
      "please check the primary key and its' type can only in [int, string]") \
    X(REST_LIMITER,          1807,  1, true,  "request is rejected by limiter") \
    X(REPLICATE_DENIED,      1900,  1, false, \
      "deny to use the replicate message in the normal instance") \
    X(SEGCORE,               2000,  1, false, "segcore error") \
    X(SEGCORE_UNSUPPORTED,   2001,  1, false, "segcore unsupported error") \
    X(IMPORT_FAILED,         2100,  1, false, "importing data failed") \
    X(REQUERY_INCONSISTENT,  2200,  1, true,  "inconsistent requery result") \
    X(OPERATION_UNSUPPORTED, 3000,  1, false, "unsupported operation") \
    X(CANCELED,             10000,  1, false, "context canceled") \
    X(TIMEOUT,              10001,  1, false, "context deadline exceeded") \
    X(UNEXPECTED,           65535,  1, false, "unexpected error") \
    /* Elanus's own conditions */ \
    X(NETWORK,                  2,  1, true,  "peer cannot be reached") \
    X(MOVED,                  503, 46, true,  "the channel has another owner") \
    X(CONFLICT,                 5,  1, true,  "metadata changed meanwhile") \
    X(FENCED,                 906,  1, false, "this node no longer owns what it wrote to") \
    X(OUTCOME_UNKNOWN,          2,  1, true,  "outcome unknown") \
    X(STORE,                 1001,  1, true,  "object store failed") \
    X(META,                     2,  1, true,  "metadata store failed") \
    X(CORRUPT,               1001,  1, false, "stored data is damaged") \
    X(DISK,                  1001,  1, false, "local disk failed") \
    X(EXISTS,                   5,  1, false, "already exists") \
    X(LOCKED,                   5,  1, false, "held by another process") \
    X(CONFIG,                1100,  5, false, "bad configuration") \
    X(DENIED,                1400,  1, false, "access denied") \
    X(VERSION,                904, 50, false, "incompatible version") \
    X(MALFORMED,             1100,  5, false, "malformed message")

typedef enum err {
    OK = 0,
#define X(name, code, legacy, retriable, text) ERR_##name,
    ERR_TABLE(X)
#undef X
    ERR_COUNT_
} err_t;

/* The enum's name without ERR_, e.g. "QUEUE_FULL"; "OK" for OK. */
const char *err_name(err_t err);

/* The default text; "" for OK. */
const char *err_text(err_t err);

/* Milvus's code (merr) and the 2.2 legacy code; both 0 only for OK. */
int32_t err_code(err_t err);
int32_t err_legacy(err_t err);

bool err_retriable(err_t err);

/* An err_t that came off a wire; ERR_UNEXPECTED for a number we do not know. */
err_t err_from_wire(int32_t number);

#endif
