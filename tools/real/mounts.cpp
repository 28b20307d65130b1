#include "mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

namespace fusesim::real {

namespace {

[[noreturn]] void fail(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

/// What the daemon said, as one line.
std::string last_words(const std::filesystem::path& log) {
    std::ifstream file(log);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    text.erase(text.find_last_not_of("\n ") + 1);
    return text.substr(text.rfind('\n') + 1);
}

bool lies_below(const std::filesystem::path& path, const std::filesystem::path& folder) {
    const auto relative = path.lexically_relative(folder);
    return !relative.empty() && *relative.begin() != "..";
}

/// A folder that can be covered without hiding any of these.
std::filesystem::path coverable(std::vector<std::filesystem::path> needed) {
    std::error_code none;
    needed.push_back(std::filesystem::current_path(none));
    needed.push_back(std::filesystem::read_symlink("/proc/self/exe", none));
    for (std::filesystem::path& path : needed) {
        path = std::filesystem::weakly_canonical(path, none);
    }
    for (const std::filesystem::path folder : {"/mnt", "/media", "/srv", "/opt"}) {
        if (std::filesystem::is_directory(folder, none) &&
            std::none_of(needed.begin(), needed.end(), [&](const std::filesystem::path& path) {
                return lies_below(path, folder);
            })) {
            return folder;
        }
    }
    throw std::runtime_error("no folder to mount in: /mnt, /media, /srv and /opt are in use");
}

}  // namespace

PrivateMounts::PrivateMounts(const std::vector<std::filesystem::path>& needed)
    : directory_(coverable(needed)),
      former_table_(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC)),
      former_directory_(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    if (former_table_ < 0 || unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
        fail("a private mount table");
    }
    if (mount("fusesim", directory_.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=128m") != 0) {
        fail("a tmpfs on " + directory_.string());
    }
}

PrivateMounts::~PrivateMounts() {
    umount2(directory_.c_str(), MNT_DETACH);
    setns(former_table_, CLONE_NEWNS);
    static_cast<void>(!fchdir(former_directory_));
    close(former_table_);
    close(former_directory_);
}

KernelMount::KernelMount(std::filesystem::path point, const char* type, const std::string& options)
    : point_(std::move(point)) {
    std::filesystem::create_directories(point_);
    if (mount("fusesim", point_.c_str(), type, MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
        fail(std::string("a ") + type + " on " + point_.string());
    }
}

KernelMount::~KernelMount() {
    umount2(point_.c_str(), MNT_DETACH);
    std::error_code none;
    std::filesystem::remove(point_, none);
}

DaemonMount::DaemonMount(const Setup& setup) : point_(setup.point) {
    std::filesystem::create_directories(point_);
    daemon_ = std::make_unique<Child>([&] {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        // The terminal's Ctrl-C is for the one who measures; it unmounts in good order.
        setpgid(0, 0);
        const sched_param none{};
        sched_setscheduler(0, setup.policy, &none);
        if (!setup.cores.empty()) {
            run_on(setup.cores);
        }
        if (!setup.log.empty()) {
            const int log = open(setup.log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
            dup2(log, STDOUT_FILENO);
            dup2(log, STDERR_FILENO);
        }
        std::vector<const char*> arguments;
        for (const std::string& word : setup.command) {
            arguments.push_back(word.c_str());
        }
        arguments.push_back(point_.c_str());
        arguments.push_back(nullptr);
        execv(arguments[0], const_cast<char* const*>(arguments.data()));
        fail(setup.command[0]);
    });
    wait_until_mounted(setup);
}

DaemonMount::~DaemonMount() {
    umount2(point_.c_str(), MNT_DETACH);
    daemon_->stop(SIGTERM);
    std::error_code none;
    std::filesystem::remove(point_, none);
}

void DaemonMount::wait_until_mounted(const Setup& setup) {
    struct stat above {};

    stat(point_.parent_path().c_str(), &above);
    for (int i = 0; i < 2000; ++i) {
        struct stat here {};

        if (stat(point_.c_str(), &here) == 0 && here.st_dev != above.st_dev) {
            device_ = here.st_dev;
            return;
        }
        if (daemon_->ended()) {
            break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const std::string words = setup.log.empty() ? "" : last_words(setup.log);
    throw std::runtime_error(std::filesystem::path(setup.command[0]).filename().string() +
                             " did not mount" + (words.empty() ? "" : ": " + words));
}

void DaemonMount::forget_unused() {
    // Any remount does: the kernel shrinks the superblock's dentries on the way, and an inode of
    // FUSE goes with its last dentry.
    if (mount(nullptr, point_.c_str(), nullptr, MS_REMOUNT | MS_NOSUID | MS_NODEV, nullptr) != 0) {
        fail("remounting " + point_.string());
    }
}

std::filesystem::path find_daemon(const std::string& name) {
    std::error_code none;
    const auto here = std::filesystem::read_symlink("/proc/self/exe", none).parent_path();
    for (const auto& place : {here / name,
                              here / "../../kernel-ref/daemons" / name,
                              here / "../libexec/fusesim" / name}) {
        if (access(place.c_str(), X_OK) == 0) {
            return std::filesystem::canonical(place);
        }
    }
    return {};
}

}  // namespace fusesim::real
