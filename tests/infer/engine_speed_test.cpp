// Images a second through XRT on the emulated card: printed, and held far from useless. Emulated
// speed says nothing about a card's.
#include <gtest/gtest.h>

#include <algorithm>

#include "infer/engine.hpp"
#include "quant/networks.hpp"
#include "support/clock.hpp"

namespace dovetail::infer {
namespace {

double images_per_second(const quant::Network& network, const std::string& format,
                         std::size_t count) {
  fpga::use_emulated_cards(1);
  const std::string family = quant::kernel_family(format);
  fpga::Card card(0, fpga::find_xclbin(family, fpga::Backend::emulated));
  Engine engine(card, family, 256);
  engine.load(pack(quant::calibrate(network), format, 1));
  const std::vector<std::uint8_t> images = quant::random_images(network, count, 5);
  double best_s = 1e9;
  for (int round = 0; round < 5; ++round) {
    const Stopwatch watch;
    engine.run(images, count);
    best_s = std::min(best_s, watch.seconds());
  }
  const double rate = static_cast<double>(count) / best_s;
  std::printf("%s in %s: %.0f images a second, emulated\n", network.model.c_str(), format.c_str(),
              rate);
  return rate;
}

// The machine may be busy and its processor old: a tenth of what one quiet core reaches is asked.
TEST(EngineSpeed, BinarySfc) {
  EXPECT_GT(images_per_second(quant::sfc(1), "w1a1", 4096), 10000);
}
TEST(EngineSpeed, Int8Cnn) {
  EXPECT_GT(images_per_second(quant::cnn(1), "int8", 512), 400);
}
TEST(EngineSpeed, CnnInOtherFormats) {
  for (const char* format : {"w1a1", "wta2", "w4a4"})
    EXPECT_GT(images_per_second(quant::cnn(1), format, 512), 200);
}

}  // namespace
}  // namespace dovetail::infer
