// Times Matmul and Conv2d as a training step uses them.
#include "bench/operations.hpp"

#include <algorithm>
#include <charconv>
#include <memory>

#include "plan/conv_problem.hpp"
#include "plan/dense_problem.hpp"
#include "support/error.hpp"
#include "support/random.hpp"
#include "support/text.hpp"

namespace dovetail::bench {
namespace {

std::vector<int> parse_extents(const std::string& text, std::size_t count, const char* form) {
  std::vector<int> extents;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    int value = 0;
    const auto [rest, problem] = std::from_chars(at, end, value);
    if (problem != std::errc() || value < 1) break;
    extents.push_back(value);
    if (rest == end) {
      at = end;
    } else if (*rest == 'x') {
      at = rest + 1;
    } else {
      break;
    }
  }
  if (at != end || extents.size() != count || text.ends_with('x')) {
    throw UsageError(fmt::format("--shape {} is no shape", text),
                     fmt::format("Give {} with positive numbers", form));
  }
  return extents;
}

opencl::Buffer random_values(opencl::Device& device, std::size_t count) {
  SplitMix64 random(count);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.below(2001)) / 1000.0f - 1.0f;
  return device.upload<float>(values);
}

std::size_t area(int rows, int columns) {
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
}

double bytes_of(std::initializer_list<std::size_t> elements) {
  double bytes = 0;
  for (const std::size_t count : elements) bytes += static_cast<double>(count) * sizeof(float);
  return bytes;
}

/// Those that are measured.
std::vector<Direction> directions_of(const std::string& wanted, bool has_input_gradient) {
  std::vector<Direction> directions;
  for (const Direction each :
       {Direction::forward, Direction::input_gradient, Direction::weight_gradient}) {
    if (each == Direction::input_gradient && !has_input_gradient) continue;
    if (std::string(to_string(each)).ends_with(wanted)) directions.push_back(each);
  }
  return directions;
}

}  // namespace

std::vector<GemmShape> default_gemms() {
  return {{64, 784, 256}, {128, 784, 256}, {64, 3136, 128},    {128, 3136, 128},
          {128, 128, 16}, {512, 512, 512}, {1024, 1024, 1024}, {2048, 2048, 2048}};
}

std::vector<ConvShape> default_convs() {
  return {{1, 32, 28, 64},    {1, 32, 28, 128},  {32, 64, 14, 64}, {32, 64, 14, 128},
          {32, 64, 28, 64},   {3, 64, 32, 32},   {64, 64, 32, 32}, {64, 128, 16, 32},
          {128, 128, 16, 32}, {128, 256, 8, 32}, {256, 256, 8, 32}};
}

GemmShape parse_gemm(const std::string& text) {
  const auto extents = parse_extents(text, 3, "ROWSxINxOUT");
  return {extents[0], extents[1], extents[2]};
}

ConvShape parse_conv(const std::string& text) {
  const auto extents = parse_extents(text, 4, "INxOUTxEXTENTxBATCH");
  return {extents[0], extents[1], extents[2], extents[3]};
}

void run_gemms(opencl::Device& device, Variant variant, ComputeFormat format,
               const std::vector<GemmShape>& shapes, const std::string& direction,
               plan::Tuner* tuner, Report& report) {
  for (const auto& [rows, in, out] : shapes) {
    const MatmulShape shape{.in = in, .out = out};
    plan::DenseProducts products = tuner
                                       ? plan::DenseProducts(*tuner, device, shape, rows, format,
                                                             directions_of(direction, true))
                                       : plan::DenseProducts(device, variant, shape, rows, format);
    const auto x = random_values(device, area(rows, in)),
               y = random_values(device, area(rows, out)),
               weight = random_values(device, area(in, out));
    const auto bias = random_values(device, area(1, out)), dx = device.allocate(x.bytes()),
               result = device.allocate(y.bytes()), dweight = device.allocate(weight.bytes());
    const double operations = 2.0 * rows * in * out;
    const double bytes = bytes_of({area(rows, in), area(rows, out), area(in, out)});
    const auto add = [&](const std::string& which, const std::function<void()>& call) {
      if (!which.ends_with(direction)) return;
      report.add({fmt::format("dense {}x{}x{} {}", rows, in, out, which),
                  {{"rows", rows}, {"in", in}, {"out", out}, {"direction", which}},
                  operations,
                  bytes,
                  measure(device, call)});
    };
    add("forward",
        [&] { products.of(Direction::forward).forward(x, weight, bias, result, rows, true); });
    add("input gradient", [&] {
      products.of(Direction::input_gradient).input_gradient(y, weight, x, dx, rows, true);
    });
    add("weight gradient", [&] {
      products.of(Direction::weight_gradient).weight_gradient(x, y, dweight, bias, rows);
    });
  }
}

double best_product_flops(opencl::Device& device, plan::Tuner& tuner, ComputeFormat format) {
  double best = 0;
  for (const int extent : {4096, 8192}) {
    plan::DenseProducts products(tuner, device, MatmulShape{.in = extent, .out = extent}, extent,
                                 format, {Direction::forward});
    const auto x = random_values(device, area(extent, extent)),
               weight = random_values(device, area(extent, extent)),
               bias = random_values(device, area(1, extent)), result = device.allocate(x.bytes());
    const Timing timing = measure(device, [&] {
      products.of(Direction::forward).forward(x, weight, bias, result, extent, true);
    });
    best = std::max(best, 2.0 * extent * extent * extent / timing.median_s);
  }
  return best;
}

