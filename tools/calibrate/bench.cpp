#include "bench.h"

#include "stamps.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <numeric>
#include <stdexcept>
#include <system_error>

namespace fusesim::calibrate {

namespace {

double monotonic_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

double measure_tick() {
    const std::uint64_t first = stamps::ticks();
    const double began = monotonic_ns();
    double ended = began;
    while (ended - began < 20e6) {
        ended = monotonic_ns();
    }
    return (ended - began) / static_cast<double>(stamps::ticks() - first);
}

double measure_stamp() {
    constexpr int batch = 1000;
    std::vector<double> batches;
    for (int i = 0; i < 100; ++i) {
        const std::uint64_t start = stamps::ticks();
        for (int j = 0; j < batch; ++j) {
            stamps::ticks();
        }
        batches.push_back(static_cast<double>(stamps::ticks() - start) * tick_ns() / batch);
    }
    return median(std::move(batches));
}

}  // namespace

double quantile(std::vector<double> values, double q) {
    if (values.empty()) {
        return 0;
    }
    const auto place = static_cast<std::size_t>(q * static_cast<double>(values.size() - 1) + 0.5);
    std::nth_element(
        values.begin(), values.begin() + static_cast<std::ptrdiff_t>(place), values.end());
    return values[place];
}

double median(std::vector<double> values) {
    return quantile(std::move(values), 0.5);
}

double middle_mean(std::vector<double> values) {
    if (values.empty()) {
        return 0;
    }
    std::sort(values.begin(), values.end());
    const auto cut = static_cast<std::ptrdiff_t>(values.size() / 10);
    const auto kept = static_cast<std::ptrdiff_t>(values.size()) - 2 * cut;
    return std::accumulate(values.begin() + cut, values.end() - cut, 0.0) /
           static_cast<double>(kept);
}

double usual_mean(const std::vector<double>& values) {
    if (values.empty()) {
        return 0;
    }
    const double most = quantile(values, 0.995);
    double sum = 0;
    for (const double value : values) {
        sum += std::min(value, most);
    }
    return sum / static_cast<double>(values.size());
}

Figure agree(const std::vector<double>& repeats) {
    const double middle = median(repeats);
    const double range = quantile(repeats, 0.8) - quantile(repeats, 0.2);
    return {middle, middle != 0 ? range / 2 / (middle < 0 ? -middle : middle) : 0};
}

double tick_ns() {
    static const double value = measure_tick();
    return value;
}

double stamp_ns() {
    static const double value = measure_stamp();
    return value;
}

void Policy::set(int policy) {
    const sched_param none{};
    if (sched_setscheduler(0, policy, &none) != 0) {
        throw std::system_error(errno, std::generic_category(), "sched_setscheduler");
    }
}

Shared::Shared(std::size_t bytes)
    : memory_(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)),
      bytes_(bytes) {
    if (memory_ == MAP_FAILED) {
        throw std::system_error(errno, std::generic_category(), "mmap");
    }
    std::memset(memory_, 0, bytes);
}

Shared::~Shared() {
    munmap(memory_, bytes_);
}

Descriptor::Descriptor(const std::string& path, int flags)
    : fd_(open(path.c_str(), flags | O_CLOEXEC)) {
    if (fd_ < 0) {
        throw std::system_error(errno, std::generic_category(), path);
    }
}

Descriptor::~Descriptor() {
    close(fd_);
}

}  // namespace fusesim::calibrate
