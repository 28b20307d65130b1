#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace fusesim::fuse {

/// Which lock guards the input queue.
enum class InputLock : std::uint8_t {
    connection,  ///< fc->lock, shared with processing and background
    waitqueue,   ///< the lock of the readers' wait queue
    own,         ///< fiq->lock
};

/// When the fuse_request_send tracepoint fires.
enum class SendTracepoint : std::uint8_t { absent, before_id, at_queueing };

/// How a directory is locked by its callers.
enum class DirectoryLock : std::uint8_t { mutex, rwsem };

/// What differs between kernels, in one row a version. The first block is what the queues of this
/// folder ask; the second is for the layers above.
struct KernelBehaviour {
    std::string_view version;  ///< "6.1"
    unsigned protocol_minor;   ///< 7.x of its uapi/linux/fuse.h

    InputLock input_lock;
    bool background_lock;            ///< bg_lock of its own, else fc->lock
    std::uint8_t unique_step;        ///< 2: bit 0 marks the INTERRUPT of an id; 1: ids of their own
    std::uint16_t processing_lists;  ///< hash lists a descriptor; 1: one list, searched linearly
    bool clone_fd;                   ///< FUSE_DEV_IOC_CLONE
    bool resend;                     ///< FUSE_NOTIFY_RESEND (since 6.9)
    bool congestion_on_bdi;          ///< a flag set and cleared at the threshold, else a test
    bool read_buffer_holds_max_write;  ///< least read buffer is max(8192, 80 + max_write)
    std::int32_t lowest_error;         ///< replies carry errors above this one
    bool end_takes_input_lock;         ///< ending takes the input queue's lock every time
    bool background_end_wakes;  ///< ending wakes the request's own wait queue also in background

    std::uint16_t default_max_pages;  ///< pages a request without FUSE_MAX_PAGES
    std::uint16_t max_max_pages;      ///< the most that FUSE_MAX_PAGES may ask for, by default
    bool readdir_fits_getdents;       ///< READDIR asks for the caller's buffer size, else 4096
    bool writeback_temp_copy;         ///< writeback copies each page to a temporary one
    DirectoryLock directory_lock;
    bool getattr_after_read;  ///< auto_inval_data: atime goes stale with each READ
    bool parallel_direct_writes;
    bool passthrough;
    bool io_uring;
    bool request_timeout;  ///< fs.fuse.default_request_timeout
    SendTracepoint send_tracepoint;

    bool interrupt_bit() const { return unique_step == 2; }
};

/// The row for "6.1", or for a release such as "6.1.0-13-amd64". Throws std::invalid_argument
/// with the list of known versions if there is none.
const KernelBehaviour& kernel_behaviour(std::string_view version);

/// The row for a release, or that of the newest known kernel before it (the oldest one, if all are
/// newer). Throws std::invalid_argument if the text is not a kernel release.
const KernelBehaviour& nearest_kernel_behaviour(std::string_view release);

/// Every row, oldest first.
const std::vector<KernelBehaviour>& kernel_behaviours();

}  // namespace fusesim::fuse
