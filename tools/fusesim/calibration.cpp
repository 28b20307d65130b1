#include "calibration.h"

#include "commands.h"
#include "mounts.h"
#include "passthrough.h"
#include "ring.h"

#include <unistd.h>

#include <filesystem>

namespace fusesim::commands {

namespace {

void check_machine() {
    if (geteuid() != 0) {
        throw Unavailable("calibrate mounts a null file system: run it as root");
    }
    if (access("/dev/fuse", R_OK | W_OK) != 0) {
        throw Unavailable(
            "calibrate needs /dev/fuse: modprobe fuse, or give the container the "
            "device");
    }
}

/// The reference daemon: beside the program, where the build puts it, or where it installs it.
std::filesystem::path find_nullfs(const std::string& asked) {
    if (!asked.empty()) {
        if (access(asked.c_str(), X_OK) != 0) {
            throw Unavailable("calibrate cannot run " + asked);
        }
        return asked;
    }
    if (const auto found = real::find_daemon("nullfs"); !found.empty()) {
        return found;
    }
    throw Unavailable(
        "calibrate needs the nullfs daemon; build it (libfuse3-dev 3.14 or newer) "
        "or name it with --daemon");
}

}  // namespace

calibrate::Plan plan_of_calibration(const std::string& nullfs) {
    check_machine();
    calibrate::Plan plan;
    plan.daemon = find_nullfs(nullfs);
    if (calibrate::RingMount::available()) {
        plan.ring = real::find_daemon("uringfs");
    }
    if (calibrate::PassthroughMount::available()) {
        plan.stack = real::find_daemon("stackfs");
    }
    return plan;
}

}  // namespace fusesim::commands
