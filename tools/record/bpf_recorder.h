#pragma once

#include "assembler.h"
#include "events.h"
#include "mount.h"

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace fusesim::record {

/// What the recorder's own programs cost the machine while they were measured.
struct Overhead {
    double seconds = 0;        ///< CPU time of the programs
    double window_seconds = 0; ///< elapsed while it was counted
    std::uint64_t runs = 0;
};

/// The BPF programs, attached to one connection.
class BpfRecorder {
  public:
    /// The kernel does not take the programs.
    class Refused : public std::runtime_error {
        using std::runtime_error::runtime_error;
    };

    BpfRecorder(const Mount& mount, const std::vector<std::uint32_t>& daemons);
    BpfRecorder(const BpfRecorder&) = delete;
    BpfRecorder& operator=(const BpfRecorder&) = delete;
    ~BpfRecorder();

    /// Hands what has come since the last call to the assembler.
    void consume(Assembler& assembler);

    /// No new requests from here on; those in flight are still followed.
    void stop_sends();
    void detach();

    /// The programs' run time is counted between these two. Counting costs time itself, so that a
    /// recorder does it for a part of the time only.
    void start_measuring();
    void stop_measuring();
    bool is_measuring() const;

    Overhead overhead() const;
    connection_facts facts() const;
    recorder_counts counts() const;
    std::vector<std::uint32_t> daemons() const;

  private:
    class State;
    std::unique_ptr<State> state_;
};

}  // namespace fusesim::record
