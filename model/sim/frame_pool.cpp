#include "sim/frame_pool.h"

#include <new>

namespace fusesim::sim {

namespace {

// Under AddressSanitizer every frame is its own allocation, so that a use after the end is seen.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool pooled = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool pooled = false;
#else
constexpr bool pooled = true;
#endif
#else
constexpr bool pooled = true;
#endif

}  // namespace

void* FramePool::take(std::size_t bytes) {
    const std::size_t size_class = (bytes + class_bytes - 1) / class_bytes;
    if (!pooled || size_class >= classes) {
        return ::operator new(bytes);
    }
    if (free_[size_class] == nullptr) {
        const std::size_t frame_bytes = size_class * class_bytes;
        chunks_.push_back(std::make_unique<std::byte[]>(chunk_bytes));
        std::byte* chunk = chunks_.back().get();
        for (std::size_t at = 0; at + frame_bytes <= chunk_bytes; at += frame_bytes) {
            free_[size_class] = ::new (chunk + at) Free{free_[size_class]};
        }
    }
    Free* frame = free_[size_class];
    free_[size_class] = frame->next;
    return frame;
}

void FramePool::give_back(void* frame, std::size_t bytes) {
    const std::size_t size_class = (bytes + class_bytes - 1) / class_bytes;
    if (!pooled || size_class >= classes) {
        ::operator delete(frame);
        return;
    }
    free_[size_class] = ::new (frame) Free{free_[size_class]};
}

FramePool& frame_pool() {
    thread_local FramePool pool;
    return pool;
}

}  // namespace fusesim::sim
