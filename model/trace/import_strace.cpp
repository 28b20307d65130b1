#include "trace/call.h"
#include "trace/foreign.h"
#include "trace/import.h"
#include "trace/in_order.h"
#include "trace/strace_calls.h"
#include "trace/strace_line.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

namespace fusesim::trace {

namespace {

using strace::is_clone;
using strace::makes_no_file;
using strace::Shape;
using strace::shape_of;
using strace::SystemCall;

/// An open file description: what descriptors that were duplicated or inherited share.
struct OpenFile {
    std::string path;  ///< "" if it is not known
    std::optional<std::uint64_t> position;
    bool append = false;
    bool no_file = false;  ///< a pipe, socket, ...
};

struct Entry {
    std::shared_ptr<OpenFile> file;
    bool close_on_exec = false;
};

using Descriptors = std::map<int, Entry>;

struct Process {
    std::uint32_t pid = 0;
    std::shared_ptr<Descriptors> descriptors = std::make_shared<Descriptors>();
    std::shared_ptr<std::string> directory = std::make_shared<std::string>();
};

/// A call that strace showed as unfinished.
struct Pending {
    std::string name;
    std::string text;
    std::int64_t time = 0;
    std::uint64_t record = 0;              ///< its number in InOrder, 0 if it has none
    std::shared_ptr<OpenFile> closed;      ///< what close() took out of the table when it began
    std::optional<std::uint32_t> child{};  ///< of a clone whose child was seen first
};

struct Thread {
    std::shared_ptr<Process> process;
    std::int64_t returned = unknown_time;  ///< from the last call that was kept
    std::optional<Pending> pending;
};

std::string_view argument(const SystemCall& call, int index) {
    const auto at = static_cast<std::size_t>(index);
    return index >= 0 && at < call.arguments.size() ? call.arguments[at] : std::string_view();
}

constexpr const char* not_a_file_call = "not a file call";

/// Follows each process' descriptors through what strace shows, and makes records of the calls on
/// files.
class StraceImport {
  public:
    StraceImport(ByteSource& source, Header& header, const Sink& sink, const ImportOptions& options)
        : import_(source, header, sink, options, Layer::syscall, "strace"),
          calls_([this](const Record& record) { hand_on(record); }) {}

    ImportReport run();

  private:
    void take(std::string_view line);
    void begin(Thread& thread, const strace::Prefix& prefix, std::string_view text);
    void resume(Thread& thread, const strace::Prefix& prefix, std::string_view text);
    void finish_call(Thread& thread,
                     std::uint32_t tid,
                     std::int64_t time,
                     SystemCall& call,
                     std::uint64_t number,
                     const std::shared_ptr<OpenFile>& closed);
    void signal_or_exit(std::uint32_t tid, std::string_view text);
    Thread& thread_of(std::uint32_t& tid);

    bool describe(Thread& thread,
                  const SystemCall& call,
                  const Shape& shape,
                  const std::shared_ptr<OpenFile>& closed,
                  Record& record);
    bool describe_paths(Thread& thread, const SystemCall& call, const Shape& shape, Record& record);
    bool describe_file(Thread& thread,
                       const SystemCall& call,
                       const Shape& shape,
                       const std::shared_ptr<OpenFile>& closed,
                       Record& record);
    void describe_amounts(const SystemCall& call,
                          const Shape& shape,
                          OpenFile* file,
                          Record& record);
    void move_position(const SystemCall& call, const Shape& shape, OpenFile& file) const;
    void opened(Thread& thread, const SystemCall& call, const Record& record);
    void keep_books(Thread& thread, const SystemCall& call);
    void born(Thread& thread, const SystemCall& call);
    std::shared_ptr<Process> child_of(const Process& parent,
                                      std::string_view clone,
                                      std::uint32_t tid) const;

