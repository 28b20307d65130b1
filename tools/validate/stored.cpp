#include "stored.h"

#include "report/report.h"

namespace fusesim::validate {

using config::Json;

Json to_json(const std::vector<CellResult>& results, const std::string& kernel) {
    Json out = {{"schema_version", 1}, {"kernel", kernel}, {"cells", Json::object()}};
    for (const CellResult& result : results) {
        const Reference& reference = result.reference;
        Json& cell = out["cells"][result.cell.name];
        cell["rounds"] = Json::array();
        for (const Reference::Round& round : reference.rounds) {
            cell["rounds"].push_back(
                {{"ops_per_s", round.ops_per_s}, {"mean_s", round.mean_s}, {"p99_s", round.p99_s}});
        }
        cell["own_s"] = reference.own_s;
        cell["recorded_steps"] = reference.recorded_steps;
        cell["recorded"] = report::to_json(reference.recorded);
    }
    return out;
}

bool take_measured(const Json& stored, CellResult& result) {
    const Json& cells = stored.at("cells");
    const auto found = cells.find(result.cell.name);
    if (found == cells.end()) {
        return false;
    }
    Reference& reference = result.reference;
    for (const Json& one : found->at("rounds")) {
        Reference::Round round;
        round.ops_per_s = one.at("ops_per_s");
        round.mean_s = one.at("mean_s");
        round.p99_s = one.at("p99_s");
        reference.rounds.push_back(round);
    }
    reference.own_s = found->at("own_s");
    reference.recorded_steps = found->at("recorded_steps");
    reference.recorded = report::from_json(found->at("recorded"), result.cell.name);
    return !reference.rounds.empty();
}

}  // namespace fusesim::validate
