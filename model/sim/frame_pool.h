#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace fusesim::sim {

/// Recycles coroutine frames by size class, so that awaiting a task costs no malloc.
/// A simulation lives on one thread; each thread has its own pool.
class FramePool {
  public:
    void* take(std::size_t bytes);
    void give_back(void* frame, std::size_t bytes);

  private:
    static constexpr std::size_t class_bytes = 64;
    static constexpr std::size_t classes = 32;  // larger frames go to the heap
    static constexpr std::size_t chunk_bytes = 64 * 1024;

    struct Free {
        Free* next;
    };

    std::array<Free*, classes> free_{};
    std::vector<std::unique_ptr<std::byte[]>> chunks_;
};

FramePool& frame_pool();

}  // namespace fusesim::sim
