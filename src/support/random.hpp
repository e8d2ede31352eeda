// Random numbers whose bits are the same on every compiler and library.
#pragma once

#include <cstdint>

namespace dovetail {

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): 64 bits of state, equidistributed outputs.
class SplitMix64 {
 public:
  explicit SplitMix64(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  /// Uniform in [0, 1), with 24 random bits.
  float uniform() { return static_cast<float>(next() >> 40) * 0x1.0p-24f; }
  /// Uniform in [low, high).
  float uniform(float low, float high) { return low + (high - low) * uniform(); }

 private:
  std::uint64_t state_;
};

}  // namespace dovetail
