// `dovetail bench gemm` and `bench conv`: single operations.
#include "app/bench_commands.hpp"
#include "bench/operations.hpp"
#include "ops/matmul_products.hpp"
#include "support/error.hpp"

namespace dovetail::app {
namespace {

/// The one asked for, or the fastest that the device has for this. Throws UsageError where it has
/// none of the one asked for. Shapes that nvidia kernels do not fit go by the gpu ones (Variant).
Variant variant_of(const Bench& bench, bool takes_float32) {
  const ComputeFormat format = bench.options.step.format;
  const Variant asked = bench.variant();
  const bool is_open = bench.options.variant.empty();
  if (!is_open && asked != Variant::nvidia) return asked;
  if ((takes_float32 || format != ComputeFormat::float32) &&
      !product_paths(bench.device, format).empty())
    return Variant::nvidia;
  if (is_open) return asked;
  throw UsageError(fmt::format("{} has no nvidia kernels for this in {}", bench.device.info().name,
                               to_string(format)),
                   "Give another --format, or leave --variant out");
}

/// gemm and conv: `run` adds to the report, by the tuner's kernels where there is one.
template <typename Run>
void report_operations(const Bench& bench, const char* name, Variant variant, Run run) {
  expect_one_rank(bench.world, name);
  const bool tuned = bench.options.tune;
  bench::Report report(name, bench.device.info(),
                       fmt::format("{} {}", tuned ? "chosen" : to_string(variant),
                                   to_string(bench.options.step.format)),
                       bench::measure_ceilings(bench.device));
  plan::Tuner tuner = bench.tuner();
  run(tuned ? &tuner : nullptr, report);
  Json json = report.json();
  if (tuned) add_kernels(json, tuner);
  bench.write((tuned ? tuner.to_text() + '\n' : "") + report.text(), json);
}

}  // namespace

void bench_gemm(const Bench& bench) {
  std::vector<bench::GemmShape> shapes;
  for (const std::string& text : bench.options.shapes) shapes.push_back(bench::parse_gemm(text));
  if (shapes.empty()) shapes = bench::default_gemms();
  const ComputeFormat format = bench.options.step.format;
  const Variant variant = variant_of(bench, true);
  if (!bench.options.tune && format != ComputeFormat::float32 && variant != Variant::nvidia) {
    throw UsageError(fmt::format("{} multiplies no {} in the {} variant", bench.device.info().name,
                                 to_string(format), to_string(variant)),
                     "Give --format float32, or leave --variant out on a GPU with tensor cores");
  }
  report_operations(bench, "gemm", variant, [&](plan::Tuner* tuner, bench::Report& report) {
    bench::run_gemms(bench.device, variant, format, shapes, bench.options.direction, tuner, report);
  });
}

void bench_conv(const Bench& bench) {
  std::vector<bench::ConvShape> shapes;
  for (const std::string& text : bench.options.shapes) shapes.push_back(bench::parse_conv(text));
  if (shapes.empty()) shapes = bench::default_convs();
  const Variant variant = variant_of(bench, false);
  report_operations(bench, "conv", variant, [&](plan::Tuner* tuner, bench::Report& report) {
    bench::run_convs(bench.device, variant, bench.options.step.format, shapes,
                     bench.options.direction, tuner, report);
  });
}

}  // namespace dovetail::app
