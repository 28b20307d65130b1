#include "commands.h"
#include "write_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

namespace fusesim::commands {

namespace {

namespace fs = std::filesystem;

struct DoctorOptions {
    std::string mount;
    std::string out = "-";
    std::string root = "/";
};

/// One line of /proc/self/mountinfo whose file system is FUSE.
struct FuseMount {
    std::string device;  ///< major:minor; the minor is the connection's number
    std::string point;
    std::string type;
    std::string options;

    std::string connection() const { return device.substr(device.find(':') + 1); }
};

/// The process that serves a mount, as far as /proc tells.
struct Daemon {
    std::string pid;
    std::string program;
    std::string libfuse;  ///< version; empty if it has none
    std::size_t threads = 0;
    std::size_t descriptors = 0;  ///< of /dev/fuse for this connection
};

/// The files of one machine: this one, or a copy of its /proc and /sys below another directory.
class Machine {
  public:
    explicit Machine(fs::path root) : root_(std::move(root)) {}

    fs::path path(const std::string& below) const { return root_ / below; }

    /// First line of a file; nothing if it cannot be read.
    std::optional<std::string> line(const std::string& below) const {
        std::ifstream file(path(below));
        std::string text;
        if (!std::getline(file, text)) {
            return std::nullopt;
        }
        return text;
    }

    std::optional<long> number(const std::string& below) const {
        const auto text = line(below);
        long value = 0;
        if (!text || std::sscanf(text->c_str(), "%ld", &value) != 1) {
            return std::nullopt;
        }
        return value;
    }

    std::vector<std::string> names(const std::string& below) const {
        std::vector<std::string> out;
        std::error_code error;
        for (fs::directory_iterator at(path(below), error), end; !error && at != end;
             at.increment(error)) {
            out.push_back(at->path().filename());
        }
        std::sort(out.begin(), out.end());
        return out;
    }

  private:
    fs::path root_;
};

/// mountinfo writes blanks in names as octal escapes.
std::string unescape(const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        unsigned code = 0;
        if (text[i] == '\\' && std::sscanf(text.c_str() + i + 1, "%3o", &code) == 1) {
            out += static_cast<char>(code);
            i += 3;
        } else {
            out += text[i];
        }
    }
    return out;
}

std::vector<FuseMount> fuse_mounts(const Machine& machine) {
    std::vector<FuseMount> out;
    std::ifstream file(machine.path("proc/self/mountinfo"));
    std::string line;
    while (std::getline(file, line)) {
        const std::size_t dash = line.find(" - ");
        if (dash == std::string::npos) {
            continue;
        }
        std::istringstream left(line.substr(0, dash));
        std::istringstream right(line.substr(dash + 3));
        FuseMount mount;
        std::string skip;
        left >> skip >> skip >> mount.device >> skip >> mount.point;
        right >> mount.type >> skip >> mount.options;
        if (mount.type == "fuse" || mount.type == "fuseblk" || mount.type.rfind("fuse.", 0) == 0) {
            mount.point = unescape(mount.point);
            out.push_back(mount);
        }
    }
    return out;
}

FuseMount choose_mount(const Machine& machine, const std::string& wanted) {
    const std::vector<FuseMount> mounts = fuse_mounts(machine);
    if (mounts.empty()) {
        throw Unavailable("doctor finds no FUSE mount here; mount one, or run it where one is");
    }
    std::string known;
    for (const FuseMount& mount : mounts) {
        known += "\n  " + mount.point + "  (" + mount.type + ")";
    }
    if (wanted.empty()) {
        if (mounts.size() == 1) {
            return mounts.front();
        }
        throw CLI::ValidationError("--mount",
                                   "is needed, since there are several FUSE mounts:" + known);
    }
    std::error_code none;
    const fs::path canonical = fs::weakly_canonical(wanted, none);
    // Of mounts on top of each other the last one is seen.
    const auto found = std::find_if(mounts.rbegin(), mounts.rend(), [&](const FuseMount& mount) {
        return mount.point == wanted || mount.point == canonical;
    });
    if (found == mounts.rend()) {
        throw CLI::ValidationError("--mount", wanted + " is no FUSE mount; these are:" + known);
    }
    return *found;
}

/// The number behind `key` in a file of "key: number" lines.
std::string value_of(const fs::path& path, const std::string& key) {
    std::ifstream file(path);
    std::string line;
    while (std::getline(file, line)) {
        if (line.rfind(key + ":", 0) == 0) {
            const std::size_t at = line.find_first_not_of(" \t", key.size() + 1);
            return at == std::string::npos ? "" : line.substr(at);
        }
    }
    return "";
}

std::string libfuse_version(const Machine& machine, const std::string& pid) {
    std::ifstream maps(machine.path("proc/" + pid + "/maps"));
    std::string line;
    while (std::getline(maps, line)) {
        for (const std::string name : {"libfuse3.so.", "libfuse.so."}) {
            const std::size_t at = line.find(name);
            if (at != std::string::npos) {
                return line.substr(at + name.size(), line.find(' ', at) - at - name.size());
            }
        }
    }
    return "";
}

/// Processes that hold /dev/fuse open for the connection. Kernels before 6.17 do not tell which
/// connection a descriptor belongs to; then all that hold one.
std::vector<Daemon> daemons(const Machine& machine, const std::string& connection) {
    std::vector<Daemon> sure;
    std::vector<Daemon> possible;
    for (const std::string& pid : machine.names("proc")) {
        if (pid.find_first_not_of("0123456789") != std::string::npos) {
            continue;
        }
        std::size_t matching = 0;
        std::size_t open = 0;
        for (const std::string& fd : machine.names("proc/" + pid + "/fd")) {
            std::error_code none;
            if (fs::read_symlink(machine.path("proc/" + pid + "/fd/" + fd), none) != "/dev/fuse") {
                continue;
            }
            ++open;
            const std::string of =
                value_of(machine.path("proc/" + pid + "/fdinfo/" + fd), "fuse_connection");
            matching += of == connection ? 1 : 0;
        }
        if (open == 0) {
            continue;
        }
        Daemon daemon;
        daemon.pid = pid;
        daemon.program = machine.line("proc/" + pid + "/comm").value_or("?");
        daemon.libfuse = libfuse_version(machine, pid);
        daemon.threads = machine.names("proc/" + pid + "/task").size();
        daemon.descriptors = matching > 0 ? matching : open;
        (matching > 0 ? sure : possible).push_back(daemon);
    }
    return sure.empty() ? possible : sure;
}

bool has_option(const FuseMount& mount, const std::string& name) {
    return ("," + mount.options + ",").find("," + name + ",") != std::string::npos;
}

/// The scenario under construction: settings, each with what is worth knowing about it.
class Sheet {
  public:
    void section(const std::string& name) { text_ += name + ":\n"; }

