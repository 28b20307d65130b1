#pragma once

#include "config/document.h"
#include "config/map.h"
#include "device/settings.h"

#include <string>
#include <variant>
#include <vector>

namespace fusesim::validation {

/// A device as a part file with this text describes it.
inline device::DeviceSettings device_of(const std::string& yaml) {
    return config::read<device::DeviceSettings>(config::Document::parse(yaml, "part.yaml"));
}

/// A ready part of configs/devices.
inline device::DeviceSettings ready_part(const std::string& file,
                                         const std::vector<std::string>& overrides = {}) {
    config::LoadOptions options;
    options.overrides = overrides;
    return config::read<device::DeviceSettings>(
        config::Document::load(FUSESIM_CONFIGS "/devices/" + file, options));
}

template <class Config>
Config ready_part(const std::string& file, const std::vector<std::string>& overrides = {}) {
    return std::get<Config>(ready_part(file, overrides).kind);
}

}  // namespace fusesim::validation
