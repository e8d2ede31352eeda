// The engine on the emulated card against its twin, bit for bit, and against the float network.
#include "infer/engine.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "infer/reference_engine.hpp"
#include "quant/networks.hpp"
#include "support/error.hpp"

namespace dovetail::infer {
namespace {

using quant::Network;
using quant::pack;
using quant::WeightPack;

fpga::Card& card() {
  static fpga::Card* opened = [] {
    fpga::use_emulated_cards(1);
    return new fpga::Card(0, fpga::find_xclbin("int8", fpga::Backend::emulated));
  }();
  return *opened;
}

void expect_equals_twin(const Network& network, std::size_t count, int max_batch) {
  const WeightPack weights = pack(quant::calibrate(network), "int8", 3);
  const std::vector<std::uint8_t> images = quant::random_images(network, count, 5);
  Engine engine(card(), max_batch);
  engine.load(weights);
  EXPECT_EQ(engine.version(), 3U);
  EXPECT_EQ(engine.run(images, count), run_reference(quant::parse(weights), images, count));
}

TEST(Engine, MlpEqualsItsTwinBitForBit) {
  expect_equals_twin(quant::mlp(1), 20, 8);
}
TEST(Engine, CnnEqualsItsTwinBitForBit) {
  expect_equals_twin(quant::cnn(2), 5, 4);
}
TEST(Engine, OddShapesEqualTheirTwinBitForBit) {
  for (unsigned seed = 0; seed < 5; ++seed) expect_equals_twin(quant::odd(seed), 7, 3);
}

/// Mean |int8 − float| over the logits' standard deviation, on images that calibration did not see.
double relative_error(const Network& network) {
  const std::size_t count = 12;
  const Network calibrated = quant::calibrate(network, 8);
  const std::vector<std::uint8_t> images = quant::random_images(network, count, 6);
  Engine engine(card(), 16);
  engine.load(pack(calibrated, "int8", 1));
  const std::vector<float> got = engine.run(images, count);
  const std::vector<double> expected = quant::run_float(network, images);
  double error = 0, square = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    error += std::abs(double{got[i]} - expected[i]);
    square += expected[i] * expected[i];
  }
  const auto n = static_cast<double>(got.size());
  return error / n / std::sqrt(square / n);
}

TEST(Engine, LogitsAreCloseToTheFloatNetworks) {
  // Rounding noise of int8 with random weights: 1 to 3 %, and up to 8 % where the logits nearly
  // cancel. A wrong scale or layout gives about 100 %.
  for (const auto& build : {quant::mlp, quant::cnn, quant::odd}) {
    double error = 0;
    for (unsigned seed = 0; seed < 4; ++seed) error += relative_error(build(seed)) / 4;
    EXPECT_LT(error, 0.06);
  }
}

TEST(Engine, TakesNewWeightsAndOtherShapes) {
  Engine engine(card(), 4);
  for (const auto& network : {quant::mlp(1), quant::mlp(2), quant::odd(1), quant::mlp(1)}) {
    const WeightPack weights = pack(quant::calibrate(network), "int8", 9);
    const std::vector<std::uint8_t> images = quant::random_images(network, 6, 7);
    engine.load(weights);
    EXPECT_EQ(engine.run(images, 6), run_reference(quant::parse(weights), images, 6));
  }
}

TEST(Engine, ADamagedPackLeavesTheOldOneRunning) {
  const Network network = quant::mlp(1);
  const WeightPack weights = pack(quant::calibrate(network), "int8", 1);
  const std::vector<std::uint8_t> images = quant::random_images(network, 2, 8);
  Engine engine(card(), 4);
  engine.load(weights);
  const std::vector<float> before = engine.run(images, 2);
  WeightPack damaged = weights;
  damaged.bytes[5000] ^= 4;
  EXPECT_THROW(engine.load(damaged), Error);
  EXPECT_EQ(engine.run(images, 2), before);
}

TEST(Engine, SaysWhatIsMissing) {
  Engine engine(card(), 4);
  EXPECT_THROW(engine.run({}, 0), Error);
  engine.load(pack(quant::calibrate(quant::mlp(1)), "int8", 1));
  const std::vector<std::uint8_t> images(784 * 2 - 1);
  EXPECT_THROW(engine.run(images, 2), Error);
  EXPECT_THROW(Engine(card(), 0), Error);
}

}  // namespace
}  // namespace dovetail::infer
