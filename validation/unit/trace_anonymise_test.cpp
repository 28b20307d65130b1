#include "trace/anonymise.h"
#include "trace/stats.h"
#include "trace_samples.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <set>

using namespace fusesim::trace;

namespace {

const Key key = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

}  // namespace

TEST_CASE("siphash gives the values of its authors' test vectors", "[unit]") {
    const std::string bytes("\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16", 15);
    CHECK(siphash(key, "") == 0x726fdb47dd0e0e31U);
    CHECK(siphash(key, bytes) == 0xa129ca6149be45e5U);
}

TEST_CASE("anonymised paths keep the tree's shape and nothing else", "[unit]") {
    const Anonymiser anonymiser(key, false);
    const std::vector<std::string> paths = {"/",
                                            "/a",
                                            "/b",
                                            "/a/b",
                                            "/a/a-long-file-name.txt",
                                            "/home/jane/letters",
                                            "/home/jane",
                                            "../a/./b",
                                            "a"};
    std::map<std::string, std::string> hashed;
    std::set<std::string> distinct;
    for (const std::string& path : paths) {
        hashed[path] = anonymiser.path(path);
        distinct.insert(hashed[path]);
        CHECK(std::count(path.begin(), path.end(), '/') ==
              std::count(hashed[path].begin(), hashed[path].end(), '/'));
    }
    CHECK(distinct.size() == paths.size());
    CHECK(hashed["/"] == "/");
    CHECK(hashed["/a"] == "/" + hashed["a"]);
    CHECK(hashed["/home/jane/letters"].find(hashed["/home/jane"] + "/") == 0);
    CHECK(hashed["../a/./b"] == "../" + hashed["a"] + "/./" + hashed["/b"].substr(1));
    CHECK(hashed["/home/jane"].find("jane") == std::string::npos);
    CHECK(anonymiser.component("a").size() == 11);
    CHECK(anonymiser.component(std::string(255, 'x')).size() == 255);
    CHECK(anonymiser.component("a-long-file-name.txt").size() == 20);

    SECTION("the same key hashes alike, another one otherwise") {
        CHECK(Anonymiser(key, false).path("/a/b") == hashed["/a/b"]);
        Key other = key;
        other[15] = 0;
        CHECK(Anonymiser(other, false).path("/a/b") != hashed["/a/b"]);
    }
    SECTION("short names do not collide") {
        std::set<std::string> hashes;
        for (int i = 0; i < 100'000; ++i) {
            hashes.insert(anonymiser.component(std::to_string(i)));
        }
        CHECK(hashes.size() == 100'000);
    }
}

TEST_CASE("extensions are kept if asked for, unless they are not plain", "[unit]") {
    const Anonymiser anonymiser(key, true);
    CHECK(anonymiser.component("letter.txt").substr(11) == ".txt");
    CHECK(anonymiser.component("archive.tar.gz").substr(11) == ".gz");
    CHECK(anonymiser.component(".bashrc").find('.') == std::string::npos);
    CHECK(anonymiser.component("mail.jane_doe").find("jane") == std::string::npos);
    CHECK(anonymiser.component("a.secretword").find("secret") == std::string::npos);
}

TEST_CASE("anonymising a trace hides header facts that hold a place", "[unit]") {
    Header header = sample_header();
    header.facts.emplace_back("mount.source", "jane@server:/export");
    header.facts.emplace_back("mount.point", "/home/jane/mnt");
    Anonymiser anonymiser(key, false);
    anonymiser.apply(header);
    CHECK(header.anonymised);
    for (const auto& [name, value] : header.facts) {
        CHECK(value.find("jane") == std::string::npos);
    }
    CHECK(header.facts[0].second == "fuse.bindfs");

    Record record;
    record.opcode = 22;  // GETXATTR
    record.name = "security.capability";
    anonymiser.apply(record, Layer::fuse);
    CHECK(record.name == "security.capability");
    record.name = "user.jane";
    anonymiser.apply(record, Layer::fuse);
    CHECK(record.name.find("jane") == std::string::npos);
    record.opcode = 1;
    record.name = "security.capability";
    anonymiser.apply(record, Layer::fuse);
    CHECK(record.name != "security.capability");
}

TEST_CASE("statistics count by opcode and phases add up to the latency", "[unit]") {
    Stats stats;
    Record record;
    record.opcode = 15;
    record.bytes_in = 80;
    record.bytes_out = 4112;
    for (int i = 0; i < 100; ++i) {
        record.queued = 1000 * i;
        record.taken = record.queued + 10;
        record.replied = record.taken + 100 + i;
        record.ended = record.replied + 5;
        record.resumed = record.ended + 7;
        record.error = i == 0 ? -5 : 0;
        stats.add(record);
    }
    record = Record{};
    record.opcode = 2;  // FORGET: no reply, no latency
    record.queued = 200'000;
    stats.add(record);
    CHECK(stats.records() == 101);
    CHECK(stats.duration_s() == Approx(200e-6));
    const Stats::Opcode& read = stats.opcodes().at(15);
    CHECK(read.count == 100);
    CHECK(read.errors == 1);
    CHECK(read.bytes_out == 411'200);
    CHECK(read.latency.mean_s() == Approx(171.5e-9));
    CHECK(read.latency.max_s() == Approx(221e-9));
    CHECK(read.latency.quantile_s(0.5) == Approx(171e-9).epsilon(0.01));
    CHECK(read.queue.mean_s() + read.processing.mean_s() + read.reply.mean_s() ==
          Approx(read.latency.mean_s()));
    CHECK(stats.opcodes().at(2).latency.count() == 0);
}
