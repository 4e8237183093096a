/* What the proxy asks several nodes: flush, compaction, segments, load progress; and what it
 * says while they move, die or do not answer. */
#include "core/catalog/directory.h"
#include "tests/support/gather_world.h"

/* --- flush ----------------------------------------------------------------------------------- */

static void s_flush(gw_world_t *w)
{
    const char *names[] = { "a" };
    Milvus__FlushRequest request = MILVUS__FLUSH_REQUEST__INIT;
    request.collection_names = names;
    request.n_collection_names = 1;
    gw_send(w, "Flush", &request);
}

static Elanus__Sealed s_sealed(uint64_t *segment, uint64_t ts)
{
    Elanus__Sealed sealed = ELANUS__SEALED__INIT;
    sealed.segments = segment;
    sealed.n_segments = 1;
    sealed.ts = ts;
    return sealed;
}

static void a_flush_seals_at_every_owner(void **state)
{
    gw_world_t *w = *state;
    s_flush(w);
    gw_asked_t first = gw_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-11");
    gw_asked_t second = gw_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-12");
    Elanus__SealAsk *ask = NULL;
    assert_int_equal(PB_UNPACK(&w->ctx, elanus__seal_ask, second.payload, &ask), OK);
    assert_int_equal(ask->collection, 7);
    assert_int_equal(ask->n_vchannels, 1);
    assert_string_equal(ask->vchannels[0], "dml_1_7v1");
    uint64_t ids[] = { 100, 200 }, flushed[] = { 50 };
    Elanus__Sealed a = s_sealed(&ids[0], 5), b = s_sealed(&ids[1], 9);
    b.flushed = flushed;
    b.n_flushed = 1;
    gw_answer(w, second, &b);
    assert_null(w->answered);
    gw_answer(w, first, &a);
    Milvus__FlushResponse *r = gw_got(w, &milvus__flush_response__descriptor);
    assert_int_equal(r->status->code, 0);
    assert_int_equal(r->n_coll_segids, 1);
    assert_string_equal(r->coll_segids[0]->key, "a");
    assert_int_equal(r->coll_segids[0]->value->n_data, 2);
    assert_int_equal(r->coll_segids[0]->value->data[1], 200);
    assert_int_equal(r->flush_coll_segids[0]->value->data[0], 50);
    assert_int_equal(r->coll_flush_ts[0]->value, 9);
    assert_int_equal(r->coll_seal_times[0]->value, 1700000001);
}

static void a_flush_waits_for_an_owner_and_asks_the_new_one(void **state)
{
    gw_world_t *w = *state;
    gw_show(w, "owner/dml_1", META_WATCH_DELETE, NULL);
    s_flush(w);
    assert_int_equal(w->n, 0);
    gw_wait(w, 500);
    assert_int_equal(w->n, 0);
    gw_put_owner(w, 1, 12);
    gw_asked_t first = gw_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-11");
    gw_asked_t second = gw_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-12");
    uint64_t id = 100;
    Elanus__Sealed sealed = s_sealed(&id, 5);
    gw_answer(w, first, &sealed);
    gw_fail(w, second, ERR_MOVED);
    assert_null(w->answered);
    gw_put_owner(w, 1, 11);                      /* one node has both now */
    gw_asked_t both = gw_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-11");
    Elanus__SealAsk *ask = NULL;
    assert_int_equal(PB_UNPACK(&w->ctx, elanus__seal_ask, both.payload, &ask), OK);
    assert_int_equal(ask->n_vchannels, 2);
    gw_answer(w, both, &sealed);
    Milvus__FlushResponse *r = gw_got(w, &milvus__flush_response__descriptor);
    assert_int_equal(r->coll_segids[0]->value->n_data, 1);
}

static void patience_has_an_end(void **state)
{
    gw_world_t *w = *state;
    gw_show(w, "owner/dml_1", META_WATCH_DELETE, NULL);
    s_flush(w);
    gw_wait(w, 9000);
    assert_null(w->answered);
    gw_wait(w, 1100);
    Milvus__FlushResponse *r = gw_got(w, &milvus__flush_response__descriptor);
    assert_int_equal(r->status->code, 503);
    assert_string_equal(r->status->reason, "channel not available[channel=dml_1_7v1]: "
                        "no data node has it open");
}

