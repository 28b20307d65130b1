#include "vfs/extfuse.h"

namespace fusesim::vfs {

using fuse::Opcode;
using transport::Call;
using namespace sim::literals;

namespace {

/// The answer names a file: its name and its attributes go into the maps.
bool answer_has_entry(Opcode opcode) {
    switch (opcode) {
        case Opcode::lookup:
        case Opcode::create:
        case Opcode::mknod:
        case Opcode::mkdir:
        case Opcode::symlink:
            return true;
        default:
            return false;
    }
}

/// The name in the request stands for nothing once it has succeeded.
bool takes_name(Opcode opcode) {
    switch (opcode) {
        case Opcode::unlink:
        case Opcode::rmdir:
        case Opcode::rename:
        case Opcode::rename2:
            return true;
        default:
            return false;
    }
}

/// The file whose attributes a request makes stale; 0: none.
std::uint64_t changed_by(const Call& call) {
    if (takes_name(call.opcode)) {
        return call.subject;
    }
    switch (call.opcode) {
        case Opcode::write:
        case Opcode::setattr:
        case Opcode::fallocate:
        case Opcode::link:
            return call.nodeid;
        default:
            return 0;
    }
}

}  // namespace

void bind(config::Map& map, ExtfuseSettings& settings) {
    map.field("entries",
              settings.entries,
              1,
              std::uint64_t{1} << 32U,
              "room of each map, of names and of attributes; a full one takes no more");
    map.field("lookup", settings.lookup, "answers LOOKUP of names whose attributes it has");
    map.field("getattr", settings.getattr, "answers GETATTR until a request changes the file");
    map.field("getxattr", settings.getxattr, "answers GETXATTR: there are none");
    map.field("flush", settings.flush, "answers FLUSH");
    map.field("program",
              settings.program,
              sim::Time(),
              1_ms,
              "what each request pays: arguments copied, program run, a look-up; assumed");
    map.field("update",
              settings.update,
              sim::Time(),
              1_ms,
              "what the daemon pays to change one entry: bpf(2); assumed");
}

bool Extfuse::served(const Call& call) const {
    switch (call.opcode) {
        case Opcode::lookup: {
            const auto known = names_.find({call.nodeid, call.name});
            return settings_.lookup && known != names_.end() &&
                   attributes_.count(known->second) > 0;
        }
        case Opcode::getattr:
            return settings_.getattr && attributes_.count(call.nodeid) > 0;
        case Opcode::getxattr:
            return settings_.getxattr;
        case Opcode::flush:
            return settings_.flush;
        default:
            return false;
    }
}

bool Extfuse::answers(Call& call) {
    const bool answered = served(call);
    Count& count = counts_[call.opcode];
    ++(answered ? count.answered : count.passed);
    if (answered) {
        return true;
    }
    if (const std::uint64_t nodeid = changed_by(call)) {
        drop_attributes(nodeid);
    }
    const bool succeeds = call.error_reply == 0;
    if (succeeds && answer_has_entry(call.opcode)) {
        call.upkeep = settings_.update * 2;
    } else if (succeeds && (call.opcode == Opcode::getattr || takes_name(call.opcode))) {
        call.upkeep = settings_.update;
    }
    return false;
}

void Extfuse::learn(const Call& call) {
    if (call.error != 0 || call.error_reply != 0) {
        return;
    }
    const Key key{call.nodeid, call.name};
    std::uint64_t nodeid = 0;
    if (takes_name(call.opcode)) {
        names_.erase(key);
    } else if (answer_has_entry(call.opcode) && call.subject != 0) {
        nodeid = call.subject;
        add_name(key, nodeid);
    } else if (call.opcode == Opcode::getattr) {
        nodeid = call.nodeid;
    }
    if (nodeid != 0 && attributes_.size() < settings_.entries) {
        attributes_.insert(nodeid);
    }
}

void Extfuse::add_name(const Key& key, std::uint64_t nodeid) {
    if (names_.count(key) > 0 || names_.size() < settings_.entries) {
        names_[key] = nodeid;
        last_names_[nodeid] = key;
    }
}

void Extfuse::forget(std::uint64_t nodeid) {
    drop_attributes(nodeid);
    const auto named = last_names_.find(nodeid);
    if (named == last_names_.end()) {
        return;
    }
    const auto name = names_.find(named->second);
    if (name != names_.end() && name->second == nodeid) {
        names_.erase(name);
    }
    last_names_.erase(named);
}

}  // namespace fusesim::vfs
