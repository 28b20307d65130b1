#include "commands.h"
#include "config/error.h"
#include "progress.h"
#include "trace/anonymise.h"
#include "trace/content_hash.h"
#include "trace/import.h"
#include "trace/iolog_writer.h"
#include "trace/names.h"
#include "trace/reader.h"
#include "trace/stats.h"
#include "trace/text.h"
#include "trace/writer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace fusesim::commands {

namespace {

using trace::Form;
using trace::Reader;
using trace::Record;
using trace::Writer;

// What a signal must remove; empty if nothing.
char unfinished_path[4096];

extern "C" void remove_unfinished(int signal) {
    if (unfinished_path[0] != '\0') {
        unlink(unfinished_path);
    }
    std::signal(signal, SIG_DFL);
    raise(signal);
}

/// Where a command writes: a file beside the real one that takes its name only once it is whole.
class SafeOutput {
  public:
    explicit SafeOutput(const std::string& path) : path_(path), writing_(path) {
        struct stat about {};

        const bool special = stat(path.c_str(), &about) == 0 && !S_ISREG(about.st_mode);
        if (path == "-" || special) {
            return;
        }
        writing_ = fmt::format("{}.unfinished-{}", path, getpid());
        if (writing_.size() < sizeof unfinished_path) {
            std::memcpy(unfinished_path, writing_.c_str(), writing_.size() + 1);
        }
        for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
            std::signal(signal, remove_unfinished);
        }
    }

    SafeOutput(const SafeOutput&) = delete;
    SafeOutput& operator=(const SafeOutput&) = delete;

    ~SafeOutput() {
        if (writing_ != path_) {
            unlink(writing_.c_str());
            unfinished_path[0] = '\0';
        }
    }

    const std::string& writing() const { return writing_; }

    void keep() {
        if (writing_ == path_) {
            return;
        }
        if (std::rename(writing_.c_str(), path_.c_str()) != 0) {
            throw config::Error({path_}, std::string("cannot create: ") + std::strerror(errno));
        }
        unfinished_path[0] = '\0';
        writing_ = path_;
    }

  private:
    std::string path_;
    std::string writing_;
};

/// Shows progress now and then: asking at each record would cost more than reading it.
class Steps {
  public:
    explicit Steps(const std::string& what) : progress_(what) {}

    template <class Share>
    void step(const Share& share) {
        if (++records_ % 65'536 == 0) {
            progress_.show(share());
        }
    }

  private:
    Progress progress_;
    std::uint64_t records_ = 0;
};

void print_warnings(const Reader& reader) {
    for (const std::string& warning : reader.warnings()) {
        fmt::print(stderr, "warning: {}\n", warning);
    }
}

Form form_of(const std::string& to, const std::string& path) {
    if (!to.empty()) {
        return to == "text" ? Form::text : Form::binary;
    }
    return path == "-" || path.ends_with(".txt") ? Form::text : Form::binary;
}

// A text trace declares its columns before its records: this is why the input is read twice.
std::vector<trace::Column> used_columns(const std::string& path, bool lenient) {
    struct stat about {};

    if (path == "-" || stat(path.c_str(), &about) != 0 || !S_ISREG(about.st_mode)) {
        return {};
    }
    Reader reader(path, {lenient});
    trace::UsedColumns used;
    Steps steps("columns of " + path);
    Record record;
    while (reader.next(record)) {
        used.add(record);
        steps.step([&] { return reader.progress(); });
    }
    return used.list();
}

// Whatever a writer refuses comes from a defect of the input that the reader cannot see.
void add(Writer& writer, const Record& record, const config::Place& place) {
    try {
        writer.add(record);
    } catch (const std::invalid_argument& refused) {
        throw config::Error(place, refused.what());
    }
}

struct Rewrite {
    std::string in;
    std::string out;
    std::string to;
    std::string directory;  ///< of a fio iolog
    bool lenient = false;

    bool to_iolog() const { return to == "fio-iolog" || (to.empty() && out.ends_with(".iolog")); }
};

