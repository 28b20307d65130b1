#include "uring_queue.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace fusesim::daemons {

namespace {

constexpr std::size_t page = 4096;

/// The depths that a ring can have.
unsigned power_of_two(unsigned at_least) {
    unsigned out = 1;
    while (out < at_least) {
        out *= 2;
    }
    return out;
}

}  // namespace

UringQueue::UringQueue(const Setup& setup, NullServer& server) : setup_(setup), server_(server) {
    io_uring_params params{};
    params.flags = IORING_SETUP_SQE128 | IORING_SETUP_SUBMIT_ALL;
    const int error = io_uring_queue_init_params(power_of_two(setup.depth), &ring_, &params);
    if (error < 0) {
        throw std::system_error(-error, std::generic_category(), "io_uring");
    }
    const std::size_t each = page + setup.payload;
    memory_bytes_ = each * setup.depth;
    void* memory = mmap(nullptr,
                        memory_bytes_,
                        PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                        -1,
                        0);
    if (memory == MAP_FAILED) {
        io_uring_queue_exit(&ring_);
        throw std::system_error(errno, std::generic_category(), "memory of a ring queue");
    }
    memory_ = static_cast<char*>(memory);
    entries_.resize(setup.depth);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        Entry& entry = entries_[i];
        entry.header = reinterpret_cast<ring::Header*>(memory_ + i * each);
        entry.payload = memory_ + i * each + page;
        entry.areas[0] = {entry.header, sizeof(ring::Header)};
        entry.areas[1] = {entry.payload, setup.payload};
    }
}

UringQueue::~UringQueue() {
    io_uring_queue_exit(&ring_);
    munmap(memory_, memory_bytes_);
}

void UringQueue::submit(Entry& entry, std::uint32_t command, std::uint64_t commit_id) {
    io_uring_sqe* submission = io_uring_get_sqe(&ring_);
    if (submission == nullptr) {
        throw std::logic_error("there is a submission for each entry");
    }
    std::memset(submission, 0, 2 * sizeof *submission);
    submission->opcode = IORING_OP_URING_CMD;
    submission->fd = setup_.device;
    submission->cmd_op = command;
    submission->user_data = reinterpret_cast<std::uint64_t>(&entry);
    if (command == ring::command_register) {
        submission->addr = reinterpret_cast<std::uint64_t>(entry.areas);
        submission->len = 2;
    }
    const ring::Command arguments{0, commit_id, static_cast<std::uint16_t>(setup_.number), {}};
    std::memcpy(submission->cmd, &arguments, sizeof arguments);
}

void UringQueue::serve(Entry& entry) {
    NullServer::Exchange exchange{};
    std::memcpy(&exchange.header, entry.header->in_out, sizeof exchange.header);
    if (setup_.log != nullptr) {
        served_.push_back({entered_,
                           returned_,
                           0,
                           0,
                           exchange.header.unique,
                           exchange.header.opcode,
                           setup_.number});
    }
    exchange.operation = entry.header->operation;
    exchange.payload = entry.payload;
    exchange.size = entry.header->entry.payload_size;
    exchange.room = setup_.payload;
    exchange.not_zero = entry.not_zero;
    fuse_out_header out{};
    out.error = server_.answer(exchange);
    if (out.error != 0) {
        exchange.size = 0;
    }
    entry.not_zero = exchange.not_zero;
    out.unique = exchange.header.unique;
    out.len = static_cast<std::uint32_t>(sizeof out + exchange.size);
    std::memcpy(entry.header->in_out, &out, sizeof out);
    entry.header->entry.payload_size = static_cast<std::uint32_t>(exchange.size);
    submit(entry, ring::command_commit_and_fetch, entry.header->entry.commit_id);
}

/// One system call commits all answers and fetches: stamped, it is the reply of those that it
/// commits and the read of those that it brings.
int UringQueue::submit_and_wait() {
    if (setup_.log == nullptr) {
        return io_uring_submit_and_wait(&ring_, 1);
    }
    entered_ = stamps::ticks();
    const int result = io_uring_submit_and_wait(&ring_, 1);
    returned_ = stamps::ticks();
    for (stamps::Served& one : served_) {
        one.reply_entered = one.reply_returned = entered_;
        setup_.log->append(one);
    }
    served_.clear();
    return result;
}

int UringQueue::run() {
    for (Entry& entry : entries_) {
        submit(entry, ring::command_register, 0);
    }
    int error = 0;
    std::size_t alive = entries_.size();
    while (alive > 0) {
        const int result = submit_and_wait();
        if (result < 0 && result != -EINTR) {
            return -result;
        }
        unsigned head = 0;
        unsigned seen = 0;
        io_uring_cqe* completion = nullptr;
        io_uring_for_each_cqe(&ring_, head, completion) {
            ++seen;
            if (completion->res == 0) {
                serve(*reinterpret_cast<Entry*>(completion->user_data));
                continue;
            }
            --alive;
            error = error == 0 ? -completion->res : error;
        }
        io_uring_cq_advance(&ring_, seen);
    }
    return error;
}

}  // namespace fusesim::daemons
