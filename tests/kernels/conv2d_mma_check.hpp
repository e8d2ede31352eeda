// Convolutions for tensor cores against their twins, whoever runs them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "kernels/feature_maps.hpp"
#include "kernels/image_input.hpp"
#include "kernels/warp/cases.hpp"
#include "ops/reference/conv2d_pool.hpp"
#include "ops/reference/layout.hpp"
#include "ops/reference/round_operand.hpp"
#include "ops/reference/tile_statistics.hpp"

namespace dovetail::testing {

inline std::vector<double> rounded(std::vector<double> values, ComputeFormat format) {
  for (double& value : values)
    value = static_cast<double>(reference::round_operand(static_cast<float>(value), format));
  return values;
}

/// As TileStatistics.
struct Statistics {
  std::vector<float> means, deviations;
  int pixels = 0;
};

struct WeightGradient {
  std::vector<float> weight, bias;
};

/// Where rounding may decide which pixel of a window is its maximum: such windows get no gradient.
inline std::vector<bool> windows_with_two_maxima(const reference::Conv2dExtents& e, int pool,
                                                 const std::vector<double>& conv) {
  constexpr double close = 1e-4;
  const int height = e.out_height() / pool, width = e.out_width() / pool;
  std::vector<bool> open;
  for (int map = 0; map < e.batch * e.out; ++map) {
    for (int unit = 0; unit < height * width; ++unit) {
      double first = -INFINITY, second = -INFINITY;
      for (int place = 0; place < pool * pool; ++place) {
        const int row = unit / width * pool + place / pool,
                  column = unit % width * pool + place % pool;
        const double value = conv[extent((map * e.out_height() + row) * e.out_width() + column)];
        second = std::max(second, std::min(first, value));
        first = std::max(first, value);
      }
      open.push_back(first - second < close * std::max(1.0, std::abs(first)));
    }
  }
  return open;
}

/// Draws a law for a convolution's input and hands it to the runner: its rows.
template <typename Runner>
std::vector<float> draw_law(const warp::Case& c, Runner& runner, Random& random) {
  const auto stride = extent(c.shape.input.channel_stride), channels = extent(c.extents.in);
  const std::size_t pitch = stride + 16;
  std::vector<float> rows(3 * pitch, poison);
  for (std::size_t row = 0; row < 3; ++row) {
    const std::vector<double> values = random.normal(channels);
    for (std::size_t i = 0; i < stride; ++i)
      rows[row * pitch + i] = i < channels ? static_cast<float>(values[i]) : 0.0f;
  }
  runner.set_law(rows, static_cast<int>(pitch));
  return rows;
}

/// What a drawn law makes of x.
template <typename Runner>
std::vector<double> normalised(const warp::Case& c, const std::vector<double>& x, Runner& runner,
                               Random& random) {
  const reference::Conv2dExtents& e = c.extents;
  const std::vector<float> rows = draw_law(c, runner, random);
  const std::size_t pitch = rows.size() / 3, channels = extent(e.in);
  const std::size_t pixels = extent(e.height * e.width);
  std::vector<double> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float* law = rows.data() + i / pixels % channels;
    const float value = std::fma(static_cast<float>(x[i]) - law[0], law[pitch], law[2 * pitch]);
    y[i] = static_cast<double>(std::max(value, 0.0f));
  }
  return y;
}

/// Draws what a batch norm behind the convolution needs and hands it to the runner; what it makes
/// of dy, or of zeros, rounded as it rounds it.
template <typename Runner>
std::vector<double> through_norm(const warp::Case& c, Runner& runner, Random& random,
                                 std::vector<double> dy = {}) {
  const Layout& out = c.shape.output;
  dy.resize(extent(c.extents.batch * out.height * out.width * c.extents.out));
  const auto stride = extent(out.channel_stride), channels = extent(c.extents.out);
  const std::size_t pitch = stride + 16;
  std::vector<float> rows(6 * pitch, poison);
  for (const std::size_t row : {0u, 3u, 4u, 5u}) {
    const std::vector<double> values = random.normal(channels, 0.3);
    for (std::size_t i = 0; i < stride; ++i)
      rows[row * pitch + i] = i < channels ? static_cast<float>(values[i]) : 0.0f;
  }
  const std::vector<double> z = random.normal(dy.size());
  runner.set_output_norm(to_float(arrange(out, c.extents.batch, z)), rows, static_cast<int>(pitch));
  std::vector<double> dz(dy.size());
  for (std::size_t i = 0; i < dy.size(); ++i) {
    const float* law = rows.data() + i / extent(out.height * out.width) % channels;
    const float mean = law[0], scale = law[3 * pitch], offset = law[4 * pitch],
                slope = law[5 * pitch];
    dz[i] = static_cast<double>(
        std::fma(mean - static_cast<float>(z[i]), slope, static_cast<float>(dy[i]) - offset) *
        scale);
  }
  return dz;
}

