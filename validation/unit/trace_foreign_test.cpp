#include "config/error.h"
#include "fuse/opcode.h"
#include "import_support.h"
#include "trace/call.h"
#include "trace/foreign.h"
#include "trace/import.h"
#include "trace/iolog_writer.h"
#include "trace/names.h"
#include "trace_samples.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>

using namespace fusesim::trace;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

std::string sample(const std::string& name) {
    return std::string(FUSESIM_SAMPLES) + "/" + name;
}

ImportOptions below(const std::string& mount, const std::string& directory = "") {
    ImportOptions options;
    options.mount = mount;
    options.working_directory = directory;
    return options;
}

ImportOptions lenient() {
    ImportOptions options;
    options.lenient = true;
    return options;
}

std::string opcode(const Imported& imported, std::size_t i) {
    return opcode_text(imported.header.layer, imported.records.at(i).opcode);
}

std::map<std::string, int> count(const Imported& imported) {
    std::map<std::string, int> counts;
    for (const Record& record : imported.records) {
        ++counts[opcode_text(imported.header.layer, record.opcode)];
    }
    return counts;
}

std::string fact(const Imported& imported, const std::string& wanted) {
    for (const auto& [name, value] : imported.header.facts) {
        if (name == wanted) {
            return value;
        }
    }
    return "";
}

using Counts = std::map<std::string, int>;

/// A file in memory: a file system may sync one that is truncated and written again and again.
class MemoryFile {
  public:
    MemoryFile() : fd_(memfd_create("log", MFD_CLOEXEC)) { REQUIRE(fd_ >= 0); }

    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;

    ~MemoryFile() { close(fd_); }

    std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

