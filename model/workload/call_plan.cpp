#include "workload/call_plan.h"

#include "trace/record.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <queue>
#include <string_view>

namespace fusesim::workload {

using trace::Call;
using trace::known;
using vfs::Name;

namespace {

/// struct linux_dirent64 with its name.
std::uint64_t dirent64_bytes(std::uint64_t name) {
    return (19 + name + 1 + 7) / 8 * 8;
}

constexpr std::uint32_t other_name_length = 8;
constexpr std::uint64_t most_name_bytes = (1u << Name::length_bits) - 1;

/// Works on a descriptor; with a name as well it is the name that counts.
bool uses_descriptor(Call call) {
    switch (call) {
        case Call::open:
        case Call::create:
        case Call::stat:
        case Call::mkdir:
        case Call::rmdir:
        case Call::unlink:
        case Call::rename:
        case Call::link:
        case Call::symlink:
        case Call::readlink:
        case Call::mknod:
        case Call::truncate:
        case Call::access:
        case Call::execve:
            return false;
        default:
            return true;
    }
}

bool opens(Call call) {
    return call == Call::open || call == Call::create;
}

bool makes(Call call) {
    return call == Call::mkdir || call == Call::mknod || call == Call::symlink;
}

}  // namespace

/// The file system of the recording, as far as its calls show it.
class CallPlan::Builder {
  public:
    Builder(CallPlan& plan, trace::Reader& reader) : plan_(plan) { load(reader); }

    void build();

  private:
    static constexpr std::uint32_t absent = none;

    struct Node {
        std::map<std::uint64_t, std::uint32_t> children;  // by key of the name; or absent
        std::uint32_t parent = none;
        Name name;
        std::uint32_t first_parent = none;  // before it was renamed
        Name first_name;
        bool initial = false;
        bool directory = false;
        bool symlink = false;
        bool changed = false;    // written or truncated: reads say no more of its beginning
        bool touched = false;    // names came or went: listings say no more of its beginning
        std::uint64_t size = 0;  // before, as far as known
        std::uint64_t present_size = 0;
        std::uint32_t lister = none;     // the open file of its first listing
        std::uint64_t listed_bytes = 0;  // ... and how much that gave
    };

    /// An open file as the recorded process had it.
    struct Open {
        std::uint32_t node = none;
        std::uint64_t position = 0;
        unsigned descriptors = 0;
        unsigned unseen = 0;  // of these, those whose number is not known yet
        bool append = false;
    };

    using Descriptor = std::pair<std::uint32_t, std::uint64_t>;  // process, number
    /// Records, by process and inode.
    using OfFile = std::map<std::pair<std::uint32_t, std::uint64_t>, std::vector<std::uint32_t>>;

    void load(trace::Reader& reader);
    void learn_attributes();
    void find_orphans();
    bool has_duplicate(const trace::Record& record, std::uint32_t index) const;
    void plan_step(std::uint32_t index);
    void plan_paths(Step& step, const trace::Record& record);
    void plan_descriptor(Step& step, const trace::Record& record, std::uint32_t index);
    void plan_close(Step& step, const trace::Record& record, std::uint32_t index);
    void plan_open(Step& step, const trace::Record& record);
    void plan_data(Step& step, const trace::Record& record, Open& open);
    void close_at_exit(const trace::Record& last);
    void plan_waiting();
    void put_out_initial();

    PathRef intern(const std::string& path);
    Name name_of(const std::string& text);
    PathRef path_of(std::uint32_t node);

    std::uint32_t new_node(std::uint32_t parent, Name name, bool directory);
    /// Where a path leads; none if it is not known to be there.
    std::uint32_t find(const PathRef& path, std::size_t count) const;
    /// The call has shown that it is there.
    std::uint32_t touch(const PathRef& path, bool directory, bool& appears);
    std::uint32_t parent_of(const PathRef& path, bool& appears);
    void made(const PathRef& path, std::uint32_t node);
    void gone(const PathRef& path);

    const Name& name_at(const PathRef& path, std::size_t i) const {
        return plan_.names_[path.first + i];
    }

    std::uint32_t open_file(std::uint32_t node, const PathRef& path, bool before);
    std::uint32_t file_of(const trace::Record& record, Call call);

