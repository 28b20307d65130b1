#include "workload/fio_job.h"

#include "config/error.h"
#include "config/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <string_view>
#include <utility>

namespace fusesim::workload {

namespace {

using config::Error;
using config::Place;
using Pattern = OperationConfig::Pattern;

/// One `key=value` of a job file; a key alone is a switch.
struct FioOption {
    std::string key;
    std::string value;
    Place place;        ///< of the key
    Place value_place;  ///< of the value
};

using FioOptions = std::map<std::string, FioOption>;  // later ones replace earlier ones

/// Other names that fio has for the same.
constexpr std::pair<std::string_view, std::string_view> aliases[] = {
    {"readwrite", "rw"},
    {"blocksize", "bs"},
    {"io_limit", "io_size"},
    {"thinktime_us", "thinktime"},
    {"timeout", "runtime"},
    {"wait_for_previous", "stonewall"}};

/// What says nothing about the load: reports, and how the files come to be before it begins.
constexpr std::string_view without_effect[] = {"name",
                                               "description",
                                               "directory",
                                               "group_reporting",
                                               "stonewall",
                                               "new_group",
                                               "thread",
                                               "randseed",
                                               "randrepeat",
                                               "fallocate",
                                               "allrandrepeat",
                                               "exitall",
                                               "create_serialize",
                                               "write_bw_log",
                                               "write_lat_log",
                                               "write_iops_log",
                                               "log_avg_msec",
                                               "log_hist_msec",
                                               "log_offset",
                                               "percentile_list",
                                               "clat_percentiles",
                                               "lat_percentiles",
                                               "slat_percentiles",
                                               "disk_util",
                                               "gtod_reduce",
                                               "eta_newline",
                                               "unified_rw_reporting",
                                               "per_job_logs",
                                               "refill_buffers",
                                               "zero_buffers",
                                               "overwrite",
                                               "filename_format"};

constexpr std::string_view engines_of_calls[] = {"sync", "psync", "vsync", "pvsync", "pvsync2"};
constexpr std::string_view engines_in_flight[] = {"libaio", "posixaio", "io_uring"};

template <class List>
bool is_among(const List& list, std::string_view word) {
    return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

/// Without blanks around it, and as fio does, without a comment behind it.
std::string_view without_comment(std::string_view text) {
    return config::trimmed(text.substr(0, text.find_first_of(";#")));
}

int column_of(std::string_view line, std::string_view part) {
    return static_cast<int>(part.data() - line.data()) + 1;
}

/// The options of one job: those of [global] before it, then its own.
class FioJobFile {
  public:
    FioJobFile(const std::string& path, const std::string& section);

    FioOptions options;
    Place place;  ///< of the job's name

  private:
    static FioOption parse(const std::string& path, int number, std::string_view line);
};

FioOption FioJobFile::parse(const std::string& path, int number, std::string_view line) {
    const std::string_view text = without_comment(line);
    const std::size_t equals = std::min(text.find('='), text.size());
    const std::string_view key = config::trimmed(text.substr(0, equals));
    const std::string_view value = config::trimmed(text.substr(std::min(equals + 1, text.size())));
    FioOption option{std::string(key), std::string(value), {}, {}};
    option.place = {path, number, column_of(line, text)};
    option.value_place = {
        path, number, value.empty() ? option.place.column : column_of(line, value)};
    for (const auto& [other, name] : aliases) {
        option.key = option.key == other ? std::string(name) : option.key;
    }
    if (text.find("${") != std::string_view::npos || text.starts_with("include ")) {
        throw Error(option.place,
                    "variables and includes of job files are not known here",
                    "put the text there instead");
    }
    return option;
}

FioJobFile::FioJobFile(const std::string& path, const std::string& section) {
    std::ifstream file(path);
    if (!file) {
        throw Error({path}, "cannot read");
    }
    FioOptions global;
    bool in_global = false;
    bool chosen = false;
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
        const std::string_view text = without_comment(line);
        if (text.empty()) {
            continue;
        }
        if (text.front() == '[') {
            const Place here{path, number, column_of(line, text)};
            if (text.back() != ']') {
                throw Error(here, "a job's name ends with ]");
            }
            const std::string_view name = text.substr(1, text.size() - 2);
            in_global = name == "global";
            const bool wanted = !in_global && (section.empty() || name == section);
            if (wanted && place.line != 0) {
                throw Error(here,
                            "a second job: all threads here do the same",
                            "workload.section: NAME says which job to take");
            }
            chosen = wanted;
            if (wanted) {
                place = here;
                options = global;
            }
            continue;
        }
        FioOption option = parse(path, number, line);
        if (in_global) {
            global[option.key] = option;
        } else if (chosen) {
            options[option.key] = option;
        } else if (place.line == 0 && section.empty()) {
            throw Error(option.place, "before the first [job]");
        }
    }
    if (place.line == 0) {
        throw Error({path},
                    section.empty() ? "no job in the file" : fmt::format("no job [{}]", section));
    }
}

[[noreturn]] void refuse_option(const FioOption& option,
                                const std::string& why,
                                const std::string& hint = "") {
    throw Error(option.value_place,
                option.value.empty() ? fmt::format("{}: {}", option.key, why)
                                     : fmt::format("{}={}: {}", option.key, option.value, why),
                hint);
}

/// A number and its letters, as in "4k", "1.5", "30s".
double number_of(const FioOption& option, std::string_view text, std::string& unit) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || !(value >= 0) || !std::isfinite(value)) {
        refuse_option(option, "is no number");
    }
    unit = std::string(end, text.data() + text.size());
    std::transform(unit.begin(), unit.end(), unit.begin(), [](unsigned char c) {
        return static_cast<char>(std::tolower(c));
    });
    return value;
}

