// What remains to be done to a product's sums before they are stored.
#pragma once

#include <cstdint>

namespace dovetail {

/// As kernels/finish.clh numbers it; kernels take a sum of these.
enum Finish : std::int32_t {
  finish_none = 0,
  finish_bias = 1,
  finish_relu = 2,
  finish_mask = 4,
  finish_places = 8
};

}  // namespace dovetail
