#pragma once

#include "config/map.h"
#include "config/units.h"
#include "sim/random.h"
#include "sim/time.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace fusesim::workload {

/// What an application does. Every thread works in a directory of its own, on files of its own,
/// with names relative to that directory; model/workload/README.md has the system calls of each.
enum class Op : std::uint8_t {
    stat,          ///< fstatat() of an existing file
    stat_missing,  ///< fstatat() of a name that does not exist
    open,          ///< openat() of an existing file, and close()
    create,        ///< openat() of a new file, and close()
    unlink,        ///< unlinkat() of the file that the thread created first
    readdir,       ///< openat(), getdents64() until the end, close()
    read,          ///< pread()
    write,         ///< pwrite() within a file
    fsync          ///< fsync() of the file that the thread wrote to last
};

/// Its name in scenarios and results.
std::string_view to_text(Op op);

/// One entry of a workload's list of operations.
struct OperationConfig {
    enum class Pattern : std::uint8_t { random, sequential, uniform };

    Op op = Op::read;
    config::Bytes size{4096};           ///< of a read or write
    Pattern pattern = Pattern::random;  ///< order of blocks (read, write) or names (stat, open)
    double weight = 1;                  ///< how often it is chosen, with order: random
    unsigned times = 1;                 ///< how often it is done in its turn, with order: cycle
};

/// What lies in each thread's directory before the run.
struct FilesConfig {
    unsigned count = 16;
    config::Bytes size{1u << 20};
};

/// Operations issued by threads, simulated or real.
struct NativeConfig {
    enum class Order : std::uint8_t { cycle, random };
    enum class Cache : std::uint8_t { warm, cold };
    enum class Arrival : std::uint8_t { poisson, even };

    unsigned threads = 1;
    FilesConfig files;
    std::vector<OperationConfig> operations;
    Order order = Order::cycle;
    bool direct = false;  ///< files are opened with O_DIRECT
    Cache cache = Cache::warm;
    sim::Distribution think;           ///< asleep between two operations
    sim::Time compute;                 ///< on a core for each operation, outside of it
    std::optional<config::Rate> rate;  ///< open loop: operations per second, all threads together
    Arrival arrival = Arrival::poisson;
};

void bind(config::Map& map, OperationConfig& operation);
void bind(config::Map& map, FilesConfig& files);

/// One thing to do.
struct Step {
    Op op = Op::read;
    unsigned file = 0;         ///< stat, open, read, write, fsync: which of the thread's files
    std::uint64_t number = 0;  ///< stat_missing, create, unlink: which of those names
    std::uint64_t offset = 0;  ///< bytes
    std::uint32_t size = 0;    ///< bytes
    bool drop_cache = false;   ///< first drop what is cached of all the thread's files
};

/// What one thread does, one step after the other: the same for a simulated thread and a real one,
/// so that both issue the same operations on the same blocks.
class OperationStream {
  public:
    OperationStream(const NativeConfig& config, unsigned thread, std::uint64_t seed);

    Step next();
    /// Time asleep before the next step.
    sim::Time think();
    /// With a rate: time from the arrival of one step to that of the next of this thread.
    sim::Time gap();

  private:
    /// Where one entry of the list has got to. Blocks (or names) are numbered over all files.
    struct Cursor {
        std::uint64_t units = 0;    // blocks or names in all files
        std::uint64_t in_file = 1;  // of these in one file
        std::uint64_t at = 0;       // next of this pass
        std::uint64_t key = 0;      // of the pass's permutation
        unsigned bits = 1;          // the permutation is of 2^bits numbers
    };

    /// The next block or name of a pass; true in `fresh` if it is the pass's first.
    std::uint64_t next_unit(const OperationConfig& operation, Cursor& cursor, bool& fresh);
    std::size_t pick();

    const NativeConfig& config_;
    sim::Random random_;
    sim::Random pace_;
    std::vector<Cursor> cursors_;
    std::size_t turn_ = 0;
    unsigned done_in_turn_ = 0;
    double total_weight_ = 0;
    std::uint64_t created_ = 0;
    std::uint64_t unlinked_ = 0;
    std::uint64_t missing_ = 0;
    unsigned written_ = 0;
};

}  // namespace fusesim::workload
