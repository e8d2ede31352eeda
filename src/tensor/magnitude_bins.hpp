// The bins that magnitudes are counted in, on devices and in the host alike.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dovetail {

/// Eight bins an octave from 2^−24 to 2^24, equally wide within one; the first also counts all
/// below (and 0), the last all above (and NaN). Bin b > 0 begins at the float32 whose bits are
/// (lowest + b − 1) << dropped_bits.
struct MagnitudeBins {
  static constexpr std::size_t count = 385;
  static constexpr int mantissa_bits = 3;
  static constexpr int dropped_bits = 23 - mantissa_bits;
  static constexpr std::int32_t lowest = (127 - 24) << mantissa_bits;
};

}  // namespace dovetail
