#include "null_filesystem.h"

#include "options.h"
#include "session.h"
#include "stamps.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

namespace fusesim::daemons {

namespace {

constexpr std::size_t largest_read = 1u << 20;

/// Aligned like the buffers of libfuse's own data path, so that the kernel maps as many pages.
struct alignas(4096) Zeros {
    char bytes[largest_read];
};

/// A file or directory. It lives while it has a name or the kernel remembers it.
struct Node {
    mode_t mode = S_IFREG | 0644;
    off_t size = 0;
    timespec changed{};
    Node* parent = nullptr;
    std::uint64_t lookups = 0;
    unsigned links = 0;
    std::map<std::string, Node*> children;
};

/// Names, sizes and nothing else; one mutex, because holding it takes far less than a request.
class NullFileSystem {
  public:
    explicit NullFileSystem(const Options& options)
        : options_(options), zeros_(std::make_unique<Zeros>()), random_(options.service.seed) {
        root_.mode = S_IFDIR | 0755;
        root_.links = 2;
        root_.parent = &root_;
        for (unsigned i = 0; i < options.files; ++i) {
            Node* file = add(root_, "file" + std::to_string(i), S_IFREG | 0644);
            file->size = static_cast<off_t>(options.file_size);
        }
    }

    const Options& options() const { return options_; }

    const char* zeros() const { return zeros_->bytes; }

    Node* node(fuse_ino_t ino) {
        return ino == FUSE_ROOT_ID ? &root_ : reinterpret_cast<Node*>(ino);
    }

    fuse_ino_t ino(const Node* node) const {
        return node == &root_ ? FUSE_ROOT_ID : reinterpret_cast<fuse_ino_t>(node);
    }

    struct stat attributes(const Node* node) const {
        struct stat out {};

        out.st_ino = ino(node);
        out.st_mode = node->mode;
        out.st_nlink = node->links;
        out.st_size = node->size;
        out.st_blocks = (node->size + 511) / 512;
        out.st_blksize = 4096;
        out.st_atim = out.st_mtim = out.st_ctim = node->changed;
        return out;
    }

    fuse_entry_param entry(const Node* node) const {
        fuse_entry_param out{};
        out.ino = ino(node);
        out.attr = attributes(node);
        out.attr_timeout = options_.attr_timeout;
        out.entry_timeout = options_.entry_timeout;
        return out;
    }

    Node* find(Node& directory, const char* name) {
        const auto found = directory.children.find(name);
        return found == directory.children.end() ? nullptr : found->second;
    }

    Node* add(Node& directory, const std::string& name, mode_t mode) {
        auto fresh = std::make_unique<Node>();
        fresh->mode = mode;
        fresh->parent = &directory;
        fresh->links = S_ISDIR(mode) ? 2 : 1;
        clock_gettime(CLOCK_REALTIME_COARSE, &fresh->changed);
        directory.children[name] = fresh.get();
        return fresh.release();
    }

    void drop_link(Node* node) {
        node->links = S_ISDIR(node->mode) ? 0 : node->links - 1;
        node->parent = node;  // its own may go before it does
        free_if_unused(node);
    }

    void forget(Node* node, std::uint64_t lookups) {
        node->lookups -= std::min(node->lookups, lookups);
        free_if_unused(node);
    }

    /// Takes the service time of one request; a null file system takes none.
    void serve() {
        const Service& service = options_.service;
        if (service.seconds <= 0) {
            return;
        }
        double seconds = service.seconds;
        if (service.exponential) {
            const std::lock_guard lock(mutex);
            seconds = std::exponential_distribution<>(1 / service.seconds)(random_);
        }
        if (service.spin) {
            spin(seconds);
        } else {
            sleep(seconds);
        }
    }

    std::mutex mutex;

  private:
    static void spin(double seconds) {
        timespec now{};
        clock_gettime(CLOCK_MONOTONIC, &now);
        const double end =
            static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9 + seconds;
        do {
            clock_gettime(CLOCK_MONOTONIC, &now);
        } while (static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9 < end);
    }

    static void sleep(double seconds) {
        // The default slack would add 50 us to every service time.
        thread_local const int slack = prctl(PR_SET_TIMERSLACK, 1UL);
        static_cast<void>(slack);
        timespec left{};
        left.tv_sec = static_cast<time_t>(seconds);
        left.tv_nsec = static_cast<long>((seconds - static_cast<double>(left.tv_sec)) * 1e9);
        while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
        }
    }

    void free_if_unused(Node* node) {
        if (node != &root_ && node->lookups == 0 && node->links == 0) {
            delete node;
        }
    }

