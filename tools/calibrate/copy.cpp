#include "copy.h"

#include "bench.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace fusesim::calibrate {

namespace {

/// Begins on a page, as kernel pages and most buffers of that size do; how source and target
/// lie to each other matters for speed.
class PageBuffer {
  public:
    explicit PageBuffer(std::size_t size)
        : data_(static_cast<char*>(std::aligned_alloc(4096, (size + 4095) / 4096 * 4096))) {
        std::memset(data_, 'x', size);
    }

    ~PageBuffer() { std::free(data_); }

    PageBuffer(const PageBuffer&) = delete;
    PageBuffer& operator=(const PageBuffer&) = delete;

    char* data() const { return data_; }

  private:
    char* data_;
};

#if defined(__x86_64__)
/// Whether the kernel copies byte-wise, with the string instruction that is fast then (ERMS).
bool copies_bytes() {
    constexpr unsigned features = 7;
    constexpr unsigned erms = 1u << 9;
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    return __get_cpuid_count(features, 0, &a, &b, &c, &d) != 0 && (b & erms) != 0;
}
#endif

/// Copies as the kernel does it: page by page, with the string instruction where there is one.
void copy_pages(char* target, const char* source, std::size_t size) {
#if defined(__x86_64__)
    static const bool bytes = copies_bytes();
#endif
    while (size > 0) {
        const std::size_t piece = std::min<std::size_t>(size, 4096);
        size -= piece;
#if defined(__x86_64__)
        std::size_t left = piece;
        if (!bytes) {
            std::size_t words = left / 8;
            left %= 8;
            asm volatile("rep movsq" : "+D"(target), "+S"(source), "+c"(words) : : "memory");
        }
        asm volatile("rep movsb" : "+D"(target), "+S"(source), "+c"(left) : : "memory");
#else
        std::memcpy(target, source, piece);
        target += piece;
        source += piece;
#endif
    }
}

}  // namespace

double measure_user_copy(std::size_t size, double seconds) {
    // Walking through more than the first-level cache holds: by the time a buffer comes round
    // again in real use, system calls and the other side have swept that cache.
    constexpr std::size_t walk = 256 * 1024;
    const std::size_t span = std::max(size, walk);
    const PageBuffer from(span);
    const PageBuffer to(span);
    std::size_t start = 0;
    return time_of(
        [&] {
            copy_pages(to.data() + start, from.data() + start, size);
            start += (size + 4095) / 4096 * 4096;
            if (start + size > span) {
                start = 0;
            }
        },
        seconds,
        size > 65536 ? 8 : 256);
}

}  // namespace fusesim::calibrate
