// Conv2dPool against its twin where maxima tie, and against the kernels that it stands for.
#include "ops/conv2d_pool.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "kernels/compute_fixture.hpp"
#include "kernels/feature_maps.hpp"
#include "kernels/images_check.hpp"
#include "ops/conv2d.hpp"
#include "ops/pool2d.hpp"
#include "ops/reference/conv2d_pool.hpp"
#include "ops/reference/layout.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using reference::Conv2dExtents;
using testing::Random;

struct Case {
  Conv2dExtents extents;
  int pool;
  Conv2dPoolShape shape;

  std::size_t pooled_size() const { return reference::pool_behind(extents, pool).out_size(); }
};

/// Of a pass on the device; maps and weights canonical.
struct Results {
  std::vector<double> y, dx, dweight, dbias;
};

/// Buffers of one case. Random numbers are fresh on every run; a failure prints the seed, and
/// DOVETAIL_TEST_SEED repeats it.
class Conv2dPoolTest : public DeviceTest<int> {
 protected:
  void SetUp() override {
    DeviceTest<int>::SetUp();
    values_ = Random(static_cast<unsigned>(between(0, 1 << 30)));
  }

  Case make_case(const Conv2dExtents& e, int pool, bool padded_input) {
    Case c{e, pool, {{}, {}, e.kernel, e.stride, e.padding, pool}};
    const int capacity = e.batch + between(0, 2);
    const int halo = e.padding + between(0, 1);
    c.shape.input = padded_input ? feature_map(capacity, e.height, e.width, e.in, halo)
                                 : input_map(capacity, e.height, e.width, e.in, halo);
    c.shape.output =
        feature_map(capacity, e.out_height() / pool, e.out_width() / pool, e.out, between(0, 2));
    return c;
  }

  /// The nets' shapes, what pools leave over at the edges, strides, paddings, large pools. The same
  /// ones for all tests of a run, so that their programs are compiled once.
  const std::vector<Case>& cases() {
    static const std::vector<Case> all = [this] {
      std::vector<Case> made = {make_case({5, 1, 32, 28, 28, 3, 1, 1}, 2, false),
                                make_case({3, 32, 64, 14, 14, 3, 1, 1}, 2, true),
                                make_case({2, 80, 33, 7, 8, 3, 1, 1}, 3, true)};
      for (int i = 0; i < 3; ++i) made.push_back(random_case());
      return made;
    }();
    return all;
  }

  Case random_case() {
    Conv2dExtents e{};
    e.kernel = one_of({1, 2, 3, 5});
    e.stride = between(1, 2);
    e.padding = between(0, 2);
    e.in = one_of({1, 3, 16, 20, 48});
    e.out = one_of({1, 16, 20, 32, 48});
    const int pool = between(2, 4);
    const int least = std::max(1, (pool - 1) * e.stride + e.kernel - 2 * e.padding);
    e.height = least + between(0, 9);
    e.width = least + between(0, 9);
    e.batch = between(1, 9);
    return make_case(e, pool, between(0, 2) > 0);
  }

  static std::string describe(const Case& c) {
    const Conv2dExtents& e = c.extents;
    return fmt::format(
        "batch {} of {}, {}x{}x{} (stride {}, halo {}) -> {} (halo {}), kernel {}, stride {}, "
        "padding {}, pool {}",
        e.batch, c.shape.input.batch, e.in, e.height, e.width, c.shape.input.channel_stride,
        c.shape.input.halo, e.out, c.shape.output.halo, e.kernel, e.stride, e.padding, c.pool);
  }

