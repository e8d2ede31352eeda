// Conv2d against its twin in float64, and its gradients against finite differences.
#include "ops/conv2d.hpp"

#include <set>

#include "kernels/compute_fixture.hpp"
#include "kernels/images_check.hpp"
#include "ops/reference/conv2d.hpp"
#include "ops/reference/layout.hpp"
#include "ops/reference/round_operand.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using reference::Conv2dExtents;

class Conv2dTest : public ComputeTest {
 protected:
  struct Case {
    Conv2dExtents extents;
    Conv2dShape shape;
  };

  /// Random halos beyond what is needed, and room for more images than the batch.
  Case make_case(const Conv2dExtents& e, bool padded_input) {
    Case c{e, {{}, {}, e.kernel, e.stride, e.padding}};
    const int capacity = e.batch + between(0, 2);
    const int input_halo = e.padding + between(0, 1);
    c.shape.input = padded_input ? feature_map(capacity, e.height, e.width, e.in, input_halo)
                                 : input_map(capacity, e.height, e.width, e.in, input_halo);
    const int output_halo = c.shape.gradient_halo() + between(0, 1);
    c.shape.output = feature_map(capacity, e.out_height(), e.out_width(), e.out, output_halo);
    return c;
  }

  Case random_case() {
    Conv2dExtents e{};
    e.kernel = one_of({1, 3, 5});
    e.stride = between(1, 2);
    e.padding = between(0, 2);
    e.in = one_of({1, 3, 16, 20, 32, 48});
    e.out = one_of({1, 3, 16, 20, 32, 48});
    e.height = between(std::max(1, e.kernel - 2 * e.padding), 17);
    e.width = between(std::max(1, e.kernel - 2 * e.padding), 17);
    e.batch = between(1, 9);
    return make_case(e, between(0, 2) > 0);
  }

  static std::string describe(const Case& c) {
    const Conv2dExtents& e = c.extents;
    return fmt::format(
        "batch {} of {}, {}x{}x{} (stride {}, halo {}) -> {} (halo {}), kernel {}, stride {}, "
        "padding {}",
        e.batch, c.shape.input.batch, e.in, e.height, e.width, c.shape.input.channel_stride,
        c.shape.input.halo, e.out, c.shape.output.halo, e.kernel, e.stride, e.padding);
  }

  /// A buffer with zeros in the halo and NaN everywhere else.
  opencl::Buffer poisoned_map(const Layout& layout) {
    std::vector<float> values(layout.size());
    for (int n = 0; n < layout.batch; ++n)
      for (int row = 0; row < layout.height; ++row)
        for (int column = 0; column < layout.width; ++column)
          for (int c = 0; c < layout.channel_stride; ++c)
            values[layout.index(n, row, column, c)] = poison;
    return upload(values);
  }

  /// The first `batch` images, canonical. Everything that should not have been written must be as
  /// it was.
  std::vector<float> download_map(const opencl::Buffer& buffer, const Layout& layout, int batch) {
    std::vector<float> values = device().download<float>(buffer);
    const std::vector<float> result = reference::from_device(values, layout, batch);
    long unwritten = 0;
    for (int n = 0; n < layout.batch; ++n)
      for (int row = 0; row < layout.height; ++row)
        for (int column = 0; column < layout.width; ++column)
          for (int c = 0; c < layout.channel_stride; ++c) {
            float& value = values[layout.index(n, row, column, c)];
            if (n >= batch) {
              unwritten += std::isnan(value) ? 0 : 1;
              value = 0;
            } else if (c < layout.channels) {
              value = 0;
            }
          }
    EXPECT_EQ(unwritten, 0) << "elements beyond the batch were written";
    EXPECT_EQ(values, std::vector<float>(values.size())) << "halo or padding lanes are not zero";
    return result;
  }