    Options options_;
    std::unique_ptr<Zeros> zeros_;
    std::mt19937_64 random_;
    Node root_;
};

NullFileSystem& filesystem(fuse_req_t request) {
    return *static_cast<NullFileSystem*>(fuse_req_userdata(request));
}

void init(void* userdata, fuse_conn_info* connection) {
    negotiate(static_cast<NullFileSystem*>(userdata)->options(), *connection);
}

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
    NullFileSystem& fs = filesystem(request);
    fs.serve();
    fuse_entry_param entry{};
    {
        const std::lock_guard lock(fs.mutex);
        Node* found = fs.find(*fs.node(parent), name);
        if (found != nullptr) {
            ++found->lookups;
            entry = fs.entry(found);
        }
    }
    if (entry.ino != 0) {
        fuse_reply_entry(request, &entry);
    } else if (fs.options().negative_timeout > 0) {
        entry.entry_timeout = fs.options().negative_timeout;
        fuse_reply_entry(request, &entry);
    } else {
        fuse_reply_err(request, ENOENT);
    }
}

void forget(fuse_req_t request, fuse_ino_t ino, std::uint64_t lookups) {
    NullFileSystem& fs = filesystem(request);
    {
        const std::lock_guard lock(fs.mutex);
        fs.forget(fs.node(ino), lookups);
    }
    fuse_reply_none(request);
}

void forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* forgets) {
    NullFileSystem& fs = filesystem(request);
    {
        const std::lock_guard lock(fs.mutex);
        for (std::size_t i = 0; i < count; ++i) {
            fs.forget(fs.node(forgets[i].ino), forgets[i].nlookup);
        }
    }
    fuse_reply_none(request);
}

void getattr(fuse_req_t request, fuse_ino_t ino, fuse_file_info*) {
    NullFileSystem& fs = filesystem(request);
    fs.serve();

    struct stat attributes {};

    {
        const std::lock_guard lock(fs.mutex);
        attributes = fs.attributes(fs.node(ino));
    }
    fuse_reply_attr(request, &attributes, fs.options().attr_timeout);
}

void setattr(fuse_req_t request, fuse_ino_t ino, struct stat* wanted, int which, fuse_file_info*) {
    NullFileSystem& fs = filesystem(request);
    fs.serve();

    struct stat attributes {};

    {
        const std::lock_guard lock(fs.mutex);
        Node* node = fs.node(ino);
        if ((which & FUSE_SET_ATTR_MODE) != 0) {
            node->mode = (node->mode & S_IFMT) | (wanted->st_mode & ~S_IFMT);
        }
        if ((which & FUSE_SET_ATTR_SIZE) != 0) {
            node->size = wanted->st_size;
        }
        clock_gettime(CLOCK_REALTIME_COARSE, &node->changed);
        attributes = fs.attributes(node);
    }
    fuse_reply_attr(request, &attributes, fs.options().attr_timeout);
}

/// Makes a name; returns an entry with ino 0 if it exists already.
fuse_entry_param make(NullFileSystem& fs, fuse_ino_t parent, const char* name, mode_t mode) {
    const std::lock_guard lock(fs.mutex);
    Node& directory = *fs.node(parent);
    if (fs.find(directory, name) != nullptr) {
        return {};
    }
    Node* fresh = fs.add(directory, name, mode);
    fresh->lookups = 1;
    return fs.entry(fresh);
}

void create(
    fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* info) {
    NullFileSystem& fs = filesystem(request);
    fs.serve();
    const fuse_entry_param entry = make(fs, parent, name, S_IFREG | (mode & 07777));
    if (entry.ino == 0) {
        fuse_reply_err(request, EEXIST);
        return;
    }
    apply_open_flags(fs.options(), *info);
    fuse_reply_create(request, &entry, info);
}

void reply_made(fuse_req_t request, const fuse_entry_param& entry) {
    if (entry.ino == 0) {
        fuse_reply_err(request, EEXIST);
    } else {
        fuse_reply_entry(request, &entry);
    }
}

void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t) {
    NullFileSystem& fs = filesystem(request);
    fs.serve();
    if (!S_ISREG(mode)) {
        fuse_reply_err(request, EPERM);
        return;
    }
    reply_made(request, make(fs, parent, name, mode));
}

void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
    NullFileSystem& fs = filesystem(request);
    fs.serve();
    reply_made(request, make(fs, parent, name, S_IFDIR | (mode & 07777)));
}

