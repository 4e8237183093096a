/* config_keys - every key, once: its kind, default, bounds and meaning
 *
 * Names, units and defaults are Milvus 2.4's where Milvus has the key; that
 * some count seconds and others MiB is inherited.  A comment says where ours
 * differ.  Keys of one section stand together, because config_print writes them
 * out in this order.  A new key is one row here, nothing else.
 */
#include "core/base/config_int.h"

#define TEXT(name, def, meaning)            { name, CONFIG_TEXT, def, 0, 0, NULL, NULL, meaning }
#define ONE_OF(name, def, allowed, meaning) { name, CONFIG_TEXT, def, 0, 0, allowed, NULL, meaning }
#define SECRET(name, def, meaning)          { name, CONFIG_SECRET, def, 0, 0, NULL, NULL, meaning }
#define LIST(name, def, meaning)            { name, CONFIG_LIST, def, 0, 0, NULL, NULL, meaning }
#define BOOL(name, def, meaning)            { name, CONFIG_BOOL, def, 0, 0, NULL, NULL, meaning }
#define INT(name, def, lo, hi, meaning)     { name, CONFIG_INT, def, lo, hi, NULL, NULL, meaning }
#define REAL(name, def, lo, hi, meaning)    { name, CONFIG_REAL, def, lo, hi, NULL, NULL, meaning }
#define MS(name, def, lo, hi, meaning)      { name, CONFIG_MS, def, lo, hi, NULL, NULL, meaning }
#define SECONDS(name, def, lo, hi, meaning) \
    { name, CONFIG_SECONDS, def, lo, hi, NULL, NULL, meaning }
#define BYTES(name, def, lo, hi, meaning)   { name, CONFIG_BYTES, def, lo, hi, NULL, NULL, meaning }
#define MB(name, def, lo, hi, meaning)      { name, CONFIG_MB, def, lo, hi, NULL, NULL, meaning }

#define PORT(name, def, meaning)            INT(name, def, 0, 65535, meaning)
#define RATE(name, meaning)                 REAL(name, "-1", -1, 1e12, meaning "; -1: no limit")
#define SHARE(name, def, meaning)           REAL(name, def, 0, 1, meaning)

#define S    1e3                            /* in ms */
#define DAY  86400e3
#define YEAR (366 * DAY)
#define K    1024.0
#define M    (1024 * K)
#define G    (1024 * M)
#define T    (1024 * G)

