#include "fuse/connection.h"
#include "support/fuse_support.h"

#include <catch2/catch.hpp>

#include <cerrno>
#include <stdexcept>

using namespace fusesim::fuse;
using namespace fusesim::fuse::test;

TEST_CASE("a request goes from caller to daemon and back", "[unit]") {
    Bench bench;
    Connection& connection = bench.connection;
    Request& request = bench.make(Opcode::lookup);
    CHECK(connection.arrive(request));
    CHECK(connection.num_waiting() == 1);
    CHECK(connection.admit(request) == 0);
    CHECK(connection.queue(request));
    CHECK(request.unique == 2);
    CHECK(request.station == Station::pending);
    CHECK(bench.log.queued.size() == 1);
    CHECK(bench.log.readers_woken == 1);

    const Taken taken = connection.take(0, daemon_buffer);
    REQUIRE(taken.kind == Taken::Kind::request);
    CHECK(taken.request == &request);
    CHECK(taken.bytes == request.bytes_in);
    CHECK(taken.unique == 2);
    CHECK(request.station == Station::io);
    CHECK(request.has(Flag::locked));
    CHECK(connection.sent(request));
    CHECK(request.station == Station::processing);
    CHECK(request.has(Flag::sent));
    CHECK(connection.check().empty());

    const Replied replied = connection.begin_reply(0, 2, -ENOENT, 16);
    REQUIRE(replied.kind == Replied::Kind::request);
    CHECK(replied.steps == 1);
    CHECK(request.station == Station::io);
    CHECK(bench.log.ended.empty());
    CHECK(connection.finish_reply(request) == 0);
    CHECK(bench.log.ended == std::vector<Request*>{&request});
    CHECK(request.error == -ENOENT);
    CHECK(request.bytes_out == 16);
    CHECK(request.has(Flag::finished));
    CHECK(connection.num_waiting() == 1);  // until its caller runs
    connection.put(request);
    CHECK(connection.num_waiting() == 0);
    CHECK(connection.check().empty());
}

TEST_CASE("an ended request can be used again", "[unit]") {
    Bench bench;
    Request& request = bench.queue();
    bench.read();
    CHECK(bench.answer(request, -EIO) == -EINVAL);  // an error longer than its header
    CHECK(request.error == -EIO);
    bench.connection.put(request);
    request.reset();
    CHECK(request.completion == &bench.log);
    CHECK(request.error == 0);
    CHECK_FALSE(request.has(Flag::finished));
    request.bytes_in = 56;
    CHECK(bench.connection.queue(request));
    CHECK(request.unique == 4);
    bench.read();
    CHECK(bench.connection.reply(0, 4, 0, 120) == 0);
}

TEST_CASE("reads refuse buffers that are too small", "[unit]") {
    ConnectionConfig config;
    config.max_write = 128U << 10U;
    Bench now("5.4", config);
    now.queue();
    CHECK(now.connection.least_read_buffer() == 80 + (128U << 10U));
    CHECK(now.read(0, 80 + (128U << 10U) - 1).error == -EINVAL);
    CHECK(now.read(0, 80 + (128U << 10U)).kind == Taken::Kind::request);

    Bench then("4.18", config);
    then.queue();
    CHECK(then.read(0, 8191).error == -EINVAL);
    CHECK(then.read(0, 8192).kind == Taken::Kind::request);

    config.max_write = 4096;
    Bench small("6.1", config);
    CHECK(small.connection.least_read_buffer() == 8192);
}

TEST_CASE("a request longer than the buffer ends, and the next is taken", "[unit]") {
    Bench bench("4.18");
    Request& write = bench.make(Opcode::write);
    write.bytes_in = 8193;
    bench.connection.queue(write);
    Request& setxattr = bench.make(Opcode::setxattr);
    setxattr.bytes_in = 9000;
    bench.connection.queue(setxattr);
    Request& good = bench.queue();
    const Taken taken = bench.read(0, 8192);
    CHECK(taken.request == &good);
    CHECK(taken.discarded == 2);
    CHECK(write.error == -EIO);
    CHECK(setxattr.error == -E2BIG);
    CHECK(bench.log.ended == std::vector<Request*>{&write, &setxattr});
}

TEST_CASE("replies that are none are refused", "[unit]") {
    Bench bench;
    Request& request = bench.queue();
    bench.read();
    Connection& connection = bench.connection;
    CHECK(connection.reply(0, request.unique, 0, 15) == -EINVAL);
    CHECK(connection.reply(0, request.unique, 1, 16) == -EINVAL);
    CHECK(connection.reply(0, request.unique, -512, 16) == -EINVAL);
    CHECK(connection.reply(0, request.unique + 2, 0, 16) == -ENOENT);
    CHECK(connection.begin_reply(0, 0, 3, 40).kind == Replied::Kind::notification);
    CHECK(request.station == Station::processing);
    CHECK(connection.reply(0, request.unique, -511, 16) == 0);
    CHECK(connection.reply(0, request.unique, 0, 120) == -ENOENT);  // answered already

    Request& confused = bench.queue();
    bench.read();
    CHECK(connection.reply(0, confused.unique, -ENOENT, 120) == -EINVAL);  // an error with data
    CHECK(confused.error == -EIO);

    Bench old("4.18");
    Request& other = old.queue();
    old.read();
    CHECK(old.connection.reply(0, other.unique, -1000, 16) == -EINVAL);
    CHECK(old.connection.reply(0, other.unique, -999, 16) == 0);
}

