#pragma once

#include "config/document.h"
#include "config/map.h"
#include "daemon/file_system.h"
#include "device/settings.h"
#include "host/profile.h"
#include "lower/block_queue.h"
#include "report/slo.h"
#include "transport/channels.h"
#include "transport/rings.h"
#include "vfs/extfuse.h"
#include "workload/fio_job.h"
#include "workload/operations.h"
#include "workload/replay.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace fusesim::system {

struct KernelConfig {
    std::string version;  ///< empty: the recorded machine's, else the newest known
};

/// Settings of the mount. What is absent comes from the recording, else from kernel and library.
struct MountConfig {
    enum class Transport { dev_fuse, io_uring, channels, rings };

    Transport transport = Transport::dev_fuse;
    std::optional<unsigned> io_uring_q_depth;  ///< entries of each core's queue
    std::optional<transport::ChannelsConfig> channels;
    std::optional<transport::RingsConfig> rings;
    std::optional<vfs::ExtfuseSettings> extfuse;
    bool passthrough = false;  ///< opened files are read and written below the daemon
    std::optional<unsigned> max_background;
    std::optional<unsigned> congestion_threshold;
    config::Bytes max_write{1u << 20};
    bool splice_read = false;
    bool splice_write = false;
    bool splice_move = false;
    bool clone_fd = false;

    // Settings of the caches above the driver's queues.
    std::optional<sim::Time> entry_timeout;
    std::optional<sim::Time> attr_timeout;
    std::optional<sim::Time> negative_timeout;
    std::optional<config::Bytes> max_readahead;
    std::optional<bool> writeback_cache;
    std::optional<bool> default_permissions;
    std::optional<bool> direct_io;
    std::optional<bool> keep_cache;

    std::optional<sim::Time> request_timeout;  ///< whole seconds; absent: requests never time out
};

/// `single`, `multi`, or a number: the multi-threaded loop with at most that many workers.
struct Threads {
    bool multi = true;
    std::optional<unsigned> most;
};

struct ServiceTimeConfig {
    sim::Distribution cpu;
    sim::Distribution blocked;
};

struct DaemonConfig {
    enum class Kind { recorded, service_time, null, stackfs, none };
    enum class Api { low_level, high_level };

    std::optional<Kind> filesystem;  ///< recorded with a trace, else null
    Api api = Api::low_level;
    std::map<std::string, ServiceTimeConfig> service;  ///< by opcode, or `other`
    bool service_includes_library = true;
    std::optional<Threads> threads;
    std::string libfuse = "3.14";
    std::optional<int> max_idle_threads;
    std::optional<std::vector<unsigned>> affinity;
};

/// Something that goes wrong while the scenario runs.
struct FaultConfig {
    enum class Kind { stall, crash, reclaim };

    Kind kind = Kind::stall;
    sim::Time at;                    ///< after the warm-up
    std::optional<sim::Time> lasts;  ///< of a stall
};

/// The file system that stackfs passes everything on to.
struct LowerConfig {
    enum class Kind { tmpfs, ext4 };

    Kind filesystem = Kind::tmpfs;
    std::string directory;  ///< for measurements; empty: a tmpfs of its own, or a temporary folder

    // With a device.
    std::optional<lower::Scheduler> scheduler;
    std::optional<unsigned> nr_requests;
    config::Bytes max_sectors{1280u << 10};  // block/blk-settings.c: BLK_DEF_MAX_SECTORS
    config::Bytes read_ahead{128u << 10};    // include/linux/mm.h: VM_READAHEAD_PAGES
    sim::Time commit = sim::Time::from_ns(5'000'000'000);  // JBD2_DEFAULT_MAX_COMMIT_AGE
    bool barrier = true;
};

/// A recording, or operations.
struct WorkloadConfig : workload::NativeConfig {
    config::File trace;
    config::File fio;     ///< read when the scenario is, and empty then: the rest says what it said
    std::string section;  ///< job of that file
    std::optional<workload::FileWorkload> from_file;  ///< what it said of the run
    workload::ReplayMode mode = workload::ReplayMode::think;
    double speed = 1;
    std::optional<std::vector<unsigned>> affinity;
    std::optional<bool> recorder;  ///< the recorder's own costs are part of the simulation
};

/// How exactly a number is to be known.
struct StopConfig {
    report::Metric metric{"throughput"};
    config::Percent rel_err{0.02};
    config::Percent confidence{0.95};
    unsigned most = 100;  ///< runs
};

struct RunConfig {
    std::uint64_t seed = 1;
    sim::Time warm_up;
    std::optional<sim::Time> duration;
    std::optional<std::uint64_t> operations;  ///< of each thread, instead of a duration
    unsigned repeat = 1;
    std::optional<StopConfig> stop;  ///< more runs than `repeat`, until this is reached
};

/// One experiment: everything that a run depends on.
struct Scenario {
    unsigned schema_version = 1;
    std::optional<host::HostProfile> host;
    KernelConfig kernel;
    MountConfig mount;
    DaemonConfig daemon;
    LowerConfig lower;
    std::optional<device::DeviceSettings> device;  ///< what the lower file system lies on
    WorkloadConfig workload;
    RunConfig run;
    std::vector<FaultConfig> faults;
    std::vector<std::pair<std::string, std::vector<std::string>>> sweep;  ///< settings and values
    std::vector<report::Slo> slo;
};

void bind(config::Map& map, KernelConfig& kernel);
void bind(config::Map& map, MountConfig& mount);
void bind(config::Map& map, ServiceTimeConfig& service);
void bind(config::Map& map, DaemonConfig& daemon);
void bind(config::Map& map, LowerConfig& lower);
void bind(config::Map& map, WorkloadConfig& workload);
void bind(config::Map& map, StopConfig& stop);
void bind(config::Map& map, RunConfig& run);
void bind(config::Map& map, FaultConfig& fault);
void bind(config::Map& map, Scenario& scenario);

/// The profile used where a scenario names none: measured on the machine where the bundled traces
/// were recorded.
host::HostProfile built_in_host();

}  // namespace fusesim::system

namespace fusesim::config {

template <>
struct Format<fusesim::system::Threads> {
    static constexpr std::string_view type = "single, multi or a number of threads";
    static fusesim::system::Threads parse(std::string_view text);
    static std::string text(const fusesim::system::Threads& value);

    static Json json(const fusesim::system::Threads& value) { return text(value); }

    static Json schema() { return {{"type", Json::array({"string", "integer"})}}; }
};

}  // namespace fusesim::config
