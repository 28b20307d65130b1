#pragma once

#include "accuracy.h"
#include "config/units.h"
#include "suite.h"

#include <string>
#include <utility>
#include <vector>

namespace fusesim::validate {

/// The `validate` JSON of one suite.
config::Json to_json(const std::string& suite, const Accuracy& accuracy);

/// ACCURACY.md: failures first, then groups, changes, all cells, and what calibration rests on.
/// `about` is what was measured where: name and value.
std::string markdown(const Suite& suite,
                     const Accuracy& accuracy,
                     const std::vector<std::pair<std::string, std::string>>& about);

/// A file of such sections with this one in the place of the suite's former one, or at the end.
std::string with_section(const std::string& file,
                         const std::string& suite,
                         const std::string& section);

/// Summaries for a terminal.
std::string text(const Suite& suite, const Accuracy& accuracy);

}  // namespace fusesim::validate
