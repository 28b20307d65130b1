#pragma once

#include "host/dirty_pages.h"
#include "host/fair_queue.h"
#include "host/memory.h"
#include "host/page_cache.h"
#include "host/profile.h"
#include "sim/engine.h"
#include "sim/random.h"
#include "sim/statistics.h"
#include "sim/wait_queue.h"

#include <array>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace fusesim::host {

class Cpu;
class Core;

/// Which cores a thread may run on; empty means all.
using Affinity = std::vector<unsigned>;

enum class Work { user, kernel };
enum class Group { application, daemon, kernel };

/// A thread of the simulated host: it computes only while it has a core. Its costs are added up by
/// charge() and waited for once, by run() or on the way to sleep.
class Thread final : private sim::Waiter, private FairEntity {
  public:
    Thread(Cpu& cpu, std::string name, Group group, Affinity affinity = {});
    ~Thread();
    Thread(const Thread&) = delete;
    Thread& operator=(const Thread&) = delete;

    /// Adds to what the thread has to compute before it next runs on, sleeps or ends.
    void charge(sim::Time cost, Work work = Work::kernel) {
        debt_ += cost;
        spent_[work == Work::user ? 0 : 1] += cost;
    }

    /// `co_await thread.run()`: all that was charged has been computed. A new thread gets its first
    /// core here.
    class Run;
    Run run();
    Run run(sim::Time cost, Work work = Work::kernel);

    /// `co_await thread.return_to_user()`: the same at the end of a system call. What was charged
    /// in the kernel is computed without being preempted; who was woken meanwhile may run now.
    Run return_to_user();

    /// `co_await thread.run_in_kernel()`: the same within a system call that goes on: who was woken
    /// waits for its end.
    Run run_in_kernel();

    /// `co_await thread.might_sleep()`: the kernel is about to wait for something, and where it
    /// preempts voluntarily, this is a point as above. What is waited for may have come then.
    Run might_sleep();

    /// `co_await thread.sleep(queue)`: in the queue from now on, off the core once the charged
    /// costs are paid, back on a core after a wake-up. Check again what was waited for.
    class Sleep;
    Sleep sleep(sim::WaitQueue& queue);

    /// `co_await thread.spin(queue, until)`: in the queue from now on, but computing, until woken
    /// or until then, and giving way to whoever else wants the core (a loop around schedule()). All
    /// charged costs must have been paid. Waking it costs the waker nothing.
    class Spin;
    Spin spin(sim::WaitQueue& queue, sim::Time until);

    /// `co_await thread.leave()` gives up the core (the thread waits for something that is not a
    /// wait queue); `co_await thread.come_back()` asks for one again.
    class Leave;
    Leave leave();
    Run come_back();
    /// Off the core for `span`: nanosleep, or a wait for something outside of the model.
    sim::Task<> sleep_for(sim::Time span);
    /// The thread's last step: gives up its core.
    void exit();

    // Signals, to be sent from outside of any thread's step.

    /// SIGSTOP: off its core until go_on(). What it waits for may come meanwhile. Simplified: it
    /// stops within a system call, too.
    void stop();
    /// SIGCONT.
    void go_on();
    /// SIGKILL: what it had to compute is over, and so is sleep_for(), now and from now on. It has
    /// to end itself, for it may hold locks; what it sleeps for in a queue is still waited for.
    void kill();

    bool killed() const { return killed_; }

    Cpu& cpu() const { return cpu_; }

    const std::string& name() const { return name_; }

    Group group() const { return group_; }

    const Core* core() const { return core_; }

    sim::Time spent(Work work) const { return spent_[work == Work::user ? 0 : 1]; }

  private:
    friend class Cpu;
    friend class Core;

    /// Like charge(), for what the kernel does with preemption off.
    void charge_unpreemptible(sim::Time cost) {
        charge(cost);
        must_pay_ = debt_;
    }

    enum class State { off, runnable, running };
    enum class Then { go_on, sleep, leave };  // once all charged costs are paid

    void woken() override;

    const sim::Process* process() const override { return process_; }

