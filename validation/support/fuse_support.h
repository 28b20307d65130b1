#pragma once

#include "fuse/connection.h"
#include "fuse/kernel.h"
#include "fuse/request.h"
#include "fuse/sizes.h"

#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

namespace fusesim::fuse::test {

/// Writes down everything that a connection says.
struct Log : Listener, Completion {
    std::vector<Request*> queued;
    std::vector<Request*> ended;
    int readers_woken = 0;
    int all_readers_woken = 0;
    int blocked_woken = 0;
    int all_blocked_woken = 0;

    void request_queued(Request& request) override { queued.push_back(&request); }

    void wake_one_reader() override { ++readers_woken; }

    void wake_all_readers() override { ++all_readers_woken; }

    void wake_one_blocked() override { ++blocked_woken; }

    void wake_all_blocked() override { ++all_blocked_woken; }

    void request_ended(Request& request) override { ended.push_back(&request); }
};

/// The read buffer of a daemon with 128 KiB writes.
inline constexpr std::uint32_t daemon_buffer = 0x21000;

/// A connection with its log and as many requests as a test likes.
class Bench {
  public:
    explicit Bench(std::string_view version = "6.1", const ConnectionConfig& config = {})
        : connection(kernel_behaviour(version), config, log) {}

    Request& make(Opcode opcode = Opcode::getattr) {
        Request& request = requests_.emplace_back();
        request.opcode = opcode;
        request.bytes_in = request_bytes(opcode, 38);
        request.completion = &log;
        return request;
    }

    /// A foreground request on the pending list.
    Request& queue(Opcode opcode = Opcode::getattr) {
        Request& request = make(opcode);
        connection.arrive(request);
        connection.admit(request);
        connection.queue(request);
        return request;
    }

    Request& queue_background(Opcode opcode = Opcode::read) {
        Request& request = make(opcode);
        request.flags.set(Flag::background);
        connection.arrive(request);
        connection.admit(request);
        connection.queue_background(request);
        return request;
    }

    Request& queue_forced(Opcode opcode = Opcode::release) {
        Request& request = make(opcode);
        request.flags.set(Flag::force);
        connection.queue_background(request);
        return request;
    }

    /// A whole read: what was taken is copied at once.
    Taken read(Connection::Fd fd = 0, std::uint32_t buffer = daemon_buffer) {
        const Taken taken = connection.take(fd, buffer);
        if (taken.kind == Taken::Kind::request) {
            connection.sent(*taken.request);
        }
        return taken;
    }

    std::int32_t answer(const Request& request, std::int32_t error = 0) {
        return connection.reply(request.fd, request.unique, error, reply_bytes(request.opcode, 38));
    }

    Log log;

  private:
    std::deque<Request> requests_;  // before the connection, so that it outlives it

  public:
    Connection connection;
};

}  // namespace fusesim::fuse::test
