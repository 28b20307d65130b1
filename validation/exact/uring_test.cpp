#include "transport/uring.h"

#include "support/fuse_support.h"
#include "support/paper_mount.h"
#include "support/time_text.h"

#include <catch2/catch.hpp>

#include <deque>
#include <memory>
#include <string>

// Schedules made on paper, checked to the picosecond. Costs: see support/paper_host.h; dispatching
// a request to its ring's thread takes 10 us, committing an answer 20 us.

using namespace fusesim;
using namespace fusesim::sim::literals;
using fuse::Opcode;
using host::Thread;
using sim::Task;
using sim::Time;
using transport::Call;
using transport::Uring;
using validation::at;
using validation::HundredMicroseconds;
using validation::single;

namespace {

host::HostProfile ring_host(unsigned cores) {
    host::HostProfile host = validation::paper_host(cores);
    host.costs.uring = host::UringCosts{10_us, 20_us, Time(), Time(), Time()};
    return host;
}

struct UringMount : validation::PaperMount<Uring> {
    UringMount(unsigned cores, unsigned depth)
        : PaperMount(ring_host(cores),
                     fuse::kernel_behaviour("6.18"),
                     fuse::ConnectionConfig{},
                     transport::DevFuseConfig{},
                     transport::UringConfig{depth}) {}

    /// A request of a thread of its own, once the daemon's threads have all gone to sleep.
    Call& send_late(const std::string& name, unsigned core) {
        Call& sent = call(Opcode::getattr);
        sim.engine.spawn(name, validation::send(dev, thread(name, core), sent, 50_us));
        return sent;
    }
};

}  // namespace

TEST_CASE("a request on a ring over two cores: one system call of the daemon", "[exact]") {
    UringMount mount(2, 8);
    HundredMicroseconds file_system;
    daemon::Session session(mount.dev, file_system, single(1));
    Call& first = mount.call(Opcode::getattr);
    Call& second = mount.call(Opcode::getattr);
    mount.sim.engine.spawn("app", [](UringMount& m, Call& a, Call& b) -> Task<> {
        Thread& app = m.thread("app", 0);
        co_await app.sleep_for(50_us);
        co_await app.run();
        co_await m.dev.call(app, a);
        co_await m.dev.call(app, b);
        app.exit();
    }(mount, first, second));
    mount.run();

    CHECK(at(first.queued) == 53_us);
    CHECK(at(first.sent) == 66_us);      // 3 idle exit, 10 dispatch: no system call
    CHECK(at(first.replied) == 166_us);  // 100 service
    CHECK(at(first.ended) == 187_us);    // 1 system call, 20 commit
    CHECK(at(first.resumed) == 190_us);
    CHECK(at(second.sent) == 203_us);  // asleep since 187 within the same call
    CHECK(at(second.resumed) == 327_us);
}

TEST_CASE("a request on a ring of the caller's own core: two context switches", "[exact]") {
    UringMount mount(1, 8);
    HundredMicroseconds file_system;
    daemon::Session session(mount.dev, file_system, single(0));
    const Call& call = mount.send_late("app", 0);
    mount.run();
    CHECK(at(call.queued) == 53_us);
    CHECK(at(call.sent) == 65_us);  // 2 switch, 10 dispatch
    CHECK(at(call.ended) == 186_us);
    CHECK(at(call.resumed) == 188_us);
}

TEST_CASE("with one entry the commit fetches the next request in the same call", "[exact]") {
    UringMount mount(2, 1);
    HundredMicroseconds file_system;
    daemon::Session session(mount.dev, file_system, single(1));
    const Call& a = mount.send_late("a", 0);
    const Call& b = mount.send_late("b", 0);
    mount.run();
    CHECK(at(a.queued) == 53_us);
    CHECK(at(b.queued) == 55_us);
    CHECK(at(a.ended) == 187_us);
    CHECK(at(b.sent) == 197_us);  // 10 dispatch, neither system call nor wake-up
    CHECK(at(b.replied) == 297_us);
    CHECK(at(b.ended) == 318_us);
}

TEST_CASE("with two entries both requests are handled before one call commits them", "[exact]") {
    UringMount mount(2, 2);
    HundredMicroseconds file_system;
    daemon::Session session(mount.dev, file_system, single(1));
    const Call& a = mount.send_late("a", 0);
    const Call& b = mount.send_late("b", 0);
    mount.run();
    CHECK(at(a.sent) == 66_us);
    CHECK(at(b.sent) == 76_us);  // both had come while the daemon's core woke up
    CHECK(at(a.replied) == 276_us);
    CHECK(at(b.replied) == 276_us);
    CHECK(at(a.ended) == 297_us);  // 1 system call, 20 commit
    CHECK(at(b.ended) == 317_us);
    CHECK(mount.dev.available(0) == 2);
    CHECK(mount.dev.available(1) == 2);
}