    CallPlan& plan_;
    std::vector<trace::Record> records_;
    std::vector<Node> nodes_;
    std::vector<std::uint32_t> initial_nodes_;
    std::vector<Open> opened_;  // by index of File
    std::map<Descriptor, std::uint32_t> descriptors_;
    std::unordered_map<std::uint64_t, std::uint32_t> by_inode_;
    OfFile orphans_;
    OfFile openings_;
    std::unordered_map<std::uint32_t, std::uint32_t> caller_index_;
    std::unordered_map<std::uint32_t, std::uint32_t> last_of_process_;
    std::unordered_map<std::uint32_t, std::uint32_t> written_last_;  // file, by process
    std::uint64_t unknown_files_ = 0;
};

CallPlan::CallPlan(trace::Reader& reader) {
    Builder(*this, reader).build();
}

Name CallPlan::unused_name(std::uint64_t number) const {
    return Name::given(known_names_.size() + number, other_name_length);
}

void CallPlan::Builder::load(trace::Reader& reader) {
    trace::Record record;
    while (reader.next(record)) {
        records_.push_back(record);
    }
    plan_.records_ = records_.size();
}

void CallPlan::Builder::build() {
    nodes_.emplace_back();
    nodes_.front().directory = true;
    for (std::uint32_t i = 0; i < records_.size(); ++i) {
        last_of_process_[records_[i].pid] = i;
    }
    learn_attributes();
    find_orphans();
    for (std::uint32_t i = 0; i < records_.size(); ++i) {
        plan_step(i);
        if (last_of_process_[records_[i].pid] == i) {
            close_at_exit(records_[i]);
        }
    }
    plan_waiting();
    put_out_initial();
}

/// Has the daemon extended attributes? Those of access lists the kernel may answer itself, with
/// ENODATA.
void CallPlan::Builder::learn_attributes() {
    bool has = false;
    bool may_have = false;
    bool refused = false;
    for (const trace::Record& record : records_) {
        const auto call = static_cast<Call>(record.opcode);
        has |= (call == Call::getxattr || call == Call::setxattr) && record.error == 0;
        if (call == Call::getxattr) {
            may_have |= record.error == -ENODATA || record.error == -ERANGE;
            refused |= record.error == -EOPNOTSUPP;
        }
    }
    plan_.extended_attributes_ = has || (may_have && !refused);
}

// --- names and paths

Name CallPlan::Builder::name_of(const std::string& text) {
    const auto [at, added] = plan_.known_names_.try_emplace(text);
    if (added) {
        at->second =
            Name::given(plan_.known_names_.size(),
                        static_cast<std::uint32_t>(std::min(text.size(), most_name_bytes)));
    }
    return at->second;
}

/// In a path, `//` stands where the directory ends that the call began its walk in.
CallPlan::PathRef CallPlan::Builder::intern(const std::string& path) {
    PathRef ref;
    ref.given = !path.empty();
    ref.first = static_cast<std::uint32_t>(plan_.names_.size());
    std::size_t at = 0;
    while (at <= path.size()) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        const std::string part = path.substr(at, end - at);
        if (part.empty() && at > 0 && end < path.size()) {
            ref.held = ref.count;
        } else if (part == ".." && ref.count > ref.held) {
            plan_.names_.pop_back();
            --ref.count;
        } else if (!part.empty() && part != "." && part != "..") {
            plan_.names_.push_back(name_of(part));
            ++ref.count;
        }
        at = end + 1;
    }
    return ref;
}

CallPlan::PathRef CallPlan::Builder::path_of(std::uint32_t node) {
    std::vector<Name> names;
    for (std::uint32_t at = node; at != 0 && at != none; at = nodes_[at].parent) {
        names.push_back(nodes_[at].name);
    }
    PathRef ref;
    ref.given = true;
    ref.first = static_cast<std::uint32_t>(plan_.names_.size());
    ref.count = ref.held = static_cast<std::uint16_t>(names.size());
    plan_.names_.insert(plan_.names_.end(), names.rbegin(), names.rend());
    return ref;
}

// --- the file system

