// Runs a weight pack over images on one FPGA card, on all of its compute units at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "device/xrt/card.hpp"
#include "infer/inference.hpp"
#include "infer/layer_output.hpp"
#include "quant/packed_network.hpp"

namespace dovetail::infer {

/// One launch a layer and batch; feature maps stay on the card between them. Batches are shared out
/// to two workers with maps of their own, so that both compute units of the convolution and of the
/// dense layer are at work. Buffers are allocated when a network of another shape is loaded, never
/// while running. Not for use by several threads at once.
class Engine : public Inference {
 public:
  /// @param card      loaded with the xclbin of the family; must outlive the engine.
  /// @param family    quant::kernel_family of the formats to come: they differ in their activations
  /// alone.
  /// @param max_batch images in one launch, 1 to 4096. Throws Error where the xclbin lacks a
  /// kernel.
  Engine(fpga::Card& card, const std::string& family, int max_batch = 128);

  /// Takes a pack's weights onto the card. Throws Error for a damaged pack, a format of another
  /// family, or layers beyond the kernels' maxima; what was loaded before then stays.
  void load(const quant::WeightPack& pack) override;

  /// Logits [count, classes] of `count` images [count, channels, height, width] of uint8. Throws
  /// Error when nothing is loaded, when `images` has another size, or when a launch fails.
  std::vector<float> run(std::span<const std::uint8_t> images, std::size_t count) override;

  /// The quantised input and every layer's output, read back from the card; the last one's are raw
  /// accumulators. Runs and throws as `run` does.
  std::vector<LayerOutput> layer_outputs(std::span<const std::uint8_t> images, std::size_t count);

  bool loaded() const { return !network_.layers.empty(); }
  const std::string& number_format() const { return network_.format; }
  std::uint64_t version() const { return network_.version; }
  int classes() const { return network_.classes; }

 private:
  /// A layer's weights on the card; empty for a max-pool.
  struct Weights {
    fpga::Buffer weights, parameters;
  };
  /// Launches of its own, and the feature maps between them: each layer reads what the one before
  /// it wrote.
  struct Worker {
    fpga::Kernel quantise_input, conv2d, dense, max_pool;
    fpga::Buffer images, input;
    std::vector<fpga::Buffer> outputs;
    std::vector<std::uint8_t> staged_images;  // each starting on a burst
    std::vector<std::int32_t> accumulators;   // of the last layer, as on the card
  };

  void allocate(const quant::PackedNetwork& network);
  void expect_images(std::span<const std::uint8_t> images, std::size_t count) const;
  /// Shares `count` images out: body(worker, first image, images) for every batch.
  template <typename Body>
  void in_batches(std::size_t count, const Body& body);
  void run_layers(Worker& worker, const std::uint8_t* images, int batch);
  void read_logits(Worker& worker, int batch, float* logits);
  void read_outputs(Worker& worker, std::size_t first, std::size_t count,
                    std::vector<LayerOutput>& outputs);
  void launch(Worker& worker, std::size_t layer, const fpga::Buffer& input, int batch);

  fpga::Card& card_;
  std::string family_;
  int max_batch_;
  quant::PackedNetwork network_;
  fpga::Buffer tables_;
  std::vector<Weights> weights_;
  std::vector<Worker> workers_;
};

}  // namespace dovetail::infer