const config_key_t config_keys[] = {
    /* --- where the metadata is --- */
    LIST("etcd.endpoints", "localhost:2379", "etcd's client addresses, HOST:PORT each"),
    TEXT("etcd.rootPath", "elanus",         /* Milvus: by-dev */
         "every key lives below this; clusters that share an etcd need different ones"),
    MS("etcd.requestTimeout", "10000", 100, 600 * S, "longest wait for one answer of etcd"),
    BOOL("etcd.auth.enabled", "false", "log in to etcd"),
    TEXT("etcd.auth.userName", "", "etcd user"),
    SECRET("etcd.auth.password", "", "etcd password"),
    BOOL("etcd.ssl.enabled", "false", "talk TLS to etcd"),
    TEXT("etcd.ssl.tlsCert", "", "PEM file with our certificate, where etcd asks for one"),
    TEXT("etcd.ssl.tlsKey", "", "PEM file with our certificate's key"),
    TEXT("etcd.ssl.tlsCACert", "", "PEM file with the CA that signed etcd's certificate; "
         "empty: the system's"),
    ONE_OF("metastore.type", "etcd", "etcd|lmdb|memory",
           "etcd for a cluster; standalone takes lmdb, a file below elanus.data.dir"),

    /* --- where the objects are --- */
    TEXT("minio.address", "localhost", "S3 server; HOST:PORT sets minio.port too"),
    PORT("minio.port", "9000", "its port"),
    TEXT("minio.accessKeyID", "minioadmin", "S3 access key"),
    SECRET("minio.secretAccessKey", "minioadmin", "S3 secret key"),
    BOOL("minio.useSSL", "false", "talk TLS to S3"),
    TEXT("minio.ssl.tlsCACert", "", "PEM file with the CA that signed S3's certificate; "
         "empty: the system's"),
    TEXT("minio.bucketName", "a-bucket", "bucket that holds everything; made when missing"),
    TEXT("minio.rootPath", "files", "prefix of every object's key"),
    TEXT("minio.region", "", "S3 region, for servers that sign with one"),
    BOOL("minio.useVirtualHost", "false", "BUCKET.HOST instead of HOST/BUCKET"),
    MS("minio.requestTimeoutMs", "10000", 100, 600 * S, "longest wait for one answer of S3"),
    TEXT("localStorage.path", "",
         "directory for local copies of what is in S3; empty: local, below elanus.data.dir"),

    /* --- the door --- */
    TEXT("proxy.ip", "", "address other nodes reach this proxy at; empty: found out"),
    PORT("proxy.port", "19530", "gRPC and REST for clients"),
    BOOL("proxy.http.enabled", "true", "answer REST"),
    PORT("proxy.http.port", "0", "a port for REST alone; 0: share proxy.port"),
    BOOL("proxy.http.acceptTypeAllowInt64", "true",
         "REST writes int64 as JSON numbers unless a request says otherwise; false: as strings"),
    BYTES("proxy.grpc.serverMaxRecvSize", "67108864", 1 * M, 2 * G, "largest request"),
    BYTES("proxy.grpc.serverMaxSendSize", "268435456", 1 * M, 2 * G, "largest answer"),
    INT("proxy.maxTaskNum", "1024", 1, 65536, "requests of one kind that may wait"),
    INT("proxy.maxNameLength", "255", 1, 255, "bytes in the name of a collection or alias"),
    INT("proxy.maxFieldNum", "64", 1, 256, "fields in a collection"),
    INT("proxy.maxVectorFieldNum", "4", 1, 10, "vector fields in a collection"),
    INT("proxy.maxShardNum", "16", 1, 256, "shards of a collection"),
    INT("proxy.maxDimension", "32768", 1, 262144, "dimension of a vector"),
    INT("proxy.maxUserNum", "100", 1, 65536, "users"),
    INT("proxy.maxRoleNum", "10", 1, 65536, "roles, built-in ones included"),
    SECONDS("proxy.slowQuerySpanInSeconds", "5", 0, DAY, "requests longer than this are logged"),
    SECONDS("proxy.gracefulStopTimeout", "30", 0, DAY, "longest wait for open requests at stop"),
    TEXT("tls.serverPemPath", "", "PEM file with the door's certificate chain"),
    TEXT("tls.serverKeyPath", "", "PEM file with its key"),
    TEXT("tls.caPemPath", "", "PEM file with the CA that signs clients (tlsMode 2)"),

    /* --- what all nodes agree on --- */
    ONE_OF("common.storageType", "remote", "remote|minio|local|memory",
           "remote or minio: S3 at minio.address; standalone takes local, below elanus.data.dir"),
    TEXT("common.defaultPartitionName", "_default", "partition of rows that name none"),
    TEXT("common.defaultIndexName", "_default_idx", "index name where a client gives none"),
    MS("common.gracefulTime", "5000", 0, DAY, "how old Bounded reads may be"),
    SECONDS("common.entityExpiration", "-1", -1 * S, 100 * YEAR,
            "age at which rows expire; -1: never"),
    SECONDS("common.retentionDuration", "300", 0, YEAR,             /* Milvus: 0 */
            "compactions of its own keep rows deleted this recently: iterators read them"),
    SECONDS("common.session.ttl", "10", 1 * S, 600 * S,     /* Milvus: 30 */
            "a node that is silent this long is taken off the list"),
    ONE_OF("common.simdType", "auto", "auto|avx512|avx2|scalar",
           "vector instructions; auto: the best this processor has"),
    ONE_OF("common.security.tlsMode", "0", "0|1|2",
           "0: plain; 1: TLS, the server shows a certificate; 2: the client too"),
    BOOL("common.security.authorizationEnabled", "false", "users must log in"),
    SECRET("common.security.defaultRootPassword", "Milvus", "root's password in a new cluster"),
    LIST("common.security.superUsers", "", "users who may change passwords without the old one"),
    BOOL("common.security.rootShouldBindRole", "false", "root has only the privileges granted"),
    BOOL("common.security.enablePublicPrivilege", "true", "everyone has the role public"),

    /* --- coord --- */
    TEXT("rootCoord.ip", "", "address other nodes reach this coord at; empty: found out"),
    PORT("rootCoord.port", "53100", "coord's port for other nodes"),
    /* Milvus has 16.  Here each is a log of its own: a preallocated file, and a sync for each
     * group of commits; few channels make larger groups and still keep every core busy. */
    INT("rootCoord.dmlChannelNum", "4", 1, 1024, "write channels that collections share"),
    INT("rootCoord.maxDatabaseNum", "64", 1, 65536, "databases"),
    INT("rootCoord.maxPartitionNum", "1024", 1, 65536, "partitions of a collection"),
    INT("rootCoord.maxGeneralCapacity", "65536", 1, 1e9,
        "sum of shards x partitions over all collections"),
    MB("dataCoord.segment.maxSize", "1024", 1 * M, 64 * G, "a segment seals near this size"),
    SHARE("dataCoord.segment.sealProportion", "0.12", "share of maxSize at which it seals"),
    SECONDS("dataCoord.segment.maxLife", "86400", 1 * S, YEAR,
            "a growing segment seals at this age"),
    SECONDS("dataCoord.segment.maxIdleTime", "600", 1 * S, YEAR,
            "and when nothing was added for so long"),
    MB("dataCoord.segment.minSizeFromIdleToSealed", "16", 0, 64 * G,
       "but not below this size"),
    INT("dataCoord.segment.maxBinlogFileNumber", "32", 1, 65536, "and at so many binlogs"),
    SHARE("dataCoord.segment.smallProportion", "0.5",
          "segments below this share of maxSize are merged"),
    SHARE("dataCoord.segment.compactableProportion", "0.85",
          "a merge must reach this share of maxSize"),
    REAL("dataCoord.segment.expansionRate", "1.25", 1, 10, "and may pass maxSize by this factor"),
    BOOL("dataCoord.enableCompaction", "true", "compact at all"),
    BOOL("dataCoord.compaction.enableAutoCompaction", "true", "compact without being asked"),
    BOOL("dataCoord.enableGarbageCollection", "true", "delete objects that nothing names"),
    SECONDS("dataCoord.gc.interval", "3600", 1 * S, YEAR, "how often"),
    SECONDS("dataCoord.gc.missingTolerance", "86400", 0, YEAR,
            "age at which an object without metadata may go"),
    SECONDS("dataCoord.gc.dropTolerance", "10800", 0, YEAR,
            "time a dropped segment's objects are kept"),
    INT("indexCoord.segment.minSegmentNumRowsToEnableIndex", "1024", 0, 1e9,
        "segments with fewer rows are searched without an index"),
    BOOL("queryCoord.autoBalance", "true", "move segments between query nodes"),
    SECONDS("queryCoord.balanceIntervalSeconds", "60", 1 * S, DAY, "how often"),
    SECONDS("queryCoord.loadTimeoutSeconds", "600", 1 * S, DAY,
            "a load without progress fails then"),
    INT("queryCoord.overloadedMemoryThresholdPercentage", "90", 1, 100,
        "a query node above this share of its memory gets no more segments"),

    /* --- nodes --- */
    TEXT("dataNode.ip", "", "address other nodes reach this data node at; empty: found out"),
    PORT("dataNode.port", "21124", "data node's port for other nodes"),
    PORT("dataNode.streamPort", "21125", "its port for channel streams"),       /* ours */
    BYTES("dataNode.segment.insertBufSize", "16777216", 64 * K, 4 * G,
          "rows of a segment kept in memory before they are flushed"),
    BYTES("dataNode.segment.deleteBufBytes", "16777216", 64 * K, 4 * G,
          "deletes of a channel kept in memory before they are flushed"),
    SECONDS("dataNode.segment.syncPeriod", "600", 1 * S, DAY,
            "they are flushed at this age anyway"),
    SECONDS("dataNode.gracefulStopTimeout", "30", 0, DAY, "longest wait for open work at stop"),
    TEXT("queryNode.ip", "", "address other nodes reach this query node at; empty: found out"),
    PORT("queryNode.port", "21123", "query node's port for other nodes"),
    REAL("queryNode.scheduler.maxReadConcurrentRatio", "1", 0.01, 100,
         "searches at a time, times the number of cores"),
    INT("queryNode.scheduler.unsolvedQueueSize", "10240", 1, 65536, "searches that may wait"),
    BOOL("queryNode.mmap.mmapEnabled", "false", "map segments from disk instead of reading them"),
    TEXT("queryNode.mmap.mmapDirPath", "",
         "directory for local copies of indexes of S3; empty: localStorage.path"),
    INT("queryNode.maxDiskUsagePercentage", "95", 1, 100,
        "percent of the disk that may be in use after an index is copied there"),
    SECONDS("queryNode.gracefulStopTimeout", "30", 0, DAY, "longest wait for open work at stop"),
    TEXT("indexNode.ip", "", "address other nodes reach this index node at; empty: found out"),
    PORT("indexNode.port", "21121", "index node's port for other nodes"),
    INT("indexNode.scheduler.buildParallel", "1", 1, 64, "builds at a time"),
    SECONDS("indexNode.gracefulStopTimeout", "30", 0, DAY, "longest wait for open work at stop"),

    /* --- log --- */
    ONE_OF("log.level", "info", "debug|info|warn|error|fatal", "lines below this are dropped"),
    TEXT("log.file.rootPath", "", "directory of the log file ROLE-PORT.log; empty: standard error"),

    /* --- quotas --- */
    BOOL("quotaAndLimits.enabled", "true", "switches this whole section"),
    SECONDS("quotaAndLimits.quotaCenterCollectInterval", "3", 0.1 * S, 65536 * S,
            "how often the nodes' figures are looked at"),
    INT("quotaAndLimits.limits.maxCollectionNum", "65536", 1, 1e9, "collections"),
    INT("quotaAndLimits.limits.maxCollectionNumPerDB", "65536", 1, 1e9,
        "collections of a database"),
    INT("quotaAndLimits.limits.maxResourceGroupNumOfQueryNode", "1024", 1, 65536,
        "resource groups"),
    INT("quotaAndLimits.limits.topK", "16384", 1, 1e6, "limit of a search"),
    INT("quotaAndLimits.limits.nq", "16384", 1, 1e6, "vectors in a search"),
    INT("quotaAndLimits.limits.maxQueryResultWindow", "16384", 1, 1e9, "offset + limit"),
    BYTES("quotaAndLimits.limits.maxOutputSize", "104857600", 1 * M, 2 * G, "result of a read"),
    INT("quotaAndLimits.limits.maxInsertSize", "-1", -1, 2 * G, "bytes of an insert; -1: any"),
    BOOL("quotaAndLimits.ddl.enabled", "false", "bound the rate of DDL"),
    RATE("quotaAndLimits.ddl.collectionRate", "create, drop, load, release a second"),
    RATE("quotaAndLimits.ddl.partitionRate", "the same of partitions"),
    BOOL("quotaAndLimits.indexRate.enabled", "false", "bound the rate of index DDL"),
    RATE("quotaAndLimits.indexRate.max", "create and drop a second"),
    BOOL("quotaAndLimits.flushRate.enabled", "true", "bound the rate of Flush"),
    RATE("quotaAndLimits.flushRate.max", "flushes a second"),
    REAL("quotaAndLimits.flushRate.collection.max", "0.1", -1, 1e12,
         "flushes a second of a collection; -1: no limit"),
    BOOL("quotaAndLimits.compactionRate.enabled", "false", "bound the rate of manual compaction"),
    RATE("quotaAndLimits.compactionRate.max", "compactions a second"),
    BOOL("quotaAndLimits.dml.enabled", "false", "bound the rate of writes"),
    RATE("quotaAndLimits.dml.insertRate.max", "MB a second"),
    RATE("quotaAndLimits.dml.insertRate.db.max", "MB a second of a database"),
    RATE("quotaAndLimits.dml.insertRate.collection.max", "MB a second of a collection"),
    RATE("quotaAndLimits.dml.insertRate.partition.max", "MB a second of a partition"),
    RATE("quotaAndLimits.dml.upsertRate.max", "MB a second"),
    RATE("quotaAndLimits.dml.upsertRate.db.max", "MB a second of a database"),
    RATE("quotaAndLimits.dml.upsertRate.collection.max", "MB a second of a collection"),
    RATE("quotaAndLimits.dml.upsertRate.partition.max", "MB a second of a partition"),
    RATE("quotaAndLimits.dml.deleteRate.max", "MB a second"),
    RATE("quotaAndLimits.dml.deleteRate.db.max", "MB a second of a database"),
    RATE("quotaAndLimits.dml.deleteRate.collection.max", "MB a second of a collection"),
    RATE("quotaAndLimits.dml.deleteRate.partition.max", "MB a second of a partition"),
    RATE("quotaAndLimits.dml.bulkLoadRate.max", "MB a second"),
    RATE("quotaAndLimits.dml.bulkLoadRate.db.max", "MB a second into a database"),
    RATE("quotaAndLimits.dml.bulkLoadRate.collection.max", "MB a second into a collection"),
    RATE("quotaAndLimits.dml.bulkLoadRate.partition.max", "MB a second into a partition"),
    BOOL("quotaAndLimits.dql.enabled", "false", "bound the rate of reads"),
    RATE("quotaAndLimits.dql.searchRate.max", "vectors searched a second"),
    RATE("quotaAndLimits.dql.searchRate.db.max", "vectors a second in a database"),
    RATE("quotaAndLimits.dql.searchRate.collection.max", "vectors a second in a collection"),
    RATE("quotaAndLimits.dql.searchRate.partition.max", "vectors a second in a partition"),
    RATE("quotaAndLimits.dql.queryRate.max", "queries a second"),
    RATE("quotaAndLimits.dql.queryRate.db.max", "queries a second in a database"),
    RATE("quotaAndLimits.dql.queryRate.collection.max", "queries a second in a collection"),
    RATE("quotaAndLimits.dql.queryRate.partition.max", "queries a second in a partition"),
    BOOL("quotaAndLimits.limitWriting.forceDeny", "false", "refuse all writes"),
    BOOL("quotaAndLimits.limitWriting.memProtection.enabled", "true",
         "slow writes down, then refuse them, as nodes run out of memory"),
    SHARE("quotaAndLimits.limitWriting.memProtection.dataNodeMemoryLowWaterLevel", "0.85",
          "share of a data node's memory where slowing begins"),
    SHARE("quotaAndLimits.limitWriting.memProtection.dataNodeMemoryHighWaterLevel", "0.95",
          "and where writes are refused"),
    SHARE("quotaAndLimits.limitWriting.memProtection.queryNodeMemoryLowWaterLevel", "0.85",
          "share of a query node's memory where slowing begins"),
    SHARE("quotaAndLimits.limitWriting.memProtection.queryNodeMemoryHighWaterLevel", "0.95",
          "and where writes are refused"),
    BOOL("quotaAndLimits.limitWriting.diskProtection.enabled", "true",
         "refuse writes above diskQuota"),
    MB("quotaAndLimits.limitWriting.diskProtection.diskQuota", "-1", -1 * M, 1e6 * T,
       "stored bytes of all collections; -1: any"),
    MB("quotaAndLimits.limitWriting.diskProtection.diskQuotaPerDB", "-1", -1 * M, 1e6 * T,
       "of a database"),
    MB("quotaAndLimits.limitWriting.diskProtection.diskQuotaPerCollection", "-1", -1 * M, 1e6 * T,
       "of a collection"),
    BOOL("quotaAndLimits.limitReading.forceDeny", "false", "refuse all reads"),

    /* --- ours --- */
    TEXT("elanus.data.dir", "/var/lib/elanus",
         "directory for everything this process keeps itself"),
    BYTES("elanus.data.memory", "0", 0, 1 * T,
          "memory for rows and deletes that are not flushed; 0: a quarter of the machine's"),
    MS("elanus.data.repeatTime", "60000", 0, DAY,
       "a write that a proxy repeats within this time is done once, after a restart too"),
    BYTES("elanus.query.memory", "0", 0, 1 * T,
          "memory for loaded segments and indexes; 0: the machine's, as far as it may be loaded"),
    BYTES("elanus.query.disk", "0", 0, 1000 * T,
          "local copies of indexes of S3; 0: as the disk has room for"),
    BYTES("elanus.index.memory", "0", 0, 1 * T,
          "memory for the indexes an index node builds at a time; 0: a quarter of the machine's"),
    BOOL("elanus.proxy.hedge", "true", "ask another replica too when one is slow to answer"),
    MS("elanus.proxy.hedgeDelay", "300", 1, 60 * S,
       "how slow at least; more for collections whose reads take long"),
    TEXT("elanus.proxy.address", "0.0.0.0", "address the clients' port listens on"),
    TEXT("elanus.ops.address", "0.0.0.0", "address the ops port listens on"),
    { "elanus.ops.port", CONFIG_INT, "9091", 0, 65535, NULL, "METRICS_PORT",
      "/metrics, /healthz and the console" },
    INT("elanus.node.id", "0", 0, 9007199254740991.0,
        "this node's number; 0: the metadata gives one"),
    TEXT("elanus.node.listen", "0.0.0.0",
         "address the ports for other nodes and clients listen on"),
    MS("elanus.net.heartbeat", "200", 10, 60 * S,
       "between nodes; a node that misses five is suspect"),
    TEXT("elanus.net.curve.keyFile", "",
         "this node's CURVE key; empty: no encryption between nodes"),
    TEXT("elanus.net.curve.allowDir", "",
         "directory with the public keys of the nodes that may talk to us"),
    TEXT("elanus.net.curve.serverKey", "", "public key all nodes show; empty: the one in keyFile"),
    INT("elanus.threads.compute", "0", 0, 256, "threads that search and build; 0: one a core"),
    INT("elanus.threads.io", "8", 1, 256, "threads that wait for etcd, S3 and the disk"),
};

const size_t config_n_keys = ARRAY_LEN(config_keys);