TEST_CASE("requests stay on the queue of their caller's core though another idles", "[exact]") {
    UringMount mount(3, 1);
    HundredMicroseconds file_system;
    daemon::Session session(mount.dev, file_system, {});
    const Call& a = mount.send_late("a", 2);
    const Call& b = mount.send_late("b", 2);
    mount.run();
    CHECK(a.channel == b.channel);
    CHECK(a.ended < b.sent);  // served one after the other by the thread of core 2
}

TEST_CASE("a FORGET goes through /dev/fuse", "[exact]") {
    UringMount mount(2, 8);
    HundredMicroseconds file_system;
    daemon::Session session(mount.dev, file_system, single(1));
    mount.dev.forget(7, 1);
    mount.run();
    CHECK(mount.dev.statistics().by_opcode().at(Opcode::forget).count == 1);
    CHECK(mount.dev.connection().input(0).forgets() == 0);
}

TEST_CASE("abort ends what waits on a ring", "[exact]") {
    UringMount mount(2, 1);
    const Call& a = mount.send_late("a", 0);
    const Call& b = mount.send_late("b", 0);
    mount.sim.engine.spawn("admin", [](UringMount& m) -> Task<> {
        co_await m.sim.engine.delay(100_us);
        m.dev.connection().abort();
    }(mount));
    mount.run();
    CHECK(a.error == -103);  // ECONNABORTED
    CHECK(b.error == -103);
}

namespace {

/// A connection with two ring queues, without time.
struct ConnectionRings {
    explicit ConnectionRings(std::uint32_t max_background)
        : connection(fuse::kernel_behaviour("6.18"), config(max_background), log) {
        queues[0] = connection.add_channel();
        queues[1] = connection.add_channel();
    }

    static fuse::ConnectionConfig config(std::uint32_t max_background) {
        fuse::ConnectionConfig config;
        config.limits.max_background = max_background;
        config.channel_background = fuse::ChannelBackground::ring;
        return config;
    }

    fuse::Request& queue(int queue) {
        fuse::Request& request = requests.emplace_back();
        request.opcode = Opcode::release;
        request.bytes_in = 64;
        request.channel = queues[queue];
        request.flags.set(fuse::Flag::force);
        request.flags.set(fuse::Flag::background);
        connection.arrive(request);
        connection.admit(request);
        connection.queue_background(request);
        return request;
    }

    void serve(fuse::Request& request) {
        const fuse::Taken taken = connection.take(request.channel, 0x101000);
        REQUIRE(taken.request == &request);
        connection.sent(request);
        REQUIRE(connection.reply(request.channel, request.unique, 0, 16) == 0);
        CHECK(connection.check().empty());
    }

    fuse::test::Log log;
    std::deque<fuse::Request> requests;
    fuse::Connection connection;
    fuse::Connection::Fd queues[2] = {};
};

}  // namespace

TEST_CASE("each ring queue may have one background request beyond the limit", "[exact]") {
    ConnectionRings rings(1);
    fuse::Request& first = rings.queue(0);
    fuse::Request& second = rings.queue(0);
    fuse::Request& other = rings.queue(1);
    CHECK(first.station == fuse::Station::pending);
    CHECK(second.station == fuse::Station::background);
    CHECK(other.station == fuse::Station::pending);
    CHECK(rings.connection.background().active_background() == 2);
    CHECK(second.unique < other.unique);  // drawn at submission
    rings.serve(first);
    CHECK(second.station == fuse::Station::pending);  // none of its queue was active
    rings.serve(second);
    rings.serve(other);
    CHECK(rings.connection.background().num_background() == 0);
}

TEST_CASE("an end starts the next of its queue only below the limit it still counts in",
          "[exact]") {
    ConnectionRings rings(2);
    fuse::Request& a = rings.queue(0);
    fuse::Request& b = rings.queue(0);
    fuse::Request& waits = rings.queue(0);
    rings.serve(a);
    // Two were active when it ended: nothing started, and one is active now.
    CHECK(waits.station == fuse::Station::background);
    CHECK(rings.connection.background().active_background() == 1);
    rings.serve(b);
    CHECK(waits.station == fuse::Station::pending);
    rings.serve(waits);
}
