#include "workload/call_replay.h"

#include "fuse/sizes.h"
#include "trace/names.h"
#include "workload/steps.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>

namespace fusesim::workload {

using fuse::Opcode;
using host::Thread;
using sim::Task;
using sim::Time;
using trace::Call;
using trace::known;
using trace::unknown_time;

namespace {

/// As fcntl.h has it for the kernel; the C library's may be 0.
constexpr std::uint32_t o_path = 0x200000;
constexpr std::uint32_t o_direct = 0x4000;
constexpr std::uint32_t fadv_dontneed = 4;
constexpr std::uint32_t rename_noreplace = 1;
constexpr std::uint32_t seek_end = 2;
constexpr std::uint32_t seek_data = 3;

/// ioctls that the VFS answers before the file system hears of them: FICLONE, FICLONERANGE,
/// FIDEDUPERANGE.
constexpr std::uint32_t clone_ioctls[] = {0x40049409, 0x4020940d, 0xc0189436};

std::string_view name_of(Call call) {
    return trace::opcode_name(trace::Layer::syscall, static_cast<std::uint32_t>(call));
}

/// The calls that set attributes, and what they set.
std::optional<vfs::Change> change_of(Call call) {
    switch (call) {
        case Call::chmod:
            return vfs::Change::mode;
        case Call::chown:
            return vfs::Change::owner;
        case Call::utimens:
            return vfs::Change::times;
        case Call::truncate:
        case Call::ftruncate:
            return vfs::Change::size;
        default:
            return std::nullopt;
    }
}

std::optional<Opcode> xattr_request(Call call) {
    switch (call) {
        case Call::getxattr:
            return Opcode::getxattr;
        case Call::setxattr:
            return Opcode::setxattr;
        case Call::listxattr:
            return Opcode::listxattr;
        case Call::removexattr:
            return Opcode::removexattr;
        default:
            return std::nullopt;
    }
}

bool changes_attributes(Call call) {
    return change_of(call) || xattr_request(call);
}

/// Does a call that moves data, or that lists names, fit what was opened?
bool fits(Call call, const vfs::File& file) {
    switch (call) {
        case Call::read:
        case Call::sendfile:
        case Call::write:
        case Call::ftruncate:
        case Call::fallocate:
        case Call::copy_file_range:
            return !file.inode->directory && !file.path_only;
        case Call::fsync:
        case Call::fdatasync:
        case Call::lseek:
        case Call::ioctl:
        case Call::fadvise:
            return !file.path_only;
        case Call::readdir:
            return file.inode->directory && !file.path_only;
        default:
            return true;
    }
}

std::string listed(const std::map<Call, std::uint64_t>& counts) {
    std::string text;
    for (const auto& [call, count] : counts) {
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name_of(call));
    }
    return text;
}

}  // namespace

struct CallReplay::Caller {
    Caller(CallReplay& replay, const CallPlan::Caller& from, std::uint32_t n)
        : recorded(from),
          name(fmt::format("caller {}", from.tid)),
          thread(replay.cpu_, name, host::Group::application, replay.config_.affinity),
          progress(replay.engine_, "a call of another thread"),
          number(n) {}

    const CallPlan::Caller& recorded;
    std::string name;
    Thread thread;
    sim::WaitQueue progress;
    std::uint32_t number;
    std::size_t done = 0;                 // steps
    std::int64_t went_on = unknown_time;  // recorded: the end of its last call
};

struct CallReplay::File {
    vfs::File open;
    std::uint64_t copied = 0;  // position of copy_file_range
    unsigned users = 0;        // calls that are under way
    bool closing = false;      // once these are done
};

CallReplay::CallReplay(vfs::Mount& mount,
                       host::Cpu& cpu,
                       const CallPlan& plan,
                       const ReplayConfig& config,
                       std::function<void()> over)
    : mount_(mount),
      cpu_(cpu),
      plan_(plan),
      config_(config),
      over_(std::move(over)),
      engine_(cpu.engine()),
      files_(plan.files().size()) {
    lay_out();
    place_in_caller_.resize(plan_.steps().size());
    alive_ = plan_.callers().size();
    for (const CallPlan::Caller& caller : plan_.callers()) {
        for (std::size_t i = 0; i < caller.steps.size(); ++i) {
            place_in_caller_[caller.steps[i]] = static_cast<std::uint32_t>(i);
        }
        callers_.push_back(
            std::make_unique<Caller>(*this, caller, static_cast<std::uint32_t>(callers_.size())));
    }
    for (const Step& step : plan_.steps()) {
        record(step);
    }
    for (const auto& caller : callers_) {
        engine_.spawn(caller->name, live(*caller));
    }
}

CallReplay::~CallReplay() = default;

