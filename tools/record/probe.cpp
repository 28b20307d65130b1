#include "probe.h"

#include "call_record.skel.h"
#include "calls.h"
#include "fuse_record.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <string>

namespace fusesim::record {

namespace {

using Clock = std::chrono::steady_clock;

// libbpf explains a refusal in hundreds of lines; the errno says enough.
int be_silent(enum libbpf_print_level, const char*, va_list) {
    return 0;
}

[[noreturn]] void refuse(const char* what, int error) {
    throw Probe::Refused(fmt::format("{}: {}", what, std::strerror(error < 0 ? -error : error)));
}

struct RunTime {
    std::uint64_t ns = 0;
    std::uint64_t runs = 0;
};

int on_event(void* collector, void* data, std::size_t) {
    static_cast<Collector*>(collector)->handle(*static_cast<const event*>(data));
    return 0;
}

/// What both layers have in common; bpftool generates the skeletons.
template <typename Skeleton>
class SkeletonProbe : public Probe {
  public:
    SkeletonProbe() : bpf_(Skeleton::open()) {
        if (bpf_ == nullptr) {
            refuse("the BPF object cannot be opened", errno);
        }
    }

    SkeletonProbe(const SkeletonProbe&) = delete;
    SkeletonProbe& operator=(const SkeletonProbe&) = delete;

    ~SkeletonProbe() override {
        if (stats_fd_ >= 0) {
            close(stats_fd_);
        }
        ring_buffer__free(ring_);
        Skeleton::destroy(bpf_);
    }

    void start() {
        if (const int error = Skeleton::load(bpf_); error != 0) {
            refuse("the kernel does not load the BPF programs", error);
        }
        if (const int error = Skeleton::attach(bpf_); error != 0) {
            refuse("the kernel does not attach the BPF programs", error);
        }
        bpf_->bss->accept_new = 1;
    }

    Skeleton& bpf() { return *bpf_; }

    const Skeleton& bpf() const { return *bpf_; }

    void consume(Collector& collector) override {
        timespec now{};
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (ring_ == nullptr) {
            ring_ = ring_buffer__new(bpf_map__fd(bpf_->maps.events), on_event, &collector, nullptr);
            if (ring_ == nullptr) {
                refuse("no ring buffer", errno);
            }
        }
        ring_buffer__consume(ring_);
        collector.flush(now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec);
    }

    void stop_new() override { bpf_->bss->accept_new = 0; }

    void detach() override {
        stop_measuring();
        Skeleton::detach(bpf_);
    }

    void start_measuring() override {
        if (stats_fd_ < 0) {
            before_ = run_time();
            stats_fd_ = bpf_enable_stats(BPF_STATS_RUN_TIME);
            since_ = Clock::now();
        }
    }

    void stop_measuring() override {
        if (stats_fd_ < 0) {
            return;
        }
        const RunTime now = run_time();
        overhead_.window_seconds += std::chrono::duration<double>(Clock::now() - since_).count();
        overhead_.seconds += static_cast<double>(now.ns - before_.ns) * 1e-9;
        overhead_.runs += now.runs - before_.runs;
        close(stats_fd_);
        stats_fd_ = -1;
    }

    bool is_measuring() const override { return stats_fd_ >= 0; }

    Overhead overhead() const override { return overhead_; }

    recorder_counts counts() const override { return bpf_->bss->counts; }

  private:
    RunTime run_time() const {
        RunTime sum;
        bpf_program* program = nullptr;
        bpf_object__for_each_program(program, bpf_->obj) {
            bpf_prog_info info{};
            __u32 size = sizeof info;
            const int fd = bpf_program__fd(program);
            if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0) {
                sum.ns += info.run_time_ns;
                sum.runs += info.run_cnt;
            }
        }
        return sum;
    }

    Skeleton* bpf_;
    ring_buffer* ring_ = nullptr;
    int stats_fd_ = -1;
    RunTime before_;
    Clock::time_point since_;
    Overhead overhead_;
};

/// Where the programs learn of requests: at FUSE's tracepoints (Linux 6.12), or where there are
/// none at the functions that these stand in.
enum class Hooks { tracepoints, functions };

class RequestProbe : public SkeletonProbe<fuse_record_bpf> {
  public:
    RequestProbe(const Mount& mount, const std::vector<std::uint32_t>& daemons, Hooks hooks) {
        const auto& programs = bpf().progs;
        const bool functions = hooks == Hooks::functions;
        bpf_program__set_autoload(functions ? programs.request_send : programs.request_queued,
                                  false);
        bpf_program__set_autoload(functions ? programs.request_end : programs.request_ends, false);
        bpf().rodata->connection = mount.kernel_dev();
        bpf().rodata->own_tgid = static_cast<__u32>(getpid());
        for (std::size_t i = 0; i < daemons.size() && i < std::size(bpf().bss->daemons); ++i) {
            bpf().bss->daemons[i] = daemons[i];
        }
        start();
    }

    connection_facts facts() const override { return bpf().bss->facts; }

    std::vector<std::uint32_t> daemons() const override {
        std::vector<std::uint32_t> found;
        for (const __u32 tgid : bpf().bss->daemons) {
            if (tgid != 0) {
                found.push_back(tgid);
            }
        }
        return found;
    }
};

class CallProbe : public SkeletonProbe<call_record_bpf> {
  public:
    explicit CallProbe(const Mount& mount) {
        auto& settings = *bpf().rodata;
        settings.connection = mount.kernel_dev();
        settings.own_tgid = static_cast<__u32>(getpid());
        const std::string name = mount.point.substr(mount.point.rfind('/') + 1);
        if (mount.point.size() >= sizeof settings.mount_point ||
            name.size() >= sizeof settings.mount_name) {
            throw Refused("the mount point's path is too long for the call tracer");
        }
        std::memcpy(settings.mount_point, mount.point.c_str(), mount.point.size() + 1);
        std::memcpy(settings.mount_name, name.c_str(), name.size() + 1);
        settings.mount_name_len = static_cast<__u32>(name.size());
        fill_shapes(settings.shapes);
        start();
    }
};

/// Whether the kernel says so; where tracefs is not mounted only an attempt tells.
bool lacks_tracepoints() {
    const std::filesystem::path events = "/sys/kernel/tracing/events";
    return std::filesystem::exists(events) && !std::filesystem::exists(events / "fuse");
}

}  // namespace

std::unique_ptr<Probe> probe_requests(const Mount& mount,
                                      const std::vector<std::uint32_t>& daemons) {
    libbpf_set_print(be_silent);
    if (lacks_tracepoints()) {
        return std::make_unique<RequestProbe>(mount, daemons, Hooks::functions);
    }
    try {
        return std::make_unique<RequestProbe>(mount, daemons, Hooks::tracepoints);
    } catch (const Probe::Refused&) {
        return std::make_unique<RequestProbe>(mount, daemons, Hooks::functions);
    }
}

std::unique_ptr<Probe> probe_calls(const Mount& mount) {
    libbpf_set_print(be_silent);
    return std::make_unique<CallProbe>(mount);
}

}  // namespace fusesim::record
