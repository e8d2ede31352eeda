// What an FPGA rank needs of an engine that infers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "quant/weight_pack.hpp"

namespace dovetail::infer {

/// Runs weight packs of the formats that it knows. Not for use by several threads at once.
class Inference {
 public:
  virtual ~Inference() = default;

  /// Takes a pack's weights onto the card. Throws Error for a damaged pack, an unknown format, or a
  /// card that fails; what was loaded before then stays where the card allows it.
  virtual void load(const quant::WeightPack& pack) = 0;

  /// Logits [count, classes] of `count` images [count, channels, height, width] of uint8. Throws
  /// Error when nothing is loaded, when `images` has another size, or when the card fails.
  virtual std::vector<float> run(std::span<const std::uint8_t> images, std::size_t count) = 0;
};

/// An engine for a format; throws Error where the card has none.
using OpenInference = std::function<std::unique_ptr<Inference>(const std::string& format)>;

}  // namespace dovetail::infer