/// @param runner  forward(x, weight, bias), input_gradient(dy, weight, x) and
///                weight_gradient(x, dy) on arrays in the device's layouts; what they do not write
///                must be poison.
template <typename Runner>
void expect_twin(const warp::Case& c, Runner& runner, Random& random) {
  constexpr double tolerance = 3e-5;  // tensor cores do not round their sums to the nearest
  const reference::Conv2dExtents& e = c.extents;
  const Layout &in = c.shape.input, &out = c.shape.output;
  const std::vector<double> raw = random.normal(e.x_size()),
                            weight = random.normal(e.weight_size()),
                            bias = random.normal(static_cast<std::size_t>(e.out));
  const std::vector<double> x = c.shape.normalised ? normalised(c, raw, runner, random) : raw;
  const std::vector<float> x_map = to_float(arrange(in, e.batch, raw));
  const std::vector<float> weights =
      reference::weight_to_device(to_float(weight), e.out, e.in, e.kernel);
  std::vector<float> biases = to_float(bias);
  biases.resize(static_cast<std::size_t>(out.channel_stride));
  const std::vector<double> rounded_x = rounded(x, c.format), rounded_w = rounded(weight, c.format);

  const std::vector<double> y = maps_of(out, e.batch, runner.forward(x_map, weights, biases));
  const std::vector<double> conv = reference::conv2d(e, rounded_x, rounded_w, bias, true);
  EXPECT_LT(relative_error(y, c.pool > 1 ? reference::conv2d_max_pool(e, c.pool, rounded_x,
                                                                      rounded_w, bias, true)
                                         : conv),
            tolerance);

  std::vector<double> dy = random.normal(y.size());
  const std::vector<bool> open = windows_with_two_maxima(e, c.pool, conv);
  for (std::size_t i = 0; i < dy.size(); ++i) dy[i] = y[i] <= 0 || open[i] ? 0 : dy[i];
  const std::vector<float> dy_map = to_float(arrange(out, e.batch, dy));
  if (c.shape.norm_gradient) dy = through_norm(c, runner, random, dy);
  const auto gradient_of = [&](const std::vector<double>& pooled) {
    return c.pool > 1 ? reference::conv2d_max_pool_gradient(e, c.pool, conv, pooled, true) : pooled;
  };
  const std::vector<double> gradient = gradient_of(rounded(dy, c.format));
  if (in.channel_stride % channel_lanes == 0) {
    EXPECT_LT(relative_error(maps_of(in, e.batch, runner.input_gradient(dy_map, weights, x_map)),
                             reference::conv2d_input_gradient(e, gradient, rounded_w, x, true)),
              tolerance);
  }
  const WeightGradient sums = runner.weight_gradient(x_map, dy_map);
  const std::vector<float> dweight =
      reference::weight_from_device(sums.weight, e.out, e.in, e.kernel);
  EXPECT_EQ(reference::weight_to_device(dweight, e.out, e.in, e.kernel), sums.weight)
      << "padding lanes of dweight are not zero";
  EXPECT_LT(relative_error({dweight.begin(), dweight.end()},
                           reference::conv2d_weight_gradient(e, rounded_x, gradient)),
            tolerance);
  EXPECT_LT(relative_error({sums.bias.begin(), sums.bias.begin() + e.out},
                           reference::conv2d_bias_gradient(e, gradient_of(dy))),
            tolerance);
}

