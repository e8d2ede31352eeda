// One wrong weight or threshold on a device is found: the real engines run a pack that differs from
// the twin's in one place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "device/test_device.hpp"
#include "infer/engine.hpp"
#include "infer/opencl_engine.hpp"
#include "infer/reference_engine.hpp"
#include "support/random.hpp"
#include "verify/ledger.hpp"
#include "verify/networks.hpp"
#include "verify/report.hpp"

namespace dovetail::verify {
namespace {

using quant::PackedNetwork;
using ::testing::HasSubstr;

constexpr std::size_t count = 6;
constexpr const char* format = "w4a1";  // no input is 0: every weight counts

const InputShape shape{2, 14, 13, 10, {0.5F, 0.5F}, {0.3F, 0.3F}};

std::vector<std::uint8_t> images() {
  SplitMix64 random(4);
  std::vector<std::uint8_t> pixels(count * shape.image_bytes());
  for (std::uint8_t& pixel : pixels) pixel = static_cast<std::uint8_t>(random.next());
  return pixels;
}

PackedNetwork network() {
  return quant::parse(quant::pack(maps_network(shape, Purpose::inference, 2), format, 1));
}

void change_a_weight(PackedNetwork& changed) {
  quant::PackedLayer& layer = changed.layers.back();
  const int weight = layer.weight(3, 1, 0, 0);
  layer.set_weight(3, 1, 0, 0, weight == 0 ? 1 : weight - 1);
}

/// The threshold of one channel of the first layer is never reached.
void change_a_threshold(PackedNetwork& changed) {
  quant::PackedLayer& layer = changed.layers.front();
  quant::Channel channel = layer.channel(4);
  channel.thresholds = {std::numeric_limits<std::int32_t>::max()};
  layer.set_channel(4, channel);
}

using Computation = std::function<Ledger::Outputs(const quant::WeightPack&)>;

/// Finds nothing in the right pack, and what was changed in the other.
void expect_found(const Computation& run, const char* side, void (*change)(PackedNetwork&),
                  const std::string& layer) {
  const bool opencl = std::string(side) == "OpenCL";
  for (const bool changed : {false, true}) {
    PackedNetwork packed = network();
    const Ledger::Outputs twin = infer::reference_outputs(packed, images(), count);
    if (changed) change(packed);
    const Ledger::Outputs outputs = run(quant::serialise(packed));
    Ledger ledger;
    ledger.add({"inference", format, "random", "maps"}, twin, opencl ? &outputs : nullptr,
               opencl ? nullptr : &outputs);
    EXPECT_EQ(ledger.differs(), changed);
    const std::string text = difference_text(ledger.finish(), {});
    if (!changed) {
      EXPECT_EQ(text, "");
      continue;
    }
    EXPECT_THAT(text, HasSubstr("inference w4a1, layer " + layer + " of network maps"));
    EXPECT_THAT(text, HasSubstr(std::string("by ") + side));
  }
}

TEST(WrongBit, OnAnOpenclDeviceIsFound) {
  infer::OpenclEngine engine(testing::test_device());
  const Computation run = [&](const quant::WeightPack& pack) {
    engine.load(pack);
    return engine.layer_outputs(images(), count);
  };
  expect_found(run, "OpenCL", change_a_weight, "dense6");
  expect_found(run, "OpenCL", change_a_threshold, "conv1");
}

TEST(WrongBit, OnACardIsFound) {
  if (!DOVETAIL_HAS_EMULATED_CARD) GTEST_SKIP() << "this build has no emulated card";
  fpga::use_emulated_cards(1);
  fpga::Card card(0, fpga::find_xclbin("w4", fpga::Backend::emulated));
  infer::Engine engine(card, "w4");
  const Computation run = [&](const quant::WeightPack& pack) {
    engine.load(pack);
    return engine.layer_outputs(images(), count);
  };
  expect_found(run, "the card", change_a_weight, "dense6");
  expect_found(run, "the card", change_a_threshold, "conv1");
}

}  // namespace
}  // namespace dovetail::verify
