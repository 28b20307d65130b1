#include "trace/column.h"

#include "trace/names.h"

namespace fusesim::trace {

namespace {

// Index = number of the column.
constexpr std::array<std::string_view, column_limit> column_names = {
    "",           "opcode",        "error",       "unique",         "nodeid",     "fh",
    "offset",     "size",          "flags",       "bytes_in",       "bytes_out",  "name",
    "name2",      "pid",           "caller",      "worker",         "caller_cpu", "worker_cpu",
    "background", "queued",        "taken",       "replied",        "ended",      "resumed",
    "think_cpu",  "think_blocked", "service_cpu", "service_blocked"};

}  // namespace

std::string_view column_name(Column column) {
    return column_names[static_cast<std::size_t>(column)];
}

std::optional<Column> column_of(std::string_view name) {
    for (const Column column : all_columns) {
        if (column_name(column) == name) {
            return column;
        }
    }
    return std::nullopt;
}

std::string_view nearest_column(std::string_view name) {
    return nearest(name, column_names.data() + 1, column_names.size() - 1);
}

bool is_set(Column column, const Record& record) {
    return visit(column, record, [](const auto& member) { return !is_unset(member); });
}

void clear(Record& record) {
    static const Record fresh;
    std::string name = std::move(record.name);
    std::string name2 = std::move(record.name2);
    name.clear();
    name2.clear();
    record = fresh;
    record.name = std::move(name);
    record.name2 = std::move(name2);
}

void UsedColumns::add(const Record& record) {
    for_each_member(record, [this](Column column, const auto& member) {
        used_[static_cast<std::size_t>(column)] |= !is_unset(member);
    });
}

std::vector<Column> UsedColumns::list() const {
    std::vector<Column> columns;
    for (const Column column : all_columns) {
        if (used_[static_cast<std::size_t>(column)] || column == Column::queued ||
            column == Column::opcode) {
            columns.push_back(column);
        }
    }
    return columns;
}

}  // namespace fusesim::trace