  opencl::Buffer upload_weight(const Case& c, const std::vector<double>& weight) {
    const Conv2dExtents& e = c.extents;
    return upload(reference::weight_to_device(testing::to_float(weight), e.out, e.in, e.kernel));
  }
  opencl::Buffer upload_bias(const Case& c, const std::vector<double>& bias) {
    std::vector<float> padded = testing::to_float(bias);
    padded.resize(static_cast<std::size_t>(c.shape.output.channel_stride));
    return upload(padded);
  }
  std::vector<double> weight_of(const Case& c, const opencl::Buffer& buffer) {
    const Conv2dExtents& e = c.extents;
    const std::vector<float> arranged = device().download<float>(buffer);
    const std::vector<float> weight =
        reference::weight_from_device(arranged, e.out, e.in, e.kernel);
    EXPECT_EQ(reference::weight_to_device(weight, e.out, e.in, e.kernel), arranged)
        << "padding lanes of dweight are not zero";
    return widen(weight);
  }
  std::vector<double> bias_of(const Case& c, const opencl::Buffer& buffer) {
    std::vector<double> bias = testing::download(buffer);
    for (std::size_t o = static_cast<std::size_t>(c.extents.out); o < bias.size(); ++o)
      EXPECT_EQ(bias[o], 0);
    bias.resize(static_cast<std::size_t>(c.extents.out));
    return bias;
  }
  /// For dweight and dbias of the case.
  opencl::Buffer poisoned_weight(const Case& c) {
    const Conv2dExtents& e = c.extents;
    return poisoned(static_cast<std::size_t>(e.kernel * e.kernel * e.in) *
                    static_cast<std::size_t>(c.shape.output.channel_stride));
  }
  opencl::Buffer poisoned_bias(const Case& c) {
    return poisoned(static_cast<std::size_t>(c.shape.output.channel_stride));
  }

  struct Operands {
    std::vector<double> x, weight, bias, dy;
  };

  /// dy is masked where the forward pass rectified to 0, as whoever writes it does.
  Results run(const Case& c, const Operands& operands, bool relu, bool mask,
              ComputeFormat format = ComputeFormat::float32) {
    const int batch = c.extents.batch;
    Conv2dPool fused(device(), c.shape, true, format);
    const opencl::Buffer x = testing::upload_map(c.shape.input, batch, operands.x);
    const opencl::Buffer weight = upload_weight(c, operands.weight);
    const opencl::Buffer y = testing::poisoned(c.shape.output.size());
    const opencl::Buffer dx = testing::poisoned(c.shape.input.size());
    const opencl::Buffer dweight = poisoned_weight(c), dbias = poisoned_bias(c);
    Results results;
    fused.forward(x, weight, upload_bias(c, operands.bias), y, batch, relu);
    results.y = testing::download_map(c.shape.output, batch, y);
    std::vector<double> gradient = operands.dy;
    for (std::size_t i = 0; relu && i < gradient.size(); ++i)
      gradient[i] = results.y[i] <= 0 ? 0 : gradient[i];
    const opencl::Buffer dy = testing::upload_map(c.shape.output, batch, gradient);
    fused.weight_gradient(x, dy, dweight, dbias, batch);
    results.dweight = weight_of(c, dweight);
    results.dbias = bias_of(c, dbias);
    if (c.shape.input.channel_stride % channel_lanes == 0) {
      fused.input_gradient(dy, weight, x, dx, batch, mask);
      results.dx = testing::download_map(c.shape.input, batch, dx);
    } else {
      EXPECT_THROW(fused.input_gradient(dy, weight, x, dx, batch, mask), Error);
    }
    return results;
  }

  /// The same with Conv2d and Pool2d, and the map between them in memory.
  Results run_apart(const Case& c, const Operands& operands, bool relu, bool mask,
                    ComputeFormat format) {
    const Conv2dExtents& e = c.extents;
    const int batch = e.batch;
    Conv2dShape shape{c.shape.input, {}, e.kernel, e.stride, e.padding};
    shape.output = feature_map(c.shape.output.batch, e.out_height(), e.out_width(), e.out,
                               shape.gradient_halo());
    Conv2d conv(device(), Variant::cpu, shape, format);
    Pool2d pool(device(), Variant::cpu, PoolKind::max,
                {shape.output, c.shape.output, c.pool, c.pool});
    const opencl::Buffer x = testing::upload_map(c.shape.input, batch, operands.x);
    const opencl::Buffer weight = upload_weight(c, operands.weight);
    const opencl::Buffer middle = device().allocate_zeroed(shape.output.bytes());
    const opencl::Buffer gradient = device().allocate_zeroed(shape.output.bytes());
    const opencl::Buffer y = testing::poisoned(c.shape.output.size());
    const opencl::Buffer dx = testing::poisoned(c.shape.input.size());
    const opencl::Buffer dweight = poisoned_weight(c), dbias = poisoned_bias(c);
    conv.forward(x, weight, upload_bias(c, operands.bias), middle, batch, relu);
    pool.forward(middle, y, batch);
    pool.backward(middle, y, testing::upload_map(c.shape.output, batch, operands.dy), gradient,
                  batch, relu);
    conv.weight_gradient(x, gradient, dweight, dbias, batch);
    Results results{testing::download_map(c.shape.output, batch, y),
                    {},
                    weight_of(c, dweight),
                    bias_of(c, dbias)};
    if (c.shape.input.channel_stride % channel_lanes == 0) {
      conv.input_gradient(gradient, weight, x, dx, batch, mask);
      results.dx = testing::download_map(c.shape.input, batch, dx);
    }
    return results;
  }

