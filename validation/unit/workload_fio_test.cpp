#include "config/error.h"
#include "workload/fio_job.h"

#include <catch2/catch.hpp>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

using fusesim::config::Error;
using namespace fusesim::workload;
using namespace fusesim::sim::literals;

namespace {

/// A job file for as long as one test needs it.
class WrittenJob {
  public:
    explicit WrittenJob(const std::string& text)
        : path_("fusesim-job-" + std::to_string(getpid()) + ".fio") {
        std::ofstream(path_) << text;
    }

    ~WrittenJob() { std::remove(path_.c_str()); }

    WrittenJob(const WrittenJob&) = delete;
    WrittenJob& operator=(const WrittenJob&) = delete;

    FileWorkload read(const std::string& section = "") const {
        return read_fio_job(path_, section);
    }

    /// What reading it complains of: line, column and text.
    std::string complaint(const std::string& section = "") const {
        try {
            read(section);
        } catch (const Error& error) {
            const std::string text = error.what();
            return text.substr(text.find(path_) + path_.size() + 1);
        }
        return "none";
    }

  private:
    std::string path_;
};

FileWorkload read_job(const std::string& options) {
    return WrittenJob("[job]\nsize=1m\n" + options).read();
}

std::string complaint_of(const std::string& options) {
    return WrittenJob("[job]\nsize=1m\n" + options).complaint();
}

using Pattern = OperationConfig::Pattern;

}  // namespace

TEST_CASE("fio job: what is not said is fio's default") {
    const FileWorkload job = read_job("");
    const NativeConfig& native = job.operations;
    REQUIRE(native.operations.size() == 1);
    CHECK(native.operations[0].op == Op::read);
    CHECK(native.operations[0].size.count == 4096);
    CHECK(native.operations[0].pattern == Pattern::sequential);
    CHECK(native.threads == 1);
    CHECK(native.files.count == 1);
    CHECK(native.files.size.count == 1u << 20);
    CHECK_FALSE(native.direct);
    CHECK(native.cache == NativeConfig::Cache::cold);
    CHECK(job.steps == std::uint64_t{256});
    CHECK_FALSE(job.duration);
}

