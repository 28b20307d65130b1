#pragma once

#include "fuse/background_queue.h"
#include "fuse/input_queue.h"
#include "fuse/kernel.h"
#include "fuse/processing_queue.h"
#include "fuse/request.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace fusesim::fuse {

/// What a connection asks of those who know time and threads. Called in the middle of a
/// connection's action: may note and wake, must not call the connection back.
struct Listener {
    /// A request was put on the pending list and has its id (the fuse_request_send tracepoint);
    /// wake_one_reader() follows.
    virtual void request_queued(Request& request) = 0;

    /// A request has left the pending list unread: killed, aborted or too long.
    virtual void request_dropped(Request&) {}

    /// wake_up(&fiq->waitq): the reader idle longest, if any is idle.
    virtual void wake_one_reader() = 0;

    /// wake_up_all(&fiq->waitq): reads return with an error.
    virtual void wake_all_readers() = 0;

    /// wake_up(&fc->blocked_waitq): the caller held longest at the gate.
    virtual void wake_one_blocked() = 0;

    /// As wake_one_reader(), of a channel.
    virtual void wake_channel_reader(std::uint32_t) { wake_one_reader(); }

    /// As wake_one_blocked(), where each channel has a gate of its own.
    virtual void wake_channel_blocked(std::uint32_t) { wake_one_blocked(); }

    /// wake_up_all(&fc->blocked_waitq).
    virtual void wake_all_blocked() = 0;

  protected:
    ~Listener() = default;
};

/// How the background requests of channels are limited.
enum class ChannelBackground : std::uint8_t {
    common,   ///< all wait in the connection's one queue
    ring,     ///< each channel's wait apart; one may go beyond the limit where none is active
    channel,  ///< each channel has limits and a gate of its own
};

/// Settings of one mount that the queues look at.
struct ConnectionConfig {
    BackgroundLimits limits;
    unsigned protocol_minor = newest_protocol_minor;  ///< negotiated: the smaller of both sides
    std::uint32_t max_write = 128U << 10U;            ///< bytes, from the INIT reply
    bool initialized = true;    ///< false: the gate is shut until initialize()
    bool no_interrupt = false;  ///< INTERRUPT is never sent
    ChannelBackground channel_background = ChannelBackground::common;
};

/// Marks the id of a request sent again.
inline constexpr std::uint64_t resend_bit = 1ULL << 63U;

/// What a read of the daemon took.
struct Taken {
    enum class Kind : std::uint8_t {
        nothing,       ///< the queue is empty: sleep, or EAGAIN
        request,       ///< being copied; sent() when that is done
        interrupt,     ///< `request` is the one interrupted, valid now only
        forget,        ///< a single FORGET
        batch_forget,  ///< several in one message
        failed,        ///< the read returns `error`
    };

    Kind kind = Kind::nothing;
    std::int32_t error = 0;       ///< negative errno if failed
    std::uint32_t bytes = 0;      ///< length of the message
    std::uint32_t discarded = 0;  ///< requests ended on the way, too long for the buffer
    std::uint64_t unique = 0;     ///< id of the message
    Request* request = nullptr;
    std::span<const Forget> forgets;  ///< valid until the next take()
};

/// What became of a write of the daemon.
struct Replied {
    enum class Kind : std::uint8_t {
        request,       ///< being copied; finish_reply() when that is done
        interrupt,     ///< it answered an INTERRUPT; all is done
        notification,  ///< unique 0: not a reply
        failed,        ///< the write returns `error`
    };

    Kind kind = Kind::failed;
    std::int32_t error = 0;  ///< negative errno if failed
    unsigned steps = 0;      ///< entries of the processing list looked at
    Request* request = nullptr;
};

/// How often each kind of lock was taken since the connection began. Locks of user pages while
/// copying are not in here; copy_shape() counts the pages.
struct LockUse {
    std::uint64_t input = 0;       ///< fiq->lock
    std::uint64_t processing = 0;  ///< fpq->lock of any descriptor
    std::uint64_t background = 0;  ///< fc->bg_lock
    std::uint64_t request = 0;     ///< req->waitq.lock, to wake the caller
};

/// One mount's path to its daemon (models struct fuse_conn with its devices). Passive: every
/// call returns at once; what must sleep or take time is its caller's business.
///
/// The life of a request, and who calls what:
///   caller   arrive(), may_pass() after each wake, admit()      fuse_get_req
///   caller   queue() | queue_background()                       fuse_simple_request, _background
///   daemon   take(), copying, sent()                            fuse_dev_do_read
///   daemon   begin_reply(), copying, finish_reply()             fuse_dev_do_write
///   caller   put() once it runs again (not for background)      fuse_put_request
class Connection {
  public:
    /// A number for each open descriptor of /dev/fuse.
    using Fd = std::uint32_t;

