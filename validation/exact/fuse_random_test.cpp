#include "support/fuse_support.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <vector>

using namespace fusesim::fuse;
using namespace fusesim::fuse::test;

namespace {

/// The rules again in the plainest words: standard containers, numbers for requests, no flags.
struct Model {
    std::deque<int> pending;
    std::deque<int> interrupts;
    std::deque<std::uint64_t> forgets;
    std::deque<int> background;
    std::map<int, unsigned> processing;  // request -> descriptor
    std::set<int> background_alive;
    std::set<int> waiting_callers;
    std::vector<int> ended;
    int counter = 0;
    std::size_t limit = 12;
    std::size_t active = 0;
    bool blocked = false;

    void flush() {
        while (active < limit && !background.empty()) {
            pending.push_back(background.front());
            background.pop_front();
            ++active;
        }
    }

    void submit_background(int id) {
        background_alive.insert(id);
        blocked = blocked || background_alive.size() == limit;
        background.push_back(id);
        flush();
    }

    void end(int id) {
        ended.push_back(id);
        processing.erase(id);
        interrupts.erase(std::remove(interrupts.begin(), interrupts.end(), id), interrupts.end());
        if (background_alive.count(id) != 0) {
            blocked = blocked && background_alive.size() != limit;
            background_alive.erase(id);
            --active;
            flush();
        }
    }

    char next() {
        if (!interrupts.empty()) {
            return 'i';
        }
        if (forgets.empty()) {
            return pending.empty() ? '-' : 'r';
        }
        if (pending.empty()) {
            return 'f';
        }
        if (counter > 0) {
            --counter;
            return 'f';
        }
        --counter;
        counter = counter == -8 ? 16 : counter;
        return 'r';
    }
};

class Race {
  public:
    Race(std::string_view version, unsigned seed, unsigned protocol_minor)
        : random_(seed), batches_(protocol_minor >= 16), bench_(version, config(protocol_minor)) {
        if (bench_.connection.kernel().clone_fd) {
            bench_.connection.clone_fd();
        }
    }

    void run(int steps) {
        for (int i = 0; i < steps; ++i) {
            step();
            compare();
        }
        finish();
    }

  private:
    static ConnectionConfig config(unsigned protocol_minor) {
        ConnectionConfig made;
        made.protocol_minor = protocol_minor;
        return made;
    }

    unsigned below(std::size_t limit) {
        return static_cast<unsigned>(random_() % static_cast<unsigned>(limit));
    }

    Connection& connection() { return bench_.connection; }

    int add(Request& request) {
        requests_.push_back(&request);
        ids_[&request] = static_cast<int>(requests_.size()) - 1;
        return ids_[&request];
    }

    Request& request(int id) { return *requests_[static_cast<std::size_t>(id)]; }

    void step() {
        switch (below(14)) {
            case 0:
            case 1:
            case 2: {
                const int id = add(bench_.queue());
                model_.pending.push_back(id);
                model_.waiting_callers.insert(id);
                break;
            }
            case 3:
                submit_background();
                break;
            case 4: {
                const int id = add(bench_.queue_forced());
                model_.submit_background(id);
                break;
            }
            case 5:
                connection().queue_forget({++last_node_, 1});
                model_.forgets.push_back(last_node_);
                break;
            case 6:
            case 7:
            case 8:
                read();
                break;
            case 9:
            case 10:
                reply();
                break;
            case 11:
                interrupt();
                break;
            case 12:
                kill();
                break;
            default:
                if (below(10) == 0) {
                    model_.limit = 1 + below(16);
                    model_.blocked = model_.background_alive.size() >= model_.limit;
                    connection().set_max_background(static_cast<std::uint32_t>(model_.limit));
                }
                break;
        }
    }

    void submit_background() {
        Request& made = bench_.make(Opcode::read);
        made.flags.set(Flag::background);
        const bool passes = connection().arrive(made);
        REQUIRE(passes == !model_.blocked);
        if (passes) {
            connection().queue_background(made);
            model_.submit_background(add(made));
        } else {
            connection().give_up(made);
        }
    }

    void read() {
        const Connection::Fd fd = below(connection().fd_count());
        const std::size_t pending_forgets = model_.forgets.size();
        const Taken taken = bench_.read(fd);
        switch (model_.next()) {
            case '-':
                REQUIRE(taken.kind == Taken::Kind::nothing);
                break;
            case 'i':
                REQUIRE(taken.kind == Taken::Kind::interrupt);
                REQUIRE(taken.request == &request(model_.interrupts.front()));
                last_interrupt_ = taken.unique;
                last_victim_ = model_.interrupts.front();
                model_.interrupts.pop_front();
                break;
            case 'f': {
                const std::size_t count = batches_ ? pending_forgets : 1;
                REQUIRE(taken.forgets.size() == count);
                for (const Forget& forget : taken.forgets) {
                    REQUIRE(forget.nodeid == model_.forgets.front());
                    model_.forgets.pop_front();
                }
                break;
            }
            default: {
                REQUIRE(taken.kind == Taken::Kind::request);
                const int id = model_.pending.front();
                REQUIRE(taken.request == &request(id));
                REQUIRE(uniques_.insert(taken.unique).second);
                model_.pending.pop_front();
                model_.processing[id] = fd;
                if (interrupted_.count(id) != 0) {
                    model_.interrupts.push_back(id);
                }
                break;
            }
        }
    }