    std::shared_ptr<OpenFile> file_of(Thread& thread, std::string_view descriptor);
    std::string whole_path(
        Thread& thread, const SystemCall& call, int directory, int path, bool& cut);
    std::string kept(const std::string& path) const {
        return foreign::path_below(import_.options().mount, path);
    }
    void refuse(const char* kind) {
        if (counting_) {
            import_.leave_out(kind);
        }
    }
    void hand_on(Record record);

    foreign::Import import_;
    InOrder calls_;
    std::map<std::uint32_t, Thread> threads_;
    std::set<std::uint32_t> attached_;  ///< children that strace has announced
    std::string torn_;                  ///< begin of a line whose rest is the next line
    foreign::Midnights midnights_;
    std::uint64_t numbers_ = 0;
    std::int64_t last_time_ = std::numeric_limits<std::int64_t>::min();
    std::uint64_t io_uring_ = 0;
    std::uint64_t cut_paths_ = 0;
    std::uint64_t unknown_directories_ = 0;
    bool durations_ = false;
    bool stamped_ = false;
    bool counting_ = true;  ///< false while a call is described before it has returned
};

// Where strace writes to the terminal it numbers threads only while there are several.
Thread& StraceImport::thread_of(std::uint32_t& tid) {
    const auto known = threads_.find(tid);
    if (known != threads_.end()) {
        return known->second;
    }
    if (tid == 0 && threads_.size() == 1) {
        tid = threads_.begin()->first;
        return threads_.begin()->second;
    }
    const auto first = threads_.find(0);
    if (first != threads_.end() && attached_.count(tid) == 0) {
        Thread thread = std::move(first->second);
        threads_.erase(first);
        thread.process->pid = tid;
        return threads_.emplace(tid, std::move(thread)).first->second;
    }
    // A child may run before its parent's clone() has returned.
    for (auto& [parent, thread] : threads_) {
        if (thread.pending && !thread.pending->child && is_clone(thread.pending->name)) {
            thread.pending->child = tid;
            const auto process = child_of(*thread.process, thread.pending->text, tid);
            return threads_.emplace(tid, Thread{process, unknown_time, {}}).first->second;
        }
    }
    const auto process = std::make_shared<Process>();
    process->pid = tid;
    *process->directory = import_.options().working_directory;
    return threads_.emplace(tid, Thread{process, unknown_time, {}}).first->second;
}

std::shared_ptr<Process> StraceImport::child_of(const Process& parent,
                                                std::string_view clone,
                                                std::uint32_t tid) const {
    const auto child = std::make_shared<Process>(parent);
    const auto has = [clone](std::string_view flag) {
        return clone.find(flag) != std::string_view::npos;
    };
    if (!has("CLONE_THREAD")) {
        child->pid = tid;
    }
    if (!has("CLONE_FILES")) {
        child->descriptors = std::make_shared<Descriptors>(*parent.descriptors);
    }
    if (!has("CLONE_FS")) {
        child->directory = std::make_shared<std::string>(*parent.directory);
    }
    return child;
}

void StraceImport::born(Thread& thread, const SystemCall& call) {
    if (!call.returned || call.result <= 0 || call.result > 0xffffffff) {
        return;
    }
    const auto tid = static_cast<std::uint32_t>(call.result);
    if (threads_.find(tid) == threads_.end()) {
        std::string text;
        for (const std::string_view each : call.arguments) {
            text += each;
            text += ' ';
        }
        threads_.emplace(tid, Thread{child_of(*thread.process, text, tid), unknown_time, {}});
    }
}

std::shared_ptr<OpenFile> StraceImport::file_of(Thread& thread, std::string_view text) {
    const auto descriptor = strace::descriptor(text);
    if (!descriptor || descriptor->number < 0) {
        return nullptr;
    }
    Descriptors& table = *thread.process->descriptors;
    const auto known = table.find(descriptor->number);
    if (descriptor->file.empty()) {
        return known == table.end() ? nullptr : known->second.file;
    }
    // What strace says is true, what was followed may have missed something. A path that was
    // opened through a symbolic link reads differently here, but was told when it was opened.
    const std::string path = strace::annotated_path(descriptor->file);
    if (known != table.end() && known->second.file->path == path) {
        return known->second.file;
    }
    const auto file = std::make_shared<OpenFile>();
    file->path = path;
    file->no_file = path.empty();
    table[descriptor->number] = {file, false};
    return file;
}

std::string StraceImport::whole_path(
    Thread& thread, const SystemCall& call, int directory, int path, bool& cut) {
    const auto text = strace::quoted(argument(call, path), cut);
    if (!text || text->empty()) {
        return "";
    }
    if (text->front() == '/') {
        return foreign::absolute_path(*text, "/");
    }
    std::string start;
    const auto at = strace::descriptor(argument(call, directory));
    if (at && !at->file.empty()) {
        start = strace::annotated_path(at->file);
        if (at->number == strace::working_directory) {
            *thread.process->directory = start;
        }
    } else if (at && at->number >= 0) {
        const auto file = file_of(thread, argument(call, directory));
        start = file ? file->path : "";
    } else {
        start = *thread.process->directory;
    }
    if (start.empty() && counting_) {
        ++unknown_directories_;
    }
    return foreign::absolute_path(*text, start);
}

bool StraceImport::describe_paths(Thread& thread,
                                  const SystemCall& call,
                                  const Shape& shape,
                                  Record& record) {
    bool cut = false;
    std::string path = whole_path(thread, call, shape.directory, shape.path, cut);
    if (call.returned && call.result >= 0 && record.opcode <= 2 && !call.result_file.empty()) {
        // The file itself, where the path went over a symbolic link onto the mount.
        const std::string opened = strace::annotated_path(call.result_file);
        if (kept(path).empty() && !opened.empty()) {
            path = opened;
        }
    }
    std::string path2;
    if (shape.path2 >= 0) {
        path2 = whole_path(thread, call, shape.directory2, shape.path2, cut);
    }
    if (cut) {
        if (counting_) {
            ++cut_paths_;
        }
        refuse("path that strace cut off");
        return false;
    }
    record.name = kept(path);
    record.name2 = kept(path2);
    if (!record.name.empty() || !record.name2.empty()) {
        return true;
    }
    const bool unknown_path = path.empty() && path2.empty();
    refuse(unknown_path ? "path without a known directory" : "outside the mount");
    return false;
}

bool StraceImport::describe_file(Thread& thread,
                                 const SystemCall& call,
                                 const Shape& shape,
                                 const std::shared_ptr<OpenFile>& closed,
                                 Record& record) {
    const auto descriptor = strace::descriptor(argument(call, shape.fd));
    if (!descriptor) {
        refuse(not_a_file_call);  // anonymous mmap
        return false;
    }
    const auto file = closed ? closed : file_of(thread, argument(call, shape.fd));
    describe_amounts(call, shape, file.get(), record);
    if (file && call.returned) {
        move_position(call, shape, *file);
    }
    if (record.opcode == static_cast<std::uint32_t>(Call::lock) &&
        argument(call, 1).find("LK") == std::string_view::npos) {
        refuse(not_a_file_call);
        return false;
    }
    record.fh = static_cast<std::uint64_t>(std::max(descriptor->number, 0));
    if (file) {
        record.name = kept(file->path);
    }
    if (record.opcode == static_cast<std::uint32_t>(Call::copy_file_range) ||
        record.opcode == static_cast<std::uint32_t>(Call::sendfile)) {
        const bool copy = record.opcode == static_cast<std::uint32_t>(Call::copy_file_range);
        const auto target = file_of(thread, argument(call, copy ? 2 : 0));
        if (target) {
            record.name2 = kept(target->path);
            if (call.returned && call.result > 0 && target->position &&
                (!copy || argument(call, 3) == "NULL")) {
                *target->position += static_cast<std::uint64_t>(call.result);
            }
        }
    }
    if (!record.name.empty() || !record.name2.empty()) {
        return true;
    }
    if (!file || (file->path.empty() && !file->no_file)) {
        refuse("descriptor of an unknown file");
    } else {
        refuse(file->no_file ? not_a_file_call : "outside the mount");
    }
    return false;
}

void StraceImport::describe_amounts(const SystemCall& call,
                                    const Shape& shape,
                                    OpenFile* file,
                                    Record& record) {
    const std::string_view size = argument(call, shape.size);
    std::string_view digits = size;
    std::uint64_t number = 0;
    if (size.starts_with('[')) {
        const auto sum = strace::vector_size(size);
        record.size =
            sum ? *sum : static_cast<std::uint64_t>(std::max<std::int64_t>(call.result, 0));
    } else if (foreign::take_any_number(digits, number)) {
        record.size = number;
    }
    std::string_view offset = argument(call, shape.offset);
    const bool through_position = shape.at_position || offset == "NULL";
    if (through_position) {
        const bool at_end = file != nullptr && file->append && shape.call == Call::write;
        record.offset =
            file != nullptr && file->position && !at_end ? *file->position : at_position;
    } else if (!offset.empty()) {
        foreign::take_word(offset, "[");
        const bool negative = foreign::take_word(offset, "-");
        if (foreign::take_any_number(offset, number)) {
            record.offset = negative ? std::uint64_t{0} - number : number;
        }
    }
    const auto moved = static_cast<std::uint32_t>(
        std::clamp<std::int64_t>(call.result, 0, std::numeric_limits<std::uint32_t>::max()));
    if (!call.returned) {
        return;
    }
    switch (shape.call) {
        case Call::write:
            record.bytes_in = moved;
            break;
        case Call::read:
        case Call::readdir:
        case Call::copy_file_range:
        case Call::sendfile:
            record.bytes_out = moved;
            break;
        default:
            break;
    }
}

void StraceImport::move_position(const SystemCall& call, const Shape& shape, OpenFile& file) const {
    if (call.result < 0) {
        return;
    }
    const auto result = static_cast<std::uint64_t>(call.result);
    if (shape.call == Call::lseek) {
        file.position = result;
    } else if (shape.at_position && file.append && shape.call == Call::write) {
        file.position.reset();  // at the end, wherever that is
    } else if ((shape.at_position || argument(call, shape.offset) == "NULL") && file.position) {
        *file.position += result;
    }
}

bool StraceImport::describe(Thread& thread,
                            const SystemCall& call,
                            const Shape& shape,
                            const std::shared_ptr<OpenFile>& closed,
                            Record& record) {
    record.opcode = static_cast<std::uint32_t>(shape.call);
    if (shape.flags >= 0) {
        std::string_view text = argument(call, shape.flags);
        if (text.starts_with("{flags=")) {  // openat2
            text.remove_prefix(7);
            text = text.substr(0, text.find_first_of(",}"));
        }
        record.flags = strace::flags(text);
    }
    record.error = call.result < 0 ? static_cast<std::int32_t>(call.result) : 0;
    if (shape.call == Call::create) {
        record.flags = O_CREAT | O_WRONLY | O_TRUNC;
    } else if (shape.call == Call::open && (record.flags & O_CREAT) != 0) {
        record.opcode = static_cast<std::uint32_t>(Call::create);
    } else if (call.name == "unlinkat" && (record.flags & AT_REMOVEDIR) != 0) {
        record.opcode = static_cast<std::uint32_t>(Call::rmdir);
    }
    if (shape.path < 0) {
        return describe_file(thread, call, shape, closed, record);
    }
    const bool by_descriptor = shape.directory >= 0 && (argument(call, shape.path) == "\"\"" ||
                                                        argument(call, shape.path) == "NULL");
    if (by_descriptor) {
        Shape same = shape;
        same.fd = shape.directory;
        same.size = -1;
        if (shape.call == Call::stat) {
            same.call = Call::fstat;
            record.opcode = static_cast<std::uint32_t>(Call::fstat);
        }
        return describe_file(thread, call, same, closed, record);
    }
    describe_amounts(call, shape, nullptr, record);
    const bool keep = describe_paths(thread, call, shape, record);
    if (shape.call == Call::open || shape.call == Call::create) {
        opened(thread, call, record);
        if (call.returned && call.result >= 0) {
            record.fh = static_cast<std::uint64_t>(call.result);
        }
    }
    return keep;
}

void StraceImport::opened(Thread& thread, const SystemCall& call, const Record& record) {
    if (!call.returned || call.result < 0 || call.result > std::numeric_limits<int>::max()) {
        return;
    }
    const Shape& shape = *shape_of(call.name);
    const bool counting = std::exchange(counting_, false);
    bool cut = false;
    const auto file = std::make_shared<OpenFile>();
    file->path = call.result_file.empty()
                     ? whole_path(thread, call, shape.directory, shape.path, cut)
                     : strace::annotated_path(call.result_file);
    counting_ = counting;
    file->position = 0;
    file->append = (record.flags & O_APPEND) != 0;
    file->no_file = !call.result_file.empty() && file->path.empty();
    (*thread.process->descriptors)[static_cast<int>(call.result)] = {
        file, (record.flags & O_CLOEXEC) != 0};
}

// Calls that only change which descriptor is what.
void StraceImport::keep_books(Thread& thread, const SystemCall& call) {
    if (is_clone(call.name)) {
        born(thread, call);
        return;
    }
    if (!call.returned || call.result < 0 || call.result > std::numeric_limits<int>::max()) {
        return;
    }
    Descriptors& table = *thread.process->descriptors;
    const auto result = static_cast<int>(call.result);
    const auto no_file = std::make_shared<OpenFile>();
    no_file->no_file = true;
    const bool duplicates = call.name == "dup" || call.name == "dup2" || call.name == "dup3" ||
                            (call.name == "fcntl" && argument(call, 1).starts_with("F_DUPFD"));
    if (duplicates) {
        const auto file = file_of(thread, argument(call, 0));
        const auto from = strace::descriptor(argument(call, 0));
        if (from && from->number == result) {
            return;  // dup2 onto itself
        }
        const bool close_on_exec = argument(call, 1) == "F_DUPFD_CLOEXEC" ||
                                   argument(call, 2).find("O_CLOEXEC") != std::string_view::npos;
        table.erase(result);
        if (file) {
            table[result] = {file, close_on_exec};
        }
    } else if (call.name == "fcntl") {
        const auto from = strace::descriptor(argument(call, 0));
        const auto entry = from ? table.find(from->number) : table.end();
        if (entry == table.end()) {
            return;
        }
        if (argument(call, 1) == "F_SETFD") {
            entry->second.close_on_exec =
                argument(call, 2).find("FD_CLOEXEC") != std::string_view::npos;
        } else if (argument(call, 1) == "F_SETFL") {
            entry->second.file->append =
                argument(call, 2).find("O_APPEND") != std::string_view::npos;
        }
    } else if (call.name == "close_range") {
        std::string_view text = argument(call, 0);
        std::uint64_t first = 0;
        std::uint64_t last = 0;
        if (foreign::take_any_number(text, first) && first < 0x7fffffff &&
            argument(call, 2).find("CLOEXEC") == std::string_view::npos) {
            text = argument(call, 1);
            const bool bounded = foreign::take_any_number(text, last) && last < 0x7fffffff;
            const auto end = bounded ? table.upper_bound(static_cast<int>(last)) : table.end();
            const auto begin = table.lower_bound(static_cast<int>(first));
            if (!bounded || last >= first) {
                table.erase(begin, end);
            }
        }
    } else if (call.name == "pipe" || call.name == "pipe2" || call.name == "socketpair") {
        std::string_view text = argument(call, call.name == "socketpair" ? 3 : 0);
        foreign::take_word(text, "[");
        const std::size_t comma = std::min(text.find(", "), text.size());
        for (const std::string_view each :
             {text.substr(0, comma), text.substr(std::min(comma + 2, text.size()))}) {
            const auto end = strace::descriptor(each);
            if (end && end->number >= 0) {
                table[end->number] = {no_file, false};
            }
        }
    } else if (makes_no_file(call.name)) {
        table[result] = {no_file, false};
    } else if (call.name == "execve") {
        const auto own = std::make_shared<Descriptors>();
        for (const auto& [number, entry] : table) {
            if (!entry.close_on_exec) {
                own->emplace(number, entry);
            }
        }
        thread.process->descriptors = own;
    } else if (call.name == "chdir" || call.name == "fchdir" || call.name == "getcwd") {
        std::string path;
        if (call.name == "fchdir") {
            const auto file = file_of(thread, argument(call, 0));
            path = file ? file->path : "";
        } else {
            const bool counting = std::exchange(counting_, false);
            bool cut = false;
            path = whole_path(thread, call, -1, 0, cut);
            counting_ = counting;
            path = cut ? "" : path;
        }
        *thread.process->directory = path;
    } else if (call.name == "io_uring_enter") {
        ++io_uring_;
    }
}

void StraceImport::begin(Thread& thread, const strace::Prefix& prefix, std::string_view text) {
    SystemCall call;
    if (!strace::parse_call(text, false, call)) {
        import_.unknown("malformed call");
        return;
    }
    if (thread.pending) {
        import_.unknown("call that began while another was unfinished");
        return;
    }
    Pending pending{std::string(call.name), std::string(text), prefix.time, 0, nullptr, {}};
    const Shape* const shape = shape_of(call.name);
    if (shape != nullptr) {
        Record record;
        counting_ = false;
        describe(thread, call, *shape, nullptr, record);
        counting_ = true;
        record.unique = pending.record = ++numbers_;
        record.queued = prefix.time;
        record.pid = thread.process->pid;
        record.caller = prefix.tid;
        calls_.open(std::move(record));
    }
    if (call.name == "close") {
        pending.closed = file_of(thread, argument(call, 0));
        const auto descriptor = strace::descriptor(argument(call, 0));
        if (descriptor) {
            thread.process->descriptors->erase(descriptor->number);
        }
    }
    thread.pending = std::move(pending);
}

void StraceImport::resume(Thread& thread, const strace::Prefix& prefix, std::string_view text) {
    const std::size_t end = text.find(" resumed>");
    const std::string_view name = text.substr(0, end);
    if (end == std::string_view::npos || !thread.pending || thread.pending->name != name) {
        if (end == std::string_view::npos) {
            import_.unknown("malformed resumed call");
        } else {
            import_.orphan();
        }
        return;
    }
    const Pending pending = std::move(*thread.pending);
    thread.pending.reset();
    const std::string whole = pending.text + std::string(text.substr(end + 9));
    SystemCall call;
    if (!strace::parse_call(whole, true, call)) {
        import_.unknown("malformed resumed call");
        if (Record* const record = pending.record == 0 ? nullptr : calls_.find(pending.record)) {
            record->name.clear();
            record->name2.clear();
            calls_.close(pending.record);
        }
        return;
    }
    if (call.duration < 0) {
        call.duration = std::max<std::int64_t>(prefix.time - pending.time, 0);
    } else {
        durations_ = true;
    }
    finish_call(thread, prefix.tid, pending.time, call, pending.record, pending.closed);
}

void StraceImport::finish_call(Thread& thread,
                               std::uint32_t tid,
                               std::int64_t time,
                               SystemCall& call,
                               std::uint64_t number,
                               const std::shared_ptr<OpenFile>& closed) {
    const Shape* const shape = shape_of(call.name);
    if (shape == nullptr) {
        import_.leave_out(not_a_file_call);
        keep_books(thread, call);
        return;
    }
    Record record;
    bool keep = describe(thread, call, *shape, closed, record);
    if (call.unknown_result.starts_with("ERESTART")) {
        // It comes again as a call of its own.
        keep = false;
        import_.leave_out("call that was restarted");
    }
    if (call.name == "close" && !closed) {
        const auto descriptor = strace::descriptor(argument(call, 0));
        if (descriptor) {
            thread.process->descriptors->erase(descriptor->number);
        }
    }
    keep_books(thread, call);
    record.queued = time;
    record.pid = thread.process->pid;
    record.caller = tid;
    const bool answered = call.returned;
    if (keep && answered) {
        if (thread.returned != unknown_time) {
            record.think_blocked = std::max<std::int64_t>(time - thread.returned, 0);
        }
        thread.returned = unknown_time;
        if (call.duration >= 0) {
            record.ended = thread.returned = time + call.duration;
        }
    } else if (keep) {
        ++import_.report.unanswered;
    }
    if (!keep) {
        record.name.clear();
        record.name2.clear();
    }
    if (number == 0) {
        if (!keep) {
            return;
        }
        number = ++numbers_;
        record.unique = number;
        calls_.open(record);
    }
    if (Record* const waiting = calls_.find(number)) {
        record.unique = number;
        *waiting = std::move(record);
        calls_.close(number);
    }
}

void StraceImport::hand_on(Record record) {
    // What turned out to be elsewhere keeps its place in the order until here.
    if (!record.name.empty() || !record.name2.empty()) {
        import_.hand_on(std::move(record));
    }
}

void StraceImport::signal_or_exit(std::uint32_t tid, std::string_view text) {
    if (text.starts_with("+++")) {
        const auto thread = threads_.find(tid);
        if (thread != threads_.end()) {
            if (thread->second.pending && thread->second.pending->record != 0) {
                calls_.close_if_open(thread->second.pending->record);
                ++import_.report.unanswered;
            }
            threads_.erase(thread);
        }
    }
}

void StraceImport::take(std::string_view line) {
    // A child that is announced tears the line in which its parent's call stands.
    if (!torn_.empty()) {
        torn_ += line;
        line = torn_;
    }
    const std::size_t announced = line.rfind("strace: Process ");
    if (announced != std::string_view::npos && announced > 0 && line.ends_with(" attached")) {
        const std::string front(line.substr(0, announced));
        const std::string back(line.substr(announced));
        torn_.clear();
        take(back);
        torn_ = front;
        return;
    }
    const std::string whole = std::exchange(torn_, "");
    if (!whole.empty()) {
        line = whole;
    }
    if (line.empty()) {
        return;
    }
    const bool of_strace = foreign::take_word(line, "strace: ");
    if (of_strace || line.starts_with("Process ")) {
        std::uint64_t tid = 0;
        if (foreign::take_word(line, "Process ") && foreign::take_number(line, tid) &&
            line == " attached" && tid <= 0xffffffff) {
            attached_.insert(static_cast<std::uint32_t>(tid));
        }
        return;
    }
    strace::Prefix prefix;
    if (!strace::take_prefix(line, prefix)) {
        import_.unknown("no time stamp (strace prints one with -ttt)");
        return;
    }
    if (!stamped_) {
        stamped_ = true;
        import_.header().clock = prefix.time_of_day ? "time of day" : "realtime";
        import_.fact("resolution_ns", std::to_string(prefix.resolution));
        constexpr std::int64_t year_1973 = 100'000'000'000'000'000;
        if (!prefix.time_of_day && prefix.time < year_1973) {
            import_.fail("the times are relative to the line before",
                         "strace -r; record with -ttt instead");
        }
    }
    if (prefix.time_of_day) {
        prefix.time = midnights_.unroll(prefix.time);
    }
    if (prefix.time < last_time_) {
        import_.fail_unless_lenient(
            fmt::format("time goes backwards: by {} ns", last_time_ - prefix.time),
            "are these several files? strace-log-merge sorts those of strace -ff");
        return;
    }
    last_time_ = prefix.time;
    Thread& thread = thread_of(prefix.tid);
    if (line.starts_with("---") || line.starts_with("+++")) {
        signal_or_exit(prefix.tid, line);
        return;
    }
    if (foreign::take_word(line, "<... ")) {
        resume(thread, prefix, line);
        return;
    }
    constexpr std::string_view unfinished = "<unfinished ...>";
    constexpr std::string_view detached = "<detached ...>";
    if (line.ends_with(unfinished) || line.ends_with(detached)) {
        begin(thread, prefix, line.substr(0, line.rfind('<')));
        return;
    }
    SystemCall call;
    if (!strace::parse_call(line, true, call)) {
        import_.unknown("malformed call");
        return;
    }
    durations_ = durations_ || call.duration >= 0;
    finish_call(thread, prefix.tid, prefix.time, call, 0, nullptr);
}

ImportReport StraceImport::run() {
    import_.fact("missing",
                 "cores, processor time of callers (think_blocked is all the time since the "
                 "thread's previous call); strace slows down every call");
    if (!import_.options().mount.empty()) {
        import_.fact("mount.point", import_.options().mount);
    }
    std::string_view line;
    while (import_.next(line)) {
        take(line);
    }
    std::uint64_t excused = threads_.size();  // what each thread does when strace ends
    for (const auto& [tid, thread] : threads_) {
        if (thread.pending && thread.pending->record != 0) {
            const Record* const record = calls_.find(thread.pending->record);
            if (record != nullptr && !(record->name.empty() && record->name2.empty())) {
                ++import_.report.unanswered;
            }
        }
    }
    calls_.finish();
    if (!durations_) {
        import_.warn("strace ran without -T: how long calls took is not known");
    }
    if (io_uring_ > 0) {
        import_.warn(fmt::format(
            "{} calls of io_uring_enter: what they read and wrote is not in an strace", io_uring_));
        import_.fact("io_uring", "used; its reads and writes are not in the trace");
    }
    if (cut_paths_ > 0) {
        import_.warn(fmt::format("{} paths are cut off; their calls are left out", cut_paths_));
    }
    if (unknown_directories_ > 0) {
        import_.warn(
            fmt::format("{} relative paths begin in an unknown directory and are left out: record "
                        "with strace -y, or tell it with --cwd",
                        unknown_directories_));
    }
    const std::string& mount = import_.options().mount;
    return import_.finish(
        mount.empty() ? "no call on a file in the whole trace"
                      : fmt::format("no call on a file below {}", mount),
        mount.empty() ? "record with strace -f -ttt -T -y -e trace=%file,%desc,%process"
                      : "--mount is the absolute path of the mount point as the program saw it",
        excused);
}

}  // namespace

bool looks_like_strace(std::string_view begin) {
    for (int lines = 0; lines < 20 && !begin.empty(); ++lines) {
        const std::size_t end = std::min(begin.find('\n'), begin.size());
        std::string_view line = begin.substr(0, end);
        begin.remove_prefix(std::min(end + 1, begin.size()));
        if (line.ends_with('\r')) {
            line.remove_suffix(1);
        }
        strace::Prefix prefix;
        SystemCall call;
        if (strace::take_prefix(line, prefix) &&
            (strace::parse_call(line, true, call) || line.ends_with("<unfinished ...>"))) {
            return true;
        }
    }
    return false;
}

ImportReport import_strace(ByteSource& source,
                           Header& header,
                           const Sink& sink,
                           const ImportOptions& options) {
    return StraceImport(source, header, sink, options).run();
}

}  // namespace fusesim::trace