/// Where the files of an iolog lie: as told, or where they were recorded.
std::string iolog_directory(const Rewrite& files, const trace::Header& header) {
    for (const auto& [key, value] : header.facts) {
        if (files.directory.empty() && key == "mount.point") {
            return value;
        }
    }
    return files.directory;
}

void finish(trace::IologWriter& writer, const std::string& path) {
    writer.finish();
    for (const auto& [kind, count] : writer.left_out()) {
        fmt::print(stderr, "left out: {:>8}  {}\n", count, kind);
    }
    if (writer.callers() > 1) {
        fmt::print(stderr,
                   "warning: {} threads became one job, which issues their calls in turn\n",
                   writer.callers());
    }
    if (writer.written() == 0) {
        throw config::Error({path}, "nothing in the trace can be said in a fio iolog");
    }
}

/// Copies a trace record by record, `change` in between. The result's header is the input's as
/// `change_header` makes it.
template <class Change, class ChangeHeader>
void rewrite(const Rewrite& files, Change change, ChangeHeader change_header) {
    trace::WriteOptions options;
    options.form = form_of(files.to, files.out);
    if (options.form == Form::text) {
        options.columns = used_columns(files.in, files.lenient);
    }
    SafeOutput output(files.out);
    Reader reader(files.in, {files.lenient});
    trace::Header header = reader.header();
    change_header(header);
    Writer writer(output.writing(), header, options);
    Steps steps("write " + files.out);
    Record record;
    while (reader.next(record)) {
        change(record);
        add(writer, record, reader.place());
        steps.step([&] { return reader.progress(); });
    }
    writer.header() = reader.header();
    change_header(writer.header());
    writer.finish();
    output.keep();
    print_warnings(reader);
}

void print_report(const trace::ImportReport& report, const trace::Importer& importer) {
    fmt::print(stderr,
               "{}: {} lines, {} records, {} requests without reply, {} replies without request\n",
               importer.name,
               report.lines,
               report.records,
               report.unanswered,
               report.orphans);
    if (report.lost > 0) {
        fmt::print(stderr, "warning: the tracer lost {} events\n", report.lost);
    }
    if (report.other_connections > 0) {
        fmt::print(stderr, "{} lines of other connections left out\n", report.other_connections);
    }
    for (const auto& [kind, count] : report.left_out) {
        fmt::print(stderr, "left out: {:>8}  {}\n", count, kind);
    }
    for (const std::string& warning : report.warnings) {
        fmt::print(stderr, "warning: {}\n", warning);
    }
    if (report.unknown > 0) {
        fmt::print(stderr, "warning: {} lines not understood:\n", report.unknown);
        for (const auto& [kind, count] : report.kinds) {
            fmt::print(stderr, "  {:>8}  {}\n", count, kind);
        }
    }
}

// Every option must have something to act on.
void check_options(const trace::ImportOptions& how, const trace::Importer* importer) {
    const std::string format = importer == nullptr ? "fusesim" : std::string(importer->name);
    const bool calls = importer != nullptr && importer->layer == trace::Layer::syscall;
    const std::tuple<bool, bool, const char*> given[] = {
        {how.connection.has_value(),
         format == "tracefs" || format == "perf-script",
         "--connection"},
        {!how.mount.empty(), calls, "--mount"},
        {!how.working_directory.empty(), format == "strace" || format == "fio-iolog", "--cwd"},
        {how.iolog_wait != trace::IologWait::fio, format == "fio-iolog", "--iolog-wait"},
        {!how.columns.empty(), format == "csv", "--columns"},
    };
    for (const auto& [set, fits, name] : given) {
        if (set && !fits) {
            throw config::Error(
                {"command line"},
                fmt::format("{} says nothing about a trace of format {}", name, format),
                "leave it out, or tell the format with --from");
        }
    }
}

