#include "daemon/session.h"

#include "daemon/library.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace fusesim::daemon {

using fuse::Taken;
using sim::Time;

Session::Session(transport::Transport& dev, FileSystem& file_system, const SessionConfig& config)
    : dev_(dev), file_system_(file_system), config_(config), station_("daemon threads", 0) {
    for (const transport::Post& post : dev.posts()) {
        pools_.push_back(std::make_unique<Pool>(dev.cpu().engine(), post));
        Pool& pool = *pools_.back();
        pool.may_grow =
            post.library_loop ? config.multi_threaded : post.most_workers > post.workers;
        pool.limit = post.library_loop ? config.max_threads : static_cast<int>(post.most_workers);
        for (unsigned i = 0; i < post.workers; ++i) {
            start_worker(pool);
        }
    }
}

host::Affinity Session::affinity_at(const transport::Post& post) const {
    const auto core = static_cast<unsigned>(post.core);
    const host::Affinity& allowed = config_.affinity;
    const bool settles =
        post.core >= 0 &&
        (allowed.empty() || std::find(allowed.begin(), allowed.end(), core) != allowed.end());
    return settles ? host::Affinity{core} : allowed;
}

void Session::start_worker(Pool& pool) {
    const std::string name = fmt::format("worker[{}]", workers_.size());
    workers_.push_back(std::make_unique<Worker>(
        Worker{pool,
               std::make_unique<host::Thread>(
                   dev_.cpu(), name, host::Group::daemon, affinity_at(pool.post)),
               pool.post.fd}));
    Worker& worker = *workers_.back();
    if (pool.post.library_loop && config_.clone_fd && pool.workers > 0) {
        worker.fd = dev_.clone_fd();
        worker.own_fd = true;
    }
    ++pool.available;
    ++pool.workers;
    ++alive_;
    if (pool.workers > pool.most_workers) {
        ++pool.most_workers;
        station_.set_servers(++most_workers_);
    }
    dev_.cpu().engine().spawn(name, loop(worker), sim::Role::server);
}

sim::Task<> Session::loop(Worker& worker) {
    host::Thread& thread = *worker.thread;
    Pool& pool = worker.pool;
    for (;;) {
        const Taken taken = co_await dev_.receive(thread, worker.fd);
        if (taken.kind == Taken::Kind::failed) {
            break;
        }
        if (!pool.may_grow) {
            co_await serve(worker, taken);
            continue;
        }
        const bool counts = taken.kind == Taken::Kind::request ||
                            taken.kind == Taken::Kind::interrupt || config_.forgets_count_as_work;
        thread.charge(dev_.cpu().costs().libfuse_mt, host::Work::user);
        co_await pool.mutex.lock(thread);
        pool.available -= counts ? 1 : 0;
        const bool room = pool.limit < 0 || pool.workers < static_cast<std::size_t>(pool.limit);
        if (pool.available == 0 && room && !killed_) {
            co_await thread.run(dev_.cpu().costs().thread_create);
            start_worker(pool);
        }
        pool.mutex.unlock();
        co_await serve(worker, taken);
        co_await pool.mutex.lock(thread);
        pool.available += counts ? 1 : 0;
        const bool leaves = pool.post.library_loop && config_.max_idle_threads >= 0 &&
                            pool.available > config_.max_idle_threads && pool.workers > 1;
        if (leaves) {
            --pool.available;
            --pool.workers;
        }
        pool.mutex.unlock();
        if (leaves) {
            break;
        }
    }
    if (worker.own_fd) {
        dev_.close(worker.fd);
    }
    co_await thread.run();
    thread.exit();
    if (--alive_ == 0 && killed_) {
        dev_.abort();
    }
}

void Session::stop() {
    for (const auto& worker : workers_) {
        worker->thread->stop();
    }
}

void Session::go_on() {
    for (const auto& worker : workers_) {
        worker->thread->go_on();
    }
}

void Session::kill() {
    killed_ = true;
    for (const auto& worker : workers_) {
        worker->thread->kill();
    }
    dev_.signal_workers();
}

sim::Task<> Session::serve(Worker& worker, const Taken& taken) {
    host::Thread& thread = *worker.thread;
    const host::Costs& costs = dev_.cpu().costs();
    const bool computes = !file_system_.includes_library();
    // The transport's own library has one figure for all; libfuse's depends on the request.
    const std::optional<Time> own = dev_.library_time(worker.fd);
    if (computes && (own || taken.kind != Taken::Kind::request)) {
        thread.charge(own.value_or(library_time_of_forget(costs)), host::Work::user);
    }
    if (taken.kind == Taken::Kind::forget || taken.kind == Taken::Kind::batch_forget) {
        file_system_.forget(thread, taken.forgets.size());
    }
    if (taken.kind != Taken::Kind::request) {
        co_return;
    }
    auto& call = static_cast<transport::Call&>(*taken.request);
    if (computes && !own) {
        thread.charge(std::max(Time(), library_time(costs, call) - costs.libfuse_loop),
                      host::Work::user);
    }
    const Time began = thread.cpu().engine().now();
    station_.arrive(began);
    station_.begin_service(began, began);
    co_await file_system_.handle(thread, call);
    thread.charge(call.upkeep);
    co_await dev_.reply(thread, worker.fd, call);
    if (computes && !own) {
        thread.charge(costs.libfuse_loop, host::Work::user);
    }
    station_.depart(thread.cpu().engine().now(), began, began);
}

Time Session::cpu_time(host::Work work) const {
    Time sum;
    for (const auto& worker : workers_) {
        sum += worker->thread->spent(work);
    }
    return sum;
}

}  // namespace fusesim::daemon
