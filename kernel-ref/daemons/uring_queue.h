#pragma once

#include "null_server.h"
#include "ring_protocol.h"
#include "stamps.h"

#include <liburing.h>

#include <memory>
#include <vector>

namespace fusesim::daemons {

/// The ring queue of one core: a ring and its entries, used by one thread.
class UringQueue {
  public:
    struct Setup {
        int device = -1;  ///< descriptor of /dev/fuse
        unsigned number = 0;
        unsigned depth = 1;
        std::size_t payload = 0;  ///< bytes for names and data of one request
        stamps::Log* log = nullptr;
    };

    /// Throws std::system_error.
    UringQueue(const Setup& setup, NullServer& server);
    ~UringQueue();
    UringQueue(const UringQueue&) = delete;
    UringQueue& operator=(const UringQueue&) = delete;

    /// Registers the entries and serves what comes, until the connection ends. Returns the error
    /// number that ended the first entry.
    int run();

  private:
    struct Entry {
        ring::Header* header = nullptr;
        char* payload = nullptr;
        std::size_t not_zero = 0;
        iovec areas[2] = {};
    };

    void submit(Entry& entry, std::uint32_t command, std::uint64_t commit_id);
    void serve(Entry& entry);
    int submit_and_wait();

    Setup setup_;
    NullServer& server_;
    io_uring ring_{};
    char* memory_ = nullptr;
    std::size_t memory_bytes_ = 0;
    std::vector<Entry> entries_;
    std::vector<stamps::Served> served_;  ///< since the ring was last entered
    std::uint64_t entered_ = 0;
    std::uint64_t returned_ = 0;
};

}  // namespace fusesim::daemons
