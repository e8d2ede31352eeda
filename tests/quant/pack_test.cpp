// Weight packs: what is quantised, what is refused, and that no damage passes.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "networks.hpp"
#include "quant/packed_network.hpp"
#include "support/checksum.hpp"
#include "support/error.hpp"

namespace dovetail::quant {
namespace {

Network ranged(Network network) {
  network.input_range = 3;
  for (Layer& layer : network.layers) layer.output_range = 5;
  return network;
}

/// The pack with a change in its content and a checksum that fits, as a sender with a fault would
/// make it.
WeightPack forged(WeightPack pack, const std::function<void(std::vector<std::uint8_t>&)>& change) {
  pack.bytes.resize(pack.bytes.size() - 64);
  change(pack.bytes);
  const std::string sum = sha256_hex(std::span<const std::uint8_t>(pack.bytes));
  pack.bytes.insert(pack.bytes.end(), sum.begin(), sum.end());
  return pack;
}

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Pack, KeepsWeightsBiasesAndScalesOfEveryChannel) {
  const Network network = ranged(odd(1));
  const PackedNetwork packed = parse(pack(network, "int8", 42));
  EXPECT_EQ(packed.version, 42U);
  EXPECT_EQ(packed.model, "odd");
  EXPECT_EQ(packed.classes, 7);
  ASSERT_EQ(packed.layers.size(), network.layers.size());
  double in_scale = 3 / 127.0;
  for (std::size_t l = 0; l < network.layers.size(); ++l) {
    const Layer& layer = network.layers[l];
    const PackedLayer& got = packed.layers[l];
    if (layer.kind == LayerKind::max_pool) continue;
    const int rows = layer.kind == LayerKind::dense ? layer.in_height : layer.kernel;
    const int columns = layer.kind == LayerKind::dense ? layer.in_width : layer.kernel;
    std::size_t i = 0;
    for (int out = 0; out < layer.out_channels; ++out) {
      const double scale = double{got.scales[static_cast<std::size_t>(out)]} / in_scale;
      int most = 0;
      for (int in = 0; in < layer.in_channels; ++in) {
        for (int row = 0; row < rows; ++row) {
          for (int column = 0; column < columns; ++column, ++i) {
            const int weight = got.weight(out, in, row, column);
            ASSERT_NEAR(weight * scale, double{layer.weight[i]}, scale * 0.501);
            most = std::max(most, std::abs(weight));
          }
        }
      }
      EXPECT_EQ(most, 127);
      const double bias = double{layer.bias[static_cast<std::size_t>(out)]};
      EXPECT_NEAR(got.channel(out).bias * double{got.scales[static_cast<std::size_t>(out)]}, bias,
                  1e-3);
      if (l + 1 < network.layers.size()) {
        const Factor factor = got.channel(out).factor;
        EXPECT_NEAR(std::ldexp(factor.multiplier, -factor.shift) / (in_scale * scale / (5 / 127.0)),
                    1, 1e-6);
      }
    }
    in_scale = 5 / 127.0;
  }
}

TEST(Pack, SizeDependsOnShapesAlone) {
  const WeightPack a = pack(ranged(cnn(1)), "int8", 1), b = pack(ranged(cnn(2)), "int8", 70000);
  EXPECT_EQ(a.bytes.size(), b.bytes.size());
  EXPECT_NE(a.bytes, b.bytes);
  EXPECT_EQ(format_of(a), "int8");
  EXPECT_EQ(serialise(parse(a)).bytes, a.bytes);
}

TEST(Pack, InputTablesHoldNormalisationAndScale) {
  const Network network = ranged(odd(1));
  const PackedNetwork packed = parse(pack(network, "int8", 1));
  for (std::size_t c = 0; c < 3; ++c) {
    for (int x = 0; x < 256; ++x) {
      const double normal =
          (x / 255.0 - double{network.input_mean[c]}) / double{network.input_deviation[c]};
      const double expected = std::clamp(normal / (3 / 127.0), -127.0, 127.0);
      ASSERT_NEAR(packed.input_tables[c * 256 + static_cast<std::size_t>(x)], expected, 0.501);
    }
  }
}

TEST(Pack, TakesADenseLayerGivenAsAVector) {
  Network network = ranged(cnn(1));
  const WeightPack as_map = pack(network, "int8", 1);
  Layer& dense = network.layers[4];
  dense.in_channels *= dense.in_height * dense.in_width;
  dense.in_height = dense.in_width = 1;
  EXPECT_EQ(pack(network, "int8", 1).bytes, as_map.bytes);
}

TEST(Pack, DeadAndBiasOnlyChannelsStayWithinTheAccumulator) {
  Network network = ranged(mlp(1));
  Layer& layer = network.layers[0];
  const std::size_t columns = 784;
  std::fill_n(layer.weight.begin(), 2 * columns, 0.0F);
  layer.bias[0] = 0;
  layer.bias[1] = 1e6F;
  std::fill_n(layer.weight.begin() + 2 * columns, columns, 1e-20F);
  const PackedNetwork packed = parse(pack(network, "int8", 1));
  EXPECT_EQ(packed.layers[0].channel(0).bias, 0);
  for (std::size_t out : {1U, 2U}) {
    const double bias =
        packed.layers[0].channel(static_cast<int>(out)).bias * double{packed.layers[0].scales[out]};
    EXPECT_NEAR(bias / double{layer.bias[out]}, 1, 1e-6);
  }
}

TEST(Pack, FoldsABatchNormIntoWeightsAndBias) {
  Network with_norm = ranged(mlp(1)), folded = with_norm;
  Layer &normed = with_norm.layers[0], &plain = folded.layers[0];
  for (int out = 0; out < normed.out_channels; ++out) {
    const auto o = static_cast<std::size_t>(out);
    const float gain = out % 2 == 0 ? -0.5F : 2.0F;
    normed.gain.push_back(gain);
    normed.offset.push_back(0.25F);
    plain.bias[o] = plain.bias[o] * gain + 0.25F;
    for (std::size_t i = 0; i < 784; ++i) plain.weight[o * 784 + i] *= gain;
  }
  EXPECT_EQ(pack(with_norm, "int8", 1).bytes, pack(folded, "int8", 1).bytes);
  normed.offset.pop_back();
  EXPECT_NE(refusal([&] { pack(with_norm, "int8", 1); }).find("offsets"), std::string::npos);
}

TEST(Pack, TakesTheStepsThatTrainingHasLearnt) {
  Network network = ranged(mlp(1));
  network.layers[0].weight_scale.assign(256, 0.5F);
  network.layers[0].output_step = 0.125F;
  const PackedNetwork packed = parse(pack(network, "int8", 1));
  EXPECT_NEAR(packed.layers[0].scales[7], 3 / 127.0 * 0.5, 1e-9);
  EXPECT_EQ(packed.layers[0].weight(7, 0, 0, 0),
            std::lround(network.layers[0].weight[7 * 784] / 0.5));
  const Factor factor = packed.layers[0].channel(7).factor;
  EXPECT_NEAR(std::ldexp(factor.multiplier, -factor.shift), 3 / 127.0 * 0.5 / 0.125, 1e-7);
}

TEST(Pack, EveryFormatKeepsItsWeights) {
  const Network network = ranged(odd(3));
  for (const std::string& name : pack_formats()) {
    const PackedNetwork packed = parse(pack(network, name, 1));
    const numeric::Format format = fpga_format(name);
    EXPECT_EQ(serialise(packed).bytes, pack(network, name, 1).bytes) << name;
    double in_step = 3 / 127.0;
    for (std::size_t l = 0; l < network.layers.size(); ++l) {
      const Layer& layer = network.layers[l];
      if (layer.kind == LayerKind::max_pool) continue;
      const PackedLayer& got = packed.layers[l];
      const int rows = layer.kind == LayerKind::dense ? layer.in_height : layer.kernel;
      const int columns = layer.kind == LayerKind::dense ? layer.in_width : layer.kernel;
      std::size_t i = 0;
      for (int out = 0; out < layer.out_channels; ++out) {
        const double step = double{got.scales[static_cast<std::size_t>(out)]} / in_step;
        for (int in = 0; in < layer.in_channels; ++in) {
          for (int tap = 0; tap < rows * columns; ++tap, ++i) {
            const int weight = got.weight(out, in, tap / columns, tap % columns);
            const double real = double{layer.weight[i]} / step;
            ASSERT_GE(weight, format.weights.lowest) << name;
            ASSERT_LE(weight, format.weights.highest) << name;
            if (format.weights.kind == numeric::ElementKind::binary) {
              ASSERT_EQ(weight, real < 0 ? -1 : 1);
            } else if (real > format.weights.lowest && real < format.weights.highest) {
              ASSERT_NEAR(weight, real, 0.501) << name;
            }
          }
        }
      }
      const int levels = format.activations.bits == 8 ? 127 : (1 << format.activations.bits) - 1;
      in_step = format.activations.bits == 1 ? 2.5 : 5.0 / levels;  // ±1 stand for 0 and 5
    }
  }
}

TEST(Pack, LearntWeightsAndStepsComeBackExactly) {
  std::mt19937 random(std::random_device{}());
  for (const char* name : {"w1a1", "wta2", "w2a4", "w4a4", "w8a8"}) {
    const numeric::Format format = fpga_format(name);
    Network network = ranged(mlp(1));
    std::vector<std::vector<int>> codes;
    for (Layer& layer : network.layers) {
      layer.output_step = 0.37F;
      codes.emplace_back();
      const std::size_t columns = layer.weight.size() / layer.bias.size();
      for (std::size_t o = 0; o < layer.bias.size(); ++o) {
        layer.weight_scale.push_back(0.01F + 1e-4F * static_cast<float>(o));
        for (std::size_t i = 0; i < columns; ++i) {
          int code =
              std::uniform_int_distribution(format.weights.lowest, format.weights.highest)(random);
          if (format.weights.bits == 1 && code == 0) code = 1;
          codes.back().push_back(code);
          layer.weight[o * columns + i] = layer.weight_scale[o] * static_cast<float>(code);
        }
      }
    }
    const PackedNetwork packed = parse(pack(network, name, 1));
    for (std::size_t l = 0; l < codes.size(); ++l) {
      const PackedLayer& layer = packed.layers[l];
      std::size_t i = 0;
      for (int out = 0; out < layer.out_channels; ++out) {
        for (int in = 0; in < layer.in_channels; ++in) {
          for (int tap = 0; tap < layer.in_height * layer.in_width; ++tap, ++i) {
            ASSERT_EQ(layer.weight(out, in, tap / layer.in_width, tap % layer.in_width),
                      codes[l][i])
                << name;
          }
        }
      }
    }
    const auto unit = double{network.layers[0].weight_scale[3]} * 3 / 127;
    EXPECT_NEAR(double{packed.layers[0].scales[3]}, unit, unit * 1e-6);
  }
}

TEST(Pack, RefusesWhatTheKernelsCannotRun) {
  const auto refused = [](Network network) {
    return refusal([&] { pack(ranged(std::move(network)), "int8", 1); });
  };
  EXPECT_NE(refused(NetworkBuilder("m", 1, 20, 20, 1).conv(4, 9, 1, 0).build(3)).find("kernel"),
            std::string::npos);
  EXPECT_NE(refused(NetworkBuilder("m", 5, 8, 8, 1).build(3)).find("images of 5"),
            std::string::npos);
  EXPECT_NE(refused(NetworkBuilder("m", 1, 300, 300, 1).build(3)).find("images of 1"),
            std::string::npos);
  EXPECT_NE(
      refused(NetworkBuilder("m", 1, 28, 28, 1).dense(4000, true).build(3)).find("2,048 outputs"),
      std::string::npos);
  EXPECT_NE(refused(NetworkBuilder("m", 1, 8, 8, 1).pool(2, 2).build(3)).find("max-pool"),
            std::string::npos);
  Network relu_last = mlp(1);
  relu_last.layers.back().activation = Activation::relu;
  EXPECT_NE(refused(relu_last).find("without ReLU"), std::string::npos);
  Network torn = cnn(1);
  torn.layers[2].in_channels = 31;
  EXPECT_NE(refused(torn).find("layer2"), std::string::npos);
  Network short_weights = mlp(1);
  short_weights.layers[1].weight.pop_back();
  EXPECT_NE(refused(short_weights).find("layer1"), std::string::npos);
}

TEST(Pack, RefusesValuesThatAreNotFiniteAndUnknownFormats) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Network network = ranged(mlp(1));
  EXPECT_THROW(pack(network, "int17", 1), UsageError);
  network.layers[1].weight[5] = nan;
  EXPECT_NE(refusal([&] { pack(network, "int8", 1); }).find("layer1"), std::string::npos);
  network = ranged(mlp(1));
  network.layers[0].output_range = nan;
  EXPECT_NE(refusal([&] { pack(network, "int8", 1); }).find("range of layer0"), std::string::npos);
  network = ranged(mlp(1));
  network.input_deviation[0] = 0;
  EXPECT_NE(refusal([&] { pack(network, "int8", 1); }).find("deviation"), std::string::npos);
}

