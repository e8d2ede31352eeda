// A network laid out for the training kernels in a card's memory, and their forward pass over it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <future>
#include <span>
#include <vector>

#include "device/xrt/card.hpp"
#include "quant/training_pack.hpp"

namespace dovetail::infer {

/// body(unit, part) for each of the first `parts` units, each in a thread of its own.
template <typename Unit, typename Body>
void in_parallel(std::vector<Unit>& units, std::size_t parts, const Body& body) {
  std::vector<std::future<void>> others;
  for (std::size_t part = 1; part < parts; ++part)
    others.push_back(std::async(std::launch::async, [&, part] { body(units[part], part); }));
  body(units[0], 0);
  for (std::future<void>& other : others) other.get();
}

/// Maps and routes stay on the card, for whoever goes back through them; only largest magnitudes
/// and logits come back. Buffers are allocated when a network of another shape is loaded, never
/// while running. Not for use by several threads at once.
class ForwardPass {
 public:
  static constexpr std::size_t most_units = 16;

  /// A layer on the card. The real map is its output behind pool and ReLU.
  struct Step {
    fpga::Buffer input, weights, bias, real, routes;
    float input_step = 1;  // real value of one code of the input
  };

  /// @param card          loaded with the xclbin of a family of training kernels; must outlive
  /// this.
  /// @param compute_units of train_forward, 1 to most_units, that share every pass.
  ForwardPass(fpga::Card& card, std::size_t compute_units);

  /// Takes a network's weights onto the card, for passes of up to `batch` images. Throws Error
  /// where the card fails; without room there, what was loaded before stays.
  void load(quant::TrainingNetwork network, std::size_t batch);

  /// One pass over `count` images [count, channels, height, width], no more than `batch`; leaves
  /// the logits in the last step's real map.
  void run(std::span<const std::uint8_t> images, std::size_t count);
  /// [count, classes] of the pass just run.
  std::vector<float> logits(std::size_t count);

  const quant::TrainingNetwork& network() const { return network_; }
  std::vector<Step>& steps() { return steps_; }
  /// train_quantise, and the buffer in which kernels leave largest magnitudes, a burst a part.
  fpga::Kernel& quantise() { return quantise_; }
  fpga::Buffer& largest() { return largest_; }
  /// The largest magnitude that the first `parts` parts have left.
  float read_largest(std::size_t parts);

 private:
  void allocate(const quant::TrainingNetwork& network, std::size_t batch);
  void write_weights(const quant::TrainingNetwork& network);
  void write_images(std::span<const std::uint8_t> images, int count);
  void run_layer(std::size_t index, int count);

  fpga::Card& card_;
  fpga::Kernel quantise_images_, quantise_;
  std::vector<fpga::Kernel> units_;
  quant::TrainingNetwork network_;
  fpga::Buffer images_, tables_, largest_;
  std::vector<Step> steps_;
  std::vector<std::uint8_t> staged_images_;
};

}  // namespace dovetail::infer
