#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace fusesim::daemons {

/// What the kernel knows by a handle until it releases it. The kernel drops releases that are still
/// queued when a file system is unmounted, so what is here then goes with the file system.
template <class T>
class OpenHandles {
  public:
    std::uint64_t add(std::unique_ptr<T> opened) {
        const auto handle = reinterpret_cast<std::uint64_t>(opened.get());
        const std::lock_guard lock(mutex_);
        opened_.emplace(handle, std::move(opened));
        return handle;
    }

    static T& at(std::uint64_t handle) { return *reinterpret_cast<T*>(handle); }

    void release(std::uint64_t handle) {
        const std::lock_guard lock(mutex_);
        opened_.erase(handle);
    }

  private:
    std::mutex mutex_;
    std::unordered_map<std::uint64_t, std::unique_ptr<T>> opened_;
};

}  // namespace fusesim::daemons