  opencl::Buffer upload_weight(const std::vector<float>& weight, const Conv2dExtents& e) {
    return upload(reference::weight_to_device(weight, e.out, e.in, e.kernel));
  }
  opencl::Buffer upload_bias(std::vector<float> bias) {
    bias.resize(static_cast<std::size_t>(round_up(static_cast<int>(bias.size()), channel_lanes)));
    return upload(bias);
  }

  struct Gradients {
    std::vector<float> weight, bias;
  };
  /// Canonical gradients from poisoned buffers; padding lanes must come out as zeros.
  Gradients weight_gradient(Conv2d& conv, const Case& c, const opencl::Buffer& x,
                            const opencl::Buffer& dy) {
    const Conv2dExtents& e = c.extents;
    const auto stride = static_cast<std::size_t>(c.shape.output.channel_stride);
    const auto rows = static_cast<std::size_t>(e.kernel * e.kernel * e.in);
    const opencl::Buffer dweight = poisoned(rows * stride);
    const opencl::Buffer dbias = poisoned(stride);
    conv.weight_gradient(x, dy, dweight, dbias, e.batch);
    const std::vector<float> values = device().download<float>(dweight);
    Gradients gradients{reference::weight_from_device(values, e.out, e.in, e.kernel),
                        device().download<float>(dbias)};
    EXPECT_EQ(reference::weight_to_device(gradients.weight, e.out, e.in, e.kernel), values)
        << "padding lanes of dweight are not zero";
    for (std::size_t o = static_cast<std::size_t>(e.out); o < stride; ++o)
      EXPECT_EQ(gradients.bias[o], 0);
    gradients.bias.resize(static_cast<std::size_t>(e.out));
    return gradients;
  }

  /// Operands as they are read, so that only the sums' own rounding is left to tolerate.
  static std::vector<double> as_read(const std::vector<float>& values, ComputeFormat format) {
    std::vector<double> read;
    for (const float value : values) read.push_back(reference::round_operand(value, format));
    return read;
  }

  void expect_twin(const Case& c) { expect_twin(c, {.variant = GetParam()}); }
  void expect_twin(const Case& c, const ConvKernels& kernels,
                   ComputeFormat format = ComputeFormat::float32) {
    SCOPED_TRACE(describe(c));
    const Conv2dExtents& e = c.extents;
    Conv2d conv(device(), kernels, c.shape, format);
    const auto operand = [&](const std::vector<float>& values) { return as_read(values, format); };
    const std::vector<float> x = random(e.x_size());
    const std::vector<float> dy = random(e.y_size());
    const std::vector<float> weight = random(e.weight_size());
    const std::vector<float> bias = random(static_cast<std::size_t>(e.out));
    const opencl::Buffer x_buffer = upload(reference::to_device(x, c.shape.input));
    const opencl::Buffer dy_buffer = upload(reference::to_device(dy, c.shape.output));
    const opencl::Buffer weight_buffer = upload_weight(weight, e);
    const auto magnitudes_of = [](std::vector<double> values) {
      for (double& value : values) value = std::abs(value);
      return values;
    };
    // Products and bias may nearly cancel: the rounding of a sum is that of the magnitudes summed.
    const std::vector<double> y_magnitudes =
        reference::conv2d(e, magnitudes_of(operand(x)), magnitudes_of(operand(weight)),
                          magnitudes_of(widen(bias)), false);
    for (const bool relu : {false, true}) {
      const opencl::Buffer y = poisoned_map(c.shape.output);
      conv.forward(x_buffer, weight_buffer, upload_bias(bias), y, e.batch, relu);
      EXPECT_LT(error_against(download_map(y, c.shape.output, e.batch),
                              reference::conv2d(e, operand(x), operand(weight), widen(bias), relu),
                              y_magnitudes),
                tolerance)
          << "forward, relu " << relu;
    }
    for (const bool mask : {false, true}) {
      const opencl::Buffer dx = poisoned_map(c.shape.input);
      conv.input_gradient(dy_buffer, weight_buffer, x_buffer, dx, e.batch, mask);
      EXPECT_LT(relative_error(download_map(dx, c.shape.input, e.batch),
                               reference::conv2d_input_gradient(e, operand(dy), operand(weight),
                                                                widen(x), mask)),
                tolerance)
          << "input gradient, mask " << mask;
    }
    const Gradients gradients = weight_gradient(conv, c, x_buffer, dy_buffer);
    EXPECT_LT(relative_error(gradients.weight,
                             reference::conv2d_weight_gradient(e, operand(x), operand(dy))),
              tolerance);
    EXPECT_LT(error_against(gradients.bias, reference::conv2d_bias_gradient(e, widen(dy)),
                            reference::conv2d_bias_gradient(e, magnitudes_of(widen(dy)))),
              tolerance);
  }
};

