// How many requests a device model serves in a second of processor time, alone: clients
// that ask again as soon as they are answered. Prints nanoseconds and calendar events a request.

#include "config/document.h"
#include "config/map.h"
#include "device/settings.h"
#include "device/ssd.h"
#include "sim/engine.h"
#include "sim/fresh_context.h"

#include <fmt/format.h>
#include <sys/resource.h>

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
    const char* precondition;
    unsigned clients;
    double reads;  // share
    std::uint64_t requests;
    std::uint32_t bytes = 4096;
    bool sequential = false;
};

constexpr Load loads[] = {
    {"SATA SSD, random reads", "samsung-850-evo.yaml", "filled", 32, 1, 4'000'000},
    {"NVMe SSD, random reads", "nvme-pcie4.yaml", "filled", 32, 1, 4'000'000},
    {"NVMe SSD, random reads", "nvme-pcie4.yaml", "filled", 512, 1, 4'000'000},
    {"NVMe SSD, random writes, fresh", "nvme-pcie4.yaml", "fresh", 32, 0, 4'000'000},
    {"NVMe SSD, 70 % reads, steady", "nvme-pcie4.yaml", "steady", 32, 0.7, 2'000'000},
    {"SATA SSD, random writes, steady", "samsung-850-evo.yaml", "steady", 32, 0, 2'000'000},
    {"hard disk, random reads", "savvio-15k2.yaml", nullptr, 1, 1, 4'000'000},
    {"hard disk, random reads", "savvio-15k2.yaml", nullptr, 8, 1, 4'000'000},
    {"hard disk, random reads", "savvio-15k2.yaml", nullptr, 32, 1, 2'000'000},
    {"hard disk, sequential reads", "savvio-15k2.yaml", nullptr, 1, 1, 4'000'000, 131'072, true},
    {"hard disk, random writes", "savvio-15k2.yaml", nullptr, 1, 0, 4'000'000},
    {"hard disk, 70 % reads", "savvio-15k2.yaml", nullptr, 1, 0.7, 4'000'000},
    {"persistent memory, reads", "optane-pmem-100.yaml", nullptr, 1, 1, 2'000'000},
    {"persistent memory, writes", "optane-pmem-100.yaml", nullptr, 1, 0, 2'000'000},
    {"virtual disk", "gp3.yaml", nullptr, 32, 0.7, 4'000'000},
    {"remote store", "s3-like.yaml", nullptr, 32, 0.7, 4'000'000},
};

sim::Task<> client(device::Device& device,
                   const Load& load,
                   std::uint64_t capacity,
                   unsigned id,
                   std::uint64_t& left) {
    sim::Random random(1, "client " + std::to_string(id));
    const std::uint64_t places = capacity / load.bytes;
    std::uint64_t next = 0;
    while (left > 0) {
        --left;
        Io io;
        io.kind =
            load.reads == 1 || random.uniform() < load.reads ? Io::Kind::read : Io::Kind::write;
        io.stream = static_cast<std::uint16_t>(id);
        io.bytes = load.bytes;
        io.offset = (load.sequential ? next++ % places : random.below(places)) * load.bytes;
        co_await device.serve(io);
    }
}

void measure(const Load& load, const std::string& folder) {
    config::LoadOptions options;
    if (load.precondition != nullptr) {
        options.overrides.push_back(fmt::format("precondition={}", load.precondition));
    }
    const auto settings = config::read<device::DeviceSettings>(
        config::Document::load(folder + "/" + load.part, options));
    std::uint64_t capacity = std::uint64_t{100} << 30;
    if (const auto* ssd = std::get_if<device::SsdConfig>(&settings.kind)) {
        capacity = ssd->capacity.count;
    }
    sim::FreshContext context;
    sim::Engine engine;
    const auto device = device::make_device(engine, "device", settings, 1);
    std::uint64_t left = load.requests;
    for (unsigned i = 0; i < load.clients; ++i) {
        engine.spawn("client", client(*device, load, capacity, i, left));
    }
    const std::clock_t began = std::clock();
    engine.run();
    const double took = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
    const auto requests = static_cast<double>(load.requests);
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    fmt::print("{:<32} {:>8} {:>14.0f} {:>11.0f} {:>15.1f} {:>9}\n",
               load.name,
               load.clients,
               requests / took,
               took / requests * 1e9,
               static_cast<double>(engine.events()) / requests,
               usage.ru_maxrss / 1024);
    engine.kill_all();
}

}  // namespace

int sc_main(int argc, char** argv) {
    if (argc != 2 && argc != 3) {
        fmt::print(stderr, "usage: bench_devices CONFIGS/DEVICES [WORD IN THE NAME]\n");
        return 2;
    }
    fmt::print("{:<32} {:>8} {:>14} {:>11} {:>15} {:>9}\n",
               "device",
               "clients",
               "requests/CPU s",
               "ns/request",
               "resumed/request",
               "peak MiB");
    for (const Load& load : loads) {
        if (argc == 2 || std::string(load.name).find(argv[2]) != std::string::npos) {
            measure(load, argv[1]);
        }
    }
    return 0;
}

int main(int argc, char** argv) {
    setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);
    return sc_core::sc_elab_and_sim(argc, argv);
}