    /// Opens the connection's first descriptor, number 0.
    Connection(const KernelBehaviour& kernel, const ConnectionConfig& config, Listener& listener);
    ~Connection();

    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // --- the gate

    /// A caller wants a request with the flags `background` and `force` as they are set. Counts
    /// it as waiting. True if it may go on at once, else it sleeps until may_pass().
    bool arrive(Request& request);

    /// The gate, asked again after a wake-up.
    bool may_pass(const Request& request) const {
        return request.has(Flag::force) ||
               !gate_shut(request.has(Flag::background), request.channel);
    }

    /// Past the gate: 0, or -ENOTCONN, -ECONNREFUSED; with an error the request is given up.
    std::int32_t admit(Request& request);

    /// The caller was killed at the gate, or has an admitted request it does not want to send.
    void give_up(Request& request);

    /// fuse_block_alloc: shut until the INIT reply, while a ring is awaited, and for background
    /// requests while `blocked`.
    bool gate_shut(bool for_background, Fd channel = 0) const {
        return !initialized_ || (ring_awaited_ && connected_) ||
               (for_background && background(channel).blocked());
    }

    /// The caller goes to sleep at the gate, or leaves it (woken or killed).
    void sleeps_at_gate() { ++gate_sleepers_; }

    void leaves_gate() { --gate_sleepers_; }

    /// The INIT reply is in. Limits of zero keep what was set.
    void initialize(const BackgroundLimits& limits = {0, 0});

    /// The INIT reply was an error: callers get ECONNREFUSED.
    void refuse();

    /// Between the INIT reply and a ready io_uring nobody may pass.
    void await_ring(bool awaited);

    // --- callers

    /// Puts an admitted foreground request on the pending list. What expects no reply (the forced
    /// FORGET of a failed readdirplus link) ends when copied. False if the connection is gone: it
    /// has ended with ENOTCONN, without completion.
    bool queue(Request& request);

    /// Hands over an admitted request that nobody waits for. False: as queue().
    bool queue_background(Request& request);

    /// A request without reply and with an id of its own (NOTIFY_REPLY); ends when copied.
    bool queue_notify_reply(Request& request, std::uint64_t unique);

    /// Gives back lookups of an inode. False if the connection is gone.
    bool queue_forget(const Forget& forget);

    /// A signal reached the caller of a queued request. True if an INTERRUPT was queued now; it
    /// may also follow when the request is sent.
    bool interrupt(Request& request);

    /// A fatal signal reached the caller. True if the request was still pending: it is taken out
    /// and has ended with EINTR, without completion. A request the daemon has must be awaited.
    bool kill(Request& request);

    /// The caller runs again and has what it wanted.
    void put(Request& request);

    // --- the daemon

    /// One read() with a buffer of that many bytes.
    Taken take(Fd fd, std::uint32_t buffer_bytes);

    /// The request taken has been copied. False if the read returns an error instead (read_error())
    /// since the connection went away meanwhile: the request has ended. A request that expects no
    /// reply ends here.
    bool sent(Request& request);

    /// One write() of a reply. `bytes` is the whole length, header included.
    Replied begin_reply(Fd fd, std::uint64_t unique, std::int32_t error, std::uint32_t bytes);

    /// The reply has been copied: ends the request. What the write returns if negative.
    std::int32_t finish_reply(Request& request);

    /// Both at once, for who does not care about the time between. 0 or a negative errno.
    std::int32_t reply(Fd fd, std::uint64_t unique, std::int32_t error, std::uint32_t bytes);

    /// FUSE_NOTIFY_RESEND: what the daemon has taken goes back to the head of the pending list, its
    /// ids marked by resend_bit. Throws std::logic_error on kernels without.
    void resend();

    /// FUSE_DEV_IOC_CLONE: another descriptor. Throws std::logic_error on kernels without.
    Fd clone_fd();

    /// Another descriptor, with a pending list of its own: a pair of queues that requests are sent
    /// through by their `channel`.
    Fd add_channel();

    /// Ends what the descriptor has taken; the last one to close aborts the connection. Nothing
    /// may be in the middle of being copied.
    void close(Fd fd);

