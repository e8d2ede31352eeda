// The integer engine on an OpenCL device against the twin, bit for bit, on whole networks.
#include "infer/opencl_engine.hpp"

#include <gtest/gtest.h>

#include "device/test_device.hpp"
#include "infer/reference_engine.hpp"
#include "quant/networks.hpp"
#include "support/error.hpp"

namespace dovetail::infer {
namespace {

using quant::Network;

TEST(OpenclEngine, EqualsTheTwinInEveryFormat) {
  unsigned seed = 0;
  OpenclEngine engine(testing::test_device(), 3);  // 7 images: two full batches and a short one
  for (const std::string& format : quant::pack_formats()) {
    for (const Network& network : {quant::odd(++seed), quant::mlp(seed)}) {
      const quant::WeightPack pack = quant::pack(quant::calibrate(network, 1), format, 3);
      const std::vector<std::uint8_t> images = quant::random_images(network, 7, seed);
      engine.load(pack);
      EXPECT_EQ(engine.run(images, 7), run_reference(quant::parse(pack), images, 7))
          << network.model << " in " << format << ", seed " << seed;
    }
  }
}

TEST(OpenclEngine, SaysWhatIsMissing) {
  OpenclEngine engine(testing::test_device(), 4);
  EXPECT_THROW(engine.run({}, 0), Error);
  engine.load(quant::pack(quant::calibrate(quant::mlp(1), 1), "int8", 1));
  const std::vector<std::uint8_t> images(784 * 2 - 1);
  EXPECT_THROW(engine.run(images, 2), Error);
  EXPECT_THROW(OpenclEngine(testing::test_device(), 0), Error);
}

}  // namespace
}  // namespace dovetail::infer
