#include "device/tlm_border.h"

#include "device/queueing_device.h"
#include "support/simulation.h"

#include <catch2/catch.hpp>

#include <vector>

using namespace fusesim;
using namespace fusesim::sim::literals;
using device::Io;
using sim::Task;
using sim::Time;

namespace {

/// A target somebody else might have written: it knows nothing of fusesim, serves one request
/// after another, and spends part of its time in wait() and part in the delay that it returns.
struct ForeignDisk : sc_core::sc_module {
    explicit ForeignDisk(const sc_core::sc_module_name& name) : sc_module(name), socket("socket") {
        socket.register_b_transport(this, &ForeignDisk::b_transport);
    }

    void b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
        arm.lock();
        seen.push_back(payload.get_address());
        wait(sc_core::sc_time(30, sc_core::SC_US));
        arm.unlock();
        delay += sc_core::sc_time(5, sc_core::SC_US);
        payload.set_response_status(payload.get_address() == 666 ? tlm::TLM_ADDRESS_ERROR_RESPONSE
                                                                 : tlm::TLM_OK_RESPONSE);
    }

    tlm_utils::simple_target_socket<ForeignDisk> socket;
    sc_core::sc_mutex arm;
    std::vector<sc_dt::uint64> seen;
};

Task<> ask(sim::Engine& engine, device::Device& disk, std::uint64_t offset, Time& done) {
    Io io;
    io.offset = offset;
    io.bytes = 4096;
    co_await disk.serve(io);
    done = engine.now();
}

}  // namespace

TEST_CASE("a foreign TLM target serves as a device, to the picosecond", "[unit]") {
    validation::Simulation sim;
    ForeignDisk foreign("foreign");
    device::TlmDevice disk("disk", sim.engine, 4);
    disk.socket.bind(foreign.socket);
    Time first;
    Time second;
    sim.engine.spawn("first", ask(sim.engine, disk, 4096, first));
    sim.engine.spawn("second", ask(sim.engine, disk, 8192, second));
    sim.engine.run();
    CHECK(foreign.seen == std::vector<sc_dt::uint64>{4096, 8192});
    CHECK(first == 35_us);   // 30 us under the arm, 5 us of delay
    CHECK(second == 65_us);  // its 30 us begin when the arm is free, before the other's delay ends
    CHECK_NOTHROW(disk.station().check(sim.engine.now()));
    sim.engine.kill_all();
}

TEST_CASE("what a foreign target refuses reaches whoever asked", "[unit]") {
    validation::Simulation sim;
    ForeignDisk foreign("foreign");
    device::TlmDevice disk("disk", sim.engine, 1);
    disk.socket.bind(foreign.socket);
    Time done;
    sim.engine.spawn("reader", ask(sim.engine, disk, 666, done));
    CHECK_THROWS_WITH(sim.engine.run(), Catch::Matchers::Contains("refused"));
}

TEST_CASE("a foreign initiator uses one of our devices over TLM", "[unit]") {
    struct ForeignHost : sc_core::sc_module {
        SC_HAS_PROCESS(ForeignHost);

        explicit ForeignHost(const sc_core::sc_module_name& name)
            : sc_module(name), socket("socket") {
            SC_THREAD(run);
        }

        void run() {
            wait(sc_core::sc_time(7, sc_core::SC_US));
            for (int i = 0; i < 3; ++i) {
                tlm::tlm_generic_payload payload;
                unsigned char data[512] = {};
                payload.set_command(tlm::TLM_WRITE_COMMAND);
                payload.set_address(512u * static_cast<unsigned>(i));
                payload.set_data_ptr(data);
                payload.set_data_length(512);
                sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
                socket->b_transport(payload, delay);
                ok = ok && payload.is_response_ok();
            }
            ended = sc_core::sc_time_stamp();
        }

        tlm_utils::simple_initiator_socket<ForeignHost> socket;
        sc_core::sc_time ended;
        bool ok = true;
    };

    validation::Simulation sim;
    device::QueueingDevice disk(sim.engine, "disk", {1, sim::Distribution::constant(10_us)}, 1);
    device::TlmTarget target("target", sim.engine, disk);
    ForeignHost host("host");
    host.socket.bind(target.socket);
    sim.engine.run();
    CHECK(host.ok);
    CHECK(host.ended == sc_core::sc_time(37, sc_core::SC_US));
    CHECK(disk.station().departures() == 3);
}
