#pragma once

#include "config/map.h"
#include "sim/time.h"
#include "transport/message.h"

#include <cstdint>
#include <functional>
#include <map>
#include <unordered_map>
#include <unordered_set>

namespace fusesim::vfs {

/// What the daemon's program within the kernel answers, and what it costs.
struct ExtfuseSettings {
    std::uint64_t entries = 131'072;  ///< room of each map; a full one takes no more
    bool lookup = true;
    bool getattr = true;
    bool getxattr = true;                         ///< there are no extended attributes
    bool flush = true;                            ///< the daemon has nothing to do at a close
    sim::Time program = sim::Time::from_ns(300);  ///< arguments copied, program run, a look-up
    sim::Time update = sim::Time::from_ns(1000);  ///< bpf(2): the daemon changes one entry
};

void bind(config::Map& map, ExtfuseSettings& settings);

/// ExtFUSE (Bijlani and Ramachandran, ATC'19): a BPF program that sees each request with a waiting
/// caller before it is queued. It answers from two maps that it shares with the daemon, of names
/// and of attributes, or lets the request pass. The daemon fills the maps when it answers LOOKUP,
/// GETATTR and what makes files; requests that change a file take its attributes away.
class Extfuse {
  public:
    explicit Extfuse(const ExtfuseSettings& settings) : settings_(settings) {}

    const ExtfuseSettings& settings() const { return settings_; }

    /// True if the program answers; else what the daemon will do to the maps is added to its work.
    bool answers(transport::Call& call);

    /// The daemon has answered.
    void learn(const transport::Call& call);

    /// After a change that no request told.
    void drop_attributes(std::uint64_t nodeid) { attributes_.erase(nodeid); }

    /// FORGET: the daemon takes out what it has put in for the file.
    void forget(std::uint64_t nodeid);

    struct Count {
        std::uint64_t answered = 0;
        std::uint64_t passed = 0;
    };

    /// Since begin_window().
    const std::map<fuse::Opcode, Count>& counts() const { return counts_; }

    void begin_window() { counts_.clear(); }

    std::uint64_t entries() const { return names_.size() + attributes_.size(); }

  private:
    struct Key {
        std::uint64_t directory;
        std::uint64_t name;
        bool operator==(const Key&) const = default;
    };

    struct Hash {
        std::size_t operator()(const Key& key) const {
            return std::hash<std::uint64_t>()(key.directory * 0x9e3779b97f4a7c15 ^ key.name);
        }
    };

    bool served(const transport::Call& call) const;
    void add_name(const Key& key, std::uint64_t nodeid);

    ExtfuseSettings settings_;
    std::unordered_map<Key, std::uint64_t, Hash> names_;  // node ids
    std::unordered_map<std::uint64_t, Key> last_names_;   // of node ids, for forget()
    std::unordered_set<std::uint64_t> attributes_;        // node ids with fresh ones
    std::map<fuse::Opcode, Count> counts_;
};

}  // namespace fusesim::vfs