/// Of the same convolution cut in several ways: forward and input gradient by warps keep their bits
/// whatever the cut, and so do those by warpgroups.
/// @param runner_of  makes what runs cuts[i], as for expect_twin.
template <typename RunnerOf>
void expect_one_order(const std::vector<warp::Case>& cuts, unsigned seed,
                      const RunnerOf& runner_of) {
  std::vector<double> outputs[2], gradients[2];  // by warps, by warpgroups
  const auto compare = [](std::vector<double>& first, std::vector<double> found) {
    if (first.empty()) {
      first = std::move(found);
    } else {
      EXPECT_TRUE(first == found) << "apart by " << relative_error(found, first);
    }
  };
  for (std::size_t i = 0; i < cuts.size(); ++i) {
    const warp::Case& c = cuts[i];
    SCOPED_TRACE(c.kernels.name(Direction::forward) + "; " +
                 c.kernels.name(Direction::input_gradient));
    const reference::Conv2dExtents& e = c.extents;
    const Layout &in = c.shape.input, &out = c.shape.output;
    Random random(seed);
    auto runner = runner_of(i);
    if (c.shape.normalised) draw_law(c, runner, random);
    const std::vector<float> x = to_float(arrange(in, e.batch, random.normal(e.x_size())));
    const std::vector<float> weight = reference::weight_to_device(
        to_float(random.normal(e.weight_size())), e.out, e.in, e.kernel);
    std::vector<float> bias = to_float(random.normal(extent(e.out)));
    bias.resize(extent(out.channel_stride));
    const std::vector<double> y = maps_of(out, e.batch, runner.forward(x, weight, bias));
    const std::vector<float> dy = to_float(arrange(out, e.batch, random.normal(y.size())));
    compare(outputs[c.kernels.forward && c.kernels.forward->by_warpgroup()], y);
    const auto& turned = c.kernels.input_gradient;
    compare(gradients[turned && turned->by_warpgroup()],
            maps_of(in, e.batch, runner.input_gradient(dy, weight, x)));
  }
}

/// What each tile says of each channel against what it should.
/// @param expected   of `count` pixels from `first` on.
/// @param tolerance  of a channel's two numbers, by the tile and the channel.
template <typename Expected, typename Tolerance>
void expect_tiles(const Statistics& found, const Layout& layout, int batch,
                  const Expected& expected, const Tolerance& tolerance) {
  const int pixels = batch * layout.height * layout.width;
  std::size_t at = 0;
  for (int first = 0; first < pixels; first += found.pixels) {
    const int count = std::min(found.pixels, pixels - first);
    const reference::TileMoments moments = expected(first, count);
    const auto allowed = tolerance(first, count, moments);
    for (int channel = 0; channel < layout.channel_stride; ++channel, ++at) {
      const auto place = extent(channel);
      const auto [of_first, of_second] = allowed(place);
      ASSERT_NEAR(static_cast<double>(found.means[at]), moments.first[place], of_first)
          << "channel " << channel << " of the tile from pixel " << first << " on";
      ASSERT_NEAR(static_cast<double>(found.deviations[at]), moments.second[place], of_second)
          << "channel " << channel << " of the tile from pixel " << first << " on";
    }
  }
}

/// Of a shape that asks for them, of values around `mean`.
/// @param runner  forward(x, weight, bias), which rectifies, and statistics() of that.
template <typename Runner>
void expect_statistics(const warp::Case& c, Runner& runner, Random& random, double mean) {
  const reference::Conv2dExtents& e = c.extents;
  const Layout &in = c.shape.input, &out = c.shape.output;
  if (c.shape.normalised) draw_law(c, runner, random);
  const std::vector<float> x = to_float(arrange(in, e.batch, random.normal(e.x_size())));
  const std::vector<float> weight =
      reference::weight_to_device(to_float(random.normal(e.weight_size())), e.out, e.in, e.kernel);
  std::vector<float> bias = to_float(random.normal(extent(e.out), mean));
  bias.resize(extent(out.channel_stride));
  const std::vector<float> y = runner.forward(x, weight, bias);
  const auto moments = [&](int first, int count) {
    return reference::tile_moments(y, out, first, count);
  };
  const auto tolerance = [](int, int count, const reference::TileMoments& expected) {
    return [count, &expected](std::size_t channel) {
      const double mean_there = expected.first[channel], deviations = expected.second[channel];
      const double spread = std::sqrt(deviations / count);
      // Means of parts are rounded, which the deviations between them show: at most so much.
      const double rounded_means = 3e-7 * std::abs(mean_there) * std::sqrt(count * deviations);
      // Where few values are far from the mean, their rounding shows in it.
      const double rounded_values = 3e-7 * std::sqrt(deviations);
      return std::pair(1e-6 * (std::abs(mean_there) + spread) + rounded_values,
                       1e-5 * deviations + rounded_means);
    };
  };
  expect_tiles(runner.statistics(), out, e.batch, moments, tolerance);
}

