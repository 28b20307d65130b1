#include "assembler.h"

#include <catch2/catch.hpp>
#include <linux/fuse.h>

#include <cstring>
#include <vector>

using namespace fusesim;
using record::Assembler;

namespace {

constexpr std::int64_t second = 1'000'000'000;

struct Collected {
    std::vector<trace::Record> records;
    Assembler assembler{[this](const trace::Record& record) { records.push_back(record); }};
};

event base(std::uint32_t kind, std::uint64_t unique, std::uint64_t time, std::uint32_t tid) {
    event e{};
    e.kind = kind;
    e.unique = unique;
    e.request = 0xffff000000000000 + unique;
    e.time = time;
    e.tid = tid;
    return e;
}

send_event send(std::uint64_t unique, std::uint64_t time, std::uint32_t caller) {
    send_event event{};
    event.e = base(EVENT_SEND, unique, time, caller);
    event.opcode = FUSE_GETATTR;
    event.expects_reply = 1;
    event.pid = caller;
    event.think_cpu = UNKNOWN_DEMAND;
    event.think_blocked = UNKNOWN_DEMAND;
    return event;
}

/// An event with the message that follows it in the ring buffer.
template <typename Event>
struct WithMessage {
    Event event{};
    fuse_in_header message{};

    void take(std::uint32_t opcode, std::uint64_t unique, std::uint64_t time) {
        message.len = sizeof message;
        message.opcode = opcode;
        message.unique = unique;
        event.taken = {time, sizeof message, sizeof message, 900, 1};
    }
};

WithMessage<end_event> end(std::uint64_t unique,
                           std::uint64_t taken,
                           std::uint64_t replied,
                           std::uint64_t ended) {
    WithMessage<end_event> both;
    both.event.e = base(EVENT_END, unique, ended, 900);
    both.event.replied = replied;
    both.event.service_cpu = 7;
    both.event.service_blocked = 3;
    both.event.len = 16;
    if (taken != 0) {
        both.take(FUSE_GETATTR, unique, taken);
    }
    return both;
}

WithMessage<taken_event> took(std::uint32_t opcode, std::uint64_t unique, std::uint64_t time) {
    WithMessage<taken_event> both;
    both.event.e = base(EVENT_TAKEN, unique, time, 900);
    both.take(opcode, unique, time);
    return both;
}

resumed_event resumed(std::uint64_t unique, std::uint64_t time, std::uint32_t caller) {
    return {base(EVENT_RESUMED, unique, time, caller)};
}

}  // namespace

