// The proof's networks leave no code of an activation out: equal outputs are not equal for want of
// anything to tell apart.
#include "verify/networks.hpp"

#include <gtest/gtest.h>

#include <set>

#include "infer/reference_engine.hpp"
#include "quant/training_pack.hpp"
#include "support/random.hpp"

namespace dovetail::verify {
namespace {

InputShape small(int channels) {
  const auto c = static_cast<std::size_t>(channels);
  return {channels, 20, 17, 10, std::vector<float>(c, 0.5F), std::vector<float>(c, 0.29F)};
}

std::vector<infer::LayerOutput> outputs_of(const quant::Network& network,
                                           const std::string& format) {
  constexpr std::size_t count = 8;
  const quant::PackedNetwork packed = quant::parse(quant::pack(network, format, 1));
  SplitMix64 random(4);
  std::vector<std::uint8_t> images(
      count * static_cast<std::size_t>(network.channels * network.height * network.width));
  for (std::uint8_t& pixel : images) pixel = static_cast<std::uint8_t>(random.next());
  return infer::reference_outputs(packed, images, count);
}

TEST(Networks, TakeEveryCodeInEveryHiddenLayer) {
  for (const auto& [format, codes] :
       {std::pair{"w1a1", 2U}, {"wta2", 4U}, {"w4a4", 16U}, {"w8a8", 64U}}) {
    for (const auto& build : {maps_network, vectors_network}) {
      const auto outputs = outputs_of(build(small(3), Purpose::inference, 5), format);
      for (std::size_t i = 0; i + 1 < outputs.size(); ++i) {
        const std::set<std::int32_t> seen(outputs[i].values.begin(), outputs[i].values.end());
        // A pool of many of the highest codes may not leave the lowest ones.
        const bool pooled = outputs[i].kernel == "max_pool";
        EXPECT_GE(seen.size(), pooled ? codes / 2 : codes) << format << ' ' << outputs[i].layer;
      }
    }
  }
}

TEST(Networks, AreRepeatedBySeedAlone) {
  const auto weights = [](std::uint64_t seed) {
    return maps_network(small(1), Purpose::training, seed).layers[0].weight;
  };
  EXPECT_EQ(weights(1), weights(1));
  EXPECT_NE(weights(1), weights(2));
}

TEST(Networks, OfTrainingFitTheTrainingKernels) {
  for (const auto& build : {maps_network, vectors_network, linear_network})
    EXPECT_NO_THROW(quant::pack_training(build(small(4), Purpose::training, 1), "bfp5", 1));
}

}  // namespace
}  // namespace dovetail::verify
