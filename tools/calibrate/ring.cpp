#include "ring.h"

#include "bench.h"
#include "fuse_costs.h"

#include <fstream>

namespace fusesim::calibrate {

namespace {

const char* const parameter = "/sys/module/fuse/parameters/enable_uring";
constexpr double more_pages = 31;

std::string value_of_parameter() {
    std::ifstream file(parameter);
    std::string word;
    file >> word;
    return word;
}

}  // namespace

bool RingMount::available() {
    return !value_of_parameter().empty();
}

RingMount::RingMount(const std::filesystem::path& daemon,
                     const std::filesystem::path& directory,
                     int core)
    : core_(core), parameter_(value_of_parameter()) {
    NullMount::Setup setup;
    setup.daemon = daemon;
    setup.directory = directory;
    setup.core = core;
    setup.stamped = true;
    setup.policy = SCHED_BATCH;
    setup.multi_threaded = true;  // it has its own threads and refuses -s
    mount_ = std::make_unique<NullMount>(setup);
}

RingMount::~RingMount() {
    mount_.reset();
    if (parameter_ != value_of_parameter()) {
        std::ofstream(parameter) << parameter_ << std::flush;
    }
}

std::map<std::string, double> RingMount::measure(double seconds) const {
    struct NamedCall {
        const char* name;
        Call call;
    };

    const NamedCall calls[] = {{"getattr", {Call::Kind::getattr, 0}},
                               {"small_read", {Call::Kind::read, page}},
                               {"large_read", {Call::Kind::read, 32 * page}},
                               {"small_write", {Call::Kind::write, page}},
                               {"large_write", {Call::Kind::write, 32 * page}}};
    std::map<std::string, double> out;
    for (const NamedCall& one : calls) {
        const Pieces pieces = measure_pieces(*mount_, core_, one.call, seconds);
        const std::string key = std::string("ring ") + one.name + " ";
        out[key + "whole"] = pieces.whole;
        out[key + "go"] = pieces.go;
        out[key + "library"] = pieces.library;
        out[key + "back"] = pieces.back;
    }
    return out;
}

std::map<std::string, double> solve_ring(const std::map<std::string, double>& ring,
                                         const ThroughDevFuse& dev) {
    const auto per_page = [&](const std::string& kind, const std::string& piece) {
        return (ring.at("ring large_" + kind + " " + piece) -
                ring.at("ring small_" + kind + " " + piece)) /
               more_pages;
    };
    // Both ways begin and end alike: what differs is the transport's.
    return {{"dispatch", dev.fuse_read + ring.at("ring getattr go") - dev.go},
            {"commit", ring.at("ring getattr back") - dev.back - dev.wake},
            {"daemon", ring.at("ring getattr library") - stamp_ns() - dev.append},
            {"page_reply", per_page("read", "back") - dev.page_resume - dev.copy},
            {"page_write", per_page("write", "whole") - dev.copy}};
}

}  // namespace fusesim::calibrate
