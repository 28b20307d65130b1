#include "load.h"

#include "files.h"
#include "process.h"
#include "workload/operations.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>
#include <limits>
#include <stdexcept>
#include <thread>
#include <utility>

namespace fusesim::measure {

using real::now_ns;
using workload::NativeConfig;
using workload::Op;
using workload::Step;

namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t directory_buffer = 32'768;  // what glibc's readdir() asks for
constexpr std::size_t warming_read = 131'072;
constexpr std::int64_t longest_sleep = 50'000'000;  // ns; an interrupt is noticed after it

struct Free {
    void operator()(char* memory) const { std::free(memory); }
};

bool has(const NativeConfig& workload, std::initializer_list<Op> wanted) {
    return std::any_of(workload.operations.begin(),
                       workload.operations.end(),
                       [&](const workload::OperationConfig& operation) {
                           return std::find(wanted.begin(), wanted.end(), operation.op) !=
                                  wanted.end();
                       });
}

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

std::uint64_t switches(const rusage& usage) {
    return static_cast<std::uint64_t>(usage.ru_nvcsw + usage.ru_nivcsw);
}

std::size_t kind_of(Op op) {
    return static_cast<std::size_t>(op);
}

}  // namespace

bool opens_files(const NativeConfig& workload) {
    return has(workload, {Op::read, Op::write, Op::fsync});
}

std::string call_name(std::size_t kind) {
    return kind == close_call ? "close" : std::string(to_text(static_cast<Op>(kind)));
}

/// One thread of the application.
class Load::Thread {
  public:
    Thread(const system::Scenario& scenario,
           Control& control,
           unsigned number,
           std::uint64_t seed,
           std::optional<double> full_pace_ns)
        : workload_(scenario.workload),
          affinity_(scenario.workload.affinity),
          control_(control),
          number_(number),
          stream_(workload_, number, seed),
          stretches_(full_pace_ns) {}

    ~Thread() { join(); }

    Thread(const Thread&) = delete;
    Thread& operator=(const Thread&) = delete;

    void start() {
        thread_ = std::thread([this] { run(); });
    }

    void join() {
        if (thread_.joinable()) {
            thread_.join();
        }
    }

    /// Makes so many steps without their calls.
    void rehearse(int steps) {
        rehearses_ = true;
        name_files();
        begin_window();
        for (int i = 0; i < steps; ++i) {
            work(std::numeric_limits<std::int64_t>::max(), true);
        }
    }

    const Stretches& stretches() const { return stretches_; }

    double user_s() const { return user_s_; }

    double system_s() const { return system_s_; }

    std::uint64_t context_switches() const { return context_switches_; }

    const std::string& failure() const { return failure_; }

    /// When its call failed since the daemon had gone, on CLOCK_MONOTONIC; 0: never.
    std::int64_t lost_at() const { return lost_at_; }

    std::uint64_t steps() const { return progress_.load(std::memory_order_relaxed); }

  private:
    /// Everybody meets as often, whatever happened to this one.
    void run() {
        attempt([this] { prepare(); });
        control_.meet();
        control_.meet();
        if (control_.operations) {
            attempt([this] { work_until_warm(); });
            control_.meet();
            control_.meet();
            attempt([this] { work_through(); });
        } else {
            attempt([this] { work_until_end(); });
        }
        control_.done();
        control_.meet();
        control_.meet();
        tidy_up();
    }

    template <class Work>
    void attempt(Work work) {
        if (control_.failed) {
            return;
        }
        try {
            work();
        } catch (const std::exception& error) {
            failure_ = error.what();
            control_.failed = true;
        }
    }

    void prepare();
    void name_files();
    void open_files();
    void fill_caches();
    void tidy_up();

    void work_until_warm();
    void work_through();
    void work_until_end();

    /// The next step, when it is due; false if it never will be. Adds to done_ if `counted` or, in
    /// a run of a given duration, if it ends within the window.
    bool work(std::int64_t until, bool counted);
    std::int64_t wait_for_turn(std::int64_t until);
    void compute() const;
    void drop_caches();
    void perform(const Step& step, std::int64_t began);
    void begin_window();
    void end_window();