TEST_CASE("what expects no reply ends when it has been copied", "[unit]") {
    Bench bench;
    Request& retrieved = bench.make(Opcode::notify_reply);
    bench.connection.arrive(retrieved);
    CHECK(bench.connection.queue_notify_reply(retrieved, 77));
    CHECK(retrieved.unique == 77);
    const Taken taken = bench.connection.take(0, daemon_buffer);
    CHECK(taken.unique == 77);
    CHECK(bench.log.ended.empty());
    CHECK(bench.connection.sent(retrieved));
    CHECK(bench.log.ended == std::vector<Request*>{&retrieved});
    CHECK(bench.connection.num_waiting() == 0);

    Request& forget = bench.make(Opcode::forget);
    forget.flags.set(Flag::force);
    bench.connection.queue(forget);
    bench.read();
    CHECK(forget.has(Flag::finished));
    CHECK(bench.connection.num_waiting() == 1);
    bench.connection.put(forget);
    CHECK(bench.connection.num_waiting() == 0);
    CHECK(bench.connection.check().empty());
}

TEST_CASE("nobody passes the gate before the INIT reply, except forced requests", "[unit]") {
    ConnectionConfig config;
    config.initialized = false;
    Bench bench("6.1", config);
    Request& init = bench.make(Opcode::init);
    init.flags.set(Flag::force);
    CHECK(bench.connection.arrive(init));
    Request& lookup = bench.make(Opcode::lookup);
    CHECK_FALSE(bench.connection.arrive(lookup));
    CHECK(bench.connection.num_waiting() == 2);
    bench.connection.initialize({50, 40});
    CHECK(bench.log.all_blocked_woken == 1);
    CHECK(bench.connection.may_pass(lookup));
    CHECK(bench.connection.background().limits().max_background == 50);
    CHECK(bench.connection.background().limits().congestion_threshold == 40);
}

TEST_CASE("a failed INIT refuses callers", "[unit]") {
    ConnectionConfig config;
    config.initialized = false;
    Bench bench("6.1", config);
    Request& lookup = bench.make(Opcode::lookup);
    CHECK_FALSE(bench.connection.arrive(lookup));
    bench.connection.refuse();
    CHECK(bench.connection.may_pass(lookup));
    CHECK(bench.connection.admit(lookup) == -ECONNREFUSED);
    CHECK(bench.connection.num_waiting() == 0);
}

TEST_CASE("nobody passes between INIT and a ready ring", "[unit]") {
    Bench bench("6.14");
    bench.connection.await_ring(true);
    Request& lookup = bench.make(Opcode::lookup);
    CHECK_FALSE(bench.connection.arrive(lookup));
    bench.connection.await_ring(false);
    CHECK(bench.connection.may_pass(lookup));
    CHECK(bench.log.all_blocked_woken == 1);
}

TEST_CASE("a caller killed at the gate is no longer waiting", "[unit]") {
    ConnectionConfig config;
    config.limits = {1, 1};
    Bench bench("6.1", config);
    bench.queue_background();
    Request& held = bench.make(Opcode::read);
    held.flags.set(Flag::background);
    CHECK_FALSE(bench.connection.arrive(held));
    bench.connection.sleeps_at_gate();
    CHECK(bench.connection.num_waiting() == 2);
    bench.connection.leaves_gate();
    bench.connection.give_up(held);
    CHECK(bench.connection.num_waiting() == 1);
    CHECK(bench.connection.gate_sleepers() == 0);
}

TEST_CASE("a background request given up hands the gate to the next", "[unit]") {
    Bench bench;
    Request& unwanted = bench.make(Opcode::read);
    unwanted.flags.set(Flag::background);
    CHECK(bench.connection.arrive(unwanted));
    bench.connection.sleeps_at_gate();
    bench.connection.give_up(unwanted);
    CHECK(bench.log.blocked_woken == 1);
}

TEST_CASE("a fatal signal takes out what is pending and nothing else", "[unit]") {
    Bench bench;
    Request& first = bench.queue();
    Request& second = bench.queue();
    CHECK(bench.connection.kill(second));
    CHECK(second.error == -EINTR);
    CHECK(bench.connection.num_waiting() == 1);
    CHECK(bench.log.ended.empty());
    bench.read();
    CHECK_FALSE(bench.connection.kill(first));
    Request& forced = bench.make(Opcode::flush);
    forced.flags.set(Flag::force);
    bench.connection.queue(forced);
    CHECK_FALSE(bench.connection.kill(forced));
    CHECK(bench.connection.check().empty());
}

