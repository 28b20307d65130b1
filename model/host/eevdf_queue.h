#pragma once

#include "host/fair_queue.h"

#include <cstdint>

namespace fusesim::host {

/// The fair scheduler from Linux 6.6 on, with the delayed dequeue of 6.12: whoever has not run more
/// than the average is eligible; of the eligible, the earliest deadline is picked.
class EevdfQueue final : public FairQueue {
  public:
    explicit EevdfQueue(sim::Time slice) : slice_(slice) {}

    /// It is owed what it was owed when it left.
    void enqueue(FairEntity& entity, sim::Time now) override;
    /// Delayed is who goes to sleep and has run more than its share.
    bool dequeue(FairEntity& entity, sim::Time now, bool sleeps) override;
    void dequeue_delayed(FairEntity& entity, sim::Time now) override;
    FairEntity& pick(sim::Time now) override;
    void run(FairEntity& entity, sim::Time now) override;
    void stop(sim::Time now) override;
    bool update(sim::Time now) override;
    /// The running entity is protected while it is eligible.
    bool preempts(const FairEntity& woken) override;
    sim::Time slice_end() const override;

  private:
    std::int64_t count() const { return static_cast<std::int64_t>(queue_.size()); }

    sim::Time excess() const;  // how much all together have run beyond the front one
    sim::Time average() const;
    bool eligible(const FairEntity& entity, sim::Time excess) const;
    FairEntity& best();
    sim::Time lag_of(const FairEntity& entity) const;
    void place(FairEntity& entity);
    void take_out(FairEntity& entity);

    sim::Time slice_;
    sim::Time last_;  // the average when the last one left
};

}  // namespace fusesim::host
