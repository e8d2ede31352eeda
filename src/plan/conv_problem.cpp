// Trials of convolutions: random operands, launches, and the twin on some images.
#include "plan/conv_problem.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "ops/conv2d_tiles.hpp"
#include "ops/reference/conv2d_pool.hpp"
#include "ops/reference/layout.hpp"
#include "ops/reference/tile_statistics.hpp"
#include "plan/trial_operands.hpp"
#include "support/error.hpp"

namespace dovetail::plan {
namespace {

/// Random in the interior, zero in halo and padding lanes.
std::vector<float> random_maps(const Layout& layout, std::uint64_t seed) {
  const int pixels = layout.channels * layout.height * layout.width;
  return reference::to_device(random_values(extent(layout.batch) * extent(pixels), seed), layout);
}

reference::Conv2dExtents extents_of(const Conv2dPoolShape& shape, std::size_t images,
                                    std::size_t ins, std::size_t outs) {
  return {
      static_cast<int>(images), static_cast<int>(ins), static_cast<int>(outs), shape.input.height,
      shape.input.width,        shape.kernel,          shape.stride,           shape.padding};
}

/// As many images, from the first to the last, as cost the twin no long time.
std::vector<int> seen_images(const Conv2dPoolShape& shape) {
  constexpr double most_products = 4e7;
  const Layout y = conv_tiles::convolution(shape).output;
  const double each =
      1.0 * y.height * y.width * y.channels * shape.kernel * shape.kernel * shape.input.channels;
  const int batch = shape.input.batch;
  const int count = std::clamp(static_cast<int>(most_products / each), 1, batch);
  std::vector<int> images;
  for (int i = 1; i < count; ++i) images.push_back((i - 1) * (batch - 1) / (count - 1));
  images.push_back(batch - 1);
  return images;
}

}  // namespace

ConvProblem::ConvProblem(opencl::Device& device, const Conv2dPoolShape& shape, ComputeFormat format,
                         Direction direction)
    : device_(device),
      shape_(shape),
      format_(format),
      direction_(direction),
      seen_(seen_images(shape)) {
  const int in = shape.input.channels, out = shape.output.channels;
  x_ = random_maps(shape.input, 1);
  dy_ = random_maps(shape.output, 2);
  const std::vector<float> raw = shape.normalised ? normalise_x() : x_;
  const std::size_t elements = extent(out * in * shape.kernel * shape.kernel);
  weight_ = reference::weight_to_device(random_values(elements, 3), out, in, shape.kernel);
  bias_ = random_values(extent(out), 4);
  bias_.resize(extent(shape.output.channel_stride), 0.0f);
  if (direction == Direction::forward || shape.pool > 1) {
    conv_ = reference::conv2d<double>(extents_of(shape, seen_.size(), extent(in), extent(out)),
                                      maps(x_, shape.input, all_of(in), format),
                                      weights(weight_, all_of(out), all_of(in), format),
                                      {bias_.begin(), bias_.begin() + out}, false);
  }
  if (direction != Direction::forward) clear_gradients();
  const bool norms = shape.norm_gradient && direction == Direction::weight_gradient;
  const std::vector<float> raw_dy = norms ? take_dy_through_norm() : dy_;
  const auto upload = [&](const std::vector<float>& values) {
    return device.upload(std::span<const float>(values));
  };
  x_buffer_ = upload(raw);
  weight_buffer_ = upload(weight_);
  bias_buffer_ = upload(bias_);
  if (direction == Direction::forward) return;
  dbias_buffer_ = device.allocate(bias_.size() * sizeof(float));
  dy_buffer_ = upload(raw_dy);
  y_buffer_ = device.allocate_zeroed(dy_.size() * sizeof(float));
}

std::vector<float> ConvProblem::normalise_x() {
  const Layout& x = shape_.input;
  const auto row = extent(x.channel_stride);
  std::vector<float> law(3 * row);
  SplitMix64 random(5);
  for (std::size_t c = 0; c < extent(x.channels); ++c) {
    law[c] = random.uniform(-0.5f, 0.5f);
    law[row + c] = random.uniform(-2, 2);
    law[2 * row + c] = random.uniform(-1, 1);
  }
  const std::vector<float> raw = x_;
  for (int n = 0; n < x.batch; ++n) {
    for (int i = 0; i < x.height * x.width; ++i) {
      for (std::size_t c = 0; c < extent(x.channels); ++c) {
        float& value = x_[x.index(n, i / x.width, i % x.width, static_cast<int>(c))];
        value = std::max(std::fma(value - law[c], law[row + c], law[2 * row + c]), 0.0f);
      }
    }
  }
  law_ = {device_.upload(std::span<const float>(law)), x.channel_stride};
  return raw;
}

std::vector<float> ConvProblem::take_dy_through_norm() {
  const Layout& y = shape_.output;
  const auto row = extent(y.channel_stride);
  std::vector<float> law(6 * row), z = random_maps(y, 6), raw = dy_;
  SplitMix64 random(7);
  for (std::size_t c = 0; c < extent(y.channels); ++c) {
    law[c] = random.uniform(-0.5f, 0.5f);
    law[3 * row + c] = random.uniform(-2, 2);
    law[4 * row + c] = random.uniform(-0.5f, 0.5f);
    law[5 * row + c] = random.uniform(-1, 1);
  }
  std::vector<bool> is_seen(extent(y.batch));
  for (const int n : seen_) is_seen[extent(n)] = true;
  for (int n = 0; n < y.batch; ++n) {
    for (int i = 0; i < y.height * y.width; ++i) {
      for (std::size_t c = 0; c < extent(y.channels); ++c) {
        const float mean = law[c], offset = law[4 * row + c];
        const std::size_t at = y.index(n, i / y.width, i % y.width, static_cast<int>(c));
        if (!is_seen[extent(n)]) z[at] = mean, raw[at] = offset;  // of which it makes zeros
        dy_[at] = std::fma(mean - z[at], law[5 * row + c], raw[at] - offset) * law[3 * row + c];
      }
    }
  }
  z_buffer_ = device_.upload(std::span<const float>(z));
  output_law_ = {device_.upload(std::span<const float>(law)), y.channel_stride};
  return raw;
}

void ConvProblem::clear_gradients() {
  constexpr double clear = 1e-3;  // of the values' size
  const Layout& y = shape_.output;
  const Layout before = conv_tiles::convolution(shape_).output;
  double squares = 0;
  for (const double value : conv_) squares += value * value;
  const double least =
      conv_.empty() ? 0 : clear * std::sqrt(squares / static_cast<double>(conv_.size()));
  // Of a window of the pool: how far its maximum is above the rest.
  const auto lead = [&](std::size_t map, int row, int column) {
    double first = -INFINITY, second = -INFINITY;
    for (int i = 0; i < shape_.pool * shape_.pool; ++i) {
      const int r = row * shape_.pool + i / shape_.pool, c = column * shape_.pool + i % shape_.pool;
      const double value =
          conv_[(map * extent(before.height) + extent(r)) * extent(before.width) + extent(c)];
      second = std::max(second, std::min(first, value));
      first = std::max(first, value);
    }
    return first - second;
  };
  std::vector<float> cleared(dy_.size());
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    for (int c = 0; c < y.channels; ++c) {
      const std::size_t map = i * extent(y.channels) + extent(c);
      for (int row = 0; row < y.height; ++row) {
        for (int column = 0; column < y.width; ++column) {
          const std::size_t at = y.index(seen_[i], row, column, c);
          if (shape_.pool == 1 || lead(map, row, column) > least) cleared[at] = dy_[at];
        }
      }
    }
  }
  dy_ = std::move(cleared);
}

