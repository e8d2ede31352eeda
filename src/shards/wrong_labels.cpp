// Draws labels and other classes for them.
#include "shards/wrong_labels.hpp"

#include <cmath>
#include <numeric>
#include <vector>

#include "support/error.hpp"
#include "support/random.hpp"
#include "support/text.hpp"

namespace dovetail {

std::size_t make_labels_wrong(std::span<std::int32_t> labels, std::size_t classes,
                              const WrongLabels& wrong) {
  if (!(wrong.share >= 0 && wrong.share <= 1)) {
    throw UsageError(fmt::format("a share of {} of the labels cannot be wrong", wrong.share),
                     "Give a share from 0 to 1, such as 0.1");
  }
  const auto count =
      static_cast<std::size_t>(std::llround(wrong.share * static_cast<double>(labels.size())));
  if (count == 0) return 0;
  if (classes < 2) throw UsageError("labels of one class cannot be wrong");
  std::vector<std::size_t> order(labels.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  SplitMix64 random(wrong.seed);
  random.shuffle(std::span(order));
  for (const std::size_t sample : std::span(order).first(count)) {
    const std::uint64_t further = 1 + random.below(classes - 1);
    labels[sample] =
        static_cast<std::int32_t>((static_cast<std::uint64_t>(labels[sample]) + further) % classes);
  }
  return count;
}

}  // namespace dovetail
