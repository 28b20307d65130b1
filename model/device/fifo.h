#pragma once

namespace fusesim::device {

/// First come, first served; items are linked through a member and owned by others.
template <class T, T* T::*link = &T::next>
class Fifo {
  public:
    bool empty() const { return head_ == nullptr; }

    T& front() const { return *head_; }

    void push(T& item) {
        item.*link = nullptr;
        (head_ == nullptr ? head_ : tail_->*link) = &item;
        tail_ = &item;
    }

    T& pop() {
        T& item = *head_;
        head_ = item.*link;
        return item;
    }

  private:
    T* head_ = nullptr;
    T* tail_ = nullptr;
};

}  // namespace fusesim::device