TEST_CASE("a request's events become one record with times since the first") {
    Collected c;
    c.assembler.send(send(2, 1'000, 50));
    c.assembler.end(end(2, 1'010, 1'020, 1'030).event);
    c.assembler.resumed(resumed(2, 1'040, 50));
    CHECK(c.records.empty());  // an older one might still come
    c.assembler.flush(second);
    REQUIRE(c.records.size() == 1);
    const trace::Record& record = c.records.front();
    CHECK(record.opcode == FUSE_GETATTR);
    CHECK(record.caller == 50);
    CHECK(record.worker == 900);
    CHECK(record.worker_cpu == 1);
    CHECK(record.queued == 0);
    CHECK(record.taken == 10);
    CHECK(record.replied == 20);
    CHECK(record.ended == 30);
    CHECK(record.resumed == 40);
    CHECK(record.service_cpu == 7);
    CHECK(record.service_blocked == 3);
    CHECK(record.think_cpu == trace::unknown_time);
    CHECK(c.assembler.in_flight() == 0);
}

TEST_CASE("records come in the order of queueing, not of replies") {
    Collected c;
    c.assembler.send(send(4, 1'100, 51));
    c.assembler.send(send(2, 1'000, 50));
    c.assembler.end(end(4, 1'110, 1'120, 1'130).event);
    c.assembler.resumed(resumed(4, 1'140, 51));
    c.assembler.flush(second);
    CHECK(c.records.empty());
    c.assembler.end(end(2, 1'105, 5'000, 5'001).event);
    c.assembler.resumed(resumed(2, 5'010, 50));
    c.assembler.flush(second);
    REQUIRE(c.records.size() == 2);
    CHECK(c.records[0].unique == 2);
    CHECK(c.records[1].unique == 4);
}

TEST_CASE("a caller that sends again without having slept resumed at the end") {
    Collected c;
    c.assembler.send(send(2, 1'000, 50));
    c.assembler.end(end(2, 1'010, 1'020, 1'030).event);
    c.assembler.send(send(4, 1'100, 50));
    c.assembler.flush(1'100 + Assembler::slack);
    REQUIRE(c.records.size() == 1);
    CHECK(c.records[0].resumed == 30);
}

TEST_CASE("the next request tells when its caller resumed from the previous one") {
    Collected c;
    c.assembler.send(send(2, 1'000, 50));
    c.assembler.end(end(2, 1'010, 1'020, 1'030).event);
    send_event next = send(4, 1'100, 50);
    next.resumed_time = 1'055;
    next.resumed_unique = 2;
    next.think_cpu = 45;
    next.think_blocked = 0;
    c.assembler.send(next);
    c.assembler.end(end(4, 1'110, 1'120, 1'130).event);
    c.assembler.finish();
    REQUIRE(c.records.size() == 2);
    CHECK(c.records[0].resumed == 55);
    CHECK(c.records[1].think_cpu == 45);
    CHECK(c.records[1].think_blocked == 0);
}

TEST_CASE("a request without a unique at its sending is joined by the kernel's address") {
    Collected c;
    send_event early = send(2, 1'000, 50);
    early.e.unique = 0;
    c.assembler.send(early);
    c.assembler.taken(took(FUSE_GETATTR, 2, 1'010).event);
    c.assembler.end(end(2, 0, 1'020, 1'030).event);
    c.assembler.resumed(resumed(2, 1'040, 50));
    c.assembler.flush(second);
    REQUIRE(c.records.size() == 1);
    CHECK(c.records[0].unique == 2);
    CHECK(c.records[0].taken == 10);
    CHECK(c.records[0].resumed == 40);
    CHECK(c.assembler.counts().without_send == 0);
}

TEST_CASE("what one thread takes and another answers is one record") {
    Collected c;
    c.assembler.send(send(2, 1'000, 50));
    c.assembler.end(end(2, 0, 1'020, 1'030).event);
    c.assembler.resumed(resumed(2, 1'040, 50));
    c.assembler.flush(1'000 + 2 * Assembler::slack);
    CHECK(c.records.empty());  // nobody has told yet when it was taken
    c.assembler.taken(took(FUSE_GETATTR, 2, 1'010).event);
    c.assembler.flush(1'000 + 2 * Assembler::slack);
    REQUIRE(c.records.size() == 1);
    CHECK(c.records[0].taken == 10);
}

TEST_CASE("FORGET has the time it was taken and nothing else") {
    Collected c;
    c.assembler.taken(took(FUSE_FORGET, 6, 1'000).event);
    c.assembler.flush(second);
    REQUIRE(c.records.size() == 1);
    CHECK(c.records[0].opcode == FUSE_FORGET);
    CHECK(c.records[0].taken == 0);
    CHECK(c.records[0].queued == trace::unknown_time);
    CHECK(c.records[0].background);
    CHECK(c.assembler.in_flight() == 0);
}

TEST_CASE("requests from before the recording are counted and left out") {
    Collected c;
    c.assembler.end(end(2, 900, 1'000, 1'030).event);
    c.assembler.taken(took(FUSE_GETATTR, 4, 1'000).event);
    c.assembler.finish();
    CHECK(c.records.empty());
    CHECK(c.assembler.counts().without_send == 2);
}

TEST_CASE("a request without reply is written at the end, without its end") {
    Collected c;
    c.assembler.send(send(2, 1'000, 50));
    c.assembler.flush(100 * second);
    CHECK(c.records.empty());
    CHECK(c.assembler.in_flight() == 1);
    c.assembler.finish();
    REQUIRE(c.records.size() == 1);
    CHECK(c.records[0].ended == trace::unknown_time);
    CHECK(c.assembler.counts().without_end == 1);
    CHECK(c.assembler.in_flight() == 0);
}

TEST_CASE("memory stays bounded behind a request that never ends") {
    std::vector<trace::Record> records;
    Assembler assembler([&](const trace::Record& record) { records.push_back(record); }, 100);
    assembler.send(send(2, 1'000, 50));
    for (std::uint64_t i = 0; i < 1'000; ++i) {
        const std::uint64_t at = 2'000 + 100 * i;
        assembler.send(send(4 + 2 * i, at, 51));
        assembler.end(end(4 + 2 * i, at + 10, at + 20, at + 30).event);
        assembler.resumed(resumed(4 + 2 * i, at + 40, 51));
        assembler.flush(static_cast<std::int64_t>(at + 50));
    }
    CHECK(records.size() >= 900);
    CHECK(records.front().unique == 2);
    CHECK(assembler.counts().without_end == 1);
    assembler.end(end(2, 500'000, 500'010, 500'020).event);  // far too late, and no harm
    assembler.finish();
    CHECK(records.size() == 1'001);
}

TEST_CASE("a caller that a signal woke before the end has no time of resumption") {
    Collected c;
    c.assembler.send(send(2, 1'000, 50));
    c.assembler.resumed(resumed(2, 1'005, 50));
    c.assembler.end(end(2, 1'010, 1'020, 1'030).event);
    c.assembler.flush(second);
    REQUIRE(c.records.size() == 1);
    CHECK(c.records[0].ended == 30);
    CHECK(c.records[0].resumed == trace::unknown_time);
}

TEST_CASE("a background READ resumes the thread that sent it and no other") {
    Collected c;
    send_event event = send(2, 1'000, 50);
    event.background = 1;
    c.assembler.send(event);
    c.assembler.end(end(2, 1'010, 1'020, 1'030).event);
    c.assembler.resumed(resumed(2, 1'045, 77));
    c.assembler.resumed(resumed(2, 1'050, 50));
    c.assembler.flush(second);
    REQUIRE(c.records.size() == 1);
    CHECK(c.records[0].background);
    CHECK(c.records[0].resumed == 50);
}