/// Powers of 1024, but with fio's default kb_base "kib" and its like are powers of 1000.
std::uint64_t size_of(const FioOption& option, std::string_view text) {
    std::string unit;
    const double value = number_of(option, text, unit);
    const double base = unit.ends_with("ib") ? 1000 : 1024;
    for (const std::string_view ending : {"ib", "b"}) {
        if (unit.ends_with(ending)) {
            unit.resize(unit.size() - ending.size());
            break;
        }
    }
    const std::size_t power = std::string_view("kmgtp").find(unit.empty() ? '-' : unit.front());
    if (unit.size() > 1 || (!unit.empty() && power == std::string_view::npos)) {
        refuse_option(option, "is no size such as 4k", "give bytes, k, m, g or t");
    }
    const double bytes =
        value * (unit.empty() ? 1 : std::pow(base, static_cast<double>(power + 1)));
    if (bytes < 1 || bytes > std::pow(2, 50)) {
        refuse_option(option, "is not a size between 1 byte and 1 PiB");
    }
    return static_cast<std::uint64_t>(bytes);
}

std::uint64_t size_of(const FioOption& option) {
    return size_of(option, option.value);
}

/// Without a unit it counts `initial` nanoseconds.
sim::Time time_of(const FioOption& option, double initial) {
    const std::map<std::string, double> units = {{"", initial},
                                                 {"us", 1e3},
                                                 {"usec", 1e3},
                                                 {"ms", 1e6},
                                                 {"msec", 1e6},
                                                 {"s", 1e9},
                                                 {"sec", 1e9},
                                                 {"m", 60e9},
                                                 {"h", 3600e9}};
    std::string unit;
    const double value = number_of(option, option.value, unit);
    const auto known = units.find(unit);
    constexpr double longest_ns = 86'400e9;  // a day, as everywhere in a scenario
    if (known == units.end() || value * known->second > longest_ns) {
        refuse_option(option, "is no time up to a day");
    }
    return sim::Time::from_seconds(value * known->second * 1e-9);
}

std::uint64_t count_of(const FioOption& option) {
    std::string unit;
    const double value = number_of(option, option.value, unit);
    if (!unit.empty() || value != std::floor(value) || value > 1e12) {
        refuse_option(option, "is no whole number");
    }
    return static_cast<std::uint64_t>(value);
}

bool is_set(const FioOption& option) {
    if (option.value.empty() || option.value == "1") {
        return true;
    }
    if (option.value != "0") {
        refuse_option(option, "is neither 0 nor 1");
    }
    return false;
}

/// Turns the options of one job into operations.
class FioJob {
  public:
    explicit FioJob(FioJobFile file) : file_(std::move(file)) {}

    FileWorkload read();

  private:
    struct Block {
        std::uint64_t size;
        double share;
    };

