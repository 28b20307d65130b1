// What should a simulated process be made of? The same small model - applications that send to
// one daemon over a queue, each hop costing time - written with SC_THREADs and with sim::Engine's
// coroutines. Prints host nanoseconds per simulated request.

#define SC_INCLUDE_DYNAMIC_PROCESSES
#include "sim/engine.h"
#include "sim/fresh_context.h"
#include "sim/wait_queue.h"

#include <systemc>

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <deque>
#include <memory>
#include <vector>

using namespace fusesim::sim;
using namespace fusesim::sim::literals;

namespace {

constexpr Time submit = 700_ns;
constexpr Time switch_in = 1100_ns;
constexpr Time serve = 900_ns;

struct Call {
    WaitQueue done;
    bool finished = false;

    explicit Call(Engine& engine) : done(engine, "done") {}
};

Task<> application(Engine& engine, WaitQueue& readers, std::deque<Call*>& pending, int requests) {
    Call call(engine);
    for (int i = 0; i < requests; ++i) {
        co_await engine.delay(submit);
        call.finished = false;
        pending.push_back(&call);
        readers.wake_one();
        while (!call.finished) {
            co_await call.done.sleep();
        }
        co_await engine.delay(switch_in);
    }
}

Task<> daemon(Engine& engine, WaitQueue& readers, std::deque<Call*>& pending) {
    for (;;) {
        while (pending.empty()) {
            co_await readers.sleep();
            co_await engine.delay(switch_in);
        }
        Call& call = *pending.front();
        pending.pop_front();
        co_await engine.delay(serve);
        call.finished = true;
        call.done.wake_one();
    }
}

void run_coroutines(int applications, int requests) {
    FreshContext context;
    Engine engine;
    WaitQueue readers(engine, "readers");
    std::deque<Call*> pending;
    engine.spawn("daemon", daemon(engine, readers, pending), Role::server);
    for (int i = 0; i < applications; ++i) {
        engine.spawn("app", application(engine, readers, pending, requests));
    }
    engine.run();
    engine.kill_all();
}

struct ThreadModel : sc_core::sc_module {
    struct ThreadCall {
        sc_core::sc_event done;
        bool finished = false;
    };

    ThreadModel(const sc_core::sc_module_name& name, int applications, int requests)
        : sc_module(name), requests_(requests) {
        sc_core::sc_spawn_options small;
        small.set_stack_size(16 * 1024);
        sc_core::sc_spawn([this] { serve_all(); }, "daemon", &small);
        for (int i = 0; i < applications; ++i) {
            sc_core::sc_spawn([this] { apply(); }, sc_core::sc_gen_unique_name("app"), &small);
        }
    }

    static void pass(Time t) {
        sc_core::wait(sc_core::sc_time::from_value(static_cast<sc_dt::uint64>(t.ps())));
    }

    void apply() {
        ThreadCall call;
        for (int i = 0; i < requests_; ++i) {
            pass(submit);
            call.finished = false;
            pending_.push_back(&call);
            readers_.notify(sc_core::SC_ZERO_TIME);
            while (!call.finished) {
                sc_core::wait(call.done);
            }
            pass(switch_in);
        }
    }

    void serve_all() {
        for (;;) {
            while (pending_.empty()) {
                sc_core::wait(readers_);
                pass(switch_in);
            }
            ThreadCall& call = *pending_.front();
            pending_.pop_front();
            pass(serve);
            call.finished = true;
            call.done.notify(sc_core::SC_ZERO_TIME);
        }
    }

    int requests_;
    sc_core::sc_event readers_;
    std::deque<ThreadCall*> pending_;
};

void run_threads(int applications, int requests) {
    FreshContext context;
    ThreadModel model("model", applications, requests);
    sc_core::sc_start();
}

template <class Run>
double ns_per_request(Run run, int applications, int requests) {
    const auto began = std::chrono::steady_clock::now();
    run(applications, requests);
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - began;
    return took.count() / applications / requests;
}

}  // namespace

int sc_main(int, char**) {
    fmt::print("{:>12} {:>22} {:>22} {:>7}\n",
               "processes",
               "SC_THREAD ns/request",
               "coroutine ns/request",
               "ratio");
    for (const int applications : {1, 32, 1000, 10000}) {
        const int requests = 2'000'000 / applications;
        const double threads = ns_per_request(run_threads, applications, requests);
        const double coroutines = ns_per_request(run_coroutines, applications, requests);
        fmt::print("{:>12} {:>22.0f} {:>22.0f} {:>7.1f}\n",
                   applications + 1,
                   threads,
                   coroutines,
                   threads / coroutines);
    }
    return 0;
}

int main(int argc, char** argv) {
    setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);
    return sc_core::sc_elab_and_sim(argc, argv);
}