void import(const Rewrite& files, const std::string& from, const trace::ImportOptions& how) {
    trace::ByteSource source(files.in, files.lenient);
    if (source.peek(1).empty()) {
        source.fail("the file is empty", "a trace has at least one request");
    }
    const trace::Importer* const importer =
        from.empty() ? trace::recognise(source) : trace::find_importer(from);
    if (importer == nullptr) {
        std::string known = "fusesim";
        for (const trace::Importer& each : trace::importers()) {
            known += fmt::format(", {}", each.name);
        }
        source.fail("the format is not recognised", "known formats: " + known);
    }
    check_options(how, importer);
    SafeOutput output(files.out);
    trace::Header header;
    header.tool = fmt::format("fusesim {}", FUSESIM_VERSION);
    // Made with the first record, when the header is as complete as the format allows.
    std::unique_ptr<Writer> writer;
    std::unique_ptr<trace::IologWriter> iolog;
    Steps steps("import " + files.in);
    const auto sink = [&](const Record& record) {
        steps.step([&] { return source.progress(); });
        if (files.to_iolog()) {
            if (!iolog) {
                iolog = std::make_unique<trace::IologWriter>(
                    output.writing(), header, iolog_directory(files, header));
            }
            iolog->add(record);
            return;
        }
        if (!writer) {
            trace::WriteOptions options;
            options.form = form_of(files.to, files.out);
            options.columns = importer->columns;
            writer = std::make_unique<Writer>(output.writing(), header, options);
        }
        add(*writer, record, {source.path(), source.line_number(), 1});
    };
    const trace::ImportReport report = importer->run(source, header, sink, how);
    print_report(report, *importer);
    if (iolog) {
        finish(*iolog, files.out);
    } else {
        writer->header() = header;
        writer->finish();
    }
    output.keep();
}

/// Writes an own trace as a fio iolog.
void to_iolog(const Rewrite& files) {
    SafeOutput output(files.out);
    Reader reader(files.in, {files.lenient});
    trace::IologWriter writer(
        output.writing(), reader.header(), iolog_directory(files, reader.header()));
    Steps steps("write " + files.out);
    Record record;
    while (reader.next(record)) {
        writer.add(record);
        steps.step([&] { return reader.progress(); });
    }
    finish(writer, files.out);
    output.keep();
    print_warnings(reader);
}

void convert(const Rewrite& files, const std::string& from, const trace::ImportOptions& how) {
    if (!files.directory.empty() && !files.to_iolog()) {
        throw config::Error({"command line"},
                            "--directory is for --to fio-iolog",
                            "--mount takes away what stands in front of a path");
    }
    if (from.empty() && files.in == "-") {
        throw config::Error({"command line"},
                            "--from is needed for standard input",
                            "for example --from tracefs, or --from fusesim for an own trace");
    }
    if (from == "fusesim" || (from.empty() && trace::is_trace(files.in))) {
        check_options(how, nullptr);
        if (files.to_iolog()) {
            to_iolog(files);
            return;
        }
        rewrite(
            files, [](Record&) {}, [](trace::Header&) {});
    } else {
        import(files, from, how);
    }
}

void head(const std::string& path, std::uint64_t count, bool lenient) {
    Reader reader(path, {lenient});
    std::vector<Record> records;
    trace::UsedColumns used;
    Record record;
    while (records.size() < count && reader.next(record)) {
        used.add(record);
        records.push_back(record);
    }
    const trace::TextEncoder encoder(reader.header().layer, used.list());
    std::string text = encoder.head(reader.header());
    for (const Record& each : records) {
        encoder.add(each, text);
    }
    std::fwrite(text.data(), 1, text.size(), stdout);
    print_warnings(reader);
}

nlohmann::ordered_json spans_json(const trace::Spans& spans) {
    return {{"mean", spans.mean_s()},
            {"p50", spans.quantile_s(0.5)},
            {"p95", spans.quantile_s(0.95)},
            {"p99", spans.quantile_s(0.99)},
            {"p999", spans.quantile_s(0.999)},
            {"max", spans.max_s()}};
}

