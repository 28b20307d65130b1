#pragma once

#include "collector.h"
#include "trace/call.h"

#include <cstdint>
#include <queue>
#include <string>
#include <vector>

namespace fusesim::record {

/// Where each traced system call has its arguments, by number.
void fill_shapes(call_shape (&shapes)[MAX_CALLS]);

/// What a system call is in a trace; `flags` tell open from create.
trace::Call call_of(std::uint32_t number, std::uint32_t flags);

/// "/dir//file" within the mount, `//` where the directory ends that the walk began in, unless that
/// is the mount's root; "" if the path leads elsewhere. `start` is the directory that a relative
/// path begins in, as a path within the mount or of the whole machine.
std::string path_in_mount(const std::string& path,
                          const std::string& start,
                          bool start_in_mount,
                          const std::string& mount_point);

/// Puts calls, which are told when they return, in the order in which they were entered.
class CallCollector : public Collector {
  public:
    CallCollector(Sink sink, std::string mount_point, std::size_t limit = 1 << 15);

    void handle(const event& event) override;
    void flush(std::int64_t now) override;
    void finish() override;

    std::size_t in_flight() const override { return 0; }

    std::uint64_t ended() const override { return ended_; }

    /// A call that takes longer than this is written without the time of its entry.
    static constexpr std::int64_t patience = 2'000'000'000;

  private:
    struct Younger {
        bool operator()(const trace::Record& a, const trace::Record& b) const {
            return a.queued > b.queued;
        }
    };

    void write_oldest();

    Sink sink_;
    std::string mount_point_;
    std::size_t limit_;
    std::priority_queue<trace::Record, std::vector<trace::Record>, Younger> waiting_;
    std::uint64_t ended_ = 0;
    std::int64_t base_ = trace::unknown_time;
    std::int64_t newest_written_ = trace::unknown_time;
};

}  // namespace fusesim::record
