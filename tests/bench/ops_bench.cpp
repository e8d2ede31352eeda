// GFLOP/s of the matrix and convolution operations at the models' shapes, beside the device's
// multiply-add ceiling.
//
// ops_bench [device index] [cpu|gpu]. Best of many repetitions; launches are queued, as in a
// training step.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string_view>

#include "ops/conv2d.hpp"
#include "ops/matmul.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

constexpr int repetitions = 100;
constexpr double repetition_s = 0.002;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Seconds of one call: queues calls for `repetition_s`, waits, and takes the fastest of
/// `repetitions`.
template <typename Call>
double best_time(opencl::Device& device, Call call) {
  const auto time = [&](int calls) {
    const double start = seconds();
    for (int i = 0; i < calls; ++i) call();
    device.finish();
    return (seconds() - start) / calls;
  };
  time(1);  // compiles
  const int calls = std::max(1, static_cast<int>(repetition_s / time(3)));
  double best = time(calls);
  for (int i = 1; i < repetitions; ++i) best = std::min(best, time(calls));
  return best;
}

double ceiling(opencl::Device& device) {
  const int width = device.is_cpu() ? 16 : 1;
  const std::size_t local = device.is_cpu() ? 1 : 256;
  const std::size_t items = device.is_cpu() ? 64 : 256 * 1024;
  const std::int32_t rounds = 20000;
  const opencl::Kernel kernel =
      device.build(kernels::ceiling, {device.is_cpu() ? "VALUE=float16" : "VALUE=float"})
          .kernel(kernels::ceiling_::multiply_add);
  const opencl::Buffer values =
      device.allocate_zeroed((items + 32) * static_cast<std::size_t>(width) * 4);
  const double time = best_time(device, [&] {
    device.launch(kernel, {{items, 1, 1}, {local, 1, 1}}, values, rounds);
  });
  return 2.0 * 16 * width * rounds * static_cast<double>(items) / time / 1e9;
}

class Bench {
 public:
  Bench(opencl::Device& device, Variant variant)
      : device_(device), variant_(variant), ceiling_(ceiling(device)) {
    fmt::print("{}, {} variant: multiply-add ceiling {:.0f} GFLOP/s\n", device.info().name,
               to_string(variant), ceiling_);
    fmt::print("{:<34}{:>20}{:>20}{:>20}\n", "GFLOP/s (share of the ceiling)", "forward",
               "input gradient", "weight gradient");
  }

  void conv(int in, int out, int extent, int batch) {
    const Layout x = in < channel_lanes ? input_map(batch, extent, extent, in, 1)
                                        : feature_map(batch, extent, extent, in, 1);
    const Layout y = feature_map(batch, extent, extent, out, 1);
    Conv2d conv(device_, variant_, {x, y, 3, 1, 1});
    const opencl::Buffer xs = zeros(x.size()), dx = zeros(x.size()), ys = zeros(y.size());
    const auto weights = static_cast<std::size_t>(9 * in * y.channel_stride);
    const opencl::Buffer weight = zeros(weights), dweight = zeros(weights), bias = zeros(weights);
    const double operations = 2.0 * 9 * in * out * extent * extent * batch;
    fmt::print("{:<34}",
               fmt::format("conv 3x3 {}->{} {}x{}, batch {}", in, out, extent, extent, batch));
    print(operations, [&] { conv.forward(xs, weight, bias, ys, batch, true); });
    if (in >= channel_lanes) {
      print(operations, [&] { conv.input_gradient(ys, weight, xs, dx, batch, true); });
    } else {
      fmt::print("{:>20}", "-");
    }
    print(operations, [&] { conv.weight_gradient(xs, ys, dweight, bias, batch); });
    fmt::print("\n");
  }

  void dense(int in, int out, int rows) {
    Matmul matmul(device_, variant_, {.in = in, .out = out});
    const auto size = [](int a, int b) {
      return static_cast<std::size_t>(a) * static_cast<std::size_t>(b);
    };
    const opencl::Buffer x = zeros(size(rows, in)), dx = zeros(size(rows, in)),
                         y = zeros(size(rows, out));
    const opencl::Buffer weight = zeros(size(in, out)), dweight = zeros(size(in, out));
    const opencl::Buffer bias = zeros(size(1, out));
    const double operations = 2.0 * in * out * rows;
    fmt::print("{:<34}", fmt::format("dense {}->{}, batch {}", in, out, rows));
    print(operations, [&] { matmul.forward(x, weight, bias, y, rows, true); });
    print(operations, [&] { matmul.input_gradient(y, weight, x, dx, rows, true); });
    print(operations, [&] { matmul.weight_gradient(x, y, dweight, bias, rows); });
    fmt::print("\n");
  }

 private:
  opencl::Buffer zeros(std::size_t count) { return device_.allocate_zeroed(count * sizeof(float)); }

  template <typename Call>
  void print(double operations, Call call) {
    const double rate = operations / best_time(device_, call) / 1e9;
    fmt::print("{:>20}", fmt::format("{:.0f} ({:.0f} %)", rate, 100 * rate / ceiling_));
  }

  opencl::Device& device_;
  Variant variant_;
  double ceiling_;
};

void run(int index, const char* variant) {
  opencl::Device device(index);
  Bench bench(device, variant ? (std::string_view(variant) == "gpu" ? Variant::gpu : Variant::cpu)
                              : variant_for(device));
  for (const int batch : {64, 128}) {
    bench.conv(1, 32, 28, batch);
    bench.conv(32, 64, 14, batch);
    bench.dense(3136, 128, batch);
    bench.dense(128, 16, batch);
    bench.dense(784, 256, batch);
  }
  bench.conv(64, 64, 32, 16);
  bench.conv(256, 256, 8, 16);
}

}  // namespace
}  // namespace dovetail

int main(int argc, char** argv) {
  try {
    dovetail::run(argc > 1 ? std::atoi(argv[1]) : 0, argc > 2 ? argv[2] : nullptr);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "ops_bench: {}\n", error.what());
    return 1;
  }
}
