#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace fusesim::fuzz {

/// Something that reads bytes of strangers. `run` returns when it has read them, or has refused
/// them as it should; anything else it throws is a finding.
struct Target {
    std::string name;
    std::function<void(std::string_view)> run;
};

/// trace, trace-block, scenario, result, message, and import-NAME for each trace format of others.
const std::vector<Target>& targets();

/// By name, nullptr if there is none.
const Target* find_target(std::string_view name);

}  // namespace fusesim::fuzz
