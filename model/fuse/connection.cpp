#include "fuse/connection.h"

#include "fuse/sizes.h"

#include <algorithm>
#include <cerrno>
#include <stdexcept>

namespace fusesim::fuse {
namespace {

std::uint32_t smallest_buffer(const KernelBehaviour& kernel, std::uint32_t max_write) {
    const std::uint32_t write_header = 40;  // sizeof(struct fuse_write_in)
    return kernel.read_buffer_holds_max_write
               ? std::max(min_read_buffer_bytes, in_header_bytes + write_header + max_write)
               : min_read_buffer_bytes;
}

Taken failed_take(std::int32_t error) {
    Taken taken;
    taken.kind = Taken::Kind::failed;
    taken.error = error;
    return taken;
}

Replied failed_reply(std::int32_t error, unsigned steps = 0) {
    return {Replied::Kind::failed, error, steps, nullptr};
}

}  // namespace

Connection::Connection(const KernelBehaviour& kernel,
                       const ConnectionConfig& config,
                       Listener& listener)
    : kernel_(kernel),
      config_(config),
      listener_(listener),
      input_(kernel),
      background_(kernel, config.limits),
      least_read_buffer_(smallest_buffer(kernel, config.max_write)),
      one_lock_(kernel.input_lock == InputLock::connection),
      initialized_(config.initialized),
      no_interrupt_(config.no_interrupt) {
    fds_.push_back({std::make_unique<ProcessingQueue>(kernel), true, nullptr});
}

Connection::~Connection() = default;

bool Connection::arrive(Request& request) {
    count_waiting(request);
    return may_pass(request);
}

std::int32_t Connection::admit(Request& request) {
    if (connected_ && !conn_error_) {
        return 0;
    }
    request.error = connected_ ? -ECONNREFUSED : -ENOTCONN;
    drop_waiting(request);
    return request.error;
}

void Connection::give_up(Request& request) {
    if (request.has(Flag::background) && !background(request.channel).blocked()) {
        wake_blocked(request.channel);
    }
    drop_waiting(request);
}

void Connection::initialize(const BackgroundLimits& limits) {
    background_.negotiate(limits);
    for (Device& device : fds_) {
        if (device.channel != nullptr) {
            device.channel->background.negotiate(limits);
        }
    }
    initialized_ = true;
    listener_.wake_all_blocked();
}

void Connection::refuse() {
    conn_error_ = true;
    initialized_ = true;
    listener_.wake_all_blocked();
}

void Connection::await_ring(bool awaited) {
    ring_awaited_ = awaited;
    if (!awaited) {
        listener_.wake_all_blocked();
    }
}

bool Connection::queue(Request& request) {
    ++locks_.input;
    if (!connected_) {
        request.error = -ENOTCONN;
        drop_waiting(request);
        return false;
    }
    count_waiting(request);
    request.flags.set(Flag::caller);
    request.flags.assign(Flag::isreply, expects_reply(request.opcode));
    assign_and_put_pending(request);
    return true;
}

bool Connection::queue_background(Request& request) {
    ++locks_.background;
    if (!connected_) {
        request.error = -ENOTCONN;
        drop_waiting(request);
        return false;
    }
    count_waiting(request);
    request.flags.set(Flag::background);
    request.flags.set(Flag::isreply);
    if (waits_on_ring(request)) {
        request.unique = input_.next_unique();
        request.station = Station::background;
        background_.count();
        Channel& channel = *fds_[request.channel].channel;
        channel.ring_background.push_back(request);
        flush_ring(channel);
        return true;
    }
    BackgroundQueue& background = background_of(request.channel);
    background.push(request);
    flush_background(background);
    return true;
}

bool Connection::queue_notify_reply(Request& request, std::uint64_t unique) {
    ++locks_.input;
    if (!connected_) {
        request.error = -ENODEV;
        drop_waiting(request);
        return false;
    }
    count_waiting(request);
    request.unique = unique;
    request.flags.clear(Flag::isreply);
    put_pending(request);
    return true;
}

bool Connection::queue_forget(const Forget& forget) {
    ++locks_.input;
    if (!connected_) {
        return false;
    }
    input_.push_forget(forget);
    listener_.wake_one_reader();
    return true;
}

bool Connection::interrupt(Request& request) {
    if (no_interrupt_ || request.has(Flag::finished)) {
        return false;
    }
    request.flags.set(Flag::interrupted);
    return request.has(Flag::sent) && queue_interrupt(request);
}

bool Connection::kill(Request& request) {
    if (request.has(Flag::force) || !request.has(Flag::pending)) {
        return false;
    }
    ++locks_.input;
    input_of(request.channel).remove(request);
    listener_.request_dropped(request);
    request.error = -EINTR;
    put(request);
    return true;
}

void Connection::put(Request& request) {
    request.flags.clear(Flag::caller);
    drop_waiting(request);
}

Taken Connection::take(Fd fd, std::uint32_t buffer_bytes) {
    if (buffer_bytes < least_read_buffer_) {
        return failed_take(-EINVAL);
    }
    Taken taken;
    InputQueue& input = input_of(fd);
    for (;;) {
        ++locks_.input;
        if (!connected_) {
            return failed_take(read_error());
        }
        switch (input.next_turn()) {
            case Turn::nothing:
                return taken;
            case Turn::interrupt:
                take_interrupt(input, taken);
                return taken;
            case Turn::forget:
                take_forgets(input, taken, buffer_bytes);
                return taken;
            case Turn::request:
                break;
        }
        Request& request = input.take_request();
        if (request.bytes_in <= buffer_bytes) {
            request.fd = fd;
            request.flags.set(Flag::locked);
            locks_.processing += one_lock_ ? 0 : 1;
            fds_[fd].queue->begin_copy(request);
            taken.kind = Taken::Kind::request;
            taken.bytes = request.bytes_in;
            taken.unique = request.unique;
            taken.request = &request;
            return taken;
        }
        listener_.request_dropped(request);
        request.error = request.opcode == Opcode::setxattr ? -E2BIG : -EIO;
        ++taken.discarded;
        end(request);
    }
}

void Connection::take_interrupt(InputQueue& input, Taken& taken) {
    Request& request = input.take_interrupt();
    if (kernel_.interrupt_bit()) {
        taken.unique = request.unique | 1U;
    } else {
        request.intr_unique = input_.next_unique();
        taken.unique = request.intr_unique;
    }
    taken.kind = Taken::Kind::interrupt;
    taken.bytes = interrupt_bytes;
    taken.request = &request;
}

void Connection::take_forgets(InputQueue& input, Taken& taken, std::uint32_t buffer_bytes) {
    taken.unique = input_.next_unique();
    if (config_.protocol_minor < info(Opcode::batch_forget).since_minor ||
        !input.several_forgets()) {
        taken.kind = Taken::Kind::forget;
        taken.forgets = input.take_forgets(1);
        taken.bytes = request_bytes(Opcode::forget, config_.protocol_minor);
        return;
    }
    taken.kind = Taken::Kind::batch_forget;
    taken.forgets = input.take_forgets(forgets_that_fit(buffer_bytes));
    taken.bytes = request_bytes(Opcode::batch_forget,
                                config_.protocol_minor,
                                {.entries = static_cast<std::uint32_t>(taken.forgets.size())});
}

bool Connection::sent(Request& request) {
    ProcessingQueue& queue = *fds_[request.fd].queue;
    ++locks_.processing;
    request.flags.clear(Flag::locked);
    if (!connected_ || !request.has(Flag::isreply)) {
        queue.remove_io(request);
        end(request);
        return connected_;
    }
    queue.begin_processing(request);
    request.flags.set(Flag::sent);
    if (request.has(Flag::interrupted)) {
        queue_interrupt(request);
    }
    return true;
}

Replied Connection::begin_reply(Fd fd,
                                std::uint64_t unique,
                                std::int32_t error,
                                std::uint32_t bytes) {
    if (bytes < out_header_bytes) {
        return failed_reply(-EINVAL);
    }
    if (unique == 0) {
        return {Replied::Kind::notification, 0, 0, nullptr};
    }
    if (error <= kernel_.lowest_error || error > 0) {
        return failed_reply(-EINVAL);
    }
    ++locks_.processing;
    ProcessingQueue& queue = *fds_[fd].queue;
    const bool marked = kernel_.interrupt_bit() && (unique & 1U) != 0;
    unsigned steps = 0;
    Request* const request = connected_ ? queue.find(marked ? unique - 1 : unique, steps) : nullptr;
    if (request == nullptr) {
        return failed_reply(-ENOENT, steps);
    }
    if (marked || request->unique != unique) {
        if (bytes != out_header_bytes) {
            return failed_reply(-EINVAL, steps);
        }
        if (error == -ENOSYS) {
            no_interrupt_ = true;
        } else if (error == -EAGAIN) {
            queue_interrupt(*request);
        }
        return {Replied::Kind::interrupt, 0, steps, nullptr};
    }
    request->flags.clear(Flag::sent);
    request->flags.set(Flag::locked);
    request->error = error;
    request->bytes_out = bytes;
    queue.begin_reply(*request);
    return {Replied::Kind::request, 0, steps, request};
}

std::int32_t Connection::finish_reply(Request& request) {
    ++locks_.processing;
    request.flags.clear(Flag::locked);
    std::int32_t result = 0;
    if (!connected_) {
        result = -ENOENT;
    } else if (request.error != 0 && request.bytes_out != out_header_bytes) {
        request.error = -EIO;
        result = -EINVAL;
    }
    fds_[request.fd].queue->remove_io(request);
    end(request);
    return result;
}

std::int32_t Connection::reply(Fd fd,
                               std::uint64_t unique,
                               std::int32_t error,
                               std::uint32_t bytes) {
    const Replied replied = begin_reply(fd, unique, error, bytes);
    return replied.kind == Replied::Kind::request ? finish_reply(*replied.request) : replied.error;
}

void Connection::resend() {
    if (!kernel_.resend) {
        throw std::logic_error("FUSE_NOTIFY_RESEND on a kernel without it");
    }
    RequestList again;
    for (Device& device : fds_) {
        ++locks_.processing;
        collect_processing(device, again);
    }
    if (again.empty()) {
        return;
    }
    for (Request& request : again) {
        request.flags.clear(Flag::sent);
        request.unique |= resend_bit;
    }
    ++locks_.input;
    input_.push_front(again);
    listener_.wake_one_reader();
}

Connection::Fd Connection::clone_fd() {
    if (!kernel_.clone_fd) {
        throw std::logic_error("FUSE_DEV_IOC_CLONE on a kernel without it");
    }
    return open_fd(nullptr);
}

Connection::Fd Connection::add_channel() {
    return open_fd(std::make_unique<Channel>(kernel_, config_.limits));
}

Connection::Fd Connection::open_fd(std::unique_ptr<Channel> channel) {
    fds_.push_back({std::make_unique<ProcessingQueue>(kernel_), true, std::move(channel)});
    ++open_fds_;
    return static_cast<Fd>(fds_.size() - 1);
}

void Connection::close(Fd fd) {
    Device& device = fds_[fd];
    if (!device.open || device.queue->io() != 0) {
        throw std::logic_error("closing a descriptor that is closed or in use");
    }
    device.open = false;
    --open_fds_;
    RequestList to_end;
    collect_processing(device, to_end);
    end_all(to_end);
    if (open_fds_ == 0) {
        abort();
    }
}

void Connection::abort() {
    if (!connected_) {
        return;
    }
    connected_ = false;
    aborted_ = true;
    initialized_ = true;
    RequestList to_end;
    for (Device& device : fds_) {
        for (Request& request : device.queue->io_list()) {
            request.error = -ECONNABORTED;
            request.flags.set(Flag::aborted);
        }
        collect_processing(device, to_end);
    }
    const auto collect_waiting = [&](InputQueue& input, BackgroundQueue& background) {
        background.open_all();
        flush_background(background);
        while (input.front() != nullptr) {
            Request& request = input.take_request();
            listener_.request_dropped(request);
            to_end.push_back(request);
        }
        input.drop_forgets();
    };
    collect_waiting(input_, background_);
    for (Device& device : fds_) {
        if (Channel* const channel = device.channel.get()) {
            flush_ring(*channel);
            collect_waiting(channel->input, channel->background);
        }
    }
    listener_.wake_all_readers();
    listener_.wake_all_blocked();
    end_all(to_end);
}

std::int64_t Connection::oldest_created() const {
    std::int64_t oldest = never;
    const auto look = [&oldest](const Request& request) {
        oldest = oldest == never ? request.created : std::min(oldest, request.created);
    };
    const auto look_at_waiting = [&look](const InputQueue& input,
                                         const BackgroundQueue& background) {
        if (!input.pending_list().empty()) {
            look(input.pending_list().front());
        }
        if (const Request* const held_back = background.front()) {
            look(*held_back);
        }
    };
    look_at_waiting(input_, background_);
    for (const Device& device : fds_) {
        device.queue->for_each_processing(look);
        if (!device.queue->io_list().empty()) {
            look(device.queue->io_list().front());
        }
        if (const Channel* const channel = device.channel.get()) {
            look_at_waiting(channel->input, channel->background);
            if (!channel->ring_background.empty()) {
                look(channel->ring_background.front());
            }
        }
    }
    return oldest;
}

std::int32_t Connection::read_error() const {
    return aborted_ ? -ECONNABORTED : -ENODEV;
}

void Connection::set_max_background(std::uint32_t value) {
    ++locks_.background;
    if (background_.set_max_background(value)) {
        wake_blocked(0);
    }
    for (Fd fd = 0; fd < fds_.size(); ++fd) {
        Channel* const channel = fds_[fd].channel.get();
        if (channel != nullptr && channel->background.set_max_background(value) &&
            config_.channel_background == ChannelBackground::channel) {
            wake_blocked(fd);
        }
    }
}

void Connection::set_congestion_threshold(std::uint32_t value) {
    ++locks_.background;
    background_.set_congestion_threshold(value);
    for (Device& device : fds_) {
        if (device.channel != nullptr) {
            device.channel->background.set_congestion_threshold(value);
        }
    }
}

void Connection::put_pending(Request& request) {
    input_of(request.channel).push(request);
    listener_.request_queued(request);
    wake_reader(request.channel);
}

void Connection::assign_and_put_pending(Request& request) {
    request.unique = input_.next_unique();
    put_pending(request);
}

void Connection::wake_reader(Fd channel) {
    if (channel == 0) {
        listener_.wake_one_reader();
    } else {
        listener_.wake_channel_reader(channel);
    }
}

void Connection::wake_blocked(Fd channel) {
    if (gate_sleepers_ == 0) {
        return;
    }
    if (channel != 0 && config_.channel_background == ChannelBackground::channel) {
        listener_.wake_channel_blocked(channel);
    } else {
        listener_.wake_one_blocked();
    }
}

// The limit is the connection's, but a channel of which nothing is active may always send one.
void Connection::flush_ring(Channel& channel) {
    while (!channel.ring_background.empty() &&
           (background_.active_background() < background_.limits().max_background ||
            channel.active_background == 0)) {
        Request& request = channel.ring_background.front();
        channel.ring_background.pop_front();
        request.station = Station::none;
        background_.count_active();
        ++channel.active_background;
        locks_.input += one_lock_ ? 0 : 1;
        put_pending(request);
    }
}

void Connection::flush_background(BackgroundQueue& background) {
    while (Request* const request = background.start_next()) {
        locks_.input += one_lock_ ? 0 : 1;
        assign_and_put_pending(*request);
    }
}

bool Connection::queue_interrupt(Request& request) {
    ++locks_.input;
    if (!request.has(Flag::interrupted) || !input_.push_interrupt(request)) {
        return false;
    }
    listener_.wake_one_reader();
    return true;
}

void Connection::end(Request& request) {
    request.flags.set(Flag::finished);
    if (request.has(Flag::interrupted)) {
        input_.remove_interrupt(request);
        locks_.input += one_lock_ ? 0 : 1;
    } else if (kernel_.end_takes_input_lock) {
        locks_.input += one_lock_ ? 0 : 1;
    }
    if (request.has(Flag::background)) {
        locks_.background += one_lock_ ? 0 : 1;
        locks_.request += kernel_.background_end_wakes ? 1 : 0;
        if (waits_on_ring(request)) {
            // The kernel looks at the connection's count before this request has left it.
            Channel& channel = *fds_[request.channel].channel;
            --channel.active_background;
            flush_ring(channel);
        }
        BackgroundQueue& background = background_of(request.channel);
        if (background.end()) {
            wake_blocked(request.channel);
        }
        flush_background(background);
    } else {
        ++locks_.request;
    }
    if (!request.has(Flag::caller)) {
        drop_waiting(request);
    }
    if (request.completion != nullptr) {
        request.completion->request_ended(request);
    }
}

void Connection::end_all(RequestList& to_end) {
    while (!to_end.empty()) {
        Request& request = to_end.front();
        to_end.pop_front();
        request.error = -ECONNABORTED;
        request.flags.clear(Flag::sent);
        end(request);
    }
}

void Connection::collect_processing(Device& device, RequestList& to_end) {
    while (Request* const request = device.queue->pop_processing()) {
        to_end.push_back(*request);
    }
}

void Connection::count_waiting(Request& request) {
    if (!request.has(Flag::waiting)) {
        request.flags.set(Flag::waiting);
        ++num_waiting_;
    }
}

void Connection::drop_waiting(Request& request) {
    if (!request.has(Flag::waiting)) {
        return;
    }
    request.flags.clear(Flag::waiting);
    if (--num_waiting_ == 0 && !connected_) {
        listener_.wake_all_blocked();
    }
}

}  // namespace fusesim::fuse