    // One step each. They end each call that they time by timed().
    void timed(std::size_t kind, std::int64_t began) {
        finished_ = now_ns();
        calls_.emplace_back(kind, finished_ - began);
    }

    /// In a run of a given duration: whether a step that ended then counts.
    bool in_window(std::int64_t ended) {
        if (control_.operations || ended <= control_.warm_until || ended > control_.until) {
            return false;
        }
        if (!counting_) {
            begin_window();
        }
        return true;
    }

    void open_and_close(const Step& step, std::int64_t began);
    void list(std::int64_t began);
    void transfer(const Step& step, std::int64_t began);

    /// The daemon has gone.
    struct Lost {};

    [[noreturn]] void fail(const std::string& what) const {
        const bool gone = errno == ENOTCONN || errno == ECONNABORTED || errno == EIO;
        if (control_.daemon_may_go && gone) {
            throw Lost();
        }
        throw std::runtime_error(fmt::format("{}: {}", what, std::strerror(errno)));
    }

    const NativeConfig& workload_;
    const std::optional<std::vector<unsigned>>& affinity_;
    Control& control_;
    unsigned number_;
    workload::OperationStream stream_;
    std::thread thread_;
    std::string failure_;
    std::int64_t lost_at_ = 0;

    int directory_ = -1;
    std::vector<int> files_;
    std::vector<std::string> file_names_;
    std::unique_ptr<char, Free> buffer_;

    std::int64_t arrival_ = 0;      // of the last step, with a rate
    std::int64_t finished_ = 0;     // end of the last call
    std::vector<TimedCall> calls_;  // of the last step
    bool counting_ = false;         // within the window
    bool rehearses_ = false;        // no calls
    Stretches stretches_;
    double user_s_ = 0;
    double system_s_ = 0;
    std::uint64_t context_switches_ = 0;
    std::atomic<std::uint64_t> progress_{0};
};

void Load::Thread::prepare() {
    prctl(PR_SET_TIMERSLACK, 1UL);  // steps are due at their time, not up to 50 us after it
    if (affinity_) {
        real::run_on({affinity_->begin(), affinity_->end()});
    }
    std::size_t largest = directory_buffer;
    for (const workload::OperationConfig& operation : workload_.operations) {
        largest = std::max<std::size_t>(largest, operation.size.count);
    }
    const std::size_t rounded = (std::max(largest, warming_read) + page - 1) / page * page;
    buffer_.reset(static_cast<char*>(std::aligned_alloc(page, rounded)));
    std::fill_n(buffer_.get(), rounded, 'x');
    open_files();
    fill_caches();
}

void Load::Thread::name_files() {
    for (unsigned i = 0; i < workload_.files.count; ++i) {
        file_names_.push_back(file_name(i));
    }
    files_.resize(rehearses_ ? workload_.files.count : 0, -1);
}

void Load::Thread::open_files() {
    const std::string path = (control_.root / thread_name(number_)).string();
    directory_ = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory_ < 0) {
        fail(path);
    }
    name_files();
    if (!opens_files(workload_)) {
        return;
    }
    const int access = has(workload_, {Op::write}) ? O_RDWR : O_RDONLY;
    const int flags = access | O_CLOEXEC | (workload_.direct ? O_DIRECT : 0);
    for (const std::string& name : file_names_) {
        files_.push_back(openat(directory_, name.c_str(), flags));
        if (files_.back() < 0) {
            fail("open of " + name);
        }
    }
}

void Load::Thread::fill_caches() {
    const bool wanted = workload_.cache == NativeConfig::Cache::warm && !workload_.direct;
    if (!wanted || !has(workload_, {Op::read})) {
        return;
    }
    for (const int file : files_) {
        for (std::uint64_t at = 0; at < workload_.files.size.count && !control_.stopped();
             at += warming_read) {
            if (pread(file, buffer_.get(), warming_read, static_cast<off_t>(at)) < 0) {
                fail("read");
            }
        }
    }
}