/// Takes a name away; returns the error number.
int remove_name(NullFileSystem& fs, fuse_ino_t parent, const char* name, bool directory) {
    const std::lock_guard lock(fs.mutex);
    Node& from = *fs.node(parent);
    Node* victim = fs.find(from, name);
    if (victim == nullptr) {
        return ENOENT;
    }
    if (S_ISDIR(victim->mode) != directory) {
        return directory ? ENOTDIR : EISDIR;
    }
    if (!victim->children.empty()) {
        return ENOTEMPTY;
    }
    from.children.erase(name);
    fs.drop_link(victim);
    return 0;
}

void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
    NullFileSystem& fs = filesystem(request);
    fs.serve();
    fuse_reply_err(request, remove_name(fs, parent, name, false));
}

void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
    NullFileSystem& fs = filesystem(request);
    fs.serve();
    fuse_reply_err(request, remove_name(fs, parent, name, true));
}

int move_name(NullFileSystem& fs,
              fuse_ino_t from,
              const char* name,
              fuse_ino_t to,
              const char* new_name,
              unsigned flags) {
    if (flags != 0) {
        return EINVAL;
    }
    const std::lock_guard lock(fs.mutex);
    Node& source = *fs.node(from);
    Node& target = *fs.node(to);
    Node* moved = fs.find(source, name);
    if (moved == nullptr) {
        return ENOENT;
    }
    Node* replaced = fs.find(target, new_name);
    if (replaced == moved) {
        return 0;
    }
    if (replaced != nullptr && !replaced->children.empty()) {
        return ENOTEMPTY;
    }
    source.children.erase(name);
    target.children[new_name] = moved;
    moved->parent = &target;
    if (replaced != nullptr) {
        fs.drop_link(replaced);
    }
    return 0;
}

void rename(fuse_req_t request,
            fuse_ino_t from,
            const char* name,
            fuse_ino_t to,
            const char* new_name,
            unsigned flags) {
    NullFileSystem& fs = filesystem(request);
    fs.serve();
    fuse_reply_err(request, move_name(fs, from, name, to, new_name, flags));
}

void open(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
    NullFileSystem& fs = filesystem(request);
    fs.serve();
    apply_open_flags(fs.options(), *info);
    fuse_reply_open(request, info);
}

void read(fuse_req_t request, fuse_ino_t ino, std::size_t size, off_t offset, fuse_file_info*) {
    NullFileSystem& fs = filesystem(request);
    fs.serve();
    std::size_t left = 0;
    {
        const std::lock_guard lock(fs.mutex);
        const off_t end = fs.node(ino)->size;
        left = offset < end ? static_cast<std::size_t>(end - offset) : 0;
    }
    const std::size_t amount = std::min({size, left, largest_read});
    if (!fs.options().splice_write) {
        fuse_reply_buf(request, fs.zeros(), amount);
        return;
    }
    fuse_bufvec data{};
    data.count = 1;
    data.buf[0].size = amount;
    data.buf[0].fd = -1;
    data.buf[0].mem = const_cast<char*>(fs.zeros());
    fuse_reply_data(request, &data, FUSE_BUF_SPLICE_MOVE);
}

void grow(NullFileSystem& fs, fuse_ino_t ino, off_t end) {
    const std::lock_guard lock(fs.mutex);
    Node* node = fs.node(ino);
    node->size = std::max(node->size, end);
    clock_gettime(CLOCK_REALTIME_COARSE, &node->changed);
}

void write_buf(
    fuse_req_t request, fuse_ino_t ino, fuse_bufvec* data, off_t offset, fuse_file_info*) {
    NullFileSystem& fs = filesystem(request);
    fs.serve();
    const std::size_t size = fuse_buf_size(data);
    grow(fs, ino, offset + static_cast<off_t>(size));
    fuse_reply_write(request, size);
}

void succeed(fuse_req_t request, fuse_ino_t, fuse_file_info*) {
    filesystem(request).serve();
    fuse_reply_err(request, 0);
}

void fsync(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) {
    filesystem(request).serve();
    fuse_reply_err(request, 0);
}

void fallocate(
    fuse_req_t request, fuse_ino_t ino, int mode, off_t offset, off_t length, fuse_file_info*) {
    NullFileSystem& fs = filesystem(request);
    fs.serve();
    if (mode != 0) {
        fuse_reply_err(request, EOPNOTSUPP);
        return;
    }
    grow(fs, ino, offset + length);
    fuse_reply_err(request, 0);
}

/// A directory as it was when it was opened, so that offsets stay valid.
struct Listing {
    std::vector<std::pair<std::string, Node*>> entries;
};

