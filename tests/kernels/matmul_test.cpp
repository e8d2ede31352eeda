// Matmul against its twin in float64, and its gradients against finite differences.
#include "ops/matmul.hpp"

#include <optional>
#include <set>

#include "kernels/compute_fixture.hpp"
#include "ops/reference/layout.hpp"
#include "ops/reference/matmul.hpp"
#include "ops/reference/round_operand.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using reference::MatmulExtents;

struct Kernels {
  Variant variant;
  ComputeFormat format = ComputeFormat::float32;
  std::optional<opencl::InstructionSet> path = std::nullopt;  // of Variant::nvidia
};

std::string kernels_name(const ::testing::TestParamInfo<Kernels>& kernels) {
  const auto& [variant, format, path] = kernels.param;
  if (!path && format == ComputeFormat::float32) return to_string(variant);
  if (!path) return fmt::format("{}_{}", to_string(variant), to_string(format));
  constexpr const char* names[] = {"async_copy", "mma", "wgmma"};
  return fmt::format("{}_{}", names[static_cast<std::size_t>(*path)], to_string(format));
}

class MatmulTest : public DeviceTest<Kernels> {
 protected:
  void SetUp() override {
    DeviceTest<Kernels>::SetUp();
    if (GetParam().variant == Variant::cpu && !device().is_cpu())
      GTEST_SKIP() << device().info().name << " has too few registers for CPUs' kernels";
    const auto& path = GetParam().path;
    if (path && !device().takes(*path))
      GTEST_SKIP() << device().info().name << " does not take " << opencl::to_string(*path);
  }
  Matmul make(const MatmulShape& shape) {
    return Matmul(device(), GetParam().variant, shape, GetParam().format, GetParam().path);
  }

  /// Operands as they are read, so that only the sums' own rounding is left to tolerate. The tensor
  /// cores' sums are truncated rather than rounded.
  std::vector<double> operand(const std::vector<float>& values) const {
    std::vector<double> read;
    for (const float value : values)
      read.push_back(reference::round_operand(value, GetParam().format));
    return read;
  }
  double bound() const {
    return GetParam().format == ComputeFormat::float32 ? tolerance : 3 * tolerance;
  }

  static MatmulShape shape_of(const MatmulExtents& e) {
    return {.in = static_cast<int>(e.in), .out = static_cast<int>(e.out)};
  }
  static Layout input_of(const MatmulExtents& e) {
    return input_map(1, 1, 1, static_cast<int>(e.in));
  }

  opencl::Buffer upload_weight(const std::vector<float>& weight, const MatmulExtents& e) {
    return upload(reference::dense_to_device(weight, static_cast<int>(e.out), input_of(e)));
  }

  /// Poisoned memory for `count` results and a row more, which must stay as it is.
  opencl::Buffer target(std::size_t count) { return poisoned(count + 64); }
  std::vector<float> download(const opencl::Buffer& buffer, std::size_t count) {
    std::vector<float> values = device().download<float>(buffer);
    for (std::size_t i = count; i < values.size(); ++i) {
      EXPECT_TRUE(std::isnan(values[i])) << "element " << i << " behind the result was written";
    }
    values.resize(count);
    return values;
  }

  struct Gradients {
    std::vector<float> weight, bias;
  };
  Gradients weight_gradient(Matmul& matmul, const MatmulExtents& e, const opencl::Buffer& x,
                            const opencl::Buffer& dy) {
    const opencl::Buffer dweight = target(e.in * e.out);
    const opencl::Buffer dbias = target(e.out);
    matmul.weight_gradient(x, dy, dweight, dbias, static_cast<int>(e.rows));
    return {reference::dense_from_device(download(dweight, e.in * e.out), static_cast<int>(e.out),
                                         input_of(e)),
            download(dbias, e.out)};
  }