static void what_is_dropped_meanwhile_is_not_found(void **state)
{
    gw_world_t *w = *state;
    gw_show(w, "owner/dml_1", META_WATCH_DELETE, NULL);
    s_flush(w);
    gw_show(w, "coll/7", META_WATCH_DELETE, NULL);
    gw_wait(w, 200);
    Milvus__FlushResponse *r = gw_got(w, &milvus__flush_response__descriptor);
    assert_int_equal(r->status->code, 100);
}

static void an_error_that_stays_ends_the_call(void **state)
{
    gw_world_t *w = *state;
    s_flush(w);
    gw_asked_t first = gw_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-11");
    gw_asked_t second = gw_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-12");
    gw_fail(w, first, ERR_NETWORK);              /* passes, */
    gw_fail(w, second, ERR_DISK);                /* but this one does not */
    Milvus__FlushResponse *r = gw_got(w, &milvus__flush_response__descriptor);
    assert_int_equal(r->status->code, err_code(ERR_DISK));
    assert_string_equal(r->status->reason, err_text(ERR_DISK));
}

static void s_answer_states(gw_world_t *w, Elanus__SegmentState state, uint64_t min_ts)
{
    Elanus__Segment segment = ELANUS__SEGMENT__INIT, *list[] = { &segment };
    segment.id = 100;
    segment.state = state;
    segment.min_ts = min_ts;
    Elanus__SegmentList some = ELANUS__SEGMENT_LIST__INIT, none = some;
    some.segments = list;
    some.n_segments = 1;
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_SEGMENTS, "inproc://datanode-11"), &some);
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_SEGMENTS, "inproc://datanode-12"), &none);
}

static void s_ask_state(gw_world_t *w, int64_t *ids, size_t n)
{
    Milvus__GetFlushStateRequest request = MILVUS__GET_FLUSH_STATE_REQUEST__INIT;
    request.segmentids = ids;
    request.n_segmentids = n;
    request.collection_name = "a";
    request.flush_ts = 50;
    gw_send(w, "GetFlushState", &request);
}

static bool s_flushed(gw_world_t *w)
{
    Milvus__GetFlushStateResponse *r = gw_got(w, &milvus__get_flush_state_response__descriptor);
    assert_int_equal(r->status->code, 0);
    return r->flushed;
}

static void flushed_is_what_no_owner_still_holds(void **state)
{
    gw_world_t *w = *state;
    int64_t ids[] = { 100 };
    s_ask_state(w, ids, 1);
    s_answer_states(w, ELANUS__SEGMENT_STATE__SEGMENT_SEALED, 40);
    assert_null(w->answered);                   /* it looks again before it says no */
    gw_wait(w, 25);
    s_answer_states(w, ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED, 40);
    assert_true(s_flushed(w));

    s_ask_state(w, ids, 1);
    for (int i = 0; i < 100 && !w->answered; i++) {
        s_answer_states(w, ELANUS__SEGMENT_STATE__SEGMENT_SEALED, 40);
        if (!w->answered)
            gw_wait(w, 21);
    }
    assert_false(s_flushed(w));

    s_ask_state(w, NULL, 0);                    /* by time: what began later does not matter */
    s_answer_states(w, ELANUS__SEGMENT_STATE__SEGMENT_SEALED, 60);
    assert_true(s_flushed(w));
    Milvus__GetFlushStateRequest nothing = MILVUS__GET_FLUSH_STATE_REQUEST__INIT;
    gw_send(w, "GetFlushState", &nothing);
    assert_true(s_flushed(w));
}

static void what_grows_again_is_sealed_again(void **state)
{
    gw_world_t *w = *state;
    int64_t ids[] = { 100 };
    s_ask_state(w, ids, 1);
    s_answer_states(w, ELANUS__SEGMENT_STATE__SEGMENT_GROWING, 40);
    uint64_t id = 100;
    Elanus__Sealed sealed = s_sealed(&id, 5);
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-11"), &sealed);
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-12"), &sealed);
    assert_false(s_flushed(w));
    s_ask_state(w, NULL, 0);                    /* after the flush: another matter */
    s_answer_states(w, ELANUS__SEGMENT_STATE__SEGMENT_GROWING, 60);
    assert_true(s_flushed(w));
}

