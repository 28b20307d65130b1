#include "sim/engine.h"

#include "sim/wait_queue.h"

#include <fmt/format.h>

#include <algorithm>

namespace fusesim::sim {

namespace {

sc_core::sc_time to_systemc(Time t) {
    return sc_core::sc_time::from_value(static_cast<sc_dt::uint64>(t.ps()));
}

Time from_systemc(const sc_core::sc_time& t) {
    return Time::from_ps(static_cast<std::int64_t>(t.value()));
}

}  // namespace

/// The outermost frame of a process; stays suspended at its end until the engine destroys it.
struct Engine::Root {
    struct promise_type {
        Root get_return_object() {
            return {std::coroutine_handle<promise_type>::from_promise(*this)};
        }

        std::suspend_always initial_suspend() noexcept { return {}; }

        std::suspend_always final_suspend() noexcept { return {}; }

        void return_void() {}

        void unhandled_exception() { std::terminate(); }
    };

    std::coroutine_handle<> handle;
};

Engine::Engine(const sc_core::sc_module_name& name) : sc_module(name) {
    if (sc_core::sc_get_time_resolution() != sc_core::sc_time(1, sc_core::SC_PS)) {
        throw std::logic_error("the SystemC time resolution must be 1 ps");
    }
    SC_METHOD(activity);
}

Engine::~Engine() {
    kill_all();
}

Engine::Root Engine::drive(Process& process, Task<> body) {
    try {
        co_await std::move(body);
    } catch (...) {
        error_ = std::current_exception();
        stopping_ = true;
    }
    process.finished = true;
    if (process.role == Role::client) {
        --unfinished_clients_;
    }
    finished_processes_.push_back(&process);
}

Process& Engine::spawn(std::string name, Task<> body, Role role) {
    if (finished_processes_.empty()) {
        processes_.push_back(std::make_unique<Process>());
        finished_processes_.push_back(processes_.back().get());
    }
    Process& process = *finished_processes_.back();
    finished_processes_.pop_back();
    if (process.frame) {
        process.frame.destroy();
    }
    process.finished = false;
    process.waiting_for = nullptr;
    process.name = std::move(name);
    process.role = role;
    process.since = now_;
    process.frame = drive(process, std::move(body)).handle;
    if (role == Role::client) {
        ++unfinished_clients_;
    }
    process.start.handle_ = process.frame;
    process.start.process_ = &process;
    ready_.push_back(process.start);
    return process;
}

void Engine::resume(Resumable& resumable) {
    ++events_;
    current_ = resumable.process_;
    resumable.handle_.resume();
    current_ = nullptr;
}

Time Engine::horizon() const {
    if (!sc_core::sc_pending_activity()) {
        return Time::max();
    }
    return from_systemc(sc_core::sc_time_stamp()) +
           from_systemc(sc_core::sc_time_to_pending_activity());
}

void Engine::activity() {
    if (finished_) {
        return;
    }
    now_ = std::max(now_, from_systemc(sc_core::sc_time_stamp()));
    horizon_ = horizon();
    step();
}

void Engine::step() {
    for (;;) {
        while (!ready_.empty() && !stopping_) {
            Resumable& next = ready_.front();
            ready_.pop_front();
            resume(next);
        }
        const bool done = stopping_ || (calendar_.empty() && horizon_ == Time::max());
        if (done || (!calendar_.empty() && calendar_.next() > limit_)) {
            finish();
            return;
        }
        if (calendar_.empty()) {
            next_trigger(wake_);
            return;
        }
        if (calendar_.next() > horizon_) {
            const Time ahead = calendar_.next() - from_systemc(sc_core::sc_time_stamp());
            next_trigger(to_systemc(ahead), wake_);
            return;
        }
        while (calendar_.next() > observe_at_) [[unlikely]] {
                now_ = std::max(now_, observe_at_);
                observe_at_ += look_();
            }
        now_ = std::max(now_, calendar_.next());
        calendar_.fire_next();
    }
}

void Engine::observe(Time first, std::function<Time()> look) {
    look_ = std::move(look);
    observe_at_ = now_ + first;
}

void Engine::finish() {
    finished_ = true;
    if (!stopping_ && limit_ != Time::max() && !calendar_.empty()) {
        now_ = limit_;
    }
    sc_core::sc_pause();
}

void Engine::run(Time limit) {
    limit_ = limit;
    sc_core::sc_start();
    if (error_) {
        std::rethrow_exception(std::exchange(error_, nullptr));
    }
    check_deadlock();
}

void Engine::check_deadlock() const {
    const bool nothing_left = calendar_.empty() && ready_.empty();
    if (stopping_ || !nothing_left || unfinished_clients_ == 0) {
        return;
    }
    std::string text = fmt::format("deadlock at {} ns: nothing is left to happen, but", now_.ns());
    for (const auto& process : processes_) {
        if (process->finished) {
            continue;
        }
        text += fmt::format("\n  {} waits for {} since {} ns",
                            process->name,
                            process->waiting_for != nullptr ? process->waiting_for->name() : "?",
                            process->since.ns());
        if (process->role == Role::client) {
            text += " and cannot finish";
        }
    }
    throw Deadlock(text);
}

void Engine::kill_all() {
    for (const auto& process : processes_) {
        if (process->frame) {
            process->frame.destroy();
            process->frame = nullptr;
        }
    }
}

void Engine::notify(sc_core::sc_event& event) {
    const Time ahead = now_ - from_systemc(sc_core::sc_time_stamp());
    event.notify(to_systemc(ahead));
    horizon_ = std::min(horizon_, now_);
}

void Engine::enter_from_systemc() {
    now_ = std::max(now_, from_systemc(sc_core::sc_time_stamp()));
    wake_.notify(sc_core::SC_ZERO_TIME);
}

}  // namespace fusesim::sim
