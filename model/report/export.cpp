#include "report/export.h"

#include <algorithm>

namespace fusesim::report {

const std::vector<Exporter>& exporters() {
    static const std::vector<Exporter> table = {
        {"chrome", "trace events for ui.perfetto.dev or chrome://tracing", true, chrome_trace},
        {"vcd", "queue lengths for waveform viewers such as GTKWave", true, vcd},
        {"fio", "JSON with the keys of fio --output-format=json", false, fio_json},
    };
    return table;
}

const Exporter* find_exporter(std::string_view name) {
    const auto found = std::find_if(exporters().begin(),
                                    exporters().end(),
                                    [name](const Exporter& each) { return each.name == name; });
    return found == exporters().end() ? nullptr : &*found;
}

}  // namespace fusesim::report