/// Of a shape that asks for them.
/// @param runner  forward(x, weight, bias), input_gradient(dy, weight, x) and gradient_sums() of
///                that, whose means are the sums and whose deviations the products.
template <typename Runner>
void expect_gradient_sums(const warp::Case& c, Runner& runner, Random& random) {
  const reference::Conv2dExtents& e = c.extents;
  const Layout &in = c.shape.input, &out = c.shape.output;
  const std::vector<float> law = draw_law(c, runner, random);
  const std::vector<float> x = to_float(arrange(in, e.batch, random.normal(e.x_size(), 0.3)));
  const std::vector<float> weight =
      reference::weight_to_device(to_float(random.normal(e.weight_size())), e.out, e.in, e.kernel);
  const std::vector<float> dy = to_float(
      arrange(out, e.batch, random.normal(extent(e.batch * out.height * out.width * e.out))));
  runner.forward(x, weight, std::vector<float>(extent(out.channel_stride)));
  const std::vector<float> dx = runner.input_gradient(dy, weight, x);
  std::vector<float> sizes_x = x, sizes_dx = dx;
  for (float& each : sizes_dx) each = std::abs(each);
  for (std::size_t i = 0; i < x.size(); ++i) {
    // Of either sign against the mean; padding lanes have none.
    const std::size_t channel = i % extent(in.channel_stride);
    sizes_x[i] = law[channel] + std::abs(x[i] - law[channel]);
  }
  const auto sums = [&](int first, int count) {
    return reference::tile_gradients(x, dx, in, law, first, count);
  };
  const auto tolerance = [&](int first, int count, const reference::TileMoments&) {
    return [sizes = reference::tile_gradients(sizes_x, sizes_dx, in, law, first, count)](
               std::size_t channel) {
      return std::pair(1e-5 * sizes.first[channel], 1e-5 * sizes.second[channel]);
    };
  };
  expect_tiles(runner.gradient_sums(), in, e.batch, sums, tolerance);
}

/// Images of few channels against the input that they make.
/// @param runner  forward(x, weight, bias) and forward_images(images, x, weight, bias), which
///                writes x; weight_gradient(x, dy) behind either.
template <typename Runner>
void expect_images_are_inputs(const warp::Case& c, Runner& runner, Random& random) {
  const reference::Conv2dExtents& e = c.extents;
  const auto batch = static_cast<std::size_t>(e.batch), channels = static_cast<std::size_t>(e.in);
  const ImageExtents extents{batch, channels, static_cast<std::size_t>(e.height),
                             static_cast<std::size_t>(e.width)};
  const ImageInput images = random_images(extents, random);
  const std::vector<double> x = images.values(extents);
  const std::vector<float> map = to_float(arrange(c.shape.input, e.batch, x));
  const std::vector<float> weight =
      reference::weight_to_device(to_float(random.normal(e.weight_size())), e.out, e.in, e.kernel);
  std::vector<float> bias = to_float(random.normal(static_cast<std::size_t>(e.out)));
  bias.resize(static_cast<std::size_t>(c.shape.output.channel_stride));
  // Borders are zeros, and the interior is not there yet.
  std::vector<float> made = to_float(
      arrange(c.shape.input, e.batch, std::vector<double>(x.size(), static_cast<double>(poison))));
  const std::vector<float> dy =
      to_float(arrange(c.shape.output, e.batch,
                       random.normal(batch * static_cast<std::size_t>(e.out) *
                                     static_cast<std::size_t>(c.shape.output.height) *
                                     static_cast<std::size_t>(c.shape.output.width))));
  const auto interior = [&](const std::vector<float>& y) {
    return to_float(maps_of(c.shape.output, e.batch, y));
  };
  const auto statistics = [&] {
    if constexpr (requires { runner.statistics(); }) {
      if (c.shape.statistics) return runner.statistics();
    }
    return Statistics{};
  };
  const std::vector<float> y_of_images =
      interior(runner.forward_images(images, made, weight, bias));
  const Statistics of_images = statistics();
  EXPECT_EQ(y_of_images, interior(runner.forward(map, weight, bias)));
  EXPECT_EQ(of_images.means, statistics().means);
  EXPECT_EQ(of_images.deviations, statistics().deviations);
  std::size_t unseen = 0;
  for (std::size_t i = 0; i < map.size(); ++i) {
    if (made[i] == poison) {
      ++unseen;
    } else {
      ASSERT_EQ(made[i], map[i]) << "float " << i << " of the input";
    }
  }
  if (e.stride == 1 && c.pool == 1) {
    EXPECT_EQ(unseen, 0u);
  }
  if (c.shape.norm_gradient) through_norm(c, runner, random);
  const WeightGradient from_made = runner.weight_gradient(made, dy),
                       from_map = runner.weight_gradient(map, dy);
  EXPECT_EQ(from_made.weight, from_map.weight);
  EXPECT_EQ(from_made.bias, from_map.bias);
}

}  // namespace dovetail::testing
