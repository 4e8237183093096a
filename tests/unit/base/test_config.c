/* config: which source wins, what every mistake is told, and that the printed
 * file reads back as it was.
 *
 * Method: s_load writes a YAML text to a temporary file and loads it with a
 * given environment and flags; errors are compared word for word, because the
 * words are the product.  Mutated files and failing allocations must end in an
 * error with a place, never in half a configuration. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/config.h"
#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/base/rng.h"

static char s_file[] = "/tmp/elanus-test-config-XXXXXX";

static const config_pair_t s_flags[] = {
    { "data", "elanus.data.dir" }, { "port", "proxy.port" }, { "ops-port", "elanus.ops.port" },
    { NULL, NULL },
};
static const config_pair_t s_defaults[] = { { "elanus.ops.address", "127.0.0.1" }, { NULL, NULL } };

static void s_write_file(view_t yaml)
{
    FILE *f = fopen(s_file, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(yaml.ptr, 1, yaml.len, f), yaml.len);
    fclose(f);
}

/* Flags as one text, split at blanks; env as in environ. */
static err_t s_load(ctx_t *ctx, const char *yaml, const char *const *env, const char *flags,
                    config_t **ret)
{
    static const char *const no_env[] = { NULL };
    char *argv[20], *copy = ctx_strdup(ctx, flags);
    int argc = 0;
    if (yaml) {
        s_write_file(view_str(yaml));
        argv[argc++] = "--config";
        argv[argc++] = s_file;
    }
    for (char *word; (word = strsep(&copy, " ")) != NULL; )
        if (*word)
            argv[argc++] = word;
    config_program_t program = { s_flags, s_defaults, env ? env : no_env };
    return config_load(ctx, argc, argv, &program, ret);
}

/* The error's text, with the temporary file's name as FILE. */
static void s_expect_error(const char *yaml, const char *const *env, const char *flags,
                           const char *want)
{
    ctx_t ctx;
    ctx_init(&ctx);
    config_t *config = NULL;
    err_t err = s_load(&ctx, yaml, env, flags, &config);
    if (err != ERR_CONFIG)
        print_message("expected: %s\n", want);
    assert_int_equal(err, ERR_CONFIG);
    assert_null(config);
    buf_scoped said = {0};
    for (const char *at = ctx.text; *at; ) {
        bool file = strncmp(at, s_file, strlen(s_file)) == 0;
        buf_add(&said, file ? "FILE" : at, file ? 4 : 1);
        at += file ? strlen(s_file) : 1;
    }
    assert_string_equal(buf_str(&said), want);
    ctx_fini(&ctx);
}

static void defaults_are_typed(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    owned(config) c = NULL;
    assert_int_equal(s_load(&ctx, NULL, NULL, "", &c), OK);
    assert_int_equal(config_int(c, "proxy.port"), 19530);
    assert_string_equal(config_str(c, "minio.address"), "localhost");
    assert_string_equal(config_str(c, "minio.secretAccessKey"), "minioadmin");
    assert_int_equal(config_list_len(c, "etcd.endpoints"), 1);
    assert_string_equal(config_list_at(c, "etcd.endpoints", 0), "localhost:2379");
    assert_int_equal(config_list_len(c, "common.security.superUsers"), 0);
    assert_int_equal(config_int(c, "dataCoord.segment.maxSize"), 1024 << 20);
    assert_int_equal(config_int(c, "common.gracefulTime"), 5000);
    assert_int_equal(config_int(c, "dataCoord.segment.maxLife"), 86400000);
    assert_int_equal(config_int(c, "common.entityExpiration"), -1);
    assert_int_equal(config_int(c, "quotaAndLimits.limitWriting.diskProtection.diskQuota"), -1);
    assert_true(config_real(c, "quotaAndLimits.flushRate.collection.max") == 0.1);
    assert_false(config_bool(c, "common.security.authorizationEnabled"));
    assert_string_equal(config_str(c, "elanus.ops.address"), "127.0.0.1");
    assert_true(config_given(c, "elanus.ops.address"));
    assert_false(config_given(c, "proxy.port"));
    assert_string_equal(config_where(c, "proxy.port"), "default");
    ctx_fini(&ctx);
}

