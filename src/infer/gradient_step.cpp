// Loss, keys and contributions of low-precision training steps.
#include "infer/gradient_step.hpp"

#include <algorithm>
#include <cmath>

#include "numeric/quantise_real.hpp"
#include "numeric/shared_exponent.hpp"
#include "numeric/training_layout.hpp"
#include "ops/reference/loss.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::infer {
namespace {

/// Rounds one tensor in place, blocks along its values as they lie.
void round_tensor(const quant::TrainingFormat& format, bool stochastic, std::uint32_t key,
                  std::span<float> values) {
  const std::int32_t largest_code = numeric::largest_code(format.bits);
  const std::size_t block =
      format.blocks ? std::size_t{numeric::shared_block} : std::max(values.size(), std::size_t{1});
  for (std::size_t first = 0; first < values.size(); first += block) {
    const auto part = values.subspan(first, std::min(block, values.size() - first));
    const float largest = largest_of(part);
    const float whole = format.step(largest);
    const float step =
        format.blocks ? numeric::power_of_two(numeric::exponent_for(largest, format.bits)) : whole;
    const float inverse = 1 / step;
    for (std::size_t i = 0; i < part.size(); ++i) {
      const auto counter = static_cast<std::uint32_t>(first + i);
      const std::uint32_t threshold =
          stochastic ? numeric::random_bits(key, counter) : numeric::nearest_threshold;
      part[i] =
          static_cast<float>(numeric::quantise_real(part[i] * inverse, threshold, largest_code)) *
          step;
    }
  }
}

}  // namespace

quant::TrainingFormat checked_format(const GradientOptions& options) {
  if (options.error_feedback && !options.quantise_sums) {
    throw UsageError("error feedback without rounded sums has nothing to feed back",
                     "Round the sums too, or leave error feedback out");
  }
  if (options.max_batch < 1 || options.max_batch > 4096) {
    throw UsageError(fmt::format("a pass of {} samples is out of range", options.max_batch),
                     "Choose 1 to 4096");
  }
  return quant::training_format(options.format);
}

void check_loaded_format(const quant::TrainingNetwork& network, const GradientOptions& options) {
  if (network.forward_only) {
    throw Error("a weight pack for inference has come to be differentiated",
                "Publish the weights in the format of the boost");
  }
  if (network.format.name == options.format) return;
  throw Error(fmt::format("a weight pack is in format {}, but gradients are computed in {}",
                          network.format.name, options.format),
              "Publish the weights in the format of the boost");
}

void check_images(const quant::TrainingNetwork& network, std::span<const std::uint8_t> images,
                  std::size_t count) {
  if (network.layers.empty())
    throw Error("the FPGA engine has no weights", "Load a weight pack first");
  const auto image = static_cast<std::size_t>(network.channels * network.height * network.width);
  if (images.size() != count * image) {
    throw Error(fmt::format("{} images of model {} need {} bytes, not {}", count, network.model,
                            count * image, images.size()));
  }
}

void check_samples(const quant::TrainingNetwork& network, std::span<const std::uint8_t> images,
                   std::span<const std::int32_t> labels) {
  check_images(network, images, labels.size());
  for (const std::int32_t label : labels) {
    if (label < 0 || label >= network.classes)
      throw Error(fmt::format("label {} is not one of {} classes", label, network.classes),
                  "Check the data set");
  }
}

std::size_t pass_samples(const quant::TrainingNetwork& network, int max_batch) {
  int samples = max_batch;
  for (const quant::TrainingLayer& layer : network.layers)
    samples = std::min(samples, training::max_positions / (layer.out_height * layer.out_width));
  return static_cast<std::size_t>(samples);
}

std::uint32_t random_key(std::uint64_t seed, std::uint64_t draw, std::uint32_t tensor) {
  std::uint32_t key = 0;
  for (const std::uint64_t part : {seed, draw}) {
    key = numeric::stream_key(key, static_cast<std::uint32_t>(part));
    key = numeric::stream_key(key, static_cast<std::uint32_t>(part >> 32));
  }
  return numeric::stream_key(key, tensor);
}

std::vector<float> normalised_tables(const quant::TrainingNetwork& network) {
  std::vector<float> tables;
  for (std::size_t c = 0; c < network.input_mean.size(); ++c) {
    for (int x = 0; x < 256; ++x) {
      tables.push_back(static_cast<float>((x / 255.0 - double{network.input_mean[c]}) /
                                          double{network.input_deviation[c]}));
    }
  }
  return tables;
}

float largest_of(std::span<const float> values) {
  float largest = 0;
  for (const float value : values) {
    if (std::isnan(value)) return value;
    largest = std::max(largest, std::fabs(value));
  }
  return largest;
}

std::vector<float> loss_gradient(std::span<const float> logits,
                                 std::span<const std::int32_t> labels, GradientSums& sums) {
  const auto loss =
      reference::softmax_cross_entropy(std::vector<double>(logits.begin(), logits.end()),
                                       std::vector<std::int32_t>(labels.begin(), labels.end()));
  sums.loss_sum += loss.loss;
  sums.correct += loss.hits;
  sums.samples += labels.size();
  return {loss.gradient.begin(), loss.gradient.end()};
}

GradientSums empty_sums(const quant::TrainingNetwork& network) {
  GradientSums sums;
  sums.version = network.version;
  for (const quant::TrainingLayer& layer : network.layers) {
    const auto out = static_cast<std::size_t>(layer.out_channels);
    const auto in = static_cast<std::size_t>(layer.in_channels);
    const auto kernel = static_cast<std::size_t>(layer.kernel);
    const auto inputs = in * static_cast<std::size_t>(layer.rows() * layer.columns());
    sums.parameters.push_back(
        {layer.name + ".weight",
         Tensor(layer.dense ? Shape{out, inputs} : Shape{out, in, kernel, kernel})});
    sums.parameters.push_back({layer.name + ".bias", Tensor(Shape{out})});
  }
  return sums;
}

void SumRounding::round(const GradientOptions& options, std::uint64_t draw, GradientSums& sums) {
  if (!options.quantise_sums) return;
  const quant::TrainingFormat format = quant::training_format(options.format);
  residual_.resize(sums.parameters.size());
  for (std::size_t p = 0; p < sums.parameters.size(); ++p) {
    std::vector<float>& values = sums.parameters[p].value.values;
    std::vector<float>& residual = residual_[p];
    residual.resize(values.size());
    if (options.error_feedback)
      for (std::size_t i = 0; i < values.size(); ++i) values[i] += residual[i];
    const std::vector<float> exact = values;
    round_tensor(format, options.stochastic,
                 random_key(options.seed, draw, static_cast<std::uint32_t>(p * 3 + 2)), values);
    for (std::size_t i = 0; i < values.size(); ++i) residual[i] = exact[i] - values[i];
  }
}

}  // namespace dovetail::infer
