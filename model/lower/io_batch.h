#pragma once

#include "lower/block_queue.h"
#include "sim/wait_queue.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace fusesim::lower {

/// Some I/O that somebody waits for together.
class IoBatch {
  public:
    explicit IoBatch(sim::Engine& engine) : ended_(engine, "the end of a batch of I/O") {}

    /// Blocks of 4 KiB; `fua`: durable when it ends.
    void add(host::Thread& thread,
             BlockQueue& queue,
             device::Io::Kind kind,
             std::uint64_t block,
             std::uint64_t count,
             bool fua = false) {
        Part& part = take();
        part.io = {};
        part.io.kind = kind;
        part.io.fua = fua;
        part.io.offset = block * 4096;
        part.io.bytes = static_cast<std::uint32_t>(count * 4096);
        ++outstanding_;
        queue.add(thread, part);
    }

    sim::Task<> wait(host::Thread& thread) {
        while (outstanding_ > 0) {
            co_await thread.sleep(ended_);
        }
    }

  private:
    struct Part final : Bio {
        explicit Part(IoBatch& owner) : batch(owner) {}

        void ended() override {
            batch.free_.push_back(this);
            if (--batch.outstanding_ == 0) {
                batch.ended_.wake_all();
            }
        }

        IoBatch& batch;
    };

    Part& take() {
        if (free_.empty()) {
            parts_.push_back(std::make_unique<Part>(*this));
            free_.push_back(parts_.back().get());
        }
        Part& part = *free_.back();
        free_.pop_back();
        return part;
    }

    std::vector<std::unique_ptr<Part>> parts_;
    std::vector<Part*> free_;
    std::uint64_t outstanding_ = 0;
    sim::WaitQueue ended_;
};

}  // namespace fusesim::lower
