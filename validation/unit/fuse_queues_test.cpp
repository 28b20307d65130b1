#include "fuse/background_queue.h"
#include "fuse/input_queue.h"
#include "fuse/processing_queue.h"
#include "fuse/ring.h"

#include <catch2/catch.hpp>

#include <deque>
#include <random>

using namespace fusesim::fuse;

namespace {

const KernelBehaviour& modern = kernel_behaviour("6.1");
const KernelBehaviour& old = kernel_behaviour("4.18");

}  // namespace

TEST_CASE("a ring is a FIFO, whatever it grows to and loses in between", "[unit]") {
    std::mt19937 random(1);
    Ring<int> ring;
    std::deque<int> model;
    for (int i = 0; i < 20000; ++i) {
        const unsigned choice = random() % 16;
        if (choice < 8 || model.empty()) {
            ring.push_back(i);
            model.push_back(i);
        } else if (choice < 15) {
            REQUIRE(ring.front() == model.front());
            ring.pop_front();
            model.pop_front();
        } else {
            const auto victim =
                model.begin() + static_cast<std::ptrdiff_t>(random() % model.size());
            REQUIRE(ring.erase(*victim));
            model.erase(victim);
        }
        REQUIRE(ring.size() == model.size());
    }
    CHECK_FALSE(ring.erase(-1));
    for (std::size_t i = 0; i < model.size(); ++i) {
        REQUIRE(ring[i] == model[i]);
    }
    ring.clear();
    CHECK(ring.empty());
}

TEST_CASE("ids grow by two, by one on old kernels", "[unit]") {
    InputQueue now(modern);
    CHECK(now.next_unique() == 2);
    CHECK(now.next_unique() == 4);
    InputQueue then(old);
    CHECK(then.next_unique() == 1);
    CHECK(then.next_unique() == 2);
}

TEST_CASE("the input queue serves interrupts, then forgets or requests", "[unit]") {
    Request request;
    Request victim;
    InputQueue queue(modern);
    CHECK(queue.empty());
    CHECK(queue.next_turn() == Turn::nothing);
    queue.push(request);
    CHECK(queue.next_turn() == Turn::request);
    CHECK(queue.forget_batch() == 0);  // not counted while no forget waits
    queue.push_forget({5, 1});
    CHECK(queue.push_interrupt(victim));
    CHECK_FALSE(queue.push_interrupt(victim));
    CHECK(queue.next_turn() == Turn::interrupt);
    CHECK(&queue.take_interrupt() == &victim);
    CHECK(queue.push_interrupt(victim));
    queue.remove_interrupt(victim);
    CHECK(queue.interrupts() == 0);
    CHECK(queue.next_turn() == Turn::request);
    CHECK(&queue.take_request() == &request);
    CHECK(queue.next_turn() == Turn::forget);
    const auto taken = queue.take_forgets(10);
    REQUIRE(taken.size() == 1);
    CHECK(taken[0].nodeid == 5);
    CHECK(queue.empty());
}

TEST_CASE("a request leaves the middle of the pending list", "[unit]") {
    Request a;
    Request b;
    Request c;
    InputQueue queue(modern);
    queue.push(a);
    queue.push(b);
    queue.push(c);
    queue.remove(b);
    CHECK(b.station == Station::none);
    CHECK_FALSE(b.has(Flag::pending));
    CHECK(&queue.take_request() == &a);
    CHECK(&queue.take_request() == &c);
    CHECK(queue.front() == nullptr);
}

