// The number formats of the training kernels: gradients are computed in them, and their forward
// pass infers in them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace dovetail::quant {

struct TrainingFormat {
  std::string name;
  std::string family;         // of kernels: "int8", "fixed16" or "bfp"
  int bits = 8;               // of a code or mantissa
  bool blocks = false;        // 16 mantissas share an exponent; else one step a tensor …
  bool power_of_two = false;  // … which is a power of two

  /// The real value of one code, for a tensor with this largest magnitude; 1 with blocks. Throws
  /// RangeError when the magnitude is not finite.
  float step(float largest) const;
};

/// Nothing for a format that training_format does not know.
std::optional<TrainingFormat> find_training_format(const std::string& name);

/// int2 … int16 (a real step a tensor), fixed2 … fixed16 (a power of two) and bfp2 … bfp8. Throws
/// UsageError, naming them, for any other.
TrainingFormat training_format(const std::string& name);

/// What to do about a training that diverges with gradients contributed in `format`, by weights up
/// to `staleness` steps old.
std::string remedy_for_divergence(const std::string& format, std::uint64_t staleness);

}  // namespace dovetail::quant