std::uint32_t CallPlan::Builder::new_node(std::uint32_t parent, Name name, bool directory) {
    nodes_.emplace_back();
    Node& node = nodes_.back();
    node.parent = node.first_parent = parent;
    node.name = node.first_name = name;
    node.directory = directory;
    const auto id = static_cast<std::uint32_t>(nodes_.size() - 1);
    nodes_[parent].children[name.key()] = id;
    return id;
}

std::uint32_t CallPlan::Builder::find(const PathRef& path, std::size_t count) const {
    std::uint32_t at = 0;
    for (std::size_t i = 0; i < count && at != none; ++i) {
        const auto found = nodes_[at].children.find(name_at(path, i).key());
        at = found == nodes_[at].children.end() ? none : found->second;
    }
    return at;
}

std::uint32_t CallPlan::Builder::touch(const PathRef& path, bool directory, bool& appears) {
    std::uint32_t at = 0;
    for (std::size_t i = 0; i < path.count; ++i) {
        const Name name = name_at(path, i);
        const bool inner = i + 1 < path.count;
        const auto found = nodes_[at].children.find(name.key());
        const bool was_absent = found != nodes_[at].children.end() && found->second == absent;
        if (found != nodes_[at].children.end() && found->second != absent) {
            at = found->second;
            nodes_[at].directory |= inner || directory;
            continue;
        }
        const bool initial = !was_absent && (at == 0 || nodes_[at].initial);
        const std::uint32_t made_here = new_node(at, name, inner || directory);
        if (initial) {
            nodes_[made_here].initial = true;
            initial_nodes_.push_back(made_here);
        } else {
            appears = true;
        }
        at = made_here;
    }
    return at;
}

std::uint32_t CallPlan::Builder::parent_of(const PathRef& path, bool& appears) {
    PathRef parent = path;
    parent.count = static_cast<std::uint16_t>(path.count > 0 ? path.count - 1 : 0);
    const std::uint32_t node = touch(parent, true, appears);
    nodes_[node].touched = true;
    return node;
}

void CallPlan::Builder::made(const PathRef& path, std::uint32_t node) {
    bool ignored = false;
    const std::uint32_t parent = parent_of(path, ignored);
    if (path.count == 0) {
        return;
    }
    const Name name = name_at(path, path.count - 1u);
    nodes_[parent].children[name.key()] = node;
    nodes_[node].parent = parent;
    nodes_[node].name = name;
}

void CallPlan::Builder::gone(const PathRef& path) {
    bool ignored = false;
    const std::uint32_t parent = parent_of(path, ignored);
    if (path.count > 0) {
        nodes_[parent].children[name_at(path, path.count - 1u).key()] = absent;
    }
}

// --- descriptors

/// Descriptors that are used though no call has opened them: duplicates, inherited ones, and those
/// from before the recording.
void CallPlan::Builder::find_orphans() {
    std::map<Descriptor, bool> live;
    for (std::uint32_t i = 0; i < records_.size(); ++i) {
        const trace::Record& record = records_[i];
        const auto call = static_cast<Call>(record.opcode);
        const Descriptor descriptor{record.pid, record.fh};
        const std::pair file{record.pid, record.nodeid};
        if (opens(call) && record.error == 0) {
            live[descriptor] = true;
            openings_[file].push_back(i);
        } else if (uses_descriptor(call) && record.error == 0 && record.nodeid != 0) {
            if (!live[descriptor]) {
                orphans_[file].push_back(i);
            }
            live[descriptor] = call != Call::close;
        }
    }
}

/// Is a file that is being closed used by another descriptor later on, before it is opened again?
bool CallPlan::Builder::has_duplicate(const trace::Record& record, std::uint32_t index) const {
    const std::pair file{record.pid, record.nodeid};
    const auto next = [&](const OfFile& all) {
        const auto of_file = all.find(file);
        if (of_file == all.end()) {
            return none;
        }
        const auto later = std::upper_bound(of_file->second.begin(), of_file->second.end(), index);
        return later != of_file->second.end() ? *later : none;
    };
    const std::uint32_t orphan = next(orphans_);
    return record.nodeid != 0 && orphan != none && orphan < next(openings_);
}

std::uint32_t CallPlan::Builder::open_file(std::uint32_t node, const PathRef& path, bool before) {
    plan_.files_.push_back({path, nodes_[node].directory, before});
    opened_.emplace_back();
    opened_.back().node = node;
    return static_cast<std::uint32_t>(opened_.size() - 1);
}