  void expect_twin(const MatmulExtents& e) {
    SCOPED_TRACE(fmt::format("{} rows, {} -> {}", e.rows, e.in, e.out));
    Matmul matmul = make(shape_of(e)), keeping = make(shape_of(e));
    keeping.keep_weight();
    const int rows = static_cast<int>(e.rows);
    const std::vector<float> x = random(e.rows * e.in);
    const std::vector<float> dy = random(e.rows * e.out);
    const std::vector<float> weight = random(e.in * e.out);
    const std::vector<float> bias = random(e.out);
    const opencl::Buffer x_buffer = upload(x);
    const opencl::Buffer dy_buffer = upload(dy);
    const opencl::Buffer weight_buffer = upload_weight(weight, e);
    for (const bool relu : {false, true}) {
      const opencl::Buffer y = target(e.rows * e.out);
      matmul.forward(x_buffer, weight_buffer, upload(bias), y, rows, relu);
      EXPECT_LT(
          relative_error(download(y, e.rows * e.out),
                         reference::matmul(e, operand(x), operand(weight), widen(bias), relu)),
          bound())
          << "forward, relu " << relu;
      const opencl::Buffer other = target(e.rows * e.out);
      keeping.forward(x_buffer, weight_buffer, upload(bias), other, rows, relu);
      EXPECT_EQ(download(other, e.rows * e.out), download(y, e.rows * e.out)) << relu;
    }
    for (const bool mask : {false, true}) {
      const opencl::Buffer dx = target(e.rows * e.in);
      matmul.input_gradient(dy_buffer, weight_buffer, x_buffer, dx, rows, mask);
      EXPECT_LT(relative_error(download(dx, e.rows * e.in),
                               reference::matmul_input_gradient(e, operand(dy), operand(weight),
                                                                operand(x), mask)),
                bound())
          << "input gradient, mask " << mask;
    }
    const Gradients gradients = weight_gradient(matmul, e, x_buffer, dy_buffer);
    EXPECT_LT(relative_error(gradients.weight,
                             reference::matmul_weight_gradient(e, operand(x), operand(dy))),
              bound());
    EXPECT_LT(relative_error(gradients.bias, reference::matmul_bias_gradient(e, widen(dy))),
              tolerance);
  }
};

TEST_P(MatmulTest, PassesOfALaunchAreThoseApart) {
  // On CPUs a slice of the depth holds four passes, four, two, one, and a part of one.
  for (const int each : {64, 5, 65, 130, 300}) {
    const MatmulExtents one{extent(each), 200, 48}, all{4 * one.rows, one.in, one.out};
    Matmul matmul = make(shape_of(one));
    const JoinedBatch batch(each, 4);
    if (!matmul.joins(batch)) {
      // Not whole blocks of wgmma's depth.
      EXPECT_NE(each, 64);
      EXPECT_EQ(GetParam().variant, Variant::nvidia);
      EXPECT_ANY_THROW(
          matmul.weight_gradient(poisoned(1), poisoned(1), poisoned(1), poisoned(1), batch));
      continue;
    }
    const std::vector<float> x = random(all.rows * all.in), dy = random(all.rows * all.out),
                             weight = random(all.in * all.out), bias = random(all.out);
    std::vector<Gradients> apart;
    std::vector<float> y, dx;
    for (std::size_t pass = 0; pass < 4; ++pass) {
      const auto part = [&](const std::vector<float>& values, std::size_t width) {
        const std::size_t count = one.rows * width;
        return upload(
            std::vector<float>(values.begin() + static_cast<std::ptrdiff_t>(pass * count),
                               values.begin() + static_cast<std::ptrdiff_t>((pass + 1) * count)));
      };
      const opencl::Buffer px = part(x, one.in), pdy = part(dy, one.out);
      apart.push_back(weight_gradient(matmul, one, px, pdy));
      const auto append = [&](std::vector<float>& values, const opencl::Buffer& more,
                              std::size_t count) {
        const std::vector<float> result = download(more, count);
        values.insert(values.end(), result.begin(), result.end());
      };
      const opencl::Buffer py = target(one.rows * one.out), pdx = target(one.rows * one.in);
      matmul.forward(px, upload_weight(weight, one), upload(bias), py, each, true);
      matmul.input_gradient(pdy, upload_weight(weight, one), px, pdx, each, true);
      append(y, py, one.rows * one.out);
      append(dx, pdx, one.rows * one.in);
    }
    const opencl::Buffer dweight = target(all.in * all.out), dbias = target(all.out);
    matmul.weight_gradient(upload(x), upload(dy), dweight, dbias, batch);
    const auto by_pairs = [](const std::vector<float>& a, const std::vector<float>& b,
                             const std::vector<float>& c, const std::vector<float>& d) {
      std::vector<float> sums(a.size());
      for (std::size_t i = 0; i < a.size(); ++i) sums[i] = (a[i] + b[i]) + (c[i] + d[i]);
      return sums;
    };
    EXPECT_EQ(reference::dense_from_device(download(dweight, all.in * all.out),
                                           static_cast<int>(all.out), input_of(all)),
              by_pairs(apart[0].weight, apart[1].weight, apart[2].weight, apart[3].weight));
    EXPECT_EQ(download(dbias, all.out),
              by_pairs(apart[0].bias, apart[1].bias, apart[2].bias, apart[3].bias));
    const opencl::Buffer whole_y = target(all.rows * all.out), whole_dx = target(all.rows * all.in);
    matmul.forward(upload(x), upload_weight(weight, all), upload(bias), whole_y, batch, true);
    matmul.input_gradient(upload(dy), upload_weight(weight, all), upload(x), whole_dx, batch, true);
    EXPECT_EQ(download(whole_y, all.rows * all.out), y);
    EXPECT_EQ(download(whole_dx, all.rows * all.in), dx);
  }
}

