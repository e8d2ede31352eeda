// Counts of magnitudes against their twin.
#include "ops/magnitudes.hpp"

#include <bit>
#include <limits>

#include "kernels/feature_maps.hpp"
#include "ops/reference/magnitudes.hpp"

namespace dovetail {
namespace {

using namespace testing;

class MagnitudesTest : public BothVariants {};
INSTANTIATE_TEST_SUITE_P(Ops, MagnitudesTest, ::testing::Values(Variant::cpu, Variant::gpu),
                         variant_name);

/// Values over all octaves, a third of them zero, in a map whose halo and padding lanes hold what
/// must not be counted.
std::vector<float> random_map(const Layout& layout, Random& random) {
  std::vector<float> x(layout.size(), 1e30f);
  const std::vector<double> mantissas = random.normal(layout.size());
  for_each_element(layout, layout.batch, [&](std::size_t i, std::size_t at) {
    const int octave = random.integer(-30, 30);
    x[at] = random.integer(0, 2) == 0 ? 0.0f : static_cast<float>(std::ldexp(mantissas[i], octave));
  });
  return x;
}

TEST_P(MagnitudesTest, IsTheTwin) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  Random random(seed);
  Magnitudes magnitudes(test_device(), GetParam());
  const struct {
    Layout layout;
    int batch, every;
  } cases[] = {{feature_map(3, 20, 7, 5, 1), 3, 16},
               {feature_map(5, 9, 9, 32, 2), 4, 1},
               {feature_map(40, 1, 1, 10), 33, 1},
               {input_map(3, 19, 11, 3, 1), 2, 16}};
  for (const auto& [layout, batch, every] : cases) {
    std::vector<float> x = random_map(layout, random);
    // The padding lanes of a feature map are zero, as plans keep them.
    if (layout.channel_stride != layout.channels) {
      for (std::size_t i = 0; i < x.size(); ++i) {
        if (i % extent(layout.channel_stride) >= extent(layout.channels)) x[i] = 0;
      }
    }
    const opencl::Buffer values = test_device().upload(std::span<const float>(x));
    constexpr std::size_t first = 7;
    const std::vector<std::uint32_t> zero(first + Magnitudes::elements + 3);
    const opencl::Buffer seen = test_device().upload(std::span(zero));
    magnitudes.add(layout, values, batch, every, seen, first);
    magnitudes.add(layout, values, batch, every, seen, first);  // adds up
    const auto found = test_device().download<std::uint32_t>(seen);
    const reference::SeenMagnitudes expected = reference::magnitudes(layout, x, batch, every);
    for (std::size_t bin = 0; bin < MagnitudeBins::count; ++bin)
      EXPECT_EQ(found[first + bin], 2 * expected.counts[bin]) << "bin " << bin;
    EXPECT_EQ(std::bit_cast<float>(found[first + MagnitudeBins::count]), expected.largest);
    for (std::size_t i = 0; i < first; ++i) EXPECT_EQ(found[i], 0u);
    for (std::size_t i = first + Magnitudes::elements; i < found.size(); ++i)
      EXPECT_EQ(found[i], 0u);
  }
}

TEST_P(MagnitudesTest, CountsWhatIsNoNumberAboveAll) {
  Magnitudes magnitudes(test_device(), GetParam());
  const Layout layout = feature_map(1, 1, 1, 16);
  std::vector<float> x(layout.size(), -2.0f);
  x[3] = std::numeric_limits<float>::quiet_NaN();
  const opencl::Buffer values = test_device().upload(std::span<const float>(x));
  const std::vector<std::uint32_t> zero(Magnitudes::elements);
  const opencl::Buffer seen = test_device().upload(std::span(zero));
  magnitudes.add(layout, values, 1, 1, seen, 0);
  auto found = test_device().download<std::uint32_t>(seen);
  EXPECT_EQ(found[MagnitudeBins::count - 1], 1u);
  EXPECT_EQ(std::bit_cast<float>(found.back()), 2.0f);
  x[9] = std::numeric_limits<float>::infinity();
  test_device().write(values, x.data(), x.size() * sizeof(float));
  magnitudes.add(layout, values, 1, 1, seen, 0);
  found = test_device().download<std::uint32_t>(seen);
  EXPECT_EQ(found[MagnitudeBins::count - 1], 3u);
  EXPECT_EQ(std::bit_cast<float>(found.back()), std::numeric_limits<float>::infinity());
}

TEST_P(MagnitudesTest, RefusesWhatHasNoRoom) {
  Magnitudes magnitudes(test_device(), GetParam());
  const Layout layout = feature_map(2, 1, 1, 16);
  const opencl::Buffer values = test_device().allocate(layout.bytes());
  const opencl::Buffer seen = test_device().allocate(Magnitudes::elements * sizeof(std::uint32_t));
  EXPECT_ANY_THROW(magnitudes.add(layout, values, 3, 1, seen, 0));
  EXPECT_ANY_THROW(magnitudes.add(layout, values, 2, 0, seen, 0));
  EXPECT_ANY_THROW(magnitudes.add(layout, values, 2, 1, seen, 1));
}

}  // namespace
}  // namespace dovetail