Time CallReplay::scaled(std::int64_t ns) const {
    if (config_.speed == 1) {
        return Time::from_ns(ns);
    }
    return Time::from_seconds(static_cast<double>(ns) * 1e-9 / config_.speed);
}

// --- the file system

void CallReplay::lay_out() {
    std::vector<vfs::Inode*> inodes;
    std::uint64_t others = 0;
    for (const CallPlan::Initial& initial : plan_.initial()) {
        vfs::Inode* inode = &mount_.root();
        if (initial.parent != CallPlan::none) {
            vfs::Inode& parent = *inodes[initial.parent];
            inode = initial.directory ? &mount_.add_directory(parent, initial.name)
                    : initial.symlink ? &mount_.add_symlink(parent, initial.name)
                                      : &mount_.add_file(parent, initial.name, initial.size);
            inode->nlookup = 0;  // the kernel knows nothing of it
        }
        inodes.push_back(inode);
        for (std::uint64_t i = 0; i < initial.others; ++i) {
            mount_.add_file(*inode, plan_.unused_name(++others), 0);
        }
    }
}

vfs::Inode& CallReplay::make_sure(const CallPlan::PathRef& path,
                                  std::size_t count,
                                  bool directory) {
    vfs::Inode* at = &mount_.root();
    const auto names = plan_.names(path);
    for (std::size_t i = 0; i < count; ++i) {
        const auto found = at->entries.find(names[i].key());
        if (found != at->entries.end() && found->second.inode != nullptr) {
            at = found->second.inode;
            continue;
        }
        const bool inner = i + 1 < path.count || directory;
        at = inner ? &mount_.add_directory(*at, names[i]) : &mount_.add_file(*at, names[i], 0);
        at->nlookup = 0;
    }
    return *at;
}

vfs::Path CallReplay::path_of(const CallPlan::PathRef& path) {
    return {&make_sure(path, path.held, true), plan_.names(path).subspan(path.held)};
}

CallReplay::File& CallReplay::file(std::uint32_t index) {
    File& file = files_[index];
    if (file.open.inode == nullptr) {
        const CallPlan::File& recorded = plan_.files()[index];
        file.open = mount_.open_quietly(
            make_sure(recorded.path, recorded.path.count, recorded.directory), false, 0);
    }
    return file;
}

// --- when

Task<> CallReplay::await_step(std::uint32_t step) {
    Caller& other = *callers_[plan_.steps()[step].caller];
    while (other.done <= place_in_caller_[step]) {
        co_await other.progress.sleep();
    }
}

Task<> CallReplay::pause(Caller& caller, const Step& step) {
    Thread& thread = caller.thread;
    if (config_.mode == ReplayMode::timed) {
        if (scaled(step.queued) > engine_.now()) {
            co_await thread.sleep_for(scaled(step.queued) - engine_.now());
        }
        co_return;
    }
    const bool thinks = config_.mode == ReplayMode::think;
    if (step.after != CallPlan::none) {
        co_await thread.leave();
        co_await await_step(step.after);
        const std::int64_t gap = step.queued - plan_.steps()[step.after].ended;
        if (thinks && gap > 0) {
            co_await engine_.delay(scaled(gap));
        }
        co_await thread.come_back();
        co_return;
    }
    if (!thinks) {
        co_return;
    }
    if (!known(caller.went_on)) {
        if (step.queued > 0) {
            co_await thread.sleep_for(scaled(step.queued));
        }
        co_return;
    }
    // Without the scheduler's events the whole gap counts as sleep.
    const std::int64_t gap = std::max<std::int64_t>(step.queued - caller.went_on, 0);
    const Time blocked = scaled(known(step.think_blocked) ? step.think_blocked
                                : known(step.think_cpu)   ? 0
                                                          : gap);
    thread.charge(scaled(known(step.think_cpu) ? step.think_cpu : 0), host::Work::user);
    if (blocked > Time()) {
        co_await thread.sleep_for(blocked);
    }
}

Task<> CallReplay::live(Caller& caller) {
    Thread& thread = caller.thread;
    for (const std::uint32_t index : caller.recorded.steps) {
        const Step& step = plan_.steps()[index];
        co_await pause(caller, step);
        co_await thread.run();
        const Time began = engine_.now();
        const int result = co_await perform(thread, step);
        count(step, result, began);
        caller.went_on = step.ended;
        ++caller.done;
        caller.progress.wake_all();
        if (++done_ % stacked_steps == 0) {
            co_await engine_.delay(Time());
        }
        if (config_.progress && done_ % progress_every == 0) {
            config_.progress(static_cast<double>(done_) /
                             static_cast<double>(plan_.steps().size()));
        }
    }
    thread.exit();
    end_ = engine_.now();
    if (--alive_ == 0 && over_) {
        over_();
    }
}

// --- what

