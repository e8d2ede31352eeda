// The integer kernels against their twins, bit for bit, on random shapes in every width of weights
// and activations.
#include "ops/integer.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/compute_fixture.hpp"
#include "ops/reference/integer.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using reference::IntegerMaps;

IntegerMap extents(const IntegerMaps& maps) {
  return {maps.channels, maps.height, maps.width};
}

/// A format: the weights' values, and the widths of what comes in and goes out.
struct Widths {
  int lowest, highest;  // weights; binary ones, -1 and +1, are never 0
  int in_bits, out_bits;
};

std::vector<Widths> all_widths() {
  std::vector<Widths> widths;
  for (const auto& [lowest, highest] : {std::pair{-1, 1}, {0, 1}, {-2, 1}, {-8, 7}, {-128, 127}}) {
    for (const int in : {1, 2, 4, 8}) {
      for (const int out : {1, 2, 4, 8}) widths.push_back({lowest, highest, in, out});
    }
  }
  return widths;
}

class IntegerTest : public DeviceTest<int> {
 protected:
  /// Values that activations of so many bits take.
  IntegerMaps random_maps(int batch, int channels, int height, int width, int bits) {
    IntegerMaps maps(batch, channels, height, width);
    for (std::int8_t& value : maps.values) {
      value = static_cast<std::int8_t>(bits == 8   ? between(-128, 127)
                                       : bits == 1 ? 2 * between(0, 1) - 1
                                                   : between(0, (1 << bits) - 1));
    }
    return maps;
  }

  int random_weight(const Widths& widths) {
    if (widths.lowest == 0) return 2 * between(0, 1) - 1;
    return between(widths.lowest, widths.highest);
  }

  /// Thresholds and factors that spread the accumulators of `taps` products over the codes.
  reference::IntegerActivation random_activation(const Widths& widths, int taps) {
    reference::IntegerActivation activation;
    const int largest = std::max(-widths.lowest, widths.highest) *
                        (widths.in_bits == 8   ? 128
                         : widths.in_bits == 1 ? 1
                                               : (1 << widths.in_bits) - 1);
    const int spread = std::max(4, static_cast<int>(largest * std::sqrt(taps)));
    activation.bias = between(-spread, spread);
    activation.multiplier = between(1 << 30, 2147483647) * (between(0, 3) == 0 ? -1 : 1);
    activation.shift = 24;  // a spread of 2^s counts 2^7 codes
    for (int s = spread; s > 1; s /= 2) ++activation.shift;
    activation.low = between(0, 1) == 0 ? 0 : -128;
    for (int t = 0; widths.out_bits < 8 && t < (1 << widths.out_bits) - 1; ++t)
      activation.thresholds.push_back(between(-spread, spread));
    std::sort(activation.thresholds.begin(), activation.thresholds.end());
    activation.downwards = between(0, 1) == 1;
    return activation;
  }

  /// A filter in both forms. `rows` × `columns`: of a dense layer, whose twin takes its inputs
  /// flattened.
  struct Filters {
    reference::IntegerFilter twin;
    IntegerFilter ours;
  };
  Filters random_filters(const IntegerMap& inputs, int outputs, bool conv, const Widths& widths) {
    const std::int32_t low = between(0, 1) == 0 ? 0 : -128;
    Filters filters{{}, IntegerFilter(inputs, outputs, widths.out_bits, low)};
    filters.twin.in = conv ? inputs.channels : inputs.channels * inputs.pixels();
    filters.twin.out = outputs;
    filters.twin.kernel = conv ? inputs.height : 1;
    filters.twin.bits = widths.out_bits;
    for (int out = 0; out < outputs; ++out) {
      for (int in = 0; in < inputs.channels; ++in) {
        for (int p = 0; p < inputs.pixels(); ++p) {
          const auto weight = static_cast<std::int8_t>(random_weight(widths));
          filters.twin.weight.push_back(weight);
          filters.ours.set_weight(out, in, p / inputs.width, p % inputs.width, weight);
        }
      }
      reference::IntegerActivation a = random_activation(widths, inputs.channels * inputs.pixels());
      a.low = low;
      if (widths.out_bits < 8) {
        filters.ours.set_thresholds(out, a.thresholds, a.downwards);
      } else {
        filters.ours.set_requantisation(out, a.bias, a.multiplier, a.shift);
      }
      filters.twin.activation.push_back(a);
    }
    return filters;
  }

