#include "devices/disksim.h"

#include "trace/source.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>

namespace fusesim::validation {

using device::HddBuffer;
using device::HddConfig;
using device::HddOverhead;
using device::HddSeek;
using device::HddSeekPoint;
using device::HddZone;
using sim::Time;

namespace {

Time ms(double value) {
    return Time::from_seconds(value * 1e-3);
}

/// One value of a parameter file: a word or number, a list, or a block of named values.
struct Value {
    std::string text;
    std::vector<Value> items;
    std::map<std::string, Value> named;

    const Value& at(const std::string& name) const {
        const auto found = named.find(name);
        if (found == named.end()) {
            throw std::runtime_error("no parameter '" + name + "'");
        }
        return found->second;
    }

    double number(const std::string& name) const { return std::stod(at(name).text); }

    unsigned count(const std::string& name) const {
        return static_cast<unsigned>(std::lround(number(name)));
    }

    bool flag(const std::string& name) const { return number(name) != 0; }

    Time time(const std::string& name) const { return ms(number(name)); }

    HddOverhead after(const std::string& read, const std::string& write) const {
        return {time(read), time(write)};
    }
};

/// DiskSim's parameter language (libparam): `kind name { key = value, ... }`.
class Parser {
  public:
    explicit Parser(const std::string& path) {
        std::ifstream file(path);
        if (!file) {
            throw std::runtime_error(path + ": cannot be read");
        }
        std::string line;
        while (std::getline(file, line)) {
            text_ += line.substr(0, line.find('#')) + '\n';
        }
    }

    Value parse() { return value(); }

  private:
    char next() {
        while (at_ < text_.size() &&
               (text_[at_] == ',' || std::isspace(static_cast<unsigned char>(text_[at_])) != 0)) {
            ++at_;
        }
        return at_ < text_.size() ? text_[at_] : '\0';
    }

    std::string words() {
        next();
        const std::size_t end = std::min(text_.find_first_of("{}[]=,\n", at_), text_.size());
        std::string found = text_.substr(at_, end - at_);
        at_ = end;
        while (!found.empty() && std::isspace(static_cast<unsigned char>(found.back())) != 0) {
            found.pop_back();
        }
        return found;
    }

    Value value() {
        Value made;
        if (next() == '[') {
            ++at_;
            while (next() != ']') {
                made.items.push_back(value());
            }
            ++at_;
            return made;
        }
        made.text = words();
        if (next() == '{') {
            ++at_;
            while (next() != '}') {
                const std::string key = words();
                if (next() != '=') {
                    throw std::runtime_error("no '=' after '" + key + "'");
                }
                ++at_;
                made.named[key] = value();
            }
            ++at_;
        }
        return made;
    }

