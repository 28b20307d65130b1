#pragma once

#include "trace/record.h"

#include <atomic>
#include <optional>
#include <stdexcept>
#include <string>

namespace fusesim::record {

struct Options {
    std::string mount;
    std::string out;
    trace::Layer layer = trace::Layer::fuse;
    std::optional<double> duration_s;
    bool bpf = true;       ///< false: tracefs text only
    std::string tool;      ///< name and version for the trace's header
    std::string workload;  ///< what the user says was run, for the trace's header
};

/// This machine cannot record: what() says why, and what would help.
class Unavailable : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Records until `stop`, the duration or the end of the mount, whichever comes first. Progress and
/// the summary go to standard error. Throws config::Error if the path or the file is wrong.
void record(const Options& options, const std::atomic<bool>& stop);

}  // namespace fusesim::record