nlohmann::ordered_json stats_json(const Reader& reader, const trace::Stats& stats) {
    nlohmann::ordered_json out = {
        {"schema_version", 1},
        {"layer", trace::layer_name(reader.header().layer)},
        {"records", stats.records()},
        {"duration_s", stats.duration_s()},
        {"lost", reader.header().lost},
    };
    if (reader.content_hash()) {
        out["content"] = trace::hash_text(*reader.content_hash());
    }
    out["opcodes"] = nlohmann::ordered_json::object();
    for (const auto& [number, opcode] : stats.opcodes()) {
        nlohmann::ordered_json one = {{"count", opcode.count},
                                      {"errors", opcode.errors},
                                      {"background", opcode.background},
                                      {"bytes_in", opcode.bytes_in},
                                      {"bytes_out", opcode.bytes_out}};
        if (opcode.latency.count() > 0) {
            one["latency_s"] = spans_json(opcode.latency);
        }
        if (opcode.queue.count() > 0) {
            one["phases_s"] = {{"queue", opcode.queue.mean_s()},
                               {"processing", opcode.processing.mean_s()},
                               {"reply", opcode.reply.mean_s()}};
        }
        out["opcodes"][trace::opcode_text(reader.header().layer, number)] = std::move(one);
    }
    return out;
}

std::string time_text(double seconds) {
    for (const auto& [unit, factor] :
         {std::pair("ns", 1e9), std::pair("us", 1e6), std::pair("ms", 1e3)}) {
        if (seconds * factor < 1000) {
            const double value = seconds * factor;
            return fmt::format("{:.{}f} {}", value, value < 10 ? 2 : value < 100 ? 1 : 0, unit);
        }
    }
    return fmt::format("{:.2f} s", seconds);
}

void print_stats(const Reader& reader, const trace::Stats& stats) {
    const trace::Header& header = reader.header();
    fmt::print("layer {}, {} records in {}",
               trace::layer_name(header.layer),
               stats.records(),
               time_text(stats.duration_s()));
    if (header.lost > 0) {
        fmt::print(", {} events lost", header.lost);
    }
    fmt::print("\n");
    for (const auto& [key, value] : {std::pair("tool", header.tool),
                                     std::pair("kernel", header.kernel),
                                     std::pair("started", header.started)}) {
        if (!value.empty()) {
            fmt::print("{} {}\n", key, value);
        }
    }
    fmt::print("\n{:<16} {:>9} {:>7} {:>10} {:>10} {:>10} {:>10}\n",
               "",
               "count",
               "errors",
               "mean",
               "p50",
               "p99",
               "max");
    for (const auto& [number, opcode] : stats.opcodes()) {
        fmt::print("{:<16} {:>9} {:>7}",
                   trace::opcode_text(header.layer, number),
                   opcode.count,
                   opcode.errors);
        if (opcode.latency.count() > 0) {
            fmt::print(" {:>10} {:>10} {:>10} {:>10}",
                       time_text(opcode.latency.mean_s()),
                       time_text(opcode.latency.quantile_s(0.5)),
                       time_text(opcode.latency.quantile_s(0.99)),
                       time_text(opcode.latency.max_s()));
        } else {
            fmt::print(" {:>10} {:>10} {:>10} {:>10}", "-", "-", "-", "-");
        }
        fmt::print("\n");
    }
}

void stats(const std::string& path, const std::string& json, bool lenient) {
    Reader reader(path, {lenient});
    trace::Stats stats;
    Steps steps("count " + path);
    Record record;
    while (reader.next(record)) {
        stats.add(record);
        steps.step([&] { return reader.progress(); });
    }
    if (json.empty()) {
        print_stats(reader, stats);
    } else if (json == "-") {
        fmt::print("{}\n", stats_json(reader, stats).dump(2));
    } else {
        SafeOutput output(json);
        std::ofstream file(output.writing());
        file << stats_json(reader, stats).dump(2) << '\n';
        file.close();
        if (!file) {
            throw config::Error({json}, "cannot write");
        }
        output.keep();
    }
    print_warnings(reader);
}

