#include "requests.h"

#include "report/result.h"

#include <catch2/catch.hpp>

using namespace fusesim;
using trace::unknown_time;

namespace {

trace::Record request(std::uint32_t opcode, std::int64_t queued) {
    trace::Record record;
    record.opcode = opcode;
    record.bytes_in = 80;
    record.bytes_out = 16;
    record.queued = queued;
    record.taken = queued + 1000;
    record.replied = queued + 3000;
    record.ended = queued + 4000;
    record.resumed = queued + 7000;
    return record;
}

const report::Request& only(const report::Named<report::Request>& requests) {
    REQUIRE(requests.size() == 1);
    return requests.front().second;
}

}  // namespace

TEST_CASE("recorded requests have counts, bytes and phases that add up", "[measure]") {
    measure::RequestCount count;
    count.add(request(15, 0));
    trace::Record background = request(15, 500);
    background.resumed = unknown_time;
    count.add(background);
    const auto requests = count.report();
    REQUIRE(requests.front().first == "READ");
    const report::Request& read = only(requests);
    CHECK(read.count == 2);
    CHECK(read.bytes_in == 160);
    CHECK(read.bytes_out == 32);
    REQUIRE(read.latency);
    CHECK(read.latency->mean == Approx(5.5e-6));
    REQUIRE(read.phases);
    CHECK_FALSE(read.phases->background);
    CHECK(*read.phases->queue == Approx(1e-6));
    CHECK(*read.phases->processing == Approx(2e-6));
    CHECK(*read.phases->reply == Approx(2.5e-6));
    CHECK(read.phases->sum() == Approx(read.latency->mean));
}

TEST_CASE("messages without a reply are counted and have no latency", "[measure]") {
    measure::RequestCount count;
    trace::Record forget = request(2, 0);
    forget.queued = forget.replied = forget.ended = forget.resumed = unknown_time;
    count.add(forget);
    const auto requests = count.report();
    CHECK(only(requests).count == 1);
    CHECK_FALSE(only(requests).latency);
    CHECK_FALSE(only(requests).phases);
}

TEST_CASE("requests whose daemon was not seen have a latency without phases", "[measure]") {
    measure::RequestCount count;
    trace::Record one = request(3, 0);
    one.taken = one.replied = unknown_time;
    count.add(one);
    const auto requests = count.report();
    REQUIRE(only(requests).latency);
    CHECK(only(requests).latency->mean == Approx(7e-6));
    CHECK_FALSE(only(requests).phases);
}