TEST_P(Conv2dTest, MatchesTheTwinOnTheModelsShapes) {
  expect_twin(make_case({9, 1, 32, 28, 28, 3, 1, 1}, false));
  expect_twin(make_case({5, 32, 64, 14, 14, 3, 1, 1}, true));
  expect_twin(make_case({2, 3, 64, 9, 9, 3, 1, 1}, false));
}

TEST_P(Conv2dTest, MatchesTheTwinAtTheEdges) {
  expect_twin(make_case({1, 1, 1, 1, 1, 1, 1, 0}, false));     // a single product
  expect_twin(make_case({2, 20, 48, 4, 5, 1, 1, 2}, true));    // padding beyond the kernel
  expect_twin(make_case({3, 17, 32, 18, 19, 3, 1, 0}, true));  // tiles that overlap everywhere
  expect_twin(make_case({3, 3, 20, 11, 8, 5, 2, 2}, true));    // stride
}

TEST_P(Conv2dTest, MatchesTheTwinOnRandomShapes) {
  for (int i = 0; i < 3; ++i) expect_twin(random_case());
}

TEST_P(Conv2dTest, EveryCandidateMatchesTheTwin) {
  const Case c = make_case({3, 20, 64, 13, 10, 3, 1, 1}, true);
  std::size_t tried = 0;
  for (const Direction direction :
       {Direction::forward, Direction::input_gradient, Direction::weight_gradient}) {
    std::set<std::string> names;
    for (const ConvKernels& kernels : conv_candidates(device(), c.shape, direction)) {
      EXPECT_TRUE(names.insert(kernels.name(direction)).second) << kernels.name(direction);
      if (kernels.variant != GetParam()) continue;
      SCOPED_TRACE(kernels.name(direction));
      expect_twin(c, kernels);
      ++tried;
    }
  }
  EXPECT_GE(tried, 5u);
}

TEST_P(Conv2dTest, RefusesTilesThatItCannotHold) {
  const Conv2dShape shape{feature_map(2, 8, 8, 16, 1), feature_map(2, 8, 8, 16, 1), 3, 1, 1};
  for (const ConvKernels::Tile tile : {ConvKernels::Tile{9, 100}, ConvKernels::Tile{3, 17}})
    EXPECT_THROW(Conv2d(device(), {.variant = GetParam(), .forward = tile}, shape), Error);
}

TEST_P(Conv2dTest, RoundsItsOperandsWhereAFormatAsks) {
  for (const ComputeFormat format :
       {ComputeFormat::tf32, ComputeFormat::bf16, ComputeFormat::fp16}) {
    expect_twin(make_case({3, 1, 32, 12, 9, 3, 1, 1}, false), {.variant = GetParam()}, format);
    expect_twin(make_case({3, 20, 48, 7, 9, 3, 2, 1}, true), {.variant = GetParam()}, format);
  }
}

