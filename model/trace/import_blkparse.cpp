#include "trace/call.h"
#include "trace/foreign.h"
#include "trace/import.h"
#include "trace/in_order.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace fusesim::trace {

namespace {

constexpr std::uint64_t sector_bytes = 512;
constexpr std::uint64_t last_sector = std::uint64_t{1} << 53;  // in bytes, fits 63 bits

// Flushes and, in old kernels, requests of other sizes: more than any device takes at once.
constexpr std::uint64_t most_sectors = std::uint64_t{1} << 32;

constexpr std::string_view block_actions[] = {
    "Q", "G", "I", "D", "C", "M", "F", "A", "S", "R", "X", "P", "U", "T", "B", "m", "UT"};

/// One line that blkparse prints of an event.
struct Event {
    std::string_view device;  ///< "8,0"
    std::int64_t time = 0;    ///< ns
    std::uint64_t pid = 0;
    std::string_view action;
    std::string_view kind;  ///< R, W, D, N with F in front or behind, A, S, M
    std::string_view rest;
};

bool is_device(std::string_view text) {
    std::uint64_t number = 0;
    return foreign::take_number(text, number) && foreign::take_word(text, ",") &&
           foreign::take_number(text, number) && text.empty();
}

std::optional<Event> parse_event(std::string_view line) {
    Event event;
    std::uint64_t number = 0;
    foreign::Stamp stamp;
    foreign::skip_blanks(line);
    event.device = foreign::take_token(line);
    if (!is_device(event.device)) {
        return std::nullopt;
    }
    std::string_view cpu = foreign::take_token(line);
    std::string_view sequence = foreign::take_token(line);
    std::string_view time = foreign::take_token(line);
    std::string_view pid = foreign::take_token(line);
    if (!foreign::take_number(cpu, number) || !cpu.empty() ||
        !foreign::take_number(sequence, number) || !sequence.empty() ||
        !foreign::take_seconds(time, stamp) || !time.empty() ||
        !foreign::take_number(pid, event.pid) || !pid.empty()) {
        return std::nullopt;
    }
    event.time = stamp.time;
    event.action = foreign::take_token(line);
    if (std::find(std::begin(block_actions), std::end(block_actions), event.action) ==
        std::end(block_actions)) {
        return std::nullopt;
    }
    event.kind = foreign::take_token(line);
    event.rest = line;
    return event;
}

/// Reads what blkparse prints: each request from when it was queued (Q) until it completed (C).
class BlkparseImport {
  public:
    BlkparseImport(ByteSource& source,
                   Header& header,
                   const Sink& sink,
                   const ImportOptions& options)
        : import_(source, header, sink, options, Layer::syscall, "blkparse"),
          files_(import_, O_RDWR | O_DIRECT),
          sorter_([this](Record record) { files_.hand_on(std::move(record)); }),
          waiting_([this](const Record& record) { sorter_.add(record); }) {}

    ImportReport run();

  private:
    /// Sectors that were asked for and are not all done.
    struct Asked {
        std::uint64_t unique = 0;
        std::uint64_t end = 0;
        std::uint64_t left = 0;  ///< sectors
        Call call = Call::read;
    };

    struct Device {
        std::multimap<std::uint64_t, Asked> asked;  ///< by first sector
        std::uint64_t longest = 0;                  ///< of all that were asked for, sectors
        std::set<std::string> remapped_to;
    };

    void take(const Event& event);
    void arrive(const Event& event, Call call, std::uint64_t sector, std::uint64_t count);
    void complete(const Event& event, Call call, std::uint64_t sector, std::uint64_t count);
    void finish_one(Device& device,
                    std::multimap<std::uint64_t, Asked>::iterator at,
                    const Event& event,
                    bool failed);
    void flush(const Event& event);
    void remap(const Event& event);

