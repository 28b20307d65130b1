#pragma once

#include "config/document.h"
#include "host/profile.h"
#include "system/scenario.h"
#include "system/simulation.h"

#include <string>

namespace fusesim::validation {

/// Simulates the scenario of a text, whatever it says of the host, on this one.
inline report::Result simulate_on(const host::HostProfile& host, const std::string& text) {
    const auto document = config::Document::parse(text, "test");
    auto scenario = config::read<system::Scenario>(document);
    scenario.host = host;
    return system::simulate(scenario, document).result;
}

}  // namespace fusesim::validation
