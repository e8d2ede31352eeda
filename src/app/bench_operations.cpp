// `dovetail bench gemm` and `bench conv`: single operations.
#include "app/bench_commands.hpp"
#include "bench/operations.hpp"
#include "ops/matmul_products.hpp"
#include "support/error.hpp"

namespace dovetail::app {
namespace {

/// Throws UsageError where the device has no kernels of its own for what was asked: others would
/// run under that name.
void expect_kernels(const Bench& bench, bool takes_float32) {
  const ComputeFormat format = bench.options.step.format;
  if (bench.options.tune || bench.variant() != Variant::nvidia) return;
  if (!product_paths(bench.device, format).empty() &&
      (takes_float32 || format != ComputeFormat::float32))
    return;
  throw UsageError(fmt::format("{} has no nvidia kernels for this in {}", bench.device.info().name,
                               to_string(format)),
                   "Give another --format, or leave --variant out");
}

/// gemm and conv: `run` adds to the report, by the tuner's kernels where there is one.
template <typename Run>
void report_operations(const Bench& bench, const char* name, Run run) {
  expect_one_rank(bench.world, name);
  const bool tuned = bench.options.tune;
  bench::Report report(name, bench.device.info(),
                       fmt::format("{} {}", tuned ? "chosen" : to_string(bench.variant()),
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
  expect_kernels(bench, true);
  if (!bench.options.tune && format != ComputeFormat::float32 &&
      bench.variant() != Variant::nvidia) {
    throw UsageError(fmt::format("{} multiplies no {} in the {} variant", bench.device.info().name,
                                 to_string(format), to_string(bench.variant())),
                     "Give --format float32, or --variant nvidia on a GPU with tensor cores");
  }
  report_operations(bench, "gemm", [&](plan::Tuner* tuner, bench::Report& report) {
    bench::run_gemms(bench.device, bench.variant(), format, shapes, bench.options.direction, tuner,
                     report);
  });
}

void bench_conv(const Bench& bench) {
  std::vector<bench::ConvShape> shapes;
  for (const std::string& text : bench.options.shapes) shapes.push_back(bench::parse_conv(text));
  if (shapes.empty()) shapes = bench::default_convs();
  expect_kernels(bench, false);
  report_operations(bench, "conv", [&](plan::Tuner* tuner, bench::Report& report) {
    bench::run_convs(bench.device, bench.variant(), bench.options.step.format, shapes,
                     bench.options.direction, tuner, report);
  });
}

}  // namespace dovetail::app
