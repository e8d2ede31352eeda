// Chains of dense layers for tensor cores, run by the host work-item by work-item, against their
// twins. dense_chain_test.cpp runs them where there is such a GPU.
#include <bit>
#include <cstdlib>
#include <numeric>
#include <random>

#include "kernels/warp/chain_runner.hpp"
#include "support/text.hpp"

namespace dovetail::warp {
namespace {

/// Launches as DenseChain does; the sums over shares are the test's own.
testing::ChainResults run_on_host(const DenseCase& c, const DenseLaunches& launches,
                                  const testing::ChainInputs& in) {
  const ChainRunner runner(c, launches);
  testing::ChainResults results;
  results.x = in.images.pixels.empty() ? in.x : std::vector<float>(in.x.size(), testing::poison);
  results.maps.assign(dense_chain::map_elements(c.layers, c.batch), testing::poison);
  std::vector<float> losses(extent(c.batch), testing::poison), hits = losses;
  runner.rows(in, results.x, results.maps, losses, hits);
  results.statistics = runner.statistics(losses, hits, c.batch, 1, 1);
  results.gradients = runner.weight_gradients(results.x, results.maps);
  if (c.propagates) results.dx = runner.input_gradient(in, results.x, results.maps, true);
  return results;
}

class DenseChainWarpTest : public ::testing::TestWithParam<int> {};

TEST_P(DenseChainWarpTest, IsItsTwin) {
  const char* wanted = std::getenv("DOVETAIL_TEST_SEED");
  const unsigned seed = wanted ? static_cast<unsigned>(std::stoul(wanted)) : std::random_device{}();
  SCOPED_TRACE(fmt::format("repeat with DOVETAIL_TEST_SEED={}", seed));
  testing::Random random(seed);
  const auto number = static_cast<std::size_t>(GetParam());
  const DenseCase c = dense_cases()[number];
  testing::expect_chain_is_twin(
      c,
      [&](const testing::ChainInputs& in) {
        return run_on_host(c, dense_launches().at(number), in);
      },
      0, number % 2 == 1, random);
}

/// A case with values that no forward pass has made.
struct RandomChain {
  DenseCase c;
  ChainRunner runner;
  std::vector<float> x, maps;
};

RandomChain random_chain(int index) {
  testing::Random random(std::random_device{}());
  const auto number = static_cast<std::size_t>(index);
  const DenseCase c = dense_cases()[number];
  return {c, ChainRunner(c, dense_launches().at(number)),
          testing::to_float(random.normal(extent(c.batch) * extent(c.layers.front().in))),
          testing::to_float(random.normal(dense_chain::map_elements(c.layers, c.batch)))};
}

// A pass's share of its own is what the same samples are as a share of one pass.
TEST_P(DenseChainWarpTest, PassesOfALaunchAreSharesOfTheirOwn) {
  const auto [c, runner, x, maps] = random_chain(GetParam());
  const int half = c.batch / 2;  // an odd batch's last sample is left out
  const auto bits = [](const std::vector<float>& values) {
    std::vector<std::uint32_t> all;
    for (const float value : values) all.push_back(std::bit_cast<std::uint32_t>(value));
    return all;  // gaps between parameters are NaN
  };
  EXPECT_EQ(bits(runner.partial_gradients(x, maps, half, 2, half)),
            bits(runner.partial_gradients(x, maps, 2 * half, 1, half)));
}

TEST_P(DenseChainWarpTest, PassesThatAWorkGroupTakesAreAddedByPairs) {
  const auto [c, runner, x, maps] = random_chain(GetParam());
  for (const int passes : {2, 4}) {
    const int each = c.batch / passes;
    const std::vector<float> apart = runner.partial_gradients(x, maps, each, passes, each);
    const std::vector<float> sums = runner.partial_gradients(x, maps, each, passes, each, 0, true);
    const std::size_t parameters = sums.size();
    ASSERT_EQ(parameters, c.parameters);
    for (std::size_t i = 0; i < parameters; ++i) {
      const auto of = [&](std::size_t pass) { return apart[pass * parameters + i]; };
      const float expected = of(0) == testing::poison ? testing::poison  // between parameters
                             : passes == 2            ? of(0) + of(1)
                                                      : (of(0) + of(1)) + (of(2) + of(3));
      ASSERT_EQ(sums[i], expected) << "parameter " << i;
    }
  }
}

TEST_P(DenseChainWarpTest, StatisticsOfPassesAreAddedByPairs) {
  const RandomChain chain = random_chain(GetParam());
  testing::Random random(std::random_device{}());
  const int each = 150;
  const std::vector<float> losses = testing::to_float(random.normal(4 * each)),
                           hits = testing::to_float(random.normal(4 * each));
  const auto of = [&](int pass) {
    const auto piece = [&](const std::vector<float>& all) {
      return std::vector<float>(all.begin() + pass * each, all.begin() + (pass + 1) * each);
    };
    return chain.runner.statistics(piece(losses), piece(hits), each, 1, 1);
  };
  for (const int together : {1, 4}) {
    const std::vector<float> sums = chain.runner.statistics(losses, hits, each, 4, together);
    for (const std::size_t i : {0u, 1u})
      EXPECT_EQ(sums[i], (of(0)[i] + of(1)[i]) + (of(2)[i] + of(3)[i]));
    EXPECT_EQ(sums[2], 4 * each);
  }
  EXPECT_NEAR(of(0)[0], std::accumulate(losses.begin(), losses.begin() + each, 0.0), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Cases, DenseChainWarpTest,
                         ::testing::Range(0, static_cast<int>(dense_cases().size())),
                         [](const auto& instance) {
                           const DenseCase c =
                               dense_cases()[static_cast<std::size_t>(instance.param)];
                           return fmt::format("{}_{}_layers_from_{}{}_batch_{}_in_{}",
                                              instance.param, c.layers.size(), c.layers.front().in,
                                              c.first_apart() ? "_apart" : "", c.batch,
                                              to_string(c.format));
                         });

}  // namespace
}  // namespace dovetail::warp