    const FioOption* take(const std::string& key) {
        const auto found = file_.options.find(key);
        if (found == file_.options.end()) {
            return nullptr;
        }
        taken_.push_back(key);
        return &found->second;
    }

    std::uint64_t count(const std::string& key, std::uint64_t initial) {
        const FioOption* const option = take(key);
        return option == nullptr ? initial : count_of(*option);
    }

    bool set(const std::string& key, bool initial) {
        const FioOption* const option = take(key);
        return option == nullptr ? initial : is_set(*option);
    }

    void engine();
    void files();
    void direction();
    void blocks();
    std::vector<Block> split(const FioOption& option);
    void cache();
    void pace();
    void length();
    void check_cold(bool once);
    void cores();
    void rest();

    FioJobFile file_;
    std::vector<std::string> taken_;
    FileWorkload workload_;
    std::uint64_t size_ = 0;  ///< of all files of one thread
    bool reads_ = true;
    bool writes_ = false;
    bool random_ = false;
    std::uint64_t block_ = 0;  ///< 0 if there are several sizes
    std::uint64_t largest_block_ = 0;
};

void FioJob::engine() {
    const FioOption* const engine = take("ioengine");
    const FioOption* const depth = take("iodepth");
    if (engine == nullptr || is_among(engines_of_calls, engine->value)) {
        return;  // one call at a time, whatever iodepth says
    }
    if (!is_among(engines_in_flight, engine->value)) {
        refuse_option(
            *engine, "is no engine that is known here", "sync, psync, libaio, io_uring, ...");
    }
    if (depth != nullptr && count_of(*depth) > 1) {
        refuse_option(*depth,
                      "a thread has one request in flight here",
                      "numjobs has as many in flight, each of a thread of its own");
    }
}

void FioJob::files() {
    NativeConfig& native = workload_.operations;
    const std::uint64_t jobs = count("numjobs", 1);
    if (jobs < 1 || jobs > 100'000) {
        refuse_option(file_.options.at("numjobs"), "is outside 1..100000");
    }
    native.threads = static_cast<unsigned>(jobs);
    if (const FioOption* const name = take("filename"); name != nullptr) {
        if (jobs > 1 || name->value.find(':') != std::string::npos) {
            refuse_option(*name, "each thread has files of its own here", "leave it out");
        }
    }
    const std::uint64_t files = count("nrfiles", 1);
    if (files < 1 || files > 10'000'000) {
        refuse_option(file_.options.at("nrfiles"), "is outside 1..10000000");
    }
    native.files.count = static_cast<unsigned>(files);
    const FioOption* const size = take("size");
    const FioOption* const file_size = take("filesize");
    if (size == nullptr && file_size == nullptr) {
        throw Error(file_.place, "the job has no size", "size=1g");
    }
    for (const FioOption* const option : {size, file_size}) {
        if (option != nullptr && option->value.find_first_of("%-,") != std::string::npos) {
            refuse_option(*option, "shares and ranges of sizes are not known here");
        }
    }
    size_ = size != nullptr ? size_of(*size) : size_of(*file_size) * files;
    native.files.size = config::Bytes{size_ / files};
    if (size != nullptr && file_size != nullptr && size_of(*file_size) != size_ / files) {
        refuse_option(*file_size, "is not size / nrfiles: part of a file is not known here");
    }
}

void FioJob::direction() {
    const FioOption* const direction = take("rw");
    const std::string word = direction == nullptr ? "read" : direction->value;
    constexpr std::string_view known[] = {
        "read", "write", "randread", "randwrite", "rw", "readwrite", "randrw"};
    if (!is_among(known, word)) {
        refuse_option(
            *direction, "is not known here", "read, write, randread, randwrite, rw or randrw");
    }
    random_ = word.starts_with("rand");
    reads_ = word != "write" && word != "randwrite";
    writes_ = word != "read" && word != "randread";
    const FioOption* const service = take("file_service_type");
    if (workload_.operations.files.count == 1) {
        return;
    }
    const std::string served = service == nullptr ? "roundrobin" : service->value;
    if (!random_ && served != "sequential") {
        refuse_option(service != nullptr ? *service : file_.options.at("nrfiles"),
                      "fio takes the files in turn, block by block, which is not known here",
                      "file_service_type=sequential, or random access");
    }
    if (random_ && served != "roundrobin" && served != "random") {
        refuse_option(*service, "with random access the files are taken at random here");
    }
}

