#pragma once

#include "trace/call.h"
#include "trace/reader.h"
#include "vfs/inode.h"

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace fusesim::workload {

/// A recording of application calls made ready to be replayed: which file each call works on, what
/// lay in the file system before, and which calls had to wait for others. All of it is inferred
/// from the calls and their results, in the order in which they were made.
class CallPlan {
  public:
    static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

    /// Names of a path from the root. The caller held the directory that the first `held` lead to.
    struct PathRef {
        std::uint32_t first = 0;
        std::uint16_t count = 0;
        std::uint16_t held = 0;
        bool given = false;
    };

    struct Step {
        trace::Call call{};
        std::int32_t error = 0;
        std::uint32_t caller = 0;  ///< index in callers()
        std::uint32_t flags = 0;
        PathRef path;
        PathRef path2;
        std::uint32_t file = none;   ///< index in files(), for calls on a descriptor
        std::uint32_t file2 = none;  ///< copy_file_range: where to
        std::uint64_t offset = 0;
        std::uint64_t size = 0;
        std::uint64_t moved = 0;  ///< bytes read or written
        std::int64_t queued = 0;  ///< ns, as recorded
        std::int64_t ended = 0;
        std::int64_t think_cpu = trace::unknown_time;
        std::int64_t think_blocked = trace::unknown_time;
        std::uint32_t after = none;  ///< the step that it was waiting for, if any
        bool directory = false;      ///< what the path leads to
        bool appears = false;        ///< it is there by somebody else's doing
        bool vanished = false;       ///< it is gone by somebody else's doing
        bool duplicate = false;      ///< close: the file stays open by another descriptor
        bool at_exit = false;        ///< close: by the end of the process
    };

    struct Caller {
        std::uint32_t tid = 0;
        std::vector<std::uint32_t> steps;
    };

    /// An open file, by as many descriptors as there are.
    struct File {
        PathRef path;
        bool directory = false;
        bool before = false;  ///< opened before the recording began
    };

    /// What lay in the file system before: the root first, parents before their children.
    struct Initial {
        std::uint32_t parent = none;  ///< none: it is the root
        vfs::Name name;
        bool directory = false;
        bool symlink = false;
        std::uint64_t size = 0;
        std::uint64_t others = 0;  ///< names in a directory that no call has used
    };

    explicit CallPlan(trace::Reader& reader);

    const std::vector<Step>& steps() const { return steps_; }

    const std::vector<Caller>& callers() const { return callers_; }

    const std::vector<File>& files() const { return files_; }

    const std::vector<Initial>& initial() const { return initial_; }

    std::span<const vfs::Name> names(const PathRef& path) const {
        return std::span(names_).subspan(path.first, path.count);
    }

    std::uint64_t records() const { return records_; }

    /// The recorded daemon keeps extended attributes.
    bool extended_attributes() const { return extended_attributes_; }

    /// A name that nothing in the recording has.
    vfs::Name unused_name(std::uint64_t number) const;

  private:
    class Builder;

    std::vector<Step> steps_;
    std::vector<Caller> callers_;
    std::vector<File> files_;
    std::vector<Initial> initial_;
    std::vector<vfs::Name> names_;  // of all paths, one after the other
    std::unordered_map<std::string, vfs::Name> known_names_;
    std::uint64_t records_ = 0;
    bool extended_attributes_ = false;
};

}  // namespace fusesim::workload
