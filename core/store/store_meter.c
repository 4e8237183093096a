/* store_meter - see store_meter.h */
#include "core/store/store_meter.h"

/* Milvus's buckets for sizes. */
static const double s_sizes[] = { 1e4, 1e5, 1e6, 1e8, 5e8, 1.024e9, 2.048e9, 4.096e9, 1e10, 5e10 };

void store_meter_init(store_meter_t *self, metrics_t *to)
{
    *self = (store_meter_t){ .to = to };
    self->ops = metrics_counter(to, "milvus_storage_op_count",
        "attempts at the object store and how they ended; status total is all of them",
        "persistent_data_op_type,status");
    self->latency = metrics_histogram(to, "milvus_storage_request_latency",
        "of one attempt, in ms", "persistent_data_op_type", metrics_latency_ms, METRICS_LATENCY_N);
    self->sizes = metrics_histogram(to, "milvus_storage_kv_size",
        "bytes of objects put, and of what was got at once", "persistent_data_op_type", s_sizes,
        ARRAY_LEN(s_sizes));
}

void store_meter_count(const store_meter_t *self, const char *what, int64_t began_us, err_t err,
                       uint64_t bytes)
{
    if (!self->to)
        return;
    bool good = err == OK || err == ERR_KEY_NOT_FOUND;
    (void)metrics_took_ms(metrics_cell(self->latency, what), began_us);
    metrics_add(metrics_cell(self->ops, what, "total"), 1);
    metrics_add(metrics_cell(self->ops, what, good ? "success" : "fail"), 1);
    if (err == OK && bytes)
        metrics_observe(metrics_cell(self->sizes, what), (double)bytes);
}
