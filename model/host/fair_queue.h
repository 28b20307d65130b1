#pragma once

#include "sim/time.h"

#include <boost/intrusive/list.hpp>

#include <cstddef>
#include <cstdint>

namespace fusesim::host {

class FairQueue;

/// What the fair scheduler knows of a thread, or of a group of threads on one core (models a
/// `struct sched_entity` of normal weight).
class FairEntity : public boost::intrusive::list_base_hook<> {
  public:
    sim::Time vruntime() const { return vruntime_; }

    sim::Time deadline() const { return deadline_; }

    sim::Time lag() const { return lag_; }

    /// In a queue, the running one included.
    bool queued() const { return is_linked(); }

    /// Sleeps, but stays queued until it is picked: it had run more than its share.
    bool delayed() const { return delayed_; }

  private:
    friend class FairQueue;

    sim::Time vruntime_;  // how long it has run, as its queue counts
    sim::Time deadline_;  // the vruntime its slice ends at
    sim::Time lag_;       // what it was owed when it last left its queue
    bool delayed_ = false;
};

/// Models a `struct cfs_rq` under EEVDF: whoever has not run more than the average is eligible; of
/// the eligible, the earliest deadline is picked. The running entity stays queued. Knows no clock:
/// `now` is only asked of by how much the running entity has run on.
class FairQueue {
  public:
    explicit FairQueue(sim::Time slice) : slice_(slice) {}

    /// The delayed ones count.
    std::size_t size() const { return queue_.size(); }

    FairEntity* current() const { return current_; }

    /// Puts in an entity, owed what it was owed when it left; or one that is delayed goes on.
    void enqueue(FairEntity& entity, sim::Time now);
    /// Takes the entity out; or makes it delayed and returns false, if it goes to sleep and has run
    /// more than its share.
    bool dequeue(FairEntity& entity, sim::Time now, bool sleeps);
    /// Ends the wait of a delayed entity that was picked: it leaves, and is owed nothing.
    void dequeue_delayed(FairEntity& entity, sim::Time now);

    /// Who runs next; the queue is not empty.
    FairEntity& pick(sim::Time now);
    /// That one runs from now on; after stop() none does.
    void run(FairEntity& entity, sim::Time now);
    void stop(sim::Time now);

    /// Counts what the running entity has run since the last call; true if its slice is over and
    /// others wait.
    bool update(sim::Time now);
    /// Should the running entity make way for this one? After an update(). It is protected while
    /// it is eligible.
    bool preempts(const FairEntity& woken);
    /// When the running entity's slice is over, if there is a reason to end it.
    sim::Time slice_end() const;

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
    boost::intrusive::list<FairEntity> queue_;
    FairEntity* current_ = nullptr;
    sim::Time updated_;  // until when current_'s vruntime is counted
    sim::Time last_;     // the average when the last one left
};

}  // namespace fusesim::host
