/* rows_collection - see rows_collection.h */
#include "tests/support/rows_collection.h"

#include "core/wire/pb.h"

void rows_collection_put(meta_t *meta, const char *const *vchannels, size_t n_vchannels,
                         schema_t **ret)
{
    ctx_t ctx;
    ctx_init(&ctx);
    static const char *const names[] = { "id", "version", "pad" };
    Elanus__Field fields[3], *at[3];
    for (int i = 0; i < 3; i++) {
        elanus__field__init(&fields[i]);
        fields[i].id = FIELD_FIRST + i;
        fields[i].name = (char *)names[i];
        fields[i].type = i < 2 ? TYPE_INT64 : TYPE_VARCHAR;
        fields[i].primary_key = i == 0;
        at[i] = &fields[i];
    }
    Elanus__Pair length = ELANUS__PAIR__INIT, *params = &length;
    length.key = (char *)"max_length";
    length.value = (char *)"1000";
    fields[2].type_params = &params;
    fields[2].n_type_params = 1;
    Elanus__Partition partition = ELANUS__PARTITION__INIT, *partitions = &partition;
    partition.id = ROWS_PARTITION;
    partition.name = (char *)"_default";
    Elanus__Collection coll = ELANUS__COLLECTION__INIT;
    coll.id = ROWS_COLLECTION;
    coll.name = (char *)"rows";
    coll.db_id = 1;
    coll.fields = at;
    coll.n_fields = 3;
    coll.vchannels = (char **)vchannels;
    coll.n_vchannels = n_vchannels;
    coll.partitions = &partitions;
    coll.n_partitions = 1;
    meta_op_t put = { .kind = META_PUT, .key = catalog_key_collection(&ctx, ROWS_COLLECTION),
                      .value = pb_pack(&ctx, &coll) };
    meta_txn_result_t done = {0};
    check(meta_txn(&ctx, meta, &(meta_txn_t){ .ops = &put, .n_ops = 1 }, &done) == OK);
    check(catalog_make_schema(&ctx, &coll, ret) == OK);
    ctx_fini(&ctx);
}