    Cpu& cpu_;
    std::string name_;
    Group group_;
    Affinity affinity_;
    Core* core_ = nullptr;  // where it runs, waits or ran last
    State state_ = State::off;
    Then then_ = Then::go_on;
    sim::Time debt_;
    sim::Time must_pay_;  // of debt_: the thread cannot be preempted before this is paid
    sim::Time spent_[2];
    sim::Process* process_ = nullptr;
    sim::Resumable resumable_;
    bool to_user_ = false;  // about to leave the kernel: the point at which it may be preempted
    bool spinning_ = false;
    sim::Time spin_until_;
    bool slept_ = false;  // gave up its core of its own will since it last ran
    bool stopped_ = false;
    bool wants_core_ = false;  // once it is no longer stopped
    bool killed_ = false;
    bool by_timer_ = false;              // what wakes it now
    sim::Engine::Delay* nap_ = nullptr;  // sleep_for()
};

/// One core: its fair run queue, preemption by whoever is woken, time slices, idle states.
class Core final : private sim::Timer {
  public:
    Core(Cpu& cpu, unsigned id, std::uint64_t seed);

    unsigned id() const { return id_; }

    bool idle() const { return current_ == nullptr; }

    /// Threads that run or want to.
    std::size_t load() const { return load_; }

    const sim::TimeAverage& busy() const { return busy_; }

    sim::TimeAverage& busy() { return busy_; }

    /// How often a thread of the application or the daemon has left it.
    std::uint64_t context_switches() const { return context_switches_; }

  private:
    friend class Cpu;
    friend class Thread;

    /// The threads of one session on this core share as one (models a task group's sched_entity).
    struct GroupEntity final : FairEntity {
        explicit GroupEntity(const SchedulerConfig& config);

        std::unique_ptr<FairQueue> threads;
    };

    GroupEntity& group_of(const Thread& thread);
    void give(Thread& thread);  // the core is idle
    /// The core is busy; for its queues it happens `later`.
    void enqueue(Thread& thread, bool may_preempt, sim::Time later);
    void enqueue_fair(Thread& thread);
    void take_off(Thread& thread);  // it is running or runnable here
    void dequeue_fair(Thread& thread, bool sleeps);
    void run_fair(Thread& thread);
    Thread* pick();
    sim::Time queue_time() const;
    bool preempts(Thread& woken);
    void release(bool sleeps);  // the current thread leaves
    void reschedule();          // whoever is to run next, perhaps the current thread again
    void dispatch(Thread& next);
    void plan();       // (re)schedules the end of the present burst
    void interrupt();  // adds the interruptions within the present burst to it
    void settle_account();
    void end_spin(Thread& thread);
    void fire() override;

    Cpu& cpu_;
    unsigned id_;
    Thread* current_ = nullptr;
    std::array<GroupEntity, 3> groups_;
    std::unique_ptr<FairQueue> root_;
    std::size_t load_ = 0;
    sim::Time idle_since_;
    sim::Time burst_began_;
    sim::Random random_;
    sim::Time next_interruption_;
    bool computing_ = false;
    bool make_way_ = false;  // the current thread is to be preempted
    sim::Time marked_;       // ... which was last decided then
    sim::TimeAverage busy_;
    std::uint64_t context_switches_ = 0;
};

/// The cores of one machine and the scheduler's choice among them: wake-up placement as
/// select_idle_sibling() decides it within one cache domain.
class Cpu {
  public:
    Cpu(sim::Engine& engine, const HostProfile& profile, std::uint64_t seed);

    sim::Engine& engine() const { return engine_; }

    const Costs& costs() const { return profile_.costs; }

    const HostProfile& profile() const { return profile_; }

    Memory& memory() { return memory_; }

    PageCache& page_cache() { return page_cache_; }

    DirtyPages& dirty_pages() { return dirty_pages_; }

    const std::vector<std::unique_ptr<Core>>& cores() const { return cores_; }

    void begin_window(sim::Time now);
    /// Mean share of all cores that was busy.
    double utilisation(sim::Time now) const;
    std::uint64_t context_switches() const;