std::vector<FioJob::Block> FioJob::split(const FioOption& option) {
    std::vector<Block> list;
    std::string_view text = option.value;
    double open = 0;
    double given = 0;
    while (!text.empty()) {
        const std::string_view part = text.substr(0, text.find(':'));
        text.remove_prefix(std::min(part.size() + 1, text.size()));
        const std::size_t slash = std::min(part.find('/'), part.size());
        Block block{size_of(option, part.substr(0, slash)), -1};
        const std::string_view share = part.substr(std::min(slash + 1, part.size()));
        std::string unit;
        if (!share.empty()) {
            block.share = number_of(option, share, unit);
            given += block.share;
        } else {
            ++open;
        }
        if (!unit.empty()) {
            refuse_option(option, "is no list such as 4k/60:64k/40");
        }
        list.push_back(block);
    }
    if (list.empty() || given > 100 || (open == 0 && given < 100)) {
        refuse_option(option, "its shares do not make 100 %");
    }
    for (Block& block : list) {
        block.share = block.share < 0 ? (100 - given) / open : block.share;
    }
    std::erase_if(list, [](const Block& block) { return block.share <= 0; });
    return list;
}

void FioJob::blocks() {
    NativeConfig& native = workload_.operations;
    std::vector<Block> read_blocks = {{4096, 100}};
    std::vector<Block> write_blocks = read_blocks;
    const FioOption* const size = take("bs");
    const FioOption* const list_of_sizes = take("bssplit");
    const FioOption* const sizes = list_of_sizes != nullptr ? list_of_sizes : size;
    if (size != nullptr) {
        const std::size_t comma = std::min(size->value.find(','), size->value.size());
        read_blocks = write_blocks = {{size_of(*size, size->value.substr(0, comma)), 100}};
        if (comma < size->value.size()) {
            write_blocks = {{size_of(*size, size->value.substr(comma + 1)), 100}};
        }
    }
    if (list_of_sizes != nullptr) {
        if (list_of_sizes->value.find(',') != std::string::npos) {
            refuse_option(*list_of_sizes, "one list each for reads and writes is not known here");
        }
        read_blocks = write_blocks = split(*list_of_sizes);
    }
    const bool no_map = set("norandommap", false);
    if (const FioOption* const kind = take("random_distribution"); kind != nullptr) {
        if (kind->value != "random") {
            refuse_option(*kind, "only evenly random access is known here");
        }
    }
    const FioOption* const read_share = take("rwmixread");
    const FioOption* const write_share = take("rwmixwrite");
    double reads = reads_ ? 100 : 0;
    if (reads_ && writes_) {
        reads = 50;
        if (const FioOption* const share = write_share != nullptr ? write_share : read_share;
            share != nullptr) {
            const auto percent = static_cast<double>(count_of(*share));
            if (percent < 1 || percent > 99) {
                refuse_option(*share, "a share of a mix lies between 1 and 99");
            }
            reads = share == read_share ? percent : 100 - percent;
        }
    }
    const auto add = [&](Op op, double percent, const std::vector<Block>& list) {
        for (const Block& block : list) {
            OperationConfig one;
            one.op = op;
            one.size = config::Bytes{block.size};
            one.pattern = !random_ ? Pattern::sequential
                          : no_map ? Pattern::uniform
                                   : Pattern::random;
            one.weight = percent * block.share / 100;
            if (block.size > native.files.size.count || block.size > (64u << 20)) {
                const std::string complaint = "blocks are larger than a file, or than 64 MiB";
                if (sizes == nullptr) {
                    throw Error(file_.place, complaint);
                }
                refuse_option(*sizes, complaint);
            }
            native.operations.push_back(one);
        }
    };
    if (reads_) {
        add(Op::read, reads, read_blocks);
    }
    if (writes_) {
        add(Op::write, 100 - reads, write_blocks);
    }
    native.order =
        native.operations.size() > 1 ? NativeConfig::Order::random : NativeConfig::Order::cycle;
    const bool one_size = std::all_of(
        native.operations.begin(), native.operations.end(), [&](const OperationConfig& each) {
            return each.size == native.operations.front().size;
        });
    block_ = one_size ? native.operations.front().size.count : 0;
    for (const OperationConfig& each : native.operations) {
        largest_block_ = std::max(largest_block_, each.size.count);
    }
    if (native.operations.size() == 1) {
        native.operations.front().weight = 1;
    }
    if (const FioOption* const every = take("fsync"); every != nullptr && count_of(*every) > 0) {
        if (reads_ || native.operations.size() > 1) {
            refuse_option(*every, "among reads and writes in random order this is not known here");
        }
        if (count_of(*every) > 1'000'000) {
            refuse_option(*every, "is outside 0..1000000");
        }
        native.operations.front().times = static_cast<unsigned>(count_of(*every));
        OperationConfig sync;
        sync.op = Op::fsync;
        native.operations.push_back(sync);
    }
}