static void later_sources_win(void **state)
{
    (void)state;
    const char *yaml = "proxy:\n  port: 1\n  ip: file\nproxy.maxFieldNum: 11\n"
                       "elanus: {ops: {port: 5, address: 9.9.9.9}}\n";
    const char *env[] = { "PROXY_PORT=2", "PROXY_MAXFIELDNUM=22", "METRICS_PORT=6", NULL };
    ctx_t ctx;
    ctx_init(&ctx);
    owned(config) c = NULL;
    assert_int_equal(s_load(&ctx, yaml, env, "--proxy.port=3", &c), OK);
    assert_int_equal(config_int(c, "proxy.port"), 3);
    assert_int_equal(config_int(c, "proxy.maxFieldNum"), 22);
    assert_string_equal(config_str(c, "proxy.ip"), "file");
    assert_int_equal(config_int(c, "elanus.ops.port"), 6);
    assert_string_equal(config_str(c, "elanus.ops.address"), "9.9.9.9");
    assert_string_equal(config_where(c, "proxy.port"), "--proxy.port");
    assert_string_equal(config_where(c, "proxy.maxFieldNum"), "environment PROXY_MAXFIELDNUM");
    assert_non_null(strstr(config_where(c, "proxy.ip"), ":3:7"));
    ctx_fini(&ctx);
}

static void environment_names_are_as_milvus_takes_them(void **state)
{
    (void)state;
    const char *env[] = {
        "PATH=/bin", "ETCD_ENDPOINTS=a:1, b:2", "MINIO_ACCESS_KEY_ID=key",
        "minio_secretaccesskey=s3",
        "MINIO_PORT=tcp://10.0.0.7:9000", "PROXY_PORT=", "LOG_LEVEL=WARN", "METRICS_PORT=7",
        "ELANUS_OPS_PORT=8", "MINIO_BUCKETNAME=b1", "MINIO_BUCKET_NAME=b2", "PROXY__PORT", NULL };
    ctx_t ctx;
    ctx_init(&ctx);
    owned(config) c = NULL;
    assert_int_equal(s_load(&ctx, NULL, env, "", &c), OK);
    assert_int_equal(config_list_len(c, "etcd.endpoints"), 2);
    assert_string_equal(config_list_at(c, "etcd.endpoints", 1), "b:2");
    assert_string_equal(config_str(c, "minio.accessKeyID"), "key");
    assert_string_equal(config_str(c, "minio.secretAccessKey"), "s3");
    assert_int_equal(config_int(c, "minio.port"), 9000);
    assert_int_equal(config_int(c, "proxy.port"), 19530);
    assert_string_equal(config_str(c, "log.level"), "warn");
    assert_int_equal(config_int(c, "elanus.ops.port"), 8);
    assert_string_equal(config_str(c, "minio.bucketName"), "b1");
    ctx_fini(&ctx);
}

static void minio_address_may_hold_the_port(void **state)
{
    (void)state;
    static const struct { const char *env, *host; int port; } table[] = {
        { "MINIO_ADDRESS=minio:9001", "minio", 9001 }, { "MINIO_ADDRESS=minio", "minio", 9000 },
        { "MINIO_ADDRESS=[::1]:9002", "[::1]", 9002 }, { "MINIO_ADDRESS=[::1]", "[::1]", 9000 },
        { "MINIO_ADDRESS=::1", "::1", 9000 },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const char *env[] = { table[i].env, NULL };
        ctx_t ctx;
        ctx_init(&ctx);
        owned(config) c = NULL;
        assert_int_equal(s_load(&ctx, NULL, env, "", &c), OK);
        assert_string_equal(config_str(c, "minio.address"), table[i].host);
        assert_int_equal(config_int(c, "minio.port"), table[i].port);
        ctx_fini(&ctx);
    }
    s_expect_error(NULL, NULL, "--minio.address http://minio", "--minio.address: minio.address: "
                   "\"http://minio\" is not HOST or HOST:PORT");
    s_expect_error(NULL, NULL, "--minio.address a:70000",
                   "--minio.address: minio.port: \"70000\" is not a whole number from 0 to 65535");
}

