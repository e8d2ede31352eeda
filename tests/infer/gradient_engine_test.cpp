// The gradient engine on the emulated card against its twin, bit for bit, and against the float64
// gradient of the same network.
#include "infer/gradient_engine.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "infer/emulated_cards.hpp"
#include "infer/float_gradients.hpp"
#include "infer/reference_gradients.hpp"
#include "quant/networks.hpp"
#include "support/error.hpp"

namespace dovetail::infer {
namespace {

using quant::Network;
using quant::NetworkBuilder;

struct Samples {
  std::vector<std::uint8_t> images;
  std::vector<std::int32_t> labels;
};

/// Smooth bright patches on black, one place a class.
Samples samples_for(const Network& network, int count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> noise(0, 20);
  Samples samples;
  for (int n = 0; n < count; ++n) {
    const int label = static_cast<int>(random() % static_cast<unsigned>(network.classes));
    samples.labels.push_back(label);
    const double cy = network.height * (0.3 + 0.1 * (label % 5)),
                 cx = network.width * (0.3 + 0.3 * (label / 5));
    for (int c = 0; c < network.channels; ++c)
      for (int y = 0; y < network.height; ++y)
        for (int x = 0; x < network.width; ++x) {
          const double d = ((y - cy) * (y - cy) + (x - cx) * (x - cx)) / (5.0 + 5.0 * c);
          const double value = 230 * std::exp(-d / 8) + noise(random);
          samples.images.push_back(static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0)));
        }
  }
  return samples;
}

/// Three channels, a stride, pools that leave rows over, channels that fit no word.
Network strided(unsigned seed) {
  return NetworkBuilder("strided", 3, 17, 14, seed)
      .conv(21, 5, 2, 2)
      .pool(2, 2)
      .conv(37, 3, 1, 1)
      .conv(9, 1, 1, 0)
      .dense(45, true)
      .build(7);
}

Network small_mlp(unsigned seed) {
  return NetworkBuilder("mlp", 1, 9, 11, seed).dense(40, true).dense(33, true).build(10);
}

class GradientEngines : public dovetail::testing::EmulatedCards<3> {
 protected:
  static fpga::Card& card_of(const std::string& format) { return card(gradient_kernels(format)); }
  static GradientSums on_card(const Network& network, const Samples& samples,
                              const GradientOptions& options) {
    GradientEngine engine(card_of(options.format), options);
    engine.load(pack_training(network, options.format, 7));
    return engine.gradients(samples.images, samples.labels, 11);
  }
};

void expect_equal(const GradientSums& got, const GradientSums& expected) {
  EXPECT_EQ(got.version, expected.version);
  EXPECT_EQ(got.samples, expected.samples);
  EXPECT_EQ(got.correct, expected.correct);
  EXPECT_EQ(got.loss_sum, expected.loss_sum);
  ASSERT_EQ(got.parameters.size(), expected.parameters.size());
  for (std::size_t p = 0; p < got.parameters.size(); ++p) {
    EXPECT_EQ(got.parameters[p].name, expected.parameters[p].name);
    EXPECT_EQ(got.parameters[p].value.shape, expected.parameters[p].value.shape);
    EXPECT_EQ(got.parameters[p].value.values, expected.parameters[p].value.values)
        << got.parameters[p].name;
  }
}

double cosine(const GradientSums& got, const std::vector<Values>& expected) {
  double dot = 0, a = 0, b = 0;
  for (std::size_t p = 0; p < expected.size(); ++p) {
    for (std::size_t i = 0; i < expected[p].size(); ++i) {
      const double x = double{got.parameters[p].value.values[i]}, y = expected[p][i];
      dot += x * y;
      a += x * x;
      b += y * y;
    }
  }
  return dot / std::sqrt(a * b);
}

class EveryFormat : public GradientEngines, public ::testing::WithParamInterface<const char*> {};

