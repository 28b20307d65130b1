#include "support/fuse_support.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

using namespace fusesim::fuse;
using namespace fusesim::fuse::test;

namespace {

/// One letter a read: i INTERRUPT, f FORGET, b BATCH_FORGET, r a request, - nothing.
char letter(const Taken& taken) {
    switch (taken.kind) {
        case Taken::Kind::nothing:
            return '-';
        case Taken::Kind::request:
            return 'r';
        case Taken::Kind::interrupt:
            return 'i';
        case Taken::Kind::forget:
            return 'f';
        case Taken::Kind::batch_forget:
            return 'b';
        case Taken::Kind::failed:
            return '!';
    }
    return '?';
}

std::string repeat(char c, int count) {
    return std::string(static_cast<std::size_t>(count), c);
}

ConnectionConfig with_limits(std::uint32_t max_background, std::uint32_t congestion_threshold) {
    ConnectionConfig config;
    config.limits = {max_background, congestion_threshold};
    return config;
}

/// A server too old for BATCH_FORGET: each forget is a message of its own.
ConnectionConfig single_forgets() {
    ConnectionConfig config;
    config.protocol_minor = 15;
    return config;
}

}  // namespace

TEST_CASE("forgets and requests take turns of 16 and 8, after the first 8 requests", "[exact]") {
    for (const KernelBehaviour& kernel : kernel_behaviours()) {
        CAPTURE(kernel.version);
        Bench bench(kernel.version, single_forgets());
        for (std::uint64_t i = 0; i < 60; ++i) {
            bench.queue();
            bench.connection.queue_forget({i, 1});
        }
        std::string schedule;
        for (int i = 0; i < 56 + 8; ++i) {
            schedule += letter(bench.read());
        }
        CHECK(schedule == repeat('r', 8) + repeat('f', 16) + repeat('r', 8) + repeat('f', 16) +
                              repeat('r', 8) + repeat('f', 8));
    }
}

TEST_CASE("the forget counter stands still while one queue is empty", "[exact]") {
    Bench bench("6.1", single_forgets());
    std::string schedule;
    const auto reads = [&](int count) {
        for (int i = 0; i < count; ++i) {
            schedule += letter(bench.read());
        }
    };
    bench.connection.queue_forget({1, 1});
    for (int i = 0; i < 3; ++i) {
        bench.queue();
    }
    reads(3);
    CHECK(bench.connection.input().forget_batch() == -3);
    reads(1);  // the forget, alone
    CHECK(bench.connection.input().forget_batch() == -3);
    for (int i = 0; i < 20; ++i) {
        bench.queue();
    }
    reads(10);  // requests, alone
    CHECK(bench.connection.input().forget_batch() == -3);
    for (std::uint64_t i = 0; i < 40; ++i) {
        bench.connection.queue_forget({i, 1});
    }
    reads(5);  // the turn of requests goes on to its eighth
    CHECK(bench.connection.input().forget_batch() == 16);
    reads(16);
    CHECK(bench.connection.input().forget_batch() == 0);
    reads(5);  // the requests left
    reads(2);
    CHECK(schedule == "rrrf" + repeat('r', 15) + repeat('f', 16) + repeat('r', 5) + "ff");
}

TEST_CASE("one message empties the forget list, as far as the buffer goes", "[exact]") {
    Bench bench("5.4");
    for (std::uint64_t i = 0; i < 8445 + 1; ++i) {
        bench.connection.queue_forget({i, i + 1});
    }
    CHECK(bench.log.readers_woken == 8446);
    const Taken first = bench.read();
    CHECK(first.kind == Taken::Kind::batch_forget);
    CHECK(first.bytes == 40 + 8 + 8445 * 16);
    CHECK(first.unique == 2);  // drawn when read
    REQUIRE(first.forgets.size() == 8445);
    CHECK(first.forgets[8444].nodeid == 8444);
    CHECK(first.forgets[8444].nlookup == 8445);
    const Taken second = bench.read();
    CHECK(second.kind == Taken::Kind::forget);  // one alone
    CHECK(second.bytes == 48);
    CHECK(second.unique == 4);
    CHECK(bench.read().kind == Taken::Kind::nothing);
}

