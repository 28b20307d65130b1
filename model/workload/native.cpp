#include "workload/native.h"

#include "workload/steps.h"

#include <fmt/format.h>

#include <algorithm>

namespace fusesim::workload {

using sim::Time;
using vfs::Name;

namespace {

/// Steps of one thread in one instant, beyond which no time is taken ever to pass. Far more than
/// the calls between two that take some.
constexpr std::uint64_t steps_in_no_time = 1u << 20;

}  // namespace

struct Native::Worker {
    Worker(const NativeConfig& config, unsigned number, std::uint64_t seed)
        : stream(config, number, seed) {}

    OperationStream stream;
    std::unique_ptr<host::Thread> thread;
    vfs::Inode* directory = nullptr;
    std::vector<vfs::File> files;  // open all the time, where data are read or written
    std::uint64_t steps = 0;
    std::uint64_t instant_steps = 0;  // since time passed last
    Time last_step;
    Time arrival;  // of the next step, with a rate
};

Native::Native(vfs::FileTree& mount, host::Cpu& cpu, const NativeConfig& config, NativeRun run)
    : mount_(mount), cpu_(cpu), config_(config), run_(std::move(run)) {
    for (std::size_t i = 0; i < close_call; ++i) {
        calls_[i].name = to_text(static_cast<Op>(i));
    }
    calls_[close_call].name = "close";
    for (unsigned i = 0; i < config_.threads; ++i) {
        workers_.push_back(std::make_unique<Worker>(config_, i, run_.seed));
        lay_out(*workers_.back(), i);
    }
    if (run_.warm_up > Time()) {
        cpu_.engine().spawn("window", open_window());
    }
    alive_ = config_.threads;
    for (unsigned i = 0; i < config_.threads; ++i) {
        Worker& worker = *workers_[i];
        const std::string name = fmt::format("application[{}]", i);
        worker.thread =
            std::make_unique<host::Thread>(cpu_, name, host::Group::application, run_.affinity);
        cpu_.engine().spawn(name, live(worker));
    }
}

Native::~Native() = default;

void Native::lay_out(Worker& worker, unsigned number) {
    worker.directory = &mount_.add_directory(mount_.root(), {Name::Family::thread, number});
    const bool data = std::any_of(
        config_.operations.begin(), config_.operations.end(), [](const OperationConfig& one) {
            return one.op == Op::read || one.op == Op::write || one.op == Op::fsync;
        });
    const bool warm = config_.cache == NativeConfig::Cache::warm && !config_.direct;
    const std::uint64_t all = config_.files.size.count * config_.files.count * config_.threads;
    const double share = warm ? mount_.share_that_fits(all) : 0;
    for (unsigned i = 0; i < config_.files.count; ++i) {
        vfs::Inode& file =
            mount_.add_file(*worker.directory, {Name::Family::file, i}, config_.files.size.count);
        if (data) {
            worker.files.push_back(mount_.open_quietly(file, config_.direct, share));
        }
    }
}

sim::Task<> Native::open_window() {
    co_await cpu_.engine().delay(run_.warm_up);
    window_begin_ = now();
    run_.begin_window();
}

bool Native::in_window() const {
    return now() >= run_.warm_up && (!run_.duration || now() <= run_.warm_up + *run_.duration);
}

bool Native::over(const Worker& worker) const {
    return run_.operations ? worker.steps >= *run_.operations
                           : now() >= run_.warm_up + *run_.duration;
}

sim::Task<> Native::live(Worker& worker) {
    host::Thread& thread = *worker.thread;
    co_await thread.run();
    worker.arrival = now();
    while (!over(worker)) {
        Time began;
        if (config_.rate) {
            worker.arrival += worker.stream.gap();
            if (worker.arrival > now()) {
                co_await thread.sleep_for(worker.arrival - now());
            }
            began = worker.arrival;
        } else if (const Time think = worker.stream.think(); think > Time()) {
            co_await thread.sleep_for(think);
        }
        const Step step = worker.stream.next();
        thread.charge(config_.compute, host::Work::user);
        if (step.drop_cache) {
            const Time before = now();
            for (vfs::File& file : worker.files) {
                co_await mount_.drop_cache(thread, file);
            }
            dropping_ += now() >= run_.warm_up ? now() - before : Time();
        }
        co_await thread.run();
        co_await perform(worker, step, config_.rate ? began : now());
        if (mount_.lost(thread)) {
            ++failed_;
            break;
        }
        ++worker.steps;
        if (stands_still(worker)) {
            co_await cpu_.engine().delay(Time());
        }
        if (in_window()) {
            ++steps_;
            last_end_ = now();
        }
        if (run_.progress && ++done_ % progress_every == 0) {
            const double share = run_.operations
                                     ? static_cast<double>(done_) /
                                           (static_cast<double>(*run_.operations) * config_.threads)
                                     : now().seconds() / (run_.warm_up + *run_.duration).seconds();
            run_.progress(share);
        }
    }
    thread.exit();
    if (--alive_ == 0 && run_.over) {
        run_.over();
    }
}

bool Native::stands_still(Worker& worker) const {
    if (now() > worker.last_step) {
        worker.last_step = now();
        worker.instant_steps = 0;
        return false;
    }
    ++worker.instant_steps;
    if (!run_.operations && worker.instant_steps >= steps_in_no_time) {
        throw NoTimePasses(fmt::format("{} calls in a row took no time, so the run would never end",
                                       worker.instant_steps));
    }
    return worker.instant_steps % stacked_steps == 0;
}

sim::Task<> Native::perform(Worker& worker, const Step& step, Time began) {
    host::Thread& thread = *worker.thread;
    const auto call = static_cast<std::size_t>(step.op);
    switch (step.op) {
        case Op::stat:
            co_await mount_.stat(thread, *worker.directory, {Name::Family::file, step.file});
            count(worker, call, began);
            break;
        case Op::stat_missing:
            co_await mount_.stat(thread, *worker.directory, {Name::Family::missing, step.number});
            count(worker, call, began);
            break;
        case Op::open:
        case Op::create: {
            vfs::File file;
            if (step.op == Op::open) {
                co_await mount_.open(thread,
                                     *worker.directory,
                                     {Name::Family::file, step.file},
                                     config_.direct,
                                     file);
            } else {
                co_await mount_.create(
                    thread, *worker.directory, {Name::Family::fresh, step.number}, file);
            }
            count(worker, call, began);
            began = now();
            co_await mount_.close(thread, file);
            count(worker, close_call, began);
            break;
        }
        case Op::unlink:
            co_await mount_.unlink(thread, *worker.directory, {Name::Family::fresh, step.number});
            count(worker, call, began);
            break;
        case Op::readdir:
            co_await mount_.list(thread, *worker.directory);
            count(worker, call, began);
            break;
        case Op::read:
            co_await mount_.read(thread, worker.files[step.file], step.offset, step.size);
            count(worker, call, began, step.size);
            break;
        case Op::write:
            co_await mount_.write(thread, worker.files[step.file], step.offset, step.size);
            count(worker, call, began, step.size);
            break;
        case Op::fsync:
            co_await mount_.fsync(thread, worker.files[step.file]);
            count(worker, call, began);
            break;
    }
}

void Native::count(const Worker& worker, std::size_t call, Time began, std::uint64_t bytes) {
    if (!in_window() || mount_.lost(*worker.thread)) {
        return;
    }
    ++calls_[call].count;
    calls_[call].bytes += bytes;
    calls_[call].latency.add(now() - began);
}

std::vector<const CallStatistics*> Native::calls() const {
    std::vector<const CallStatistics*> made;
    for (const CallStatistics& call : calls_) {
        if (call.count > 0) {
            made.push_back(&call);
        }
    }
    return made;
}

Time Native::window() const {
    const Time whole = run_.duration ? *run_.duration : last_end_ - window_begin_;
    return whole - dropping_ / config_.threads;
}

Time Native::cpu_time(host::Work work) const {
    Time sum;
    for (const auto& worker : workers_) {
        sum += worker->thread->spent(work);
    }
    return sum;
}

}  // namespace fusesim::workload
