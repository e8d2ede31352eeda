// The number format in which a product's operands are read; sums are float32 in each.
#pragma once

#include <array>
#include <string>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {

/// tf32 keeps float32's range and 10 bits of fraction, bf16 its range and 7 bits; fp16 has 10 bits
/// and the range of IEEE 754's binary16. Operands are rounded to the nearest as they are read (ties
/// away from zero in tf32, to even in the others); what is stored stays float32.
enum class ComputeFormat { float32, tf32, bf16, fp16 };

inline constexpr std::array<ComputeFormat, 4> compute_formats{
    ComputeFormat::float32, ComputeFormat::tf32, ComputeFormat::bf16, ComputeFormat::fp16};

inline const char* to_string(ComputeFormat format) {
  switch (format) {
    case ComputeFormat::float32:
      return "float32";
    case ComputeFormat::tf32:
      return "tf32";
    case ComputeFormat::bf16:
      return "bf16";
    case ComputeFormat::fp16:
      return "fp16";
  }
  return "?";
}

/// Throws UsageError, naming the known ones.
inline ComputeFormat parse_compute_format(const std::string& name) {
  for (const ComputeFormat format : compute_formats) {
    if (name == to_string(format)) return format;
  }
  throw UsageError(fmt::format("unknown format '{}' for training", name),
                   "Known formats: float32, tf32, bf16, fp16");
}

/// FORMAT in the kernels. float32 has none.
inline int kernel_number(ComputeFormat format) {
  if (format == ComputeFormat::float32) throw Error("float32 is no format to round to");
  return static_cast<int>(format) - 1;
}

}  // namespace dovetail