static void flush_all_seals_all_collections(void **state)
{
    gw_world_t *w = *state;
    uint64_t id = 100;
    Elanus__Sealed sealed = s_sealed(&id, UINT64_MAX - 1);
    Milvus__FlushAllRequest request = MILVUS__FLUSH_ALL_REQUEST__INIT;
    gw_send(w, "FlushAll", &request);
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-11"), &sealed);
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_SEAL, "inproc://datanode-12"), &sealed);
    Milvus__FlushAllResponse *r = gw_got(w, &milvus__flush_all_response__descriptor);
    assert_true(r->flush_all_ts == UINT64_MAX - 1);
    request.db_name = "elsewhere";
    gw_send(w, "FlushAll", &request);
    r = gw_got(w, &milvus__flush_all_response__descriptor);
    assert_int_equal(r->flush_all_ts, (uint64_t)(1700000000000 + w->now_ms) << 18);

    Milvus__GetFlushAllStateRequest state_request = MILVUS__GET_FLUSH_ALL_STATE_REQUEST__INIT;
    state_request.flush_all_ts = 50;
    gw_send(w, "GetFlushAllState", &state_request);
    s_answer_states(w, ELANUS__SEGMENT_STATE__SEGMENT_SEALED, 60);
    Milvus__GetFlushAllStateResponse *done =
        gw_got(w, &milvus__get_flush_all_state_response__descriptor);
    assert_true(done->flushed);
}

/* --- counting -------------------------------------------------------------------------------- */

static Elanus__Segment s_segment(uint64_t id, uint64_t partition, uint64_t rows, bool dropped)
{
    Elanus__Segment segment = ELANUS__SEGMENT__INIT;
    segment.id = id;
    segment.collection = 7;
    segment.partition = partition;
    segment.rows = rows;
    segment.state = dropped ? ELANUS__SEGMENT_STATE__SEGMENT_DROPPED
                            : ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED;
    segment.vchannel = (char *)"dml_0_7v0";
    return segment;
}

static void rows_are_counted_in_metadata(void **state)
{
    gw_world_t *w = *state;
    Elanus__Segment s[] = { s_segment(5, 70, 10, false), s_segment(4, 71, 100, false),
                            s_segment(6, 70, 1000, true) };
    Elanus__Segment *list[] = { &s[0], &s[1], &s[2] };
    Milvus__GetCollectionStatisticsRequest all = MILVUS__GET_COLLECTION_STATISTICS_REQUEST__INIT;
    all.collection_name = "a";
    gw_send(w, "GetCollectionStatistics", &all);
    gw_list(w, gw_next(w, 0, "seg/7/"), list, 3);
    Milvus__GetCollectionStatisticsResponse *r =
        gw_got(w, &milvus__get_collection_statistics_response__descriptor);
    assert_string_equal(r->stats[0]->key, "row_count");
    assert_string_equal(r->stats[0]->value, "110");

    Milvus__GetPartitionStatisticsRequest one = MILVUS__GET_PARTITION_STATISTICS_REQUEST__INIT;
    one.collection_name = "a";
    one.partition_name = "other";
    gw_send(w, "GetPartitionStatistics", &one);
    gw_list(w, gw_next(w, 0, "seg/7/"), list, 3);
    Milvus__GetPartitionStatisticsResponse *p =
        gw_got(w, &milvus__get_partition_statistics_response__descriptor);
    assert_string_equal(p->stats[0]->value, "100");

    Milvus__DescribeIndexRequest index = MILVUS__DESCRIBE_INDEX_REQUEST__INIT;
    index.collection_name = "a";
    gw_send(w, "DescribeIndex", &index);
    gw_list(w, gw_next(w, 0, "seg/7/"), list, 3);
    gw_list(w, gw_next(w, 0, "build/7/"), NULL, 0);
    Milvus__DescribeIndexResponse *d = gw_got(w, &milvus__describe_index_response__descriptor);
    assert_int_equal(d->index_descriptions[0]->total_rows, 110);
    assert_int_equal(d->index_descriptions[0]->indexed_rows, 110);
    assert_int_equal(d->index_descriptions[0]->pending_index_rows, 0);

    Milvus__GetPersistentSegmentInfoRequest info =
        MILVUS__GET_PERSISTENT_SEGMENT_INFO_REQUEST__INIT;
    info.collectionname = "a";
    gw_send(w, "GetPersistentSegmentInfo", &info);
    gw_list(w, gw_next(w, 0, "seg/7/"), list, 3);
    Milvus__GetPersistentSegmentInfoResponse *i =
        gw_got(w, &milvus__get_persistent_segment_info_response__descriptor);
    assert_int_equal(i->n_infos, 2);
    assert_int_equal(i->infos[0]->segmentid, 4);
    assert_int_equal(i->infos[0]->num_rows, 100);
    assert_int_equal(i->infos[0]->state, COMMON__SEGMENT_STATE__Flushed);
}