TEST_CASE("forgets are batched from protocol 7.16 on", "[exact]") {
    ConnectionConfig config;
    config.protocol_minor = 16;
    Bench bench("6.1", config);
    bench.connection.queue_forget({1, 1});
    bench.connection.queue_forget({2, 1});
    CHECK(letter(bench.read()) == 'b');

    Bench old("6.1", single_forgets());
    old.connection.queue_forget({1, 1});
    old.connection.queue_forget({2, 1});
    CHECK(letter(old.read()) == 'f');
    CHECK(letter(old.read()) == 'f');
}

TEST_CASE("interrupts go before everything that waits longer", "[exact]") {
    Bench bench;
    Request& a = bench.queue();
    Request& b = bench.queue();
    bench.read();
    bench.read();
    bench.queue();
    bench.connection.queue_forget({1, 1});
    CHECK(bench.connection.interrupt(b));
    CHECK(bench.connection.interrupt(a));
    const Taken first = bench.read();
    const Taken second = bench.read();
    CHECK(first.kind == Taken::Kind::interrupt);
    CHECK(first.unique == (b.unique | 1U));
    CHECK(first.bytes == 48);
    CHECK(second.unique == (a.unique | 1U));
    CHECK(letter(bench.read()) == 'r');
    CHECK(letter(bench.read()) == 'f');
}

TEST_CASE("a request interrupted before it is sent is followed by its INTERRUPT", "[exact]") {
    Bench bench;
    Request& request = bench.queue();
    CHECK_FALSE(bench.connection.interrupt(request));  // pending: later
    const Taken taken = bench.connection.take(0, daemon_buffer);
    CHECK(bench.connection.input().interrupts() == 0);
    bench.log.readers_woken = 0;
    bench.connection.sent(*taken.request);
    CHECK(bench.log.readers_woken == 1);
    CHECK(letter(bench.read()) == 'i');
    CHECK(letter(bench.read()) == '-');
}

TEST_CASE("EAGAIN queues an interrupt again, ENOSYS ends them all", "[exact]") {
    const char* const version = GENERATE("6.1", "4.18");
    CAPTURE(version);
    Bench bench(version);
    Request& request = bench.queue();
    bench.read();
    bench.connection.interrupt(request);
    CHECK_FALSE(bench.connection.interrupt(request));  // queued once
    Taken interrupt = bench.read();
    CHECK(bench.connection.reply(0, interrupt.unique, -EAGAIN, 16) == 0);
    CHECK(bench.connection.check().empty());
    const std::uint64_t before = interrupt.unique;
    interrupt = bench.read();
    CHECK(interrupt.kind == Taken::Kind::interrupt);
    // An id of its own is a new one each time; the marked id stays.
    CHECK((interrupt.unique == before) == (std::string(version) == "6.1"));
    CHECK(bench.connection.reply(0, interrupt.unique, 0, 120) == -EINVAL);
    CHECK(bench.connection.reply(0, interrupt.unique, -ENOSYS, 16) == 0);
    CHECK(bench.connection.no_interrupt());
    CHECK_FALSE(bench.connection.interrupt(request));
    CHECK(letter(bench.read()) == '-');
    CHECK(request.station == Station::processing);  // itself still awaited
    CHECK(bench.answer(request, 0) == 0);
}

TEST_CASE("a request that ends takes its queued interrupt with it", "[exact]") {
    Bench bench;
    Request& request = bench.queue();
    bench.read();
    bench.connection.interrupt(request);
    CHECK(bench.connection.input().interrupts() == 1);
    bench.answer(request);
    CHECK(bench.connection.input().interrupts() == 0);
    CHECK(letter(bench.read()) == '-');
    CHECK(bench.connection.reply(0, request.unique | 1U, -EAGAIN, 16) == -ENOENT);
}

