// Inference by the training kernels' forward pass on the emulated card: against its twin bit for
// bit, and against the float network.
#include "infer/forward_engine.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "infer/emulated_cards.hpp"
#include "infer/gradient_engine.hpp"
#include "infer/reference_forward.hpp"
#include "quant/networks.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::infer {
namespace {

using quant::Network;
using quant::pack;
using quant::WeightPack;

class ForwardEngines : public dovetail::testing::EmulatedCards<3> {
 protected:
  static ForwardEngine make_engine(const std::string& format, int max_batch) {
    const std::string family = quant::kernel_family(format);
    return ForwardEngine(card(family), family, max_batch);
  }
  static double relative_error(const Network& calibrated, const std::string& format);
};

std::vector<float> twin(const WeightPack& weights, const std::vector<std::uint8_t>& images,
                        std::size_t count) {
  return forward_reference(quant::parse_training(weights), images, count)
      .outputs.back()
      .real.values;
}

/// Three channels, a stride, pools that leave rows over, channels that fit no word.
Network strided(unsigned seed) {
  return quant::NetworkBuilder("strided", 3, 17, 14, seed)
      .conv(21, 5, 2, 2)
      .pool(2, 2)
      .conv(37, 3, 1, 1)
      .conv(9, 1, 1, 0)
      .dense(45, true)
      .build(7);
}

/// With a batch norm behind every hidden layer, some of negative gain.
Network with_norms(Network network, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> gain(0.5F, 1.5F), offset(-0.2F, 0.2F);
  for (std::size_t i = 0; i + 1 < network.layers.size(); ++i) {
    quant::Layer& layer = network.layers[i];
    if (layer.kind == quant::LayerKind::max_pool) continue;
    for (int o = 0; o < layer.out_channels; ++o) {
      layer.gain.push_back(o % 5 == 0 ? -gain(random) : gain(random));
      layer.offset.push_back(offset(random));
    }
  }
  return network;
}

/// The same network with its norms in weights and biases, in float64.
Network norms_folded(Network network) {
  for (quant::Layer& layer : network.layers) {
    if (layer.gain.empty()) continue;
    const std::size_t columns = layer.weight.size() / layer.gain.size();
    for (std::size_t i = 0; i < layer.weight.size(); ++i)
      layer.weight[i] =
          static_cast<float>(double{layer.weight[i]} * double{layer.gain[i / columns]});
    for (std::size_t o = 0; o < layer.gain.size(); ++o)
      layer.bias[o] = static_cast<float>(double{layer.bias[o]} * double{layer.gain[o]} +
                                         double{layer.offset[o]});
    layer.gain.clear();
    layer.offset.clear();
  }
  return network;
}

class ForwardFormats : public ForwardEngines, public ::testing::WithParamInterface<const char*> {};

TEST_P(ForwardFormats, EqualsTheTwinBitForBit) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  const std::string format = GetParam();
  for (const Network& network :
       {quant::mlp(seed), strided(seed), with_norms(strided(seed), seed)}) {
    const Network calibrated = quant::calibrate(network);
    const WeightPack weights = pack(calibrated, format, 3);
    const std::vector<std::uint8_t> images = quant::random_images(network, 7, seed);
    ForwardEngine engine = make_engine(format, 3);
    engine.load(weights);
    EXPECT_EQ(engine.run(images, 7), twin(weights, images, 7)) << network.model;
  }
}

TEST_P(ForwardFormats, AnImagesLogitsDoNotDependOnItsNeighbours) {
  const std::string format = GetParam();
  const Network network = quant::calibrate(strided(1));
  const std::vector<std::uint8_t> images = quant::random_images(network, 5, 2);
  ForwardEngine engine = make_engine(format, 8);
  engine.load(pack(network, format, 1));
  const std::vector<float> together = engine.run(images, 5);
  const std::size_t image = images.size() / 5;
  std::vector<float> alone;
  for (std::size_t n = 0; n < 5; ++n) {
    const std::vector<float> one = engine.run(std::span(images).subspan(n * image, image), 1);
    alone.insert(alone.end(), one.begin(), one.end());
  }
  EXPECT_EQ(alone, together);
}

INSTANTIATE_TEST_SUITE_P(Formats, ForwardFormats,
                         ::testing::Values("fixed8", "fixed16", "bfp8", "bfp4", "int6", "int12"),
                         [](const auto& format) { return std::string(format.param); });

/// Mean |engine − float| over the logits' standard deviation, on images that calibration did not
/// see.
double ForwardEngines::relative_error(const Network& calibrated, const std::string& format) {
  const std::size_t count = 12;
  const std::vector<std::uint8_t> images = quant::random_images(calibrated, count, 6);
  ForwardEngine engine = make_engine(format, 16);
  engine.load(pack(calibrated, format, 1));
  const std::vector<float> got = engine.run(images, count);
  const std::vector<double> expected = quant::run_float(norms_folded(calibrated), images);
  double error = 0, square = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    error += std::abs(double{got[i]} - expected[i]);
    square += expected[i] * expected[i];
  }
  const auto n = static_cast<double>(got.size());
  return error / n / std::sqrt(square / n);
}

TEST_F(ForwardEngines, LogitsAreCloseToTheFloatNetworks) {
  // A step is 2^-7 or 2^-15 of the largest value, up to twice that for fixed point; some roundings
  // add up, and a value beyond the calibrated range is clamped.
  const std::map<std::string, double> bounds{
      {"fixed16", 0.02}, {"int12", 0.03}, {"bfp8", 0.03}, {"fixed8", 0.12}};
  for (const auto& [format, bound] : bounds) {
    for (const Network& network : {quant::mlp(1), strided(2)})
      EXPECT_LT(relative_error(quant::calibrate(network, 8), format), bound)
          << network.model << " in " << format;
  }
}

TEST_F(ForwardEngines, FoldingKeepsWhatANormComputes) {
  const Network plain = quant::calibrate(norms_folded(with_norms(strided(4), 4)), 8);
  Network with = with_norms(strided(4), 4);
  for (std::size_t i = 0; i < with.layers.size(); ++i)
    with.layers[i].output_range = plain.layers[i].output_range;
  EXPECT_LT(relative_error(with, "fixed16"), 0.02);
}

TEST_F(ForwardEngines, ADamagedPackLeavesTheOldOneRunning) {
  const Network network = quant::calibrate(quant::mlp(1));
  const WeightPack weights = pack(network, "fixed8", 1);
  const std::vector<std::uint8_t> images = quant::random_images(network, 2, 8);
  ForwardEngine engine = make_engine("fixed8", 4);
  EXPECT_THROW(engine.run(images, 2), Error);
  engine.load(weights);
  const std::vector<float> before = engine.run(images, 2);
  WeightPack damaged = weights;
  damaged.bytes[5000] ^= 4;
  EXPECT_THROW(engine.load(damaged), Error);
  EXPECT_THROW(engine.load(pack(network, "fixed16", 1)), Error);
  EXPECT_EQ(engine.run(images, 2), before);
  EXPECT_THROW(engine.run(images, 3), Error);
  EXPECT_THROW(make_engine("fixed8", 0), Error);
}

TEST_F(ForwardEngines, APackForInferenceIsNotDifferentiated) {
  const GradientOptions options{.format = "fixed8"};
  GradientEngine engine(card(gradient_kernels("fixed8")), options);
  EXPECT_THROW(engine.load(pack(quant::calibrate(quant::mlp(1)), "fixed8", 1)), Error);
}

}  // namespace
}  // namespace dovetail::infer