static void metadata_that_is_away_is_an_error(void **state)
{
    gw_world_t *w = *state;
    Milvus__GetCollectionStatisticsRequest all = MILVUS__GET_COLLECTION_STATISTICS_REQUEST__INIT;
    all.collection_name = "a";
    gw_send(w, "GetCollectionStatistics", &all);
    gw_asked_t asked = gw_next(w, 0, "seg/7/");
    event_t ev = { .kind = EV_META, .cookie = asked.cookie, .err = ERR_META, .text = "etcd: away" };
    gw_step(w, ev);
    Milvus__GetCollectionStatisticsResponse *r =
        gw_got(w, &milvus__get_collection_statistics_response__descriptor);
    assert_int_equal(r->status->code, err_code(ERR_META));
    assert_true(r->status->retriable);
    assert_string_equal(r->status->reason, "etcd: away");
}

/* --- loading --------------------------------------------------------------------------------- */

static void s_ask_progress(gw_world_t *w, const char *partition)
{
    Milvus__GetLoadingProgressRequest request = MILVUS__GET_LOADING_PROGRESS_REQUEST__INIT;
    request.collection_name = "a";
    request.partition_names = &partition;
    request.n_partition_names = partition != NULL;
    gw_send(w, "GetLoadingProgress", &request);
}

static const Milvus__GetLoadingProgressResponse *s_progress(gw_world_t *w)
{
    return gw_got(w, &milvus__get_loading_progress_response__descriptor);
}

static Common__LoadState s_load_state(gw_world_t *w, const char *name, uint32_t percent)
{
    Milvus__GetLoadStateRequest request = MILVUS__GET_LOAD_STATE_REQUEST__INIT;
    request.collection_name = name;
    gw_send(w, "GetLoadState", &request);
    Elanus__Loaded loaded = ELANUS__LOADED__INIT;
    loaded.percent = percent;
    while (w->n > 0) {
        const gw_asked_t oldest = w->asked[0];
        gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_LOADED, oldest.to), &loaded);
    }
    const Milvus__GetLoadStateResponse *r = gw_got(w, &milvus__get_load_state_response__descriptor);
    return r->state;
}

static void what_shall_not_be_loaded_is_not(void **state)
{
    gw_world_t *w = *state;
    s_ask_progress(w, NULL);
    assert_int_equal(s_progress(w)->status->code, 101);
    assert_int_equal(s_load_state(w, "a", 0), COMMON__LOAD_STATE__LoadStateNotLoad);
    assert_int_equal(s_load_state(w, "none", 0), COMMON__LOAD_STATE__LoadStateNotExist);
    gw_put_load(w, false);
    s_ask_progress(w, "other");
    assert_int_equal(s_progress(w)->status->code, 101);
}

