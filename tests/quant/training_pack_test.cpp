// Training packs: values, size on the wire, damage and refusals.
#include "quant/training_pack.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <span>

#include "numeric/shared_exponent.hpp"
#include "quant/networks.hpp"
#include "support/checksum.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::quant {
namespace {

Network small(unsigned seed) {
  return NetworkBuilder("small", 2, 9, 8, seed)
      .conv(19, 3, 1, 1)
      .pool(2, 2)
      .conv(5, 3, 1, 0)
      .dense(6, true)
      .build(4);
}

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::vector<const Layer*> weighted(const Network& network) {
  std::vector<const Layer*> layers;
  for (const Layer& layer : network.layers)
    if (layer.kind != LayerKind::max_pool) layers.push_back(&layer);
  return layers;
}

TEST(TrainingPack, HoldsEveryWeightWithinHalfAStep) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  const Network network = small(seed);
  for (const char* format : {"int8", "int6", "int4", "fixed8", "fixed16", "bfp8", "bfp5", "bfp4"}) {
    const TrainingNetwork opened = parse_training(pack_training(network, format, 9));
    EXPECT_EQ(opened.version, 9U);
    EXPECT_EQ(opened.layers[0].pool, 2);
    const auto sources = weighted(network);
    ASSERT_EQ(opened.layers.size(), sources.size());
    for (std::size_t l = 0; l < sources.size(); ++l) {
      const TrainingLayer& layer = opened.layers[l];
      EXPECT_EQ(layer.bias, sources[l]->bias);
      ASSERT_EQ(layer.codes.size(), sources[l]->weight.size());
      for (std::size_t i = 0; i < layer.codes.size(); ++i) {
        const bool blocks = opened.format.blocks;
        const double step =
            blocks ? std::ldexp(1.0, layer.exponents[layer.block_of(i)]) : double{layer.step};
        // A block's largest mantissa is clamped where rounding would give it one more bit.
        const double bound = (blocks ? 1.0 : 0.5001) * step;
        ASSERT_LE(std::abs(layer.codes[i] * step - double{sources[l]->weight[i]}), bound)
            << format << " weight " << i << " of " << layer.name;
      }
      if (opened.format.power_of_two) {
        int exponent = 0;
        EXPECT_EQ(std::frexp(layer.step, &exponent), 0.5F) << layer.step;
      }
    }
  }
}

TEST(TrainingPack, TakesTheFormatsBitsOnTheWire) {
  const Network network = cnn(1);
  const auto bytes = [&](const char* format) {
    return static_cast<double>(pack_training(network, format, 1).bytes.size());
  };
  EXPECT_NEAR(bytes("int4") / bytes("int8"), 0.5, 0.01);
  EXPECT_NEAR(bytes("int6") / bytes("int8"), 0.75, 0.01);
  EXPECT_NEAR(bytes("fixed16") / bytes("int8"), 2, 0.01);
  EXPECT_NEAR(bytes("bfp8") / bytes("int8"), 17.0 / 16, 0.01);
}

TEST(TrainingPack, StepsFollowTheLargestMagnitude) {
  EXPECT_FLOAT_EQ(training_format("int8").step(2.54F), 0.02F);
  EXPECT_EQ(training_format("fixed8").step(127.0F), 1.0F);
  EXPECT_EQ(training_format("fixed8").step(127.1F), 2.0F);
  EXPECT_EQ(training_format("fixed16").step(0.0F), 1.0F);
  EXPECT_EQ(training_format("bfp8").step(77.0F), 1.0F);
  EXPECT_THROW(training_format("int8").step(std::numeric_limits<float>::infinity()), Error);
  EXPECT_THROW(training_format("int8").step(std::numeric_limits<float>::quiet_NaN()), Error);
}

TEST(TrainingPack, KnowsItsFormats) {
  for (const char* name : {"float32", "w8a8", "mxfp8", "fixed8.3", "bfp9", "fixed17", "nonsense"})
    EXPECT_THROW(training_format(name), UsageError) << name;
  EXPECT_EQ(training_format("int6").family, "int8");
  EXPECT_EQ(training_format("fixed9").family, "fixed16");
  EXPECT_EQ(training_format("bfp5").family, "bfp");
}