TEST_CASE("12 background requests are under way, and each end releases the next", "[exact]") {
    Bench bench;
    std::vector<Request*> requests;
    for (int i = 0; i < 12; ++i) {
        requests.push_back(&bench.queue_background());
    }
    CHECK(bench.connection.background().blocked());
    for (int i = 0; i < 3; ++i) {
        requests.push_back(&bench.queue_forced());
    }
    CHECK(bench.log.queued.size() == 12);
    CHECK(bench.connection.background().num_background() == 15);
    CHECK(requests[11]->unique == 24);
    CHECK(requests[12]->unique == 0);  // no id while it waits
    Request& foreground = bench.queue();
    CHECK(foreground.unique == 26);
    for (std::size_t i = 0; i < 15; ++i) {
        // Order of service: 12 background, the foreground request, the three released.
        if (i == 12) {
            CHECK(bench.read().request == &foreground);
        }
        CHECK(bench.read().request == requests[i]);
        CHECK(bench.connection.background().active_background() ==
              std::min<std::size_t>(12, 15 - i));
        CHECK(bench.answer(*requests[i]) == 0);
        CHECK(bench.log.queued.size() == std::min<std::size_t>(16, 14 + i));
        CHECK(bench.connection.check().empty());
    }
    CHECK(requests[12]->unique == 28);
    CHECK(requests[14]->unique == 32);
    CHECK(bench.connection.background().num_background() == 0);
    CHECK(bench.connection.num_waiting() == 1);  // the foreground one
}

TEST_CASE("the gate lets one caller in for each background request that ends", "[exact]") {
    Bench bench("6.1", with_limits(2, 2));
    Request& a = bench.queue_background();
    Request& b = bench.queue_background();
    Request& held = bench.make(Opcode::read);
    held.flags.set(Flag::background);
    CHECK_FALSE(bench.connection.arrive(held));
    bench.connection.sleeps_at_gate();
    Request& held_too = bench.make(Opcode::read);
    held_too.flags.set(Flag::background);
    CHECK_FALSE(bench.connection.arrive(held_too));
    bench.connection.sleeps_at_gate();
    Request& foreground = bench.make();
    CHECK(bench.connection.arrive(foreground));  // never held
    bench.connection.give_up(foreground);
    CHECK(bench.log.blocked_woken == 0);

    bench.read();
    bench.read();
    bench.answer(a);
    CHECK(bench.log.blocked_woken == 1);
    bench.connection.leaves_gate();
    CHECK(bench.connection.may_pass(held));
    CHECK(bench.connection.admit(held) == 0);
    bench.connection.queue_background(held);
    CHECK_FALSE(bench.connection.may_pass(held_too));  // shut again
    bench.answer(b);
    CHECK(bench.log.blocked_woken == 2);
    bench.connection.leaves_gate();
    CHECK(bench.connection.may_pass(held_too));
}

TEST_CASE("forced requests cross the limit and come back through equality", "[exact]") {
    Bench bench("6.1", with_limits(2, 2));
    std::vector<Request*> requests;
    for (int i = 0; i < 4; ++i) {
        requests.push_back(&bench.queue_forced());
    }
    bench.connection.sleeps_at_gate();
    const std::vector<bool> blocked_after_end{true, true, false, false};
    const std::vector<int> woken_after_end{0, 0, 1, 2};
    for (std::size_t i = 0; i < 4; ++i) {
        bench.read();
        bench.answer(*requests[i]);
        CHECK(bench.connection.background().blocked() == blocked_after_end[i]);
        CHECK(bench.log.blocked_woken == woken_after_end[i]);
    }
}

TEST_CASE("a higher max_background opens the gate, and the next event starts requests", "[exact]") {
    Bench bench("6.1", with_limits(1, 1));
    bench.queue_forced();
    bench.queue_forced();
    bench.connection.sleeps_at_gate();
    CHECK(bench.log.queued.size() == 1);
    bench.connection.set_max_background(64);
    CHECK(bench.log.blocked_woken == 1);
    CHECK(bench.log.queued.size() == 1);
    bench.queue_forced();
    CHECK(bench.log.queued.size() == 3);
    bench.connection.set_max_background(2);
    CHECK(bench.connection.background().blocked());
    CHECK(bench.connection.congested());
    bench.connection.set_congestion_threshold(4);
    CHECK_FALSE(bench.connection.congested());
}

