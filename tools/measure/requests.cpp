#include "requests.h"

#include "fuse/opcode.h"
#include "measure.h"
#include "report/report.h"
#include "trace/names.h"

#ifdef FUSESIM_RECORDER
#include "assembler.h"
#include "mount.h"
#include "probe.h"
#endif

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <system_error>
#include <thread>

namespace fusesim::measure {

using trace::unknown_time;

namespace {

using namespace std::chrono_literals;

// Asynchronous RELEASEs and FORGETs follow the last call by less than this.
constexpr auto aftermath = 50ms;
constexpr auto drain_limit = 300ms;
constexpr int poll_ms = 20;

void send_all(int fd, const std::string& text) {
    for (std::size_t at = 0; at < text.size();) {
        const ssize_t put = write(fd, text.data() + at, text.size() - at);
        if (put <= 0) {
            return;  // nobody listens any more
        }
        at += static_cast<std::size_t>(put);
    }
}

/// One letter of the other side; 0 if it is gone.
char receive(int fd) {
    char letter = 0;
    ssize_t got = 0;
    while ((got = read(fd, &letter, 1)) < 0 && errno == EINTR) {
    }
    return got == 1 ? letter : '\0';
}

[[maybe_unused]] bool is_readable(int fd, int timeout_ms) {
    pollfd waiting{fd, POLLIN, 0};
    return poll(&waiting, 1, timeout_ms) > 0;
}

#ifdef FUSESIM_RECORDER

/// The recorder's process: attaches when told to, records until told to stop, answers.
void record_requests(dev_t device, pid_t daemon, int from_parent, int to_parent) {
    if (receive(from_parent) != 'g') {
        return;
    }
    record::Mount mount;
    mount.major = major(device);
    mount.minor = minor(device);
    RequestCount count;
    record::Assembler assembler([&count](const trace::Record& one) { count.add(one); });
    std::unique_ptr<record::Probe> probe;
    try {
        probe = record::probe_requests(mount, {static_cast<std::uint32_t>(daemon)});
        probe->consume(assembler);
    } catch (const std::exception& refused) {
        send_all(to_parent, std::string("x") + refused.what());
        return;
    }
    send_all(to_parent, "r");
    while (!is_readable(from_parent, poll_ms)) {
        probe->consume(assembler);
    }
    if (receive(from_parent) != 's') {
        return;
    }
    const auto settled = std::chrono::steady_clock::now() + aftermath;
    const auto limit = settled + drain_limit;
    for (auto now = settled - aftermath;
         now < settled || (assembler.in_flight() != 0 && now < limit);
         now = std::chrono::steady_clock::now()) {
        probe->consume(assembler);
        std::this_thread::sleep_for(2ms);
    }
    probe->stop_new();
    probe->detach();
    probe->consume(assembler);
    assembler.finish();
    report::Result carrier;
    carrier.requests = count.report();
    std::uint64_t lost = assembler.counts().late;
    for (const __u64 one : probe->counts().lost) {
        lost += one;
    }
    carrier.memory.emplace_back("lost", static_cast<double>(lost));
    carrier.memory.emplace_back("unfinished", static_cast<double>(assembler.counts().without_end));
    send_all(to_parent, report::json_text(carrier));
}

#else

void record_requests(dev_t, pid_t, int from_parent, int to_parent) {
    if (receive(from_parent) == 'g') {
        send_all(to_parent, "xthis fusesim was built without the recorder");
    }
}

#endif

}  // namespace

void RequestCount::add(const trace::Record& record) {
    Opcode& opcode = by_opcode_[record.opcode];
    ++opcode.count;
    opcode.bytes_in += record.bytes_in;
    opcode.bytes_out += record.bytes_out;
    const std::int64_t end = record.resumed != unknown_time ? record.resumed : record.ended;
    if (record.queued == unknown_time || end == unknown_time) {
        return;
    }
    opcode.all.add(end - record.queued);
    if (record.taken != unknown_time && record.replied != unknown_time) {
        opcode.complete.add(end - record.queued);
        opcode.queue += record.taken - record.queued;
        opcode.processing += record.replied - record.taken;
        opcode.reply += end - record.replied;
    }
}

report::Named<report::Request> RequestCount::report() const {
    report::Named<report::Request> out;
    for (const auto& [number, opcode] : by_opcode_) {
        report::Request request;
        request.count = opcode.count;
        request.bytes_in = opcode.bytes_in;
        request.bytes_out = opcode.bytes_out;
        // Phases must be those of the requests whose latency stands beside them.
        const std::uint64_t complete = opcode.complete.count();
        if (complete > 0 && complete * 100 >= opcode.all.count() * 99) {
            request.latency = opcode.complete.report();
            const auto mean_s = [complete](std::int64_t ns) {
                return static_cast<double>(ns) * 1e-9 / static_cast<double>(complete);
            };
            request.phases = report::Phases{std::nullopt,
                                            mean_s(opcode.queue),
                                            mean_s(opcode.processing),
                                            mean_s(opcode.reply)};
        } else if (opcode.all.count() > 0) {
            request.latency = opcode.all.report();
        }
        out.emplace_back(trace::opcode_text(trace::Layer::fuse, number), request);
    }
    return out;
}

RequestRecorder::RequestRecorder(dev_t mount, pid_t daemon, int core) {
    std::array<int, 2> there{-1, -1};
    std::array<int, 2> back{-1, -1};
    if (pipe2(there.data(), O_CLOEXEC) != 0 || pipe2(back.data(), O_CLOEXEC) != 0) {
        throw std::system_error(errno, std::generic_category(), "pipe");
    }
    child_ = std::make_unique<real::Child>([&] {
        setpgid(0, 0);  // Ctrl-C is for the one who measures
        signal(SIGPIPE, SIG_IGN);
        close(there[1]);
        close(back[0]);
        if (core >= 0) {
            real::pin(core);
        }
        record_requests(mount, daemon, there[0], back[1]);
    });
    close(there[0]);
    close(back[1]);
    to_child_ = there[1];
    from_child_ = back[0];
}

RequestRecorder::~RequestRecorder() {
    close(to_child_);
    child_.reset();
    close(from_child_);
}

std::string RequestRecorder::answer() {
    std::string text;
    std::array<char, 4096> part{};
    for (;;) {
        const ssize_t got = read(from_child_, part.data(), part.size());
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return text;
        }
        text.append(part.data(), static_cast<std::size_t>(got));
    }
}

void RequestRecorder::start() {
    send_all(to_child_, "g");
    if (receive(from_child_) != 'r') {
        const std::string reason = answer();
        throw Unavailable(
            fmt::format("the requests cannot be recorded ({}); --no-requests does "
                        "without them",
                        reason.empty() ? "the recorder failed" : reason));
    }
}

Recorded RequestRecorder::stop() {
    send_all(to_child_, "s");
    const std::string text = answer();
    if (text.empty()) {
        throw Unavailable("the recorder failed; --no-requests does without it");
    }
    const report::Result carrier = report::from_json(config::Json::parse(text), "the recorder");
    Recorded recorded;
    recorded.requests = carrier.requests;
    for (const auto& [name, value] : carrier.memory) {
        (name == "lost" ? recorded.lost : recorded.unfinished) = static_cast<std::uint64_t>(value);
    }
    return recorded;
}

}  // namespace fusesim::measure