  Random values_{0};
};

constexpr double tolerance = 1e-5;

TEST_F(Conv2dPoolTest, IsTheTwinWhereMaximaTie) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(describe(c));
    const Conv2dExtents& e = c.extents;
    // Small integers: their sums are exact, and many are equal.
    const Operands operands{
        values_.integers(e.x_size(), -1, 1), values_.integers(e.weight_size(), -1, 1),
        values_.integers(static_cast<std::size_t>(e.out), -1, 1), values_.normal(c.pooled_size())};
    for (const bool relu : {false, true}) {
      const bool mask = between(0, 1) == 1;
      const Results results = run(c, operands, relu, mask);
      EXPECT_EQ(results.y, reference::conv2d_max_pool(e, c.pool, operands.x, operands.weight,
                                                      operands.bias, relu));
      const std::vector<double> gradient = reference::conv2d_max_pool_gradient(
          e, c.pool, reference::conv2d(e, operands.x, operands.weight, operands.bias, relu),
          operands.dy, relu);
      EXPECT_LT(testing::relative_error(results.dweight,
                                        reference::conv2d_weight_gradient(e, operands.x, gradient)),
                tolerance);
      EXPECT_LT(
          testing::relative_error(results.dbias, reference::conv2d_bias_gradient(e, gradient)),
          tolerance);
      if (results.dx.empty()) continue;
      EXPECT_LT(
          testing::relative_error(results.dx, reference::conv2d_input_gradient(
                                                  e, gradient, operands.weight, operands.x, mask)),
          tolerance);
    }
  }
}

TEST_F(Conv2dPoolTest, IsTheConvolutionAndThePoolInEveryFormat) {
  const std::vector<Case>& all = cases();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Case& c = all[i];
    const ComputeFormat format = std::array{ComputeFormat::float32, ComputeFormat::tf32,
                                            ComputeFormat::bf16, ComputeFormat::fp16}[i % 4];
    SCOPED_TRACE(describe(c) + ", " + to_string(format));
    const Conv2dExtents& e = c.extents;
    const Operands operands{values_.normal(e.x_size()), values_.normal(e.weight_size()),
                            values_.normal(static_cast<std::size_t>(e.out)),
                            values_.normal(c.pooled_size())};
    const bool relu = between(0, 1) == 1, mask = between(0, 1) == 1;
    const Results together = run(c, operands, relu, mask, format);
    const Results apart = run_apart(c, operands, relu, mask, format);
    EXPECT_EQ(together.y, apart.y) << "forward has other bits";
    EXPECT_LT(testing::relative_error(together.dweight, apart.dweight), tolerance);
    EXPECT_LT(testing::relative_error(together.dbias, apart.dbias), tolerance);
    ASSERT_EQ(together.dx.size(), apart.dx.size());
    if (apart.dx.empty()) continue;
    EXPECT_LT(testing::relative_error(together.dx, apart.dx), tolerance);
  }
}

TEST_F(Conv2dPoolTest, MakesItsInputFromImages) {
  std::vector<Case> all = {make_case({1, 1, 32, 28, 28, 3, 1, 1}, 2, false),
                           make_case({5, 1, 48, 11, 9, 5, 2, 2}, 2, false),
                           make_case({3, 3, 48, 13, 14, 3, 1, 1}, 3, false)};
  for (const Case& c : cases())
    if (c.shape.input.channel_stride % channel_lanes != 0) all.push_back(c);
  for (const Case& c : all) {
    SCOPED_TRACE(describe(c));
    Conv2dPool fused(device(), c.shape, true);
    for (int i = 0; i < 4; ++i)
      testing::expect_images_are_normalised(fused, c.extents, c.shape.input, c.shape.output, true,
                                            values_);
  }
}

