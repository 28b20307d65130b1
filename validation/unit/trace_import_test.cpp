#include "config/error.h"
#include "import_support.h"
#include "trace/import.h"
#include "trace_samples.h"

#include <catch2/catch.hpp>

using namespace fusesim::trace;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

// As a 6.18 kernel printed them, with one line of each kind that may stand between.
const std::string tracefs =
    "# tracer: nop\n"
    "#\n"
    "# entries-in-buffer/entries-written: 26/26   #P:2\n"
    "#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n"
    "             cat-18628   [000] ...1.  1425.472912: fuse_request_send: connection 39 req 4 "
    "opcode 1 (FUSE_LOOKUP) len 42 \n"
    "  passthrough_ll-18619   [001] .....  1425.474120: fuse_request_end: connection 39 req 4 len "
    "144 error 0\n"
    "   my - app [x]-18628   [000] ...2.  1425.474440: fuse_request_send: connection 39 req 14 "
    "opcode 15 (FUSE_READ) len 80 \n"
    "             cat-18627   (  18620) [001] ...2.  1425.474579: fuse_request_send: connection 39 "
    "req 16 opcode 16 (FUSE_WRITE) len 85 \n"
    "CPU:1 [LOST 7 EVENTS]\n"
    "  passthrough_ll-18619   [000] .....  1425.474746: fuse_request_end: connection 39 req 16 len "
    "16 error -28\n"
    "  passthrough_ll-18620   [000] .....  1425.475248: fuse_request_end: connection 39 req 14 len "
    "131088 error 0\n";