TEST_CASE("a reply counts only on the descriptor that took the request", "[exact]") {
    Bench bench;
    const Connection::Fd cloned = bench.connection.clone_fd();
    Request& a = bench.queue();
    Request& b = bench.queue();
    CHECK(bench.read(cloned).request == &a);  // one input queue for both
    CHECK(bench.read(0).request == &b);
    CHECK(bench.connection.processing(cloned).processing() == 1);
    CHECK(bench.connection.reply(0, a.unique, 0, 120) == -ENOENT);
    CHECK(bench.connection.reply(cloned, b.unique, 0, 120) == -ENOENT);
    bench.connection.interrupt(a);
    const Taken interrupt = bench.read(0);  // any descriptor may read it
    CHECK(interrupt.kind == Taken::Kind::interrupt);
    CHECK(bench.connection.reply(0, interrupt.unique, -EAGAIN, 16) == -ENOENT);
    CHECK(bench.connection.reply(cloned, a.unique, 0, 120) == 0);
    CHECK(bench.connection.reply(0, b.unique, 0, 120) == 0);
}

TEST_CASE("an abort finds requests at every stage and leaves nothing behind", "[exact]") {
    const char* const version = GENERATE("4.1", "4.18", "5.4", "7.0");
    CAPTURE(version);
    Bench bench(version, with_limits(3, 2));
    Connection& connection = bench.connection;
    Request& processing = bench.queue();
    bench.read();
    Request& interrupted = bench.queue();
    bench.read();
    connection.interrupt(interrupted);
    bench.read();  // its INTERRUPT
    Request& reading = bench.queue();
    REQUIRE(connection.take(0, daemon_buffer).request == &reading);
    Request& replying = bench.queue();
    bench.read();
    connection.begin_reply(0, replying.unique, 0, 120);
    Request& pending = bench.queue();
    std::vector<Request*> background;
    for (int i = 0; i < 5; ++i) {
        background.push_back(&bench.queue_forced());
    }
    connection.queue_forget({1, 1});
    connection.interrupt(processing);  // stays queued
    CHECK(connection.background().waiting() == 2);
    CHECK(connection.check().empty());

    connection.abort();
    CHECK(bench.log.all_readers_woken == 1);
    CHECK(bench.log.all_blocked_woken == 1);
    CHECK(bench.log.ended == std::vector<Request*>{&processing,
                                                   &interrupted,
                                                   &pending,
                                                   background[0],
                                                   background[1],
                                                   background[2],
                                                   background[3],
                                                   background[4]});
    CHECK(reading.station == Station::io);  // copies are finished first
    CHECK_FALSE(connection.sent(reading));
    CHECK(connection.finish_reply(replying) == -ENOENT);
    CHECK(bench.log.ended.size() == 10);
    for (const Request* request : bench.log.ended) {
        CHECK(request->error == -ECONNABORTED);
        CHECK(request->station == Station::none);
    }
    for (Request* request : {&processing, &interrupted, &reading, &replying, &pending}) {
        connection.put(*request);
    }
    CHECK(connection.num_waiting() == 0);
    CHECK(bench.log.all_blocked_woken == 2);  // the last one out
    CHECK(connection.input().empty());
    CHECK(connection.background().num_background() == 0);
    CHECK(connection.background().active_background() == 0);
    CHECK(connection.processing(0).io() == 0);
    CHECK(connection.check().empty());
}

TEST_CASE("re-sent requests go first, in order, with marked ids", "[exact]") {
    Bench bench("6.12");
    Request& a = bench.queue();
    Request& b = bench.queue();
    Request& c = bench.queue();
    bench.read();
    bench.read();
    bench.connection.resend();
    CHECK(bench.connection.check().empty());
    CHECK(bench.connection.input().pending() == 3);
    CHECK(bench.read().unique == (2 | resend_bit));
    CHECK(bench.read().request == &b);
    CHECK(bench.read().request == &c);
    CHECK(bench.connection.reply(0, 2, 0, 120) == -ENOENT);
    CHECK(bench.answer(a) == 0);
    bench.connection.interrupt(b);
    const Taken interrupt = bench.read();
    CHECK(interrupt.unique == (4 | resend_bit | 1));
    CHECK(bench.connection.reply(0, interrupt.unique, -EAGAIN, 16) == 0);
}