void ConvProblem::prepare_result() {
  result_ = poisoned_result(device_, direction_, x_.size(), dy_.size(), weight_.size());
}

std::vector<double> ConvProblem::maps(const std::vector<float>& values, const Layout& layout,
                                      const std::vector<int>& channels,
                                      ComputeFormat format) const {
  std::vector<double> canonical;
  for (const int n : seen_) {
    for (const int c : channels) {
      for (int row = 0; row < layout.height; ++row) {
        for (int column = 0; column < layout.width; ++column)
          canonical.push_back(
              reference::round_operand(values[layout.index(n, row, column, c)], format));
      }
    }
  }
  return canonical;
}

std::vector<double> ConvProblem::weights(const std::vector<float>& values,
                                         const std::vector<int>& outs, const std::vector<int>& ins,
                                         ComputeFormat format) const {
  std::vector<double> canonical;
  for (const int o : outs) {
    for (const int i : ins) {
      for (int tap = 0; tap < shape_.kernel * shape_.kernel; ++tap) {
        const int row = tap * shape_.input.channels + i;
        canonical.push_back(reference::round_operand(
            values[extent(row) * extent(shape_.output.channel_stride) + extent(o)], format));
      }
    }
  }
  return canonical;
}

std::vector<double> ConvProblem::gradient_before_pool() const {
  std::vector<double> dy = maps(dy_, shape_.output, all_of(shape_.output.channels), format_);
  if (shape_.pool == 1) return dy;
  const auto e = extents_of(shape_, seen_.size(), extent(shape_.input.channels),
                            extent(shape_.output.channels));
  return reference::conv2d_max_pool_gradient(e, shape_.pool, conv_, dy, false);
}

