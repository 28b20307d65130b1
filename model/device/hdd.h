#pragma once

#include "device/device.h"
#include "device/hdd_config.h"
#include "device/hdd_mechanics.h"
#include "device/places.h"
#include "sim/engine.h"

#include <boost/intrusive/list.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace fusesim::device {

/// What a drive did.
struct HddCounters {
    std::uint64_t read_hits = 0;
    std::uint64_t read_misses = 0;
    std::uint64_t cached_writes = 0;
    std::uint64_t media_writes = 0;  ///< cached ones that went to the medium included
};

/// A hard disk. One set of arms serves one command at a time; what happens beside - read-ahead,
/// writing cached data to the medium - is not simulated event by event but caught up with when
/// the next command comes.
class Hdd : public Device {
  public:
    Hdd(sim::Engine& engine, std::string name, const HddConfig& config);

    sim::Task<> serve(const Io& io) override;

    const sim::Station& station() const override { return station_; }

    void begin_window(sim::Time now) override;

    const HddLayout& layout() const { return layout_; }

    const HddCounters& counters() const { return counters_; }

  private:
    enum class Work : std::uint8_t { none, read, write_through, write_cached, flush };

    using PendingHook = boost::intrusive::list_base_hook<
        boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

    /// A command inside the drive: who waits for it fires when it is done.
    class Command : public sim::Timer, public PendingHook {
      public:
        Command(Hdd& drive, const Io& io) : drive_(drive), io_(io) {}

        bool await_ready() const noexcept { return false; }

        void await_suspend(std::coroutine_handle<> handle) {
            resumable_.suspend(drive_.engine_, handle);
            drive_.submit(*this, io_);
        }

        void await_resume() const noexcept {}

        Work work = Work::none;
        bool split = false;  ///< a split write of the SCSI bus
        std::uint64_t sector = 0;
        std::uint32_t count = 0;
        HddPlace place;
        sim::Time received;
        bool after_write = false;
        sim::Time ready;   ///< from when on the arms may work for it
        sim::Time answer;  ///< from when on the host may have what the buffer holds
        sim::Time began;   ///< with nothing more to wait for
        sim::Time done;

      private:
        void fire() override { drive_.engine_.resume(resumable_); }

        Hdd& drive_;
        const Io& io_;
        sim::Resumable resumable_;
    };

    /// Fires when the arms are free and commands wait for them.
    struct ArmsFree final : sim::Timer {
        explicit ArmsFree(Hdd& hdd) : drive(hdd) {}

        void fire() override { drive.next_command(); }

        Hdd& drive;
    };

    /// Part of the buffer: neighbouring sectors [first, end).
    struct Segment : boost::intrusive::list_base_hook<> {
        std::uint64_t first = 0;
        std::uint64_t end = 0;
        std::uint64_t stop = 0;  ///< where its read-ahead ends
        sim::Time complete;      ///< when what was asked for of it has come from the medium
        bool written = false;
    };

    /// A cached write that is not on the medium yet.
    struct Dirty {
        std::uint64_t first = 0;
        std::uint32_t count = 0;
        sim::Time ready;      ///< the arms may begin
        sim::Time data_from;  ///< when its first sector began to arrive
        HddPlace place;
    };

    /// Neighbouring sectors of one track, as they come from the medium.
    struct Piece {
        sim::Time begin;  ///< when its first sector begins to pass
        sim::Time one;    ///< in which one sector passes
        sim::Time last;   ///< when the last of the late ones has passed
        std::uint32_t sectors = 0;
        std::uint32_t late = 0;  ///< those that pass from `begin` on; the rest passed before
    };

    void submit(Command& command, const Io& io);
    void receive(Command& command, const Io& io);
    Segment* prepare(Command& command);
    void dispatch(Command& command, Segment* segment);
    void wait_for_arms(Command& command);
    void next_command();
    Command& choose();
    sim::Time positioning(const HddPlace& place, bool write, sim::Time wait) const;

    void read(Command& command, Segment* segment);
    void write_through(Command& command);
    void write_cached(Command& command);
    bool room_for(const Command& command) const;
    void hit(Command& command, Segment& segment);

    sim::Time move(const HddPlace& to, bool write, bool first) const;
    void read_medium(sim::Time at,
                     HddPlace place,
                     std::uint64_t sector,
                     std::uint32_t count,
                     bool first_of_command);
    sim::Time write_medium(sim::Time at,
                           HddPlace place,
                           std::uint64_t sector,
                           std::uint32_t count,
                           sim::Time data_from);
    sim::Time to_host(sim::Time from, std::uint32_t there) const;
    sim::Time available(std::uint32_t count) const;

    void catch_up(sim::Time now);
    sim::Time write_back_time() const;
    void write_back_next(sim::Time earliest);
    std::size_t nearest_dirty(sim::Time at);
    void read_ahead(sim::Time until);
    std::uint64_t read_ahead_end(std::uint64_t sector,
                                 std::uint64_t count,
                                 std::uint64_t first) const;

    Segment* find(std::uint64_t sector);
    Segment& add_segment(bool written);
    void drop_overlapping(std::uint64_t first, std::uint64_t end);
    void use(Segment& segment);

    static sim::Time of(const HddOverhead& overhead, const Command& command) {
        return command.after_write ? overhead.after_write : overhead.after_read;
    }

    sim::Engine& engine_;
    HddConfig config_;
    HddLayout layout_;
    SeekCurve seek_;
    sim::Time read_sector_;   // on the way to the host
    sim::Time write_sector_;  // from the host
    std::uint64_t segment_sectors_;
    std::uint64_t most_read_ahead_;

    Places slots_;
    boost::intrusive::list<Command, boost::intrusive::constant_time_size<false>> pending_;
    ArmsFree arms_free_at_{*this};

    // The arms: where they are, and when they have done what was asked for.
    std::uint32_t cylinder_ = 0;
    std::uint32_t head_ = 0;
    sim::Time arms_free_;
    sim::Time phase_;  // of the revolution, when positioning times are compared

    // The controller and the way to the host.
    sim::Time controller_free_;
    sim::Time host_free_;
    bool last_wrote_ = false;
    std::uint64_t last_end_ = 0;

    // The buffer.
    std::vector<Segment> segments_;
    boost::intrusive::list<Segment, boost::intrusive::constant_time_size<false>>
        by_use_;  // the one used last first
    std::vector<Dirty> dirty_;
    sim::Time written_back_;  // when the last of them that left here is on the medium
    bool reading_ahead_ = false;
    std::size_t ahead_ = 0;  // the segment that is being filled
    sim::Time ahead_at_;     // when its last sector had passed
    HddPlace ahead_place_;   // of its next one

    std::vector<Piece> pieces_;  // of the read in hand
    std::uint32_t passed_ = 0;   // sectors of its first track that passed under the head before
    HddPlace behind_;            // the place after it

    sim::Station station_;
    sim::Time window_;
    sim::Time last_departure_;
    HddCounters counters_;
};

}  // namespace fusesim::device
