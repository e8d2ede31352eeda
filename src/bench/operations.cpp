// Times Matmul and Conv2d as a training step uses them.
#include "bench/operations.hpp"

#include <charconv>

#include "ops/conv2d.hpp"
#include "ops/conv2d_pool.hpp"
#include "ops/matmul.hpp"
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
               const std::vector<GemmShape>& shapes, Report& report) {
  for (const auto& [rows, in, out] : shapes) {
    Matmul matmul(device, variant, {.in = in, .out = out}, format);
    const auto x = random_values(device, area(rows, in)),
               y = random_values(device, area(rows, out)),
               weight = random_values(device, area(in, out));
    const auto bias = random_values(device, area(1, out)), dx = device.allocate(x.bytes()),
               result = device.allocate(y.bytes()), dweight = device.allocate(weight.bytes());
    const double operations = 2.0 * rows * in * out;
    const double bytes = bytes_of({area(rows, in), area(rows, out), area(in, out)});
    const auto add = [&](const char* direction, const std::function<void()>& call) {
      report.add({fmt::format("dense {}x{}x{} {}", rows, in, out, direction),
                  {{"rows", rows}, {"in", in}, {"out", out}, {"direction", direction}},
                  operations,
                  bytes,
                  measure(device, call)});
    };
    add("forward", [&] { matmul.forward(x, weight, bias, result, rows, true); });
    add("input gradient", [&] { matmul.input_gradient(y, weight, x, dx, rows, true); });
    add("weight gradient", [&] { matmul.weight_gradient(x, y, dweight, bias, rows); });
  }
}

void run_convs(opencl::Device& device, Variant variant, const std::vector<ConvShape>& shapes,
               Report& report) {
  for (const ConvShape& shape : shapes) {
    const int halo = shape.kernel / 2, extent = shape.extent;
    const bool hidden = shape.in >= channel_lanes;
    const Layout in = hidden ? feature_map(shape.batch, extent, extent, shape.in, halo)
                             : input_map(shape.batch, extent, extent, shape.in, halo);
    const Layout out = feature_map(shape.batch, extent, extent, shape.out, halo);
    Conv2d conv(device, variant, {in, out, shape.kernel, 1, halo});
    const auto taps = static_cast<std::size_t>(shape.kernel * shape.kernel);
    const std::size_t weights = taps * area(shape.in, out.channel_stride);
    const auto x = random_values(device, in.size()), y = random_values(device, out.size()),
               weight = random_values(device, weights), bias = random_values(device, weights);
    const auto dx = device.allocate_zeroed(x.bytes()), result = device.allocate_zeroed(y.bytes()),
               dweight = device.allocate(weight.bytes());
    const double images = static_cast<double>(area(extent, extent)) * shape.batch;
    const double operations = 2.0 * static_cast<double>(taps) * shape.in * shape.out * images;
    const double bytes = 4.0 * (images * (shape.in + shape.out) + static_cast<double>(weights));
    const auto add = [&](const char* direction, const std::function<void()>& call,
                         double share = 1) {
      report.add({fmt::format("conv {0}x{0} {1}->{2} on {3}x{3}, batch {4} {5}", shape.kernel,
                              shape.in, shape.out, extent, shape.batch, direction),
                  {{"kernel", shape.kernel},
                   {"in", shape.in},
                   {"out", shape.out},
                   {"extent", extent},
                   {"batch", shape.batch},
                   {"direction", direction}},
                  operations * share,
                  bytes,
                  measure(device, call)});
    };
    add("forward", [&] { conv.forward(x, weight, bias, result, shape.batch, true); });
    if (hidden)
      add("input gradient", [&] { conv.input_gradient(y, weight, x, dx, shape.batch, true); });
    add("weight gradient", [&] { conv.weight_gradient(x, y, dweight, bias, shape.batch); });
    const Conv2dPoolShape pooled{in, feature_map(shape.batch, extent / 2, extent / 2, shape.out),
                                 shape.kernel, 1, halo};
    if (variant != Variant::cpu || !Conv2dPool::fits(pooled)) continue;
    // The gradients of the padded ones multiply with the maxima alone, one pixel of four.
    Conv2dPool with_pool(device, pooled, true);
    add("with max-pool, forward",
        [&] { with_pool.forward(x, weight, bias, result, shape.batch, true); });
    if (hidden)
      add(
          "with max-pool, input gradient",
          [&] { with_pool.input_gradient(y, weight, x, dx, shape.batch, true); }, 0.25);
    add(
        "with max-pool, weight gradient",
        [&] { with_pool.weight_gradient(x, y, dweight, bias, shape.batch); }, hidden ? 0.25 : 1);
  }
}

}  // namespace dovetail::bench
