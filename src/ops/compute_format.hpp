// The number format in which a product's operands are read; sums are float32 in each.
#pragma once

namespace dovetail {

/// tf32 keeps float32's range and 10 bits of fraction, bf16 its range and 7 bits. Operands are
/// rounded to the nearest as they are read; what is stored stays float32.
enum class ComputeFormat { float32, tf32, bf16 };

inline const char* to_string(ComputeFormat format) {
  switch (format) {
    case ComputeFormat::float32:
      return "float32";
    case ComputeFormat::tf32:
      return "tf32";
    case ComputeFormat::bf16:
      return "bf16";
  }
  return "?";
}

}  // namespace dovetail