static void progress_is_the_least_of_the_leaders(void **state)
{
    gw_world_t *w = *state;
    gw_put_load(w, true);
    gw_put_replica(w, 30, 21, 22);
    Elanus__Loaded part = ELANUS__LOADED__INIT, all = ELANUS__LOADED__INIT;
    part.percent = 40;
    all.percent = 100;
    s_ask_progress(w, "other");
    Elanus__LoadedAsk *ask = NULL;
    for (int i = 0; i < 100 && !w->answered; i++) {     /* a little patience, then the truth */
        gw_asked_t first = gw_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-21");
        assert_int_equal(PB_UNPACK(&w->ctx, elanus__loaded_ask, first.payload, &ask), OK);
        assert_int_equal(ask->partitions[0], 71);
        gw_answer(w, first, &all);
        gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-22"), &part);
        if (!w->answered)
            gw_wait(w, 11);
    }
    assert_int_equal(s_progress(w)->progress, 40);
    assert_int_equal(s_progress(w)->status->code, 0);

    s_ask_progress(w, NULL);
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-21"), &all);
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-22"), &all);
    assert_int_equal(s_progress(w)->progress, 100);
    assert_int_equal(s_load_state(w, "a", 99), COMMON__LOAD_STATE__LoadStateLoading);
    assert_int_equal(s_load_state(w, "a", 100), COMMON__LOAD_STATE__LoadStateLoaded);
    gw_show(w, "session/querynode-22", META_WATCH_DELETE, NULL);
    assert_int_equal(s_load_state(w, "a", 100), COMMON__LOAD_STATE__LoadStateLoading);
}

static void who_does_not_answer_has_nothing_and_trouble_is_told(void **state)
{
    gw_world_t *w = *state;
    gw_put_load(w, true);
    s_ask_progress(w, NULL);                    /* no replica yet */
    gw_wait(w, 200);
    assert_int_equal(s_progress(w)->progress, 0);
    assert_int_equal(s_progress(w)->status->code, 0);
    gw_put_replica(w, 30, 21, 21);
    s_ask_progress(w, NULL);
    for (int i = 0; i < 100 && !w->answered; i++) {
        gw_fail(w, gw_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-21"), ERR_NETWORK);
        if (!w->answered)
            gw_wait(w, 11);
    }
    assert_int_equal(s_progress(w)->progress, 0);
    s_ask_progress(w, NULL);
    Elanus__Loaded stuck = ELANUS__LOADED__INIT;
    stuck.percent = 10;
    stuck.error = (char *)"out of memory";
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-21"), &stuck);
    assert_int_equal(s_progress(w)->status->code, 604);
    assert_string_equal(s_progress(w)->status->reason, "show collection failed: out of memory");
}

static void what_is_in_memory_is_shown_with_percentages(void **state)
{
    gw_world_t *w = *state;
    gw_put_load(w, false);
    gw_put_replica(w, 30, 21, 21);
    Elanus__Loaded loaded = ELANUS__LOADED__INIT;
    loaded.percent = 30;
    Milvus__ShowCollectionsRequest request = MILVUS__SHOW_COLLECTIONS_REQUEST__INIT;
    request.type = MILVUS__SHOW_TYPE__InMemory;
    gw_send(w, "ShowCollections", &request);
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-21"), &loaded);
    Milvus__ShowCollectionsResponse *r =
        gw_got(w, &milvus__show_collections_response__descriptor);
    assert_int_equal(r->n_collection_names, 1);
    assert_int_equal(r->inmemory_percentages[0], 30);
    assert_false(r->query_service_available[0]);

    Milvus__ShowPartitionsRequest parts = MILVUS__SHOW_PARTITIONS_REQUEST__INIT;
    parts.collection_name = "a";
    parts.type = MILVUS__SHOW_TYPE__InMemory;
    gw_send(w, "ShowPartitions", &parts);
    loaded.percent = 100;
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-21"), &loaded);
    Milvus__ShowPartitionsResponse *p = gw_got(w, &milvus__show_partitions_response__descriptor);
    assert_int_equal(p->n_partition_names, 1);
    assert_string_equal(p->partition_names[0], "_default");
    assert_int_equal(p->inmemory_percentages[0], 100);
}

static void loaded_segments_of_two_replicas_are_one(void **state)
{
    gw_world_t *w = *state;
    gw_put_load(w, true);
    gw_put_replica(w, 30, 21, 21);
    gw_put_replica(w, 31, 22, 22);
    Milvus__GetQuerySegmentInfoRequest request = MILVUS__GET_QUERY_SEGMENT_INFO_REQUEST__INIT;
    request.collectionname = "a";
    gw_send(w, "GetQuerySegmentInfo", &request);
    Elanus__LoadedSegment s[2] = { ELANUS__LOADED_SEGMENT__INIT, ELANUS__LOADED_SEGMENT__INIT };
    s[0].id = 100;
    s[0].partition = 70;
    s[0].rows = 5;
    s[0].state = ELANUS__SEGMENT_STATE__SEGMENT_FLUSHED;
    s[1].id = 101;                              /* growing: Milvus does not list it */
    Elanus__LoadedSegment *list[] = { &s[0], &s[1] };
    Elanus__Loaded loaded = ELANUS__LOADED__INIT;
    loaded.segments = list;
    loaded.n_segments = 2;
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-21"), &loaded);
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_LOADED, "inproc://querynode-22"), &loaded);
    Milvus__GetQuerySegmentInfoResponse *r =
        gw_got(w, &milvus__get_query_segment_info_response__descriptor);
    assert_int_equal(r->n_infos, 1);
    assert_int_equal(r->infos[0]->segmentid, 100);
    assert_int_equal(r->infos[0]->collectionid, 7);
    assert_int_equal(r->infos[0]->num_rows, 5);
    assert_int_equal(r->infos[0]->n_nodeids, 2);
    assert_int_equal(r->infos[0]->nodeid, 21);
    assert_string_equal(r->infos[0]->index_name, "v_idx");
    assert_int_equal(r->infos[0]->state, COMMON__SEGMENT_STATE__Sealed);

    Milvus__GetReplicasRequest replicas = MILVUS__GET_REPLICAS_REQUEST__INIT;
    replicas.collectionid = 7;
    replicas.with_shard_nodes = true;
    gw_send(w, "GetReplicas", &replicas);
    Milvus__GetReplicasResponse *g = gw_got(w, &milvus__get_replicas_response__descriptor);
    assert_int_equal(g->n_replicas, 2);
    assert_int_equal(g->replicas[0]->replicaid, 30);
    assert_int_equal(g->replicas[0]->n_shard_replicas, 2);
    assert_string_equal(g->replicas[0]->shard_replicas[1]->dm_channel_name, "dml_1_7v1");
    assert_string_equal(g->replicas[1]->shard_replicas[0]->leader_addr, "inproc://querynode-22");
    replicas.collectionid = 8;
    gw_send(w, "GetReplicas", &replicas);
    g = gw_got(w, &milvus__get_replicas_response__descriptor);
    assert_int_equal(g->status->code, 100);
}