namespace {

/// A convolution's operands, and what is added to the report of it.
class ConvBench {
 public:
  ConvBench(opencl::Device& device, const ConvShape& shape, const std::string& direction,
            Report& report)
      : device_(device), shape_(shape), direction_(direction), report_(report) {
    const int halo = shape.kernel / 2, extent = shape.extent;
    in_ = is_hidden() ? feature_map(shape.batch, extent, extent, shape.in, halo)
                      : input_map(shape.batch, extent, extent, shape.in, halo);
    out_ = feature_map(shape.batch, extent, extent, shape.out, halo);
    weights_ = taps() * area(shape.in, out_.channel_stride);
    x_ = random_values(device, in_.size());
    y_ = random_values(device, out_.size());
    weight_ = random_values(device, weights_);
    bias_ = random_values(device, weights_);
    dx_ = device.allocate_zeroed(x_.bytes());
    result_ = device.allocate_zeroed(y_.bytes());
    dweight_ = device.allocate(weight_.bytes());
  }

  Conv2dShape plain() const { return {in_, out_, shape_.kernel, 1, shape_.kernel / 2}; }
  Conv2dPoolShape pooled(int pool) const {
    const int extent = shape_.extent / pool;
    return {in_,
            pool == 1 ? out_ : feature_map(shape_.batch, extent, extent, shape_.out),
            shape_.kernel,
            1,
            shape_.kernel / 2,
            pool};
  }
  bool is_hidden() const { return shape_.in >= channel_lanes; }

  /// @param visited  share of the products that the gradients need: of the input, of the weight.
  template <typename Convolution>
  void time(Convolution& conv, const std::string& what, double input_visited,
            double weight_visited) {
    const int batch = shape_.batch;
    add(what + "forward", 1, [&] { conv.forward(x_, weight_, bias_, result_, batch, true); });
    if (is_hidden()) {
      add(what + "input gradient", input_visited,
          [&] { conv.input_gradient(y_, weight_, x_, dx_, batch, true); });
    }
    add(what + "weight gradient", weight_visited,
        [&] { conv.weight_gradient(x_, y_, dweight_, bias_, batch); });
  }

 private:
  std::size_t taps() const { return area(shape_.kernel, shape_.kernel); }

  void add(const std::string& direction, double visited, const std::function<void()>& call) {
    if (!direction.ends_with(direction_)) return;
    const double images = static_cast<double>(area(shape_.extent, shape_.extent)) * shape_.batch;
    report_.add({fmt::format("conv {0}x{0} {1}->{2} on {3}x{3}, batch {4} {5}", shape_.kernel,
                             shape_.in, shape_.out, shape_.extent, shape_.batch, direction),
                 {{"kernel", shape_.kernel},
                  {"in", shape_.in},
                  {"out", shape_.out},
                  {"extent", shape_.extent},
                  {"batch", shape_.batch},
                  {"direction", direction}},
                 2.0 * static_cast<double>(taps()) * shape_.in * shape_.out * images * visited,
                 4.0 * (images * (shape_.in + shape_.out) + static_cast<double>(weights_)),
                 measure(device_, call)});
  }

  opencl::Device& device_;
  ConvShape shape_;
  std::string direction_;  // alone
  Report& report_;
  Layout in_, out_;
  std::size_t weights_ = 0;
  opencl::Buffer x_, y_, weight_, bias_, dx_, result_, dweight_;
};

}  // namespace

void run_convs(opencl::Device& device, Variant variant, ComputeFormat format,
               const std::vector<ConvShape>& shapes, const std::string& direction,
               plan::Tuner* tuner, Report& report) {
  const bool has_tensor_cores = (variant == Variant::nvidia || tuner) &&
                                format != ComputeFormat::float32 &&
                                device.takes(opencl::InstructionSet::mma);
  const bool on_cpu = tuner ? device.is_cpu() : variant == Variant::cpu;
  for (const ConvShape& shape : shapes) {
    ConvBench bench(device, shape, direction, report);
    const std::vector<Direction> directions = directions_of(direction, bench.is_hidden());
    if (directions.empty()) continue;
    if (!on_cpu) {
      for (const int pool : {1, 2}) {
        const Conv2dPoolShape pooled = bench.pooled(pool);
        const std::string what = pool == 1 ? "" : "with max-pool, ";
        if (has_tensor_cores && Conv2dMma::fits(pooled)) {
          const auto conv = tuner ? plan::tuned_conv_mma(*tuner, device, pooled, shape.batch, true,
                                                         format, directions)
                                  : std::make_unique<Conv2dMma>(device, pooled, true, format);
          bench.time(*conv, what, 1, 1);
        } else {
          const auto conv = tuner ? plan::tuned_conv_gpu(*tuner, device, pooled, shape.batch, true,
                                                         format, directions)
                                  : std::make_unique<Conv2dGpu>(device, pooled, true, format);
          bench.time(*conv, what, 1, 1);
        }
      }
      continue;
    }
    const auto conv =
        tuner ? plan::tuned_conv(*tuner, device, bench.plain(), shape.batch, format, directions)
              : std::make_unique<Conv2d>(device, variant, bench.plain(), format);
    bench.time(*conv, "", 1, 1);
    const Conv2dPoolShape pooled = bench.pooled(2);
    if (!Conv2dPool::fits(pooled)) continue;
    // The gradients of the padded ones multiply with the maxima alone, one pixel of four.
    const auto with_pool =
        tuner ? plan::tuned_conv_pool(*tuner, device, pooled, shape.batch, true, format, directions)
              : std::make_unique<Conv2dPool>(device, pooled, true, format);
    bench.time(*with_pool, "with max-pool, ", 0.25, bench.is_hidden() ? 0.25 : 1);
  }
}

}  // namespace dovetail::bench
