#include "device/ssd_settings.h"

#include <algorithm>

namespace fusesim::device {

using sim::Time;

FlashShape SsdConfig::shape() const {
    FlashShape shape;
    shape.dies = flash.channels * flash.dies;
    shape.blocks = flash.blocks;
    shape.rows = flash.pages;
    shape.row_units = static_cast<unsigned>(flash.planes * flash.page.count / unit.count);
    if (slc_cache.size.count > 0) {
        shape.slc_rows = std::max(1u, flash.pages / slc_cache.bits);
        const std::uint64_t block = std::uint64_t{shape.slc_rows} * shape.row_units * unit.count;
        shape.slc_blocks = static_cast<unsigned>((slc_cache.size.count + block * shape.dies - 1) /
                                                 (block * shape.dies));
    }
    return shape;
}

void bind(config::Map& map, SsdLinkConfig& link) {
    map.field("read", link.read, {1e6}, {1e12}, "payload to the host, after coding and framing");
    map.field("write", link.write, {1e6}, {1e12}, "payload from the host");
    map.field("read_command", link.read_command, Time(), 1_s, "frames of a read besides its data");
    map.field("write_command", link.write_command, Time(), 1_s, "... of a write");
}

void bind(config::Map& map, SsdControllerConfig& controller) {
    map.field("read", controller.read, Time(), 1_s, "firmware time of a read, one after another");
    map.field("write", controller.write, Time(), 1_s, "... of a write");
    map.field("random_write",
              controller.random_write,
              Time(),
              1_s,
              "... of a write that does not continue the one before, in its place");
    map.field("read_latency",
              controller.read_latency,
              Time(),
              1_s,
              "what a read takes besides flash, channel and link, beside other commands");
    map.field("write_latency", controller.write_latency, Time(), 1_s, "... a write to the buffer");
    map.field("flush_latency",
              controller.flush_latency,
              Time(),
              10_s,
              "... a flush, once the buffer is on flash");
    map.field("trim_latency", controller.trim_latency, Time(), 10_s, "... a trim");
}

void bind(config::Map& map, SsdFlashConfig& flash) {
    map.field("channels", flash.channels, 1, 64, "buses between controller and chips");
    map.field("dies", flash.dies, 1, 256, "on each channel");
    map.field("planes", flash.planes, 1, 16, "of a die, which read, program and erase together");
    map.field("blocks", flash.blocks, 5, 1'000'000, "of a plane, spare ones included");
    map.field("pages", flash.pages, 1, 100'000, "of a block");
    map.field("page", flash.page, 512_B, 1_MiB, "bytes in a page");
    map.field("read", flash.read, Time(), 1_s, "from the cells of a row into its registers");
    map.field("program", flash.program, Time(), 1_s, "from the registers into the cells");
    map.field("erase", flash.erase, Time(), 1_s, "a block of every plane");
    map.field("channel", flash.channel, {1e6}, {1e11}, "bandwidth of a channel");
    map.field("programming_dies",
              flash.programming_dies,
              0,
              65'535,
              "dies that may program at the same time; 0 is all");
    map.field("reads_first", flash.reads_first, 0, 1'000'000, "reads that may pass a program");
}

void bind(config::Map& map, SsdCacheConfig& cache) {
    map.field("size", cache.size, 0_B, 1'048'576_GiB, "data that it holds; 0: there is none");
    map.field("bits", cache.bits, 1, 8, "per cell outside the cache");
    map.field("read", cache.read, Time(), 1_s, "as flash.read");
    map.field("program", cache.program, Time(), 1_s, "as flash.program");
    map.field("idle", cache.idle, Time(), 3600_s, "without commands before it is emptied");
}

void bind(config::Map& map, SsdConfig& config) {
    using Interface = SsdConfig::Interface;
    map.field("interface",
              config.interface,
              {{"sata", Interface::sata}, {"nvme", Interface::nvme}},
              "sata: one queue, data in one direction at a time; nvme: queues served in turn, data "
              "in both");
    map.field("capacity", config.capacity, 1_MiB, 1'048'576_GiB, "what the host sees");
    map.field("queues", config.queues, 1, 65'535, "streams are spread over them");
    map.field("queue_depth", config.queue_depth, 1, 65'535, "commands in the drive from a queue");
    map.check(config.interface != Interface::sata || config.queues == 1,
              "queues",
              "is more than the one queue that SATA has");
    map.check(config.interface != Interface::sata || config.queue_depth <= 32,
              "queue_depth",
              "is more than the 32 commands of SATA's native command queueing");
    map.field("unit", config.unit, 512_B, 1_MiB, "what one entry of the mapping stands for");
    map.field("write_buffer", config.write_buffer, 4_KiB, 64_GiB, "memory for data to be written");
    map.field("volatile_buffer",
              config.volatile_buffer,
              "a flush waits until the buffer is on flash; false with power-loss protection");
    map.field("precondition",
              config.precondition,
              {{"fresh", Precondition::fresh},
               {"filled", Precondition::filled},
               {"steady", Precondition::steady}},
              "fresh: erased; filled: written once in order; steady: overwritten at random until "
              "garbage collection is in balance");
    map.section("link", config.link, "way to the host");
    map.section("controller", config.controller, "firmware");
    map.section("flash", config.flash, "chips and channels");
    map.section("slc_cache", config.slc_cache, "blocks with one bit per cell for new data");

    const std::uint64_t unit = std::max<std::uint64_t>(config.unit.count, 1);
    const bool whole = config.flash.page.count % unit == 0 && config.flash.page.count >= unit;
    map.check(whole, "unit", "does not divide flash.page");
    if (!whole || config.slc_cache.bits == 0) {
        return;
    }
    const FlashShape shape = config.shape();
    if (const char* complaint = shape.complaint(config.units())) {
        map.check(false, "capacity", complaint);
    }
    map.check(config.write_buffer.count / unit >= 2 * shape.row_units,
              "write_buffer",
              "holds less than two pages of every plane");
}

}  // namespace fusesim::device
