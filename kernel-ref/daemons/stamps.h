#pragma once

#include <atomic>
#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>
#else
#include <time.h>
#endif

namespace fusesim::stamps {

/// A time stamp that costs few nanoseconds and means the same on every core: the time stamp
/// counter, or the monotonic clock where there is none. Earlier instructions have ended.
inline std::uint64_t ticks() {
#if defined(__x86_64__)
    _mm_lfence();
    return __rdtsc();
#else
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
           static_cast<std::uint64_t>(now.tv_nsec);
#endif
}

/// What the daemon saw of one request, in ticks. A request without a reply has replies of 0.
struct Served {
    std::uint64_t read_entered;
    std::uint64_t read_returned;
    std::uint64_t reply_entered;
    std::uint64_t reply_returned;
    std::uint64_t unique;
    std::uint32_t opcode;
    std::uint32_t thread;
};

/// A file shared between daemon and observer: this header, then the records. The observer
/// empties it by setting `used` to 0 while no request is under way.
struct Log {
    std::atomic<std::uint64_t> used;
    std::uint64_t capacity;

    Served* records() { return reinterpret_cast<Served*>(this + 1); }

    void append(const Served& served) {
        const std::uint64_t place = used.fetch_add(1, std::memory_order_acq_rel);
        if (place < capacity) {
            records()[place] = served;
        }
    }
};

}  // namespace fusesim::stamps