static void flags_come_in_three_forms(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    owned(config) c = NULL;
    assert_int_equal(s_load(&ctx, "proxy.ip: x\n", NULL, "--port 7 --data=/d=e --minio.useSSL "
                            "--proxy.ip= --quotaAndLimits.ddl.collectionRate -1 --port 8", &c), OK);
    assert_int_equal(config_int(c, "proxy.port"), 8);
    assert_string_equal(config_str(c, "elanus.data.dir"), "/d=e");
    assert_string_equal(config_str(c, "proxy.ip"), "");
    assert_true(config_bool(c, "minio.useSSL"));
    assert_true(config_real(c, "quotaAndLimits.ddl.collectionRate") == -1);
    ctx_fini(&ctx);
}

static void units_are_understood(void **state)
{
    (void)state;
    static const struct { const char *key, *text; int64_t want; } table[] = {
        { "common.gracefulTime", "250", 250 }, { "common.gracefulTime", "1.5s", 1500 },
        { "common.gracefulTime", "2 m", 120000 }, { "dataCoord.gc.interval", "2", 2000 },
        { "dataCoord.gc.interval", "2500ms", 2500 }, { "dataCoord.gc.interval", "1d", 86400000 },
        { "dataCoord.segment.maxSize", "512", 512 << 20 },
        { "dataCoord.segment.maxSize", "1.5GB", 1536 << 20 },
        { "dataCoord.segment.maxSize", "64MiB", 64 << 20 },
        { "dataNode.segment.insertBufSize", "65536", 65536 },
        { "dataNode.segment.insertBufSize", "128k", 131072 },
        { "common.entityExpiration", "-1", -1 }, { "common.entityExpiration", "1h", 3600000 },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        ctx_t ctx;
        ctx_init(&ctx);
        owned(config) c = NULL;
        char *yaml = ctx_printf(&ctx, "%s: %s\n", table[i].key, table[i].text);
        assert_int_equal(s_load(&ctx, yaml, NULL, "", &c), OK);
        assert_int_equal(config_int(c, table[i].key), table[i].want);
        ctx_fini(&ctx);
    }
}

static void yaml_of_all_shapes_is_read(void **state)
{
    (void)state;
    const char *yaml =
        "# comment\n---\netcd:\n  endpoints:\n    - a:1\n    - 'b:2'\n  auth: {enabled: yes}\n"
        "  ssl:\nminio:\n  rootPath: ~\n  bucketName: \"x\\u0041\"\nproxy.http:\n  port: 80\n"
        "common.security: {tlsMode: 1, superUsers: [root, 'me']}\nlog: null\n...\n";
    ctx_t ctx;
    ctx_init(&ctx);
    owned(config) c = NULL;
    assert_int_equal(s_load(&ctx, yaml, NULL, "", &c), OK);
    assert_int_equal(config_list_len(c, "etcd.endpoints"), 2);
    assert_string_equal(config_list_at(c, "etcd.endpoints", 1), "b:2");
    assert_true(config_bool(c, "etcd.auth.enabled"));
    assert_string_equal(config_str(c, "minio.rootPath"), "files");
    assert_string_equal(config_str(c, "minio.bucketName"), "xA");
    assert_int_equal(config_int(c, "proxy.http.port"), 80);
    assert_string_equal(config_str(c, "common.security.tlsMode"), "1");
    assert_int_equal(config_list_len(c, "common.security.superUsers"), 2);
    config_destroy(&c);
    const char *nothing[] = { "", "---\n", "# only a comment\n", "{}\n", "~\n" };
    for (size_t i = 0; i < ARRAY_LEN(nothing); i++) {
        assert_int_equal(s_load(&ctx, nothing[i], NULL, "", &c), OK);
        config_destroy(&c);
    }
    ctx_fini(&ctx);
}

