#pragma once

#include "trace/record.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace fusesim::record {

/// Fills a record's "what" and pid from the first bytes of a request as the daemon read it. Bytes
/// that the recorder did not keep (file data, the tail of a long name) are simply not there.
/// Returns false, and leaves the record alone, if there is not even a whole fuse_in_header.
bool read_message(std::span<const std::byte> message, trace::Record& record);

/// FORGET, BATCH_FORGET and INTERRUPT: made when the daemon reads them, never answered.
bool is_made_at_read(std::uint32_t opcode);

}  // namespace fusesim::record