void Load::Thread::tidy_up() {
    for (const int file : files_) {
        close(file);
    }
    if (directory_ >= 0) {
        close(directory_);
    }
}

void Load::Thread::work_until_warm() {
    arrival_ = now_ns();
    while (now_ns() < control_.warm_until && work(control_.warm_until, false)) {
    }
}

void Load::Thread::work_through() {
    constexpr auto never = std::numeric_limits<std::int64_t>::max();
    arrival_ = now_ns();
    begin_window();
    for (std::uint64_t i = 0; i < *control_.operations && work(never, true); ++i) {
        progress_.store(i + 1, std::memory_order_relaxed);
    }
    end_window();
}

void Load::Thread::work_until_end() {
    arrival_ = now_ns();
    while (work(control_.until, false)) {
    }
    end_window();
}

void Load::Thread::begin_window() {
    rusage usage{};
    getrusage(RUSAGE_THREAD, &usage);
    user_s_ = -seconds(usage.ru_utime);
    system_s_ = -seconds(usage.ru_stime);
    context_switches_ = -switches(usage);
    counting_ = true;
    stretches_.begin(control_.operations ? now_ns() : control_.warm_until.load());
}

void Load::Thread::end_window() {
    if (counting_) {
        const std::int64_t now = now_ns();
        stretches_.end(control_.operations || control_.stopped() ? now : control_.until.load());
        rusage usage{};
        getrusage(RUSAGE_THREAD, &usage);
        user_s_ += seconds(usage.ru_utime);
        system_s_ += seconds(usage.ru_stime);
        context_switches_ += switches(usage);
    }
}

/// Returns when the latency of the next step begins: now or, with a rate, at its arrival.
std::int64_t Load::Thread::wait_for_turn(std::int64_t until) {
    std::int64_t due = 0;
    if (workload_.rate) {
        arrival_ += stream_.gap().ps() / 1000;
        due = arrival_;
    } else if (const std::int64_t pause = stream_.think().ps() / 1000; pause > 0) {
        due = now_ns() + pause;
    }
    const std::int64_t last = std::min(due, until);
    for (std::int64_t now = due == 0 ? 0 : now_ns(); now < last && !control_.stopped();
         now = now_ns()) {
        const std::int64_t next = std::min(last, now + longest_sleep);
        timespec at{};
        at.tv_sec = next / 1'000'000'000;
        at.tv_nsec = next % 1'000'000'000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
    }
    return due;
}

bool Load::Thread::work(std::int64_t until, bool counted) {
    const std::int64_t due = rehearses_ ? 0 : wait_for_turn(until);
    if (!rehearses_) {
        compute();
    }
    if (due >= until || control_.stopped()) {
        return false;
    }
    const Step step = stream_.next();
    if (step.drop_cache && !rehearses_) {
        drop_caches();
    }
    const std::int64_t now = now_ns();
    if (now >= until) {
        return false;
    }
    calls_.clear();
    try {
        perform(step, workload_.rate ? due : now);
    } catch (const Lost&) {
        lost_at_ = now_ns();
        return false;
    }
    if (counted || in_window(finished_)) {
        stretches_.add_step(step.op, step.size, calls_);
        stretches_.go_on(finished_);
    }
    return true;
}

void Load::Thread::compute() const {
    const std::int64_t span = workload_.compute.ns();
    if (span > 0) {
        const std::int64_t end = now_ns() + span;
        while (now_ns() < end) {
        }
    }
}

void Load::Thread::drop_caches() {
    if (counting_) {
        stretches_.end(now_ns());
    }
    for (const int file : files_) {
        posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    }
    if (counting_) {
        stretches_.begin(now_ns());
    }
}