    /// Everything ends with ECONNABORTED; what is being copied, when that is done.
    void abort();

    /// Unmounted, or aborted: what a read gets.
    std::int32_t read_error() const;

    // --- settings and figures

    void set_max_background(std::uint32_t value);
    void set_congestion_threshold(std::uint32_t value);

    bool congested() const { return background_.congested(); }

    bool connected() const { return connected_; }

    bool initialized() const { return initialized_; }

    bool no_interrupt() const { return no_interrupt_; }

    /// As in sysfs: every request alive, and callers at the gate.
    std::uint64_t num_waiting() const { return num_waiting_; }

    /// When the oldest request was created that is held back, pending, being copied or worked on;
    /// `never` if there is none.
    std::int64_t oldest_created() const;

    std::uint32_t gate_sleepers() const { return gate_sleepers_; }

    const KernelBehaviour& kernel() const { return kernel_; }

    const ConnectionConfig& config() const { return config_; }

    const InputQueue& input(Fd channel = 0) const {
        const Channel* const own = fds_[channel].channel.get();
        return own != nullptr ? own->input : input_;
    }

    /// The one that limits the channel's requests.
    const BackgroundQueue& background(Fd channel = 0) const {
        return config_.channel_background == ChannelBackground::channel &&
                       fds_[channel].channel != nullptr
                   ? fds_[channel].channel->background
                   : background_;
    }

    /// Background requests of a channel that are with the daemon or on their way.
    std::uint32_t active_background(Fd channel) const {
        return fds_[channel].channel->active_background;
    }

    const ProcessingQueue& processing(Fd fd) const { return *fds_[fd].queue; }

    Fd fd_count() const { return static_cast<Fd>(fds_.size()); }

    bool is_open(Fd fd) const { return fds_[fd].open; }

    const LockUse& locks() const { return locks_; }

    /// The least buffer a read must bring; smaller ones get EINVAL.
    std::uint32_t least_read_buffer() const { return least_read_buffer_; }

    /// For the end of a run and for tests: "" if the counters and lists agree, else what is wrong.
    std::string check() const;

  private:
    /// What a descriptor does not share with others.
    struct Channel {
        Channel(const KernelBehaviour& kernel, const BackgroundLimits& limits)
            : input(kernel), background(kernel, limits) {}

        InputQueue input;
        BackgroundQueue background;   // ChannelBackground::channel
        RequestList ring_background;  // ChannelBackground::ring
        std::uint32_t active_background = 0;
    };

    struct Device {
        std::unique_ptr<ProcessingQueue> queue;
        bool open = true;
        std::unique_ptr<Channel> channel;  // null: reads from the common queue
    };

    InputQueue& input_of(Fd channel) { return const_cast<InputQueue&>(input(channel)); }

    BackgroundQueue& background_of(Fd channel) {
        return const_cast<BackgroundQueue&>(background(channel));
    }

    Fd open_fd(std::unique_ptr<Channel> channel);
    void wake_reader(Fd channel);
    void wake_blocked(Fd channel);
    /// ChannelBackground::ring applies to it.
    bool waits_on_ring(const Request& request) const {
        return config_.channel_background == ChannelBackground::ring && request.channel != 0;
    }
    void flush_ring(Channel& channel);

    void put_pending(Request& request);
    void assign_and_put_pending(Request& request);
    void flush_background(BackgroundQueue& background);
    bool queue_interrupt(Request& request);
    void end(Request& request);
    void end_all(RequestList& to_end);
    static void collect_processing(Device& device, RequestList& to_end);
    void count_waiting(Request& request);
    void drop_waiting(Request& request);
    void take_interrupt(InputQueue& input, Taken& taken);
    void take_forgets(InputQueue& input, Taken& taken, std::uint32_t buffer_bytes);

    const KernelBehaviour& kernel_;
    ConnectionConfig config_;
    Listener& listener_;
    InputQueue input_;
    BackgroundQueue background_;
    std::vector<Device> fds_;
    std::uint64_t num_waiting_ = 0;
    LockUse locks_;
    std::uint32_t gate_sleepers_ = 0;
    std::uint32_t open_fds_ = 1;
    std::uint32_t least_read_buffer_;
    bool one_lock_;  ///< every lock is fc->lock: what would nest is not taken again
    bool connected_ = true;
    bool aborted_ = false;
    bool initialized_;
    bool conn_error_ = false;
    bool ring_awaited_ = false;
    bool no_interrupt_;
};

}  // namespace fusesim::fuse