TEST_F(Conv2dPoolTest, TakesNoImagesThatItWouldRound) {
  const Case c = make_case({1, 1, 16, 8, 8, 3, 1, 1}, 2, false);
  Conv2dPool rounding(device(), c.shape, true, ComputeFormat::tf32);
  EXPECT_FALSE(rounding.takes_images());
  const opencl::Buffer any = device().allocate(64);
  EXPECT_THROW(rounding.forward_images({any}, {any, any}, any, any, any, any, 1, true), Error);
}

TEST_F(Conv2dPoolTest, GivesTheSameBitsTwice) {
  const Case& c = cases()[1];
  const Operands operands{values_.normal(c.extents.x_size()),
                          values_.normal(c.extents.weight_size()), values_.normal(64),
                          values_.normal(c.pooled_size())};
  const Results once = run(c, operands, true, true), again = run(c, operands, true, true);
  EXPECT_EQ(once.dweight, again.dweight);
  EXPECT_EQ(once.dbias, again.dbias);
  EXPECT_EQ(once.dx, again.dx);
}

TEST_F(Conv2dPoolTest, KeepsAWeightThatStays) {
  const Case& c = cases()[1];
  const int batch = c.extents.batch;
  Conv2dPool conv(device(), c.shape, true), anew(device(), c.shape, true);
  const opencl::Buffer x =
      testing::upload_map(c.shape.input, batch, values_.normal(c.extents.x_size()));
  const opencl::Buffer dy =
      testing::upload_map(c.shape.output, batch, values_.normal(c.pooled_size()));
  const opencl::Buffer weight = upload_weight(c, values_.normal(c.extents.weight_size()));
  const opencl::Buffer bias = upload_bias(c, std::vector<double>(64));
  const opencl::Buffer y = testing::poisoned(c.shape.output.size());
  const opencl::Buffer dx = testing::poisoned(c.shape.input.size());
  const auto forward = [&](Conv2dPool& by) {
    by.forward(x, weight, bias, y, batch, false);
    return testing::download_map(c.shape.output, batch, y);
  };
  conv.keep_weight();
  const std::vector<double> first = forward(conv);
  conv.input_gradient(dy, weight, x, dx, batch, false);
  EXPECT_EQ(forward(conv), first);
  const std::vector<float> other(weight.bytes() / sizeof(float), 0.5f);
  device().write(weight, other.data(), weight.bytes());
  EXPECT_EQ(forward(conv), first) << "it was read again";
  conv.keep_weight();
  EXPECT_EQ(forward(conv), forward(anew));
}

TEST_F(Conv2dPoolTest, KeepsANanOfItsWindow) {
  const Case c = make_case({1, 16, 16, 4, 4, 1, 1, 0}, 2, true);
  std::vector<double> x(c.extents.x_size(), 1.0);
  x[3] = std::numeric_limits<double>::quiet_NaN();  // in the second window
  Conv2dPool fused(device(), c.shape, false);
  const opencl::Buffer y = testing::poisoned(c.shape.output.size());
  fused.forward(testing::upload_map(c.shape.input, 1, x),
                upload_weight(c, std::vector<double>(c.extents.weight_size(), -1.0)),
                upload_bias(c, std::vector<double>(16)), y, 1, true);
  const std::vector<double> values = testing::download_map(c.shape.output, 1, y);
  EXPECT_EQ(values[0], 0);
  EXPECT_TRUE(std::isnan(values[1]));
}

TEST_F(Conv2dPoolTest, RefusesWhatItCannotDo) {
  const Case good = make_case({2, 16, 16, 8, 8, 3, 1, 1}, 2, true);
  const auto refused = [&](auto change) {
    Conv2dPoolShape shape = good.shape;
    change(shape);
    EXPECT_THROW(Conv2dPool(device(), shape, true), Error);
  };
  refused([](Conv2dPoolShape& s) { s.output.height = 5; });
  refused([](Conv2dPoolShape& s) { s.pool = 1; });
  refused([](Conv2dPoolShape& s) { s.input.halo = 0; });
  refused([](Conv2dPoolShape& s) {  // its gradient's sums do not fit the registers
    s.kernel = 7;
    s.padding = 3;
    s.input.halo = 3;
  });
  const opencl::Buffer any = device().allocate(64);
  Conv2dPool forward_only(device(), good.shape, false);
  EXPECT_THROW(forward_only.weight_gradient(any, any, any, any, 1), Error);
  EXPECT_THROW(forward_only.forward(any, any, any, any, good.shape.output.batch + 1, true), Error);
}

}  // namespace
}  // namespace dovetail
