#pragma once

#include <cstddef>
#include <vector>

namespace fusesim::fuse {

/// A FIFO that keeps its memory: allocates only while it grows.
template <typename T>
class Ring {
  public:
    bool empty() const { return count_ == 0; }

    std::size_t size() const { return count_; }

    T& front() { return slots_[head_]; }

    const T& front() const { return slots_[head_]; }

    T& operator[](std::size_t i) { return slots_[(head_ + i) & (slots_.size() - 1)]; }

    const T& operator[](std::size_t i) const { return slots_[(head_ + i) & (slots_.size() - 1)]; }

    void push_back(const T& value) {
        if (count_ == slots_.size()) {
            grow();
        }
        slots_[(head_ + count_) & (slots_.size() - 1)] = value;
        ++count_;
    }

    void pop_front() {
        head_ = (head_ + 1) & (slots_.size() - 1);
        --count_;
    }

    /// Takes out the first element equal to `value`; the others keep their order.
    bool erase(const T& value) {
        std::size_t i = 0;
        while (i < count_ && !((*this)[i] == value)) {
            ++i;
        }
        if (i == count_) {
            return false;
        }
        for (; i + 1 < count_; ++i) {
            (*this)[i] = (*this)[i + 1];
        }
        --count_;
        return true;
    }

    void clear() {
        head_ = 0;
        count_ = 0;
    }

  private:
    void grow() {
        std::vector<T> bigger(slots_.empty() ? 16 : 2 * slots_.size());
        for (std::size_t i = 0; i < count_; ++i) {
            bigger[i] = (*this)[i];
        }
        slots_.swap(bigger);
        head_ = 0;
    }

    std::vector<T> slots_;  ///< a power of two of them
    std::size_t head_ = 0;
    std::size_t count_ = 0;
};

}  // namespace fusesim::fuse
