#pragma once

#include "sim/histogram.h"
#include "sim/time.h"

#include <cstdint>
#include <string>
#include <vector>

namespace fusesim::sim {

// libstdc++ and clang both have it; -Wpedantic wants to be told.
__extension__ typedef __int128 Wide;

/// Mean of a correlated series with a confidence interval by batch means: the batches grow as the
/// series does, so memory stays constant.
class BatchMeans {
  public:
    void add(double value);

    void clear() { *this = BatchMeans(); }

    std::uint64_t count() const { return count_; }

    double mean() const { return count_ > 0 ? total_ / static_cast<double>(count_) : 0; }

    /// Half width of the two-sided interval at `confidence` (0.95 or 0.99); infinite with fewer
    /// than ten full batches.
    double half_width(double confidence) const;

  private:
    static constexpr std::size_t most_batches = 40;

    std::vector<double> batches_;  // sums of batch_size_ values each
    std::uint64_t batch_size_ = 1;
    double open_ = 0;
    std::uint64_t in_open_ = 0;
    double total_ = 0;
    std::uint64_t count_ = 0;
};

/// Times (or bytes) seen one by one: count, exact sum, extremes, percentiles.
class Tally {
  public:
    void add(Time value) { add(value.ps()); }

    void add(std::int64_t value) {
        sum_ += value;
        histogram_.add(value);
        means_.add(static_cast<double>(value));
    }

    void clear() { *this = Tally(); }

    std::uint64_t count() const { return histogram_.count(); }

    Wide sum() const { return sum_; }

    double mean() const;  ///< in the unit of the values (ps for times)

    double mean_seconds() const { return mean() * 1e-12; }

    double quantile_seconds(double q) const { return histogram_.quantile(q) * 1e-12; }

    double max_seconds() const { return static_cast<double>(histogram_.max()) * 1e-12; }

    const Histogram& histogram() const { return histogram_; }

    const BatchMeans& batch_means() const { return means_; }

  private:
    Wide sum_ = 0;
    Histogram histogram_;
    BatchMeans means_;
};

/// A number that stays for a while, e.g. a queue length; its mean is weighted by time.
class TimeAverage {
  public:
    void change(Time now, std::int64_t by) { set(now, value_ + by); }

    void set(Time now, std::int64_t value) {
        area_ += static_cast<Wide>(value_) * (now - since_).ps();
        since_ = now;
        value_ = value;
    }

    /// Forgets the past but keeps the present value.
    void begin_window(Time now) {
        set(now, value_);
        area_ = 0;
        window_ = now;
    }

    std::int64_t value() const { return value_; }

    Wide area(Time now) const { return area_ + static_cast<Wide>(value_) * (now - since_).ps(); }

    double mean(Time now) const;

  private:
    std::int64_t value_ = 0;
    Time since_;
    Time window_;
    Wide area_ = 0;
};

/// A place where customers queue and are served. Reports itself over the measured window and
/// checks itself over the whole run.
class Station {
  public:
    /// `servers` 0 is a pure delay (no utilisation).
    Station(std::string name, unsigned servers) : name_(std::move(name)), servers_(servers) {}

    void arrive(Time now) {
        ++arrivals_;
        arrival_sum_ += now.ps();
        present_.change(now, 1);
        lifetime_.change(now, 1);
    }

    void begin_service(Time now, Time arrived) {
        busy_.change(now, 1);
        waiting_.add(now - arrived);
    }

    void depart(Time now, Time arrived, Time began) {
        busy_.change(now, -1);
        service_.add(now - began);
        leave(now, arrived);
    }

    /// Leaves without having been served.
    void give_up(Time now, Time arrived) { leave(now, arrived); }

    void begin_window(Time now);
    /// Arrivals = departures + present; whenever the station was empty, the area under the curve
    /// of customers present equalled the sum of their sojourn times (Little's law, exact); those
    /// who are present arrived between 0 and now. Throws std::logic_error otherwise.
    void check(Time now) const;

    const std::string& name() const { return name_; }

    unsigned servers() const { return servers_; }

    void set_servers(unsigned servers) { servers_ = servers; }

    std::uint64_t arrivals() const { return arrivals_; }

    std::uint64_t departures() const { return departures_; }

    double utilisation(Time now) const;

    double queue_length(Time now) const { return present_.mean(now) - busy_.mean(now); }

    double customers(Time now) const { return present_.mean(now); }

    const Tally& waiting() const { return waiting_; }

    const Tally& service() const { return service_; }

    const Tally& sojourn() const { return sojourn_; }

  private:
    void leave(Time now, Time arrived) {
        ++departures_;
        departed_arrival_sum_ += arrived.ps();
        sojourn_sum_ += (now - arrived).ps();
        sojourn_.add(now - arrived);
        present_.change(now, -1);
        lifetime_.change(now, -1);
        if (arrivals_ == departures_ && lifetime_.area(now) != sojourn_sum_) {
            little_holds_ = false;
        }
    }

    std::string name_;
    unsigned servers_;
    TimeAverage present_;
    TimeAverage busy_;
    Tally waiting_;
    Tally service_;
    Tally sojourn_;

    // Over the whole run, for the self-check.
    std::uint64_t arrivals_ = 0;
    std::uint64_t departures_ = 0;
    Wide arrival_sum_ = 0;
    Wide departed_arrival_sum_ = 0;
    Wide sojourn_sum_ = 0;
    TimeAverage lifetime_;
    bool little_holds_ = true;
};

}  // namespace fusesim::sim
