#pragma once

#include "trace/record.h"

#include <atomic>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace fusesim::record {

struct Options {
    std::string mount;
    std::string out;
    trace::Layer layer = trace::Layer::fuse;
    std::optional<double> duration_s;
    bool bpf = true;   ///< false: tracefs text only
    std::string tool;  ///< name and version for the trace's header
    /// What the user says of the recording, for the facts of the trace's header.
    std::vector<std::pair<std::string, std::string>> notes;
};

/// This machine cannot record: what() says why, and what would help.
class Unavailable : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Records until `stop`, the duration or the end of the mount, whichever comes first. Progress and
/// the summary go to standard error. Throws config::Error if the path or the file is wrong.
void record(const Options& options, const std::atomic<bool>& stop);

}  // namespace fusesim::record
