// Runs a weight pack over images on one OpenCL device, in the very integers of the FPGA engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "infer/inference.hpp"
#include "infer/layer_output.hpp"
#include "ops/integer.hpp"
#include "quant/packed_network.hpp"

namespace dovetail::infer {

/// All formats with the same kernels (ops/integer.hpp): weights are unpacked from the pack by the
/// host. Buffers are allocated by `load`. One thread at a time, as its device.
class OpenclEngine final : public Inference {
 public:
  /// @param device    must outlive the engine
  /// @param max_batch images in one launch, at least 1
  explicit OpenclEngine(opencl::Device& device, int max_batch = 128);

  void load(const quant::WeightPack& pack) override;
  std::vector<float> run(std::span<const std::uint8_t> images, std::size_t count) override;

  /// The quantised input and every layer's output; the last one's are raw accumulators. Throws as
  /// `run` does.
  std::vector<LayerOutput> layer_outputs(std::span<const std::uint8_t> images, std::size_t count);

 private:
  /// A layer on the device; a max-pool has no filter.
  struct Step {
    IntegerMap in, out;
    IntegerKernels::Loaded filter;
    opencl::Buffer output;
  };
  void run_batch(const std::uint8_t* images, int batch);
  /// Of the last batch, appended to `values` as [batch, channels, height, width].
  void read_map(const opencl::Buffer& buffer, const IntegerMap& map, int batch,
                std::vector<std::int32_t>& values);
  void read_raw(int batch, std::vector<std::int32_t>& values);
  /// body(batch) after every batch.
  template <typename Body>
  void in_batches(std::span<const std::uint8_t> images, std::size_t count, const Body& body);

  opencl::Device& device_;
  IntegerKernels kernels_;
  int max_batch_;
  quant::PackedNetwork network_;
  IntegerMap input_map_;  // of the quantised input, as the first layer takes it
  opencl::Buffer tables_, images_, input_;
  std::vector<Step> steps_;
};

}  // namespace dovetail::infer