  opencl::Buffer to_device(const IntegerMaps& maps) {
    const IntegerMap map = extents(maps);
    std::vector<std::int8_t> stored(static_cast<std::size_t>(maps.batch) * map.bytes());
    each(maps, [&](std::size_t i, std::size_t at) { stored[at] = maps.values[i]; });
    return device().upload(std::span<const std::int8_t>(stored));
  }
  /// Where every value must be, and zeros everywhere else.
  void expect_on_device(const opencl::Buffer& buffer, const IntegerMaps& expected) {
    auto stored = device().download<std::int8_t>(buffer);
    std::vector<std::int8_t> values(expected.values.size());
    each(expected, [&](std::size_t i, std::size_t at) {
      values[i] = stored[at];
      stored[at] = 0;
    });
    EXPECT_EQ(values, expected.values);
    EXPECT_EQ(std::count(stored.begin(), stored.end(), 0), std::ssize(stored)) << "padding lanes";
  }
  opencl::Buffer poisoned_map(const IntegerMaps& maps) {
    return device().upload(std::span<const std::int8_t>(std::vector<std::int8_t>(
        static_cast<std::size_t>(maps.batch) * extents(maps).bytes(), 85)));
  }
  IntegerKernels& kernels() {
    static IntegerKernels built(device());
    return built;
  }

 private:
  template <typename Visit>
  static void each(const IntegerMaps& maps, Visit visit) {
    const IntegerMap map = extents(maps);
    for (int n = 0; n < maps.batch; ++n)
      for (int c = 0; c < maps.channels; ++c)
        for (int y = 0; y < maps.height; ++y)
          for (int x = 0; x < maps.width; ++x)
            visit(maps.index(n, c, y, x),
                  static_cast<std::size_t>(n) * map.bytes() + map.index(c, y, x));
  }
};

TEST_F(IntegerTest, InputQuantisationEqualsItsTwin) {
  for (int round = 0; round < 6; ++round) {
    IntegerMaps expected(between(1, 5), between(1, 4), between(1, 30), between(1, 30));
    std::vector<std::uint8_t> pixels(expected.values.size());
    for (auto& pixel : pixels) pixel = static_cast<std::uint8_t>(between(0, 255));
    std::vector<std::int8_t> tables(static_cast<std::size_t>(expected.channels) * 256);
    for (auto& code : tables) code = static_cast<std::int8_t>(between(-127, 127));
    reference::quantise_input(pixels.data(), tables.data(), expected);
    const opencl::Buffer y = poisoned_map(expected);
    kernels().quantise_input(device().upload(std::span<const std::uint8_t>(pixels)),
                             device().upload(std::span<const std::int8_t>(tables)), y,
                             extents(expected), expected.batch);
    expect_on_device(y, expected);
  }
}

TEST_F(IntegerTest, ConvolutionsEqualTheirTwinInEveryFormat) {
  for (const Widths& widths : all_widths()) {
    const int kernel = between(1, 5), padding = between(0, kernel - 1), stride = between(1, 3);
    const IntegerMaps x = random_maps(between(1, 3), between(1, 40), between(kernel, 13),
                                      between(kernel, 13), widths.in_bits);
    const Filters filters =
        random_filters({x.channels, kernel, kernel}, between(1, 40), true, widths);
    IntegerMaps y(x.batch, filters.twin.out, (x.height + 2 * padding - kernel) / stride + 1,
                  (x.width + 2 * padding - kernel) / stride + 1);
    reference::conv2d(x, filters.twin, stride, padding, y);
    const opencl::Buffer on_device = poisoned_map(y);
    kernels().conv2d(to_device(x), extents(x), kernels().load(filters.ours), stride, padding,
                     on_device, extents(y), x.batch);
    SCOPED_TRACE(fmt::format("weights {}..{}, {} to {} bits, kernel {}, stride {}, padding {}",
                             widths.lowest, widths.highest, widths.in_bits, widths.out_bits, kernel,
                             stride, padding));
    expect_on_device(on_device, y);
  }
}

