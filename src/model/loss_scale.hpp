// Dynamic loss scaling: keeps small gradients within float16's range.
#pragma once

#include <cstdint>

namespace dovetail {

/// The gradients are computed times a scale, which halves when one of them leaves the range (that
/// step's update is skipped) and doubles after `patience` steps in which none did. Method:
/// Micikevicius et al., "Mixed precision training", ICLR 2018, section 3.2; constants: PyTorch's
/// torch.amp.GradScaler.
class LossScale {
 public:
  static constexpr float first = 65536, least = 1.0f / 1024, largest = 16777216;
  static constexpr std::uint64_t patience = 2000;

  explicit LossScale(float value = first, std::uint64_t steps = 0) : value_(value), steps_(steps) {}

  float value() const { return value_; }
  std::uint64_t steps() const { return steps_; }  // without an overflow since the last change
  std::uint64_t skipped() const { return skipped_; }
  /// Below the least the gradients themselves are broken: no scale would help.
  bool is_exhausted() const { return value_ < least; }

  /// What follows from a step's gradients. Returns whether to apply them.
  bool after(bool finite) {
    if (!finite) {
      value_ /= 2;
      steps_ = 0;
      ++skipped_;
    } else if (++steps_ == patience) {
      if (value_ < largest) value_ *= 2;
      steps_ = 0;
    }
    return finite;
  }

 private:
  float value_;
  std::uint64_t steps_;
  std::uint64_t skipped_ = 0;
};

}  // namespace dovetail
