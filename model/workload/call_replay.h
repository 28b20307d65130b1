#pragma once

#include "vfs/mount.h"
#include "workload/call_plan.h"
#include "workload/replay.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fusesim::workload {

/// Calls of one kind: as many as there were, and how long they took.
struct CallTimes {
    std::uint64_t count = 0;
    std::uint64_t bytes = 0;
    sim::Tally latency;
};

/// Makes the calls of a recording again on a simulated mount, one simulated thread for each
/// recorded one. Which requests come of them is the mount's affair.
class CallReplay {
  public:
    CallReplay(vfs::Mount& mount,
               host::Cpu& cpu,
               const CallPlan& plan,
               const ReplayConfig& config,
               std::function<void()> over);
    ~CallReplay();

    const std::map<trace::Call, CallTimes>& recorded() const { return recorded_; }

    const std::map<trace::Call, CallTimes>& simulated() const { return simulated_; }

    std::uint64_t records() const { return plan_.records(); }

    /// When the last thread ended.
    sim::Time end() const { return end_; }

    sim::Time cpu_time(host::Work work) const;
    /// What could not be replayed as recorded; each is one sentence.
    std::vector<std::string> warnings() const;

  private:
    using Step = CallPlan::Step;
    struct Caller;
    struct File;

    void lay_out();
    void record(const Step& step);
    sim::Task<> live(Caller& caller);
    sim::Task<> pause(Caller& caller, const Step& step);
    sim::Task<> await_step(std::uint32_t step);
    /// Returns the call's result: 0, or a negative errno.
    sim::Task<int> perform(host::Thread& thread, const Step& step);
    sim::Task<int> on_path(host::Thread& thread, const Step& step);
    sim::Task<int> on_file(host::Thread& thread, const Step& step, File& file);
    sim::Task<int> on_open_file(host::Thread& thread, const Step& step, File& file);
    sim::Task<int> set_attributes(host::Thread& thread, const Step& step, vfs::Path path);
    sim::Task<> leave(host::Thread& thread, File& file);
    sim::Task<> list(host::Thread& thread, const Step& step, File& file);
    sim::Task<> close(host::Thread& thread, const Step& step, File& file);
    sim::Task<> copy(host::Thread& thread, const Step& step, File& file);
    void count(const Step& step, int result, sim::Time began);

    /// The file that a recorded descriptor stands for; opened out of nothing if it is not open.
    File& file(std::uint32_t index);
    /// Where the first `count` names lead, made where it is missing.
    vfs::Inode& make_sure(const CallPlan::PathRef& path, std::size_t count, bool directory);
    vfs::Path path_of(const CallPlan::PathRef& path);
    sim::Time scaled(std::int64_t ns) const;

    vfs::Mount& mount_;
    host::Cpu& cpu_;
    const CallPlan& plan_;
    ReplayConfig config_;
    std::function<void()> over_;
    sim::Engine& engine_;
    std::vector<std::unique_ptr<Caller>> callers_;
    std::vector<std::uint32_t> place_in_caller_;  // of each step
    std::vector<File> files_;
    std::size_t alive_ = 0;
    std::uint64_t done_ = 0;
    sim::Time end_;
    std::map<trace::Call, CallTimes> recorded_;
    std::map<trace::Call, CallTimes> simulated_;
    std::map<trace::Call, std::uint64_t> differing_;
    std::map<trace::Call, std::uint64_t> not_replayed_;
    std::uint64_t mapped_ = 0;
    std::uint64_t guessed_copies_ = 0;
};

}  // namespace fusesim::workload