TEST_CASE("fio job: a job has what [global] said above it, and its own") {
    const WrittenJob file(
        "; a comment\n"
        "[global]\nbs=8k\nsize = 64k   # fio takes this for a comment\nrw=write\n\n"
        "[first]\nbs=16k\n[global]\nnumjobs=3\n[second]\nrw=randwrite\n");
    CHECK(file.complaint() ==
          "11:1: error: a second job: all threads here do the same\n"
          "  hint: workload.section: NAME says which job to take");
    const FileWorkload first = file.read("first");
    CHECK(first.operations.operations.at(0).size.count == 16'384);
    CHECK(first.operations.threads == 1);
    CHECK(first.steps == std::uint64_t{4});
    const FileWorkload second = file.read("second");
    CHECK(second.operations.operations.at(0).size.count == 8192);
    CHECK(second.operations.operations.at(0).op == Op::write);
    CHECK(second.operations.operations.at(0).pattern == Pattern::random);
    CHECK(second.operations.threads == 3);
    CHECK(second.steps == std::uint64_t{8});
    CHECK(file.complaint("third") == " error: no job [third]");
}

TEST_CASE("fio job: sizes are powers of 1024, but kib and its like powers of 1000") {
    const auto [text, bytes] = GENERATE(table<std::string, std::uint64_t>({{"512", 512},
                                                                           {"4k", 4096},
                                                                           {"4K", 4096},
                                                                           {"4kb", 4096},
                                                                           {"4kib", 4000},
                                                                           {"1.5k", 1536},
                                                                           {"1m", 1u << 20}}));
    CHECK(read_job("bs=" + text + "\n").operations.operations.at(0).size.count == bytes);
}

TEST_CASE("fio job: times take fio's units, and microseconds or seconds without one") {
    CHECK(read_job("thinktime=250\n").operations.think.mean() == 250_us);
    CHECK(read_job("thinktime=2ms\n").operations.think.mean() == 2_ms);
    const FileWorkload run = read_job("runtime=2m\nramp_time=5\ntime_based\n");
    CHECK(run.duration == 120_s);
    CHECK(run.warm_up == 5_s);
    CHECK_FALSE(run.steps);
    // The computed part is a part of the whole.
    const FileWorkload spins = read_job("thinktime=10ms\nthinktime_spin=4ms\n");
    CHECK(spins.operations.compute == 4_ms);
    CHECK(spins.operations.think.mean() == 6_ms);
}

TEST_CASE("fio job: a mix is drawn by share, over its sizes") {
    const NativeConfig mix =
        read_job("rw=randrw\nrwmixread=70\nbs=4k,8k\ndirect=1\nruntime=1\ntime_based=1\n")
            .operations;
    REQUIRE(mix.operations.size() == 2);
    CHECK(mix.order == NativeConfig::Order::random);
    CHECK(mix.operations[0].op == Op::read);
    CHECK(mix.operations[0].weight == 70);
    CHECK(mix.operations[1].op == Op::write);
    CHECK(mix.operations[1].weight == 30);
    CHECK(mix.operations[1].size.count == 8192);
    CHECK(read_job("rw=rw\nrwmixwrite=20\n").operations.operations[0].weight == 80);

    const NativeConfig sizes =
        read_job("rw=randwrite\nbssplit=4k/60:64k/30:1m/\nnumber_ios=1\n").operations;
    REQUIRE(sizes.operations.size() == 3);
    CHECK(sizes.operations[0].weight == 60);
    CHECK(sizes.operations[2].weight == 10);
    CHECK(sizes.operations[2].size.count == 1u << 20);
}

TEST_CASE("fio job: fsync comes after so many writes, and counts as a step") {
    const FileWorkload job = read_job("rw=write\nfsync=32\n");
    REQUIRE(job.operations.operations.size() == 2);
    CHECK(job.operations.operations[0].times == 32);
    CHECK(job.operations.operations[1].op == Op::fsync);
    CHECK(job.steps == std::uint64_t{256 + 8});

    OperationStream stream(job.operations, 0, 1);
    int writes = 0;
    for (int step = 1; step <= 3 * 33; ++step) {
        const Op op = stream.next().op;
        CHECK((op == Op::fsync) == (step % 33 == 0));
        writes += op == Op::write ? 1 : 0;
    }
    CHECK(writes == 96);
}

TEST_CASE("fio job: a rate is each thread's, in operations or bytes") {
    const NativeConfig iops = read_job("rate_iops=500\nnumjobs=4\n").operations;
    CHECK(iops.rate->per_second == 2000);
    CHECK(iops.arrival == NativeConfig::Arrival::even);
    const NativeConfig bytes = read_job("rate=1m\nbs=64k\nrate_process=poisson\n").operations;
    CHECK(bytes.rate->per_second == 16);
    CHECK(bytes.arrival == NativeConfig::Arrival::poisson);
}

TEST_CASE("fio job: how long it is follows from size, io_size, number_ios and loops") {
    CHECK(read_job("loops=3\n").steps == std::uint64_t{768});
    CHECK(read_job("io_size=64k\n").steps == std::uint64_t{16});
    CHECK(read_job("io_size=2m\n").steps == std::uint64_t{512});
    CHECK(read_job("number_ios=10\n").steps == std::uint64_t{10});
    CHECK(read_job("number_ios=1000\n").steps == std::uint64_t{256});
    CHECK(read_job("nrfiles=4\nrw=randread\n").operations.files.size.count == 1u << 18);
}

TEST_CASE("fio job: cores, caches and what has no influence") {
    const FileWorkload job = read_job(
        "cpus_allowed=0-2,5\ninvalidate=0\ngroup_reporting\nrandseed=7\nioengine=libaio\n"
        "iodepth=1\nfilename=f\n");
    CHECK(job.affinity == std::vector<unsigned>{0, 1, 2, 5});
    CHECK(job.operations.cache == NativeConfig::Cache::warm);
    CHECK(read_job("buffered=0\n").operations.direct);
}

TEST_CASE("fio job: what cannot be done here is refused by name and place") {
    const auto starts = [](const std::string& options, const std::string& wanted) {
        INFO(options);
        const std::string complaint = complaint_of(options);
        CHECK(complaint.substr(0, wanted.size()) == wanted);
    };
    starts("fdatasync=1\n", "3:1: error: 'fdatasync' is not known here");
    starts("verify=md5\n", "3:1: error: 'verify' is not known here");
    starts("ioengine=libaio\niodepth=16\n", "4:9: error: iodepth=16: a thread has one request");
    starts("ioengine=mmap\n", "3:10: error: ioengine=mmap: is no engine");
    starts("rw=trim\n", "3:4: error: rw=trim: is not known here");
    starts("rw=read:8\n", "3:4: error: rw=read:8: is not known here");
    starts("bs=1x\n", "3:4: error: bs=1x: is no size");
    starts("bs=2m\n", "3:4: error: bs=2m: blocks are larger than a file");
    starts("bssplit=4k/60:8k/60\n", "3:9: error: bssplit=4k/60:8k/60: its shares");
    starts("runtime=10\n", "3:9: error: runtime=10: ends the job only if");
    starts("rw=randrw\nrwmixwrite=0\n", "4:12: error: rwmixwrite=0: a share of a mix");
    starts("rw=randrw\nrate_iops=100\n", "4:11: error: rate_iops=100: is one for reads and one");
    starts("rate_iops=100\nthinktime=1ms\n", "4:11: error: thinktime=1ms: at a rate");
    starts("nrfiles=4\n", "3:9: error: nrfiles=4: fio takes the files in turn");
    starts("random_distribution=zipf:1.1\n", "3:21: error: random_distribution=zipf:1.1: only");
    starts("rw=randrw\nloops=2\n", "3:4: error: rw=randrw: when fio drops the cache");
    starts("include other.fio\n", "3:1: error: variables and includes");
    starts("directory=${HOME}\n", "3:1: error: variables and includes");
    starts("size=50%\n", "3:6: error: size=50%: shares and ranges");
    starts("numjobs=2\nfilename=f\n", "4:10: error: filename=f: each thread has files");
    CHECK(WrittenJob("[job]\nrw=read\n").complaint() ==
          "1:1: error: the job has no size\n  hint: size=1g");
    CHECK(WrittenJob("rw=read\n[job]\nsize=1m\n").complaint() ==
          "1:1: error: before the first [job]");
}
