#pragma once

#include "sim/frame_pool.h"

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace fusesim::sim {

/// What a simulated process is made of: a coroutine that starts when awaited, may wait at any
/// depth and resumes its caller when it is done. Owns its frame; frames come from a pool.
template <class T = void>
class Task;

namespace detail {

struct PromiseCommon {
    static void* operator new(std::size_t bytes) { return frame_pool().take(bytes); }

    static void operator delete(void* frame, std::size_t bytes) {
        frame_pool().give_back(frame, bytes);
    }

    std::suspend_always initial_suspend() noexcept { return {}; }

    void unhandled_exception() { error = std::current_exception(); }

    /// Hands control straight to whoever awaited this task.
    struct Final {
        bool await_ready() noexcept { return false; }

        template <class Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
            return self.promise().continuation;
        }

        void await_resume() noexcept {}
    };

    Final final_suspend() noexcept { return {}; }

    std::coroutine_handle<> continuation = std::noop_coroutine();
    std::exception_ptr error;
};

template <class T>
struct Promise : PromiseCommon {
    Task<T> get_return_object();

    void return_value(T result) { value = std::move(result); }

    T take() { return std::move(*value); }

    std::optional<T> value;
};

template <>
struct Promise<void> : PromiseCommon {
    Task<void> get_return_object();

    void return_void() {}

    void take() {}
};

}  // namespace detail

template <class T>
class [[nodiscard]] Task {
  public:
    using promise_type = detail::Promise<T>;
    using Handle = std::coroutine_handle<promise_type>;

    explicit Task(Handle handle) : handle_(handle) {}

    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}

    Task& operator=(Task&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }

    ~Task() {
        if (handle_) {
            handle_.destroy();
        }
    }

    bool await_ready() const noexcept { return false; }

    std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
        handle_.promise().continuation = awaiting;
        return handle_;
    }

    T await_resume() {
        if (handle_.promise().error) {
            std::rethrow_exception(handle_.promise().error);
        }
        return handle_.promise().take();
    }

  private:
    Handle handle_;
};

namespace detail {

template <class T>
Task<T> Promise<T>::get_return_object() {
    return Task<T>(std::coroutine_handle<Promise>::from_promise(*this));
}

inline Task<void> Promise<void>::get_return_object() {
    return Task<void>(std::coroutine_handle<Promise>::from_promise(*this));
}

}  // namespace detail

}  // namespace fusesim::sim
