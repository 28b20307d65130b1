#pragma once

#include "config/error.h"
#include "trace/import.h"
#include "trace_samples.h"

#include <catch2/catch.hpp>

#include <optional>
#include <string>
#include <vector>

namespace fusesim::trace {

struct Imported {
    std::string format;
    ImportReport report;
    Header header;
    std::vector<Record> records;
    std::string error;
};

// A Writer of the importer's columns takes each record: what it refuses, no trace may hold.
inline Imported import_file(const std::string& path,
                            const ImportOptions& options = {},
                            const std::string& from = "") {
    Imported result;
    ByteSource source(path);
    const Importer* const importer = from.empty() ? recognise(source) : find_importer(from);
    REQUIRE(importer != nullptr);
    result.format = importer->name;
    std::optional<Writer> writer;
    const auto sink = [&](const Record& record) {
        if (!writer) {
            writer.emplace(
                "/dev/null", result.header, WriteOptions{Form::text, 3, importer->columns});
        }
        writer->add(record);
        result.records.push_back(record);
    };
    try {
        result.report = importer->run(source, result.header, sink, options);
    } catch (const fusesim::config::Error& error) {
        result.error = error.what();
        if (result.error.starts_with(path)) {
            result.error.erase(0, path.size() + 1);
        }
    }
    return result;
}

inline Imported import_text(const std::string& text,
                            const ImportOptions& options = {},
                            const std::string& from = "") {
    const ScratchFile file("log");
    file.write(text);
    return import_file(file.path(), options, from);
}

}  // namespace fusesim::trace