static const struct { const char *yaml, *want; } s_mistakes[] = {
    { "proxy:\n  prot: 1\n", "FILE:2:3: unknown key proxy.prot; did you mean proxy.port?" },
    { "Proxy:\n  port: 1\n", "FILE:1:1: unknown key Proxy; did you mean proxy?" },
    { "proxy.Port: 1\n", "FILE:1:1: unknown key proxy.Port; did you mean proxy.port?" },
    { "authorizationEnabled: true\n",
      "FILE:1:1: unknown key authorizationEnabled; did you mean "
      "common.security.authorizationEnabled?" },
    { "pulsar:\n  address: x\n",
      "FILE:1:1: unknown key pulsar; `elanus config` lists all keys" },
    { "pulsar.port:\n", "FILE:1:1: unknown key pulsar.port; `elanus config` lists all keys" },
    { "proxy:\n  port: x\n",
      "FILE:2:9: proxy.port: \"x\" is not a whole number from 0 to 65535" },
    { "proxy.port: 65536",
      "FILE:1:13: proxy.port: \"65536\" is not a whole number from 0 to 65535" },
    { "proxy.port: 1.5",
      "FILE:1:13: proxy.port: \"1.5\" is not a whole number from 0 to 65535" },
    { "proxy.port: 0x10",
      "FILE:1:13: proxy.port: \"0x10\" is not a whole number from 0 to 65535" },
    { "proxy.port: nan",
      "FILE:1:13: proxy.port: \"nan\" is not a whole number from 0 to 65535" },
    { "proxy.port: ''", "FILE:1:13: proxy.port: \"\" is not a whole number from 0 to 65535" },
    { "minio.useSSL: maybe", "FILE:1:15: minio.useSSL: \"maybe\" is not true or false" },
    { "log.level: loud",
      "FILE:1:12: log.level: \"loud\" is not one of debug|info|warn|error|fatal" },
    { "log.level: debug|info",
      "FILE:1:12: log.level: \"debug|info\" is not one of debug|info|warn|error|fatal" },
    { "dataCoord.gc.interval: 2 weeks",
      "FILE:1:24: dataCoord.gc.interval: \"2 weeks\" is not a "
      "duration from 1s to 366d, such as 500ms, 5s or 10m (a number alone counts seconds)" },
    { "etcd.requestTimeout: 1", "FILE:1:22: etcd.requestTimeout: \"1\" is not a duration from "
      "100ms to 10m, such as 500ms, 5s or 10m (a number alone counts milliseconds)" },
    { "dataCoord.segment.maxSize: 1KB",
      "FILE:1:28: dataCoord.segment.maxSize: \"1KB\" is not a "
      "size from 1MB to 64GB, such as 512KB or 64MB (a number alone counts MB)" },
    { "proxy.grpc.serverMaxRecvSize: 5",
      "FILE:1:31: proxy.grpc.serverMaxRecvSize: \"5\" is not a "
      "size from 1MB to 2GB, such as 512KB or 64MB (a number alone counts bytes)" },
    { "dataCoord.segment.sealProportion: 2",
      "FILE:1:35: dataCoord.segment.sealProportion: \"2\" is not a number from 0 to 1" },
    { "etcd.endpoints: 'a,,b'", "FILE:1:17: etcd.endpoints: \"a,,b\" is not a list: A, B, C" },
    { "etcd.endpoints: [a, '']", "FILE:1:17: etcd.endpoints: \"a,\" is not a list: A, B, C" },
    { "etcd.endpoints: [a, ~]", "FILE:1:21: a list item is empty or has a comma" },
    { "etcd.endpoints: [[a]]", "FILE:1:18: a list in a list" },
    { "etcd.endpoints: [{a: b}]", "FILE:1:18: expected a text here, not a mapping" },
    { "proxy.ip: \"a\\nb\"", "FILE:1:11: proxy.ip: \"a\nb\" is not a text of one line" },
    { "proxy.ip: \"a\\0b\"", "FILE:1:11: a value has a NUL character" },
    { "proxy: 5\n", "FILE:1:1: proxy is a section; it holds keys such as proxy.ip" },
    { "proxy:\n  port:\n    x: 1\n",
      "FILE:3:5: proxy.port takes a whole number from 0 to 65535, not keys below it" },
    { "proxy.port: [1]",
      "FILE:1:13: proxy.port takes a whole number from 0 to 65535, not a list" },
    { "proxy:\n  port: 1\nproxy.port: 2\n",
      "FILE:3:1: proxy.port is there twice, first at FILE:2:9" },
    { "- a\n", "FILE:1:1: expected KEY: VALUE, not a list" },
    { "hello", "FILE:1:1: expected KEY: VALUE" },
    { "? [a]\n: b\n", "FILE:1:3: expected KEY: VALUE, not a list" },
    { "a b: c\n", "FILE:1:1: a key has a blank or a strange character" },
    { "'': c\n", "FILE:1:1: a key is empty or too long" },
    { "proxy: &p\n  port: 1\n", "FILE:1:8: anchors and aliases (&x, *x) are not read here; "
      "write the value out" },
    { "proxy.ip: *p\n", "FILE:1:11: anchors and aliases (&x, *x) are not read here; "
      "write the value out" },
    { "proxy.port: !!int 5\n", "FILE:1:13: tags (!x) are not read here; leave it out" },
    { "proxy.port: 5\n---\nproxy.port: 6\n",
      "FILE:2:1: one document a file (--- starts a second)" },
    { "proxy:\n\tport: 1\n", "FILE:2:1: not YAML: found character that cannot start any token "
      "(a tab; indent with blanks)" },
    { "proxy: {port: 1\n", "FILE:2:1: not YAML: did not find expected ',' or '}'" },
    { "minio.secretAccessKey: \"a\\nb\"", "FILE:1:24: minio.secretAccessKey: the secret is "
      "not UTF-8 of one line, or is longer than 4096 bytes" },
};

