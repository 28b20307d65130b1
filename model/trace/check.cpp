#include "trace/check.h"

#include "fuse/opcode.h"

#include <fmt/format.h>

#include <algorithm>

namespace fusesim::trace {

namespace {

constexpr std::size_t first_table = 1024;
// Beyond this many requests in flight the oldest are forgotten, so that memory stays bounded.
constexpr std::size_t largest_table = std::size_t{1} << 20;

std::int64_t last_seen(const Record& record) {
    return std::max({record.ended, record.resumed, record.replied});
}

constexpr Column in_order[] = {
    Column::queued, Column::taken, Column::replied, Column::ended, Column::resumed};

std::int64_t time_of(const Record& record, Column column) {
    return visit(column, record, [](const auto& member) -> std::int64_t {
        if constexpr (std::is_same_v<decltype(member), const std::int64_t&>) {
            return member;
        } else {
            return unknown_time;
        }
    });
}

// unknown_time is the smallest number there is: it passes as "not larger".
bool known_negative(std::int64_t time) {
    return time < 0 && time != unknown_time;
}

}  // namespace

Checker::Checker(Layer layer) : track_(layer == Layer::fuse), flights_(first_table) {}

Fault Checker::check(const Record& record) {
    const std::int64_t times[] = {
        record.queued, record.taken, record.replied, record.ended, record.resumed};
    std::int64_t latest = unknown_time;
    for (const std::int64_t time : times) {
        if (time == unknown_time) {
            continue;
        }
        if (time < 0) {
            return Fault::negative_time;
        }
        if (time < latest) {
            return Fault::out_of_sequence;
        }
        latest = time;
    }
    if (latest > time_limit) {
        return Fault::time_too_large;
    }
    if (known_negative(record.think_cpu) || known_negative(record.think_blocked) ||
        known_negative(record.service_cpu) || known_negative(record.service_blocked)) {
        return Fault::negative_time;
    }
    if (std::max(
            {record.think_cpu, record.think_blocked, record.service_cpu, record.service_blocked}) >
        time_limit) {
        return Fault::time_too_large;
    }
    if (record.caller_cpu < -1 || record.worker_cpu < -1) {
        return Fault::negative_cpu;
    }
    if (record.error > 0 || record.error < -4095) {
        return Fault::error_out_of_range;
    }
    if (!record.name.empty() || !record.name2.empty()) {
        if (std::max(record.name.size(), record.name2.size()) > name_limit) {
            return Fault::name_too_long;
        }
        if (record.name.find('\0') != std::string::npos ||
            record.name2.find('\0') != std::string::npos) {
            return Fault::name_with_nul;
        }
    }
    if (record.queued != unknown_time) {
        if (record.queued < last_queued_) {
            return Fault::queued_backwards;
        }
        if (track_ && record.unique != 0 && fuse::expects_reply(fuse::Opcode{record.opcode})) {
            const std::int64_t end = last_seen(record);
            if (!takes_off(record.unique, record.queued, end == unknown_time ? time_limit : end)) {
                return Fault::unique_in_flight;
            }
        }
        last_queued_ = record.queued;
    }
    return Fault::none;
}

Checker::Flight& Checker::slot(std::uint64_t unique) {
    const std::size_t mask = flights_.size() - 1;
    std::size_t at = (unique * 0x9e3779b97f4a7c15U >> 32) & mask;
    while (flights_[at].unique != 0 && flights_[at].unique != unique) {
        at = (at + 1) & mask;
    }
    return flights_[at];
}

bool Checker::takes_off(std::uint64_t unique, std::int64_t begin, std::int64_t end) {
    Flight* flight = &slot(unique);
    if (flight->unique == unique) {
        if (flight->end > begin) {
            return false;
        }
        flight->end = end;
        return true;
    }
    if (2 * (used_ + 1) > flights_.size()) {
        sweep(begin);
        flight = &slot(unique);
    }
    *flight = {unique, end};
    ++used_;
    return true;
}

void Checker::sweep(std::int64_t now) {
    std::vector<Flight> before = std::move(flights_);
    const auto flying = static_cast<std::size_t>(
        std::count_if(before.begin(), before.end(), [now](const Flight& flight) {
            return flight.unique != 0 && flight.end > now;
        }));
    std::size_t size = before.size();
    used_ = 0;
    if (4 * flying > size) {
        size *= 2;
    }
    if (size > largest_table) {
        flights_.assign(largest_table, Flight{});
        return;
    }
    flights_.assign(size, Flight{});
    for (const Flight& flight : before) {
        if (flight.unique != 0 && flight.end > now) {
            slot(flight.unique) = flight;
            ++used_;
        }
    }
}

Defect Checker::explain(Fault fault, const Record& record) const {
    Defect defect{fault, Column::opcode, "", ""};
    switch (fault) {
        case Fault::none:
            break;
        case Fault::negative_time:
        case Fault::time_too_large: {
            for (const Column column : all_columns) {
                const std::int64_t time = time_of(record, column);
                if (known_negative(time) || time > time_limit) {
                    defect.column = column;
                    break;
                }
            }
            defect.message =
                fmt::format("{} = {} ns is {}",
                            column_name(defect.column),
                            time_of(record, defect.column),
                            fault == Fault::negative_time ? "negative" : "beyond 106 days");
            defect.hint = "times are nanoseconds since the start of the trace; - is unknown";
            break;
        }
        case Fault::queued_backwards:
            defect.column = Column::queued;
            defect.message = fmt::format(
                "time goes backwards: queued {} ns after {} ns", record.queued, last_queued_);
            defect.hint = "records must be sorted by the time they were queued";
            break;
        case Fault::out_of_sequence: {
            Column previous = Column::queued;
            for (const Column column : in_order) {
                const std::int64_t time = time_of(record, column);
                if (time == unknown_time) {
                    continue;
                }
                if (time < time_of(record, previous)) {
                    defect.column = column;
                    defect.message = fmt::format("{} at {} ns, before {} at {} ns",
                                                 column_name(column),
                                                 time,
                                                 column_name(previous),
                                                 time_of(record, previous));
                    break;
                }
                previous = column;
            }
            defect.hint = "a request is queued, taken, replied, ended and resumed in this order";
            break;
        }
        case Fault::negative_cpu:
            defect.column = record.caller_cpu < -1 ? Column::caller_cpu : Column::worker_cpu;
            defect.message = fmt::format("{} is negative", column_name(defect.column));
            defect.hint = "- is an unknown CPU";
            break;
        case Fault::error_out_of_range:
            defect.column = Column::error;
            defect.message = fmt::format("error = {} is outside -4095..0", record.error);
            defect.hint = "errors are negative errno values, 0 is success";
            break;
        case Fault::name_too_long:
            defect.column = record.name.size() > name_limit ? Column::name : Column::name2;
            defect.message = fmt::format("{} is {} bytes long, the limit is {}",
                                         column_name(defect.column),
                                         std::max(record.name.size(), record.name2.size()),
                                         name_limit);
            break;
        case Fault::name_with_nul:
            defect.column =
                record.name.find('\0') != std::string::npos ? Column::name : Column::name2;
            defect.message = fmt::format("{} holds a NUL byte", column_name(defect.column));
            break;
        case Fault::unique_in_flight:
            defect.column = Column::unique;
            defect.message =
                fmt::format("unique {} is still in flight from an earlier request", record.unique);
            defect.hint = "requests of two connections in one trace? Split them by connection";
            break;
    }
    return defect;
}

}  // namespace fusesim::trace
