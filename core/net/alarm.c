/* alarm - see alarm.h */
#include "core/net/alarm.h"

static alarm_t **s_slot(const alarms_t *alarms, size_t place)
{
    return (alarm_t **)alarms->heap.ptr + place - 1;
}

static void s_put(alarms_t *alarms, size_t place, alarm_t *alarm)
{
    *s_slot(alarms, place) = alarm;
    alarm->place = place;
}

/* Move the alarm towards the front while it rings before its parent. */
static void s_rise(alarms_t *alarms, alarm_t *alarm)
{
    size_t place = alarm->place;
    for (; place > 1; place /= 2) {
        alarm_t *parent = *s_slot(alarms, place / 2);
        if (parent->due_ms <= alarm->due_ms)
            break;
        s_put(alarms, place, parent);
    }
    s_put(alarms, place, alarm);
}

static void s_sink(alarms_t *alarms, alarm_t *alarm)
{
    size_t place = alarm->place, len = alarms->heap.len;
    while (place * 2 <= len) {
        size_t child = place * 2;
        if (child < len && (*s_slot(alarms, child + 1))->due_ms < (*s_slot(alarms, child))->due_ms)
            child++;
        if ((*s_slot(alarms, child))->due_ms >= alarm->due_ms)
            break;
        s_put(alarms, place, *s_slot(alarms, child));
        place = child;
    }
    s_put(alarms, place, alarm);
}

void alarms_init(alarms_t *alarms)
{
    vec_init(&alarms->heap, sizeof(alarm_t *));
}

void alarms_fini(alarms_t *alarms)
{
    vec_fini(&alarms->heap);
}

void alarms_set(alarms_t *alarms, alarm_t *alarm, int64_t due_ms)
{
    alarm->due_ms = due_ms;
    if (alarm->place == 0) {
        vec_push(&alarms->heap, &alarm);
        alarm->place = alarms->heap.len;
    }
    s_rise(alarms, alarm);
    s_sink(alarms, alarm);
}

void alarms_clear(alarms_t *alarms, alarm_t *alarm)
{
    if (alarm->place == 0)
        return;
    check(alarm->place <= alarms->heap.len && *s_slot(alarms, alarm->place) == alarm);
    alarm_t *last = *s_slot(alarms, alarms->heap.len);
    size_t place = alarm->place;
    alarms->heap.len--;
    alarm->place = 0;
    if (last == alarm)
        return;
    s_put(alarms, place, last);
    s_rise(alarms, last);
    s_sink(alarms, last);
}

int64_t alarms_next_ms(const alarms_t *alarms)
{
    return alarms->heap.len ? (*s_slot(alarms, 1))->due_ms : INT64_MAX;
}

alarm_t *alarms_ring(alarms_t *alarms, int64_t now_ms)
{
    if (alarms_next_ms(alarms) > now_ms)
        return NULL;
    alarm_t *alarm = *s_slot(alarms, 1);
    alarms_clear(alarms, alarm);
    return alarm;
}
