// Runs the kernels of kernels/ceiling.cl.
#include "bench/ceilings.hpp"

#include <algorithm>
#include <span>
#include <vector>

#include "dovetail_kernels.hpp"
#include "support/text.hpp"

namespace dovetail::bench {
namespace {

constexpr std::int32_t chain_rounds = 20000;
constexpr std::size_t chains = 16;               // independent ones a work-item, as in the kernel
constexpr std::size_t gpu_copy_bytes = 1 << 30;  // far beyond 50 MiB of L2
constexpr std::size_t cpu_copy_bytes = 256 << 20;

double multiply_adds(opencl::Device& device) {
  const std::size_t width = device.is_cpu() ? 16 : 1;
  const std::size_t local = device.is_cpu() ? 1 : 256;
  const std::size_t items = device.is_cpu() ? 64 : 256 * 1024;
  const opencl::Kernel kernel =
      device.build(kernels::ceiling, {device.is_cpu() ? "VALUE=float16" : "VALUE=float"})
          .kernel(kernels::ceiling_::multiply_add);
  // Each chain comes to 1.
  std::vector<float> start(chains + 2);
  for (std::size_t i = 0; i < chains; ++i) start[i] = 0.1f * static_cast<float>(i + 1);
  start[chains] = 0.999f;
  start[chains + 1] = 0.001f;
  const opencl::Buffer values = device.upload(std::span<const float>(start)),
                       sums = device.allocate(items * width * sizeof(float));
  const Timing timing = measure(device, [&] {
    device.launch(kernel, {{items, 1, 1}, {local, 1, 1}}, values, sums, chain_rounds);
  });
  const auto operations = static_cast<double>(2 * chains * width * items) * chain_rounds;
  return operations / timing.median_s;
}

double copy_rate(opencl::Device& device) {
  std::size_t bytes = device.is_cpu() ? cpu_copy_bytes : gpu_copy_bytes;
  if (device.info().memory_bytes > 0)
    bytes = std::min<std::size_t>(bytes, device.info().memory_bytes / 16);
  bytes = std::max<std::size_t>(bytes >> 20, 1) << 20;
  const opencl::Kernel kernel =
      device.build(kernels::ceiling, {device.is_cpu() ? "VALUE=float16" : "VALUE=float4"})
          .kernel(kernels::ceiling_::copy);
  const std::size_t vector_bytes = device.is_cpu() ? 64 : 16;
  const opencl::Buffer source = device.allocate_zeroed(bytes), target = device.allocate(bytes);
  const Timing timing = measure(device, [&] {
    device.launch(kernel, {{bytes / vector_bytes, 1, 1}, {256, 1, 1}}, source, target);
  });
  return 2.0 * static_cast<double>(bytes) / timing.median_s;
}

}  // namespace

Ceilings measure_ceilings(opencl::Device& device) {
  Ceilings ceilings;
  ceilings.flops = multiply_adds(device);
  ceilings.copy_bytes_per_s = copy_rate(device);
  const opencl::Kernel kernel =
      device.build(kernels::ceiling, {"VALUE=float"}).kernel(kernels::ceiling_::copy);
  const opencl::Buffer source = device.allocate_zeroed(256 * sizeof(float)),
                       target = device.allocate(256 * sizeof(float));
  const auto launch = [&] { device.launch(kernel, {{256, 1, 1}, {256, 1, 1}}, source, target); };
  ceilings.launch_s = measure(device, launch, {.total_s = 0.2}).median_s;
  ceilings.round_trip_s = measure(device,
                                  [&] {
                                    launch();
                                    device.finish();
                                  },
                                  {.total_s = 0.2})
                              .median_s;
  return ceilings;
}

Json to_json(const Ceilings& ceilings) {
  return {{"float32_flops", ceilings.flops},
          {"copy_bytes_per_s", ceilings.copy_bytes_per_s},
          {"launch_s", ceilings.launch_s},
          {"round_trip_s", ceilings.round_trip_s}};
}

std::string to_text(const Ceilings& ceilings) {
  return fmt::format(
      "ceilings: {:.0f} GFLOP/s float32 multiply-add, {:.0f} GB/s copy (read + write), "
      "{:.1f} us a queued launch, {:.1f} us with a wait",
      ceilings.flops / 1e9, ceilings.copy_bytes_per_s / 1e9, ceilings.launch_s * 1e6,
      ceilings.round_trip_s * 1e6);
}

double floor_s(const Ceilings& ceilings, double operations, double bytes) {
  return std::max(operations / ceilings.flops, bytes / ceilings.copy_bytes_per_s);
}

}  // namespace dovetail::bench
