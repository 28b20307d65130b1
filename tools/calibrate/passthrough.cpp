#include "passthrough.h"

#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

namespace fusesim::calibrate {

namespace {

constexpr std::size_t passed_bytes = 64 * page;

}  // namespace

bool PassthroughMount::available() {
    utsname system{};
    unsigned major = 0;
    unsigned minor = 0;
    return uname(&system) == 0 && std::sscanf(system.release, "%u.%u", &major, &minor) == 2 &&
           (major > 6 || (major == 6 && minor >= 9));
}

PassthroughMount::PassthroughMount(const std::filesystem::path& stackfs,
                                   const std::filesystem::path& directory,
                                   int core)
    : below_(directory / "below") {
    std::filesystem::create_directories(below_);
    std::ofstream(below_ / "data") << std::string(passed_bytes, 'x');
    real::DaemonMount::Setup setup;
    setup.command = {stackfs.string(), "-f", "-o", "source=" + below_.string() + ",passthrough"};
    setup.point = directory / "passthrough";
    setup.cores = {core};
    setup.log = directory / "passthrough.log";
    mount_ = std::make_unique<real::DaemonMount>(setup);
}

Times PassthroughMount::measure(double seconds) const {
    const Descriptor through(mount_->point() / "data", O_RDWR);
    const Descriptor below(below_ / "data", O_RDWR);
    Shared memory(page);
    char* data = memory.as<char>();
    const auto time = [&](const Descriptor& file, bool writes) {
        std::size_t at = 0;
        return mean_time_of(
            [&] {
                const auto offset = static_cast<off_t>(at);
                static_cast<void>(writes ? !pwrite(file.get(), data, page, offset)
                                         : !pread(file.get(), data, page, offset));
                at = (at + page) % passed_bytes;
            },
            seconds / 4);
    };
    Times times;
    times["passthrough_read"] = time(through, false) - time(below, false);
    times["passthrough_write"] = time(through, true) - time(below, true);
    return times;
}

}  // namespace fusesim::calibrate
