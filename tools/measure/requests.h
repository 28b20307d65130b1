#pragma once

#include "latencies.h"
#include "process.h"
#include "report/result.h"
#include "trace/record.h"

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace fusesim::measure {

/// Counts, sizes and times of recorded requests, by opcode.
class RequestCount {
  public:
    void add(const trace::Record& record);

    report::Named<report::Request> report() const;

  private:
    struct Opcode {
        std::uint64_t count = 0;
        std::uint64_t bytes_in = 0;
        std::uint64_t bytes_out = 0;
        Latencies all;       ///< of those whose beginning and end were seen
        Latencies complete;  ///< of those with every phase, whose sums follow in ns
        std::int64_t queue = 0;
        std::int64_t processing = 0;
        std::int64_t reply = 0;
    };

    std::map<std::uint32_t, Opcode> by_opcode_;
};

/// What was recorded, and what was not.
struct Recorded {
    report::Named<report::Request> requests;
    std::uint64_t lost = 0;        ///< events
    std::uint64_t unfinished = 0;  ///< requests without an end
};

/// Records the requests of one mount from a process of its own, since the recorder leaves out what
/// its own process asks for. To be made before other threads are.
class RequestRecorder {
  public:
    /// `core`: where the recorder runs; -1 for any.
    RequestRecorder(dev_t mount, pid_t daemon, int core);
    ~RequestRecorder();
    RequestRecorder(const RequestRecorder&) = delete;
    RequestRecorder& operator=(const RequestRecorder&) = delete;

    /// Everything from here on. Throws Unavailable where the kernel does not let us.
    void start();
    Recorded stop();

  private:
    std::string answer();

    int to_child_ = -1;
    int from_child_ = -1;
    std::unique_ptr<real::Child> child_;
};

}  // namespace fusesim::measure