std::string ConvProblem::forward_fault(const std::vector<float>& result) const {
  const Layout& y = shape_.output;
  for (int n = 0; n < y.batch; ++n) {
    for (int row = 0; row < y.height; ++row) {
      const auto line = result.begin() + static_cast<std::ptrdiff_t>(y.index(n, row, 0, 0));
      if (std::any_of(line, line + y.width * y.channel_stride,
                      [](float value) { return std::isnan(value); }))
        return "a part of its result is no number, or not written";
    }
  }
  const auto e =
      extents_of(shape_, seen_.size(), extent(shape_.input.channels), extent(y.channels));
  std::vector<double> expected =
      shape_.pool > 1 ? reference::max_pool(reference::pool_behind(e, shape_.pool), conv_) : conv_;
  for (double& value : expected) value = std::max(value, 0.0);
  return plan::fault_of(maps(result, y, all_of(y.channels), ComputeFormat::float32), expected,
                        format_);
}

template <typename Moments>
std::string ConvProblem::fault_of_tiles(const Layout& layout, int tile_pixels,
                                        const opencl::Buffer& first, const opencl::Buffer& second,
                                        const Moments& moments) const {
  const std::vector<float> found_first = device_.download<float>(first),
                           found_second = device_.download<float>(second);
  const int pixels = layout.batch * layout.height * layout.width;
  std::array<std::vector<double>, 2> found, expected;
  for (const int tile : spots_of((pixels - 1) / tile_pixels + 1)) {
    const int start = tile * tile_pixels;
    const reference::TileMoments wanted = moments(start, std::min(tile_pixels, pixels - start));
    const std::size_t line = extent(tile) * extent(layout.channel_stride);
    for (std::size_t c = 0; c < wanted.first.size(); ++c) {
      found[0].push_back(static_cast<double>(found_first[line + c]));
      expected[0].push_back(wanted.first[c]);
      found[1].push_back(static_cast<double>(found_second[line + c]));
      expected[1].push_back(wanted.second[c]);
    }
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::string wrong = plan::fault_of(found[i], expected[i], ComputeFormat::float32);
    if (!wrong.empty()) return "statistics: " + wrong;
  }
  return "";
}

std::string ConvProblem::fault_of(const TileStatistics& tiles) const {
  const std::vector<float> y = device_.download<float>(result_);
  return fault_of_tiles(shape_.output, tiles.pixels, tiles.means, tiles.deviations,
                        [&](int first, int pixels) {
                          return reference::tile_moments(y, shape_.output, first, pixels);
                        });
}

std::string ConvProblem::fault_of(const TileGradients& tiles) const {
  const std::vector<float> dx = device_.download<float>(result_),
                           x = device_.download<float>(x_buffer_),
                           law = device_.download<float>(law_.rows);
  return fault_of_tiles(shape_.input, tiles.pixels, tiles.sums, tiles.products,
                        [&](int first, int pixels) {
                          return reference::tile_gradients(x, dx, shape_.input, law, first, pixels);
                        });
}

std::string ConvProblem::fault() const {
  const std::vector<float> result = device_.download<float>(result_);
  if (direction_ == Direction::forward) return forward_fault(result);
  const int in = shape_.input.channels, out = shape_.output.channels;
  const ComputeFormat exact = ComputeFormat::float32;
  const std::vector<double> gradient = gradient_before_pool();
  if (direction_ == Direction::input_gradient) {
    const std::vector<int> some = spots_of(in);
    return plan::fault_of(maps(result, shape_.input, some, exact),
                          reference::conv2d_input_gradient<double>(
                              extents_of(shape_, seen_.size(), some.size(), extent(out)), gradient,
                              weights(weight_, all_of(out), some, format_),
                              maps(x_, shape_.input, some, exact), true),
                          format_);
  }
  const std::vector<int> some = spots_of(out);
  const std::size_t pixels = gradient.size() / seen_.size() / extent(out);
  std::vector<double> of_some;
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    for (const int o : some) {
      const auto map =
          gradient.begin() + static_cast<std::ptrdiff_t>((i * extent(out) + extent(o)) * pixels);
      of_some.insert(of_some.end(), map, map + static_cast<std::ptrdiff_t>(pixels));
    }
  }
  return plan::fault_of(weights(result, some, all_of(in), exact),
                        reference::conv2d_weight_gradient<double>(
                            extents_of(shape_, seen_.size(), extent(in), some.size()),
                            maps(x_, shape_.input, all_of(in), format_), of_some),
                        format_);
}

}  // namespace dovetail::plan
