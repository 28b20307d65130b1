#pragma once

#include "mount.h"

#include <cstdint>
#include <stdexcept>
#include <string>

namespace fusesim::record {

/// A tracing instance of our own, seen by this process only, with the FUSE tracepoints of one
/// connection on. Goes away with the object. Throws Missing where the kernel has no such events.
class TracefsInstance {
  public:
    class Missing : public std::runtime_error {
        using std::runtime_error::runtime_error;
    };

    explicit TracefsInstance(const Mount& mount);
    TracefsInstance(const TracefsInstance&) = delete;
    TracefsInstance& operator=(const TracefsInstance&) = delete;
    ~TracefsInstance();

    /// Appends what the kernel has written since the last call to `file`; returns the bytes.
    std::size_t drain(int file);

    void stop();

    /// Events that found the kernel's buffer full.
    std::uint64_t lost() const;

  private:
    void write(const std::string& name, const std::string& value) const;

    std::string directory_;
    int pipe_ = -1;
};

}  // namespace fusesim::record
