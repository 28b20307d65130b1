#include "null_mount.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace fusesim::calibrate {

namespace {

[[noreturn]] void fail(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

std::filesystem::path private_mounts() {
    const std::filesystem::path base = "/mnt";
    if (unshare(CLONE_NEWNS) != 0) {
        fail("a private mount table");
    }
    if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
        fail("a private mount table");
    }
    if (mount("fusesim", base.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=64m") != 0) {
        fail("a tmpfs on " + base.string());
    }
    return base;
}

NullMount::NullMount(const Setup& setup) {
    static int number = 0;
    const std::string name = std::to_string(++number);
    point_ = setup.directory / ("nullfs" + name);
    std::filesystem::create_directories(point_);
    log_path_ = setup.directory / ("stamps" + name);
    std::string options = setup.options;
    if (setup.stamped) {
        options += ",stamps=" + log_path_.string();
    }
    daemon_ = std::make_unique<Child>([&] {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        const sched_param none{};
        sched_setscheduler(0, setup.policy, &none);
        if (setup.core >= 0) {
            pin(setup.core);
        }
        std::vector<const char*> arguments{setup.daemon.c_str(), "-f", "-o", options.c_str()};
        if (!setup.multi_threaded) {
            arguments.push_back("-s");
        }
        arguments.push_back(point_.c_str());
        arguments.push_back(nullptr);
        execv(setup.daemon.c_str(), const_cast<char* const*>(arguments.data()));
        fail(setup.daemon.string());
    });
    wait_until_mounted();
    if (setup.stamped) {
        map_log();
    }
}

NullMount::~NullMount() {
    if (log_ != nullptr) {
        munmap(log_, log_bytes_);
    }
    umount2(point_.c_str(), MNT_DETACH);
    daemon_->stop(SIGTERM);
    std::error_code none;
    std::filesystem::remove(log_path_, none);
    std::filesystem::remove(point_, none);
}

void NullMount::wait_until_mounted() {
    struct stat above {};

    stat(point_.parent_path().c_str(), &above);
    for (int i = 0; i < 2000; ++i) {
        struct stat here {};

        if (stat(point_.c_str(), &here) == 0 && here.st_dev != above.st_dev) {
            return;
        }
        if (daemon_->ended()) {
            break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    throw std::runtime_error("nullfs did not mount");
}

void NullMount::map_log() {
    const int fd = open(log_path_.c_str(), O_RDWR | O_CLOEXEC);

    struct stat size {};

    if (fd < 0 || fstat(fd, &size) != 0) {
        fail(log_path_.string());
    }
    log_bytes_ = static_cast<std::size_t>(size.st_size);
    void* memory = mmap(nullptr, log_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) {
        fail(log_path_.string());
    }
    log_ = static_cast<stamps::Log*>(memory);
}

void NullMount::clear() {
    log_->used = 0;
}

std::vector<stamps::Served> NullMount::served() const {
    const std::uint64_t used = std::min(log_->used.load(), log_->capacity);
    return {log_->records(), log_->records() + used};
}

}  // namespace fusesim::calibrate