void FioJob::cache() {
    NativeConfig& native = workload_.operations;
    native.direct = set("direct", false);
    if (const FioOption* const buffered = take("buffered"); buffered != nullptr) {
        native.direct = !is_set(*buffered);
    }
    // fio drops what is cached whenever it begins with its files anew.
    const bool invalidate = set("invalidate", true);
    native.cache = !invalidate || native.direct || !reads_ ? NativeConfig::Cache::warm
                                                           : NativeConfig::Cache::cold;
}

void FioJob::pace() {
    NativeConfig& native = workload_.operations;
    constexpr double us = 1e3;
    const FioOption* const think = take("thinktime");
    const FioOption* const spin = take("thinktime_spin");
    const sim::Time pause = think == nullptr ? sim::Time() : time_of(*think, us);
    native.compute = spin == nullptr ? sim::Time() : time_of(*spin, us);
    if (native.compute > pause) {
        refuse_option(*spin, "is the part of thinktime that is computed, and longer than that");
    }
    native.think = sim::Distribution::constant(pause - native.compute);
    if (const FioOption* const blocks = take("thinktime_blocks");
        blocks != nullptr && count_of(*blocks) != 1) {
        refuse_option(*blocks, "a thread thinks before each block here");
    }
    const FioOption* const iops = take("rate_iops");
    const FioOption* const rate = take("rate");
    if (iops != nullptr && iops->value.find(',') == std::string::npos) {
        native.rate = config::Rate{static_cast<double>(count_of(*iops)) * native.threads};
    } else if (iops != nullptr) {
        refuse_option(*iops, "rates of reads and writes apart are not known here");
    }
    if (rate != nullptr) {
        if (block_ == 0 || iops != nullptr || rate->value.find(',') != std::string::npos) {
            refuse_option(*rate,
                          "is known here for blocks of one size only, and without rate_iops");
        }
        native.rate = config::Rate{static_cast<double>(size_of(*rate)) /
                                   static_cast<double>(block_) * native.threads};
    }
    native.arrival = NativeConfig::Arrival::even;
    if (const FioOption* const process = take("rate_process"); process != nullptr) {
        if (process->value != "linear" && process->value != "poisson") {
            refuse_option(*process, "is neither linear nor poisson");
        }
        native.arrival = process->value == "poisson" ? NativeConfig::Arrival::poisson
                                                     : NativeConfig::Arrival::even;
    }
    if (!native.rate) {
        return;
    }
    const FioOption& given = iops != nullptr ? *iops : *rate;
    if (!(native.rate->per_second > 0)) {
        refuse_option(given, "is no rate");
    }
    if (reads_ && writes_) {
        refuse_option(given, "is one for reads and one for writes in fio, which is not known here");
    }
    if (think != nullptr) {
        refuse_option(*think, "at a rate this is not known here");
    }
    if (native.operations.back().op == Op::fsync) {
        refuse_option(file_.options.at("fsync"), "at a rate this is not known here");
    }
}

/// A cold cache is dropped when a read of the list begins its blocks anew, which must be when fio
/// begins the files anew. `once`: it never does.
void FioJob::check_cold(bool once) {
    const NativeConfig& native = workload_.operations;
    if (native.cache != NativeConfig::Cache::cold) {
        return;
    }
    const auto refuse_cold = [this](const std::string& key) {
        refuse_option(file_.options.at(key),
                      "when fio drops the cache is not known here",
                      "direct=1 or invalidate=0");
    };
    const auto reads = std::count_if(native.operations.begin(),
                                     native.operations.end(),
                                     [](const auto& one) { return one.op == Op::read; });
    if (reads > 1) {
        refuse_cold("bssplit");
    }
    if (!once && writes_) {
        refuse_cold("rw");
    }
    if (!once && native.operations.front().pattern == Pattern::uniform) {
        refuse_cold("norandommap");
    }
}

