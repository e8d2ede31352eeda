// What the host does in a low-precision training step, the same for the card and for its twin:
// options, keys of the random bits, input tables, the loss and the contribution's rounding.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "infer/gradient_source.hpp"
#include "quant/training_pack.hpp"

namespace dovetail::infer {

struct GradientOptions {
  std::string format = "int8";  // as quant::training_format knows them
  bool stochastic = true;       // rounding of back-propagated gradients; else to nearest
  std::uint64_t seed = 0;       // of the random bits
  int max_batch = 128;          // samples in one pass; more samples take several passes
  /// The sums, too, are rounded to the format, as a transport that sends codes would.
  bool quantise_sums = false;
  /// What that rounding loses is kept and added to the next sums (Seide et al., "1-Bit Stochastic
  /// Gradient Descent", Interspeech 2014). Needs quantise_sums.
  bool error_feedback = false;
};

/// The format. Throws UsageError for one that the kernels do not know, or options that contradict
/// each other.
quant::TrainingFormat checked_format(const GradientOptions& options);

/// Throws Error when there is no network, or the images [count, channels, height, width] do not fit
/// it.
void check_images(const quant::TrainingNetwork& network, std::span<const std::uint8_t> images,
                  std::size_t count);
/// Throws Error when the samples do not fit the network, or it is not of this format.
void check_samples(const quant::TrainingNetwork& network, std::span<const std::uint8_t> images,
                   std::span<const std::int32_t> labels);
void check_loaded_format(const quant::TrainingNetwork& network, const GradientOptions& options);

/// Samples of one pass: at most max_batch, and no more than the kernels sum over.
std::size_t pass_samples(const quant::TrainingNetwork& network, int max_batch);

/// Key of the random bits for one tensor of one pass. `tensor`: layer · 3 + 0 for the gradient of
/// its output, 1 for the same blocked along the positions, 2 for its sums.
std::uint32_t random_key(std::uint64_t seed, std::uint64_t draw, std::uint32_t tensor);

/// [channels, 256]: (x / 255 − mean) / deviation in float32.
std::vector<float> normalised_tables(const quant::TrainingNetwork& network);

/// The largest magnitude of some values.
float largest_of(std::span<const float> values);

/// The gradient of the cross-entropy of logits [labels, classes]; adds loss, hits and samples to
/// the sums.
std::vector<float> loss_gradient(std::span<const float> logits,
                                 std::span<const std::int32_t> labels, GradientSums& sums);

/// Zeros for every parameter of the network.
GradientSums empty_sums(const quant::TrainingNetwork& network);

/// Rounds sums to the format and, on request, remembers what that loses.
class SumRounding {
 public:
  void round(const GradientOptions& options, std::uint64_t draw, GradientSums& sums);
  void forget() { residual_.clear(); }

 private:
  std::vector<std::vector<float>> residual_;  // one for each parameter
};

}  // namespace dovetail::infer
