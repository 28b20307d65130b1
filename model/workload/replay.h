#pragma once

#include "host/cpu.h"
#include "sim/engine.h"
#include "sim/statistics.h"
#include "trace/reader.h"
#include "transport/transport.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace fusesim::workload {

/// When a recorded request is issued again.
enum class ReplayMode {
    think,  ///< closed loop: each caller thinks as long as it did and waits for its answers
    timed,  ///< open loop: at the recorded time, whatever came of earlier requests
    asap    ///< each caller issues its next request at once
};

struct ReplayConfig {
    ReplayMode mode = ReplayMode::think;
    double speed = 1;         ///< 2: think times and gaps are halved
    host::Affinity affinity;  ///< cores of all callers; empty: any
    /// Told now and then which share of the trace has been read; may be empty.
    std::function<void(double)> progress;
};

/// What the recording itself says about one opcode, for the comparison.
struct RecordedStatistics {
    std::uint64_t count = 0;
    std::uint64_t timed = 0;  ///< of these, how many have a full set of stamps
    sim::Tally latency;       ///< queued until resumed, or ended if nobody waited
    sim::Wide queue = 0;      ///< ps, over `timed` requests
    sim::Wide processing = 0;
    sim::Wide reply = 0;
};

/// Issues the requests of a recording of the FUSE layer again. Reads the trace as it goes: what is
/// held in memory is bounded, and so is how far callers may drift apart.
class Replay {
  public:
    Replay(transport::Transport& dev, trace::Reader& reader, const ReplayConfig& config);
    ~Replay();

    const std::map<fuse::Opcode, RecordedStatistics>& recorded() const { return recorded_; }

    std::uint64_t records() const { return records_; }

    /// Requests issued later than the recording has them, in mode timed.
    const sim::Tally& lag() const { return lag_; }

    sim::Time cpu_time(host::Work work) const;
    /// What could not be replayed as recorded; each is one sentence.
    std::vector<std::string> warnings() const;

  private:
    struct Step;
    struct Caller;
    struct Issue;

    sim::Task<> feed();
    sim::Task<> live(Caller& caller);
    sim::Task<> live_timed(Caller& caller, host::Thread& thread);
    sim::Task<> think(Caller& caller, const Step& step);
    sim::Task<> issue(Caller& caller, host::Thread& thread, const Step& step);
    sim::Task<> await_recorded_waits(Caller& caller, std::int64_t until);
    sim::Task<bool> next_step(Caller& caller, host::Thread& thread, Step& step);
    void count(const trace::Record& record);
    bool accept(const trace::Record& record, Step& step);
    void dispatch(const trace::Record& record, const Step& step);
    void add_issuer(Caller& caller);
    Issue& take_issue();
    void give_back(Issue& issue);
    sim::Time scaled(std::int64_t ns) const;

    transport::Transport& dev_;
    trace::Reader& reader_;
    ReplayConfig config_;
    sim::Engine& engine_;
    std::map<fuse::Opcode, RecordedStatistics> recorded_;
    std::unordered_map<std::uint32_t, std::unique_ptr<Caller>> callers_;
    Caller* last_caller_ = nullptr;
    std::vector<std::unique_ptr<Issue>> issues_;
    std::vector<Issue*> free_issues_;
    sim::WaitQueue room_;
    std::size_t buffered_ = 0;
    bool feeding_ = true;
    std::uint64_t records_ = 0;
    std::uint32_t forget_messages_ = 0;
    std::uint64_t not_replayed_ = 0;
    std::uint64_t stalls_ = 0;
    sim::Tally lag_;
};

}  // namespace fusesim::workload
