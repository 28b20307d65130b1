#include "bpf_recorder.h"

#include <fmt/format.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "fuse_record.skel.h"

#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <iterator>

namespace fusesim::record {

namespace {

using Clock = std::chrono::steady_clock;

// libbpf explains a refusal in hundreds of lines; the errno says enough.
int be_silent(enum libbpf_print_level, const char*, va_list) {
    return 0;
}

struct RunTime {
    std::uint64_t ns = 0;
    std::uint64_t runs = 0;
};

}  // namespace

class BpfRecorder::State {
  public:
    fuse_record_bpf* skeleton = nullptr;
    ring_buffer* ring = nullptr;
    Assembler* assembler = nullptr;
    int stats_fd = -1;
    RunTime before;
    Clock::time_point since;
    Overhead overhead;

    ~State() {
        if (stats_fd >= 0) {
            close(stats_fd);
        }
        ring_buffer__free(ring);
        fuse_record_bpf::destroy(skeleton);
    }

    RunTime run_time() const {
        RunTime sum;
        bpf_program* program = nullptr;
        bpf_object__for_each_program(program, skeleton->obj) {
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

    static int on_event(void* context, void* data, std::size_t) {
        Assembler& to = *static_cast<State*>(context)->assembler;
        switch (static_cast<const event*>(data)->kind) {
        case EVENT_SEND:
            to.send(*static_cast<const send_event*>(data));
            break;
        case EVENT_TAKEN:
            to.taken(*static_cast<const taken_event*>(data));
            break;
        case EVENT_END:
            to.end(*static_cast<const end_event*>(data));
            break;
        case EVENT_RESUMED:
            to.resumed(*static_cast<const resumed_event*>(data));
            break;
        default:
            break;
        }
        return 0;
    }
};

BpfRecorder::BpfRecorder(const Mount& mount, const std::vector<std::uint32_t>& daemons)
    : state_(std::make_unique<State>()) {
    libbpf_set_print(be_silent);
    const auto refuse = [](const char* what, int error) {
        throw Refused(fmt::format("{}: {}", what, std::strerror(error < 0 ? -error : error)));
    };
    state_->skeleton = fuse_record_bpf::open();
    if (state_->skeleton == nullptr) {
        refuse("the BPF object cannot be opened", errno);
    }
    fuse_record_bpf& bpf = *state_->skeleton;
    bpf.rodata->connection = mount.kernel_dev();
    bpf.rodata->own_tgid = static_cast<__u32>(getpid());
    for (std::size_t i = 0; i < daemons.size() && i < std::size(bpf.bss->daemons); ++i) {
        bpf.bss->daemons[i] = daemons[i];
    }
    if (const int error = fuse_record_bpf::load(&bpf); error != 0) {
        refuse("the kernel does not load the BPF programs", error);
    }
    if (const int error = fuse_record_bpf::attach(&bpf); error != 0) {
        refuse("the kernel does not attach the BPF programs", error);
    }
    state_->ring =
        ring_buffer__new(bpf_map__fd(bpf.maps.events), State::on_event, state_.get(), nullptr);
    if (state_->ring == nullptr) {
        refuse("no ring buffer", errno);
    }
    bpf.bss->accept_sends = 1;
}

BpfRecorder::~BpfRecorder() = default;

void BpfRecorder::consume(Assembler& assembler) {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    state_->assembler = &assembler;
    ring_buffer__consume(state_->ring);
    assembler.flush(now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec);
}

void BpfRecorder::stop_sends() {
    state_->skeleton->bss->accept_sends = 0;
}

void BpfRecorder::detach() {
    stop_measuring();
    fuse_record_bpf::detach(state_->skeleton);
}

void BpfRecorder::start_measuring() {
    if (state_->stats_fd < 0) {
        state_->before = state_->run_time();
        state_->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
        state_->since = Clock::now();
    }
}

void BpfRecorder::stop_measuring() {
    if (state_->stats_fd < 0) {
        return;
    }
    const RunTime now = state_->run_time();
    Overhead& overhead = state_->overhead;
    overhead.window_seconds += std::chrono::duration<double>(Clock::now() - state_->since).count();
    overhead.seconds += static_cast<double>(now.ns - state_->before.ns) * 1e-9;
    overhead.runs += now.runs - state_->before.runs;
    close(state_->stats_fd);
    state_->stats_fd = -1;
}

bool BpfRecorder::is_measuring() const {
    return state_->stats_fd >= 0;
}

Overhead BpfRecorder::overhead() const {
    return state_->overhead;
}

connection_facts BpfRecorder::facts() const {
    return state_->skeleton->bss->facts;
}

recorder_counts BpfRecorder::counts() const {
    return state_->skeleton->bss->counts;
}

std::vector<std::uint32_t> BpfRecorder::daemons() const {
    std::vector<std::uint32_t> found;
    for (const __u32 tgid : state_->skeleton->bss->daemons) {
        if (tgid != 0) {
            found.push_back(tgid);
        }
    }
    return found;
}

}  // namespace fusesim::record
