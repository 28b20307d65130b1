#pragma once

#include "daemon/session.h"
#include "support/paper_host.h"
#include "support/simulation.h"
#include "transport/message.h"

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace fusesim::validation {

/// Takes 100 us on a core for every request and notes who served it.
class HundredMicroseconds : public daemon::FileSystem {
  public:
    sim::Task<> handle(host::Thread& worker, transport::Call&) override {
        served_by.push_back(worker.name());
        worker.charge(100_us, host::Work::user);
        co_return;
    }

    bool includes_library() const override { return true; }

    std::vector<std::string> served_by;
};

/// Sleeps as long as a test says, for every request, and notes who served it.
class Asleep : public daemon::FileSystem {
  public:
    explicit Asleep(sim::Time time) : service(time) {}

    sim::Task<> handle(host::Thread& worker, transport::Call&) override {
        served_by.push_back(worker.name());
        if (service > sim::Time()) {
            co_await worker.sleep_for(service);
        }
    }

    bool includes_library() const override { return true; }

    sim::Time service;
    std::vector<std::string> served_by;
};

/// A transport of its own with as many threads and calls as a test likes.
template <class Transport>
struct PaperMount {
    /// `arguments`: of the transport, after the processors.
    template <class... Arguments>
    explicit PaperMount(const host::HostProfile& host, Arguments&&... arguments)
        : cpu(sim.engine, host, 1), dev(cpu, std::forward<Arguments>(arguments)...) {}

    ~PaperMount() { sim.engine.kill_all(); }

    PaperMount(const PaperMount&) = delete;
    PaperMount& operator=(const PaperMount&) = delete;

    host::Thread& thread(const std::string& name, unsigned core) {
        threads.push_back(std::make_unique<host::Thread>(
            cpu, name, host::Group::application, host::Affinity{core}));
        return *threads.back();
    }

    transport::Call& call(fuse::Opcode opcode) {
        calls.push_back(std::make_unique<transport::Call>(sim.engine));
        calls.back()->prepare(opcode);
        calls.back()->bytes_in = 64;
        return *calls.back();
    }

    void run() {
        sim.engine.run();
        dev.check(sim.engine.now());
    }

    Simulation sim;
    host::Cpu cpu;
    std::deque<std::unique_ptr<host::Thread>> threads;
    std::deque<std::unique_ptr<transport::Call>> calls;
    Transport dev;  // goes first: its queues must let go of the calls
};

/// Sends a request from its own thread and waits for the answer.
inline sim::Task<> send(transport::Transport& dev,
                        host::Thread& thread,
                        transport::Call& call,
                        sim::Time start = sim::Time()) {
    if (start > sim::Time()) {
        co_await thread.sleep_for(start);
    }
    co_await thread.run();
    co_await dev.call(thread, call);
    thread.exit();
}

/// A daemon with one thread on one core.
inline daemon::SessionConfig single(unsigned core) {
    daemon::SessionConfig config;
    config.multi_threaded = false;
    config.affinity = {core};
    return config;
}

/// The time of a request's stamp.
inline sim::Time at(std::int64_t stamp) {
    return sim::Time::from_ps(stamp);
}

}  // namespace fusesim::validation