void Load::Thread::perform(const Step& step, std::int64_t began) {
    const std::size_t kind = kind_of(step.op);
    switch (step.op) {
        case Op::stat: {
            struct stat out {};

            if (!rehearses_ && fstatat(directory_, file_names_[step.file].c_str(), &out, 0) != 0) {
                fail("stat of " + file_names_[step.file]);
            }
            return timed(kind, began);
        }
        case Op::stat_missing: {
            struct stat out {};

            const std::string name = missing_name(step.number);
            began = workload_.rate ? began : now_ns();
            if (!rehearses_ &&
                (fstatat(directory_, name.c_str(), &out, 0) == 0 || errno != ENOENT)) {
                fail("stat of " + name);
            }
            return timed(kind, began);
        }
        case Op::open:
        case Op::create:
            return open_and_close(step, began);
        case Op::unlink: {
            const std::string name = created_name(step.number);
            began = workload_.rate ? began : now_ns();
            if (!rehearses_ && unlinkat(directory_, name.c_str(), 0) != 0) {
                fail("unlink of " + name);
            }
            return timed(kind, began);
        }
        case Op::readdir:
            return list(began);
        case Op::read:
        case Op::write:
            return transfer(step, began);
        case Op::fsync:
            if (!rehearses_ && fsync(files_[step.file]) != 0) {
                fail("fsync of " + file_names_[step.file]);
            }
            return timed(kind, began);
    }
}

void Load::Thread::open_and_close(const Step& step, std::int64_t began) {
    const bool fresh = step.op == Op::create;
    const std::string name = fresh ? created_name(step.number) : file_names_[step.file];
    const int flags = fresh ? O_CREAT | O_EXCL | O_RDWR : O_RDONLY;
    began = workload_.rate ? began : now_ns();
    const int file = rehearses_ ? -1
                                : openat(directory_,
                                         name.c_str(),
                                         flags | O_CLOEXEC | (workload_.direct ? O_DIRECT : 0),
                                         0644);
    if (file < 0 && !rehearses_) {
        fail((fresh ? "create of " : "open of ") + name);
    }
    timed(kind_of(step.op), began);
    const std::int64_t opened = now_ns();
    if (!rehearses_ && close(file) != 0) {
        fail("close of " + name);
    }
    timed(close_call, opened);
}