void CallReplay::record(const Step& step) {
    if (step.at_exit) {
        return;
    }
    CallTimes& times = recorded_[step.call];
    ++times.count;
    times.bytes += step.moved;
    times.latency.add(Time::from_ns(step.ended - step.queued));
}

void CallReplay::count(const Step& step, int result, Time began) {
    if (step.at_exit) {
        return;
    }
    CallTimes& times = simulated_[step.call];
    ++times.count;
    times.bytes += step.moved;
    times.latency.add(engine_.now() - began);
    differing_[step.call] += (result == 0) != (step.error == 0) ? 1 : 0;
}

Task<int> CallReplay::perform(Thread& thread, const Step& step) {
    if (step.appears) {
        make_sure(step.path, step.path.count, step.directory);
    }
    if (step.vanished) {
        vfs::Inode& parent = make_sure(step.path, step.path.count - 1u, true);
        mount_.remove_quietly(parent, plan_.names(step.path).back());
    }
    const bool opens = step.call == Call::open || step.call == Call::create;
    if (step.file == CallPlan::none || opens) {
        co_return co_await on_path(thread, step);
    }
    if (step.error != 0 && step.call != Call::getxattr && step.call != Call::listxattr) {
        co_await mount_.nothing(thread);
        co_return step.error;
    }
    co_return co_await on_file(thread, step, file(step.file));
}