/* --- compaction ------------------------------------------------------------------------------ */

static void s_compact(gw_world_t *w, uint32_t planned)
{
    Milvus__ManualCompactionRequest request = MILVUS__MANUAL_COMPACTION_REQUEST__INIT;
    request.collectionid = 7;
    gw_send(w, "ManualCompaction", &request);
    Elanus__IdRange range = ELANUS__ID_RANGE__INIT;
    range.first = 555;
    range.n = 1;
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_ALLOC_IDS, "inproc://coord"), &range);
    gw_asked_t first = gw_next(w, ELANUS__METHOD__METHOD_COMPACT, "inproc://datanode-11");
    Elanus__CompactAsk *ask = NULL;
    assert_int_equal(PB_UNPACK(&w->ctx, elanus__compact_ask, first.payload, &ask), OK);
    assert_int_equal(ask->id, 555);
    assert_int_equal(ask->collection, 7);
    Elanus__Compaction some = ELANUS__COMPACTION__INIT, none = some;
    some.executing = planned;
    gw_answer(w, first, &some);
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_COMPACT, "inproc://datanode-12"), &none);
}

static void a_compaction_has_an_id_when_there_is_something_to_do(void **state)
{
    gw_world_t *w = *state;
    s_compact(w, 2);
    Milvus__ManualCompactionResponse *r =
        gw_got(w, &milvus__manual_compaction_response__descriptor);
    assert_int_equal(r->compactionid, 555);
    assert_int_equal(r->compactionplancount, 2);
    s_compact(w, 0);
    r = gw_got(w, &milvus__manual_compaction_response__descriptor);
    assert_int_equal(r->compactionid, -1);
    assert_int_equal(r->status->code, 0);

    Milvus__ManualCompactionRequest request = MILVUS__MANUAL_COMPACTION_REQUEST__INIT;
    request.collection_name = "nope";
    gw_send(w, "ManualCompaction", &request);
    r = gw_got(w, &milvus__manual_compaction_response__descriptor);
    assert_int_equal(r->status->code, 100);
    request.collection_name = "a";
    request.majorcompaction = true;
    gw_send(w, "ManualCompaction", &request);
    r = gw_got(w, &milvus__manual_compaction_response__descriptor);
    assert_int_equal(r->status->code, 10);
}