    foreign::Import import_;
    foreign::OpenedFiles files_;
    foreign::Sorter sorter_;
    InOrder waiting_;
    std::map<std::string, Device, std::less<>> devices_;
    std::set<std::string, std::less<>> queued_on_;
    std::string_view arrival_ = "Q";
    std::uint64_t uniques_ = 0;
    std::uint64_t forced_ = 0;  ///< writes with FUA
    bool summary_ = false;
};

Record request_of(const Event& event, Call call) {
    Record record;
    record.opcode = static_cast<std::uint32_t>(call);
    record.queued = event.time;
    record.caller = static_cast<std::uint32_t>(event.pid);
    record.name = fmt::format("/disk-{}", event.device);
    return record;
}

void BlkparseImport::flush(const Event& event) {
    Record record = request_of(event, Call::fdatasync);
    record.unique = ++uniques_;
    waiting_.open(record);
    waiting_.close(record.unique);  // its completion names no sectors to be told by
}

void BlkparseImport::arrive(const Event& event,
                            Call call,
                            std::uint64_t sector,
                            std::uint64_t count) {
    Record record = request_of(event, call);
    record.unique = ++uniques_;
    record.offset = sector * sector_bytes;
    record.size = count * sector_bytes;
    record.flags = call == Call::fallocate ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : 0;
    Device& device = devices_[std::string(event.device)];
    device.asked.emplace(sector, Asked{record.unique, sector + count, count, call});
    device.longest = std::max(device.longest, count);
    queued_on_.insert(std::string(event.device));
    waiting_.open(std::move(record));
}

void BlkparseImport::finish_one(Device& device,
                                std::multimap<std::uint64_t, Asked>::iterator at,
                                const Event& event,
                                bool failed) {
    Record* const record = waiting_.find(at->second.unique);
    if (record != nullptr) {
        record->ended = event.time;
        record->error = failed ? -EIO : 0;
        waiting_.close(at->second.unique);
    }
    device.asked.erase(at);
}

// A request may have been merged of several that were asked for, or be a part of one.
void BlkparseImport::complete(const Event& event,
                              Call call,
                              std::uint64_t sector,
                              std::uint64_t count) {
    const bool failed = !event.rest.ends_with("[0]");
    const auto found = devices_.find(event.device);
    if (found == devices_.end()) {
        import_.orphan();
        return;
    }
    Device& device = found->second;
    const std::uint64_t end = sector + count;
    const auto [same, same_end] = device.asked.equal_range(sector);
    const auto exact = std::find_if(same, same_end, [&](const auto& each) {
        return each.second.end == end && each.second.left == count && each.second.call == call;
    });
    if (exact != same_end) {
        finish_one(device, exact, event, failed);
        return;
    }
    const std::uint64_t before = std::min(sector, device.longest);
    bool any = false;
    for (auto at = device.asked.lower_bound(sector - before);
         at != device.asked.end() && at->first < end;) {
        const auto next = std::next(at);
        Asked& asked = at->second;
        if (asked.call == call && asked.end > sector) {
            any = true;
            const std::uint64_t part = std::min(asked.end, end) - std::max(at->first, sector);
            asked.left -= std::min(asked.left, part);
            if (asked.left == 0) {
                finish_one(device, at, event, failed);
            }
        }
        at = next;
    }
    if (!any) {
        import_.orphan();
    }
}

void BlkparseImport::remap(const Event& event) {
    const std::size_t arrow = event.rest.find("<- (");
    if (arrow == std::string_view::npos) {
        import_.unknown("remap without its origin");
        return;
    }
    std::string_view origin = event.rest.substr(arrow + 4);
    origin = origin.substr(0, origin.find(')'));
    if (is_device(origin) && origin != event.device) {
        devices_[std::string(origin)].remapped_to.insert(std::string(event.device));
    }
    import_.leave_out("event of action A");
}

void BlkparseImport::take(const Event& event) {
    if (event.action == "A") {
        remap(event);
        return;
    }
    if (event.action != arrival_ && event.action != "C") {
        import_.leave_out(fmt::format("event of action {}", event.action));
        return;
    }
    std::string_view rest = event.rest;
    std::string_view kind = event.kind;
    const bool preflush = foreign::take_word(kind, "F");
    const char operation = kind.empty() ? '\0' : kind.front();
    std::uint64_t sector = 0;
    std::uint64_t count = 0;
    const bool placed = foreign::take_number(rest, sector);
    foreign::skip_blanks(rest);
    if (placed && rest.starts_with('(')) {
        import_.leave_out("packet command");
        return;
    }
    if (foreign::take_word(rest, "+ ") && !foreign::take_number(rest, count)) {
        import_.unknown("no number of sectors");
        return;
    }
    const bool arrives = event.action == arrival_;
    if (preflush && arrives) {
        flush(event);
    }
    if (count == 0) {
        if (!preflush) {
            import_.leave_out("request without sectors");
        }
        return;
    }
    if (sector > last_sector || count > most_sectors || event.pid > 0xffffffff) {
        import_.unknown("sectors or process id too large");
        return;
    }
    if (operation != 'R' && operation != 'W' && operation != 'D') {
        import_.unknown("neither read nor write nor discard");
        return;
    }
    const Call call = operation == 'R'   ? Call::read
                      : operation == 'W' ? Call::write
                                         : Call::fallocate;
    if (arrives) {
        forced_ += kind.find('F') != std::string_view::npos ? 1 : 0;
        arrive(event, call, sector, count);
    } else {
        complete(event, call, sector, count);
    }
}

/// The first event that begins a request; a trace may have been told to hold no Q.
std::string_view first_arrival(std::string_view begin) {
    std::string_view arrival = "Q";
    while (!begin.empty()) {
        const std::size_t end = std::min(begin.find('\n'), begin.size());
        const auto event = parse_event(begin.substr(0, end));
        begin.remove_prefix(std::min(end + 1, begin.size()));
        if (event && event->action == "Q") {
            return "Q";
        }
        if (event && event->action == "D") {
            arrival = "D";
        }
    }
    return arrival;
}

ImportReport BlkparseImport::run() {
    constexpr std::size_t looked_through = 64 * 1024;
    arrival_ = first_arrival(import_.source().peek(looked_through));
    import_.header().clock = "blktrace";
    import_.fact("block", std::string(foreign::disk_as_file));
    import_.fact("missing",
                 "files, opening and closing, what caches kept from the disk, when flushes were "
                 "done");
    import_.fact("resolution_ns", "1");
    if (arrival_ == "D") {
        import_.warn("no request was queued (Q) in the trace: its times begin when it was issued");
    }
    std::string_view line;
    while (import_.next(line)) {
        std::string_view text = line;
        foreign::skip_blanks(text);
        if (text.empty()) {
            continue;
        }
        if (const auto event = parse_event(line)) {
            summary_ = false;
            take(*event);
            continue;
        }
        summary_ = summary_ || text.starts_with("CPU") || text.starts_with("Total (");
        if (summary_) {
            import_.leave_out("line of the summary");
        } else {
            import_.unknown("not an event in blkparse's own format");
        }
    }
    waiting_.finish();
    sorter_.finish();
    import_.report.unanswered = waiting_.unanswered();
    if (forced_ > 0) {
        import_.warn(
            fmt::format("{} writes were to be on the medium when done (FUA); they are "
                        "plain writes here",
                        forced_));
    }
    for (const auto& [name, device] : devices_) {
        for (const std::string& below : device.remapped_to) {
            if (queued_on_.count(name) != 0 && queued_on_.count(below) != 0) {
                import_.warn(
                    fmt::format("requests of device {} come again on {} below it; give "
                                "blkparse the trace of one of them",
                                name,
                                below));
            }
        }
    }
    return import_.finish("no request in the whole file",
                          "blkparse must print in its own format, without -f and -F");
}

}  // namespace

bool looks_like_blkparse(std::string_view begin) {
    return parse_event(begin.substr(0, begin.find('\n'))).has_value();
}

ImportReport import_blkparse(ByteSource& source,
                             Header& header,
                             const Sink& sink,
                             const ImportOptions& options) {
    return BlkparseImport(source, header, sink, options).run();
}

}  // namespace fusesim::trace