trace::Key parse_key(const std::string& text) {
    trace::Key key{};
    if (text.empty()) {
        if (getentropy(key.data(), key.size()) != 0) {
            throw Unavailable("no random numbers: give --key HEX");
        }
        return key;
    }
    const bool fine = text.size() == 2 * key.size() &&
                      text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
    if (!fine) {
        throw config::Error(
            {"command line"},
            fmt::format("--key '{}' is not 32 hexadecimal digits", text.substr(0, 64)),
            "make one with: openssl rand -hex 16");
    }
    for (std::size_t i = 0; i < key.size(); ++i) {
        key[i] = static_cast<std::uint8_t>(std::stoul(text.substr(2 * i, 2), nullptr, 16));
    }
    return key;
}

void anonymise(const Rewrite& files, const std::string& key, bool keep_extensions) {
    trace::Anonymiser anonymiser(parse_key(key), keep_extensions);
    trace::Layer layer = trace::Layer::fuse;
    rewrite(
        files,
        [&](Record& record) { anonymiser.apply(record, layer); },
        [&](trace::Header& header) {
            layer = header.layer;
            anonymiser.apply(header);
        });
}

// What the options of all four subcommands are kept in until the program runs them.
struct TraceOptions {
    Rewrite files;
    std::string path;
    std::string from;
    std::string key;
    std::string json;
    trace::ImportOptions import;
    std::string iolog_wait;
    std::uint64_t count = 10;
    bool keep_extensions = false;
};

std::string formats_help() {
    std::string text = "fusesim (own traces, text or binary)";
    for (const trace::Importer& importer : trace::importers()) {
        text += fmt::format("; {} ({})", importer.name, importer.what);
    }
    return text;
}

constexpr const char* lenient_help =
    "go on past damage: take what a cut-off or partly understood file still holds, and say what "
    "was left out";

std::string absolute(const std::string& path) {
    return path.starts_with('/') ? "" : "not an absolute path: " + path;
}

void add_files(CLI::App& command,
               Rewrite& files,
               const std::vector<std::string>& forms,
               const std::string& forms_help) {
    command.add_option("IN", files.in, "trace to read; - is standard input")->required();
    command
        .add_option("OUT",
                    files.out,
                    "trace to write; - is standard output. Appears only once it is complete")
        ->required();
    command
        .add_option("--to",
                    files.to,
                    "form of OUT; without it, text if OUT ends in .txt or is -" + forms_help +
                        ", else binary")
        ->check(CLI::IsMember(forms));
    command.add_flag("--lenient", files.lenient, lenient_help);
}

}  // namespace

