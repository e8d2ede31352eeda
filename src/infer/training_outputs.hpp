// What the training kernels and their twins leave, as LayerOutputs: maps read back from a card's
// memory, and the twins' arrays.
#pragma once

#include <string>
#include <vector>

#include "device/xrt/card.hpp"
#include "infer/layer_output.hpp"
#include "infer/training_memory.hpp"
#include "ops/reference/training.hpp"

namespace dovetail::infer {

/// Shows an observer the outputs of one pass; does nothing, and reads nothing, without one.
class TrainingOutputs {
 public:
  void observe(LayerObserver observer) { observer_ = std::move(observer); }
  explicit operator bool() const { return observer_ != nullptr; }

  /// Extents of a map on the card: `bytes` from one image to the next, `words` a pixel.
  struct Stored {
    int images, channels, pixels, words;
    std::size_t bytes;
  };

  // ---- from the card
  /// Codes; with blocks also their exponents, as an output of its own.
  void codes(const std::string& kernel, const std::string& layer,
             const quant::TrainingFormat& format, fpga::Buffer& buffer, const Stored& map) const;
  void reals(const std::string& kernel, const std::string& layer, fpga::Buffer& buffer,
             const Stored& map) const;
  void routes(const std::string& kernel, const std::string& layer, fpga::Buffer& buffer,
              const Stored& map) const;

  // ---- from the twin
  void codes(const std::string& kernel, const std::string& layer, bool blocks,
             const reference::CodeMaps& maps) const;
  void routes(const std::string& kernel, const std::string& layer,
              const reference::Array4<int>& routes) const;

  // ---- from both
  void reals(const std::string& kernel, const std::string& layer,
             const std::vector<float>& values) const;

 private:
  LayerObserver observer_;
};

}  // namespace dovetail::infer