TEST_P(MatmulTest, MatchesTheTwinOnTheModelsShapes) {
  expect_twin({64, 784, 256});
  expect_twin({64, 128, 16});
  expect_twin({13, 3136, 128});
}

TEST_P(MatmulTest, MatchesTheTwinAtTheEdges) {
  expect_twin({1, 1, 16});
  expect_twin({12, 13, 48});   // fewer rows than a tile of rows has
  expect_twin({130, 33, 16});  // rows and columns just past a tile
  expect_twin({5, 300, 272});  // more than one panel both ways
}

TEST_P(MatmulTest, MatchesTheTwinOnRandomShapes) {
  for (int i = 0; i < 3; ++i) {
    expect_twin({static_cast<std::size_t>(between(1, 150)),
                 static_cast<std::size_t>(between(1, 400)),
                 static_cast<std::size_t>(16 * between(1, 20))});
  }
}

TEST_P(MatmulTest, TakesAnyNumberOfRows) {
  const MatmulShape shape{.in = 20, .out = 32};
  Matmul matmul = make(shape);
  for (const std::size_t rows : {1000, 1, 14, 4096, 63}) {
    const MatmulExtents e{rows, 20, 32};
    const std::vector<float> x = random(rows * 20);
    const std::vector<float> weight = random(20 * 32);
    const std::vector<float> bias = random(32);
    const opencl::Buffer y = target(rows * 32);
    matmul.forward(upload(x), upload_weight(weight, e), upload(bias), y, static_cast<int>(rows),
                   false);
    EXPECT_LT(relative_error(download(y, rows * 32),
                             reference::matmul(e, operand(x), operand(weight), widen(bias), false)),
              bound())
        << rows << " rows";
  }
}

