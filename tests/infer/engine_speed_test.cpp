// Images a second of one core's time through XRT on the emulated card: printed, and held far from
// useless. Emulated speed says nothing about a card's.
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>

#include "infer/engine.hpp"
#include "quant/networks.hpp"

namespace dovetail::infer {
namespace {

/// By the time that all threads of the process take, so that other programs hardly count.
double images_per_core_second(quant::Network network, const std::string& format,
                              std::size_t count) {
  fpga::use_emulated_cards(1);
  const std::string family = quant::kernel_family(format);
  fpga::Card card(0, fpga::find_xclbin(family, fpga::Backend::emulated));
  Engine engine(card, family, 256);
  network.input_range = 3;
  for (quant::Layer& layer : network.layers) layer.output_range = 5;
  engine.load(pack(network, format, 1));
  const std::vector<std::uint8_t> images = quant::random_images(network, count, 5);
  double best_s = 1e9;
  for (int round = 0; round < 5; ++round) {
    const std::clock_t begin = std::clock();
    engine.run(images, count);
    best_s = std::min(best_s, static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
  }
  const double rate = static_cast<double>(count) / best_s;
  std::printf("%s in %s: %.0f images a second and core, emulated\n", network.model.c_str(),
              format.c_str(), rate);
  return rate;
}

// The processor may be old or shared: a tenth of what one quiet core reaches is asked.
TEST(EngineSpeed, BinarySfc) {
  EXPECT_GT(images_per_core_second(quant::sfc(1), "w1a1", 4096), 10000);
}
TEST(EngineSpeed, Int8Cnn) {
  EXPECT_GT(images_per_core_second(quant::cnn(1), "int8", 512), 400);
}
TEST(EngineSpeed, CnnInOtherFormats) {
  for (const char* format : {"w1a1", "wta2", "w4a4"})
    EXPECT_GT(images_per_core_second(quant::cnn(1), format, 512), 200);
}

}  // namespace
}  // namespace dovetail::infer
