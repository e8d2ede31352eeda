// Permutes slabs and samples.
#include "shards/epoch_order.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <span>

#include "shards/samples.hpp"
#include "support/error.hpp"
#include "support/random.hpp"
#include "support/text.hpp"

namespace dovetail {

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
  if (window < slabs) random.shuffle(std::span(slab_order));

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
