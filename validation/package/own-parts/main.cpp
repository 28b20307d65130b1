// Two parts that fusesim does not have, in a program of their own: a transport that keeps requests
// for data from standing in the way of all others, and a device that is a SystemC TLM-2.0 target.
//
//   own_parts SCENARIO.yaml      simulates with our transport and device, and with these

#include "config/document.h"
#include "config/error.h"
#include "device/tlm_border.h"
#include "report/report.h"
#include "system/simulation.h"
#include "transport/dev_fuse.h"

#include <tlm>
#include <tlm_utils/simple_target_socket.h>

#include <fmt/format.h>

#include <exception>
#include <memory>
#include <utility>
#include <vector>

using namespace fusesim;

namespace {

/// Two queues with a worker each: one for READ and WRITE, one for everything else.
class Lanes final : public transport::DevFuse {
  public:
    Lanes(host::Cpu& cpu,
          const fuse::KernelBehaviour& kernel,
          const fuse::ConnectionConfig& connection,
          const transport::DevFuseConfig& dev)
        : DevFuse(cpu, kernel, connection, dev), data_(cpu), names_(cpu) {
        data_.fd = connection_.add_channel();
        names_.fd = connection_.add_channel();
    }

    std::vector<transport::Post> posts() const override {
        // Whoever reads /dev/fuse itself gets what no lane carries: FORGET and INTERRUPT.
        return {{}, {data_.fd, false}, {names_.fd, false}};
    }

  private:
    struct Lane {
        explicit Lane(host::Cpu& cpu) : readers(cpu.engine(), "a request on a lane") {}

        Fd fd = 0;
        sim::WaitQueue readers;
    };

    void route(const host::Thread&, transport::Call& call) override {
        const bool data = call.opcode == fuse::Opcode::read || call.opcode == fuse::Opcode::write;
        call.channel = data ? data_.fd : names_.fd;
    }

    sim::WaitQueue& readers(Fd fd) override {
        return fd == data_.fd    ? data_.readers
               : fd == names_.fd ? names_.readers
                                 : DevFuse::readers(fd);
    }

    void wake_channel_reader(std::uint32_t fd) override { readers(fd).wake_one(); }

    void wake_all_readers() override {
        DevFuse::wake_all_readers();
        data_.readers.wake_all();
        names_.readers.wake_all();
    }

    Lane data_;
    Lane names_;
};

/// A store of cartridges: what lies on another one than the last request costs a change. It knows
/// nothing of fusesim.
class Jukebox : public sc_core::sc_module {
  public:
    explicit Jukebox(const sc_core::sc_module_name& name) : sc_module(name), socket("socket") {
        socket.register_b_transport(this, &Jukebox::b_transport);
    }

    tlm_utils::simple_target_socket<Jukebox> socket;

  private:
    void b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
        const sc_dt::uint64 cartridge = payload.get_address() >> 30U;
        wait(delay);
        delay = sc_core::SC_ZERO_TIME;
        arm_.lock();
        if (cartridge != loaded_) {
            wait(sc_core::sc_time(2, sc_core::SC_MS));
            loaded_ = cartridge;
        }
        wait(sc_core::sc_time(payload.get_data_length() / 4096.0 * 10, sc_core::SC_US));
        arm_.unlock();
        payload.set_response_status(tlm::TLM_OK_RESPONSE);
    }

    sc_core::sc_mutex arm_;
    sc_dt::uint64 loaded_ = 0;
};

/// The jukebox as a device of the simulated host.
class JukeboxDevice final : public device::Device {
  public:
    explicit JukeboxDevice(sim::Engine& engine) : target_("jukebox"), border_("device", engine, 4) {
        border_.socket.bind(target_.socket);
    }

    sim::Task<> serve(const device::Io& io) override { return border_.serve(io); }

    const sim::Station& station() const override { return border_.station(); }

    void begin_window(sim::Time now) override { border_.begin_window(now); }

  private:
    Jukebox target_;
    device::TlmDevice border_;
};

void say(const char* what, const report::Result& result) {
    fmt::print("{}: {:.0f} operations/s", what, result.throughput.ops_per_s);
    for (const char* const name : {"read", "stat"}) {
        if (const report::Operation* one = report::find(result.operations, name)) {
            fmt::print(", {} {:.1f} us", name, one->latency->mean * 1e6);
        }
    }
    fmt::print("\n");
}

}  // namespace

/// SystemC's main() calls it.
int sc_main(int argc, char** argv) try {
    if (argc != 2) {
        fmt::print(stderr, "usage: own_parts SCENARIO.yaml\n");
        return 2;
    }
    const auto document = config::Document::load(argv[1]);
    auto scenario = config::read<system::Scenario>(document);
    scenario.host = system::built_in_host();
    scenario.host->memory = config::Bytes{256U << 20U};
    say("as the scenario says", system::simulate(scenario, document).result);

    system::SimulateOptions lanes;
    lanes.parts.transport = [](auto&... settings) { return std::make_unique<Lanes>(settings...); };
    say("with two lanes", system::simulate(scenario, document, lanes).result);

    system::SimulateOptions jukebox;
    jukebox.parts.device = [](sim::Engine& engine, const device::DeviceSettings&) {
        return std::make_unique<JukeboxDevice>(engine);
    };
    say("on a jukebox", system::simulate(scenario, document, jukebox).result);
    return 0;
} catch (const std::exception& error) {
    fmt::print(stderr, "own_parts: {}\n", error.what());
    return 1;
}
