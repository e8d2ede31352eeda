// The engine on the emulated card against its twin, bit for bit, and against the float network.
#include "infer/engine.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "infer/emulated_cards.hpp"
#include "infer/reference_engine.hpp"
#include "quant/networks.hpp"
#include "support/error.hpp"

namespace dovetail::infer {
namespace {

using quant::Network;
using quant::pack;
using quant::WeightPack;

class Engines : public dovetail::testing::EmulatedCards<4> {
 protected:
  static Engine make_engine(const std::string& format, int max_batch) {
    const std::string family = quant::kernel_family(format);
    return Engine(card(family), family, max_batch);
  }

  static void expect_equals_twin(const Network& network, const std::string& format,
                                 std::size_t count, int max_batch);
  static double relative_error(const Network& network);
};

void Engines::expect_equals_twin(const Network& network, const std::string& format,
                                 std::size_t count, int max_batch) {
  const WeightPack weights = pack(quant::calibrate(network), format, 3);
  const std::vector<std::uint8_t> images = quant::random_images(network, count, 5);
  Engine engine = make_engine(format, max_batch);
  engine.load(weights);
  EXPECT_EQ(engine.version(), 3U);
  EXPECT_EQ(engine.number_format(), format);
  EXPECT_EQ(engine.run(images, count), run_reference(quant::parse(weights), images, count))
      << network.model << " in " << format;
}

TEST_F(Engines, MlpEqualsItsTwinBitForBit) {
  for (const std::string& format : quant::pack_formats())
    expect_equals_twin(quant::mlp(1), format, 20, 8);
}
TEST_F(Engines, CnnEqualsItsTwinBitForBit) {
  for (const char* format : {"int8", "w1a1"}) expect_equals_twin(quant::cnn(2), format, 5, 4);
}
TEST_F(Engines, OddShapesEqualTheirTwinBitForBit) {
  unsigned seed = 0;
  for (const std::string& format : quant::pack_formats())
    expect_equals_twin(quant::odd(++seed), format, 7, 3);
}

/// Mean |int8 − float| over the logits' standard deviation, on images that calibration did not see.
double Engines::relative_error(const Network& network) {
  const std::size_t count = 12;
  const Network calibrated = quant::calibrate(network, 8);
  const std::vector<std::uint8_t> images = quant::random_images(network, count, 6);
  Engine engine = make_engine("int8", 16);
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

TEST_F(Engines, LogitsAreCloseToTheFloatNetworks) {
  // Rounding noise of int8 with random weights: 1 to 3 %, and up to 8 % where the logits nearly
  // cancel. A wrong scale or layout gives about 100 %.
  for (const auto& build : {quant::mlp, quant::cnn, quant::odd}) {
    double error = 0;
    for (unsigned seed = 0; seed < 4; ++seed) error += relative_error(build(seed)) / 4;
    EXPECT_LT(error, 0.06);
  }
}

TEST_F(Engines, TakesNewWeightsAndOtherShapes) {
  Engine engine = make_engine("int8", 4);
  for (const auto& network : {quant::mlp(1), quant::mlp(2), quant::odd(1), quant::mlp(1)}) {
    const WeightPack weights = pack(quant::calibrate(network), "int8", 9);
    const std::vector<std::uint8_t> images = quant::random_images(network, 6, 7);
    engine.load(weights);
    EXPECT_EQ(engine.run(images, 6), run_reference(quant::parse(weights), images, 6));
  }
}

TEST_F(Engines, ADamagedPackLeavesTheOldOneRunning) {
  const Network network = quant::mlp(1);
  const WeightPack weights = pack(quant::calibrate(network), "int8", 1);
  const std::vector<std::uint8_t> images = quant::random_images(network, 2, 8);
  Engine engine = make_engine("int8", 4);
  engine.load(weights);
  const std::vector<float> before = engine.run(images, 2);
  WeightPack damaged = weights;
  damaged.bytes[5000] ^= 4;
  EXPECT_THROW(engine.load(damaged), Error);
  EXPECT_EQ(engine.run(images, 2), before);
}

TEST_F(Engines, SaysWhatIsMissing) {
  Engine engine = make_engine("int8", 4);
  EXPECT_THROW(engine.run({}, 0), Error);
  engine.load(pack(quant::calibrate(quant::mlp(1)), "int8", 1));
  const std::vector<std::uint8_t> images(784 * 2 - 1);
  EXPECT_THROW(engine.run(images, 2), Error);
  EXPECT_THROW(make_engine("int8", 0), Error);
  EXPECT_THROW(engine.load(pack(quant::calibrate(quant::mlp(1)), "w1a1", 1)), Error);
}

}  // namespace
}  // namespace dovetail::infer