TEST_CASE("processing finds each request by its id and counts its steps", "[unit]") {
    std::deque<Request> requests(600);
    ProcessingQueue hashed(modern);
    ProcessingQueue listed(old);
    ProcessingQueue& queue = GENERATE(0, 1) == 0 ? hashed : listed;
    const unsigned step = &queue == &hashed ? 2 : 1;
    std::uint64_t unique = 0;
    for (Request& request : requests) {
        request.unique = unique += step;
        queue.begin_copy(request);
        queue.begin_processing(request);
    }
    CHECK(queue.processing() == 600);
    CHECK(queue.io() == 0);
    unsigned steps = 0;
    unsigned most = 0;
    for (Request& request : requests) {
        REQUIRE(queue.find(request.unique, steps) == &request);
        most = std::max(most, steps);
    }
    CHECK(most == (&queue == &hashed ? 3 : 600));
    CHECK(queue.find(unique + step, steps) == nullptr);
    for (Request& request : requests) {
        queue.begin_reply(request);
        CHECK(queue.io() == 1);
        queue.remove_io(request);
    }
    CHECK(queue.processing() == 0);
    CHECK(queue.pop_processing() == nullptr);
}

TEST_CASE("the background queue starts requests up to its limit", "[unit]") {
    std::deque<Request> requests(5);
    BackgroundQueue queue(modern, {3, 2});
    for (Request& request : requests) {
        queue.push(request);
    }
    CHECK(queue.start_next() == &requests[0]);
    CHECK(queue.start_next() == &requests[1]);
    CHECK(queue.start_next() == &requests[2]);
    CHECK(queue.start_next() == nullptr);
    CHECK(queue.num_background() == 5);
    CHECK(queue.active_background() == 3);
    CHECK(queue.waiting() == 2);
    CHECK_FALSE(queue.end());  // five were too many by two
    CHECK(queue.start_next() == &requests[3]);
    CHECK(queue.start_next() == nullptr);
}

TEST_CASE("blocked is set and cleared at equality", "[unit]") {
    std::deque<Request> requests(4);
    BackgroundQueue queue(modern, {2, 2});
    queue.push(requests[0]);
    CHECK_FALSE(queue.blocked());
    queue.push(requests[1]);
    CHECK(queue.blocked());
    queue.push(requests[2]);  // forced
    CHECK(queue.blocked());
    while (queue.start_next() != nullptr) {
    }
    CHECK_FALSE(queue.end());  // 3 -> 2: still blocked
    CHECK(queue.blocked());
    while (queue.start_next() != nullptr) {
    }
    CHECK(queue.end());  // 2 -> 1: open, wake one
    CHECK_FALSE(queue.blocked());
}

TEST_CASE("congestion is a flag at the threshold on old kernels, a test on new ones", "[unit]") {
    std::deque<Request> requests(3);
    BackgroundQueue flagged(kernel_behaviour("5.15"), {12, 2});
    flagged.push(requests[0]);
    CHECK_FALSE(flagged.congested());
    flagged.push(requests[1]);
    CHECK(flagged.congested());
    flagged.set_congestion_threshold(100);
    CHECK(flagged.congested());  // nobody has looked yet
    flagged.set_congestion_threshold(2);
    while (flagged.start_next() != nullptr) {
    }
    flagged.end();
    CHECK_FALSE(flagged.congested());

    BackgroundQueue tested(modern, {12, 1});
    CHECK_FALSE(tested.congested());
    tested.push(requests[0]);
    CHECK(tested.congested());
    tested.set_congestion_threshold(100);
    CHECK_FALSE(tested.congested());
}

TEST_CASE("a changed limit opens or shuts the gate at once but starts nothing", "[unit]") {
    std::deque<Request> requests(3);
    BackgroundQueue queue(modern, {2, 2});
    for (Request& request : requests) {
        queue.push(request);
    }
    while (queue.start_next() != nullptr) {
    }
    CHECK(queue.set_max_background(10));
    CHECK_FALSE(queue.blocked());
    CHECK(queue.waiting() == 1);
    CHECK_FALSE(queue.set_max_background(3));
    CHECK(queue.blocked());
    CHECK(queue.start_next() == &requests[2]);
    queue.negotiate({0, 7});
    CHECK(queue.limits().max_background == 3);
    CHECK(queue.limits().congestion_threshold == 7);
}