void opendir(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) {
    NullFileSystem& fs = filesystem(request);
    fs.serve();
    auto listing = std::make_unique<Listing>();
    {
        const std::lock_guard lock(fs.mutex);
        Node* directory = fs.node(ino);
        listing->entries.emplace_back(".", directory);
        listing->entries.emplace_back("..", directory->parent);
        for (const auto& [name, child] : directory->children) {
            listing->entries.emplace_back(name, child);
        }
    }
    info->fh = reinterpret_cast<std::uint64_t>(listing.release());
    fuse_reply_open(request, info);
}

/// Whether the entry at `place` is still in the directory, so that its node is alive.
Node* still_there(NullFileSystem& fs, Node& directory, const Listing& listing, std::size_t place) {
    const auto& [name, node] = listing.entries[place];
    return place < 2 ? node : fs.find(directory, name.c_str());
}

void list(fuse_req_t request,
          fuse_ino_t ino,
          std::size_t size,
          off_t offset,
          fuse_file_info* info,
          bool plus) {
    NullFileSystem& fs = filesystem(request);
    fs.serve();
    const auto& listing = *reinterpret_cast<Listing*>(info->fh);
    std::vector<char> reply(size);
    std::size_t used = 0;
    {
        const std::lock_guard lock(fs.mutex);
        for (auto i = static_cast<std::size_t>(offset); i < listing.entries.size(); ++i) {
            Node* node = still_there(fs, *fs.node(ino), listing, i);
            if (node == nullptr) {
                continue;
            }
            const char* name = listing.entries[i].first.c_str();
            const auto next = static_cast<off_t>(i + 1);
            const fuse_entry_param entry = fs.entry(node);
            char* to = reply.data() + used;
            const std::size_t need =
                plus ? fuse_add_direntry_plus(request, to, size - used, name, &entry, next)
                     : fuse_add_direntry(request, to, size - used, name, &entry.attr, next);
            if (need > size - used) {
                break;
            }
            used += need;
            if (plus && i >= 2) {
                ++node->lookups;
            }
        }
    }
    fuse_reply_buf(request, reply.data(), used);
}

void readdir(
    fuse_req_t request, fuse_ino_t ino, std::size_t size, off_t offset, fuse_file_info* info) {
    list(request, ino, size, offset, info, false);
}

void readdirplus(
    fuse_req_t request, fuse_ino_t ino, std::size_t size, off_t offset, fuse_file_info* info) {
    list(request, ino, size, offset, info, true);
}

void releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
    filesystem(request).serve();
    delete reinterpret_cast<Listing*>(info->fh);
    fuse_reply_err(request, 0);
}

void statfs(fuse_req_t request, fuse_ino_t) {
    filesystem(request).serve();

    struct statvfs out {};

    out.f_bsize = out.f_frsize = 4096;
    out.f_blocks = out.f_bfree = out.f_bavail = 1u << 30;
    out.f_files = out.f_ffree = out.f_favail = 1u << 30;
    out.f_namemax = 255;
    fuse_reply_statfs(request, &out);
}

fuse_lowlevel_ops operations() {
    fuse_lowlevel_ops ops{};
    ops.init = init;
    ops.lookup = lookup;
    ops.forget = forget;
    ops.forget_multi = forget_multi;
    ops.getattr = getattr;
    ops.setattr = setattr;
    ops.create = create;
    ops.mknod = mknod;
    ops.mkdir = mkdir;
    ops.unlink = unlink;
    ops.rmdir = rmdir;
    ops.rename = rename;
    ops.open = open;
    ops.read = read;
    ops.write_buf = write_buf;
    ops.flush = succeed;
    ops.release = succeed;
    ops.fsync = fsync;
    ops.fallocate = fallocate;
    ops.opendir = opendir;
    ops.readdir = readdir;
    ops.readdirplus = readdirplus;
    ops.releasedir = releasedir;
    ops.fsyncdir = fsync;
    ops.statfs = statfs;
    return ops;
}

}  // namespace

int run_null_filesystem(int argc, char** argv, const Program& program) {
    fuse_args args = FUSE_ARGS_INIT(argc, argv);
    Options options;
    int status = 2;
    if (read_options(args, program, options)) {
        NullFileSystem fs(options);
        const fuse_lowlevel_ops ops = operations();
        add_mount_options(args, options);
        fuse_session* session = fuse_session_new(&args, &ops, sizeof ops, &fs);
        if (session != nullptr) {
            status = serve(session, program, options);
            fuse_session_destroy(session);
        }
    }
    std::free(options.session.mountpoint);
    fuse_opt_free_args(&args);
    return status;
}

}  // namespace fusesim::daemons
