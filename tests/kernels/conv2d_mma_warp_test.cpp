// The convolutions for tensor cores, run by the host work-item by work-item, against their twins.
// conv2d_mma_test.cpp runs them where there is such a GPU.
#include <numeric>
#include <random>

#include "kernels/conv2d_mma_check.hpp"
#include "kernels/warp/launches.hpp"
#include "kernels/warp/work_group.hpp"
#include "ops/conv2d_mma_tiles.hpp"
#include "support/text.hpp"

namespace dovetail::warp {
namespace {

using conv_tiles::quotient_up;

/// Launches as Conv2dMma does.
class HostRunner {
 public:
  explicit HostRunner(std::size_t number)
      : case_(cases()[number]), launches_(launches().at(number)) {
    places_.resize(case_.shape.output.size());
  }

  std::vector<float> forward(const std::vector<float>& x, const std::vector<float>& weight,
                             const std::vector<float>& bias) {
    const Conv2dPoolShape& shape = case_.shape;
    constexpr int relu_and_places = 3;
    if (conv_mma::is_narrow(shape.input)) {
      return run(launches_.forward, conv_mma::narrow_forward(shape), x, weight, bias, shape.output,
                 relu_and_places);
    }
    pack(weight);
    return run(launches_.forward, conv_mma::wide_forward(shape), x, packed_, bias, shape.output,
               relu_and_places);
  }

  std::vector<float> input_gradient(const std::vector<float>& dy, const std::vector<float>&,
                                    const std::vector<float>& x) {
    constexpr int mask = 1;
    return run(launches_.input_gradient, conv_mma::turned(case_.shape), dy, turned_, x,
               case_.shape.input, mask);
  }

  testing::WeightGradient weight_gradient(const std::vector<float>& x,
                                          const std::vector<float>& dy) {
    const Conv2dPoolShape& shape = case_.shape;
    const conv_mma::WeightTiles cut = conv_mma::is_narrow(shape.input)
                                          ? conv_mma::narrow_weight(shape)
                                          : conv_mma::wide_weight(shape);
    constexpr int tiles_per_chunk = 3;
    const int chunks = quotient_up(
        quotient_up(case_.extents.batch * cut.pixels_per_image(), cut.tile), tiles_per_chunk);
    const auto outs = static_cast<std::size_t>(shape.output.channel_stride);
    const std::size_t weights = static_cast<std::size_t>(conv_mma::depth(shape)) * outs;
    const std::size_t size = weights + outs;
    std::vector<float> partial(size * static_cast<std::size_t>(chunks), testing::poison);
    const WeightLaunch& launch = launches_.weight_gradient;
    for (int chunk = 0; chunk < chunks; ++chunk) {
      for (int group = 0; group < cut.groups(); ++group) {
        WorkGroup(launch.threads, launch.shared_bytes, {group, chunk, 0}).run([&] {
          launch.kernel(x.data(), dy.data(), places_.data(), partial.data(), case_.extents.batch,
                        tiles_per_chunk);
        });
      }
    }
    std::vector<float> sums(size);
    for (std::size_t i = 0; i < partial.size(); ++i) sums[i % size] += partial[i];
    const auto middle = sums.begin() + static_cast<std::ptrdiff_t>(weights);
    return {{sums.begin(), middle}, {middle, sums.end()}};
  }

 private:
  void pack(const std::vector<float>& weight) {
    constexpr int side = 16;
    const int ins = case_.shape.input.channel_stride, outs = case_.shape.output.channel_stride;
    const int taps = case_.extents.kernel * case_.extents.kernel;
    packed_.assign(static_cast<std::size_t>(taps * ins * outs), testing::poison);
    turned_ = packed_;
    for (int tap = 0; tap < taps; ++tap) {
      for (int group = 0; group < ins / side * (outs / side); ++group) {
        WorkGroup(side * side, side * (side + 1) * 4,
                  {group % (outs / side), group / (outs / side), tap}, side)
            .run([&] { launches_.pack.kernel(weight.data(), packed_.data(), turned_.data()); });
      }
    }
  }

  std::vector<float> run(const ProductLaunch& launch, const conv_mma::ProductTiles& tiles,
                         const std::vector<float>& source, const std::vector<float>& weight,
                         const std::vector<float>& other, const Layout& target, int finish) {
    std::vector<float> result(target.size(), testing::poison);
    const int batch = case_.extents.batch;
    const int groups =
        quotient_up(batch * tiles.units_per_image(), tiles.tile_units()) * tiles.column_tiles();
    for (int group = 0; group < groups; ++group) {
      WorkGroup(launch.threads, launch.shared_bytes, {group, 0, 0}).run([&] {
        launch.kernel(source.data(), weight.data(), other.data(), places_.data(), result.data(),
                      batch, finish);
      });
    }
    return result;
  }

  Case case_;
  const Launches& launches_;
  std::vector<unsigned char> places_;
  std::vector<float> packed_, turned_;
};

class Conv2dMmaWarpTest : public ::testing::TestWithParam<int> {};

TEST_P(Conv2dMmaWarpTest, IsItsTwin) {
  const char* wanted = std::getenv("DOVETAIL_TEST_SEED");
  const unsigned seed = wanted ? static_cast<unsigned>(std::stoul(wanted)) : std::random_device{}();
  SCOPED_TRACE(fmt::format("repeat with DOVETAIL_TEST_SEED={}", seed));
  testing::Random random(seed);
  const auto number = static_cast<std::size_t>(GetParam());
  HostRunner runner(number);
  testing::expect_twin(cases()[number], runner, random);
}

INSTANTIATE_TEST_SUITE_P(Cases, Conv2dMmaWarpTest,
                         ::testing::Range(0, static_cast<int>(cases().size())),
                         [](const auto& instance) {
                           const Case c = cases()[static_cast<std::size_t>(instance.param)];
                           return fmt::format("of_{}_on_{}x{}_to_{}_pool_{}_in_{}", c.extents.in,
                                              c.extents.height, c.extents.width, c.extents.out,
                                              c.pool, to_string(c.format));
                         });

}  // namespace
}  // namespace dovetail::warp