    void reply() {
        if (below(4) == 0 && model_.processing.count(last_victim_) != 0 &&
            std::find(model_.interrupts.begin(), model_.interrupts.end(), last_victim_) ==
                model_.interrupts.end()) {
            const std::int32_t result = connection().reply(
                model_.processing[last_victim_], last_interrupt_, -EAGAIN, out_header_bytes);
            REQUIRE(result == 0);
            model_.interrupts.push_back(last_victim_);
            return;
        }
        if (model_.processing.empty()) {
            return;
        }
        auto chosen = model_.processing.begin();
        std::advance(chosen, below(model_.processing.size()));
        const auto [id, owner] = *chosen;
        const Connection::Fd fd = below(connection().fd_count());
        const std::int32_t result =
            connection().reply(fd, request(id).unique, 0, reply_bytes(request(id).opcode, 38));
        REQUIRE(result == (fd == owner ? 0 : -ENOENT));
        if (fd == owner) {
            model_.end(id);
            if (below(2) == 0) {
                resume(id);
            }
        }
    }

    void resume(int id) {
        if (model_.waiting_callers.erase(id) != 0) {
            connection().put(request(id));
        }
    }

    void interrupt() {
        if (model_.waiting_callers.empty()) {
            return;
        }
        auto chosen = model_.waiting_callers.begin();
        std::advance(chosen, below(model_.waiting_callers.size()));
        const int id = *chosen;
        const bool is_ended =
            std::find(model_.ended.begin(), model_.ended.end(), id) != model_.ended.end();
        const bool is_queued = std::find(model_.interrupts.begin(), model_.interrupts.end(), id) !=
                               model_.interrupts.end();
        const bool queues = model_.processing.count(id) != 0 && !is_queued;
        REQUIRE(connection().interrupt(request(id)) == queues);
        if (!is_ended) {
            interrupted_.insert(id);
        }
        if (queues) {
            model_.interrupts.push_back(id);
        }
    }

    void kill() {
        for (const int id : model_.pending) {
            if (model_.waiting_callers.count(id) != 0 && below(3) == 0) {
                REQUIRE(connection().kill(request(id)));
                model_.pending.erase(std::find(model_.pending.begin(), model_.pending.end(), id));
                model_.waiting_callers.erase(id);
                return;
            }
        }
    }

    void compare() {
        REQUIRE(connection().check() == "");
        REQUIRE(connection().input().pending() == model_.pending.size());
        REQUIRE(connection().input().interrupts() == model_.interrupts.size());
        REQUIRE(connection().input().forgets() == model_.forgets.size());
        REQUIRE(connection().input().forget_batch() == model_.counter);
        const BackgroundQueue& background = connection().background();
        REQUIRE(background.waiting() == model_.background.size());
        REQUIRE(background.num_background() == model_.background_alive.size());
        REQUIRE(background.active_background() == model_.active);
        REQUIRE(background.blocked() == model_.blocked);
        std::size_t processing = 0;
        for (Connection::Fd fd = 0; fd < connection().fd_count(); ++fd) {
            processing += connection().processing(fd).processing();
        }
        REQUIRE(processing == model_.processing.size());
        REQUIRE(connection().num_waiting() ==
                model_.waiting_callers.size() + model_.background_alive.size());
        REQUIRE(bench_.log.ended.size() == model_.ended.size());
        if (!model_.ended.empty()) {
            REQUIRE(bench_.log.ended.back() == &request(model_.ended.back()));
        }
    }

    void finish() {
        connection().abort();
        while (!model_.waiting_callers.empty()) {
            resume(*model_.waiting_callers.begin());
        }
        std::set<const Request*> once(bench_.log.ended.begin(), bench_.log.ended.end());
        CHECK(once.size() == bench_.log.ended.size());
        CHECK(connection().num_waiting() == 0);
        CHECK(connection().input().empty());
        CHECK(connection().background().num_background() == 0);
        CHECK(connection().check() == "");
        for (const Request* made : requests_) {
            REQUIRE(made->station == Station::none);
        }
    }

    std::mt19937 random_;
    bool batches_;
    Bench bench_;
    Model model_;
    std::vector<Request*> requests_;
    std::map<const Request*, int> ids_;
    std::set<std::uint64_t> uniques_;
    std::set<int> interrupted_;
    std::uint64_t last_node_ = 0;
    std::uint64_t last_interrupt_ = 0;
    int last_victim_ = -1;
};

}  // namespace

TEST_CASE("random histories agree with the plain model at every step", "[exact]") {
    const char* const version = GENERATE("4.1", "4.18", "5.15", "6.18");
    const unsigned minor = GENERATE(15U, 45U);
    for (unsigned seed = 1; seed <= 6; ++seed) {
        CAPTURE(version, minor, seed);
        Race(version, seed, minor).run(1500);
    }
}
