#pragma once

#include "sim/calendar.h"
#include "sim/task.h"
#include "sim/time.h"

#include <systemc>

#include <boost/intrusive/list.hpp>

#include <coroutine>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace fusesim::sim {

class Engine;
class WaitQueue;
struct Process;

/// Whether a run may end while the process still waits.
enum class Role {
    client,  ///< must finish: a run that ends before is deadlocked
    server   ///< serves others for ever
};

/// Nothing is left to happen, yet clients still wait. what() says who waits for what since when.
class Deadlock : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

using Hook =
    boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

/// A suspended coroutine that somebody will make ready.
class Resumable : public Hook {
  public:
    void suspend(Engine& engine, std::coroutine_handle<> handle);

  private:
    friend class Engine;

    std::coroutine_handle<> handle_;
    Process* process_ = nullptr;
};

/// One simulated process: a root coroutine with a name.
struct Process {
    std::string name;
    Role role = Role::client;
    const WaitQueue* waiting_for = nullptr;
    Time since;  ///< when it began to wait
    bool finished = false;
    std::coroutine_handle<> frame;
    Resumable start;
};

/// Runs the simulated processes. One SystemC process owns the calendar of all of them; SystemC
/// keeps the time. While no other SystemC process has anything to do before the next of our
/// events, local time runs ahead of sc_time_stamp() within one activation (temporal decoupling
/// that nobody can observe); it never passes the next activity of a foreign module.
class Engine : public sc_core::sc_module {
  public:
    SC_HAS_PROCESS(Engine);
    explicit Engine(const sc_core::sc_module_name& name = "engine");
    ~Engine() override;

    Time now() const { return now_; }

    /// Starts a process at the present time, after the step that is running now.
    Process& spawn(std::string name, Task<> body, Role role = Role::client);

    /// `co_await engine.delay(t)`: the process goes on t later.
    class Delay;
    Delay delay(Time span);

    void schedule(Timer& timer, Time at) { calendar_.schedule(timer, at); }

    /// Lets a suspended coroutine go on at the present time, after the step that is running now.
    void make_ready(Resumable& resumable) { ready_.push_back(resumable); }

    /// Lets a suspended coroutine go on at once; for timers, which fire between steps.
    void resume(Resumable& resumable);

    /// The process whose step is running; null between steps.
    Process* current() const { return current_; }

    /// Simulates until nothing is left to happen, somebody calls stop(), or `limit` is reached.
    /// Throws Deadlock, or whatever a process threw. Once a context: see FreshContext.
    void run(Time limit = Time::max());

    /// Ends the run after the step that is running now.
    void stop() { stopping_ = true; }

    /// From now on, `look` is called between steps: first after `first`, then each time after the
    /// span that it returned, as long as something is left to happen. It may read whatever it
    /// likes, and must change nothing.
    void observe(Time first, std::function<Time()> look);

    /// Unwinds all processes that still wait. Call before what they refer to is destroyed.
    void kill_all();

    /// Notifies an event of a foreign SystemC module at the present local time.
    void notify(sc_core::sc_event& event);
    /// To be called by a foreign SystemC process before it hands anything to a process of ours.
    void enter_from_systemc();

    std::uint64_t events() const { return events_; }

  private:
    struct Root;

    Root drive(Process& process, Task<> body);
    void activity();
    void step();
    void finish();
    void check_deadlock() const;
    Time horizon() const;

    Calendar calendar_;
    boost::intrusive::list<Resumable, boost::intrusive::constant_time_size<false>> ready_;
    std::vector<std::unique_ptr<Process>> processes_;
    std::vector<Process*> finished_processes_;  // to be used again
    Process* current_ = nullptr;
    sc_core::sc_event wake_;
    Time now_;
    Time limit_ = Time::max();
    Time horizon_;
    std::size_t unfinished_clients_ = 0;
    std::uint64_t events_ = 0;
    bool stopping_ = false;
    bool finished_ = false;
    Time observe_at_ = Time::max();
    std::function<Time()> look_;
    std::exception_ptr error_;
};

class Engine::Delay : public Timer {
  public:
    Delay(Engine& engine, Time span) : engine_(engine), span_(span) {}

    bool await_ready() const noexcept { return false; }

    void await_suspend(std::coroutine_handle<> handle) {
        resumable_.suspend(engine_, handle);
        engine_.schedule(*this, engine_.now() + span_);
    }

    void await_resume() const noexcept {}

  private:
    void fire() override { engine_.resume(resumable_); }

    Engine& engine_;
    Time span_;
    Resumable resumable_;
};

inline Engine::Delay Engine::delay(Time span) {
    return Delay(*this, span);
}

inline void Resumable::suspend(Engine& engine, std::coroutine_handle<> handle) {
    handle_ = handle;
    process_ = engine.current();
}

}  // namespace fusesim::sim
