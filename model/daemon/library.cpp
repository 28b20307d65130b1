#include "daemon/library.h"

namespace fusesim::daemon {

using fuse::Opcode;
using host::LibraryCosts;
using sim::Time;

namespace {

struct ByOpcode {
    Opcode opcode;
    Time LibraryCosts::*fixed;
    Time LibraryCosts::*entry;
};

constexpr ByOpcode by_opcode[] = {
    {Opcode::lookup, &LibraryCosts::lookup, nullptr},
    {Opcode::getattr, &LibraryCosts::getattr, nullptr},
    {Opcode::setattr, &LibraryCosts::setattr, nullptr},
    {Opcode::mkdir, &LibraryCosts::mkdir, nullptr},
    {Opcode::unlink, &LibraryCosts::unlink, nullptr},
    {Opcode::rmdir, &LibraryCosts::rmdir, nullptr},
    {Opcode::open, &LibraryCosts::open, nullptr},
    {Opcode::read, &LibraryCosts::read, nullptr},
    {Opcode::write, &LibraryCosts::write, nullptr},
    {Opcode::release, &LibraryCosts::release, nullptr},
    {Opcode::fsync, &LibraryCosts::fsync, nullptr},
    {Opcode::flush, &LibraryCosts::flush, nullptr},
    {Opcode::opendir, &LibraryCosts::opendir, &LibraryCosts::opendir_entry},
    {Opcode::readdir, &LibraryCosts::readdir, &LibraryCosts::readdir_entry},
    {Opcode::readdirplus, &LibraryCosts::readdir, &LibraryCosts::readdirplus_entry},
    {Opcode::releasedir, &LibraryCosts::releasedir, nullptr},
    {Opcode::create, &LibraryCosts::create, nullptr},
};

}  // namespace

Time library_time(const host::Costs& costs, const transport::Call& call) {
    if (!costs.library) {
        return costs.libfuse_request;
    }
    const LibraryCosts& library = *costs.library;
    if (call.opcode == Opcode::lookup && call.error_reply != 0) {
        return library.lookup_missing;
    }
    for (const ByOpcode& one : by_opcode) {
        if (one.opcode == call.opcode) {
            const Time each = one.entry != nullptr ? library.*one.entry : Time();
            return library.*one.fixed + each * static_cast<std::int64_t>(call.entries);
        }
    }
    return costs.libfuse_request;
}

Time library_time_of_forget(const host::Costs& costs) {
    return costs.library ? costs.library->forget : costs.libfuse_request;
}

}  // namespace fusesim::daemon