    void write(const std::string& bytes) const {
        REQUIRE(ftruncate(fd_, 0) == 0);
        REQUIRE(pwrite(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    }

  private:
    int fd_;
};

}  // namespace

TEST_CASE("an strace of two threads and a child becomes their calls on the mount", "[unit]") {
    const Imported result = import_file(sample("strace-threads.txt"), below("/srv/lab/mnt"));
    REQUIRE(result.error.empty());
    CHECK(result.format == "strace");
    CHECK(result.report.lines == 62);
    CHECK(result.report.unknown == 0);
    CHECK(result.report.unanswered == 0);
    CHECK(result.report.left_out.at("outside the mount") == 3);
    CHECK(count(result) == Counts{{"create", 2},
                                  {"open", 2},
                                  {"write", 5},
                                  {"read", 6},
                                  {"lseek", 2},
                                  {"fsync", 2},
                                  {"close", 5},
                                  {"fstat", 2},
                                  {"rename", 1},
                                  {"readdir", 2},
                                  {"mkdir", 1},
                                  {"rmdir", 1}});
    const auto& records = result.records;
    SECTION("threads share their process, a child has its own") {
        CHECK(records[0].pid == 2793);
        CHECK(records[0].caller == 2834);
        CHECK(records[6].pid == 2793);
        CHECK(records[6].caller == 2835);
        CHECK(records.back().pid == 2836);
    }
    SECTION("positions are followed, also of vectors") {
        CHECK(records[3].offset == 0);
        CHECK(records[4].offset == 4096);
        CHECK(records[5].offset == 50);
        CHECK(records[7].name == "/t0");
        CHECK(records[7].offset == 8192);
        CHECK(records[7].size == 5);
        CHECK(records[7].bytes_in == 5);
    }
    SECTION("unfinished calls are joined with what resumed them") {
        CHECK(opcode(result, 8) == "fsync");
        CHECK(records[8].queued == 2'089'000);
        CHECK(records[8].ended == 3'043'000);
        CHECK(records[8].think_blocked == 62'000);
        CHECK(records[0].think_blocked == unknown_time);
    }
    SECTION("odd names are whole, a duplicated descriptor has its file") {
        CHECK(records[18].name == "/t0");
        CHECK(records[18].name2 == "/renamed, <odd> \"name\"");
        CHECK(records[20].fh == 9);
        CHECK(records[20].name == records[18].name2);
        CHECK(records[20].offset == at_position);  // it appends
    }
    SECTION("relative paths begin where strace -y says") {
        CHECK(records[24].name == "/");
        CHECK(records[29].name == "/dd");
    }
}

TEST_CASE("an strace without -y needs to be told the directory", "[unit]") {
    const Imported result =
        import_file(sample("strace-shell.txt"), below("/srv/lab/mnt", "/srv/lab"));
    REQUIRE(result.error.empty());
    CHECK(result.report.lines == 372);
    CHECK(result.report.left_out.at("outside the mount") == 260);
    CHECK(result.report.left_out.at("descriptor of an unknown file") == 8);
    CHECK(count(result) == Counts{{"create", 1},
                                  {"open", 1},
                                  {"close", 3},
                                  {"write", 1},
                                  {"lseek", 1},
                                  {"read", 16},
                                  {"rename", 2},
                                  {"stat", 1}});
    // dd reads through descriptor 0, which it got from the file with dup2.
    CHECK(result.records[21].name == "/big");
    CHECK(result.records[21].offset == 983'040);
    CHECK(result.records[23].error == -22);
    CHECK(result.records[23].name2 == "/d/new2");
    CHECK(result.records[24].error == -2);

    const Imported blind = import_file(sample("strace-shell.txt"), below("/srv/lab/mnt"));
    CHECK_THAT(blind.error, Contains("no call on a file below /srv/lab/mnt"));
}

TEST_CASE("strace on a terminal numbers threads only while there are several", "[unit]") {
    const Imported result = import_file(sample("strace-terminal.txt"));
    REQUIRE(result.error.empty());
    CHECK(result.report.unknown == 0);
    CHECK(result.records.size() == 205);
    std::map<std::uint32_t, int> callers;
    for (const Record& record : result.records) {
        ++callers[record.caller];
    }
    REQUIRE(callers.size() == 3);
    CHECK(callers.begin()->first == 2849);
    CHECK(result.records.back().caller == 2849);  // alone again, without a number
}

TEST_CASE("what strace shows of descriptors is followed", "[unit]") {
    const auto import_calls = [](const std::string& calls, const ImportOptions& options = {}) {
        std::string text;
        int time = 100'000;
        std::size_t begin = 0;
        while (begin < calls.size()) {
            const std::size_t end = calls.find('\n', begin);
            text += "1 1700000000." + std::to_string(time++) + " " +
                    calls.substr(begin, end - begin) + " <0.000001>\n";
            begin = end + 1;
        }
        return import_text(text, options);
    };
    SECTION("close-on-exec, duplicates and offsets given and left") {
        const Imported result = import_calls(
            "openat(AT_FDCWD, \"/m/../m/./a\", O_RDWR|O_CLOEXEC) = 3\n"
            "fcntl(3, F_DUPFD, 10) = 10\n"
            "read(10, \"x\"..., 100) = 100\n"
            "read(3, \"x\"..., 100) = 40\n"
            "lseek(3, 1000, SEEK_SET) = 1000\n"
            "sendfile(1, 10, NULL, 50) = 50\n"
            "write(3, \"x\", 1) = -1 ENOSPC (No space left on device)\n"
            "execve(\"/bin/x\", [\"x\"], 0x1 /* 1 var */) = 0\n"
            "read(3, \"\", 1) = -1 EBADF (Bad file descriptor)\n"
            "pread64(10, \"x\"..., 7, 4096) = 7\n");
        REQUIRE(result.error.empty());
        REQUIRE(result.records.size() == 8);
        CHECK(result.records[0].name == "/m/a");
        CHECK(result.records[0].flags == (O_RDWR | O_CLOEXEC));
        CHECK(result.records[1].offset == 0);
        CHECK(result.records[2].offset == 100);
        CHECK(result.records[4].offset == 1000);
        CHECK(result.records[5].offset == 1050);
        CHECK(result.records[5].error == -28);
        CHECK(opcode(result, 6) == "execve");
        CHECK(result.records[7].offset == 4096);
        CHECK(result.report.left_out.at("descriptor of an unknown file") == 1);
    }
    SECTION("anonymous memory, sockets and the like are no file calls") {
        const Imported result = import_calls(
            "open(\"/m/a\", O_RDONLY) = 3\n"
            "mmap(NULL, 8192, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000\n"
            "mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 3, 0x2000) = 0x7f0000001000\n"
            "close(3) = 0\n"
            "socket(AF_UNIX, SOCK_STREAM, 0) = 3\n"
            "write(3, \"x\", 1) = 1\n"
            "io_uring_enter(5, 1, 1, 0, NULL, 8) = 1\n");
        REQUIRE(result.error.empty());
        REQUIRE(result.records.size() == 3);
        CHECK(opcode(result, 1) == "mmap");
        CHECK(result.records[1].offset == 0x2000);
        CHECK(result.records[1].size == 4096);
        CHECK(result.report.left_out.at("not a file call") == 4);
        REQUIRE(result.report.warnings.size() == 1);
        CHECK_THAT(result.report.warnings[0], StartsWith("1 calls of io_uring_enter"));
    }
    SECTION("a mount point is no prefix of a name") {
        const Imported result = import_calls(
            "stat(\"/m\", {}) = 0\nstat(\"/mm\", {}) = 0\nstat(\"/m/x\", {}) = 0\n", below("/m/"));
        REQUIRE(result.records.size() == 2);
        CHECK(result.records[0].name == "/");
        CHECK(result.records[1].name == "/x");
    }
    SECTION("a call that is restarted comes once") {
        const Imported result = import_calls(
            "open(\"/m/a\", O_RDONLY) = 3\n"
            "read(3, 0x1, 10) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)\n"
            "read(3, \"a\", 10) = 1\n");
        CHECK(result.records.size() == 2);
        CHECK(result.report.left_out.at("call that was restarted") == 1);
    }
}

TEST_CASE("defects of an strace are errors with their line", "[unit]") {
    const std::string call = "1 1700000000.000001 stat(\"/a\", {}) = 0 <0.000001>\n";
    CHECK_THAT(import_text(call + "1 1600000000.000001 stat(\"/a\", {}) = 0 <0.000001>\n").error,
               StartsWith("2:1: error: time goes backwards"));
    CHECK_THAT(import_text(call + "stat(\"/a\", {}) = 0 <0.000001>\n").error,
               StartsWith("2:1: error: 1 of 2 lines are not understood: 1 x no time stamp"));
    CHECK_THAT(import_text("1 0.000012 stat(\"/a\", {}) = 0\n").error,
               StartsWith("1:1: error: the times are relative"));
    CHECK(import_text(call + "what is this\n", lenient()).report.unknown == 1);
    CHECK_THAT(import_text(call, below("/b")).error, Contains("no call on a file below /b"));
}

TEST_CASE("a fio iolog of version 3 is read with its times", "[unit]") {
    const Imported result = import_file(sample("fio-iolog-3.txt"));
    REQUIRE(result.error.empty());
    CHECK(result.format == "fio-iolog");
    CHECK(result.report.unknown == 0);
    CHECK(count(result) == Counts{{"open", 1}, {"read", 8}, {"write", 8}, {"close", 1}});
    CHECK(result.records[0].queued == 0);
    CHECK(result.records[1].queued == 4'000);
    CHECK(result.records[2].offset == 45'056);
    CHECK(result.records[2].size == 4096);
    CHECK(result.records[2].fh == result.records[0].fh);
    CHECK(result.records.back().queued == 1'589'000);
    CHECK(import_file(sample("fio-iolog-3.txt"), below("/srv/lab/fiot")).records[0].name ==
          "/t.0.0");
}

TEST_CASE("waits of a fio iolog of version 2 count as fio does or as its manual says", "[unit]") {
    const std::string log =
        "fio version 2 iolog\n/m/f add\n/m/f open\n/m/f wait 20 0\n/m/f read 0 4096\n"
        "/m/f wait 5 0\n/m/f datasync 0 0\n/m/f wait 30 0\n/m/f trim 4096 512\n/m/f close\n";
    Imported result = import_text(log);
    REQUIRE(result.error.empty());
    REQUIRE(result.records.size() == 5);
    CHECK(result.records[1].queued == 20'000'000);
    CHECK(result.records[2].queued == 20'000'000);  // 5 ms are past
    CHECK(result.records[3].queued == 30'000'000);
    CHECK(opcode(result, 2) == "fdatasync");
    CHECK(opcode(result, 3) == "fallocate");
    CHECK(fact(result, "iolog.wait") == "milliseconds since fio started");

    ImportOptions howto;
    howto.iolog_wait = IologWait::howto;
    result = import_text(log, howto);
    CHECK(result.records[1].queued == 20'000);
    CHECK(result.records[2].queued == 25'000);
    CHECK(result.records[3].queued == 55'000);

    const std::string order =
        "fio version 2 iolog\n/m/f add\n/m/f open\n/m/f read 0 4096\n/m/f close\n";
    result = import_text(order);
    REQUIRE(result.records.size() == 3);
    CHECK(result.header.clock == "none");
    CHECK(result.records[1].queued == unknown_time);
}

TEST_CASE("defects of a fio iolog are errors with their line", "[unit]") {
    const std::string head = "fio version 3 iolog\n0 /f add\n1 /f open\n";
    CHECK_THAT(import_text("fio version 1 iolog\n").error,
               StartsWith("1:1: error: fio iolog of version 1"));
    CHECK_THAT(import_text("0, 0, 4096\n", {}, "fio-iolog").error,
               StartsWith("1:1: error: the first line is not"));
    CHECK_THAT(import_text("fio version 3 iolog\n0 /f add\n1 /f read 0 1\n").error,
               StartsWith("3:1: error: read: of a file that is not open"));
    CHECK_THAT(import_text(head + "2 /f read 0\n").error,
               StartsWith("4:1: error: 1 of 4 lines are not understood: 1 x no offset"));
    CHECK_THAT(import_text(head + "0 /f read 0 1\n").error,
               StartsWith("4:1: error: time goes backwards"));
}

TEST_CASE("what is written as a fio iolog comes back as it was", "[unit]") {
    const Imported first = import_file(sample("fio-iolog-3.txt"));
    const ScratchFile file("iolog");
    IologWriter writer(file.path(), first.header, "");
    for (const Record& record : first.records) {
        CHECK(writer.add(record));
    }
    writer.finish();
    const Imported second = import_file(file.path());
    REQUIRE(second.records.size() == first.records.size());
    for (std::size_t i = 0; i < first.records.size(); ++i) {
        CHECK(same(first.records[i], second.records[i]));
    }
}

TEST_CASE("an iolog opens what is used and says what it cannot hold", "[unit]") {
    Header header;
    header.layer = Layer::syscall;
    const ScratchFile file("iolog");
    IologWriter writer(file.path(), header, "/mnt/");
    const auto call = [](Call what, const std::string& name) {
        Record record;
        record.opcode = static_cast<std::uint32_t>(what);
        record.name = name;
        record.size = 4096;
        return record;
    };
    CHECK(writer.add(call(Call::read, "/a")));
    CHECK_FALSE(writer.add(call(Call::stat, "/a")));
    CHECK_FALSE(writer.add(call(Call::read, "/a b")));
    Record failed = call(Call::write, "/a");
    failed.error = -28;
    CHECK_FALSE(writer.add(failed));
    Record appended = call(Call::write, "/a");
    appended.offset = at_position;
    CHECK_FALSE(writer.add(appended));
    CHECK(writer.add(call(Call::fsync, "/a")));
    CHECK(writer.left_out().size() == 4);
    writer.finish();
    CHECK(file.read() ==
          "fio version 2 iolog\n/mnt/a add\n/mnt/a open\n/mnt/a read 0 4096\n/mnt/a sync 0 0\n"
          "/mnt/a close\n");
    header.layer = Layer::fuse;
    CHECK_THROWS_WITH(IologWriter(file.path(), header, ""), Contains("requests of FUSE"));
}

TEST_CASE("libfuse's high-level debug output gives requests in order", "[unit]") {
    const Imported result = import_file(sample("libfuse-high-level.txt"));
    REQUIRE(result.error.empty());
    CHECK(result.format == "libfuse-debug");
    CHECK(result.records.size() == 44);
    CHECK(result.report.unknown == 0);
    CHECK(result.report.orphans == 0);
    CHECK(result.header.clock == "none");
    CHECK(result.header.protocol_minor == 31);
    CHECK(fact(result, "mount.max_write") == "1048576");
    CHECK(fact(result, "mount.max_readahead") == "131072");
    CHECK(fact(result, "mount.max_background").empty());  // 0: the kernel's own
    const Record& lookup = result.records[0];
    CHECK(opcode(result, 0) == "LOOKUP");
    CHECK(lookup.name == "a.txt");
    CHECK(lookup.unique == 4);
    CHECK(lookup.queued == unknown_time);
    CHECK(lookup.bytes_in == 46);
    CHECK(lookup.bytes_out == 144);
    const Record& read = result.records[4];
    CHECK(read.size == 4096);
    CHECK(read.fh == 4);
    CHECK(read.bytes_out == 22);
    CHECK(result.records[6].error == -38);
}

TEST_CASE("libfuse's debug output with times in front gives times", "[unit]") {
    const Imported result = import_file(sample("libfuse-low-level-stamped.txt"));
    REQUIRE(result.error.empty());
    CHECK(result.records.size() == 46);
    CHECK(result.report.unknown == 0);
    CHECK(count(result).at("FORGET") == 1);
    const Record& create = result.records[1];
    CHECK(create.name == "t0");
    CHECK(create.queued == 145'000);
    CHECK(create.taken == 145'000);
    CHECK(create.replied == 155'000);
    CHECK(create.caller == 4573);
    const Record& write = result.records[11];
    CHECK(write.offset == 8192);
    CHECK(write.size == 5);
}

TEST_CASE("log lines may begin with many kinds of time", "[unit]") {
    const auto times = [](const std::string& first, const std::string& second) {
        const Imported result =
            import_text(first + "unique: 2, opcode: LOOKUP (1), nodeid: 1, insize: 42, pid: 7\n" +
                        second + "   unique: 2, success, outsize: 144\n");
        REQUIRE(result.error.empty());
        REQUIRE(result.records.size() == 1);
        return result.records[0].ended;
    };
    CHECK(times("1700000000.000001 ", "1700000000.000003 ") == 2'000);
    CHECK(times("23:59:59.999999 ", "00:00:00.000001 ") == 2'000);
    CHECK(times("2026-02-28T23:59:59.5+00:00 host x[1]: ",
                "2026-03-01T00:00:00.5+00:00 host x[1]: ") == 1'000'000'000);
    CHECK(times("Nov 23 14:47:17 host x[1]: ", "Nov 23 14:47:19 host x[1]: ") == 2'000'000'000);
    CHECK(times("2020/03/12 16:10:02 ", "2020/03/12 16:10:03 ") == 1'000'000'000);
    CHECK(times("", "") == unknown_time);
}

TEST_CASE("libfuse 3.18 says where a request came from", "[unit]") {
    const Imported result = import_text(
        "dev unique: 2, opcode: LOOKUP (1), nodeid: 1, insize: 42, pid: 7\n"
        "   unique: 2, success, outsize: 144\n"
        "cqe unique: 4, opcode: WRITE (16), nodeid: 2, insize: 4096, pid: 7\n"
        "   unique: 4, success, outsize: 24 (splice)\n");
    REQUIRE(result.error.empty());
    REQUIRE(result.records.size() == 2);
    CHECK(result.records[0].bytes_in == 42);
    CHECK(result.records[1].size == 4096);
    CHECK(fact(result, "mount.io_uring") == "1");
}

TEST_CASE("names in libfuse's debug output may hold blanks, where they can be told", "[unit]") {
    const auto names = [](const std::string& opcode, const std::string& detail) {
        const Imported result =
            import_text("unique: 2, opcode: " + opcode + ", nodeid: 1, insize: 42, pid: 7\n" +
                        detail + "\n   unique: 2, success, outsize: 16\n");
        REQUIRE(result.error.empty());
        return result.records.at(0).name + "|" + result.records.at(0).name2;
    };
    CHECK(names("LOOKUP (1)", "LOOKUP /d/a b") == "a b|");
    CHECK(names("MKDIR (9)", "mkdir /d/a b 0755 umask=0022") == "a b|");
    CHECK(names("MKNOD (8)", "mknod /a b 0100644 0x0 umask=0022") == "a b|");
    CHECK(names("CREATE (35)", "create flags: 0x8841 /a b 0100644 umask=0022") == "a b|");
    CHECK(names("RENAME (12)", "rename /a /d/b 0x0") == "a|b");
    CHECK(names("RENAME2 (45)", "rename /a b /d/b 0x1") == "|");
    CHECK(names("GETXATTR (22)", "getxattr /d security.selinux 255") == "security.selinux|");
}

TEST_CASE("defects of a libfuse log are errors with their line", "[unit]") {
    const std::string request = "unique: 2, opcode: LOOKUP (1), nodeid: 1, insize: 42, pid: 7\n";
    const std::string reply = "   unique: 2, success, outsize: 144\n";
    CHECK_THAT(import_text(request + request).error,
               StartsWith("2:1: error: unique 2: still in flight"));
    CHECK_THAT(import_text(request + reply + reply).error,
               StartsWith("3:1: error: a reply without a request"));
    CHECK_THAT(import_text(request + reply + "unique: x\n").error,
               StartsWith("3:1: error: 1 of 3 lines are not understood"));
    CHECK_THAT(import_text("10:00:02.0 " + request + "10:00:01.0 " + reply).error,
               StartsWith("2:1: error: time goes backwards"));
    CHECK_THAT(import_text(request).error, Contains("1 of 1 requests have no reply"));
}

TEST_CASE("a gocryptfs log gives requests with offsets and times", "[unit]") {
    const Imported result = import_file(sample("gocryptfs.txt"));
    REQUIRE(result.error.empty());
    CHECK(result.format == "go-fuse-debug");
    CHECK(result.report.unknown == 0);
    CHECK(result.report.unanswered == 0);
    CHECK(result.records.size() == 47);
    CHECK(result.header.protocol_minor == 28);
    CHECK(fact(result, "mount.max_write") == "131072");
    const auto counts = count(result);
    CHECK(counts.at("READ") == 3);
    CHECK(counts.at("WRITE") == 2);
    CHECK(counts.at("FORGET") == 2);
    const auto read =
        std::find_if(result.records.begin(), result.records.end(), [](const Record& record) {
            return record.opcode == static_cast<std::uint32_t>(fusesim::fuse::Opcode::read) &&
                   record.offset == 8192;
        });
    REQUIRE(read != result.records.end());
    CHECK(read->size == 4096);
    CHECK(read->bytes_out == 1808 + 16);
    CHECK(read->fh == 1);
    CHECK(read->ended - read->queued == 8'000);
    const auto rename =
        std::find_if(result.records.begin(), result.records.end(), [](const Record& record) {
            return record.opcode == static_cast<std::uint32_t>(fusesim::fuse::Opcode::rename2);
        });
    REQUIRE(rename != result.records.end());
    CHECK(rename->name == "f");
    CHECK(rename->name2 == "g");
}

TEST_CASE("older go-fuse logs have i for nodes, seconds only and the pid at the end", "[unit]") {
    const Imported result = import_text(
        "2020/03/12 16:10:02 rx 2: LOOKUP i1 [\"a\\tb\"] 4b p77\n"
        "2020/03/12 16:10:03 tx 2:     2=no such file or directory, {i0 g0 tE=0s}\n");
    REQUIRE(result.error.empty());
    REQUIRE(result.records.size() == 1);
    CHECK(result.records[0].name == "a\tb");
    CHECK(result.records[0].caller == 77);
    CHECK(result.records[0].error == -2);
    CHECK(result.records[0].ended == 1'000'000'000);
    CHECK(fact(result, "resolution_ns") == "1000000000");
}

TEST_CASE("JuiceFS logs a request when it is done: sorted by its begin", "[unit]") {
    const Imported result = import_file(sample("juicefs.txt"));
    REQUIRE(result.error.empty());
    CHECK(result.format == "juicefs");
    CHECK(result.report.unknown == 0);
    REQUIRE(result.records.size() == 10);
    CHECK(result.records[0].name == "a file, odd");
    CHECK(result.records[0].error == -2);
    CHECK(result.records[0].ended == 50'000);
    CHECK(opcode(result, 1) == "CREATE");
    CHECK(result.records[1].fh == 8);
    CHECK(opcode(result, 2) == "GETATTR");  // began before the write
    CHECK(opcode(result, 3) == "WRITE");
    CHECK(result.records[3].offset == 8192);
    CHECK(result.records[3].size == 4096);
    CHECK(result.records[4].bytes_out == 12'288 + 16);
    CHECK(opcode(result, 5) == "READDIRPLUS");
    CHECK(result.records[7].fh == 9);
    CHECK(result.records[9].name2 == "old");
    CHECK(result.records[9].error == -39);
}

TEST_CASE("block traces are reads and writes of one file a disk", "[unit]") {
    const Imported msr = import_text(
        "128166372003061629,usr,0,Read,7014609920,24576,41286\n"
        "128166372016382155,usr,0,Write,1317441536,8192,1963\n"
        "128166372010382155,usr,1,Read,4096,512,100\n");
    REQUIRE(msr.error.empty());
    CHECK(msr.format == "msr");
    REQUIRE(msr.records.size() == 5);
    CHECK(opcode(msr, 0) == "open");
    CHECK(msr.records[0].flags == (O_RDWR | O_DIRECT));
    CHECK(msr.records[1].name == "/disk-usr-0");
    CHECK(msr.records[1].ended == 4'128'600);
    CHECK(msr.records[3].name == "/disk-usr-1");  // came late in the file
    CHECK(msr.records[4].queued == 1'332'052'600);
    CHECK(msr.records[4].fh == msr.records[0].fh);

    const Imported systor = import_text(
        "Timestamp,Response,IOType,LUN,Offset,Size\n"
        "1455592020.020135000,0.000256300,W,0,2490732544,4096\n"
        "1455592020.020235000,0.000256300,,0,2490732544,4096\n");
    REQUIRE(systor.error.empty());
    CHECK(systor.format == "systor17");
    REQUIRE(systor.records.size() == 2);
    CHECK(systor.records[1].ended == 256'300);
    CHECK(systor.report.left_out.at("without a kind of operation") == 1);

    const Imported alibaba =
        import_text("419,W,13792727040,4096,1577808000000067\n419,R,8192,4096,1577808000000121\n");
    REQUIRE(alibaba.error.empty());
    CHECK(alibaba.format == "alibaba");
    CHECK(alibaba.records.back().queued == 54'000);

    const Imported tencent = import_text("1538323200,8,2,0,1283\n1538323201,16,4,1,1283\n");
    REQUIRE(tencent.error.empty());
    CHECK(tencent.format == "tencent");
    REQUIRE(tencent.records.size() == 3);
    CHECK(tencent.records[1].offset == 4096);
    CHECK(opcode(tencent, 2) == "write");
    CHECK(tencent.records[2].queued == 1'000'000'000);
}

TEST_CASE("blkparse's requests go from queued to completed, merged and split ones too", "[unit]") {
    const Imported result = import_file(sample("blkparse.txt"));
    REQUIRE(result.error.empty());
    CHECK(result.format == "blkparse");
    CHECK(result.report.lines == 47);
    CHECK(result.report.unknown == 0);
    CHECK(result.report.orphans == 0);
    CHECK(result.report.unanswered == 0);
    CHECK(count(result) ==
          Counts{{"open", 1}, {"read", 5}, {"write", 3}, {"fdatasync", 2}, {"fallocate", 1}});
    CHECK(result.report.left_out.at("event of action D") == 5);
    CHECK(result.report.left_out.at("line of the summary") == 12);
    const auto& records = result.records;
    CHECK(records[0].name == "/disk-8,0");
    CHECK(records[1].offset == 3048 * 512);
    CHECK(records[1].caller == 812);
    CHECK(records[1].ended == 91'500);
    CHECK(records[2].ended == 601'500);  // both ended with the request they were merged into
    CHECK(records[3].ended == 601'500);
    CHECK(records[3].size == 8192);
    CHECK(records[4].ended == 768'500);  // with the later of its halves
    CHECK(opcode(result, 6) == "fdatasync");
    CHECK(records[7].size == 4096);
    CHECK(opcode(result, 8) == "fallocate");
    CHECK(records[9].error == -EIO);
    CHECK(records[10].ended == 1'998'500);  // of two alike the first comes first
    CHECK(records[11].ended == 2'098'500);
    REQUIRE(result.report.warnings.size() == 1);
    CHECK_THAT(result.report.warnings[0], StartsWith("1 writes were to be on the medium"));
}

TEST_CASE("a blkparse of issued requests only, of stacked devices, and its defects", "[unit]") {
    const std::string issued =
        "  8,0    0        1     0.000001000   7  D   R 8 + 8 [x]\n"
        "  8,0    0        2     0.000003000   0  C   R 8 + 8 [0]\n";
    const Imported result = import_text(issued);
    REQUIRE(result.error.empty());
    CHECK(result.records.at(1).ended == 2'000);
    CHECK_THAT(result.report.warnings.at(0), StartsWith("no request was queued"));

    const Imported stacked = import_text(
        "253,0    0        1     0.000001000   7  Q   R 8 + 8 [x]\n"
        "  8,0    0        2     0.000002000   7  A   R 108 + 8 <- (253,0) 8\n"
        "  8,0    0        3     0.000002000   7  Q   R 108 + 8 [x]\n"
        "  8,0    0        4     0.000005000   0  C   R 108 + 8 [0]\n"
        "253,0    0        5     0.000006000   0  C   R 8 + 8 [0]\n");
    REQUIRE(stacked.error.empty());
    CHECK_THAT(stacked.report.warnings.at(0),
               StartsWith("requests of device 253,0 come again on 8,0"));

    CHECK_THAT(import_text(issued + "8,0 R 0.000005000 8 + 8\n").error,
               StartsWith("3:1: error: 1 of 3 lines are not understood"));
    CHECK_THAT(import_text(issued + "  8,0 0 3 0.000004 0 C R 99 + 8 [0]\n").error,
               StartsWith("3:1: error: a reply without a request"));
}

TEST_CASE("the columns of a csv file can be told", "[unit]") {
    const auto import_columns = [](const std::string& columns, const std::string& text) {
        ImportOptions options;
        options.columns = columns;
        return import_text(text, options, "csv");
    };
    const Imported sectors =
        import_columns("ts:ms,offset:sectors,size:sectors,op,disk", "5,8,2,0,a\n6,16,4,1,a\n");
    REQUIRE(sectors.error.empty());
    REQUIRE(sectors.records.size() == 3);
    CHECK(sectors.records[1].offset == 4096);
    CHECK(sectors.records[2].size == 2048);
    CHECK(sectors.records[2].queued == 1'000'000);

    const Imported named = import_columns("op,name,offset,size,-", "R;/a b;0;10;x\nW;/c;5;1;y\n");
    REQUIRE(named.error.empty());
    CHECK(named.header.clock == "none");
    CHECK(named.records[0].name == "/a b");

    const std::string line = "1,R,0,1\n";
    CHECK_THAT(import_columns("ts:us,op,offset,size", line + "2,Q,0,1\n").error,
               StartsWith("2:1: error: 1 of 2 lines are not understood: 1 x unknown operation"));
    CHECK_THAT(import_columns("ts,op,offset,size", line).error, Contains("ts needs a unit"));
    CHECK_THAT(import_columns("", line).error, Contains("must be told"));
    CHECK_THAT(import_columns("ts:us,op,size", line).error, Contains("are needed"));
    CHECK_THAT(import_columns("ts:sectors,op,offset,size", line).error, Contains("does not fit"));
}

TEST_CASE("cut and damaged logs end in an error or in records that a trace may hold", "[unit]") {
    struct Case {
        std::string file;
        std::size_t begin;  ///< of the part that is damaged
    };
    const Case cases[] = {{"strace-threads.txt", 700},
                          {"strace-shell.txt", 0},
                          {"strace-terminal.txt", 0},
                          {"fio-iolog-3.txt", 0},
                          {"libfuse-high-level.txt", 0},
                          {"libfuse-low-level-stamped.txt", 0},
                          {"gocryptfs.txt", 130},
                          {"juicefs.txt", 0},
                          {"blkparse.txt", 0},
                          {"msr", 0}};
    constexpr std::size_t part = 3000;
    const auto& one = GENERATE_REF(from_range(std::begin(cases), std::end(cases)));
    std::string text;
    std::string format;
    if (one.file == "msr") {
        text =
            "128166372003061629,usr,0,Read,7014609920,24576,41286\n"
            "128166372016382155,usr,0,Write,1317441536,8192,1963\n";
        format = "msr";
    } else {
        std::ifstream file(sample(one.file), std::ios::binary);
        text.assign(std::istreambuf_iterator<char>(file), {});
        text = text.substr(text.find('\n', one.begin) + (one.begin == 0 ? 0 : 1));
        if (one.begin == 0) {
            file.clear();
            file.seekg(0);
            text.assign(std::istreambuf_iterator<char>(file), {});
        }
        ByteSource source(sample(one.file));
        format = recognise(source)->name;
    }
    text = text.substr(0, part);
    CAPTURE(one.file);
    std::size_t fine = 0;
    std::size_t refused = 0;
    const MemoryFile file;
    const auto attempt = [&](const std::string& damaged, bool forgiving) {
        file.write(damaged);
        ImportOptions options;
        options.lenient = forgiving;
        options.working_directory = "/srv/lab";
        const Imported result = import_file(file.path(), options, format);
        // What is no Error has passed a Writer, which throws something else at what it refuses.
        (result.error.empty() ? fine : refused) += 1;
        return result.records.size();
    };
    const std::size_t whole = attempt(text, true);
    CHECK(whole > 1);
    for (std::size_t length = 0; length < text.size(); ++length) {
        const std::size_t some = attempt(text.substr(0, length), true);
        REQUIRE(some <= whole);
    }
    CHECK(fine > 0);
    CHECK(refused > 0);  // a file without a single record is an error even to the lenient
    std::uint32_t state = 12'345;
    for (std::size_t at = 0; at < text.size(); ++at) {
        state = state * 1'664'525 + 1'013'904'223;
        std::string damaged = text;
        damaged[at] = static_cast<char>(damaged[at] ^ (1U << (state >> 29)));
        attempt(damaged, (state >> 13) % 2 == 0);
    }
}
