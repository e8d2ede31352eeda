// `dovetail bench infer`: on an OpenCL device, or on an FPGA card.
#include "app/bench_card.hpp"
#include "app/bench_commands.hpp"
#include "app/job.hpp"
#include "app/result.hpp"
#include "quant/weight_pack.hpp"

namespace dovetail::app {

void bench_infer(const Bench& bench) {
  expect_one_rank(bench.world, "infer");
  const Model model = make_bench_model(bench.options);
  const bench::Ceilings ceilings = bench::measure_ceilings(bench.device);
  plan::Tuner tuner = bench.tuner();
  const bench::Timing timing =
      bench::time_inference(tuner, bench.device, model, bench.options.step);
  const int batch = bench.options.step.batch;
  const double rate = batch / timing.median_s;
  const double flops = rate * bench::work_of(model).forward;
  Json json = describe(bench, "infer", ceilings);
  add_kernels(json, tuner);
  json["timing"] = to_json(timing);
  json["samples_per_second"] = rate;
  json["flops"] = flops;
  json["of_float32_ceiling"] = flops / ceilings.flops;
  bench.write(fmt::format("{}\n{}\n{}{} in float32, batch {}: {:.3f} ms ({:.3f}..{:.3f}), {:.0f} "
                          "samples a second, {:.0f} GFLOP/s, {:.0f} % of the multiply-add ceiling",
                          bench.device.info().name, to_text(ceilings),
                          bench.options.tune ? tuner.to_text() + '\n' : "", bench.options.model,
                          batch, timing.median_s * 1e3, timing.low_s * 1e3, timing.high_s * 1e3,
                          rate, flops / 1e9, 100 * flops / ceilings.flops),
              json);
}

void bench_infer_on_card(Communicator& world, const BenchOptions& options,
                         PlacementOptions& placement) {
  expect_one_rank(world, "infer");
  const Model model = make_bench_model(options);
  quant::check_inference_format(options.format);
  placement.gpu_ranks = 0;
  placement.fpga_ranks = world.size();
  const Placement placed = place_job(world, placement);
  const CardReport report = bench_card(model,
                                       {.model = options.model,
                                        .format = options.format,
                                        .batch = options.step.batch,
                                        .seconds = options.step.seconds},
                                       placed.mine(), placement);
  write_result(options.json, report.text, report.json);
}

}  // namespace dovetail::app