    void set(const std::string& key, const std::string& value, const std::string& remark = "") {
        note(remark);
        text_ += fmt::format("  {}: {}\n", key, value);
    }

    void note(const std::string& remark) {
        if (!remark.empty()) {
            text_ += "  # " + remark + "\n";
        }
    }

    void line(const std::string& line) { text_ += line + "\n"; }

    const std::string& text() const { return text_; }

  private:
    std::string text_;
};

void write_connection(const Machine& machine, const FuseMount& mount, Sheet& sheet) {
    const std::string control = "sys/fs/fuse/connections/" + mount.connection() + "/";
    const auto max_background = machine.number(control + "max_background");
    const auto congestion = machine.number(control + "congestion_threshold");
    if (!max_background || !congestion) {
        sheet.note("max_background, congestion_threshold: not readable; as root,");
        sheet.note("mount -t fusectl none /sys/fs/fuse/connections shows them");
        return;
    }
    sheet.set("max_background",
              std::to_string(*max_background),
              *max_background == 12
                  ? "the kernel's default: readahead, writeback and asynchronous I/O beyond 12 "
                    "requests wait in the kernel"
                  : "");
    sheet.set("congestion_threshold",
              std::to_string(*congestion),
              *congestion > *max_background ? "above max_background: readahead never holds back"
              : *congestion * 4 < *max_background * 3 - 3
                  ? "below 3/4 of max_background: readahead is dropped early"
                  : "");
    const long waiting = machine.number(control + "waiting").value_or(0);
    if (waiting > 0) {
        sheet.note(
            fmt::format("{} requests under way while this was written; if the mount is "
                        "idle, the daemon is stuck",
                        waiting));
    }
}

void write_mount(const Machine& machine, const FuseMount& mount, Sheet& sheet) {
    sheet.section("mount");
    write_connection(machine, mount, sheet);
    const std::string bdi = "sys/class/bdi/" + mount.device + "/";
    if (const auto readahead = machine.number(bdi + "read_ahead_kb")) {
        sheet.set("max_readahead",
                  fmt::format("{} KiB", *readahead),
                  *readahead == 128
                      ? "the default: buffered sequential reads come in requests of 128 KiB or less"
                  : *readahead < 128 ? "below the default: sequential reads come in small requests"
                                     : "");
    }
    sheet.set("default_permissions",
              has_option(mount, "default_permissions") ? "true" : "false",
              has_option(mount, "default_permissions")
                  ? ""
                  : "access(2) and chdir(2) ask the daemon until it answers ENOSYS");
    const std::size_t max_read = mount.options.find("max_read=");
    if (max_read != std::string::npos) {
        sheet.note("mounted with " +
                   mount.options.substr(max_read, mount.options.find(',', max_read) - max_read) +
                   ": no READ is larger");
    }
    if (machine.number(bdi + "max_ratio").value_or(100) <= 1) {
        sheet.note("max_ratio of 1 %: with writeback_cache a writer is throttled after few MiB");
    }
    sheet.note("The kernel does not show max_write, time-outs, writeback_cache and splice;");
    sheet.note("they are the simulator's defaults unless set here.");
}

void write_daemon(const std::vector<Daemon>& found, Sheet& sheet) {
    sheet.section("daemon");
    sheet.set("filesystem", "recorded");
    if (found.size() != 1) {
        sheet.note(found.empty()
                       ? "no process with /dev/fuse open was found (not root?)"
                       : "several processes hold /dev/fuse; which one serves is unknown:");
        for (const Daemon& daemon : found) {
            sheet.note(fmt::format("  {} {}: {} threads, libfuse {}",
                                   daemon.pid,
                                   daemon.program,
                                   daemon.threads,
                                   daemon.libfuse));
        }
        return;
    }
    const Daemon& daemon = found.front();
    sheet.note(fmt::format("{} (process {}), {} threads, {} descriptors of /dev/fuse",
                           daemon.program,
                           daemon.pid,
                           daemon.threads,
                           daemon.descriptors));
    if (daemon.threads <= 1) {
        sheet.set("threads", "single", "one request at a time; a slow one delays all others");
    } else {
        sheet.set("threads", "multi");
    }
    if (daemon.libfuse.rfind("3.", 0) == 0) {
        sheet.set("libfuse", fmt::format("\"{}\"", daemon.libfuse));
    } else {
        sheet.note(daemon.libfuse.empty()
                       ? "no libfuse3 in its memory: it speaks the protocol itself or is static"
                       : "libfuse " + daemon.libfuse + ": the simulator knows libfuse 3");
    }
    if (daemon.threads > 1 && daemon.descriptors == 1) {
        sheet.note("all threads read one descriptor; clone_fd would give each its own");
    }
}

void write_settings(const Machine& machine, Sheet& sheet) {
    sheet.line("# Other settings of this machine:");
    const auto remark = [&](const std::string& name, const std::string& path) {
        if (const auto value = machine.line(path)) {
            sheet.line(fmt::format("#   {}: {}", name, *value));
        }
    };
    for (const std::string name :
         {"max_user_bgreq", "max_user_congthresh", "enable_uring", "allow_sys_admin_access"}) {
        remark("fuse." + name, "sys/module/fuse/parameters/" + name);
    }
    for (const std::string name :
         {"default_request_timeout", "max_request_timeout", "max_pages_limit"}) {
        remark("fs.fuse." + name, "proc/sys/fs/fuse/" + name);
    }
    for (const std::string name : {"dirty_ratio", "dirty_background_ratio"}) {
        remark("vm." + name, "proc/sys/vm/" + name);
    }
    remark("idle governor", "sys/devices/system/cpu/cpuidle/current_governor");
    remark("online CPUs", "sys/devices/system/cpu/online");
}

std::string examine(const DoctorOptions& options) {
    const Machine machine(options.root);
    const FuseMount mount = choose_mount(machine, options.mount);
    const std::string kernel = machine.line("proc/sys/kernel/osrelease").value_or("");
    Sheet sheet;
    sheet.line(fmt::format("# {} ({}), mounted with {}", mount.point, mount.type, mount.options));
    sheet.line("schema_version: 1");
    sheet.line("# host: {from: HOST.yaml} after: fusesim calibrate --out HOST.yaml");
    if (!kernel.empty()) {
        const std::size_t second = kernel.find('.', kernel.find('.') + 1);
        sheet.line(
            fmt::format("kernel: {{version: \"{}\"}}  # {}", kernel.substr(0, second), kernel));
    }
    write_mount(machine, mount, sheet);
    write_daemon(daemons(machine, mount.connection()), sheet);
    sheet.section("workload");
    sheet.set("trace",
              "recorded.trace",
              "make it with: fusesim record --mount " + mount.point + " --out recorded.trace");
    write_settings(machine, sheet);
    return sheet.text();
}

int doctor(const DoctorOptions& options) {
    write_or_print(options.out, examine(options));
    return Exit::fine;
}

}  // namespace

void add_doctor(CLI::App& program, int& status) {
    CLI::App* command = program.add_subcommand(
        "doctor", "read the settings of a live mount and write a starter scenario");
    auto options = std::make_shared<DoctorOptions>();
    command->add_option("--mount", options->mount, "the FUSE mount; the only one by default");
    command->add_option("--out", options->out, "scenario to write; - is standard output");
    command->add_option("--root", options->root, "read /proc and /sys below this directory");
    command->callback([options, &status] { status = doctor(*options); });
}

}  // namespace fusesim::commands