void Load::Thread::list(std::int64_t began) {
    if (rehearses_) {
        return timed(kind_of(Op::readdir), began);
    }
    const int listing = openat(directory_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long got = listing;
    while (got >= 0) {
        got = syscall(SYS_getdents64, listing, buffer_.get(), directory_buffer);
        if (got == 0) {
            break;
        }
    }
    if (got < 0 || close(listing) != 0) {
        fail("readdir");
    }
    timed(kind_of(Op::readdir), began);
}

void Load::Thread::transfer(const Step& step, std::int64_t began) {
    const bool reads = step.op == Op::read;
    const int file = files_[step.file];
    const auto offset = static_cast<off_t>(step.offset);
    errno = 0;
    const ssize_t moved = rehearses_ ? static_cast<ssize_t>(step.size)
                          : reads    ? pread(file, buffer_.get(), step.size, offset)
                                     : pwrite(file, buffer_.get(), step.size, offset);
    timed(kind_of(step.op), began);
    if (moved != static_cast<ssize_t>(step.size)) {
        fail(fmt::format("{} of {} bytes of {} at {} moved {}",
                         to_text(step.op),
                         step.size,
                         file_names_[step.file],
                         step.offset,
                         moved));
    }
}

double own_cost_ns(const system::Scenario& scenario) {
    constexpr int steps = 2'000;
    std::int64_t least = 0;
    for (int batch = 0; batch < 5; ++batch) {
        Load::Control control;
        control.operations = steps;
        Load::Thread thread(scenario, control, 0, scenario.run.seed, std::nullopt);
        const std::int64_t began = now_ns();
        thread.rehearse(steps);
        const std::int64_t took = now_ns() - began;
        least = batch == 0 ? took : std::min(least, took);
    }
    return static_cast<double>(least) / steps;
}

Load::Load(const system::Scenario& scenario,
           std::filesystem::path root,
           std::optional<std::uint64_t> operations,
           std::uint64_t seed,
           const std::atomic<bool>* stop,
           std::optional<double> full_pace_ns)
    : scenario_(scenario) {
    control_.root = std::move(root);
    control_.operations = operations;
    control_.stop = stop;
    control_.daemon_may_go =
        scenario.mount.request_timeout ||
        std::any_of(scenario.faults.begin(), scenario.faults.end(), [](const auto& fault) {
            return fault.kind == system::FaultConfig::Kind::crash;
        });
    const unsigned threads = scenario.workload.threads;
    pthread_barrier_init(&control_.barrier, nullptr, threads + 1);
    for (unsigned i = 0; i < threads; ++i) {
        threads_.push_back(std::make_unique<Thread>(scenario, control_, i, seed, full_pace_ns));
    }
}

Load::~Load() {
    control_.failed = true;
    end_threads();
    pthread_barrier_destroy(&control_.barrier);
}

void Load::begin() {
    control_.working = static_cast<unsigned>(threads_.size());
    for (const auto& thread : threads_) {
        thread->start();
    }
    met_ = control_.operations ? 6 : 4;
    control_.meet();
    --met_;
}

void Load::warm_up() {
    const std::int64_t warm_until = now_ns() + scenario_.run.warm_up.ps() / 1000;
    const double duration_s = scenario_.run.duration.value_or(sim::Time::from_seconds(1)).seconds();
    control_.warm_until = warm_until;
    control_.window_begin = warm_until;
    control_.until = warm_until + static_cast<std::int64_t>(duration_s * 1e9);
    control_.meet();
    --met_;
    if (control_.operations) {
        control_.meet();
        --met_;
        return;
    }
    while (now_ns() < warm_until && !control_.stopped()) {
        std::this_thread::sleep_for(std::chrono::nanoseconds(
            std::min(longest_sleep, std::max<std::int64_t>(0, warm_until - now_ns()))));
    }
}

void Load::go_on() {
    if (control_.operations) {
        control_.window_begin = now_ns();
        control_.meet();
        --met_;
    }
}

bool Load::wait(std::chrono::milliseconds most) {
    std::unique_lock lock(control_.mutex);
    return control_.all_done.wait_for(lock, most, [this] { return control_.working == 0; });
}

void Load::finish() {
    control_.meet();
    --met_;
}

double Load::progress() const {
    if (!control_.operations) {
        const auto passed = static_cast<double>(now_ns() - control_.window_begin);
        return passed / static_cast<double>(control_.until - control_.window_begin);
    }
    std::uint64_t steps = 0;
    for (const auto& thread : threads_) {
        steps += thread->steps();
    }
    return static_cast<double>(steps) / static_cast<double>(*control_.operations * threads_.size());
}

void Load::end_threads() {
    for (; met_ > 0; --met_) {
        control_.meet();
    }
    for (const auto& thread : threads_) {
        thread->join();
    }
}

Done Load::results() {
    end_threads();
    Done all;
    std::int64_t span_ns = 0;
    for (const auto& thread : threads_) {
        if (!thread->failure().empty()) {
            throw std::runtime_error(thread->failure());
        }
        all.kept.merge(thread->stretches().kept());
        span_ns += thread->stretches().span_ns();
        if (thread->lost_at() > 0) {
            const double at_s =
                static_cast<double>(thread->lost_at() - control_.window_begin) * 1e-9;
            all.first_failed_s = all.failed == 0 ? at_s : std::min(all.first_failed_s, at_s);
            ++all.failed;
        }
        all.user_s += thread->user_s();
        all.system_s += thread->system_s();
        all.context_switches += thread->context_switches();
    }
    const auto kept_ns = static_cast<double>(all.kept.span_ns);
    all.window_s = kept_ns / static_cast<double>(threads_.size()) * 1e-9;
    all.kept_share = span_ns > 0 ? kept_ns / static_cast<double>(span_ns) : 0;
    return all;
}

}  // namespace fusesim::measure