void add_trace(CLI::App& program, int& status) {
    CLI::App& trace = *program.add_subcommand(
        "trace", "Convert, look into, count and anonymise traces (format: model/trace/README.md)");
    trace.require_subcommand(1);
    const auto options = std::make_shared<TraceOptions>();
    const auto done = [&status] { status = fine; };

    CLI::App& convert_app = *trace.add_subcommand(
        "convert", "Read a trace of any known format and write it as text or binary");
    add_files(convert_app,
              options->files,
              {"text", "binary", "fio-iolog"},
              ", fio-iolog (for fio --read_iolog) if it ends in .iolog");
    convert_app
        .add_option("--directory",
                    options->files.directory,
                    "where the files of a fio iolog lie; without it, where they were recorded")
        ->check(absolute);
    std::vector<std::string> formats = {"fusesim"};
    for (const trace::Importer& importer : trace::importers()) {
        formats.emplace_back(importer.name);
    }
    convert_app
        .add_option(
            "--from", options->from, "format of IN, recognised without it: " + formats_help())
        ->check(CLI::IsMember(formats));
    convert_app.add_option("--connection",
                           options->import.connection,
                           "the FUSE connection to take from an input that mixes several");
    convert_app
        .add_option("--mount",
                    options->import.mount,
                    "of system calls, take those on paths below this directory, and write the "
                    "paths as seen from there")
        ->check(absolute);
    convert_app
        .add_option("--cwd",
                    options->import.working_directory,
                    "directory in which the traced program began, where strace ran without -y")
        ->check(absolute);
    convert_app
        .add_option("--iolog-wait",
                    options->iolog_wait,
                    "what 'wait N' means in a fio iolog of version 2: fio (what fio does: until N "
                    "ms after its start; taken without this option) or howto (what its manual "
                    "says: N us from the last wait)")
        ->check(CLI::IsMember({"fio", "howto"}));
    convert_app.add_option(
        "--columns",
        options->import.columns,
        "what the columns of a csv file are, in their order: ts:UNIT (s, ms, us, ns, 100ns), op, "
        "offset, size (:sectors if they count 512 bytes), disk, name, caller, response:UNIT, or - "
        "for any other; for example ts:us,op,offset,size");
    convert_app.footer(
        "Example, as root, from a private tracing instance:\n"
        "  mkdir /sys/kernel/tracing/instances/mine\n"
        "  echo 1 > /sys/kernel/tracing/instances/mine/events/fuse/enable\n"
        "  cat /sys/kernel/tracing/instances/mine/trace_pipe > fuse.log   # until Ctrl-C\n"
        "  fusesim trace convert fuse.log fuse.trace\n"
        "\n"
        "Example, without being root, of the calls that a program makes on a mount:\n"
        "  strace -f -ttt -T -y -s 0 -e trace=%file,%desc,%process -o app.strace PROGRAM\n"
        "  fusesim trace convert --mount /mnt/point app.strace app.trace");
    convert_app.callback([options, done] {
        options->import.lenient = options->files.lenient;
        if (options->iolog_wait == "howto") {
            options->import.iolog_wait = trace::IologWait::howto;
        }
        convert(options->files, options->from, options->import);
        done();
    });

    CLI::App& head_app =
        *trace.add_subcommand("head", "Print the header and the first records as a text trace");
    head_app.add_option("TRACE", options->path, "trace to read; - is standard input")->required();
    head_app.add_option("-n,--records", options->count, "how many records")
        ->capture_default_str()
        ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1'000'000}));
    head_app.add_flag("--lenient", options->files.lenient, lenient_help);
    head_app.callback([options, done] {
        head(options->path, options->count, options->files.lenient);
        done();
    });

    CLI::App& stats_app =
        *trace.add_subcommand("stats", "Count requests, errors, bytes and latency by opcode");
    stats_app.add_option("TRACE", options->path, "trace to read; - is standard input")->required();
    stats_app.add_option("--json", options->json, "write JSON to this file; - is standard output");
    stats_app.add_flag("--lenient", options->files.lenient, lenient_help);
    stats_app.footer(
        "Latency runs from queued until the waiting caller runs again or, where the trace does "
        "not\n"
        "say, until the request ended.");
    stats_app.callback([options, done] {
        stats(options->path, options->json, options->files.lenient);
        done();
    });

    CLI::App& anonymise_app = *trace.add_subcommand(
        "anonymise", "Replace every name by a keyed hash; the shape of the tree stays");
    add_files(anonymise_app, options->files, {"text", "binary"}, "");
    anonymise_app.add_option("--key",
                             options->key,
                             "32 hexadecimal digits; the same key gives the same hashes again. "
                             "Without it, random and forgotten");
    anonymise_app.add_flag(
        "--keep-extensions",
        options->keep_extensions,
        "leave what follows a name's last dot readable (up to 8 letters, digits)");
    anonymise_app.footer(
        "Each component of a path is hashed with SipHash; . and .. and the system's extended\n"
        "attributes are kept. A hash is as long as the name, at least 11 characters. Header facts\n"
        "that hold a path or an address are removed. Times, sizes and process ids stay.");
    anonymise_app.callback([options, done] {
        anonymise(options->files, options->key, options->keep_extensions);
        done();
    });
}

}  // namespace fusesim::commands