Task<int> CallReplay::set_attributes(Thread& thread, const Step& step, vfs::Path path) {
    if (const auto change = change_of(step.call)) {
        co_return co_await mount_.set(thread, path, *change, step.size);
    }
    const auto value = static_cast<std::uint32_t>(std::min<std::uint64_t>(step.size, 65'536));
    co_await mount_.xattr(thread, path, *xattr_request(step.call), value);
    co_return step.error;  // what the attributes are is not modelled
}

Task<int> CallReplay::on_path(Thread& thread, const Step& step) {
    if (!step.path.given) {
        ++not_replayed_[step.call];
        co_return step.error;
    }
    const vfs::Path path = path_of(step.path);
    if (changes_attributes(step.call)) {
        co_return co_await set_attributes(thread, step, path);
    }
    switch (step.call) {
        case Call::open:
        case Call::create: {
            vfs::OpenFlags flags;
            flags.create = step.call == Call::create;
            flags.exclusive = flags.create && (step.flags & O_EXCL) != 0;
            flags.truncate = (step.flags & O_TRUNC) != 0;
            flags.append = (step.flags & O_APPEND) != 0;
            flags.direct = (step.flags & o_direct) != 0;
            flags.path_only = (step.flags & o_path) != 0;
            vfs::File opened;
            const int result = co_await mount_.open(thread, path, flags, opened);
            if (step.file != CallPlan::none && result == 0) {
                files_[step.file].open = opened;
            }
            co_return result;
        }
        case Call::stat:
        case Call::fstat:
            co_return co_await mount_.stat(thread, path);
        case Call::mkdir:
            co_return co_await mount_.make(thread, path, Opcode::mkdir);
        case Call::mknod:
            co_return co_await mount_.make(thread, path, Opcode::mknod);
        case Call::symlink:
            co_return co_await mount_.make(thread, path, Opcode::symlink);
        case Call::unlink:
            co_return co_await mount_.remove(thread, path, Opcode::unlink);
        case Call::rmdir:
            co_return co_await mount_.remove(thread, path, Opcode::rmdir);
        case Call::rename:
            co_return co_await mount_.rename(
                thread, path, path_of(step.path2), (step.flags & rename_noreplace) != 0);
        case Call::link:
            co_return co_await mount_.link(thread, path, path_of(step.path2));
        case Call::readlink:
            co_return co_await mount_.readlink(thread, path);
        case Call::access:
            co_return co_await mount_.access(thread, path);
        case Call::statfs:
            co_return co_await mount_.statfs(thread, path);
        default:
            ++not_replayed_[step.call];
            co_return step.error;
    }
}

/// A file that is closed while calls on it are under way is closed by the last of them.
Task<> CallReplay::leave(Thread& thread, File& file) {
    if (--file.users == 0 && file.closing) {
        file.closing = false;
        vfs::File closed = file.open;
        file.open = {};
        co_await mount_.close(thread, closed);
    }
}

Task<int> CallReplay::on_file(Thread& thread, const Step& step, File& file) {
    if (!fits(step.call, file.open)) {
        co_await mount_.nothing(thread);
        co_return -EBADF;
    }
    ++file.users;
    const int result = co_await on_open_file(thread, step, file);
    co_await leave(thread, file);
    co_return result;
}

Task<int> CallReplay::on_open_file(Thread& thread, const Step& step, File& file) {
    vfs::Inode& inode = *file.open.inode;
    const vfs::Path itself{&inode, {}};
    if (changes_attributes(step.call)) {
        co_return co_await set_attributes(thread, step, itself);
    }
    const auto bytes = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(step.size, fuse::kernel_page_bytes * std::uint64_t{524'287}));
    switch (step.call) {
        case Call::close:
            co_await close(thread, step, file);
            break;
        case Call::read:
        case Call::sendfile:
            co_await mount_.read(thread, file.open, step.offset, bytes);
            break;
        case Call::write:
            if (bytes == 0) {
                co_await mount_.nothing(thread);
                break;
            }
            co_await mount_.write(
                thread, file.open, file.open.append ? inode.size : step.offset, bytes);
            break;
        case Call::fstat:
            co_return co_await mount_.stat(thread, itself);
        case Call::readdir:
            co_await list(thread, step, file);
            break;
        case Call::statfs:
            co_return co_await mount_.statfs(thread, itself);
        case Call::fsync:
        case Call::fdatasync:
            co_await mount_.fsync(thread, file.open);
            break;
        case Call::fallocate:
            co_await mount_.fallocate(thread, file.open, step.offset + step.size);
            break;
        case Call::lseek:
            co_await mount_.seek(
                thread, file.open, step.flags >= seek_data, step.flags == seek_end);
            break;
        case Call::flock:
        case Call::lock:
        case Call::munmap:
            co_await mount_.nothing(thread);
            break;
        case Call::mmap:
            ++mapped_;
            co_await mount_.nothing(thread);
            break;
        case Call::fadvise:
            if (step.flags == fadv_dontneed) {
                co_await mount_.drop_cache(thread, file.open);
            } else {
                co_await mount_.nothing(thread);
            }
            break;
        case Call::copy_file_range:
            co_await copy(thread, step, file);
            break;
        case Call::ioctl: {
            const bool clone =
                std::find(std::begin(clone_ioctls), std::end(clone_ioctls), step.flags) !=
                std::end(clone_ioctls);
            if (clone) {
                co_await mount_.nothing(thread);
            } else {
                co_await mount_.ioctl(thread, file.open);
            }
            break;
        }
        default:
            ++not_replayed_[step.call];
            co_return step.error;
    }
    co_return 0;
}

Task<> CallReplay::list(Thread& thread, const Step& step, File& file) {
    if (step.moved > 0) {
        // Other replies may hold more: who has seen the end asks no more.
        if (!file.open.listed_all) {
            co_await mount_.list(thread, file.open, static_cast<std::uint32_t>(step.size));
        }
        co_return;
    }
    while (!file.open.listed_all) {
        co_await mount_.list(thread, file.open, static_cast<std::uint32_t>(step.size));
    }
    file.open.listed_all = false;
}

Task<> CallReplay::close(Thread& thread, const Step& step, File& file) {
    if (step.duplicate) {
        co_await mount_.flush(thread, file.open);
    } else {
        file.closing = true;
    }
}

/// The recording has neither where to nor how much: to the file that the process opened for writing
/// last, and all that is left.
Task<> CallReplay::copy(Thread& thread, const Step& step, File& from) {
    if (step.file2 == CallPlan::none) {
        ++not_replayed_[step.call];
        co_return;
    }
    ++guessed_copies_;
    File& to = file(step.file2);
    if (!fits(step.call, to.open)) {
        co_await mount_.nothing(thread);
        co_return;
    }
    ++to.users;
    const std::uint64_t size = from.open.inode->size;
    const std::uint64_t bytes = std::min(step.size, size - std::min(size, from.copied));
    co_await mount_.copy_range(thread, from.open, from.copied, to.open, to.copied, bytes);
    from.copied += bytes;
    to.copied += bytes;
    co_await leave(thread, to);
}

Time CallReplay::cpu_time(host::Work work) const {
    Time sum;
    for (const auto& caller : callers_) {
        sum += caller->thread.spent(work);
    }
    return sum;
}

std::vector<std::string> CallReplay::warnings() const {
    std::vector<std::string> all;
    if (!not_replayed_.empty()) {
        all.push_back(fmt::format("not replayed: {}", listed(not_replayed_)));
    }
    std::map<Call, std::uint64_t> differing;
    for (const auto& [call, count] : differing_) {
        if (count > 0) {
            differing[call] = count;
        }
    }
    if (!differing.empty()) {
        all.push_back(
            fmt::format("calls that failed in the recording and not in the simulation, "
                        "or the reverse: {}",
                        listed(differing)));
    }
    if (mapped_ > 0) {
        all.push_back(fmt::format(
            "{} files were mapped into memory; what was read and written there is not in a trace",
            mapped_));
    }
    if (guessed_copies_ > 0) {
        all.push_back(
            fmt::format("{} copy_file_range: taken to copy all that was left, to the "
                        "file that was opened for writing last",
                        guessed_copies_));
    }
    return all;
}

}  // namespace fusesim::workload
