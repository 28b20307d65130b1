#include "fuse/connection.h"

#include <fmt/format.h>

namespace fusesim::fuse {
namespace {

/// Counts what is found in the lists of a connection, and the first thing that is wrong there.
struct Census {
    std::size_t background_active = 0;
    std::size_t interrupts = 0;
    std::size_t found = 0;
    std::string wrong;

    void visit(const Request& request, Station station, bool pending, bool sent) {
        ++found;
        background_active +=
            station != Station::background && request.has(Flag::background) ? 1 : 0;
        interrupts += request.has(Flag::interrupt_queued) ? 1 : 0;
        if (request.station != station || request.has(Flag::pending) != pending ||
            request.has(Flag::sent) != sent || request.has(Flag::finished) ||
            !request.has(Flag::waiting)) {
            wrong =
                fmt::format("request {} is in a list that its flags do not say", request.unique);
        }
    }
};

}  // namespace

std::string Connection::check() const {
    Census census;
    for (const Request& request : input_.pending_list()) {
        census.visit(request, Station::pending, true, false);
    }
    for (const Request& request : background_.list()) {
        census.visit(request, Station::background, false, false);
    }
    std::size_t interrupts = input_.interrupts();
    std::size_t num_background = background_.num_background();
    std::size_t active_background = background_.active_background();
    std::size_t waiting_background = background_.waiting();
    for (const Device& device : fds_) {
        if (const Channel* const channel = device.channel.get()) {
            for (const Request& request : channel->input.pending_list()) {
                census.visit(request, Station::pending, true, false);
            }
            for (const Request& request : channel->background.list()) {
                census.visit(request, Station::background, false, false);
            }
            for (const Request& request : channel->ring_background) {
                census.visit(request, Station::background, false, false);
            }
            interrupts += channel->input.interrupts();
            num_background += channel->background.num_background();
            active_background += channel->background.active_background();
            waiting_background += channel->background.waiting() + channel->ring_background.size();
        }
        for (const Request& request : device.queue->io_list()) {
            census.visit(request, Station::io, false, false);
        }
        std::size_t processing = 0;
        device.queue->for_each_processing([&](const Request& request) {
            ++processing;
            census.visit(request, Station::processing, false, true);
        });
        if (processing != device.queue->processing()) {
            census.wrong = "a processing queue has lost count";
        }
    }
    if (!census.wrong.empty()) {
        return census.wrong;
    }
    if (census.interrupts != interrupts) {
        return fmt::format(
            "{} interrupts are queued for {} requests", interrupts, census.interrupts);
    }
    if (census.background_active != active_background) {
        return fmt::format("active_background is {}, but {} are under way",
                           active_background,
                           census.background_active);
    }
    if (num_background != active_background + waiting_background) {
        return fmt::format("num_background is {}, but {} are active and {} wait",
                           num_background,
                           active_background,
                           waiting_background);
    }
    if (num_waiting_ < census.found) {
        return fmt::format(
            "num_waiting is {}, but {} requests are queued", num_waiting_, census.found);
    }
    return "";
}

}  // namespace fusesim::fuse
