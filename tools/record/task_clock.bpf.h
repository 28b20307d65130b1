/* SPDX-License-Identifier: GPL-2.0 */
/* How long a thread was on a core and asleep, without the time it waited for a core. */
#ifndef FUSESIM_RECORD_TASK_CLOCK_H
#define FUSESIM_RECORD_TASK_CLOCK_H

enum task_state { TASK_UNSEEN, TASK_ON_CPU, TASK_WAITS_FOR_CPU, TASK_ASLEEP };

struct task_clock {
    __u64 since;                  /* when it came into its state */
    __u64 cpu;                    /* on a core so far */
    __u64 blocked;                /* asleep so far, as far as it is counted */
    __u64 base_cpu, base_blocked; /* the same when it last came back from the mount */
    __u8 state;
    __u8 has_base;
};

/* A waker on another core reads its time before the sleeper enters its state: then `now` is the
   earlier one by some nanoseconds, and nothing has passed. */
static __always_inline __u64 in_state(const struct task_clock* clock, __u64 now) {
    return now > clock->since ? now - clock->since : 0;
}

static __always_inline __u64 cpu_until(const struct task_clock* clock, __u64 now) {
    return clock->state == TASK_ON_CPU ? clock->cpu + in_state(clock, now) : clock->cpu;
}

/* The thread that runs is seen for the first time. */
static __always_inline void clock_start(struct task_clock* clock, __u64 now) {
    if (clock->state == TASK_UNSEEN) {
        clock->state = TASK_ON_CPU;
        clock->since = now;
    }
}

static __always_inline void clock_set_base(struct task_clock* clock, __u64 now) {
    clock->base_cpu = cpu_until(clock, now);
    clock->base_blocked = clock->blocked;
    clock->has_base = 1;
}

static __always_inline void clock_leaves_cpu(struct task_clock* clock, int sleeps, __u64 now) {
    clock->cpu = cpu_until(clock, now);
    clock->since = now;
    clock->state = sleeps ? TASK_ASLEEP : TASK_WAITS_FOR_CPU;
}

/* Returns whether it was asleep. */
static __always_inline int clock_wakes(struct task_clock* clock, int counts, __u64 now) {
    if (clock->state != TASK_ASLEEP) {
        return 0;
    }
    if (counts) {
        clock->blocked += in_state(clock, now);
    }
    clock->state = TASK_WAITS_FOR_CPU;
    clock->since = now;
    return 1;
}

static __always_inline void clock_gets_cpu(struct task_clock* clock, __u64 now) {
    if (clock->state == TASK_ASLEEP) { /* woken in the instant before it slept */
        clock->blocked += in_state(clock, now);
    }
    clock->state = TASK_ON_CPU;
    clock->since = now;
}

#endif