TEST_P(MatmulTest, GradientsMatchFiniteDifferences) {
  const MatmulExtents e{4, 7, 16};
  const std::vector<float> x = random(e.rows * e.in);
  const std::vector<float> dy = random(e.rows * e.out);
  const std::vector<float> weight = random(e.in * e.out);
  const std::vector<float> bias = random(e.out);
  const opencl::Buffer x_buffer = upload(x);
  const opencl::Buffer dy_buffer = upload(dy);
  Matmul matmul = make(shape_of(e));

  const opencl::Buffer dx = target(e.rows * e.in);
  matmul.input_gradient(dy_buffer, upload_weight(weight, e), x_buffer, dx, 4, false);
  const auto of_x = [&](const auto& v) {
    return reference::matmul(e, v, operand(weight), widen(bias), false);
  };
  EXPECT_LT(relative_error(download(dx, e.rows * e.in),
                           finite_differences(operand(x), operand(dy), of_x)),
            bound());

  const Gradients gradients = weight_gradient(matmul, e, x_buffer, dy_buffer);
  const auto of_weight = [&](const auto& v) {
    return reference::matmul(e, operand(x), v, widen(bias), false);
  };
  EXPECT_LT(
      relative_error(gradients.weight, finite_differences(operand(weight), operand(dy), of_weight)),
      bound());
  const auto of_bias = [&](const auto& v) {
    return reference::matmul(e, operand(x), operand(weight), v, false);
  };
  EXPECT_LT(relative_error(gradients.bias, finite_differences(widen(bias), widen(dy), of_bias)),
            bound());
}

// On a CPU, where it is brought into another order.
TEST_P(MatmulTest, KeepsAWeightThatStays) {
  const MatmulExtents e{5, 300, 48};
  const opencl::Buffer x = upload(random(e.rows * e.in)), bias = upload(random(e.out)),
                       weight = upload_weight(random(e.in * e.out), e), y = target(e.rows * e.out);
  const auto forward = [&](Matmul& matmul) {
    matmul.forward(x, weight, bias, y, static_cast<int>(e.rows), false);
    return download(y, e.rows * e.out);
  };
  Matmul matmul = make(shape_of(e)), anew = make(shape_of(e));
  matmul.keep_weight();
  const std::vector<float> first = forward(matmul);
  const std::vector<float> other(weight.bytes() / sizeof(float), 0.5f);
  device().write(weight, other.data(), weight.bytes());
  EXPECT_EQ(forward(matmul) == first, GetParam().variant == Variant::cpu);
  matmul.keep_weight();
  EXPECT_EQ(forward(matmul), forward(anew));
}

TEST_P(MatmulTest, GivesTheSameBitsTwice) {
  const MatmulExtents e{100, 784, 128};
  const opencl::Buffer x = upload(random(e.rows * e.in));
  const opencl::Buffer dy = upload(random(e.rows * e.out));
  Matmul first = make(shape_of(e));
  Matmul second = make(shape_of(e));
  const Gradients once = weight_gradient(first, e, x, dy);
  const Gradients again = weight_gradient(first, e, x, dy);
  const Gradients other = weight_gradient(second, e, x, dy);
  EXPECT_EQ(once.weight, again.weight);
  EXPECT_EQ(once.bias, again.bias);
  EXPECT_EQ(once.weight, other.weight);
}

TEST_P(MatmulTest, PassesNotANumberOn) {
  const MatmulExtents e{1, 2, 16};
  Matmul matmul = make(shape_of(e));
  const opencl::Buffer y = target(16);
  matmul.forward(upload({poison, 1}), upload_weight(std::vector<float>(32, -1.0f), e),
                 upload(std::vector<float>(16)), y, 1, true);
  EXPECT_TRUE(std::isnan(download(y, 16)[0]));
}

TEST_P(MatmulTest, RefusesShapesThatDoNotFit) {
  EXPECT_THROW(make({.in = 0, .out = 16}), Error);
  EXPECT_THROW(make({.in = 4, .out = 10}), Error);
  EXPECT_THROW(make({.in = 1 << 27, .out = 16}), Error);  // a weight of 2^31 elements
  Matmul matmul = make({.in = 4, .out = 16});
  const opencl::Buffer any = device().allocate(64);
  EXPECT_THROW(matmul.forward(any, any, any, any, 0, false), Error);
  EXPECT_THROW(matmul.forward(any, any, any, any, 1 << 28, false), Error);
}

TEST_P(MatmulTest, MatchesTheTwinPastItsTiles) {
  expect_twin(
      {300, 521, 272});  // several tiles and parts of the depth, and an odd number of columns
  expect_twin({1000, 64, 528});
  expect_twin({600, 40, 48});  // few columns over several parts of the depth
}