TEST(Parse, FindsEveryFlippedBitAndEveryTruncation) {
  const WeightPack whole =
      pack(ranged(NetworkBuilder("tiny", 1, 4, 4, 1).conv(2, 3, 1, 1).build(2)), "int8", 5);
  ASSERT_NO_THROW(parse(whole));
  for (std::size_t i = 0; i < whole.bytes.size(); i += 1 + i / 600) {
    WeightPack flipped = whole;
    flipped.bytes[i] ^= static_cast<std::uint8_t>(1U << (i % 8));
    ASSERT_THROW(parse(flipped), Error) << "byte " << i;
    WeightPack cut = whole;
    cut.bytes.resize(i);
    ASSERT_THROW(parse(cut), Error) << "cut to " << i;
  }
  WeightPack renamed = whole;
  renamed.version = 6;
  EXPECT_THROW(parse(renamed), Error);
}

TEST(Parse, SurvivesForgedContentUnderARightChecksum) {
  const WeightPack whole = pack(
      ranged(NetworkBuilder("tiny", 1, 6, 6, 1).conv(2, 3, 1, 1).pool(2, 2).build(2)), "int8", 5);
  std::mt19937 random(17);
  const std::size_t header =
      8 + 8 + 16 + 32 + 8 + 16;  // then 256 bytes of table, then 3 layers of 76 + 32 bytes
  int refused = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    const WeightPack pack = forged(whole, [&](std::vector<std::uint8_t>& bytes) {
      const std::size_t at =
          trial % 2 == 0 ? random() % header : header + 256 + random() % (3 * 76);
      bytes[at] = static_cast<std::uint8_t>(random());
      if (trial % 7 == 0) bytes.resize(bytes.size() - random() % 200);
      if (trial % 11 == 0) bytes.resize(bytes.size() + random() % 200);
    });
    refused += refusal([&] { parse(pack); }).empty() ? 0 : 1;
  }
  EXPECT_GT(refused, 1500);  // names, strides and versions may change without harm; nothing crashes
}

TEST(Parse, RefusesWeightsAndShiftsThatTheKernelsDoNotTake) {
  const Network network = ranged(NetworkBuilder("tiny", 1, 4, 4, 1).build(2));
  PackedNetwork opened = parse(pack(network, "int8", 5));
  PackedNetwork changed = opened;
  changed.layers[0].weights[3] = 0x80;
  EXPECT_NE(refusal([&] { parse(serialise(changed)); }).find("−128"), std::string::npos);
  changed = opened;
  changed.layers[0].parameters[2 * 32] = 63;
  EXPECT_NE(refusal([&] { parse(serialise(changed)); }).find("parameters"), std::string::npos);
  changed = opened;
  changed.format = "int3";
  EXPECT_NE(refusal([&] { parse(serialise(changed)); }).find("int3"), std::string::npos);
  changed = parse(pack(ranged(mlp(1)), "w1a4", 5));
  std::swap(changed.layers[0].parameters[32], changed.layers[0].parameters[32 + 7 * 32]);
  EXPECT_NE(refusal([&] { parse(serialise(changed)); }).find("parameters"), std::string::npos);
}

}  // namespace
}  // namespace dovetail::quant
