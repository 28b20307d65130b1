#include "transport/uring.h"

#include <stdexcept>

namespace fusesim::transport {

using fuse::Taken;
using host::Thread;
using sim::Time;

namespace {

fuse::ConnectionConfig with_limits_per_queue(fuse::ConnectionConfig connection) {
    connection.channel_background = fuse::ChannelBackground::ring;
    return connection;
}

}  // namespace

Uring::Uring(host::Cpu& cpu,
             const fuse::KernelBehaviour& kernel,
             fuse::ConnectionConfig connection,
             const DevFuseConfig& dev,
             const UringConfig& config)
    : DevFuse(cpu, kernel, with_limits_per_queue(connection), dev),
      depth_(config.io_uring_q_depth) {
    if (!cpu.costs().uring) {
        throw std::invalid_argument("the host has no costs of io_uring");
    }
    for (std::size_t core = 0; core < cpu.cores().size(); ++core) {
        const Fd fd = connection_.add_channel();
        first_ = core == 0 ? fd : first_;
        queues_.push_back(std::make_unique<Queue>(cpu.engine(), fd, depth_));
    }
}

std::vector<Post> Uring::posts() const {
    std::vector<Post> posts{Post{}};
    for (const auto& queue : queues_) {
        posts.push_back({queue->fd, false, 1, 1, static_cast<int>(queue->fd - first_)});
    }
    return posts;
}

std::optional<Time> Uring::library_time(Fd fd) const {
    return fd < first_ ? DevFuse::library_time(fd) : ring_costs().daemon;
}

void Uring::route(const Thread& thread, Call& call) {
    call.channel = queues_[thread.core() != nullptr ? thread.core()->id() : 0]->fd;
}

bool Uring::has_unassigned(const Queue& queue) const {
    return connection_.input(queue.fd).pending() > queue.task_work;
}

// Whoever submits gives at most one request to an entry, its own or an older one.
void Uring::handed_over(Thread&, Call& call) {
    Queue& queue = *queue_of(call.channel);
    if (queue.available > 0 && has_unassigned(queue)) {
        --queue.available;
        ++queue.task_work;
        queue.waiting.wake_one();
    }
}

void Uring::wake_all_readers() {
    DevFuse::wake_all_readers();
    for (const auto& queue : queues_) {
        queue->task_work = 0;
        queue->completions.clear();
        queue->waiting.wake_all();
    }
}

/// Copies the oldest request into its entry and posts the completion.
sim::Task<> Uring::fetch(Thread& worker, Queue& queue) {
    const Taken taken = connection_.take(queue.fd, config_.read_buffer);
    if (taken.kind != Taken::Kind::request) {
        ++queue.available;  // it was killed meanwhile
        co_return;
    }
    auto& call = static_cast<Call&>(*taken.request);
    worker.charge(ring_costs().dispatch + costs().copy_time(taken.bytes));
    if (call.opcode == fuse::Opcode::write) {
        worker.charge(ring_costs().page_write * call.payload_pages);
    }
    co_await worker.run_in_kernel();
    if (has_it(call)) {
        queue.completions.push_back(&call);
    } else {
        ++queue.available;
    }
}

sim::Task<> Uring::do_task_work(Thread& worker, Queue& queue) {
    while (queue.task_work > 0) {
        --queue.task_work;
        co_await fetch(worker, queue);
    }
}

/// Ends what was answered. Each entry takes the oldest request that has none, at once.
sim::Task<> Uring::commit(Thread& worker, Queue& queue) {
    std::vector<Call*> prepared;
    prepared.swap(queue.prepared);
    for (Call* const call : prepared) {
        worker.charge(ring_costs().commit + costs().copy_time(call->reply_bytes));
        if (call->opcode == fuse::Opcode::read) {
            worker.charge(ring_costs().page_reply * call->payload_pages);
        }
        const fuse::Replied found =
            connection_.begin_reply(queue.fd, call->unique, call->error_reply, call->reply_bytes);
        if (found.kind == fuse::Replied::Kind::request) {
            co_await worker.run_in_kernel();
            connection_.finish_reply(*call);  // the call may be gone now
        }
        if (has_unassigned(queue)) {
            co_await fetch(worker, queue);
        } else {
            ++queue.available;
        }
    }
}

sim::Task<Taken> Uring::receive(Thread& worker, Fd fd) {
    if (fd < first_) {
        co_return co_await DevFuse::receive(worker, fd);
    }
    Queue& queue = *queue_of(fd);
    // Simplified: a thread that computes fetches what has come when it looks for more.
    co_await do_task_work(worker, queue);
    while (queue.completions.empty()) {
        co_await worker.run();
        for (Call* const call : queue.prepared) {
            call->replied = now().ps();
        }
        co_await worker.run(costs().syscall);
        co_await commit(worker, queue);
        co_await do_task_work(worker, queue);
        while (queue.completions.empty() && connection_.connected() && !worker.killed()) {
            co_await worker.sleep(queue.waiting);
            co_await do_task_work(worker, queue);
        }
        if (worker.killed()) {
            co_return interrupted();
        }
        if (!connection_.connected()) {
            Taken failed;
            failed.kind = Taken::Kind::failed;
            failed.error = connection_.read_error();
            co_return failed;
        }
        co_await worker.return_to_user();
    }
    Call& call = *queue.completions.front();
    queue.completions.pop_front();
    Taken taken;
    taken.kind = Taken::Kind::request;
    taken.bytes = call.bytes_in;
    taken.unique = call.unique;
    taken.request = &call;
    co_return taken;
}

sim::Task<> Uring::reply(Thread& worker, Fd fd, Call& call) {
    if (worker.killed()) {
        co_return;
    }
    if (fd < first_) {
        co_await DevFuse::reply(worker, fd, call);
        co_return;
    }
    if (connection_.connected()) {
        queue_of(fd)->prepared.push_back(&call);
    }
}

void Uring::check(Time at) const {
    DevFuse::check(at);
    for (const auto& queue : queues_) {
        const std::size_t used = queue->task_work + queue->completions.size() +
                                 queue->prepared.size() + queue->available;
        if (used > depth_) {
            throw std::logic_error("a ring queue holds more requests than it has entries");
        }
    }
}

}  // namespace fusesim::transport