TEST_P(Conv2dTest, MakesItsInputFromImages) {
  testing::Random values(static_cast<unsigned>(between(0, 1 << 30)));
  const Conv2dExtents random{between(1, 9),  one_of({1, 2, 5}), one_of({1, 16, 96}), between(3, 17),
                             between(3, 17), one_of({1, 2, 3}), between(1, 2),       between(0, 2)};
  for (const Conv2dExtents& e : {Conv2dExtents{5, 3, 64, 32, 32, 3, 1, 1},
                                 Conv2dExtents{1, 1, 20, 11, 7, 5, 2, 2}, random}) {
    const Case c = make_case(e, false);
    SCOPED_TRACE(describe(c));
    Conv2d conv(device(), GetParam(), c.shape);
    for (int i = 0; i < 4; ++i)
      testing::expect_images_are_normalised(conv, e, c.shape.input, c.shape.output,
                                            GetParam() == Variant::cpu, values);
  }
}

TEST_P(Conv2dTest, TakesNoImagesThatItWouldRound) {
  const Case c = make_case({1, 1, 16, 8, 8, 3, 1, 1}, false);
  Conv2d conv(device(), {.variant = GetParam()}, c.shape, ComputeFormat::tf32);
  EXPECT_FALSE(conv.takes_images());
  const opencl::Buffer any = device().allocate(64);
  EXPECT_THROW(conv.forward_images({any}, {any, any}, any, any, any, any, 1, true), Error);
}

TEST_P(Conv2dTest, GradientsMatchFiniteDifferences) {
  const Case c = make_case({2, 3, 4, 5, 4, 3, between(1, 2), 1}, true);
  SCOPED_TRACE(describe(c));
  const Conv2dExtents& e = c.extents;
  const std::vector<float> x = random(e.x_size());
  const std::vector<float> dy = random(e.y_size());
  const std::vector<float> weight = random(e.weight_size());
  const std::vector<float> bias = random(static_cast<std::size_t>(e.out));
  const opencl::Buffer x_buffer = upload(reference::to_device(x, c.shape.input));
  const opencl::Buffer dy_buffer = upload(reference::to_device(dy, c.shape.output));
  Conv2d conv(device(), GetParam(), c.shape);

  const opencl::Buffer dx = poisoned_map(c.shape.input);
  conv.input_gradient(dy_buffer, upload_weight(weight, e), x_buffer, dx, e.batch, false);
  const auto of_x = [&](const auto& v) {
    return reference::conv2d(e, v, widen(weight), widen(bias), false);
  };
  EXPECT_LT(relative_error(download_map(dx, c.shape.input, e.batch),
                           finite_differences(widen(x), widen(dy), of_x)),
            tolerance);

  const Gradients gradients = weight_gradient(conv, c, x_buffer, dy_buffer);
  const auto of_weight = [&](const auto& v) {
    return reference::conv2d(e, widen(x), v, widen(bias), false);
  };
  EXPECT_LT(
      relative_error(gradients.weight, finite_differences(widen(weight), widen(dy), of_weight)),
      tolerance);
  const auto of_bias = [&](const auto& v) {
    return reference::conv2d(e, widen(x), widen(weight), v, false);
  };
  EXPECT_LT(relative_error(gradients.bias, finite_differences(widen(bias), widen(dy), of_bias)),
            tolerance);
}

TEST_P(Conv2dTest, GivesTheSameBitsTwice) {
  const Case c = make_case({9, 16, 32, 14, 14, 3, 1, 1}, true);
  const Conv2dExtents& e = c.extents;
  const opencl::Buffer x = upload(reference::to_device(random(e.x_size()), c.shape.input));
  const opencl::Buffer dy = upload(reference::to_device(random(e.y_size()), c.shape.output));
  Conv2d first(device(), GetParam(), c.shape);
  Conv2d second(device(), GetParam(), c.shape);
  const Gradients once = weight_gradient(first, c, x, dy);
  const Gradients again = weight_gradient(first, c, x, dy);
  const Gradients other = weight_gradient(second, c, x, dy);
  EXPECT_EQ(once.weight, again.weight);
  EXPECT_EQ(once.bias, again.bias);
  EXPECT_EQ(once.weight, other.weight);
}

