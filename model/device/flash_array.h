#pragma once

#include "device/fifo.h"
#include "device/ftl.h"
#include "device/ssd_settings.h"
#include "device/write_buffer.h"
#include "sim/engine.h"

#include <cstdint>
#include <vector>

namespace fusesim::device {

struct SsdCommand;

/// Part of a command's data on its way between a die and the host.
struct FlashTransfer {
    FlashTransfer* next = nullptr;
    SsdCommand* command = nullptr;
    std::uint32_t die = 0;
    std::uint32_t units = 0;
    std::uint32_t bytes = 0;  ///< on the link
    bool slc = false;
};

/// A row of host data that a die programs.
struct FlashRow {
    FlashRow* next = nullptr;
    WriteBuffer::Index entries = WriteBuffer::none;
    std::uint32_t units = 0;
    bool slc = false;
};

/// Dies on channels, in time: one operation at a time on a die, one transfer at a time on a
/// channel, both in order of arrival but for reads, which pass programs. Holds the translation
/// layer and does its garbage collection in between.
class FlashArray {
  public:
    /// Who reads and writes.
    class Client {
      public:
        virtual void was_read(FlashTransfer& transfer) = 0;
        virtual void was_written(FlashRow& row) = 0;
        /// A die can take another row.
        virtual void can_write() = 0;

      protected:
        ~Client() = default;
    };

    FlashArray(sim::Engine& engine, const SsdConfig& config, std::uint64_t seed, Client& client);

    Ftl& ftl() { return ftl_; }

    const Ftl& ftl() const { return ftl_; }

    void read(FlashTransfer& transfer);

    /// The number of the die, in turn, that takes the next row; false if none does.
    bool choose(std::uint32_t& number);

    /// Programs units that are linked in the buffer from `entries`.
    void write(std::uint32_t number,
               const Ftl::Unit* units,
               unsigned count,
               WriteBuffer::Index entries);

    /// Nothing goes on; since `quiet_since()`.
    bool quiet() const { return working_dies_ == 0; }

    sim::Time quiet_since() const { return quiet_since_; }

    /// Does what the firmware would have done while the host left it alone for `span`.
    void spend_idle(sim::Time span);

    void begin_window(sim::Time now);

    /// Share of the window in which the dies, or the channels, worked.
    double die_utilisation(sim::Time now) const;
    double channel_utilisation(sim::Time now) const;

  private:
    enum class Work : std::uint8_t { none, read, write, move_out, move_in, erase };
    enum class Phase : std::uint8_t { cells, channel };

    struct Die final : sim::Timer {
        void fire() override { array->cells_done(*this); }

        FlashArray* array = nullptr;
        Die* next = nullptr;  // in the queue of its channel
        Die* next_for_power = nullptr;
        std::uint32_t number = 0;
        Work work = Work::none;
        Fifo<FlashTransfer> reads;
        Fifo<FlashRow> rows;
        std::uint32_t waiting_rows = 0;
        std::uint32_t passed = 0;  // reads since something waits to be programmed
        FlashTransfer* reading = nullptr;
        FlashRow* writing = nullptr;
        bool waits_for_power = false;
        // Garbage collection.
        Ftl::Move move;            // what has been read and is to be programmed
        std::uint32_t erases = 0;  // blocks to erase
        std::uint64_t debt = 0;    // invalid units to win back for what the host has written
        sim::Time transfer;
        sim::Time began;
    };

    struct Channel final : sim::Timer {
        void fire() override { array->transferred(*this); }

        FlashArray* array = nullptr;
        Fifo<Die> queue;
        Die* current = nullptr;
        sim::Time busy;
    };

    void start(Die& die);
    void start_read(Die& die);
    bool start_move(Die& die);
    void begin(Die& die, Work work);
    void on_cells(Die& die, sim::Time span);
    void on_channel(Die& die, std::uint32_t units);
    void cells_done(Die& die);
    void transferred(Channel& channel);
    void program(Die& die);
    void finish(Die& die);
    bool take_power(Die& die);
    void give_power();
    sim::Time time_of(const Ftl::Move& move) const;

    sim::Engine& engine_;
    const SsdConfig& config_;
    Client& client_;
    Ftl ftl_;
    std::vector<Die> dies_;
    std::vector<Channel> channels_;
    std::vector<FlashRow> rows_;
    Fifo<FlashRow> free_rows_;
    Fifo<Die, &Die::next_for_power> power_;
    sim::Time unit_transfer_;
    std::uint32_t next_die_ = 0;
    std::uint32_t programming_ = 0;
    std::uint32_t working_dies_ = 0;
    sim::Time quiet_since_;
    sim::Time die_busy_;
    sim::Time window_;
};

}  // namespace fusesim::device
