#include "transport/dev_fuse.h"

#include "fuse/sizes.h"

#include <cerrno>
#include <stdexcept>

namespace fusesim::transport {

using host::Thread;
using sim::Time;

namespace {

constexpr std::uint32_t splice_least_bytes =
    2 * fuse::kernel_page_bytes;  // libfuse: fuse_lowlevel.c

}  // namespace

DevFuse::DevFuse(host::Cpu& cpu,
                 const fuse::KernelBehaviour& kernel,
                 const fuse::ConnectionConfig& connection,
                 const DevFuseConfig& config)
    : cpu_(cpu),
      config_(config),
      readers_(cpu.engine(), "a request on /dev/fuse"),
      connection_(kernel, connection, *this),
      blocked_(cpu.engine(), "the background limit"),
      background_("background queue", 0),
      queue_("/dev/fuse", 0) {}

sim::Task<std::int32_t> DevFuse::pass_gate(Thread& thread, Call& call) {
    bool may_pass = connection_.arrive(call);
    while (!may_pass) {
        connection_.sleeps_at_gate();
        co_await thread.sleep(gate(call));
        connection_.leaves_gate();
        may_pass = connection_.may_pass(call);
    }
    co_return connection_.admit(call);
}

sim::Task<std::int32_t> DevFuse::call(Thread& thread, Call& call) {
    route(thread, call);
    if (const std::int32_t error = co_await pass_gate(thread, call); error != 0) {
        co_return error;
    }
    call.created = now().ps();
    if (!connection_.queue(call)) {
        co_return call.error;
    }
    handed_over(thread, call);
    if (polls_) {
        co_await poll_answer(thread, call);
    }
    co_await thread.might_sleep();
    while (!call.finished()) {
        co_await thread.sleep(call.done());
    }
    answered(call);
    co_await thread.run(cpu_.costs().recorder_reply);
    call.resumed = now().ps();
    statistics_.finished(call);
    connection_.put(call);
    co_return call.error;
}

sim::Task<std::int32_t> DevFuse::call_background(Thread& thread, Call& call) {
    call.flags.set(fuse::Flag::background);
    route(thread, call);
    if (const std::int32_t error = co_await pass_gate(thread, call); error != 0) {
        co_return error;
    }
    call.created = now().ps();
    call.count_in = &statistics_;
    background_.arrive(now());
    if (!connection_.queue_background(call)) {
        background_.give_up(now(), Time::from_ps(call.created));
        co_return call.error;
    }
    handed_over(thread, call);
    co_return 0;
}

sim::Task<> DevFuse::wait_for(Thread& thread, Call& call) {
    co_await thread.might_sleep();
    while (!call.finished()) {
        co_await thread.sleep(call.done());
    }
}

sim::Task<> DevFuse::poll_answer(Thread&, Call&) {
    co_return;
}

sim::Task<bool> DevFuse::poll_request(Thread&, Fd) {
    co_return false;
}

void DevFuse::forget(std::uint64_t nodeid, std::uint64_t nlookup, std::uint32_t message) {
    connection_.queue_forget({nodeid, nlookup, now().ps(), message});
}

void DevFuse::close(Fd fd) {
    if (connection_.connected()) {
        connection_.close(fd);
    }
}

void DevFuse::request_queued(fuse::Request& request) {
    request.queued = now().ps();
    if (request.has(fuse::Flag::background)) {
        const Time created = Time::from_ps(request.created);
        background_.begin_service(now(), created);
        background_.depart(now(), created, now());
    }
    queue_.arrive(now());
}

void DevFuse::charge_read(Thread& worker, const fuse::Taken& taken) {
    const host::Costs& costs = cpu_.costs();
    worker.charge(costs.fuse_read + costs.recorder_queue);
    std::uint64_t copied = taken.bytes;
    if (taken.request != nullptr && taken.kind == fuse::Taken::Kind::request) {
        const auto& call = static_cast<const Call&>(*taken.request);
        const bool has_payload = call.opcode == fuse::Opcode::write && call.payload_pages > 0;
        if (has_payload) {
            worker.charge(costs.fuse_page_write * call.payload_pages);
        }
        if (config_.splice_read) {
            // One more system call; pages of a WRITE are passed on, all else is copied twice.
            const std::uint64_t payload = has_payload ? call.size : 0;
            worker.charge(costs.syscall + costs.copy_time(copied - payload));
            copied -= payload;
        }
    }
    worker.charge(costs.copy_time(copied));
}

void DevFuse::request_dropped(fuse::Request& request) {
    queue_.give_up(now(), Time::from_ps(request.queued));
}

std::optional<Time> DevFuse::oldest() const {
    const std::int64_t created = connection_.oldest_created();
    return created == fuse::never ? std::nullopt : std::optional(Time::from_ps(created));
}

fuse::Taken DevFuse::interrupted() {
    fuse::Taken taken;
    taken.kind = fuse::Taken::Kind::failed;
    taken.error = -EINTR;
    return taken;
}

bool DevFuse::has_it(fuse::Request& request) {
    const Time queued = Time::from_ps(request.queued);
    request.sent = now().ps();
    queue_.begin_service(now(), queued);
    queue_.depart(now(), queued, now());
    return connection_.sent(request);
}

void DevFuse::count_taken(const fuse::Taken& taken) {
    switch (taken.kind) {
        case fuse::Taken::Kind::forget:
        case fuse::Taken::Kind::batch_forget:
            statistics_.taken(taken.kind == fuse::Taken::Kind::forget ? fuse::Opcode::forget
                                                                      : fuse::Opcode::batch_forget,
                              taken.bytes,
                              now() - Time::from_ps(taken.forgets.front().queued));
            break;
        case fuse::Taken::Kind::interrupt:
            statistics_.taken(fuse::Opcode::interrupt, taken.bytes, Time());
            break;
        default:
            break;
    }
}

sim::Task<fuse::Taken> DevFuse::receive(Thread& worker, Fd fd) {
    co_await worker.run(cpu_.costs().syscall);
    for (;;) {
        if (worker.killed()) {
            co_return interrupted();
        }
        const fuse::Taken taken = connection_.take(fd, config_.read_buffer);
        if (taken.kind == fuse::Taken::Kind::nothing) {
            if (polls_ && co_await poll_request(worker, fd)) {
                continue;
            }
            co_await worker.sleep(readers(fd));
            continue;
        }
        charge_read(worker, taken);
        if (taken.kind == fuse::Taken::Kind::request) {
            co_await worker.run();
            if (!has_it(*taken.request)) {
                continue;  // the connection went away while the request was being copied
            }
        } else {
            count_taken(taken);
        }
        co_return taken;
    }
}

void DevFuse::charge_reply(Thread& worker, const Call& call) {
    const host::Costs& costs = cpu_.costs();
    worker.charge(costs.syscall + costs.fuse_reply);
    std::uint64_t copied = call.reply_bytes;
    if (call.opcode == fuse::Opcode::read && call.payload_pages > 0) {
        worker.charge(costs.fuse_page_reply * call.payload_pages);
        const std::uint64_t payload = copied - fuse::out_header_bytes;
        if (config_.splice_write && payload >= splice_least_bytes) {
            // The header by vmsplice, the data by splice, then one splice into /dev/fuse.
            worker.charge(costs.syscall * 2);
            copied = config_.splice_move ? fuse::out_header_bytes : copied;
        }
    } else if (copied > fuse::out_header_bytes) {
        worker.charge(costs.fuse_reply_args);
    }
    worker.charge(costs.copy_time(copied));
}

sim::Task<> DevFuse::reply(Thread& worker, Fd fd, Call& call) {
    if (worker.killed()) {
        co_return;
    }
    co_await worker.run(cpu_.costs().recorder_processing);
    call.replied = now().ps();
    charge_reply(worker, call);
    const fuse::Replied found =
        connection_.begin_reply(fd, call.unique, call.error_reply, call.reply_bytes);
    if (found.kind != fuse::Replied::Kind::request) {
        co_return;  // the request is gone: aborted
    }
    co_await worker.run();
    connection_.finish_reply(call);  // the call may be gone now
    co_await worker.return_to_user();
}

void DevFuse::begin_window(Time at) {
    statistics_.begin_window();
    background_.begin_window(at);
    queue_.begin_window(at);
}

void DevFuse::check(Time at) const {
    if (const std::string wrong = connection_.check(); !wrong.empty()) {
        throw std::logic_error("connection: " + wrong);
    }
    background_.check(at);
    queue_.check(at);
}

}  // namespace fusesim::transport