std::string send(int microseconds,
                 int unique,
                 const std::string& rest = "opcode 15 (FUSE_READ) len 80 ",
                 int connection = 39) {
    return "  cat-1 [000] ...1. 10." + std::to_string(100'000 + microseconds) +
           ": fuse_request_send: connection " + std::to_string(connection) + " req " +
           std::to_string(unique) + " " + rest + "\n";
}

std::string end(int microseconds, int unique, int connection = 39) {
    return "  daemon-2 [001] ...1. 10." + std::to_string(100'000 + microseconds) +
           ": fuse_request_end: connection " + std::to_string(connection) + " req " +
           std::to_string(unique) + " len 20 error 0\n";
}

}  // namespace

TEST_CASE("tracefs text becomes records with times from the first request", "[unit]") {
    const Imported result = import_text(tracefs);
    REQUIRE(result.error.empty());
    REQUIRE(result.records.size() == 3);
    const Record& lookup = result.records[0];
    CHECK(lookup.opcode == 1);
    CHECK(lookup.unique == 4);
    CHECK(lookup.queued == 0);
    CHECK(lookup.ended == 1'208'000);
    CHECK(lookup.taken == unknown_time);
    CHECK(lookup.bytes_in == 42);
    CHECK(lookup.bytes_out == 144);
    CHECK(lookup.caller == 18628);
    CHECK(lookup.worker == 18619);
    CHECK(lookup.caller_cpu == 0);
    CHECK(lookup.worker_cpu == 1);
    const Record& read = result.records[1];
    CHECK(read.unique == 14);
    CHECK(read.caller == 18628);
    CHECK(read.queued == 1'528'000);
    CHECK(read.ended == 2'336'000);
    CHECK(read.size == 131072);
    const Record& write = result.records[2];
    CHECK(write.size == 5);
    CHECK(write.error == -28);
    CHECK(write.caller == 18627);
    CHECK(result.header.cpus == 2);
    CHECK(result.header.lost == 7);
    CHECK(result.report.lost == 7);
    CHECK(result.report.lines == 11);
    CHECK(result.report.unknown == 0);
    CHECK(result.report.orphans == 0);
    CHECK(result.report.unanswered == 0);
}

TEST_CASE("perf script text is read alike, to the nanosecond where it has them", "[unit]") {
    const Imported result = import_text(
        "             cat 18912 [001]  1451.619304: fuse:fuse_request_send: connection 39 req 8 "
        "opcode 15 (FUSE_READ) len 80 \n"
        "my app 18900/18913 [000]  1451.619404123: fuse:fuse_request_end: connection 39 req 8 len "
        "22 error 0\n");
    REQUIRE(result.error.empty());
    REQUIRE(result.records.size() == 1);
    CHECK(result.records[0].caller == 18912);
    CHECK(result.records[0].worker == 18913);
    CHECK(result.records[0].ended == 100'123);
    CHECK(result.records[0].size == 6);
}

TEST_CASE("requests come out in the order they were queued", "[unit]") {
    const Imported result =
        import_text(send(0, 2) + send(1, 4) + end(5, 4) + send(6, 6) + end(7, 6) + end(9, 2));
    REQUIRE(result.records.size() == 3);
    CHECK(result.records[0].unique == 2);
    CHECK(result.records[1].unique == 4);
    CHECK(result.records[2].unique == 6);
    CHECK(result.records[0].ended == 9000);
}

TEST_CASE("what is left over is counted, and more than one in a hundred is an error", "[unit]") {
    std::string many;
    for (int i = 0; i < 200; ++i) {
        many += send(10 * i, 2 * i + 100) + end(10 * i + 5, 2 * i + 100);
    }
    SECTION("replies without a request") {
        const Imported few = import_text(end(0, 2) + many);
        CHECK(few.error.empty());
        CHECK(few.report.orphans == 1);
        const Imported too_many = import_text(send(0, 2) + end(1, 2) + end(2, 4));
        CHECK_THAT(too_many.error, StartsWith("3:1: error: a reply without a request"));
        CHECK(import_text(send(0, 2) + end(1, 2) + end(2, 4), {true, {}}).report.orphans == 1);
    }
    SECTION("requests without a reply") {
        const Imported few = import_text(many + send(5000, 2));
        CHECK(few.error.empty());
        CHECK(few.report.unanswered == 1);
        CHECK(few.records.back().ended == unknown_time);
        const Imported too_many = import_text(send(0, 2) + end(1, 2) + send(2, 4));
        CHECK_THAT(too_many.error, Contains("1 of 2 requests have no reply"));
    }
    SECTION("lines that are not understood") {
        const std::string sched = "  x-1 [000] d..2. 10.1: sched_switch: prev_comm=x\n";
        const Imported few = import_text(many + sched + "???\n");
        CHECK(few.error.empty());
        CHECK(few.report.unknown == 2);
        CHECK(few.report.kinds.at("event sched_switch") == 1);
        CHECK(few.report.kinds.at("not an event") == 1);
        const Imported too_many = import_text(send(0, 2) + end(1, 2) + sched);
        CHECK_THAT(
            too_many.error,
            StartsWith("3:1: error: 1 of 3 lines are not understood: 1 x event sched_switch"));
        CHECK(import_text(send(0, 2) + end(1, 2) + sched, {true, {}}).records.size() == 1);
    }
}

TEST_CASE("contradictions in tracepoint text are errors with their line", "[unit]") {
    CHECK_THAT(import_text(send(5, 2) + end(6, 2) + send(4, 4)).error,
               StartsWith("3:1: error: time goes backwards"));
    CHECK_THAT(import_text(send(5, 2) + send(6, 2)).error,
               StartsWith("2:1: error: unique 2 is still in flight"));
    CHECK_THAT(import_text(send(5, 2) + end(4, 2)).error,
               StartsWith("2:1: error: the reply to unique 2 comes before its request"));
    CHECK_THAT(import_text("# tracer: nop\n").error, Contains("no FUSE request"));
    CHECK_THAT(import_text(send(0, 2) + send(1, 2, "opcode 1 (FUSE_LOOKUP) len 42 ", 40)).error,
               Contains("--connection 39"));
}

TEST_CASE("one connection can be taken out of several", "[unit]") {
    ImportOptions options;
    options.connection = 40;
    const Imported result = import_text(
        send(0, 2) + end(1, 2) + send(2, 2, "opcode 1 (X) len 42", 40) + end(3, 2, 40), options);
    REQUIRE(result.records.size() == 1);
    CHECK(result.records[0].opcode == 1);
    CHECK(result.records[0].queued == 0);
    CHECK(result.report.other_connections == 2);
}

TEST_CASE("requests logged before they have a unique are paired in order, marked uncertain",
          "[unit]") {
    const Imported result = import_text(send(0, 0, "opcode 1 (FUSE_LOOKUP) len 42 ") + send(1, 0) +
                                        end(5, 12) + end(7, 10) + send(9, 0) + end(11, 14));
    REQUIRE(result.error.empty());
    REQUIRE(result.records.size() == 3);
    CHECK(result.records[0].unique == 10);
    CHECK(result.records[0].opcode == 1);
    CHECK(result.records[0].ended == 7000);
    CHECK(result.records[1].unique == 12);
    CHECK(result.records[2].unique == 14);
    CHECK(result.header.facts.back().first == "pairing");
}

TEST_CASE("fuse_request_sent tells when the daemon took the request", "[unit]") {
    const Imported result = import_text(
        send(0, 2) +
        "  daemon-2 [001] ...1. 10.100003: fuse_request_sent: connection 39 req 2 opcode 15 "
        "(FUSE_READ) \n" +
        end(9, 2));
    REQUIRE(result.error.empty());
    REQUIRE(result.records.size() == 1);
    CHECK(result.records[0].taken == 3000);
}