std::uint32_t CallPlan::Builder::file_of(const trace::Record& record, Call call) {
    const Descriptor descriptor{record.pid, record.fh};
    if (const auto found = descriptors_.find(descriptor); found != descriptors_.end()) {
        return found->second;
    }
    // A duplicate or an inherited one is of a file that is open already.
    const auto inode = by_inode_.find(record.nodeid);
    if (record.nodeid != 0 && inode != by_inode_.end()) {
        for (auto open = opened_.size(); open-- > 0;) {
            Open& shared = opened_[open];
            if (shared.node == inode->second && shared.descriptors > 0) {
                shared.descriptors += shared.unseen > 0 ? 0 : 1;
                shared.unseen -= shared.unseen > 0 ? 1 : 0;
                return descriptors_[descriptor] = static_cast<std::uint32_t>(open);
            }
        }
    }
    std::uint32_t node = none;
    PathRef path;
    if (record.nodeid != 0 && inode != by_inode_.end()) {
        node = inode->second;
        path = path_of(node);
    } else {
        path = intern(record.name.empty() ? fmt::format("/unknown file {}", ++unknown_files_)
                                          : record.name);
        bool ignored = false;
        node = touch(path, call == Call::readdir, ignored);
        if (record.nodeid != 0) {
            by_inode_[record.nodeid] = node;
        }
    }
    const std::uint32_t file = open_file(node, path, true);
    opened_[file].descriptors = 1;
    return descriptors_[descriptor] = file;
}

// --- calls

void CallPlan::Builder::plan_open(Step& step, const trace::Record& record) {
    bool appears = false;
    const std::uint32_t flags = record.flags;
    const bool creates = static_cast<Call>(record.opcode) == Call::create;
    std::uint32_t node = find(step.path, step.path.count);
    if (record.error != 0) {
        return;
    }
    if (node == none && creates) {
        const std::uint32_t parent = parent_of(step.path, appears);
        node = new_node(parent, name_at(step.path, step.path.count - 1u), false);
        nodes_[node].changed = true;
    } else {
        node = touch(step.path, (flags & O_DIRECTORY) != 0, appears);
    }
    if ((flags & O_TRUNC) != 0) {
        nodes_[node].changed = true;
        nodes_[node].present_size = 0;
    }
    step.appears = appears;
    step.directory = nodes_[node].directory;
    if (record.nodeid != 0) {
        by_inode_[record.nodeid] = node;
    }
    step.file = open_file(node, step.path, false);
    Open& open = opened_[step.file];
    open.descriptors = 1;
    open.append = (flags & O_APPEND) != 0;
    descriptors_[{record.pid, record.fh}] = step.file;
    if ((flags & O_ACCMODE) != O_RDONLY) {
        written_last_[record.pid] = step.file;
    }
}

void CallPlan::Builder::plan_close(Step& step, const trace::Record& record, std::uint32_t index) {
    step.file = file_of(record, Call::close);
    Open& open = opened_[step.file];
    descriptors_.erase({record.pid, record.fh});
    if (open.descriptors == 1 && has_duplicate(record, index)) {
        ++open.unseen;
        step.duplicate = true;
        return;
    }
    --open.descriptors;
    step.duplicate = open.descriptors > 0;
}

void CallPlan::Builder::plan_data(Step& step, const trace::Record& record, Open& open) {
    Node& node = nodes_[open.node];
    const bool follows = record.offset == trace::at_position;
    if (follows) {
        step.offset = open.position;
    }
    switch (step.call) {
        case Call::read:
        case Call::sendfile:
            if (!node.changed) {
                node.size = std::max(node.size, step.offset + step.moved);
            }
            break;
        case Call::mmap:
            if (!node.changed && record.error == 0) {
                node.size = std::max(node.size, step.offset + step.size);
            }
            break;
        case Call::write:
            if (open.append) {
                step.offset = node.present_size;
            }
            node.changed = true;
            break;
        case Call::ftruncate:
            node.changed = true;
            node.present_size = step.size;
            break;
        case Call::lseek:
            open.position = (record.flags == SEEK_CUR   ? open.position
                             : record.flags == SEEK_END ? std::max(node.size, node.present_size)
                                                        : 0) +
                            record.offset;
            return;
        default:
            return;
    }
    node.present_size = std::max(node.present_size, step.offset + step.moved);
    if (follows) {
        open.position = step.offset + step.moved;
    }
}