TEST_P(EveryFormat, EqualsTheTwinBitForBit) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  for (const Network& network : {small_mlp(seed), strided(seed)}) {
    const Samples samples = samples_for(network, 7, seed);
    for (const bool stochastic : {true, false}) {
      const GradientOptions options{.format = GetParam(),
                                    .stochastic = stochastic,
                                    .seed = seed,
                                    .max_batch = 5,
                                    .quantise_sums = stochastic};
      ReferenceGradients twin(options);
      twin.load(pack_training(network, options.format, 7));
      expect_equal(on_card(network, samples, options),
                   twin.gradients(samples.images, samples.labels, 11));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, EveryFormat,
                         ::testing::Values("int8", "int6", "int4", "fixed8", "fixed16", "int12",
                                           "bfp8", "bfp5", "bfp4"),
                         [](const auto& format) { return std::string(format.param); });

TEST_F(GradientEngines, CnnEqualsItsTwinBitForBit) {
  const Network network = quant::cnn(3);
  const Samples samples = samples_for(network, 3, 4);
  for (const char* format : {"int8", "bfp8"}) {
    const GradientOptions options{.format = format};
    ReferenceGradients twin(options);
    twin.load(pack_training(network, format, 7));
    expect_equal(on_card(network, samples, options),
                 twin.gradients(samples.images, samples.labels, 11));
  }
}

/// Without ReLU and pool nothing can flip between two nearly equal values, so that errors stay as
/// small as the roundings.
Network smooth(Network network) {
  std::erase_if(network.layers,
                [](const quant::Layer& layer) { return layer.kind == quant::LayerKind::max_pool; });
  for (quant::Layer& layer : network.layers) layer.activation = quant::Activation::none;
  return network;
}

Network smooth_convolutions(unsigned seed) {
  return smooth(NetworkBuilder("convolutions", 3, 17, 14, seed)
                    .conv(21, 5, 2, 2)
                    .conv(37, 3, 2, 1)
                    .conv(9, 1, 1, 0)
                    .dense(45, false)
                    .build(7));
}

TEST_F(GradientEngines, SixteenBitsAgreeWithTheFloat64Gradient) {
  for (const Network& network : {smooth(small_mlp(1)), smooth_convolutions(2)}) {
    const Samples samples = samples_for(network, 6, 5);
    const auto expected = float_gradients(network, samples.images, samples.labels);
    for (const char* format : {"fixed16", "int16"}) {
      const GradientSums got = on_card(network, samples, {.format = format, .stochastic = false});
      for (std::size_t p = 0; p < expected.size(); ++p) {
        double largest = 0, error = 0;
        for (std::size_t i = 0; i < expected[p].size(); ++i) {
          largest = std::max(largest, std::abs(expected[p][i]));
          error =
              std::max(error, std::abs(double{got.parameters[p].value.values[i]} - expected[p][i]));
        }
        // A rounding is off by up to 2^−15 of a tensor's largest value; 3 to 13 tensors are rounded
        // on the way to a gradient.
        EXPECT_LT(error, largest / 1024) << network.model << ' ' << got.parameters[p].name;
      }
      EXPECT_GT(cosine(got, expected), 0.999999);
    }
  }
}

TEST_F(GradientEngines, SixteenBitsAgreeThroughReluAndPool) {
  for (const Network& network : {small_mlp(1), strided(2), quant::cnn(3)}) {
    const Samples samples = samples_for(network, 6, 5);
    const auto expected = float_gradients(network, samples.images, samples.labels);
    const GradientSums got = on_card(network, samples, {.format = "fixed16"});
    EXPECT_GT(cosine(got, expected), 0.999) << network.model;  // some nearly equal values flip
  }
}

TEST_F(GradientEngines, LowBitsPointWhereTheFloat64GradientPoints) {
  const Network network = quant::cnn(6);
  const Samples samples = samples_for(network, 32, 7);
  const auto expected = float_gradients(network, samples.images, samples.labels);
  const std::map<std::string, double> least{
      {"int8", 0.95}, {"bfp8", 0.98}, {"int6", 0.8}, {"bfp5", 0.8}, {"bfp4", 0.6}};
  for (const auto& [format, bound] : least) {
    const double got = cosine(on_card(network, samples, {.format = format}), expected);
    RecordProperty("cosine_" + format, std::to_string(got));
    EXPECT_GT(got, bound) << format;
  }
}

TEST_F(GradientEngines, StochasticRoundingIsReproducibleAndUnbiased) {
  const Network network = small_mlp(5);
  const Samples samples = samples_for(network, 16, 8);
  const GradientOptions options{.format = "int4", .seed = 3};
  GradientEngine engine(card_of("int4"), options);
  engine.load(pack_training(network, "int4", 1));
  const auto bias_sums = [&](std::uint64_t draw) {
    return engine.gradients(samples.images, samples.labels, draw).parameters.back().value.values;
  };
  EXPECT_EQ(bias_sums(1), bias_sums(1));
  EXPECT_NE(bias_sums(1), bias_sums(2));
  // A softmax's gradient sums to zero over the classes, and so do the last layer's bias gradients
  // on average, if rounding has no bias.
  constexpr int draws = 400;
  double mean = 0, square = 0;
  for (std::uint64_t draw = 0; draw < draws; ++draw) {
    double sum = 0;
    for (const float value : bias_sums(draw)) sum += double{value};
    mean += sum / draws;
    square += sum * sum / draws;
  }
  EXPECT_GT(square, 0);
  EXPECT_LT(std::abs(mean), 5 * std::sqrt(square / draws));
}

TEST_F(GradientEngines, ErrorFeedbackGivesLaterWhatRoundingTook) {
  const Network network = small_mlp(5);
  const Samples samples = samples_for(network, 8, 8);
  GradientOptions options{.format = "int4", .stochastic = false};
  GradientEngine exact_engine(card_of("int4"), options);
  options.quantise_sums = true;
  GradientEngine rounded_engine(card_of("int4"), options);
  options.error_feedback = true;
  GradientEngine fed_engine(card_of("int4"), options);
  for (GradientEngine* engine : {&exact_engine, &rounded_engine, &fed_engine})
    engine->load(pack_training(network, "int4", 1));
  const auto total = [&](GradientEngine& engine) {
    std::vector<double> sum;
    for (std::uint64_t step = 0; step < 40; ++step) {
      const auto values =
          engine.gradients(samples.images, samples.labels, step).parameters[0].value.values;
      sum.resize(values.size());
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += double{values[i]};
    }
    return sum;
  };
  const auto exact = total(exact_engine);
  const auto distance = [&](const std::vector<double>& sum) {
    double square = 0;
    for (std::size_t i = 0; i < sum.size(); ++i) square += std::pow(sum[i] - exact[i], 2);
    return std::sqrt(square);
  };
  // Rounding to nearest errs the same way at every step; feedback owes half a step at most.
  EXPECT_LT(distance(total(fed_engine)), 0.1 * distance(total(rounded_engine)));
}

TEST_F(GradientEngines, SaysWhatIsWrong) {
  const Network network = small_mlp(1);
  const Samples samples = samples_for(network, 2, 1);
  GradientEngine engine(card_of("int8"), {.format = "int8"});
  EXPECT_THROW(engine.gradients(samples.images, samples.labels, 0), Error);
  EXPECT_THROW(engine.load(pack_training(network, "int6", 1)), Error);
  EXPECT_THROW(engine.load(pack_training(network, "bfp8", 1)), Error);
  engine.load(pack_training(network, "int8", 1));
  EXPECT_THROW(engine.gradients(samples.images, std::vector<std::int32_t>{1}, 0), Error);
  EXPECT_THROW(engine.gradients(samples.images, std::vector<std::int32_t>{1, 10}, 0), Error);
  EXPECT_EQ(engine.gradients({}, {}, 0).samples, 0U);
  EXPECT_THROW(GradientEngine(card_of("int8"), {.error_feedback = true}), UsageError);
  EXPECT_THROW(GradientEngine(card_of("int8"), {.max_batch = 0}), UsageError);
  EXPECT_THROW(GradientEngine(card_of("int8"), {.format = "float32"}), UsageError);
}

TEST_F(GradientEngines, TakesNewWeightsAndOtherShapes) {
  GradientEngine engine(card_of("int8"), {.format = "int8"});
  ReferenceGradients twin({.format = "int8"});
  for (const Network& network : {small_mlp(1), small_mlp(2), strided(1), small_mlp(1)}) {
    const Samples samples = samples_for(network, 4, 9);
    for (GradientSource* source : std::initializer_list<GradientSource*>{&engine, &twin})
      source->load(pack_training(network, "int8", 3));
    expect_equal(engine.gradients(samples.images, samples.labels, 5),
                 twin.gradients(samples.images, samples.labels, 5));
  }
}

}  // namespace
}  // namespace dovetail::infer
