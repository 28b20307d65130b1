#include "mount.h"

#include "config/error.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string_view>
#include <system_error>

namespace fusesim::record {

namespace fs = std::filesystem;

namespace {

/// mountinfo writes blanks and backslashes as \ooo.
std::string unescape(const std::string& text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        unsigned octal = 0;
        if (text[i] == '\\' && i + 3 < text.size() &&
            std::from_chars(&text[i + 1], &text[i + 4], octal, 8).ptr == &text[i + 4]) {
            plain += static_cast<char>(octal);
            i += 3;
        } else {
            plain += text[i];
        }
    }
    return plain;
}

std::vector<Mount> all_mounts() {
    std::vector<Mount> mounts;
    std::ifstream table("/proc/self/mountinfo");
    std::string line;
    while (std::getline(table, line)) {
        std::istringstream words(line);
        std::string id;
        std::string parent;
        std::string root;
        std::string word;
        char colon = 0;
        Mount mount;
        words >> id >> parent >> mount.major >> colon >> mount.minor >> root >> mount.point >>
            mount.options;
        while (words >> word && word != "-") {
        }
        std::string super_options;
        words >> mount.fstype >> mount.source >> super_options;
        mount.point = unescape(mount.point);
        mount.source = unescape(mount.source);
        mount.options += "," + super_options;
        mounts.push_back(std::move(mount));
    }
    return mounts;
}

bool is_below(const std::string& path, const std::string& point) {
    return point == "/" || path == point ||
           (path.size() > point.size() && path.compare(0, point.size(), point) == 0 &&
            path[point.size()] == '/');
}

/// The last mount of the longest mount point above `path`: later mounts hide earlier ones.
const Mount* mount_above(const std::vector<Mount>& mounts, const std::string& path) {
    const Mount* best = nullptr;
    for (const Mount& mount : mounts) {
        if (is_below(path, mount.point) &&
            (best == nullptr || mount.point.size() >= best->point.size())) {
            best = &mount;
        }
    }
    return best;
}

bool is_fuse(const std::string& fstype) {
    return fstype == "fuse" || fstype == "fuseblk" || fstype.rfind("fuse.", 0) == 0;
}

/// Absolute and free of . and .., with the links of every directory above the last resolved:
/// resolving the last one would ask the daemon, if it is the root of the mount.
std::string absolute_path(const std::string& path) {
    fs::path full = fs::absolute(path).lexically_normal();
    if (!full.has_filename()) {
        full = full.parent_path();
    }
    return full.string();
}

std::string first_line(const std::string& file) {
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    return line;
}

void add(Facts& facts, const std::string& key, const std::string& value) {
    if (!value.empty()) {
        facts.emplace_back(key, value);
    }
}

}  // namespace

Mount find_mount(const std::string& path) {
    const std::vector<Mount> mounts = all_mounts();
    const std::string full = absolute_path(path);
    const Mount* mount = mount_above(mounts, full);
    if (mount != nullptr && is_fuse(mount->fstype)) {
        return *mount;
    }
    // Not a mount by this name; follow links, now that no FUSE mount is known to be in the way.
    std::error_code failed;
    const fs::path real = fs::canonical(full, failed);
    if (failed) {
        throw config::Error({path}, failed.message(), "--mount wants the mount point of a daemon");
    }
    mount = mount_above(mounts, real.string());
    if (mount == nullptr || !is_fuse(mount->fstype)) {
        std::string hint = "FUSE mounts here:";
        for (const Mount& other : mounts) {
            if (is_fuse(other.fstype)) {
                hint += " " + other.point;
            }
        }
        throw config::Error({path},
                            fmt::format("not on a FUSE mount, but on {} ({})",
                                        mount == nullptr ? "nothing" : mount->point,
                                        mount == nullptr ? "-" : mount->fstype),
                            hint.back() == ':' ? hint + " none" : hint);
    }
    return *mount;
}

bool is_alive(const Mount& mount) {
    const std::string bdi = fmt::format("/sys/class/bdi/{}:{}", mount.major, mount.minor);
    return access(bdi.c_str(), F_OK) == 0;
}

