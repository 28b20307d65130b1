// How many requests a disk model serves in a second of processor time, alone: clients that ask
// again as soon as they are answered.

#include "config/document.h"
#include "config/map.h"
#include "device/settings.h"
#include "sim/engine.h"
#include "sim/fresh_context.h"
#include "sim/random.h"

#include <fmt/format.h>

#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>

using namespace fusesim;
using device::Io;

namespace {

struct Load {
    const char* name;
    const char* part;  // in configs/devices
    unsigned clients;
    std::uint32_t bytes;
    double reads;  // share
    bool sequential;
    std::uint64_t requests;
};

constexpr Load loads[] = {
    {"hard disk, random reads", "savvio-15k2.yaml", 1, 4096, 1, false, 4'000'000},
    {"hard disk, random reads", "savvio-15k2.yaml", 8, 4096, 1, false, 4'000'000},
    {"hard disk, random reads", "savvio-15k2.yaml", 32, 4096, 1, false, 2'000'000},
    {"hard disk, sequential reads", "savvio-15k2.yaml", 1, 131'072, 1, true, 4'000'000},
    {"hard disk, random writes", "savvio-15k2.yaml", 1, 4096, 0, false, 4'000'000},
    {"hard disk, 70 % reads", "savvio-15k2.yaml", 1, 4096, 0.7, false, 4'000'000},
    {"persistent memory, reads", "optane-pmem-100.yaml", 1, 4096, 1, false, 2'000'000},
    {"persistent memory, writes", "optane-pmem-100.yaml", 1, 4096, 0, false, 2'000'000},
};

sim::Task<> client(device::Device& device,
                   const Load& load,
                   std::uint64_t capacity,
                   unsigned id,
                   std::uint64_t& left) {
    sim::Random random(1, "client " + std::to_string(id));
    std::uint64_t next = 0;
    while (left > 0) {
        --left;
        Io io;
        io.kind =
            load.reads == 1 || random.uniform() < load.reads ? Io::Kind::read : Io::Kind::write;
        io.bytes = load.bytes;
        io.offset = (load.sequential ? next++ % (capacity / load.bytes)
                                     : random.below(capacity / load.bytes)) *
                    load.bytes;
        co_await device.serve(io);
    }
}

void measure(const Load& load, const std::string& folder) {
    const auto settings =
        config::read<device::DeviceSettings>(config::Document::load(folder + "/" + load.part, {}));
    sim::FreshContext context;
    sim::Engine engine;
    const auto device = device::make_device(engine, "device", settings, 1);
    constexpr std::uint64_t capacity = std::uint64_t{100} << 30;
    std::uint64_t left = load.requests;
    for (unsigned i = 0; i < load.clients; ++i) {
        engine.spawn("client", client(*device, load, capacity, i, left));
    }
    const std::clock_t began = std::clock();
    engine.run();
    const double took = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
    const auto requests = static_cast<double>(load.requests);
    fmt::print("{:<32} {:>7} {:>14.0f} {:>11.0f} {:>15.1f}\n",
               load.name,
               load.clients,
               requests / took,
               took / requests * 1e9,
               static_cast<double>(engine.events()) / requests);
    engine.kill_all();
}

}  // namespace

int sc_main(int argc, char** argv) {
    if (argc != 2) {
        fmt::print(stderr, "usage: bench_disks CONFIGS/DEVICES\n");
        return 2;
    }
    fmt::print("{:<32} {:>7} {:>14} {:>11} {:>15}\n",
               "device",
               "clients",
               "requests/CPU s",
               "ns/request",
               "resumed/request");
    for (const Load& load : loads) {
        measure(load, argv[1]);
    }
    return 0;
}

int main(int argc, char** argv) {
    setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);
    return sc_core::sc_elab_and_sim(argc, argv);
}
