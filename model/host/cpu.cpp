#include "host/cpu.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace fusesim::host {

using sim::Time;

Thread::Thread(Cpu& cpu, std::string name, Group group, Affinity affinity)
    : cpu_(cpu), name_(std::move(name)), group_(group), affinity_(std::move(affinity)) {
    for (const unsigned id : affinity_) {
        if (id >= cpu_.cores_.size()) {
            throw std::invalid_argument(
                fmt::format("thread {} is pinned to core {}, but the host has cores 0 to {}",
                            name_,
                            id,
                            cpu_.cores_.size() - 1));
        }
    }
}

Thread::~Thread() {
    if (state_ == State::runnable) {
        core_->run_queue_.erase(core_->run_queue_.iterator_to(*this));
    } else if (core_ != nullptr && core_->current_ == this) {
        core_->current_ = nullptr;
        core_->cancel();
    }
}

bool Thread::Run::await_ready() const noexcept {
    return thread_.debt_ == Time() && thread_.state_ == State::running;
}

void Thread::Run::await_suspend(std::coroutine_handle<> handle) {
    sim::Engine& engine = thread_.cpu_.engine();
    thread_.process_ = engine.current();
    thread_.resumable_.suspend(engine, handle);
    if (thread_.state_ == State::off) {
        thread_.cpu_.wake(thread_);
    } else {
        thread_.core_->plan();
    }
}

void Thread::Sleep::await_suspend(std::coroutine_handle<> handle) {
    sim::Engine& engine = thread_.cpu_.engine();
    thread_.process_ = engine.current();
    thread_.process_->waiting_for = &queue_;
    thread_.process_->since = engine.now();
    thread_.resumable_.suspend(engine, handle);
    queue_.add(thread_);
    if (thread_.state_ == State::off) {
        return;  // has not had a core yet
    }
    thread_.then_ = Then::sleep;
    thread_.core_->plan();
}

void Thread::Leave::await_suspend(std::coroutine_handle<> handle) {
    sim::Engine& engine = thread_.cpu_.engine();
    thread_.process_ = engine.current();
    thread_.resumable_.suspend(engine, handle);
    if (thread_.state_ == State::off) {
        engine.make_ready(thread_.resumable_);
        return;
    }
    thread_.then_ = Then::leave;
    thread_.core_->plan();
}

sim::Task<> Thread::sleep_for(Time span) {
    co_await leave();
    co_await cpu_.engine().delay(span);
    co_await come_back();
}

void Thread::exit() {
    if (state_ == State::running) {
        state_ = State::off;
        core_->release();
    }
}

void Thread::woken() {
    if (state_ != State::off) {
        then_ = Then::go_on;  // woken before it had left its core: it does not leave
        return;
    }
    cpu_.wake(*this);
}

void Core::give(Thread& thread) {
    const Time now = cpu_.engine().now();
    current_ = &thread;
    thread.core_ = this;
    thread.state_ = Thread::State::running;
    thread.debt_ += cpu_.draw_by_idle(cpu_.idle_exit_, now - idle_since_);
    thread.debt_ += cpu_.cold_start(now - idle_since_) + cpu_.costs().recorder_cold;
    thread.slept_ = false;  // going to sleep and coming back is part of what was measured
    busy_.set(now, 1);
    slice_began_ = now;
    plan();
}

void Core::enqueue(Thread& thread, bool preempts) {
    thread.core_ = this;
    thread.state_ = Thread::State::runnable;
    if (preempts) {
        run_queue_.push_front(thread);
        make_way_ = true;
    } else {
        run_queue_.push_back(thread);
    }
    if (computing_) {
        plan();  // the current thread is preempted, or its slice now has an end
    }
}

void Core::requeue() {
    Thread& thread = *current_;
    thread.state_ = Thread::State::runnable;
    // Behind whoever preempted it, or at the end of the queue when its slice is over.
    if (std::exchange(make_way_, false)) {
        run_queue_.insert(std::next(run_queue_.begin()), thread);
    } else {
        run_queue_.push_back(thread);
    }
    release();
}

void Core::release() {
    current_ = nullptr;
    cancel();
    computing_ = false;
    make_way_ = false;
    dispatch();
}

void Core::dispatch() {
    const Time now = cpu_.engine().now();
    if (run_queue_.empty()) {
        idle_since_ = now;
        busy_.set(now, 0);
        return;
    }
    Thread& next = run_queue_.front();
    run_queue_.pop_front();
    current_ = &next;
    next.state_ = Thread::State::running;
    next.charge(cpu_.costs().context_switch);
    if (std::exchange(next.slept_, false)) {
        next.charge(cpu_.costs().block);
    }
    slice_began_ = now;
    plan();
}

void Core::settle_account() {
    const Time now = cpu_.engine().now();
    if (computing_) {
        current_->debt_ -= now - burst_began_;
        current_->must_pay_ = std::max(Time(), current_->must_pay_ - (now - burst_began_));
    }
    burst_began_ = now;
    computing_ = true;
}

void Core::plan() {
    settle_account();
    if (make_way_ && current_->debt_ > Time() && current_->must_pay_ == Time()) {
        requeue();
        return;
    }
    const Time now = cpu_.engine().now();
    Time end = now + current_->debt_;
    if (make_way_) {
        end = now + current_->must_pay_;
    } else if (!run_queue_.empty() && current_->debt_ > Time()) {
        end = std::min(end, std::max(now, slice_began_ + cpu_.profile().scheduler.base_slice));
    }
    cpu_.engine().schedule(*this, end);
}

