#include "host/cpu.h"

#include "host/cfs_queue.h"
#include "host/eevdf_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace fusesim::host {

using sim::Time;

namespace {

/// Least time between two looks of a spinning thread at who else wants its core.
constexpr Time shortest_turn = Time::from_ns(100);

}  // namespace

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
    if (core_ != nullptr && core_->current_ == this) {
        core_->current_ = nullptr;
        core_->cancel();
    }
    if (queued()) {
        core_->load_ -= delayed() ? 0 : 1;
        core_->dequeue_fair(*this, false);
    }
}

bool Thread::Run::await_ready() const noexcept {
    if (!now_) {
        return true;
    }
    const bool at_once = thread_.debt_ == Time() && thread_.state_ == State::running &&
                         !(thread_.to_user_ && thread_.core_->make_way_);
    thread_.to_user_ = thread_.to_user_ && !at_once;
    return at_once;
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

void Thread::Spin::await_suspend(std::coroutine_handle<> handle) {
    sim::Engine& engine = thread_.cpu_.engine();
    thread_.process_ = engine.current();
    thread_.process_->waiting_for = &queue_;
    thread_.process_->since = engine.now();
    thread_.resumable_.suspend(engine, handle);
    queue_.add(thread_);
    thread_.spinning_ = true;
    thread_.spin_until_ = until_;
    thread_.charge(std::max(Time(), until_ - engine.now()));
    Core& core = *thread_.core_;
    core.make_way_ = core.load() > 1;
    core.marked_ = engine.now();
    core.plan();
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
    if (!killed_) {
        sim::Engine::Delay nap = cpu_.engine().delay(span);
        nap_ = &nap;
        co_await nap;
        nap_ = nullptr;
        by_timer_ = true;
    }
    co_await come_back();
}

void Thread::exit() {
    if (state_ == State::running) {
        state_ = State::off;
        core_->release(false);
    }
}

void Thread::stop() {
    stopped_ = true;
    if (state_ != State::off) {
        core_->take_off(*this);
        wants_core_ = true;
    }
}

void Thread::go_on() {
    stopped_ = false;
    if (std::exchange(wants_core_, false)) {
        cpu_.wake(*this);
    }
}

void Thread::kill() {
    killed_ = true;
    const bool has_core = core_ != nullptr && core_->current_ == this;
    if (has_core && core_->computing_) {
        core_->settle_account();
    }
    spent_[1] -= spinning_ ? debt_ : Time();
    debt_ = must_pay_ = Time();
    spinning_ = false;
    if (has_core) {
        core_->plan();
    }
    if (nap_ != nullptr) {
        cpu_.engine().schedule(*nap_, cpu_.engine().now());
    }
    go_on();
}

void Thread::woken() {
    if (stopped_) {
        spent_[1] -= spinning_ ? debt_ : Time();
        debt_ = spinning_ ? Time() : debt_;
        spinning_ = false;
        then_ = Then::go_on;
        wants_core_ = true;
        return;
    }
    if (spinning_) {
        core_->end_spin(*this);
        return;
    }
    if (state_ != State::off) {
        then_ = Then::go_on;  // woken before it had left its core: it does not leave
        return;
    }
    cpu_.wake(*this);
}

namespace {

std::unique_ptr<FairQueue> make_queue(const SchedulerConfig& config) {
    if (config.fair == SchedulerConfig::Fair::cfs) {
        return std::make_unique<CfsQueue>(config.cfs);
    }
    return std::make_unique<EevdfQueue>(config.base_slice);
}

}  // namespace

Core::GroupEntity::GroupEntity(const SchedulerConfig& config) : threads(make_queue(config)) {}

Core::Core(Cpu& cpu, unsigned id, std::uint64_t seed)
    : cpu_(cpu),
      id_(id),
      groups_{GroupEntity(cpu.profile().scheduler),
              GroupEntity(cpu.profile().scheduler),
              GroupEntity(cpu.profile().scheduler)},
      root_(make_queue(cpu.profile().scheduler)),
      random_(seed, fmt::format("host.interruptions[{}]", id)) {}

Core::GroupEntity& Core::group_of(const Thread& thread) {
    const bool apart = cpu_.profile().scheduler.sched_autogroup_enabled;
    return groups_[apart ? static_cast<std::size_t>(thread.group()) : 0];
}

/// Until when threads have run, as their queues count. Once the running thread is to be preempted
/// the kernel does not look at the clock again before it is (rq_clock_skip_update()): what the
/// thread still does in the kernel counts as the next one's.
Time Core::queue_time() const {
    const bool skips = cpu_.profile().scheduler.fair == SchedulerConfig::Fair::cfs;
    return make_way_ && skips ? marked_ : cpu_.engine().now();
}

void Core::enqueue_fair(Thread& thread) {
    const Time now = cpu_.engine().now();
    GroupEntity& group = group_of(thread);
    group.threads->enqueue(thread, now);
    if (!group.queued() || group.delayed()) {
        root_->enqueue(group, now);
    }
}

void Core::dequeue_fair(Thread& thread, bool sleeps) {
    const Time now = queue_time();
    GroupEntity& group = group_of(thread);
    if (thread.delayed()) {
        group.threads->dequeue_delayed(thread, now);
    } else if (!group.threads->dequeue(thread, now, sleeps)) {
        return;
    }
    if (group.threads->size() == 0 && !group.delayed()) {
        root_->dequeue(group, now, true);
    }
}

void Core::run_fair(Thread& thread) {
    const Time now = queue_time();
    GroupEntity& group = group_of(thread);
    group.threads->run(thread, now);
    root_->run(group, now);
}

// Whoever sleeps in debt and is picked has paid it back: it leaves now.
Thread* Core::pick() {
    const Time now = queue_time();
    while (root_->size() > 0) {
        auto& group = static_cast<GroupEntity&>(root_->pick(now));
        if (group.delayed()) {
            root_->dequeue_delayed(group, now);
            continue;
        }
        auto& thread = static_cast<Thread&>(group.threads->pick(now));
        if (!thread.delayed()) {
            return &thread;
        }
        dequeue_fair(thread, true);
    }
    return nullptr;
}

// Compared are the two threads, or where they are in different groups, these.
bool Core::preempts(Thread& woken) {
    const Time now = cpu_.engine().now();
    GroupEntity& group = group_of(woken);
    if (&group == &group_of(*current_)) {
        return group.threads->update(now) || group.threads->preempts(woken);
    }
    return root_->update(now) || root_->preempts(group);
}

void Core::give(Thread& thread) {
    const Time now = cpu_.engine().now();
    current_ = &thread;
    thread.core_ = this;
    thread.state_ = Thread::State::running;
    const bool by_timer = std::exchange(thread.by_timer_, false);
    thread.debt_ +=
        cpu_.draw_by_idle(by_timer ? cpu_.idle_exit_timer_ : cpu_.idle_exit_, now - idle_since_);
    thread.debt_ += cpu_.cold_start(now - idle_since_) + cpu_.costs().cold_path;
    thread.slept_ = false;  // going to sleep and coming back is part of what was measured
    busy_.set(now, 1);
    ++load_;
    enqueue_fair(thread);
    run_fair(thread);
    plan();
}

void Core::enqueue(Thread& thread, bool may_preempt, Time later) {
    thread.core_ = this;
    thread.state_ = Thread::State::runnable;
    thread.by_timer_ = false;
    ++load_;
    enqueue_fair(thread);
    make_way_ = make_way_ || current_->spinning_ || (may_preempt && preempts(thread));
    marked_ = cpu_.engine().now() + later;
    if (computing_) {
        plan();  // the current thread is preempted, or its slice now has an end
    }
}

void Core::take_off(Thread& thread) {
    if (current_ == &thread) {
        settle_account();
        thread.state_ = Thread::State::off;
        release(true);
        return;
    }
    --load_;
    dequeue_fair(thread, false);
    thread.state_ = Thread::State::off;
}

void Core::release(bool sleeps) {
    Thread& thread = *current_;
    --load_;
    dequeue_fair(thread, sleeps);
    reschedule();
}

void Core::reschedule() {
    const Time counted = queue_time();
    Thread* const previous = current_;
    computing_ = false;
    cancel();
    Thread* const next = pick();
    if (next == previous && next != nullptr) {
        make_way_ = false;
        plan();
        return;
    }
    context_switches_ += previous->group() == Group::kernel ? 0 : 1;
    if (previous->state_ == Thread::State::running) {
        previous->state_ = Thread::State::runnable;
    }
    group_of(*previous).threads->stop(counted);
    root_->stop(counted);
    current_ = nullptr;
    if (next == nullptr) {
        make_way_ = false;
        idle_since_ = cpu_.engine().now();
        busy_.set(idle_since_, 0);
        return;
    }
    dispatch(*next);
}

void Core::dispatch(Thread& next) {
    current_ = &next;
    next.state_ = Thread::State::running;
    if (next.spinning_) {
        const Time left = std::max(Time(), next.spin_until_ - cpu_.engine().now());
        next.spent_[1] += left - next.debt_;
        next.debt_ = left;
    }
    next.charge(cpu_.costs().context_switch);
    if (std::exchange(next.slept_, false)) {
        next.charge(cpu_.costs().block);
    }
    run_fair(next);
    make_way_ = false;
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

// A thread that is not on its core goes on when it is picked.
void Core::end_spin(Thread& thread) {
    thread.spinning_ = false;
    if (current_ == &thread && computing_) {
        settle_account();
    }
    thread.spent_[1] -= thread.debt_;
    thread.debt_ = Time();
    if (current_ == &thread || (current_->spinning_ && computing_)) {
        plan();  // it goes on; or who spins meanwhile has a reason to make way
    }
}

// At random times: those of the past, when nobody computed, do not matter to when the next comes.
void Core::interrupt() {
    const Time mean = cpu_.between_interruptions_;
    if (mean == Time()) {
        return;
    }
    const Time now = cpu_.engine().now();
    if (next_interruption_ < now) {
        next_interruption_ = now + Time::from_seconds(random_.exponential(mean.seconds()));
    }
    while (now + current_->debt_ > next_interruption_) {
        current_->debt_ += cpu_.draw_interruption(random_);
        next_interruption_ += Time::from_seconds(random_.exponential(mean.seconds()));
    }
}

void Core::plan() {
    settle_account();
    interrupt();
    if (make_way_ && current_->debt_ > Time() && current_->must_pay_ == Time()) {
        reschedule();
        return;
    }
    const Time now = cpu_.engine().now();
    Time end = now + current_->debt_;
    if (make_way_) {
        end = now + current_->must_pay_;
    } else if (current_->spinning_) {
        const Time turn_end = std::min(root_->turn_end(), group_of(*current_).threads->turn_end());
        end = std::min(end, std::max(now + cpu_.costs().context_switch + shortest_turn, turn_end));
    } else if (current_->debt_ > Time()) {
        const Time slice_end =
            std::min(root_->slice_end(), group_of(*current_).threads->slice_end());
        end = std::min(end, std::max(now, slice_end));
    }
    cpu_.engine().schedule(*this, end);
}

void Core::fire() {
    settle_account();
    computing_ = false;
    Thread& thread = *current_;
    if (thread.debt_ > Time()) {
        reschedule();  // its slice is over
        return;
    }
    if (std::exchange(thread.to_user_, false) && make_way_) {
        reschedule();
        return;
    }
    const Thread::Then then = std::exchange(thread.then_, Thread::Then::go_on);
    if (then != Thread::Then::go_on) {
        thread.state_ = Thread::State::off;
        thread.slept_ = true;
        release(true);
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
    : engine_(engine),
      profile_(profile),
      memory_(profile.costs.memory, profile.costs.memory_run),
      page_cache_(profile.page_cache_pages()),
      dirty_pages_(profile.page_cache_pages()),
      random_(seed, "host.cpu") {
    if (profile.cores == 0 || profile.costs.idle_exit.empty()) {
        throw std::invalid_argument("a host needs at least one core and one idle_exit row");
    }
    idle_exit_ = by_idle(profile.costs.idle_exit);
    idle_exit_timer_ =
        profile.costs.idle_exit_timer.empty() ? idle_exit_ : by_idle(profile.costs.idle_exit_timer);
    wake_cross_core_ = by_idle(profile.costs.wake_cross_core_by_idle);
    double per_s = 0;
    for (const Interruption& kind : profile.interruptions) {
        per_s += 1 / kind.interval.seconds();
    }
    between_interruptions_ = per_s > 0 ? Time::from_seconds(1 / per_s) : Time();
    for (unsigned id = 0; id < profile.cores; ++id) {
        cores_.push_back(std::make_unique<Core>(*this, id, seed));
    }
}

void Cpu::begin_window(Time now) {
    for (const auto& core : cores_) {
        core->busy().begin_window(now);
    }
}

std::uint64_t Cpu::context_switches() const {
    std::uint64_t sum = 0;
    for (const auto& core : cores_) {
        sum += core->context_switches();
    }
    return sum;
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
    if (thread.stopped_) {
        thread.wants_core_ = true;
        return;
    }
    // Whoever is still queued goes on where it is.
    Core& core = thread.delayed() ? *thread.core_ : place(thread);
    Time later;  // the queues look at the clock
    if (active_ != nullptr && active_ != &thread) {
        active_->charge_unpreemptible(wake_cost(core));
        later = std::max(Time(), active_->debt_ - profile_.scheduler.cfs.skipped);
    }
    if (core.idle()) {
        core.give(thread);
    } else {
        // Simplified: who wakes from another core lets the running thread run on. The kernel marks
        // it to be preempted on its next return to user mode, but sends no interrupt.
        const bool here = active_ == nullptr || active_->core_ == &core;
        core.enqueue(thread, here && profile_.scheduler.wakeup_preemption, later);
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

Time Cpu::draw_interruption(sim::Random& random) const {
    double left = random.uniform() / between_interruptions_.seconds();
    for (const Interruption& kind : profile_.interruptions) {
        left -= 1 / kind.interval.seconds();
        if (left < 0) {
            return kind.time;
        }
    }
    return profile_.interruptions.back().time;
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
