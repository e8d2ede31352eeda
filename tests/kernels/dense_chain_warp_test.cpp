// Chains of dense layers for tensor cores, run by the host work-item by work-item, against their
// twins. dense_chain_test.cpp runs them where there is such a GPU.
#include <cstdlib>
#include <random>

#include "kernels/dense_chain_check.hpp"
#include "kernels/warp/launches.hpp"
#include "kernels/warp/work_group.hpp"
#include "support/text.hpp"

namespace dovetail::warp {
namespace {

using conv_tiles::quotient_up;

/// Launches as DenseChain does; the sums over rows and shares are the test's own.
testing::ChainResults run_on_host(const DenseCase& c, const DenseLaunches& launches,
                                  const testing::ChainInputs& in) {
  const std::vector<dense_chain::Entry> entries = dense_chain::table(c.layers, c.batch);
  const dense_chain::RowTiles tiles = dense_chain::row_tiles(c.layers, c.batch, c.compute_units);
  const int* table = reinterpret_cast<const int*>(entries.data());
  testing::ChainResults results;
  results.x = in.pixels.empty() ? in.x : std::vector<float>(in.x.size(), testing::poison);
  const int source = in.pixels.empty() ? 0 : in.samples.empty() ? 1 : 2;
  results.maps.assign(dense_chain::map_elements(c.layers, c.batch), testing::poison);
  std::vector<float> losses(extent(c.batch), testing::poison), hits = losses;
  for (int group = 0; group < quotient_up(c.batch, tiles.rows); ++group) {
    WorkGroup(tiles.threads(), tiles.shared_bytes, {group, 0, 0}).run([&] {
      launches.rows(results.x.data(), in.pixels.data(), in.samples.data(), source, in.law.scale,
                    in.law.shift, in.parameters.data(), table, in.labels.data(),
                    in.row_weights.data(), !in.row_weights.empty(), results.maps.data(),
                    losses.data(), hits.data(), c.batch);
    });
  }
  results.statistics.assign(3, 0);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    results.statistics[0] += losses[i];
    results.statistics[1] += hits[i];
    results.statistics[2] += 1;
  }
  const dense_chain::WeightTiles weights = dense_chain::weight_tiles(c.layers);
  const int share = weights.share(c.batch, c.compute_units);
  const int shares = quotient_up(c.batch, share);
  std::vector<float> partial(extent(shares) * c.parameters, testing::poison);
  for (int number = 0; number < shares; ++number) {
    for (int group = 0; group < weights.tiles; ++group) {
      WorkGroup(dense_chain::WeightTiles::threads, dense_chain::WeightTiles::shared_bytes(),
                {group, number, 0})
          .run([&] {
            launches.weight_gradients(results.x.data(), results.maps.data(), table, partial.data(),
                                      static_cast<unsigned>(c.parameters), c.batch, share);
          });
    }
  }
  results.gradients.assign(c.parameters, 0);
  for (std::size_t i = 0; i < partial.size(); ++i)
    results.gradients[i % c.parameters] += partial[i];
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
      number % 2 == 1, random);
}

INSTANTIATE_TEST_SUITE_P(Cases, DenseChainWarpTest,
                         ::testing::Range(0, static_cast<int>(dense_cases().size())),
                         [](const auto& instance) {
                           const DenseCase c =
                               dense_cases()[static_cast<std::size_t>(instance.param)];
                           return fmt::format("{}_layers_from_{}_batch_{}_in_{}", c.layers.size(),
                                              c.layers.front().in, c.batch, to_string(c.format));
                         });

}  // namespace
}  // namespace dovetail::warp
