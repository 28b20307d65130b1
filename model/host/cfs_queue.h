#pragma once

#include "host/cfs_config.h"
#include "host/fair_queue.h"

namespace fusesim::host {

/// The fair scheduler before Linux 6.6: the one that has run least is picked; who sleeps long is
/// owed half a latency, and whoever is woken preempts if the running one has run more than it by a
/// granularity.
class CfsQueue final : public FairQueue {
  public:
    explicit CfsQueue(const CfsConfig& config) : config_(config) {}

    void enqueue(FairEntity& entity, sim::Time now) override;
    /// None is ever delayed.
    bool dequeue(FairEntity& entity, sim::Time now, bool sleeps) override;
    void dequeue_delayed(FairEntity& entity, sim::Time now) override;
    FairEntity& pick(sim::Time now) override;
    void run(FairEntity& entity, sim::Time now) override;
    void stop(sim::Time now) override;
    bool update(sim::Time now) override;
    /// Who preempts is preferred when the next one is picked.
    bool preempts(const FairEntity& woken) override;
    sim::Time slice_end() const override;
    sim::Time turn_end() const override;

    /// What sleepers and new ones are placed by; never falls.
    sim::Time min_vruntime() const { return min_vruntime_; }

  private:
    sim::Time slice(std::size_t runnable) const;
    const FairEntity& leftmost() const;
    void raise_minimum();
    void place(FairEntity& entity, sim::Time now);

    CfsConfig config_;
    sim::Time min_vruntime_;
    sim::Time ran_;                     // the running one, since it was picked
    const FairEntity* next_ = nullptr;  // it preempted, and has not run since
};

}  // namespace fusesim::host