TEST_F(IntegerTest, DenseLayersEqualTheirTwinInEveryFormat) {
  for (const Widths& widths : all_widths()) {
    const IntegerMaps x =
        random_maps(between(1, 70), between(1, 70), between(1, 4), between(1, 4), widths.in_bits);
    const Filters filters = random_filters(extents(x), between(1, 70), false, widths);
    IntegerMaps y(x.batch, filters.twin.out, 1, 1);
    reference::dense(x, filters.twin, y);
    const opencl::Buffer on_device = poisoned_map(y);
    kernels().dense(to_device(x), kernels().load(filters.ours), on_device, x.batch);
    SCOPED_TRACE(fmt::format("weights {}..{}, {} to {} bits", widths.lowest, widths.highest,
                             widths.in_bits, widths.out_bits));
    expect_on_device(on_device, y);
  }
}

TEST_F(IntegerTest, RawAccumulatorsEqualTheirTwin) {
  for (const int in_bits : {1, 2, 4, 8}) {
    const IntegerMaps x =
        random_maps(between(1, 70), between(1, 300), between(1, 3), between(1, 3), in_bits);
    const Filters filters =
        random_filters(extents(x), between(1, 40), false, {-128, 127, in_bits, 32});
    std::vector<std::int32_t> expected;
    reference::dense_raw(x, filters.twin, expected);
    const auto stored = static_cast<std::size_t>((filters.twin.out + 15) / 16 * 16);
    const opencl::Buffer y = device().upload(std::span<const std::int32_t>(
        std::vector<std::int32_t>(static_cast<std::size_t>(x.batch) * stored, 85)));
    kernels().dense(to_device(x), kernels().load(filters.ours), y, x.batch);
    const auto got = device().download<std::int32_t>(y);
    for (std::size_t i = 0; i < got.size(); ++i) {
      const std::size_t n = i / stored, out = i % stored,
                        outputs = static_cast<std::size_t>(filters.twin.out);
      ASSERT_EQ(got[i], out < outputs ? expected[n * outputs + out] : 0) << n << ' ' << out;
    }
  }
}

TEST_F(IntegerTest, MaxPoolsEqualTheirTwin) {
  for (int round = 0; round < 12; ++round) {
    const int window = between(1, 4), stride = between(1, 3);
    const IntegerMaps x = random_maps(between(1, 3), between(1, 40), between(window, 17),
                                      between(window, 17), one_of({1, 2, 4, 8}));
    IntegerMaps y(x.batch, x.channels, (x.height - window) / stride + 1,
                  (x.width - window) / stride + 1);
    reference::max_pool(x, window, stride, y);
    // The twin knows no padding lanes; on the device they are zeros, and so are their maxima.
    const opencl::Buffer on_device = poisoned_map(y);
    kernels().max_pool(to_device(x), extents(x), window, stride, on_device, extents(y), x.batch);
    expect_on_device(on_device, y);
  }
}

TEST_F(IntegerTest, ShapesThatDoNotFitAreRefused) {
  const IntegerMap in{3, 8, 8};
  const opencl::Buffer x = device().allocate(4 * in.bytes()), y = device().allocate(4096);
  IntegerFilter filter({3, 3, 3}, 5, 4);
  const IntegerKernels::Loaded loaded = kernels().load(filter);
  EXPECT_THROW(kernels().conv2d(x, in, loaded, 1, 0, y, {5, 8, 8}, 1), Error);
  EXPECT_THROW(kernels().conv2d(x, in, loaded, 1, 0, y, {4, 6, 6}, 1), Error);
  EXPECT_THROW(kernels().conv2d(x, in, loaded, 1, 0, y, {5, 6, 6}, 0), Error);
  EXPECT_THROW(kernels().max_pool(x, in, 2, 2, y, {3, 3, 4}, 1), Error);
  EXPECT_THROW(IntegerFilter({3, 3, 3}, 5, 3), Error);
  EXPECT_THROW(filter.set_requantisation(0, 0, 0, 1), Error);
  EXPECT_THROW(filter.set_thresholds(0, std::vector<std::int32_t>(3), false), Error);
}

}  // namespace
}  // namespace dovetail