void CallPlan::Builder::plan_descriptor(Step& step,
                                        const trace::Record& record,
                                        std::uint32_t index) {
    if (step.call == Call::close) {
        plan_close(step, record, index);
        return;
    }
    step.file = file_of(record, step.call);
    Open& open = opened_[step.file];
    Node& node = nodes_[open.node];
    if (step.call == Call::readdir) {
        node.directory = true;
        plan_.files_[step.file].directory = true;
        if (node.lister == none && !node.touched) {
            node.lister = step.file;
        }
        if (node.lister == step.file) {
            node.listed_bytes += step.moved;
        }
        return;
    }
    plan_data(step, record, open);
    if (step.call == Call::copy_file_range) {
        const auto to = written_last_.find(record.pid);
        step.file2 = to != written_last_.end() ? to->second : none;
        if (step.file2 != none) {
            nodes_[opened_[step.file2].node].changed = true;
        }
    }
}

void CallPlan::Builder::plan_paths(Step& step, const trace::Record& record) {
    bool appears = false;
    if (record.error == -ENOENT) {
        const PathRef& path = step.path;
        if (step.call == Call::rename || step.call == Call::link || path.count == 0) {
            return;
        }
        const std::uint32_t node = find(path, path.count);
        if (node != none) {
            step.vanished = true;
            gone(path);
        } else if (const std::uint32_t parent = find(path, path.count - 1u); parent != none) {
            nodes_[parent].children[name_at(path, path.count - 1u).key()] = absent;
        }
        return;
    }
    const bool exists = record.error == 0 || record.error == -EEXIST;
    if (!exists) {
        return;
    }
    if (makes(step.call) && record.error == 0) {
        const std::uint32_t parent = parent_of(step.path, appears);
        if (step.path.count > 0) {
            const std::uint32_t node = new_node(
                parent, name_at(step.path, step.path.count - 1u), step.call == Call::mkdir);
            nodes_[node].symlink = step.call == Call::symlink;
            nodes_[node].changed = true;
        }
    } else {
        const bool is_directory = step.call == Call::rmdir || step.call == Call::mkdir;
        const std::uint32_t node = touch(step.path, is_directory, appears);
        nodes_[node].symlink |= step.call == Call::readlink;
        step.directory = nodes_[node].directory;
        if (record.error != 0) {
            // what was to be made is there already
        } else if (step.call == Call::unlink || step.call == Call::rmdir) {
            gone(step.path);
        } else if (step.call == Call::rename) {
            gone(step.path);
            made(step.path2, node);
        } else if (step.call == Call::link) {
            made(step.path2, node);
        } else if (step.call == Call::truncate) {
            nodes_[node].changed = true;
            nodes_[node].present_size = step.size;
        }
    }
    step.appears = appears;
}

void CallPlan::Builder::plan_step(std::uint32_t index) {
    const trace::Record& record = records_[index];
    Step step;
    step.call = static_cast<Call>(record.opcode);
    step.error = record.error;
    step.flags = record.flags;
    step.offset = record.offset;
    step.size = record.size;
    step.moved = std::max(record.bytes_in, record.bytes_out);
    step.queued = known(record.queued) ? record.queued : 0;
    step.ended = known(record.ended) ? std::max(record.ended, step.queued) : step.queued;
    step.think_cpu = record.think_cpu;
    step.think_blocked = record.think_blocked;
    step.path = intern(record.name);
    step.path2 = intern(record.name2);
    if (opens(step.call)) {
        if (record.error == 0) {
            plan_open(step, record);
        } else {
            plan_paths(step, record);
        }
    } else if (uses_descriptor(step.call) && (record.fh != 0 || record.name.empty())) {
        plan_descriptor(step, record, index);
    } else {
        plan_paths(step, record);
    }

    const std::uint32_t tid = record.caller != 0 ? record.caller : record.pid;
    const auto [at, added] =
        caller_index_.try_emplace(tid, static_cast<std::uint32_t>(plan_.callers_.size()));
    if (added) {
        plan_.callers_.push_back({tid, {}});
    }
    step.caller = at->second;
    plan_.callers_[step.caller].steps.push_back(static_cast<std::uint32_t>(plan_.steps_.size()));
    plan_.steps_.push_back(step);
}