    std::string text_;
    std::size_t at_ = 0;
};

void load_layout(const Value& model, HddConfig& config) {
    const Value& layout = model.at("Layout Model");
    config.heads = model.count("Number of data surfaces");
    config.sectors = model.count("Block count");
    config.order = layout.count("LBN-to-PBN mapping scheme") == 1 ? HddConfig::Order::alternating
                                                                  : HddConfig::Order::forward;
    switch (layout.count("Sparing scheme used")) {
        case 1:
            config.sparing = HddConfig::Sparing::track;
            break;
        case 8:
            config.sparing = HddConfig::Sparing::range;
            break;
        case 9:
            config.sparing = HddConfig::Sparing::zone;
            break;
        default:
            throw std::runtime_error("unknown sparing scheme");
    }
    config.sparing_range = layout.count("Rangesize for sparing");
    for (const Value& from : layout.at("Zones").items) {
        HddZone zone;
        zone.first_cylinder = from.count("First cylinder number");
        zone.cylinders = from.count("Last cylinder number") - *zone.first_cylinder + 1;
        zone.sectors_per_track = from.count("Blocks per track");
        zone.track_skew = from.count("Skew for track switch");
        zone.cylinder_skew = from.count("Skew for cylinder switch");
        zone.angle = from.count("Offset of first block");
        zone.unused = from.count("Empty space at zone front");
        zone.spares = from.count("Number of spares");
        for (const Value& slip : from.at("slips").items) {
            zone.slipped.push_back(static_cast<unsigned>(std::stoul(slip.text)));
        }
        std::sort(zone.slipped.begin(), zone.slipped.end());
        config.zones.push_back(std::move(zone));
    }
}

std::vector<HddSeekPoint> measured_curve(const std::string& path) {
    std::ifstream file(path);
    std::vector<HddSeekPoint> curve;
    std::string line;
    std::getline(file, line);  // how many there are
    while (std::getline(file, line)) {
        unsigned cylinders = 0;
        double time = 0;
        if (std::sscanf(line.c_str(), "%u , %lf", &cylinders, &time) == 2 ||
            std::sscanf(line.c_str(), "%u,%lf", &cylinders, &time) == 2) {
            curve.push_back({cylinders, ms(time)});
        }
    }
    if (curve.empty()) {
        throw std::runtime_error(path + ": no seek times");
    }
    return curve;
}

/// Ten measured seeks, then Ruemmler and Wilkes's equation: a + b sqrt(d) below the division
/// point, c + e d from there on.
std::vector<HddSeekPoint> equation_curve(const Value& mechanics, unsigned cylinders) {
    std::vector<HddSeekPoint> curve;
    for (const Value& first : mechanics.at("First ten seek times").items) {
        curve.push_back({static_cast<unsigned>(curve.size()) + 1, ms(std::stod(first.text))});
    }
    std::vector<double> equation;
    for (const Value& item : mechanics.at("HPL seek equation values").items) {
        equation.push_back(std::stod(item.text));
    }
    const auto division = static_cast<unsigned>(equation.at(0));
    for (auto d = static_cast<unsigned>(curve.size()) + 1; d < division; ++d) {
        curve.push_back({d, ms(equation.at(1) + equation.at(2) * std::sqrt(d))});
    }
    for (const unsigned d : {division, cylinders - 1}) {
        curve.push_back({d, ms(equation.at(3) + equation.at(4) * d)});
    }
    return curve;
}

/// A short seek takes a + b sqrt(distance), where `a` is the settling at its end: the least
/// squares fit of the first ten distances, at distance 0. No more than the track skew, the time in
/// which the drive's maker lets a head switch fit.
Time settling(const HddConfig& config) {
    double n = 0;
    double x = 0;
    double y = 0;
    double xx = 0;
    double xy = 0;
    for (const HddSeekPoint& point : config.seek.curve) {
        if (point.cylinders <= 10) {
            const double root = std::sqrt(point.cylinders);
            const double time = point.time.seconds();
            n += 1;
            x += root;
            y += time;
            xx += root * root;
            xy += root * time;
        }
    }
    const double b = (n * xy - x * y) / (n * xx - x * x);
    const double a = (y - b * x) / n;
    const HddZone& zone = config.zones.front();
    const double skew = 60 / config.rpm * zone.track_skew / zone.sectors_per_track;
    return Time::from_seconds(std::min(a, skew));
}

void load_mechanics(const Value& model,
                    const Value& specification,
                    const std::string& folder,
                    HddConfig& config) {
    const Value& mechanics = model.at("Mechanical Model");
    config.rpm = mechanics.number("Rotation speed (in rpms)");
    HddSeek& seek = config.seek;
    seek.curve = mechanics.at("Seek type").text == "extracted"
                     ? measured_curve(folder + "/" + mechanics.at("Full seek curve").text)
                     : equation_curve(mechanics, model.count("Number of cylinders"));
    seek.head_switch = mechanics.time("Head switch time");
    seek.write_settle = mechanics.time("Add. write settling delay");
    seek.least_write_seek = specification.time("Minimum seek delay");
    seek.settle = settling(config);
}

void load_controller(const Value& from, HddConfig& config) {
    device::HddController& controller = config.controller;
    controller.read_hit = from.after("Read hit over. after read", "Read hit over. after write");
    controller.read_miss = from.after("Read miss over. after read", "Read miss over. after write");
    controller.write_cached =
        from.after("Write hit over. after read", "Write hit over. after write");
    controller.write_through =
        from.after("Write miss over. after read", "Write miss over. after write");
    controller.data_preparation = from.time("Data preparation overhead");
    controller.read_completion = from.time("Read completion overhead");
    controller.write_completion = from.time("Write completion overhead");
    device::HddBusPhases& phases = controller.phases;
    phases.read_disconnect = from.after("Read disconnect afterread", "Read disconnect afterwrite");
    phases.write_disconnect = from.time("Write disconnect overhead");
    phases.reselect = from.time("First reselect overhead");
    phases.reselect_again = from.time("Other reselect overhead");
    phases.split_writes = from.flag("Extra write disconnect");
    phases.split_command = from.time("Extradisc command overhead");
    phases.split_disconnect = from.time("Extradisc disconnect overhead");
    phases.split_pause = from.time("Extradisc inter-disconnect delay");
    phases.split_second_disconnect = from.time("Extradisc 2nd disconnect overhead");
    phases.split_seek_delay = from.time("Extradisc seek delta");
}

void load_buffer(const Value& from, HddConfig& config) {
    HddBuffer& buffer = config.buffer;
    buffer.segments = from.count("Number of buffer segments");
    buffer.segment_size.count = from.count("Segment size (in blks)") * 512ull;
    buffer.separate_write_segment = from.flag("Use separate write segment");
    buffer.write_segments = from.count("Maximum number of write segments");
    switch (from.count("Buffer continuous read")) {
        case 0:
            buffer.read_ahead = HddBuffer::ReadAhead::none;
            break;
        case 3:
            buffer.read_ahead = HddBuffer::ReadAhead::segment;
            break;
        case 4:  // to the end of the track; a stream from the track before gets the next one, too
            buffer.read_ahead = HddBuffer::ReadAhead::track;
            break;
        default:
            throw std::runtime_error("unknown read-ahead");
    }
    buffer.most_read_ahead.count = from.count("Maximum read-ahead (blks)") * 512ull;
    buffer.read_ahead_on_hit = from.flag("Read-ahead on idle hit");
    buffer.almost_hits = from.flag("Allow almost read hits");
    buffer.free_reads = from.flag("Read any free blocks");
    buffer.zero_latency = from.flag("Immediate buffer read");
    buffer.read_watermark.value = from.number("High (read) water mark");
    buffer.write_cache = from.count("Fast write level") > 0;
    if (from.flag("Extra write disconnect")) {
        // DiskSim has these in its code, for drives that disconnect twice in a write.
        buffer.write_start = 10;
        buffer.long_write = 45;
        buffer.long_write_start = 15;
    }
}

std::vector<DisksimDrive::Request> load_trace(const std::string& path) {
    trace::ByteSource source(path);
    std::vector<DisksimDrive::Request> requests;
    std::string_view line;
    while (source.line(line)) {
        char kind = 0;
        char guess[16] = {};
        unsigned long long sector = 0;
        unsigned count = 0;
        double response = 0;
        double gap = 0;
        const std::string text(line);
        if (std::sscanf(text.c_str(),
                        "%c %15s %llu %u %lf %lf",
                        &kind,
                        guess,
                        &sector,
                        &count,
                        &response,
                        &gap) != 6) {
            throw std::runtime_error(path + ": not a request: " + text);
        }
        requests.push_back({kind == 'W', sector, count, ms(response / 1000), ms(gap / 1000)});
    }
    return requests;
}

}  // namespace

DisksimDrive load_disksim(const std::string& folder,
                          const std::string& name,
                          const HddOverhead& bus) {
    DisksimDrive drive;
    const Value specification = Parser(folder + "/" + name + ".diskspecs").parse();
    std::istringstream source(specification.at("Model").text);  // "source NAME"
    std::string file;
    source >> file >> file;
    const Value model = Parser(folder + "/" + file).parse();

    HddConfig& config = drive.config;
    load_layout(model, config);
    load_mechanics(model, specification, folder, config);
    load_controller(specification, config);
    load_buffer(specification, config);
    const Time own = specification.time("Bulk sector transfer time");
    const Time read = own > Time() ? own : bus.after_read;
    const Time write = own > Time() ? own : bus.after_write;
    config.interface.read.bytes_per_second = 512 / read.seconds();
    config.interface.write.bytes_per_second = 512 / write.seconds();
    config.queue.depth = specification.count("Max queue length");
    drive.requests = load_trace(folder + "/" + name + ".trace.zst");
    return drive;
}

}  // namespace fusesim::validation
