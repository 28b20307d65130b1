#include "null_mount.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fstream>
#include <system_error>

namespace fusesim::calibrate {

namespace {

[[noreturn]] void fail(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

NullMount::NullMount(const Setup& setup) {
    static int number = 0;
    const std::string name = std::to_string(++number);
    log_path_ = setup.directory / ("stamps" + name);
    std::string options = setup.options;
    if (setup.stamped) {
        options += ",stamps=" + log_path_.string();
    }
    real::DaemonMount::Setup mount;
    mount.command = {setup.daemon.string(), "-f", "-o", options};
    if (!setup.multi_threaded) {
        mount.command.push_back("-s");
    }
    mount.point = setup.directory / ("nullfs" + name);
    mount.policy = setup.policy;
    if (setup.core >= 0) {
        mount.cores = {setup.core};
    }
    mount_ = std::make_unique<real::DaemonMount>(mount);
    if (setup.stamped) {
        map_log();
    }
}

NullMount::~NullMount() {
    if (log_ != nullptr) {
        munmap(log_, log_bytes_);
    }
    mount_.reset();
    std::error_code none;
    std::filesystem::remove(log_path_, none);
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

double NullMount::sleeps() const {
    std::ifstream status("/proc/" + std::to_string(mount_->pid()) + "/status");
    std::string word;
    double count = 0;
    while (status >> word) {
        if (word == "voluntary_ctxt_switches:") {
            status >> count;
        }
    }
    return count;
}

double NullMount::cpu_ns() const {
    clockid_t clock{};
    timespec time{};
    if (clock_getcpuclockid(mount_->pid(), &clock) != 0 || clock_gettime(clock, &time) != 0) {
        fail("the daemon's CPU time");
    }
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

void NullMount::clear() {
    log_->used = 0;
}

std::vector<stamps::Served> NullMount::served() const {
    const std::uint64_t used = std::min(log_->used.load(), log_->capacity);
    return {log_->records(), log_->records() + used};
}

}  // namespace fusesim::calibrate