TEST_CASE("closing a descriptor ends what it has taken, the last one aborts", "[unit]") {
    Bench bench;
    const Connection::Fd second = bench.connection.clone_fd();
    Request& a = bench.queue();
    Request& b = bench.queue();
    Request& c = bench.queue();
    bench.read(0);
    bench.read(second);
    bench.connection.close(second);
    CHECK(b.error == -ECONNABORTED);
    CHECK(bench.log.ended == std::vector<Request*>{&b});
    CHECK(bench.connection.connected());
    CHECK_FALSE(bench.connection.is_open(second));
    CHECK_THROWS_AS(bench.connection.close(second), std::logic_error);
    bench.connection.close(0);
    CHECK_FALSE(bench.connection.connected());
    CHECK(bench.log.ended == std::vector<Request*>{&b, &a, &c});
    CHECK(bench.log.all_readers_woken == 1);
}

TEST_CASE("a descriptor is not closed while it copies", "[unit]") {
    Bench bench;
    bench.queue();
    const Taken taken = bench.connection.take(0, daemon_buffer);
    CHECK_THROWS_AS(bench.connection.close(0), std::logic_error);
    bench.connection.sent(*taken.request);
    bench.connection.close(0);
    CHECK(bench.log.ended.size() == 1);
}

TEST_CASE("clones and re-sending need a kernel that has them", "[unit]") {
    Bench bench("4.1");
    CHECK_THROWS_AS(bench.connection.clone_fd(), std::logic_error);
    CHECK_THROWS_AS(bench.connection.resend(), std::logic_error);
}

TEST_CASE("after the abort nobody gets in", "[unit]") {
    Bench bench;
    bench.connection.abort();
    bench.connection.abort();
    CHECK(bench.log.all_readers_woken == 1);
    Request& request = bench.make();
    CHECK(bench.connection.arrive(request));
    CHECK(bench.connection.admit(request) == -ENOTCONN);
    CHECK_FALSE(bench.connection.queue(request));
    CHECK(request.error == -ENOTCONN);
    CHECK_FALSE(bench.connection.queue_background(bench.make(Opcode::read)));
    CHECK_FALSE(bench.connection.queue_notify_reply(bench.make(Opcode::notify_reply), 5));
    CHECK_FALSE(bench.connection.queue_forget({1, 1}));
    CHECK(bench.read().error == -ECONNABORTED);
    CHECK(bench.connection.reply(0, 2, 0, 16) == -ENOENT);
    CHECK(bench.connection.num_waiting() == 0);
}

TEST_CASE("locks are taken as often as in the kernel", "[unit]") {
    SECTION("one synchronous request") {
        Bench bench("6.1");
        Request& request = bench.queue();
        bench.read();
        bench.answer(request);
        const LockUse& locks = bench.connection.locks();
        CHECK(locks.input == 2);       // queueing, reading
        CHECK(locks.processing == 4);  // two for the read, two for the reply
        CHECK(locks.background == 0);
        CHECK(locks.request == 1);
    }
    SECTION("a read that slept takes the input lock once more") {
        Bench bench("6.1");
        CHECK(bench.read().kind == Taken::Kind::nothing);
        bench.queue();
        bench.read();
        CHECK(bench.connection.locks().input == 3);
    }
    SECTION("4.18 takes the input lock at every end, and wakes for background too") {
        Bench bench("4.18");
        Request& request = bench.queue_background();
        bench.read();
        bench.answer(request);
        CHECK(bench.connection.locks().input == 3);
        CHECK(bench.connection.locks().background == 2);
        CHECK(bench.connection.locks().request == 1);
    }
    SECTION("4.1 has one lock and does not nest it") {
        Bench bench("4.1");
        Request& request = bench.queue();
        bench.read();
        bench.answer(request);
        const LockUse& locks = bench.connection.locks();
        CHECK(locks.input + locks.processing + locks.background == 5);
    }
}

TEST_CASE("channels with limits of their own do not hold each other up", "[unit]") {
    ConnectionConfig config;
    config.limits.max_background = 2;
    config.channel_background = ChannelBackground::channel;
    Bench bench("6.1", config);
    const Connection::Fd full = bench.connection.add_channel();
    const Connection::Fd empty = bench.connection.add_channel();
    const auto queue = [&](Connection::Fd channel) -> Request& {
        Request& request = bench.make(Opcode::read);
        request.flags.set(Flag::background);
        request.channel = channel;
        bench.connection.arrive(request);
        bench.connection.admit(request);
        bench.connection.queue_background(request);
        return request;
    };
    const Request& first = queue(full);
    queue(full);
    Request& third = queue(full);
    CHECK(bench.connection.background(full).blocked());
    CHECK(third.station == Station::background);
    CHECK_FALSE(bench.connection.background(empty).blocked());
    CHECK(queue(empty).station == Station::pending);
    CHECK(bench.connection.check() == "");

    CHECK(bench.read(full).request == &first);
    CHECK(bench.answer(first) == 0);
    CHECK(third.station == Station::pending);
    CHECK(bench.connection.background(full).num_background() == 2);
    CHECK(bench.connection.check() == "");
}