TEST(TrainingPack, RefusesWhatTheKernelsCannotTake) {
  Network network = small(1);
  network.layers[2].weight[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(refusal([&] { pack_training(network, "int8", 1); }).find("layer2"), std::string::npos);
  network = small(1);
  network.layers[1].stride = 1;
  EXPECT_NE(refusal([&] { pack_training(network, "int8", 1); }).find("max-pool"),
            std::string::npos);
  network = small(1);
  network.layers[2].gain.assign(5, 1.0F);
  EXPECT_NE(refusal([&] { pack_training(network, "int8", 1); }).find("batch norm"),
            std::string::npos);
  network = NetworkBuilder("wide", 1, 28, 28, 1).dense(2049, true).build(10);
  EXPECT_NE(refusal([&] { pack_training(network, "int8", 1); }).find("layer0"), std::string::npos);
  network = NetworkBuilder("kernel", 1, 28, 28, 1).conv(2, 9, 1, 0).build(10);
  EXPECT_NE(refusal([&] { pack_training(network, "int8", 1); }).find("kernel"), std::string::npos);
}

TEST(ForwardPack, FoldsBatchNormsAndKeepsCalibratedRanges) {
  Network network = calibrate(small(1));
  network.layers[0].gain.assign(19, -2.0F);
  network.layers[0].offset.assign(19, 0.5F);
  const TrainingNetwork opened = parse_training(pack_forward(network, "fixed16", 1));
  EXPECT_TRUE(opened.forward_only);
  const TrainingLayer& layer = opened.layers[0];
  EXPECT_EQ(layer.output_range, network.layers[0].output_range);
  EXPECT_EQ(opened.layers.back().output_range, 0);
  EXPECT_FLOAT_EQ(layer.bias[3], network.layers[0].bias[3] * -2 + 0.5F);
  EXPECT_NEAR(layer.codes[5] * layer.step, network.layers[0].weight[5] * -2, layer.step);
  EXPECT_EQ(parse_training(pack_forward(network, "bfp8", 1)).layers[0].output_range, 0);
}

TEST(ForwardPack, RefusesNetworksThatItsKernelsCannotRunAsUsageErrors) {
  const Network usable = calibrate(small(1));
  ASSERT_NO_THROW(pack_forward(usable, "fixed8", 1));
  EXPECT_THROW(pack_forward(usable, "w1a1", 1), UsageError);
  Network network = usable;
  network.layers[2].activation = Activation::sign;
  EXPECT_THROW(pack_forward(network, "fixed8", 1), UsageError);
  EXPECT_NE(refusal([&] { pack_forward(network, "fixed8", 1); }).find("layer2"), std::string::npos);
  network = usable;
  network.layers[0].output_step = 0.25F;
  EXPECT_THROW(pack_forward(network, "fixed8", 1), UsageError);
  network = usable;
  network.layers[1].stride = 1;
  EXPECT_THROW(pack_forward(network, "fixed8", 1), UsageError);
  network = usable;
  network.layers[0].output_range = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(refusal([&] { pack_forward(network, "fixed8", 1); }).find("range"), std::string::npos);
}

TEST(ForwardPack, TakesLayersThatOnlyTheWayBackIsTooSmallFor) {
  const Network network = calibrate(NetworkBuilder("wide", 3, 16, 16, 1)
                                        .conv(128, 3, 1, 1)
                                        .pool(4, 4)
                                        .dense(1024, true)
                                        .build(10),
                                    1);
  EXPECT_NO_THROW(parse_training(pack_forward(network, "int6", 1)));
  EXPECT_NE(refusal([&] { pack_training(network, "int6", 1); }).find("weights"), std::string::npos);
}

TEST(TrainingPack, FindsEveryFlippedBitAndEveryTruncation) {
  const WeightPack whole =
      pack_training(NetworkBuilder("tiny", 1, 4, 4, 1).conv(2, 3, 1, 1).build(2), "bfp5", 5);
  ASSERT_NO_THROW(parse_training(whole));
  for (std::size_t i = 0; i < whole.bytes.size(); ++i) {
    WeightPack flipped = whole;
    flipped.bytes[i] ^= static_cast<std::uint8_t>(1U << (i % 8));
    ASSERT_THROW(parse_training(flipped), Error) << "byte " << i;
    WeightPack cut = whole;
    cut.bytes.resize(i);
    ASSERT_THROW(parse_training(cut), Error) << "cut to " << i;
  }
  WeightPack renamed = whole;
  renamed.version = 6;
  EXPECT_THROW(parse_training(renamed), Error);
}

TEST(TrainingPack, SurvivesForgedContentUnderARightChecksum) {
  const WeightPack whole = pack_training(small(2), "int6", 5);
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  int refused = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    WeightPack pack = whole;
    pack.bytes.resize(pack.bytes.size() - 64);
    pack.bytes[random() % 400] = static_cast<std::uint8_t>(random());
    if (trial % 7 == 0) pack.bytes.resize(pack.bytes.size() - random() % 200);
    const std::string sum = sha256_hex(std::span<const std::uint8_t>(pack.bytes));
    pack.bytes.insert(pack.bytes.end(), sum.begin(), sum.end());
    refused += refusal([&] { parse_training(pack); }).empty() ? 0 : 1;
  }
  EXPECT_GT(refused, 1000) << "seed " << seed;  // names may change without harm; nothing crashes
}

}  // namespace
}  // namespace dovetail::quant
