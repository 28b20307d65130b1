#include "sim/random.h"

#include <cmath>
#include <numbers>
#include <stdexcept>

namespace fusesim::sim {

namespace {

std::uint64_t splitmix64(std::uint64_t& state) {
    state += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

std::uint64_t rotate_left(std::uint64_t x, int k) {
    return (x << k) | (x >> (64 - k));
}

std::uint64_t fnv1a(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (const char c : text) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    }
    return hash;
}

}  // namespace

Random::Random(std::uint64_t seed, std::string_view name) {
    std::uint64_t state = seed ^ fnv1a(name);
    for (std::uint64_t& word : state_) {
        word = splitmix64(state);
    }
}

std::uint64_t Random::bits() {
    const std::uint64_t result = rotate_left(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate_left(state_[3], 45);
    return result;
}

double Random::uniform() {
    return static_cast<double>(bits() >> 11) * 0x1.0p-53;
}

std::uint64_t Random::below(std::uint64_t bound) {
    const std::uint64_t rest = (0 - bound) % bound;  // 2^64 mod bound: these draws would be biased
    for (;;) {
        const std::uint64_t draw = bits();
        if (draw >= rest) {
            return draw % bound;
        }
    }
}

double Random::exponential(double mean) {
    return -mean * std::log1p(-uniform());
}

double Random::normal(double mean, double deviation) {
    // Box-Muller; the second value is dropped so that a draw leaves no state behind.
    const double radius = std::sqrt(-2.0 * std::log1p(-uniform()));
    return mean + deviation * radius * std::cos(2.0 * std::numbers::pi * uniform());
}

Distribution Distribution::constant(Time value) {
    Distribution d(Shape::constant);
    d.fixed_ = value;
    d.a_ = value.seconds();
    return d;
}

Distribution Distribution::uniform(Time low, Time high) {
    Distribution d(Shape::uniform);
    d.a_ = low.seconds();
    d.b_ = high.seconds();
    return d;
}

Distribution Distribution::exponential(Time mean) {
    Distribution d(Shape::exponential);
    d.a_ = mean.seconds();
    return d;
}

Distribution Distribution::normal(Time mean, Time deviation) {
    Distribution d(Shape::normal);
    d.a_ = mean.seconds();
    d.b_ = deviation.seconds();
    return d;
}

Distribution Distribution::lognormal(Time mean, double cv) {
    Distribution d(Shape::lognormal);
    d.a_ = mean.seconds();
    d.p_ = cv;
    return d;
}

Distribution Distribution::erlang(Time mean, unsigned stages) {
    Distribution d(Shape::erlang);
    d.a_ = mean.seconds();
    d.stages_ = stages;
    return d;
}

Distribution Distribution::hyperexponential(double p, Time a, Time b) {
    Distribution d(Shape::hyperexponential);
    d.p_ = p;
    d.a_ = a.seconds();
    d.b_ = b.seconds();
    return d;
}

Distribution Distribution::quantiles(std::vector<std::pair<double, Time>> points) {
    if (points.empty() || points.front().first != 0 || points.back().first != 1) {
        throw std::invalid_argument("quantiles must start at probability 0 and end at 1");
    }
    for (std::size_t i = 1; i < points.size(); ++i) {
        if (points[i].first <= points[i - 1].first || points[i].second < points[i - 1].second) {
            throw std::invalid_argument("quantiles must rise");
        }
    }
    Distribution d(Shape::quantiles);
    d.points_ = std::move(points);
    return d;
}

Time Distribution::draw(Random& random) const {
    switch (shape_) {
        case Shape::constant:
            return fixed_;
        case Shape::uniform:
            return Time::from_seconds(a_ + (b_ - a_) * random.uniform());
        case Shape::exponential:
            return Time::from_seconds(random.exponential(a_));
        case Shape::normal:
            for (;;) {
                const double value = random.normal(a_, b_);
                if (value >= 0) {
                    return Time::from_seconds(value);
                }
            }
        case Shape::lognormal: {
            const double variance = std::log1p(p_ * p_);
            const double mu = std::log(a_) - variance / 2;
            return Time::from_seconds(std::exp(random.normal(mu, std::sqrt(variance))));
        }
        case Shape::erlang: {
            double sum = 0;
            for (unsigned i = 0; i < stages_; ++i) {
                sum += random.exponential(a_ / stages_);
            }
            return Time::from_seconds(sum);
        }
        case Shape::hyperexponential:
            return Time::from_seconds(random.exponential(random.uniform() < p_ ? a_ : b_));
        case Shape::quantiles: {
            const double u = random.uniform();
            std::size_t i = 1;
            while (i + 1 < points_.size() && points_[i].first <= u) {
                ++i;
            }
            const auto& [p0, t0] = points_[i - 1];
            const auto& [p1, t1] = points_[i];
            return Time::from_seconds(t0.seconds() + (t1 - t0).seconds() * ((u - p0) / (p1 - p0)));
        }
    }
    return Time();
}

Time Distribution::mean() const {
    switch (shape_) {
        case Shape::constant:
            return fixed_;
        case Shape::uniform:
            return Time::from_seconds((a_ + b_) / 2);
        case Shape::exponential:
        case Shape::lognormal:
        case Shape::erlang:
            return Time::from_seconds(a_);
        case Shape::normal: {
            // Mean of the part above zero.
            const double z = -a_ / b_;
            const double density = std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi);
            const double above = std::erfc(z / std::numbers::sqrt2) / 2;
            return Time::from_seconds(a_ + b_ * density / above);
        }
        case Shape::hyperexponential:
            return Time::from_seconds(p_ * a_ + (1 - p_) * b_);
        case Shape::quantiles: {
            double mean = 0;
            for (std::size_t i = 1; i < points_.size(); ++i) {
                mean += (points_[i].first - points_[i - 1].first) *
                        (points_[i].second + points_[i - 1].second).seconds() / 2;
            }
            return Time::from_seconds(mean);
        }
    }
    return Time();
}

double Distribution::scv() const {
    switch (shape_) {
        case Shape::constant:
            return 0;
        case Shape::uniform: {
            const double mean = (a_ + b_) / 2;
            return (b_ - a_) * (b_ - a_) / 12 / (mean * mean);
        }
        case Shape::exponential:
            return 1;
        case Shape::lognormal:
            return p_ * p_;
        case Shape::erlang:
            return 1.0 / stages_;
        case Shape::hyperexponential: {
            const double mean = p_ * a_ + (1 - p_) * b_;
            return 2 * (p_ * a_ * a_ + (1 - p_) * b_ * b_) / (mean * mean) - 1;
        }
        case Shape::normal: {
            const double z = -a_ / b_;
            const double density = std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi);
            const double hazard = density / (std::erfc(z / std::numbers::sqrt2) / 2);
            const double mean = a_ + b_ * hazard;
            const double variance = b_ * b_ * (1 + z * hazard - hazard * hazard);
            return variance / (mean * mean);
        }
        case Shape::quantiles: {
            double square = 0;
            for (std::size_t i = 1; i < points_.size(); ++i) {
                const double a = points_[i - 1].second.seconds();
                const double b = points_[i].second.seconds();
                square += (points_[i].first - points_[i - 1].first) * (a * a + a * b + b * b) / 3;
            }
            const double m = mean().seconds();
            return m > 0 ? square / (m * m) - 1 : 0;
        }
    }
    return 0;
}

}  // namespace fusesim::sim