void Core::fire() {
    settle_account();
    computing_ = false;
    Thread& thread = *current_;
    if (thread.debt_ > Time()) {
        requeue();  // its slice is over
        return;
    }
    const Thread::Then then = std::exchange(thread.then_, Thread::Then::go_on);
    if (then != Thread::Then::go_on) {
        thread.state_ = Thread::State::off;
        thread.slept_ = true;
        release();
    }
    if (then != Thread::Then::sleep) {
        cpu_.resume(thread);
    }
}

namespace {

std::vector<std::pair<Time, sim::Distribution>> by_idle(const std::vector<IdleExit>& measured) {
    std::vector<std::pair<Time, sim::Distribution>> rows;
    for (const IdleExit& row : measured) {
        std::vector<std::pair<double, Time>> points;
        const auto steps = static_cast<double>(row.quantiles.size() - 1);
        for (const Time time : row.quantiles) {
            points.emplace_back(static_cast<double>(points.size()) / steps, time);
        }
        rows.emplace_back(row.idle, sim::Distribution::quantiles(std::move(points)));
    }
    return rows;
}

}  // namespace

Cpu::Cpu(sim::Engine& engine, const HostProfile& profile, std::uint64_t seed)
    : engine_(engine), profile_(profile), random_(seed, "host.cpu") {
    if (profile.cores == 0 || profile.costs.idle_exit.empty()) {
        throw std::invalid_argument("a host needs at least one core and one idle_exit row");
    }
    idle_exit_ = by_idle(profile.costs.idle_exit);
    wake_cross_core_ = by_idle(profile.costs.wake_cross_core_by_idle);
    for (unsigned id = 0; id < profile.cores; ++id) {
        cores_.push_back(std::make_unique<Core>(*this, id));
    }
}

void Cpu::begin_window(Time now) {
    for (const auto& core : cores_) {
        core->busy().begin_window(now);
    }
}

double Cpu::utilisation(Time now) const {
    double sum = 0;
    for (const auto& core : cores_) {
        sum += core->busy().mean(now);
    }
    return sum / static_cast<double>(cores_.size());
}

bool Cpu::may_run_on(const Thread& thread, const Core& core) const {
    return thread.affinity_.empty() ||
           std::find(thread.affinity_.begin(), thread.affinity_.end(), core.id()) !=
               thread.affinity_.end();
}

bool Cpu::available_idle(const Core& core) const {
    if (!core.idle()) {
        return false;
    }
    const SchedulerConfig& scheduler = profile_.scheduler;
    const bool halted = engine_.now() - core.idle_since_ > scheduler.halt_poll;
    return !(scheduler.halted_is_unavailable && halted);
}

Core& Cpu::place(const Thread& thread) const {
    Core* const previous = thread.core_;
    if (thread.affinity_.size() == 1) {
        return *cores_[thread.affinity_.front()];
    }
    Core* target = previous;
    if (target == nullptr || !may_run_on(thread, *target)) {
        target = nullptr;
    } else if (available_idle(*target)) {
        return *target;
    }
    // wake_affine(): the waker's core if it has less to do than where the thread ran last.
    Core* const here = active_ != nullptr ? active_->core_ : nullptr;
    if (here != nullptr && may_run_on(thread, *here) &&
        (target == nullptr || here->load() < target->load())) {
        target = here;
    }
    Core* least = cores_.front().get();
    for (const auto& core : cores_) {
        if (!may_run_on(thread, *core)) {
            continue;
        }
        if (available_idle(*core)) {
            return *core;
        }
        if (!may_run_on(thread, *least) || core->load() < least->load()) {
            least = core.get();
        }
    }
    return target != nullptr ? *target : *least;
}

void Cpu::wake(Thread& thread) {
    Core& core = place(thread);
    if (active_ != nullptr && active_ != &thread) {
        active_->charge_unpreemptible(wake_cost(core));
    }
    if (core.idle()) {
        core.give(thread);
    } else {
        // Simplified: who wakes from another core lets the running thread run on.
        const bool here = active_ == nullptr || active_->core_ == &core;
        core.enqueue(thread, here && profile_.scheduler.wakeup_preemption);
    }
}

Time Cpu::wake_cost(const Core& core) {
    if (active_->core_ == &core || !core.idle()) {
        return profile_.costs.wake_same_core;  // a busy core needs no interrupt
    }
    if (wake_cross_core_.empty()) {
        return profile_.costs.wake_cross_core;
    }
    return draw_by_idle(wake_cross_core_, engine_.now() - core.idle_since_);
}

Time Cpu::cold_start(Time idle) const {
    const std::vector<IdleCost>& rows = profile_.costs.cold_start;
    const auto above = std::upper_bound(
        rows.begin(), rows.end(), idle, [](Time t, const IdleCost& row) { return t < row.idle; });
    return above == rows.begin() ? Time() : (above - 1)->time;
}

Time Cpu::draw_by_idle(const std::vector<std::pair<Time, sim::Distribution>>& rows, Time idle) {
    // The row whose idle time is nearest from below; the rows are dense where it matters.
    const auto above = std::upper_bound(
        rows.begin(), rows.end(), idle, [](Time t, const auto& row) { return t < row.first; });
    return (above == rows.begin() ? above : above - 1)->second.draw(random_);
}

void Cpu::resume(Thread& thread) {
    active_ = &thread;
    engine_.resume(thread.resumable_);
    active_ = nullptr;
}

}  // namespace fusesim::host
