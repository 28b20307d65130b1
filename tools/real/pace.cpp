#include "pace.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <ctime>
#include <vector>

namespace fusesim::real {

std::int64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

double empty_call_ns() {
    constexpr int batches = 3;
    constexpr int calls = 6;
    std::int64_t least = 0;
    for (int batch = 0; batch < batches; ++batch) {
        const std::int64_t before = now_ns();
        const std::int64_t began = now_ns();
        for (int i = 0; i < calls; ++i) {
            syscall(SYS_getppid);
        }
        const std::int64_t ended = now_ns();
        const std::int64_t took = ended - began - (began - before);
        least = batch == 0 ? took : std::min(least, took);
    }
    return static_cast<double>(least) / calls;
}

double fastest_call_ns(double seconds) {
    std::vector<double> calls;
    const std::int64_t end = now_ns() + static_cast<std::int64_t>(seconds * 1e9);
    do {
        calls.push_back(empty_call_ns());
    } while (now_ns() < end);
    const auto tenth = calls.begin() + static_cast<std::ptrdiff_t>(calls.size() / 10);
    std::nth_element(calls.begin(), tenth, calls.end());
    return *tenth;
}

}  // namespace fusesim::real
