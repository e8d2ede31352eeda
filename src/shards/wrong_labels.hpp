// Makes some labels wrong, to see what training makes of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace dovetail {

struct WrongLabels {
  double share = 0;  // of the labels, in [0, 1]; 0: none
  std::uint64_t seed = 1;
};

/// Replaces round(share · n) of the n labels, each by one of the other classes, all alike. Which
/// ones and by what is a function of the arguments alone. Returns how many. Throws UsageError for a
/// share outside [0, 1], or where there is no other class.
std::size_t make_labels_wrong(std::span<std::int32_t> labels, std::size_t classes,
                              const WrongLabels& wrong);

}  // namespace dovetail
