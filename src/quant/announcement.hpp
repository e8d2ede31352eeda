// What goes ahead of a weight pack on its way to the FPGA ranks.
#pragma once

#include <cstdint>

namespace dovetail::quant {

/// Trivially copyable. `bytes` of pack follow; none means that training is over.
struct Announcement {
  std::uint64_t version = 0;
  std::uint64_t bytes = 0;
};

/// Tag of the Evaluations that come back.
inline constexpr int evaluation_tag = 1;

}  // namespace dovetail::quant
