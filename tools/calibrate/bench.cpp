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
#include <iterator>
#include <numeric>
#include <stdexcept>
#include <system_error>
#include <utility>

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

bool is_exact = false;

}  // namespace

void set_exact_clock() {
    is_exact = true;
}

bool exact_clock() {
    return is_exact;
}

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

namespace {

const real::Pace& usual_pace() {
    static const real::Pace pace(real::fastest_call_ns(exact_clock() ? 0.001 : 2));
    return pace;
}

/// Where kinds of interruptions end, in nanoseconds.
constexpr double gap_ends[] = {1e3, 2e3, 4e3, 8e3, 16e3, 32e3, 64e3, 128e3, 256e3, 1e9};

std::vector<Interruption> measure_interruptions() {
    constexpr double shortest = 500;
    const double seconds = exact_clock() ? 0.1 : 1;
    constexpr double patience = 20;  // seconds; the machine may never be that fast again
    double counts[std::size(gap_ends)] = {};
    double sums[std::size(gap_ends)] = {};
    double span = 0;
    static_cast<void>(tick_ns());  // takes a while the first time, which would be a gap
    real::PaceWatch watch(usual_pace());
    const std::int64_t latest = real::now_ns() + static_cast<std::int64_t>(patience * 1e9);
    while (span < seconds * 1e9 && real::now_ns() < latest) {
        std::vector<double> gaps;
        const std::uint64_t began = stamps::ticks();
        std::uint64_t last = began;
        while (static_cast<double>(last - began) * tick_ns() < real::Pace::stretch_ns) {
            const std::uint64_t now = stamps::ticks();
            const double gap = static_cast<double>(now - last) * tick_ns();
            if (gap > shortest) {
                gaps.push_back(gap);
            }
            last = now;
        }
        if (!watch.end()) {
            continue;
        }
        span += static_cast<double>(last - began) * tick_ns();
        for (const double gap : gaps) {
            const auto kind = std::upper_bound(std::begin(gap_ends), std::end(gap_ends), gap) -
                              std::begin(gap_ends);
            counts[kind] += 1;
            sums[kind] += gap;
        }
    }
    std::vector<Interruption> kinds;
    for (std::size_t i = 0; i < std::size(gap_ends); ++i) {
        if (counts[i] > 0) {
            kinds.push_back({span / counts[i], sums[i] / counts[i]});
        }
    }
    return kinds;
}

}  // namespace

const std::vector<Interruption>& interruptions() {
    static const std::vector<Interruption> all = measure_interruptions();
    return all;
}

double interrupted_share() {
    double share = 0;
    for (const Interruption& one : interruptions()) {
        share += one.time / one.interval;
    }
    return share;
}

Sample::Sample() : watch_(usual_pace()), began_(real::now_ns()) {}

void Sample::add(double ns) {
    all_.push_back(ns);
    stretch_.push_back(ns);
    if (real::now_ns() - began_ < real::Pace::stretch_ns) {
        return;
    }
    if (watch_.end()) {
        kept_.insert(kept_.end(), stretch_.begin(), stretch_.end());
    }
    stretch_.clear();
    began_ = real::now_ns();
}

const std::vector<double>& Sample::values() const {
    return kept_.size() * 10 > all_.size() ? kept_ : all_;
}

double Sample::mean() const {
    const std::vector<double>& times = values();
    if (times.empty()) {
        return 0;
    }
    const double sum = std::accumulate(times.begin(), times.end(), 0.0);
    return sum / static_cast<double>(times.size()) * (1 - interrupted_share());
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
    : path_(path), fd_(open(path.c_str(), flags | O_CLOEXEC, 0600)) {
    if (fd_ < 0) {
        throw std::system_error(errno, std::generic_category(), path);
    }
}

Descriptor::~Descriptor() {
    close(fd_);
}

}  // namespace fusesim::calibrate
