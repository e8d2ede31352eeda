// Runs an int8 weight pack over images on one FPGA card.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "device/xrt/card.hpp"
#include "infer/inference.hpp"
#include "quant/packed_network.hpp"

namespace dovetail::infer {

/// One launch a layer and batch; feature maps stay on the card between them. Buffers are allocated
/// when a network of another shape is loaded, never while running. Not for use by several threads
/// at once.
class Engine : public Inference {
 public:
  /// @param card      loaded with the xclbin of family "int8"; must outlive the engine.
  /// @param max_batch images in one launch, 1 to 4096. Throws Error where the xclbin lacks a
  /// kernel.
  explicit Engine(fpga::Card& card, int max_batch = 128);

  /// Takes a pack's weights onto the card. Throws Error for a damaged pack, another format, or
  /// layers beyond the kernels' maxima; what was loaded before then stays.
  void load(const quant::WeightPack& pack) override;

  /// Logits [count, classes] of `count` images [count, channels, height, width] of uint8. Throws
  /// Error when nothing is loaded, when `images` has another size, or when a launch fails.
  std::vector<float> run(std::span<const std::uint8_t> images, std::size_t count) override;

  bool loaded() const { return !network_.layers.empty(); }
  const std::string& number_format() const { return network_.format; }
  std::uint64_t version() const { return network_.version; }
  int classes() const { return network_.classes; }

 private:
  /// A layer on the card: its kernel reads the output of the step before it.
  struct Step {
    fpga::Buffer weights, parameters, output;
  };

  void allocate(const quant::PackedNetwork& network);
  void run_batch(const std::uint8_t* images, int batch, float* logits);
  void launch(std::size_t layer, const fpga::Buffer& input, int batch);

  fpga::Card& card_;
  int max_batch_;
  fpga::Kernel quantise_input_, conv2d_, dense_, max_pool_;
  quant::PackedNetwork network_;
  fpga::Buffer images_, tables_, input_;
  std::vector<Step> steps_;
  std::vector<std::uint8_t> staged_images_;  // each starting on a burst
  std::vector<std::int32_t> accumulators_;   // of the last layer, as on the card
};

}  // namespace dovetail::infer
