#pragma once

#include "trace/foreign.h"
#include "trace/in_order.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fusesim::trace::foreign {

/// What a line of a log begins with.
struct LogStamp {
    bool known = false;
    std::int64_t time = 0;
    std::int64_t resolution = 1;
};

/// Takes a time and a blank off the front of log lines, in the forms that loggers, ts and
/// journalctl use: seconds since 1970, time of day, date and time, with or without host and
/// program.
class LogClock {
  public:
    LogStamp take(std::string_view& line);

  private:
    Midnights midnights_;
};

/// Requests as a daemon logs them: a line when it has read one, a line when it replies.
class DaemonLog {
  public:
    explicit DaemonLog(Import& import)
        : import_(import), requests_([this](const Record& record) { import_.hand_on(record); }) {}

    /// False if the line cannot be used; then it is counted.
    bool begin(Record record, const LogStamp& stamp);

    /// The request that waits for its reply, nullptr if there is none.
    Record* find(std::uint64_t unique) { return requests_.find(unique); }

    void reply(std::uint64_t unique,
               const LogStamp& stamp,
               std::int32_t error,
               std::uint32_t bytes_out);

    /// Requests that get no reply have no further lines.
    void end_replyless();

    void finish();

    bool timed() const { return timed_; }

  private:
    bool fits(const LogStamp& stamp);

    Import& import_;
    InOrder requests_;
    std::vector<std::uint64_t> replyless_;
    bool started_ = false;
    bool timed_ = false;
    std::int64_t last_ = unknown_time;
};

}  // namespace fusesim::trace::foreign
