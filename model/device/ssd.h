#pragma once

#include "device/device.h"
#include "device/fifo.h"
#include "device/flash_array.h"
#include "device/ssd_settings.h"
#include "device/write_buffer.h"
#include "sim/engine.h"
#include "sim/wait_queue.h"

#include <deque>
#include <string>
#include <vector>

namespace fusesim::device {

class Ssd;

/// One command inside a drive, from submission to completion.
struct SsdCommand final : sim::Timer {
    enum class Phase : std::uint8_t { fetched, partial_units, transfer, finished };

    SsdCommand(Ssd& drive, const Io& request) : ssd(drive), io(request) {}

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle);
    void await_resume() noexcept { process->waiting_for = nullptr; }
    void fire() override;

    Ssd& ssd;
    const Io io;
    SsdCommand* next = nullptr;
    std::uint32_t queue = 0;
    Phase phase = Phase::fetched;
    WriteBuffer::Unit unit = 0;     ///< next unit to be transferred
    std::uint32_t units = 0;        ///< still to be transferred
    std::uint32_t bytes = 0;        ///< likewise
    std::uint32_t outstanding = 0;  ///< transfers, or units that have to become durable
    std::uint64_t flush_ticket = 0;
    bool first_transfer = true;
    FlashTransfer chunk;  ///< of a write
    sim::Time arrived;
    sim::Time began;
    sim::Process* process = nullptr;
    sim::Resumable resumable;
};

/// A solid-state drive: host queues, controller, link, write buffer and a flash array behind a
/// page-mapped translation layer.
class Ssd : public Device, private FlashArray::Client {
  public:
    Ssd(sim::Engine& engine, std::string name, const SsdConfig& config, std::uint64_t seed);

    sim::Task<> serve(const Io& io) override;

    const sim::Station& station() const override { return station_; }

    void begin_window(sim::Time now) override;

    std::vector<Usage> usage(sim::Time now) const override;

    const SsdConfig& config() const { return config_; }

    /// Of the window.
    const FlashCounters& counters() const { return array_.ftl().counters(); }

    const Ftl& ftl() const { return array_.ftl(); }

  private:
    friend struct SsdCommand;

    /// A queue of the host.
    struct HostQueue {
        std::uint32_t in_drive = 0;
        Fifo<SsdCommand> waiting;    // for a place in the drive
        Fifo<SsdCommand> submitted;  // to be fetched by the controller
        HostQueue* next = nullptr;   // of those that the controller has to visit
    };

    /// The firmware, which takes one command after another from the host queues in turn.
    struct Controller final : sim::Timer {
        explicit Controller(Ssd& drive) : ssd(drive) {}

        void fire() override { ssd.fetch_next(); }

        Ssd& ssd;
        sim::Time free;
        sim::Time busy;
        Fifo<HostQueue> turns;        // queues with something submitted, the next first
        std::uint64_t write_end = 0;  // where a write would be sequential
    };

    /// Carries data in one direction, or in both by turns.
    struct Link final : sim::Timer {
        explicit Link(Ssd& drive) : ssd(drive) {}

        void fire() override { ssd.carried(*this); }

        Ssd& ssd;
        Fifo<FlashTransfer> queue;
        FlashTransfer* current = nullptr;
        sim::Time busy;
    };

    void submit(SsdCommand& command);
    void accept(SsdCommand& command);
    void fetch(SsdCommand& command);
    void fetch_next();
    void run(SsdCommand& command);
    void read_units(SsdCommand& command);
    bool read_partial_units(SsdCommand& command);
    void write_chunk(SsdCommand& command);
    void start_chunk(SsdCommand& command);
    void write_arrived(SsdCommand& command);
    void flush(SsdCommand& command);
    void trim(SsdCommand& command);
    void dispatch();
    void end_flushes();
    void carry(FlashTransfer& transfer);
    void start_carrying(Link& link, FlashTransfer& transfer);
    void carried(Link& link);
    void finish(SsdCommand& command, sim::Time latency);
    void complete(SsdCommand& command);
    FlashTransfer& new_transfer(SsdCommand& command);

    void was_read(FlashTransfer& transfer) override;
    void was_written(FlashRow& row) override;

    void can_write() override { dispatch(); }

    sim::Engine& engine_;
    SsdConfig config_;
    sim::Station station_;
    sim::WaitQueue name_in_reports_;
    FlashArray array_;
    WriteBuffer buffer_;
    std::vector<HostQueue> queues_;
    Controller controller_;
    Link to_host_;
    Link from_host_;
    std::deque<FlashTransfer> transfers_;
    Fifo<FlashTransfer> free_transfers_;
    Fifo<SsdCommand> waiting_for_buffer_;
    Fifo<SsdCommand> flushes_;
    std::vector<WriteBuffer::Unit> row_;
    std::uint32_t row_units_;
    std::uint32_t chunk_units_;
    std::uint32_t in_drive_ = 0;
    sim::Time left_alone_;  // when the last command ended
    sim::Time window_;
};

}  // namespace fusesim::device