static void the_state_of_a_compaction_is_that_of_all_nodes(void **state)
{
    gw_world_t *w = *state;
    uint64_t from[] = { 1, 2 };
    Elanus__CompactionMerge merge = ELANUS__COMPACTION_MERGE__INIT, *merges[] = { &merge };
    merge.from = from;
    merge.n_from = 2;
    merge.into = 3;
    Elanus__Compaction busy = ELANUS__COMPACTION__INIT, done = busy;
    busy.executing = 1;
    done.completed = 4;
    done.failed = 1;
    done.merges = merges;
    done.n_merges = 1;
    Milvus__GetCompactionStateRequest request = MILVUS__GET_COMPACTION_STATE_REQUEST__INIT;
    request.compactionid = 555;
    gw_send(w, "GetCompactionState", &request);
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_COMPACTION, "inproc://datanode-11"), &busy);
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_COMPACTION, "inproc://datanode-12"), &done);
    Milvus__GetCompactionStateResponse *r =
        gw_got(w, &milvus__get_compaction_state_response__descriptor);
    assert_int_equal(r->state, COMMON__COMPACTION_STATE__Executing);
    assert_int_equal(r->completedplanno, 4);
    assert_int_equal(r->failedplanno, 1);

    Milvus__GetCompactionPlansRequest plans = MILVUS__GET_COMPACTION_PLANS_REQUEST__INIT;
    plans.compactionid = 555;
    gw_send(w, "GetCompactionStateWithPlans", &plans);
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_COMPACTION, "inproc://datanode-11"), &done);
    gw_answer(w, gw_next(w, ELANUS__METHOD__METHOD_COMPACTION, "inproc://datanode-12"), &done);
    Milvus__GetCompactionPlansResponse *p =
        gw_got(w, &milvus__get_compaction_plans_response__descriptor);
    assert_int_equal(p->state, COMMON__COMPACTION_STATE__Completed);
    assert_int_equal(p->n_mergeinfos, 2);
    assert_int_equal(p->mergeinfos[0]->sources[1], 2);
    assert_int_equal(p->mergeinfos[0]->target, 3);

    request.compactionid = -1;                  /* nothing was to be done: that is done */
    gw_send(w, "GetCompactionState", &request);
    r = gw_got(w, &milvus__get_compaction_state_response__descriptor);
    assert_int_equal(r->state, COMMON__COMPACTION_STATE__Completed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, gw_up, gw_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_flush_seals_at_every_owner),
        TEST(a_flush_waits_for_an_owner_and_asks_the_new_one),
        TEST(patience_has_an_end),
        TEST(what_is_dropped_meanwhile_is_not_found),
        TEST(an_error_that_stays_ends_the_call),
        TEST(flushed_is_what_no_owner_still_holds),
        TEST(what_grows_again_is_sealed_again),
        TEST(flush_all_seals_all_collections),
        TEST(rows_are_counted_in_metadata),
        TEST(metadata_that_is_away_is_an_error),
        TEST(what_shall_not_be_loaded_is_not),
        TEST(progress_is_the_least_of_the_leaders),
        TEST(who_does_not_answer_has_nothing_and_trouble_is_told),
        TEST(what_is_in_memory_is_shown_with_percentages),
        TEST(loaded_segments_of_two_replicas_are_one),
        TEST(a_compaction_has_an_id_when_there_is_something_to_do),
        TEST(the_state_of_a_compaction_is_that_of_all_nodes),
    };
    log_set_level(LOG_FATAL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