// On a CPU, where it is brought into another order; the gradients' order takes its place.
TEST_P(Conv2dTest, KeepsAWeightThatStays) {
  const Case c = make_case({2, 16, 32, 7, 7, 3, 1, 1}, true);
  const Conv2dExtents& e = c.extents;
  const opencl::Buffer x = upload(reference::to_device(random(e.x_size()), c.shape.input));
  const opencl::Buffer bias = upload(std::vector<float>(32));
  const opencl::Buffer weight = upload_weight(random(e.weight_size()), e);
  const opencl::Buffer y = poisoned_map(c.shape.output), dx = poisoned_map(c.shape.input);
  const auto forward = [&](Conv2d& conv) {
    conv.forward(x, weight, bias, y, e.batch, false);
    return download_map(y, c.shape.output, e.batch);
  };
  Conv2d conv(device(), GetParam(), c.shape), anew(device(), GetParam(), c.shape);
  conv.keep_weight();
  const std::vector<float> first = forward(conv);
  conv.input_gradient(y, weight, x, dx, e.batch, false);
  EXPECT_EQ(forward(conv), first);
  const std::vector<float> other(weight.bytes() / sizeof(float), 0.5f);
  device().write(weight, other.data(), weight.bytes());
  EXPECT_EQ(forward(conv) == first, GetParam() == Variant::cpu);
  conv.keep_weight();
  EXPECT_EQ(forward(conv), forward(anew));
}

TEST_P(Conv2dTest, PassesNotANumberOn) {
  const Case c = make_case({1, 16, 16, 4, 4, 1, 1, 0}, true);
  std::vector<float> x(c.extents.x_size(), 1.0f);
  x[0] = poison;
  const opencl::Buffer y = poisoned_map(c.shape.output);
  Conv2d conv(device(), GetParam(), c.shape);
  conv.forward(upload(reference::to_device(x, c.shape.input)),
               upload_weight(std::vector<float>(c.extents.weight_size(), -1.0f), c.extents),
               upload_bias(std::vector<float>(16)), y, 1, true);
  const std::vector<float> values =
      reference::from_device(device().download<float>(y), c.shape.output, 1);
  EXPECT_TRUE(std::isnan(values[0]));
  EXPECT_EQ(values[1], 0.0f);
}

TEST_P(Conv2dTest, RefusesShapesThatDoNotFit) {
  const Conv2dShape good{feature_map(2, 8, 8, 16, 1), feature_map(2, 8, 8, 16, 1), 3, 1, 1};
  const auto refused = [&](auto change) {
    Conv2dShape shape = good;
    change(shape);
    EXPECT_THROW(Conv2d(device(), GetParam(), shape), Error);
  };
  refused([](Conv2dShape& s) { s.output.height = 7; });
  refused([](Conv2dShape& s) { s.input.halo = 0; });
  refused([](Conv2dShape& s) { s.stride = 0; });
  refused([](Conv2dShape& s) { s.kernel = 11; });
  refused([](Conv2dShape& s) { s.output = input_map(2, 8, 8, 3, 1); });
  refused([](Conv2dShape& s) {  // a weight of 9 · 2^28 elements
    s.input = feature_map(1, 3, 3, 1 << 14, 1);
    s.output = feature_map(1, 3, 3, 1 << 14, 1);
  });

  Conv2dShape no_halo = good;
  no_halo.output.halo = 0;
  Conv2d conv(device(), GetParam(), no_halo);
  const opencl::Buffer any = device().allocate(64);
  EXPECT_THROW(conv.input_gradient(any, any, any, any, 1, false), Error);
  EXPECT_THROW(conv.forward(any, any, any, any, 3, false), Error);
  EXPECT_THROW(conv.forward(any, any, any, any, 0, false), Error);
}

INSTANTIATE_TEST_SUITE_P(Variants, Conv2dTest, ::testing::Values(Variant::cpu, Variant::gpu),
                         variant_name);

}  // namespace
}  // namespace dovetail