/// A process that makes no more calls has ended, and its files with it.
void CallPlan::Builder::close_at_exit(const trace::Record& last) {
    const auto from = descriptors_.lower_bound({last.pid, 0});
    auto at = from;
    for (; at != descriptors_.end() && at->first.first == last.pid; ++at) {
        Open& open = opened_[at->second];
        --open.descriptors;
        if (plan_.files_[at->second].before) {
            continue;
        }
        Step step = plan_.steps_.back();
        const std::uint32_t caller = step.caller;
        const std::int64_t ended = step.ended;
        step = {};
        step.call = Call::close;
        step.caller = caller;
        step.queued = step.ended = ended;
        step.think_cpu = step.think_blocked = 0;
        step.file = at->second;
        step.at_exit = true;
        step.duplicate = open.descriptors > 0;
        plan_.callers_[caller].steps.push_back(static_cast<std::uint32_t>(plan_.steps_.size()));
        plan_.steps_.push_back(step);
    }
    descriptors_.erase(from, at);
}

/// A thread begins after whatever call ended last before its first one. One that paused while
/// another thread made all its calls has waited for that thread's end, as a shell does.
void CallPlan::Builder::plan_waiting() {
    using Ending = std::pair<std::int64_t, std::uint32_t>;  // when, which step
    std::priority_queue<Ending, std::vector<Ending>, std::greater<>> running;
    std::vector<std::uint32_t> done(plan_.callers_.size(), 0);
    std::vector<std::int64_t> went_on(plan_.callers_.size(), trace::unknown_time);
    std::uint32_t latest = none;
    std::uint32_t latest_exit = none;
    for (std::uint32_t i = 0; i < plan_.steps_.size(); ++i) {
        Step& step = plan_.steps_[i];
        while (!running.empty() && running.top().first <= step.queued) {
            latest = running.top().second;
            running.pop();
            const Caller& ended = plan_.callers_[plan_.steps_[latest].caller];
            if (ended.steps.back() == latest) {
                latest_exit = latest;
            }
        }
        const bool first = !known(went_on[step.caller]);
        if (first) {
            step.after = latest;
        } else if (latest_exit != none && plan_.steps_[latest_exit].caller != step.caller) {
            const Step& exit = plan_.steps_[latest_exit];
            const Step& began = plan_.steps_[plan_.callers_[exit.caller].steps.front()];
            const std::int64_t gap = step.queued - went_on[step.caller];
            const bool slept = !known(step.think_cpu) || step.think_cpu < gap / 2;
            if (began.queued >= went_on[step.caller] && slept) {
                step.after = latest_exit;
            }
        }
        went_on[step.caller] = step.ended;
        running.emplace(step.ended, i);
    }
}

void CallPlan::Builder::put_out_initial() {
    std::unordered_map<std::uint32_t, std::uint64_t> bytes;  // of known names, by directory
    for (const std::uint32_t id : initial_nodes_) {
        bytes[nodes_[id].first_parent] += dirent64_bytes(nodes_[id].first_name.length());
    }
    std::unordered_map<std::uint32_t, std::uint32_t> placed;
    const auto put_out = [&](std::uint32_t id) {
        const Node& node = nodes_[id];
        Initial initial;
        initial.parent = id == 0 ? none : placed.at(node.first_parent);
        initial.name = node.first_name;
        initial.directory = node.directory;
        initial.symlink = node.symlink;
        initial.size = node.size;
        const std::uint64_t seen = bytes[id] + dirent64_bytes(1) + dirent64_bytes(2);
        if (node.directory && node.listed_bytes > seen) {
            initial.others = (node.listed_bytes - seen) / dirent64_bytes(other_name_length);
        }
        placed[id] = static_cast<std::uint32_t>(plan_.initial_.size());
        plan_.initial_.push_back(initial);
    };
    put_out(0);
    for (const std::uint32_t id : initial_nodes_) {
        put_out(id);
    }
}

}  // namespace fusesim::workload
