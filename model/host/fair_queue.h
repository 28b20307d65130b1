#pragma once

#include "sim/time.h"

#include <boost/intrusive/list.hpp>

#include <cstddef>

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
    friend class EevdfQueue;
    friend class CfsQueue;

    sim::Time vruntime_;  // how long it has run, as its queue counts
    sim::Time deadline_;  // EEVDF: the vruntime its slice ends at
    sim::Time lag_;       // EEVDF: what it was owed when it last left its queue
    bool delayed_ = false;
    const FairQueue* last_ = nullptr;  // CFS: where its vruntime was counted; null if nowhere yet
};

/// Models a `struct cfs_rq`: who has run how much, who runs next, who preempts whom. The running
/// entity stays queued. Knows no clock: `now` is only asked of by how much the running entity has
/// run on.
class FairQueue {
  public:
    virtual ~FairQueue() = default;

    /// The delayed ones count.
    std::size_t size() const { return queue_.size(); }

    FairEntity* current() const { return current_; }

    /// Puts in an entity that was asleep, is new, or is delayed and goes on.
    virtual void enqueue(FairEntity& entity, sim::Time now) = 0;
    /// Takes the entity out; or makes it delayed and returns false.
    virtual bool dequeue(FairEntity& entity, sim::Time now, bool sleeps) = 0;
    /// Ends the wait of a delayed entity that was picked: it leaves, and is owed nothing.
    virtual void dequeue_delayed(FairEntity& entity, sim::Time now) = 0;

    /// Who runs next; the queue is not empty.
    virtual FairEntity& pick(sim::Time now) = 0;
    /// That one runs from now on; after stop() none does.
    virtual void run(FairEntity& entity, sim::Time now) = 0;
    virtual void stop(sim::Time now) = 0;

    /// Counts what the running entity has run since the last call; true if its slice is over and
    /// others wait.
    virtual bool update(sim::Time now) = 0;
    /// Should the running entity make way for this one? After an update().
    virtual bool preempts(const FairEntity& woken) = 0;
    /// When the running entity's slice is over, if there is a reason to end it.
    virtual sim::Time slice_end() const = 0;
    /// When pick() will choose another, if the running entity asks for it all the time.
    virtual sim::Time turn_end() const { return slice_end(); }

  protected:
    boost::intrusive::list<FairEntity> queue_;
    FairEntity* current_ = nullptr;
    sim::Time updated_;  // until when current_'s vruntime is counted
};

}  // namespace fusesim::host
