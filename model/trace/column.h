#pragma once

#include "trace/record.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace fusesim::trace {

/// A member of Record, as files name it. The numbers stand in binary traces and in content hashes:
/// never reuse one, add new ones at the end.
enum class Column : std::uint8_t {
    opcode = 1,
    error = 2,
    unique = 3,
    nodeid = 4,
    fh = 5,
    offset = 6,
    size = 7,
    flags = 8,
    bytes_in = 9,
    bytes_out = 10,
    name = 11,
    name2 = 12,
    pid = 13,
    caller = 14,
    worker = 15,
    caller_cpu = 16,
    worker_cpu = 17,
    background = 18,
    queued = 19,
    taken = 20,
    replied = 21,
    ended = 22,
    resumed = 23,
    think_cpu = 24,
    think_blocked = 25,
    service_cpu = 26,
    service_blocked = 27,
};

inline constexpr std::size_t column_limit = 28;  ///< one more than the largest number

/// All columns, in the order in which a text trace shows them.
inline constexpr std::array<Column, column_limit - 1> all_columns = {Column::queued,
                                                                     Column::opcode,
                                                                     Column::unique,
                                                                     Column::nodeid,
                                                                     Column::fh,
                                                                     Column::offset,
                                                                     Column::size,
                                                                     Column::flags,
                                                                     Column::error,
                                                                     Column::bytes_in,
                                                                     Column::bytes_out,
                                                                     Column::background,
                                                                     Column::pid,
                                                                     Column::caller,
                                                                     Column::worker,
                                                                     Column::caller_cpu,
                                                                     Column::worker_cpu,
                                                                     Column::taken,
                                                                     Column::replied,
                                                                     Column::ended,
                                                                     Column::resumed,
                                                                     Column::think_cpu,
                                                                     Column::think_blocked,
                                                                     Column::service_cpu,
                                                                     Column::service_blocked,
                                                                     Column::name,
                                                                     Column::name2};

std::string_view column_name(Column column);
std::optional<Column> column_of(std::string_view name);

/// The column with the most similar name, for hints; "" if none is near.
std::string_view nearest_column(std::string_view name);

/// Calls `use` with the member of `record` that `column` names, in its own type.
template <class AnyRecord, class Use>
[[gnu::always_inline]] constexpr decltype(auto) visit(Column column, AnyRecord& record, Use&& use) {
    switch (column) {
        case Column::opcode:
            return use(record.opcode);
        case Column::error:
            return use(record.error);
        case Column::unique:
            return use(record.unique);
        case Column::nodeid:
            return use(record.nodeid);
        case Column::fh:
            return use(record.fh);
        case Column::offset:
            return use(record.offset);
        case Column::size:
            return use(record.size);
        case Column::flags:
            return use(record.flags);
        case Column::bytes_in:
            return use(record.bytes_in);
        case Column::bytes_out:
            return use(record.bytes_out);
        case Column::name:
            return use(record.name);
        case Column::name2:
            return use(record.name2);
        case Column::pid:
            return use(record.pid);
        case Column::caller:
            return use(record.caller);
        case Column::worker:
            return use(record.worker);
        case Column::caller_cpu:
            return use(record.caller_cpu);
        case Column::worker_cpu:
            return use(record.worker_cpu);
        case Column::background:
            return use(record.background);
        case Column::queued:
            return use(record.queued);
        case Column::taken:
            return use(record.taken);
        case Column::replied:
            return use(record.replied);
        case Column::ended:
            return use(record.ended);
        case Column::resumed:
            return use(record.resumed);
        case Column::think_cpu:
            return use(record.think_cpu);
        case Column::think_blocked:
            return use(record.think_blocked);
        case Column::service_cpu:
            return use(record.service_cpu);
        case Column::service_blocked:
            return use(record.service_blocked);
    }
    __builtin_unreachable();
}

/// What a member of this type holds in a fresh Record: times are unknown, CPUs -1, the rest empty.
template <class Member>
constexpr bool is_unset(const Member& member) {
    if constexpr (std::is_same_v<Member, std::int64_t>) {
        return member == unknown_time;
    } else if constexpr (std::is_same_v<Member, std::int16_t>) {
        return member == -1;
    } else if constexpr (std::is_same_v<Member, std::string>) {
        return member.empty();
    } else {
        return member == Member{};
    }
}

/// Calls use(column, member) for each member of `record`, in the order of the columns' numbers;
/// unrolled, for the loops that see every record.
template <class AnyRecord, class Use>
[[gnu::always_inline]] inline void for_each_member(AnyRecord& record, Use&& use) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        (visit(static_cast<Column>(I + 1),
               record,
               [&](auto& member) { use(static_cast<Column>(I + 1), member); }),
         ...);
    }
    (std::make_index_sequence<column_limit - 1>());
}

/// True if the member says something, that is, differs from a fresh Record's.
bool is_set(Column column, const Record& record);

/// Makes `record` a fresh one, but keeps the memory of its strings.
void clear(Record& record);

/// Finds out which columns a trace needs.
class UsedColumns {
  public:
    void add(const Record& record);

    /// Those seen set so far, in the order of all_columns; opcode and queued always.
    std::vector<Column> list() const;

  private:
    std::array<bool, column_limit> used_{};
};

}  // namespace fusesim::trace