bool lies_on(const std::string& path, const Mount& mount) {
    const std::string full = absolute_path(path);
    const std::vector<Mount> mounts = all_mounts();
    const Mount* above = mount_above(mounts, full);
    if (above != nullptr && is_fuse(above->fstype)) {
        return above->major == mount.major && above->minor == mount.minor;
    }
    std::error_code failed;
    const fs::path real = fs::canonical(fs::path(full).parent_path(), failed);
    above = failed ? nullptr : mount_above(mounts, real.string());
    return above != nullptr && above->major == mount.major && above->minor == mount.minor;
}

std::vector<std::uint32_t> find_daemons(const Mount& mount) {
    std::vector<std::uint32_t> found;
    std::error_code ignored;
    for (const fs::directory_entry& process : fs::directory_iterator("/proc", ignored)) {
        const std::string name = process.path().filename();
        std::uint32_t tgid = 0;
        if (std::from_chars(name.data(), name.data() + name.size(), tgid).ptr !=
            name.data() + name.size()) {
            continue;
        }
        std::error_code gone;
        for (const fs::directory_entry& fd : fs::directory_iterator(process.path() / "fd", gone)) {
            std::error_code closed;
            if (fs::read_symlink(fd.path(), closed) != "/dev/fuse" || closed) {
                continue;
            }
            std::ifstream info(process.path() / "fdinfo" / fd.path().filename());
            std::string key;
            std::string value;
            while (info >> key >> value) {
                if (key == "fuse_connection:" && value == std::to_string(mount.minor)) {
                    found.push_back(tgid);
                }
            }
        }
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

void describe_mount(const Mount& mount, Facts& facts) {
    add(facts, "mount.point", mount.point);
    add(facts, "mount.fstype", mount.fstype);
    add(facts, "mount.source", mount.source);
    add(facts, "mount.options", mount.options);
    add(facts, "mount.connection", std::to_string(mount.minor));
    add(facts,
        "mount.read_ahead_kb",
        first_line(fmt::format("/sys/class/bdi/{}:{}/read_ahead_kb", mount.major, mount.minor)));
}

std::string affinity_of(pid_t tid) {
    cpu_set_t set;
    if (sched_getaffinity(tid, sizeof set, &set) != 0) {
        return "";
    }
    std::string text;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &set)) {
            continue;
        }
        int last = cpu;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &set)) {
            ++last;
        }
        text += (text.empty() ? "" : ",") +
                (last == cpu ? fmt::format("{}", cpu) : fmt::format("{}-{}", cpu, last));
        cpu = last;
    }
    return text;
}

void Placements::see(std::uint32_t tid) {
    if (!seen_.insert(tid).second) {
        return;
    }
    if (const std::string cpus = affinity_of(static_cast<pid_t>(tid)); !cpus.empty()) {
        ++threads_[cpus];
    }
}

std::string Placements::text() const {
    if (threads_.size() == 1) {
        return threads_.begin()->first;
    }
    std::string text;
    for (const auto& [cpus, count] : threads_) {
        text += fmt::format("{}{} threads on {}", text.empty() ? "" : "; ", count, cpus);
    }
    return text;
}

void describe_daemon(std::uint32_t tgid, Facts& facts) {
    if (tgid == 0) {
        return;
    }
    const std::string process = fmt::format("/proc/{}", tgid);
    add(facts, "daemon.comm", first_line(process + "/comm"));
    std::ifstream command(process + "/cmdline");
    std::string argv0;
    std::getline(command, argv0, '\0');
    add(facts, "daemon.argv0", argv0);
    Placements placements;
    unsigned threads = 0;
    std::error_code gone;
    for (const fs::directory_entry& thread : fs::directory_iterator(process + "/task", gone)) {
        ++threads;
        placements.see(static_cast<std::uint32_t>(std::atoi(thread.path().filename().c_str())));
    }
    add(facts, "daemon.threads", std::to_string(threads));
    add(facts, "daemon.affinity", placements.text());
}

}  // namespace fusesim::record