static void every_mistake_in_a_file_has_its_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(s_mistakes); i++)
        s_expect_error(s_mistakes[i].yaml, NULL, "", s_mistakes[i].want);
}

static void every_mistake_elsewhere_has_its_words(void **state)
{
    (void)state;
    static const struct { const char *flags, *want; } table[] = {
        { "--prot 1", "unknown flag --prot; did you mean --port?" },
        { "--dta=x", "unknown flag --dta; did you mean --data?" },
        { "--etcd.endpoint x", "unknown flag --etcd.endpoint; did you mean --etcd.endpoints?" },
        { "--bucketName x", "unknown flag --bucketName; did you mean --minio.bucketName?" },
        { "--proxy x", "unknown flag --proxy; `elanus config` lists all keys" },
        { "--verbose", "unknown flag --verbose; `elanus config` lists all keys" },
        { "--port", "--port needs a value: a whole number from 0 to 65535" },
        { "--port --data /x", "--port needs a value: a whole number from 0 to 65535" },
        { "--port x", "--port: proxy.port: \"x\" is not a whole number from 0 to 65535" },
        { "--config", "--config needs a value: the path of a YAML file" },
        { "standalone", "standalone: expected --KEY VALUE" },
        { "-p 5", "-p: expected --KEY VALUE" },
        { "-- 5", "--: expected --KEY VALUE" },
        { "--=5", "--=5: expected --KEY VALUE" },
        { "--config /no/such.yaml",
          "cannot read /no/such.yaml: No such file or directory; --config names the "
          "configuration" },
        { "--config /tmp", "/tmp is a directory; --config wants a YAML file" },
        { "--config /dev/zero", "/dev/zero is larger than 1024 KB, or there is no memory for it; "
          "is it a configuration?" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        s_expect_error(NULL, NULL, table[i].flags, table[i].want);
    const char *env[] = { "PROXY_PORT=x", NULL };
    s_expect_error(NULL, env, "", "environment PROXY_PORT: proxy.port: \"x\" is not a whole number "
                   "from 0 to 65535");
    const char *file[] = { "ELANUS_CONFIG=/no/such", NULL };
    s_expect_error(NULL, file, "", "cannot read /no/such: No such file or directory; "
                   "--config names the configuration");
}

static void sizes_and_depth_are_bounded(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    config_t *c = NULL;
    buf_scoped deep = {0}, list = {0};
    for (int i = 0; i < 100000; i++)
        buf_add_str(&deep, "{");
    assert_int_equal(s_load(&ctx, buf_str(&deep), NULL, "", &c), ERR_CONFIG);
    buf_add_str(&list, "etcd.endpoints: [");
    for (int i = 0; i < LIMIT_CONFIG_VALUE_BYTES / 2; i++)
        buf_add_str(&list, "a,");
    buf_add_str(&list, "a, a]");
    assert_int_equal(s_load(&ctx, buf_str(&list), NULL, "", &c), ERR_CONFIG);
    assert_non_null(strstr(ctx.text, "longer than 4096 bytes"));
    char *longer = ctx_printf(&ctx, "proxy.ip: %*s\n", LIMIT_CONFIG_VALUE_BYTES + 1, "x");
    memset(longer + 10, 'x', LIMIT_CONFIG_VALUE_BYTES + 1);
    assert_int_equal(s_load(&ctx, longer, NULL, "", &c), ERR_CONFIG);
    assert_true(strlen(ctx.text) < 200);
    ctx_fini(&ctx);
}

static void every_fault_is_reported(void **state)
{
    (void)state;
    const char *yaml = "etcd: {endpoints: [a, b]}\nproxy:\n  port: 1\n";
    const char *env[] = { "MINIO_ADDRESS=m:1", NULL };
    for (int nth = 0; ; nth += nth < 400 ? 37 : 1) {       /* the defaults alone are hundreds */
        ctx_t ctx;
        ctx_init(&ctx);
        owned(config) c = NULL;
        fault_arm(nth);
        err_t err = s_load(&ctx, yaml, env, "--port 3", &c);
        bool fired = fault_disarm();
        ctx_fini(&ctx);
        assert_int_equal(err == OK, !fired);
        assert_int_equal(c != NULL, !fired);
        if (!fired)
            break;
        assert_true(err == ERR_MEMORY || err == ERR_CONFIG);
    }
}

static void the_printed_file_reads_back(void **state)
{
    (void)state;
    const char *yaml = "proxy.port: 4\nminio.secretAccessKey: hunter2\nproxy.ip: 'a # \"b\\ c: '\n"
                       "minio.rootPath: 'null'\nminio.region: '-'\nlog.file.rootPath: ': x'\n"
                       "etcd.endpoints: [a:1, b:2]\n";
    ctx_t ctx;
    ctx_init(&ctx);
    owned(config) first = NULL;
    owned(config) second = NULL;
    assert_int_equal(s_load(&ctx, yaml, NULL, "--data /d", &first), OK);
    buf_scoped print = {0}, again = {0};
    config_print(first, &print);
    assert_true(buf_ok(&print));
    assert_null(strstr(buf_str(&print), "hunter2"));
    assert_null(strstr(buf_str(&print), "minioadmin\n  # secret"));
    assert_non_null(strstr(buf_str(&print), "\n  port: 4    # from "));
    assert_non_null(strstr(buf_str(&print), "env ETCD_ENDPOINTS"));
    assert_non_null(strstr(buf_str(&print), "env ELANUS_OPS_PORT or METRICS_PORT"));

    char *argv[] = { "--config", s_file };
    s_write_file(buf_view(&print));
    const char *no_env[] = { NULL };
    config_program_t program = { .env = no_env };
    assert_int_equal(config_load(&ctx, 2, argv, &program, &second), OK);
    const char *key, *value, *key2, *value2;
    for (size_t i = 0, j = 0; config_next(first, &i, &key, &value); ) {
        assert_true(config_next(second, &j, &key2, &value2));
        assert_string_equal(key, key2);
        assert_string_equal(value, value2);
    }
    assert_string_equal(config_str(second, "minio.secretAccessKey"), "minioadmin");
    ctx_fini(&ctx);
}

/* Each section is opened once, or other YAML readers would see only its last part:
 * whoever shares a section with any earlier key shares it with the one before. */
static void sections_of_the_table_stand_together(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    owned(config) c = NULL;
    assert_int_equal(s_load(&ctx, NULL, NULL, "", &c), OK);
    const char *keys[1000], *value;
    size_t n = 0;
    for (size_t at = 0; config_next(c, &at, &keys[n], &value); )
        n++;
    for (size_t k = 2; k < n; k++) {
        for (const char *dot = keys[k]; (dot = strchr(dot, '.')) != NULL; dot++) {
            size_t len = (size_t)(dot - keys[k]) + 1;
            for (size_t i = 0; i + 1 < k; i++)
                if (strncmp(keys[i], keys[k], len) == 0)
                    assert_memory_equal(keys[k - 1], keys[k], len);
        }
        for (size_t i = 0; i < k; i++)
            assert_string_not_equal(keys[i], keys[k]);
    }
    ctx_fini(&ctx);
}

static void secrets_never_come_out(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    owned(config) c = NULL;
    assert_int_equal(s_load(&ctx, "etcd.auth.password: hunter2\n", NULL, "", &c), OK);
    const char *key, *value;
    for (size_t at = 0; config_next(c, &at, &key, &value); ) {
        assert_null(strstr(value, "hunter2"));
        if (strcmp(key, "etcd.auth.password") == 0)
            assert_string_equal(value, "***");
    }
    ctx_fini(&ctx);
}

static void mutated_files_load_or_say_where(void **state)
{
    (void)state;
    const char *seed = "etcd:\n  endpoints: [a:1, 'b:2']\nproxy:\n  port: 19530\n"
                       "  http: {port: 1}\nlog.level: info\ncommon:\n  security:\n"
                       "    tlsMode: \"1\"\n";
    static const char spice[] = " \n:-[]{},'\"&*!|>%@`#?~0\t\\.\xc3";
    rng_t rng;
    rng_seed(&rng, 5);
    int good = 0;
    for (int round = 0; round < 2000; round++) {
        char text[400];
        snprintf(text, sizeof text, "%s", seed);
        for (uint64_t n = 1 + rng_below(&rng, 3); n-- > 0; )
            text[rng_below(&rng, strlen(seed))] = spice[rng_below(&rng, sizeof spice - 1)];
        ctx_t ctx;
        ctx_init(&ctx);
        owned(config) c = NULL;
        err_t err = s_load(&ctx, text, NULL, "", &c);
        good += err == OK;
        if (err != OK) {
            assert_int_equal(err, ERR_CONFIG);
            assert_int_equal(strncmp(ctx.text, s_file, strlen(s_file)), 0);
            assert_null(c);
        }
        ctx_fini(&ctx);
    }
    assert_in_range(good, 10, 1900);
}

static void flags_are_explained(void **state)
{
    (void)state;
    config_program_t program = { .flags = s_flags };
    buf_scoped help = {0};
    config_print_flags(&program, &help);
    assert_non_null(strstr(buf_str(&help), "  --ops-port     /metrics, /healthz and the console "
                                           "(elanus.ops.port)\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_typed),
        cmocka_unit_test(later_sources_win),
        cmocka_unit_test(environment_names_are_as_milvus_takes_them),
        cmocka_unit_test(minio_address_may_hold_the_port),
        cmocka_unit_test(flags_come_in_three_forms),
        cmocka_unit_test(units_are_understood),
        cmocka_unit_test(yaml_of_all_shapes_is_read),
        cmocka_unit_test(every_mistake_in_a_file_has_its_words),
        cmocka_unit_test(every_mistake_elsewhere_has_its_words),
        cmocka_unit_test(sizes_and_depth_are_bounded),
        cmocka_unit_test(every_fault_is_reported),
        cmocka_unit_test(the_printed_file_reads_back),
        cmocka_unit_test(sections_of_the_table_stand_together),
        cmocka_unit_test(secrets_never_come_out),
        cmocka_unit_test(mutated_files_load_or_say_where),
        cmocka_unit_test(flags_are_explained),
    };
    close(mkstemp(s_file));
    int failed = cmocka_run_group_tests_name("config", tests, NULL, NULL);
    unlink(s_file);
    return failed;
}