TEST_P(MatmulTest, MatchesTheTwinWhereAWorkGroupHasSeveralTiles) {
  if (device().is_cpu()) GTEST_SKIP() << "work-items own their tiles alone";
  expect_twin({3000, 64, 4112});  // 408 tiles of 128 x 256, for some 132 work-groups that stay
}

// A driver that refuses the instructions still trains.
TEST(MatmulFormats, FallBackToPlainKernels) {
  opencl::Device& device = testing::test_device();
  for (const ComputeFormat format : compute_formats) {
    Matmul matmul(device, Variant::nvidia, {.in = 3, .out = 16}, format);
    const std::vector<float> ones(48, 1.0f);
    const opencl::Buffer weight = device.upload(std::span<const float>(ones));
    const opencl::Buffer y = device.allocate(32 * sizeof(float));
    matmul.forward(weight, weight, weight, y, 2, false);
    EXPECT_EQ(device.download<float>(y), std::vector<float>(32, 4.0f)) << matmul.products_name();
  }
}

// A choice among them changes no result: measurements may differ from start to start.
TEST(MatmulCandidates, OfCpusGiveTheSameBits) {
  opencl::Device& device = testing::test_device();
  if (!device.is_cpu()) GTEST_SKIP() << device.info().name << " is none";
  const int rows = 77;
  const MatmulShape shape{.in = 301, .out = 48};
  const auto values = [&](std::size_t count) {
    std::vector<float> numbers(count);
    for (std::size_t i = 0; i < count; ++i) numbers[i] = std::sin(static_cast<float>(i) * 1.7f);
    return device.upload(std::span<const float>(numbers));
  };
  const opencl::Buffer x = values(77 * 301), weight = values(301 * 48), bias = values(48),
                       dy = values(77 * 48);
  std::optional<std::vector<float>> forward, gradient;
  std::set<std::string> names;
  for (const MatmulKernels& kernels :
       matmul_candidates(device, shape, rows, ComputeFormat::float32, Direction::forward)) {
    EXPECT_TRUE(names.insert(kernels.name()).second) << kernels.name() << " twice";
    if (kernels.variant != Variant::cpu) continue;
    Matmul matmul(device, kernels, shape);
    const opencl::Buffer y = device.allocate(dy.bytes()), dx = device.allocate(x.bytes());
    matmul.forward(x, weight, bias, y, rows, true);
    matmul.input_gradient(dy, weight, x, dx, rows, true);
    const auto found = device.download<float>(y), found_gradient = device.download<float>(dx);
    EXPECT_EQ(forward.value_or(found), found) << kernels.name();
    EXPECT_EQ(gradient.value_or(found_gradient), found_gradient) << kernels.name();
    forward = found;
    gradient = found_gradient;
  }
  EXPECT_TRUE(forward);
}

using opencl::InstructionSet;

INSTANTIATE_TEST_SUITE_P(
    Variants, MatmulTest,
    ::testing::Values(Kernels{Variant::cpu}, Kernels{Variant::gpu},
                      Kernels{Variant::cpu, ComputeFormat::tf32},
                      Kernels{Variant::cpu, ComputeFormat::bf16},
                      Kernels{Variant::cpu, ComputeFormat::fp16},
                      Kernels{Variant::gpu, ComputeFormat::fp16},
                      Kernels{Variant::nvidia, ComputeFormat::float32, InstructionSet::async_copy},
                      Kernels{Variant::nvidia, ComputeFormat::tf32, InstructionSet::mma},
                      Kernels{Variant::nvidia, ComputeFormat::bf16, InstructionSet::mma},
                      Kernels{Variant::nvidia, ComputeFormat::fp16, InstructionSet::mma},
                      Kernels{Variant::nvidia, ComputeFormat::fp16, InstructionSet::wgmma},
                      Kernels{Variant::nvidia, ComputeFormat::tf32, InstructionSet::wgmma},
                      Kernels{Variant::nvidia, ComputeFormat::bf16, InstructionSet::wgmma}),
    kernels_name);

}  // namespace
}  // namespace dovetail
