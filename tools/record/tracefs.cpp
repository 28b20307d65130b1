#include "tracefs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>
#include <vector>

namespace fusesim::record {

namespace {

constexpr const char* tracefs = "/sys/kernel/tracing";

}  // namespace

TracefsInstance::TracefsInstance(const Mount& mount) {
    // In a mount name space of our own, so that nothing is left mounted for others.
    if (unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        (access((std::string(tracefs) + "/instances").c_str(), F_OK) != 0 &&
         ::mount("tracefs", tracefs, "tracefs", 0, nullptr) != 0)) {
        throw Missing(fmt::format("tracefs cannot be mounted: {}", std::strerror(errno)));
    }
    directory_ = fmt::format("{}/instances/fusesim-{}", tracefs, getpid());
    if (mkdir(directory_.c_str(), 0700) != 0) {
        throw Missing(fmt::format("no tracing instance: {}", std::strerror(errno)));
    }
    try {
        if (access((directory_ + "/events/fuse/fuse_request_send").c_str(), F_OK) != 0) {
            throw Missing("this kernel has no FUSE tracepoints (they came with Linux 6.12)");
        }
        write("trace_clock", "mono");
        write("buffer_size_kb", "4096");
        for (const char* event : {"fuse_request_send", "fuse_request_end"}) {
            const std::string files = std::string("events/fuse/") + event;
            write(files + "/filter", fmt::format("connection == {}", mount.kernel_dev()));
            write(files + "/enable", "1");
        }
        pipe_ = open((directory_ + "/trace_pipe").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (pipe_ < 0) {
            throw Missing(fmt::format("trace_pipe: {}", std::strerror(errno)));
        }
    } catch (...) {
        rmdir(directory_.c_str());
        throw;
    }
}

TracefsInstance::~TracefsInstance() {
    if (pipe_ >= 0) {
        close(pipe_);
    }
    rmdir(directory_.c_str());
}

void TracefsInstance::write(const std::string& name, const std::string& value) const {
    const std::string file = directory_ + "/" + name;
    std::ofstream out(file);
    out << value << std::flush;
    if (!out) {
        throw Missing(fmt::format("{} does not take '{}'", name, value));
    }
}

std::size_t TracefsInstance::drain(int file) {
    std::vector<char> buffer(1 << 16);
    std::size_t sum = 0;
    for (;;) {
        const ssize_t size = read(pipe_, buffer.data(), buffer.size());
        if (size <= 0) {
            return sum;
        }
        for (ssize_t done = 0; done < size;) {
            const ssize_t part =
                ::write(file, buffer.data() + done, static_cast<std::size_t>(size - done));
            if (part <= 0) {
                throw Missing(
                    fmt::format("the text trace cannot be written: {}", std::strerror(errno)));
            }
            done += part;
        }
        sum += static_cast<std::size_t>(size);
    }
}

void TracefsInstance::stop() {
    write("tracing_on", "0");
}

std::uint64_t TracefsInstance::lost() const {
    std::uint64_t sum = 0;
    for (unsigned cpu = 0; cpu < std::thread::hardware_concurrency(); ++cpu) {
        std::ifstream stats(fmt::format("{}/per_cpu/cpu{}/stats", directory_, cpu));
        std::string line;
        while (std::getline(stats, line)) {
            if (line.rfind("overrun: ", 0) == 0 || line.rfind("dropped events: ", 0) == 0) {
                sum += std::stoull(line.substr(line.find(": ") + 2));
            }
        }
    }
    return sum;
}

}  // namespace fusesim::record