  private:
    friend class Thread;
    friend class Core;

    void wake(Thread& thread);
    Core& place(const Thread& thread) const;
    bool available_idle(const Core& core) const;
    bool may_run_on(const Thread& thread, const Core& core) const;
    sim::Time draw_by_idle(const std::vector<std::pair<sim::Time, sim::Distribution>>& rows,
                           sim::Time idle);
    sim::Time wake_cost(const Core& core);
    sim::Time draw_interruption(sim::Random& random) const;
    sim::Time cold_start(sim::Time idle) const;
    void resume(Thread& thread);

    sim::Engine& engine_;
    HostProfile profile_;
    Memory memory_;
    PageCache page_cache_;
    DirtyPages dirty_pages_;
    std::vector<std::unique_ptr<Core>> cores_;
    // By how long the core had idled.
    std::vector<std::pair<sim::Time, sim::Distribution>> idle_exit_;
    std::vector<std::pair<sim::Time, sim::Distribution>> idle_exit_timer_;
    std::vector<std::pair<sim::Time, sim::Distribution>> wake_cross_core_;
    sim::Time between_interruptions_;  // of any kind on one core, mean; zero: there are none
    sim::Random random_;
    Thread* active_ = nullptr;  // the thread whose step is running: whoever is woken now, it woke
};

class Thread::Run {
  public:
    explicit Run(Thread& thread, bool now = true) : thread_(thread), now_(now) {}

    bool await_ready() const noexcept;
    void await_suspend(std::coroutine_handle<> handle);

    void await_resume() const noexcept {}

  private:
    Thread& thread_;
    bool now_;  // else there is nothing to wait for
};

class Thread::Sleep {
  public:
    Sleep(Thread& thread, sim::WaitQueue& queue) : thread_(thread), queue_(queue) {}

    bool await_ready() const noexcept { return false; }

    void await_suspend(std::coroutine_handle<> handle);

    void await_resume() const noexcept { thread_.process_->waiting_for = nullptr; }

  private:
    Thread& thread_;
    sim::WaitQueue& queue_;
};

class Thread::Spin {
  public:
    Spin(Thread& thread, sim::WaitQueue& queue, sim::Time until)
        : thread_(thread), queue_(queue), until_(until) {}

    bool await_ready() const noexcept { return false; }

    void await_suspend(std::coroutine_handle<> handle);

    void await_resume() const noexcept {
        thread_.spinning_ = false;
        thread_.process_->waiting_for = nullptr;
        static_cast<sim::Waiter&>(thread_).unlink();
    }

  private:
    Thread& thread_;
    sim::WaitQueue& queue_;
    sim::Time until_;
};

class Thread::Leave {
  public:
    explicit Leave(Thread& thread) : thread_(thread) {}

    bool await_ready() const noexcept { return false; }

    void await_suspend(std::coroutine_handle<> handle);

    void await_resume() const noexcept {}

  private:
    Thread& thread_;
};

inline Thread::Run Thread::run() {
    return Run(*this);
}

inline Thread::Run Thread::run(sim::Time cost, Work work) {
    charge(cost, work);
    return Run(*this);
}

inline Thread::Run Thread::return_to_user() {
    to_user_ = true;
    must_pay_ = debt_;
    return Run(*this);
}

inline Thread::Run Thread::run_in_kernel() {
    must_pay_ = debt_;
    return Run(*this);
}

inline Thread::Run Thread::might_sleep() {
    const bool preemptible =
        cpu_.profile().scheduler.preemption == SchedulerConfig::Preemption::voluntary &&
        core_ != nullptr && core_->make_way_;
    return preemptible ? return_to_user() : Run(*this, false);
}

inline Thread::Run Thread::come_back() {
    return Run(*this);
}

inline Thread::Sleep Thread::sleep(sim::WaitQueue& queue) {
    return Sleep(*this, queue);
}

inline Thread::Spin Thread::spin(sim::WaitQueue& queue, sim::Time until) {
    return Spin(*this, queue, until);
}

inline Thread::Leave Thread::leave() {
    return Leave(*this);
}

}  // namespace fusesim::host
