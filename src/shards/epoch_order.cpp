// Permutes slabs and samples with a generator of its own, so that the order never depends on a
// standard library.
#include "shards/epoch_order.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <span>
#include <utility>

#include "shards/samples.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

class SplitMix64 {
 public:
  explicit SplitMix64(std::uint64_t state) : state_(state) {}

  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  /// Uniform in [0, bound): draws below 2^64 mod bound are thrown away, so that no remainder is
  /// favoured.
  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t unfair = (0 - bound) % bound;
    std::uint64_t draw = next();
    while (draw < unfair) draw = next();
    return draw % bound;
  }

  void shuffle(std::span<std::uint32_t> values) {
    for (std::size_t left = values.size(); left > 1; --left) {
      std::swap(values[left - 1], values[below(left)]);
    }
  }

 private:
  std::uint64_t state_;
};

}  // namespace

EpochOrder::EpochOrder(const EpochOrderOptions& options) {
  if (options.samples > std::numeric_limits<std::uint32_t>::max()) {
    throw Error(
        fmt::format("a data set of {} samples is too large: 2^32 - 1 at most", options.samples));
  }
  SplitMix64 random(SplitMix64(options.seed).next() + options.epoch);
  const std::size_t slabs = (options.samples + slab_samples - 1) / slab_samples;
  const std::size_t window =
      options.window_slabs == 0 ? slabs : std::min(options.window_slabs, slabs);
  std::vector<std::uint32_t> slab_order(slabs);
  std::iota(slab_order.begin(), slab_order.end(), 0u);
  if (window < slabs) random.shuffle(slab_order);

  order_.reserve(options.samples);
  std::size_t window_begin = 0;
  for (std::size_t i = 0; i < slabs; ++i) {
    const std::size_t first = slab_order[i] * slab_samples;
    const std::size_t last = std::min(first + slab_samples, options.samples);
    for (std::size_t sample = first; sample < last; ++sample) {
      order_.push_back(static_cast<std::uint32_t>(sample));
    }
    if ((i + 1) % window == 0 || i + 1 == slabs) {
      random.shuffle(std::span(order_).subspan(window_begin));
      window_begin = order_.size();
    }
  }
}

}  // namespace dovetail
