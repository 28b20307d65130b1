#include "config/map.h"
#include "config/units.h"

#include <catch2/catch.hpp>

#include <clocale>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

using namespace fusesim;
using namespace fusesim::config;
using namespace fusesim::sim::literals;

namespace {

template <class T>
T parsed(std::string_view text) {
    return Format<T>::parse(text);
}

/// "complaint | hint" of a text that is no T; "" if it is one.
template <class T>
std::string mismatch(std::string_view text) {
    try {
        Format<T>::parse(text);
    } catch (const Mismatch& error) {
        return std::string(error.what()) + " | " + error.hint();
    }
    return "";
}

/// Canonical text of a value, which must read back as the value.
template <class T>
std::string canonical(T value) {
    const std::string text = Format<T>::text(value);
    CHECK(Format<T>::parse(text) == value);
    return text;
}

}  // namespace

TEST_CASE("times are read to the picosecond", "[config]") {
    CHECK(parsed<sim::Time>("4 us") == 4_us);
    CHECK(parsed<sim::Time>("4us") == 4_us);
    CHECK(parsed<sim::Time>(" 4  us ") == 4_us);
    CHECK(parsed<sim::Time>("4 usec") == 4_us);
    CHECK(parsed<sim::Time>("4 \u00b5s") == 4_us);
    CHECK(parsed<sim::Time>("4\u03bcs") == 4_us);
    CHECK(parsed<sim::Time>("1.5 ms") == 1500_us);
    CHECK(parsed<sim::Time>("0.1 us") == 100_ns);
    CHECK(parsed<sim::Time>("1e3 ns") == 1_us);
    CHECK(parsed<sim::Time>("2e-3 s") == 2_ms);
    CHECK(parsed<sim::Time>(".5 s") == 500_ms);
    CHECK(parsed<sim::Time>("+7 ns") == 7_ns);
    CHECK(parsed<sim::Time>("2 min") == 120_s);
    CHECK(parsed<sim::Time>("1 h") == 3600_s);
    CHECK(parsed<sim::Time>("0 s") == 0_s);
    CHECK(parsed<sim::Time>("0.123456789012 s") == 123'456'789'012_ps);
    // The nearest picosecond; a double would have to guess beyond 53 bits.
    CHECK(parsed<sim::Time>("0.3333333333333333333333333333333 us") == 333'333_ps);
    CHECK(parsed<sim::Time>("0.6666666666666666666666666666666 min") == 40_s);
    CHECK(parsed<sim::Time>("1.5 ps") == 2_ps);
    CHECK(parsed<sim::Time>("9223372.036854775807 s") == sim::Time::max());
}

TEST_CASE("texts that are no time say why", "[config]") {
    CHECK(mismatch<sim::Time>("5") == "has no unit | write 5 us, 5 ms or 5 s");
    CHECK(mismatch<sim::Time>("") == "is not a time | write for example 4 us");
    CHECK(mismatch<sim::Time>("fast") == "is not a time | write for example 4 us");
    CHECK(mismatch<sim::Time>("us") == "is not a time | write for example 4 us");
    CHECK(mismatch<sim::Time>("1.2.3 us") ==
          "has the unknown unit '.3 us' | units of time are ns, us, ms, s, min and h");
    CHECK(mismatch<sim::Time>("4 KiB") ==
          "has the unknown unit 'KiB' | units of time are ns, us, ms, s, min and h");
    CHECK(mismatch<sim::Time>("1,5 ms") ==
          "has the unknown unit ',5 ms' | units of time are ns, us, ms, s, min and h");
    CHECK(mismatch<sim::Time>("-1 us") == "is negative | ");
    CHECK(mismatch<sim::Time>("nan us") == "is not a time | write for example 4 us");
    CHECK(mismatch<sim::Time>("inf s") == "is not a time | write for example 4 us");
    CHECK(mismatch<sim::Time>("1e999 s") == "is not a time | write for example 4 us");
    CHECK(mismatch<sim::Time>("9223372.036854775808 s") ==
          "is too long | simulated time reaches 106 days");
    CHECK(mismatch<sim::Time>("1e300 s") == "is too long | simulated time reaches 106 days");
    CHECK(mismatch<sim::Time>("0.1 ps") ==
          "is shorter than 1 ps | simulated time counts whole picoseconds");
}

TEST_CASE("the canonical text of a time is exact and has the largest unit that fits", "[config]") {
    CHECK(canonical(0_s) == "0 s");
    CHECK(canonical(1_ps) == "1 ps");
    CHECK(canonical(1500_us) == "1.5 ms");
    CHECK(canonical(1'234'567_ps) == "1.234567 us");
    CHECK(canonical(90_s) == "90 s");
    CHECK(canonical(1'000'000'000'001_ps) == "1.000000000001 s");
    CHECK(canonical(sim::Time::max()) == "9223372.036854775807 s");
    CHECK(Format<sim::Time>::text(sim::Time::from_ns(-5)) == "-5 ns");
}

TEST_CASE("sizes are powers of 1024", "[config]") {
    CHECK(parsed<Bytes>("4096") == 4_KiB);
    CHECK(parsed<Bytes>("4k") == 4_KiB);
    CHECK(parsed<Bytes>("4K") == 4_KiB);
    CHECK(parsed<Bytes>("4KiB") == 4_KiB);
    CHECK(parsed<Bytes>("4 KiB") == 4_KiB);
    CHECK(parsed<Bytes>("1M") == 1_MiB);
    CHECK(parsed<Bytes>("1MiB") == 1_MiB);
    CHECK(parsed<Bytes>("1.5 MiB") == 1536_KiB);
    CHECK(parsed<Bytes>("2g") == 2_GiB);
    CHECK(parsed<Bytes>("1T") == Bytes{std::uint64_t{1} << 40});
    CHECK(parsed<Bytes>("18446744073709551615") ==
          Bytes{std::numeric_limits<std::uint64_t>::max()});
}

TEST_CASE("texts that are no size say why", "[config]") {
    const std::string kib = " | write KiB: sizes are powers of 1024";
    CHECK(mismatch<Bytes>("4kB") == "has the ambiguous unit 'kB'" + kib);
    CHECK(mismatch<Bytes>("4 KB") == "has the ambiguous unit 'KB'" + kib);
    CHECK(mismatch<Bytes>("4kb") == "has the ambiguous unit 'kb'" + kib);
    CHECK(mismatch<Bytes>("4 MB") ==
          "has the ambiguous unit 'MB' | write MiB: sizes are powers of 1024");
    CHECK(mismatch<Bytes>("4 GB") ==
          "has the ambiguous unit 'GB' | write GiB: sizes are powers of 1024");
    CHECK(mismatch<Bytes>("4 us") ==
          "has the unknown unit 'us' | units of size are B, KiB, MiB, GiB and TiB");
    CHECK(mismatch<Bytes>("0.3 KiB") == "is not a whole number of bytes | ");
    CHECK(mismatch<Bytes>("-1") == "is negative | ");
    CHECK(mismatch<Bytes>("18446744073709551616") == "is too large | ");
    CHECK(mismatch<Bytes>("16777216T") == "is too large | ");
    CHECK(mismatch<Bytes>("big") == "is not a size | write for example 128 KiB");
}

TEST_CASE("the canonical text of a size is exact", "[config]") {
    CHECK(canonical(Bytes{0}) == "0 B");
    CHECK(canonical(Bytes{100}) == "100 B");
    CHECK(canonical(Bytes{4096}) == "4 KiB");
    CHECK(canonical(Bytes{1536}) == "1536 B");
    CHECK(canonical(128_MiB) == "128 MiB");
    CHECK(canonical(Bytes{std::numeric_limits<std::uint64_t>::max()}) == "18446744073709551615 B");
}

TEST_CASE("rates and bandwidths carry units", "[config]") {
    CHECK(parsed<Rate>("50 kiops").per_second == 50'000);
    CHECK(parsed<Rate>("0.5 iops").per_second == 0.5);
    CHECK(parsed<Rate>("200 ops/s").per_second == 200);
    CHECK(mismatch<Rate>("50") == "has no unit | write for example 50 kiops or 200 ops/s");
    CHECK(mismatch<Rate>("50 k") ==
          "has the unknown unit 'k' | write for example 50 kiops or 200 ops/s");
    CHECK(mismatch<Rate>("-1 iops") == "is negative | ");
    CHECK(mismatch<Rate>("1e308 kiops") == "is too large | ");
    CHECK(canonical(Rate{50'000}) == "50 kiops");
    CHECK(canonical(Rate{0.1}) == "0.1 iops");
    CHECK(canonical(Rate{12'345.678}) == "12345.678 iops");

    CHECK(parsed<Bandwidth>("100 MiB/s").bytes_per_second == 100 * 1048576.0);
    CHECK(parsed<Bandwidth>("10 Gbps").bytes_per_second == 1.25e9);
    CHECK(mismatch<Bandwidth>("100 MB/s") ==
          "has the ambiguous unit 'MB/s' | write MiB/s (powers of 1024) or Gbps (decimal bits)");
    CHECK(mismatch<Bandwidth>("100") == "has no unit | write for example 100 MiB/s or 10 Gbps");
    CHECK(canonical(Bandwidth{1.25e9}) == "10 Gbps");
    CHECK(canonical(Bandwidth{100 * 1048576.0}) == "100 MiB/s");
    CHECK(canonical(Bandwidth{0}) == "0 B/s");
}

TEST_CASE("percentages, probabilities and plain values", "[config]") {
    CHECK(parsed<Percent>("2 %").fraction == 0.02);
    CHECK(parsed<Percent>("7%").fraction == 0.07);
    CHECK(parsed<Percent>("150 %").fraction == 1.5);
    CHECK(mismatch<Percent>("2") == "has no % sign | write 2 %");
    CHECK(canonical(Percent{0.07}) == "7 %");
    CHECK(canonical(Percent{0}) == "0 %");
    CHECK(canonical(Percent{0.001}) == "0.1 %");
    CHECK(canonical(Percent{12}) == "1200 %");
    CHECK(canonical(Percent{1e-30}) == "1e-28 %");
    CHECK(canonical(Percent{1.0 / 3}) == "33.33333333333333 %");

    CHECK(parsed<Probability>("0.3").value == 0.3);
    CHECK(parsed<Probability>("30 %").value == 0.3);
    CHECK(mismatch<Probability>("1.1") == "is outside 0..1 | ");
    CHECK(mismatch<Probability>("101 %") == "is outside 0..1 | ");
    CHECK(mismatch<Probability>("3 s") == "is not a probability | write for example 0.3 or 30 %");

    CHECK(parsed<bool>("true"));
    CHECK_FALSE(parsed<bool>("false"));
    CHECK(mismatch<bool>("True") == "is neither true nor false | ");

    CHECK(parsed<unsigned>("4294967295") == 4'294'967'295u);
    CHECK(mismatch<unsigned>("4294967296") == "is too large for a number here | ");
    CHECK(mismatch<unsigned>("-1") == "is negative | ");
    CHECK(mismatch<unsigned>("1.5") == "is not a whole number | write its digits only");
    CHECK(mismatch<unsigned>("010") ==
          "starts with 0 | octal numbers are not read; leave the 0 out");
    CHECK(mismatch<unsigned>("0x10") == "is not a number | ");
    CHECK(parsed<int>("-1") == -1);
    CHECK(mismatch<int>("2147483648") == "is too large for a number here | ");
    CHECK(parsed<double>("1.5e3") == 1500);
    CHECK(mismatch<double>("1,5") == "is not a number | ");
    CHECK(mismatch<double>(".nan") == "is not a number | ");
    CHECK(canonical(0.1) == "0.1");
}

TEST_CASE("numbers do not depend on the locale", "[config]") {
    const std::string before = std::setlocale(LC_ALL, nullptr);
    if (std::setlocale(LC_ALL, "de_DE.UTF-8") == nullptr) {
        // Without that locale nothing could go wrong here.
        std::setlocale(LC_ALL, "C.UTF-8");
    }
    CHECK(parsed<sim::Time>("1.5 ms") == 1500_us);
    CHECK(parsed<double>("1.5") == 1.5);
    CHECK(Format<double>::text(1.5) == "1.5");
    CHECK(canonical(Percent{0.015}) == "1.5 %");
    std::setlocale(LC_ALL, before.c_str());
}

TEST_CASE("a value of the command line is an error with the option's name", "[config]") {
    CHECK(config::parse<sim::Time>("10s", "--duration") == 10_s);
    CHECK_THROWS_WITH(config::parse<sim::Time>("10", "--duration"),
                      "command line: error: --duration = '10' has no unit\n"
                      "  hint: write 10 us, 10 ms or 10 s");
}
