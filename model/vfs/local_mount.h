#pragma once

#include "host/cpu.h"
#include "host/profile.h"
#include "lower/ext4.h"
#include "sim/random.h"
#include "vfs/file_tree.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace fusesim::vfs {

/// A file system of the kernel as applications see it, with no daemon between: what a mount of
/// FUSE is compared with.
class LocalMount final : public FileTree {
  public:
    /// `costs` of its calls while all is in memory; `disk` is null if it always is.
    LocalMount(host::Cpu& cpu,
               const host::LowerCosts& costs,
               lower::Ext4* disk,
               std::uint64_t seed);
    ~LocalMount() override;

    Inode& root() override { return *inodes_.front(); }

    Inode& add_directory(Inode& parent, Name name) override;
    Inode& add_file(Inode& directory, Name name, std::uint64_t size) override;
    double share_that_fits(std::uint64_t bytes) const override;
    File open_quietly(Inode& file, bool o_direct, double cached) override;

    sim::Task<int> stat(host::Thread& thread, Inode& directory, Name name) override;
    sim::Task<int> open(
        host::Thread& thread, Inode& directory, Name name, bool o_direct, File& out) override;
    sim::Task<int> create(host::Thread& thread, Inode& directory, Name name, File& out) override;
    sim::Task<> close(host::Thread& thread, File& file) override;
    sim::Task<int> unlink(host::Thread& thread, Inode& directory, Name name) override;
    sim::Task<int> list(host::Thread& thread, Inode& directory) override;
    sim::Task<> read(host::Thread& thread,
                     File& file,
                     std::uint64_t offset,
                     std::uint32_t bytes) override;
    sim::Task<> write(host::Thread& thread,
                      File& file,
                      std::uint64_t offset,
                      std::uint32_t bytes) override;
    sim::Task<> fsync(host::Thread& thread, File& file) override;
    sim::Task<> drop_cache(host::Thread& thread, File& file) override;

    std::uint64_t cached_pages() const override;

  private:
    Inode& new_inode(bool directory);
    Inode* find(Inode& directory, Name name) const;
    void use(Inode& inode, std::uint64_t offset, std::uint64_t end);

    host::Cpu& cpu_;
    const host::LowerCosts& costs_;
    lower::Ext4* disk_;
    sim::Distribution fsync_blocked_;
    sim::Random random_;
    std::uint64_t last_id_ = 0;
    std::vector<std::unique_ptr<Inode>> inodes_;
    std::vector<Inode*> retired_;  // to be used again
};

}  // namespace fusesim::vfs
