#pragma once

#include "host/cpu.h"
#include "lower/allocator.h"
#include "lower/block_queue.h"
#include "lower/io_batch.h"
#include "sim/calendar.h"
#include "sim/wait_queue.h"

#include <cstdint>
#include <functional>
#include <unordered_set>
#include <vector>

namespace fusesim::lower {

struct JournalSettings {
    sim::Time commit = sim::Time::from_ns(5'000'000'000);  ///< mount option commit=
    bool barrier = true;                                   ///< mount option barrier
    bool fua = true;                                       ///< the device takes durable writes
};

/// The journal of a file system in ordered mode (models fs/jbd2): changes of metadata blocks gather
/// in one running transaction; its commit waits for the data it refers to, writes the blocks to the
/// log, flushes the device and writes a durable commit block.
class Journal {
  public:
    using Tid = std::uint64_t;

    /// What a commit needs of the file system.
    class Owner {
      public:
        /// Data that the blocks of the transaction refer to is on the device when this returns.
        virtual sim::Task<> write_ordered(host::Thread& thread) = 0;
        /// These blocks may be written to their places from now on.
        virtual void committed(const std::vector<std::uint64_t>& blocks) = 0;

      protected:
        ~Owner() = default;
    };

    Journal(host::Cpu& cpu,
            BlockQueue& queue,
            const Ext4Layout& layout,
            const JournalSettings& settings,
            Owner& owner);

    /// A block changes as part of the running transaction, whose number is returned.
    Tid change(std::uint64_t block);

    /// The number of the running transaction, even if nothing belongs to it yet.
    Tid running() const { return running_; }

    /// Sleeps until a transaction is on the device; asks for its commit if nobody has. True if this
    /// flushed the device after the call.
    sim::Task<bool> complete(host::Thread& thread, Tid tid);

    /// No more commits by the timer, so that the simulation can end.
    void quiesce();

    std::uint64_t commits() const { return commits_; }

  private:
    struct Timer final : sim::Timer {
        explicit Timer(Journal& owner) : journal(owner) {}

        void fire() override { journal.request(journal.running_); }

        Journal& journal;
    };

    void request(Tid tid);
    sim::Task<> run();
    sim::Task<> commit();
    sim::Task<> write_log(std::uint64_t count);

    host::Cpu& cpu_;
    BlockQueue& queue_;
    JournalSettings settings_;
    Owner& owner_;
    std::uint64_t first_;
    std::uint64_t blocks_;
    std::uint64_t head_ = 1;  // next block of the log; its first is the superblock
    host::Thread thread_;
    IoBatch io_;
    Timer timer_{*this};
    bool quiescing_ = false;

    Tid running_ = 1;
    Tid requested_ = 0;  // commits are wanted up to this one
    Tid committed_ = 0;
    std::uint64_t commits_ = 0;
    std::unordered_set<std::uint64_t> changed_;  // blocks of the running transaction
    std::vector<std::uint64_t> in_order_;        // the same, as they came
    sim::WaitQueue wanted_;
    sim::WaitQueue done_;
};

}  // namespace fusesim::lower