void FioJob::length() {
    constexpr double seconds = 1e9;
    const FioOption* const runtime = take("runtime");
    const FioOption* const ramp = take("ramp_time");
    if (const FioOption* const delay = take("startdelay");
        delay != nullptr && time_of(*delay, seconds) > sim::Time()) {
        refuse_option(*delay, "all threads begin at once here");
    }
    const bool time_based = set("time_based", false);
    const std::uint64_t loops = count("loops", 1);
    const FioOption* const io_size = take("io_size");
    const FioOption* const ios = take("number_ios");
    workload_.warm_up = ramp == nullptr ? sim::Time() : time_of(*ramp, seconds);
    if (time_based) {
        if (runtime == nullptr || time_of(*runtime, seconds) == sim::Time()) {
            throw Error(file_.place, "time_based needs a runtime");
        }
        workload_.duration = time_of(*runtime, seconds);
        for (const FioOption* const option : {io_size, ios}) {
            if (option != nullptr) {
                refuse_option(*option, "with time_based, only the time may end the job here");
            }
        }
        check_cold(false);
        return;
    }
    if (runtime != nullptr) {
        refuse_option(
            *runtime,
            "ends the job only if its data are not through before, which is not known here",
            "time_based, or no runtime");
    }
    if (ramp != nullptr) {
        refuse_option(*ramp, "needs time_based here");
    }
    const std::uint64_t bytes = io_size == nullptr ? size_ : size_of(*io_size);
    std::uint64_t steps = block_ > 0 ? bytes / block_ : 0;
    if (ios != nullptr && block_ > 0) {
        steps = std::min(steps, count_of(*ios));
    } else if (ios != nullptr) {
        steps = count_of(*ios);
        if (steps > bytes / largest_block_) {
            refuse_option(
                *ios, "the job's size may end it before, which is not known here", "more size");
        }
    } else if (block_ == 0) {
        throw Error(file_.place, "blocks of several sizes need time_based or number_ios here");
    }
    check_cold(loops == 1 && bytes <= size_);
    constexpr std::uint64_t most = 1'000'000'000'000;  // as of run.operations
    if (steps == 0 || loops == 0 || steps > most / loops) {
        throw Error(file_.place, "the job does nothing, or too much");
    }
    steps *= loops;
    if (workload_.operations.operations.back().op == Op::fsync) {
        steps += steps / workload_.operations.operations.front().times;
    }
    workload_.steps = steps;
}

void FioJob::cores() {
    const FioOption* const allowed = take("cpus_allowed");
    if (allowed == nullptr) {
        return;
    }
    workload_.affinity.emplace();
    std::string_view text = allowed->value;
    while (!text.empty()) {
        const std::string_view part = text.substr(0, text.find(','));
        text.remove_prefix(std::min(part.size() + 1, text.size()));
        unsigned first = 0;
        const char* const end = part.data() + part.size();
        auto parsed = std::from_chars(part.data(), end, first);
        unsigned last = first;
        if (parsed.ec == std::errc() && parsed.ptr != end && *parsed.ptr == '-') {
            parsed = std::from_chars(parsed.ptr + 1, end, last);
        }
        if (parsed.ec != std::errc() || parsed.ptr != end || last < first || last > 1023) {
            refuse_option(*allowed, "is no list of cores such as 0-2,5");
        }
        for (unsigned core = first; core <= last; ++core) {
            workload_.affinity->push_back(core);
        }
    }
}

/// Whatever was not asked for is not known.
void FioJob::rest() {
    for (const auto& [key, option] : file_.options) {
        if (is_among(taken_, key) || is_among(without_effect, key)) {
            continue;
        }
        throw Error(option.place,
                    fmt::format("'{}' is not known here", key),
                    "model/workload/README.md lists what is");
    }
}

FileWorkload FioJob::read() {
    engine();
    files();
    direction();
    blocks();
    cache();
    pace();
    length();
    cores();
    rest();
    return std::move(workload_);
}

}  // namespace

FileWorkload read_fio_job(const std::string& path, const std::string& section) {
    return FioJob(FioJobFile(path, section)).read();
}

}  // namespace fusesim::workload
