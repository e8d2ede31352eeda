// `dovetail bench train`: whole steps and their parts.
#include <algorithm>

#include "app/bench_commands.hpp"
#include "bench/operations.hpp"
#include "bench/waterfall.hpp"
#include "ops/matmul_products.hpp"
#include "support/table.hpp"

namespace dovetail::app {
namespace {

/// What was measured of the steps.
struct MeasuredTraining {
  bench::StepTiming timing;
  bench::ModelWork work;  // that the plan's kernels compute
  std::size_t buckets = 0;
  bool emulates_format = false;
  std::optional<bench::Waterfall> waterfall{};
  double upload_s() const { return waterfall ? waterfall->upload_s() : 0; }
  /// What the host takes for its batch while no step is known to run, and the device's kernels wait
  /// for the batch's copy.
  double input_s() const { return timing.input_s + upload_s(); }
};

MeasuredTraining measure(const Bench& bench, const Model& model, const bench::StepOptions& step,
                         plan::Tuner& tuner) {
  MeasuredTraining measured;
  {
    const auto reduce = bench::make_all_reduce(bench.world, bench.device, model, step);
    const auto plan = make_host_by_host(bench.world, tuner, [&] {
      return bench::training_plan(tuner, bench.device, model, step, bench.world.size(), *reduce);
    });
    measured = {.timing = bench::time_training(bench.world, bench.device, *plan, *reduce, step),
                .work = bench::work_of(*plan),
                .buckets = plan->buckets().size(),
                .emulates_format = plan->emulates_format()};
  }
  if (step.data || bench.options.waterfall)
    measured.waterfall = bench::measure_waterfall(bench.world, bench.device, tuner, model, step);
  return measured;
}

/// The ceiling of the step's products.
double product_flops(const Bench& bench, const bench::Ceilings& ceilings, plan::Tuner& tuner) {
  const ComputeFormat format = bench.options.step.format;
  if (format == ComputeFormat::float32 || product_paths(bench.device, format).empty())
    return ceilings.flops;
  return std::max(ceilings.flops, bench::best_product_flops(bench.device, tuner, format));
}

Json parts_json(const Bench& bench, const Model& model, const bench::Ceilings& ceilings,
                const MeasuredTraining& measured, double floor_s) {
  const bench::StepTiming& timing = measured.timing;
  const int batch = bench.options.step.batch;
  Json json = describe(bench, "train", ceilings);
  json["step"] = to_json(timing.step);
  json["samples_per_second"] = batch / timing.step.median_s;
  json["input_share"] = measured.input_s() / timing.mean_s;
  json["seconds"] = {{"step", timing.mean_s},
                     {"input", timing.input_s},
                     {"compute", timing.compute_s},
                     {"reduce", timing.reduce_s},
                     {"update", timing.update_s}};
  if (measured.waterfall) {
    json["seconds"]["upload"] = measured.upload_s();
    json["seconds"]["upload_copy"] = measured.waterfall->copy_s();
    json["copies"] = {{"count", measured.waterfall->copies},
                      {"waited_for", measured.waterfall->waited_for},
                      {"longest_wait_s", measured.waterfall->longest_wait_s},
                      {"step_s", measured.waterfall->step_s},
                      {"busy_s", measured.waterfall->busy_s()}};
  }
  if (timing.reading) {
    json["reading"] = {{"samples_per_second", timing.reading->samples_per_s},
                       {"bytes_per_second", timing.reading->bytes_per_s}};
  }
  if (bench.world.size() > 1) {
    const CommunicationTime& communication = timing.communication;
    json["communication"] = {{"seconds", communication.total_s},
                             {"exposed_seconds", communication.exposed_s},
                             {"hidden", communication.hidden()},
                             {"buckets", measured.buckets}};
  }
  json["arithmetic_floor_s"] = floor_s;
  // Of all ranks, as samples_per_second; a rank's share.
  const double flops = bench.options.step.batch * (measured.work.forward + measured.work.backward) /
                       timing.step.median_s;
  json["flops"] = flops;
  json["of_float32_ceiling"] = flops / bench.world.size() / ceilings.flops;
  const bench::ModelWork whole = bench::work_of(model);
  json["operations_per_sample"] = {{"computed", measured.work.forward + measured.work.backward},
                                   {"model", whole.forward + whole.backward}};
  json["format_emulated"] = measured.emulates_format;
  return json;
}

std::string parts_text(const Bench& bench, const MeasuredTraining& measured, double floor_s) {
  const bench::StepTiming& timing = measured.timing;
  const auto part = [&](double seconds) {
    return fmt::format("{:.3f} ms ({:.1f} %)", seconds * 1e3, 100 * seconds / timing.mean_s);
  };
  const double step_s = timing.step.median_s;
  std::vector<std::vector<std::string>> rows{
      {"step, median", fmt::format("{:.3f} ms ({:.3f}..{:.3f}), {:.0f} samples a second",
                                   step_s * 1e3, timing.step.low_s * 1e3, timing.step.high_s * 1e3,
                                   bench.options.step.batch / step_s)},
      {"step, mean", part(timing.mean_s)},
      {"  input", part(timing.input_s)},
      {"  compute", part(timing.compute_s)},
      {"  all-reduce", part(timing.reduce_s)},
      {"  update", part(timing.update_s)}};
  if (measured.waterfall) {
    rows.push_back(
        {"upload", fmt::format("{} without kernels, a part of compute; the copy itself: "
                               "{:.3f} ms",
                               part(measured.upload_s()), measured.waterfall->copy_s() * 1e3)});
    rows.push_back({"input in all", part(measured.input_s()) + ": waiting and upload"});
  }
  if (const auto& reading = timing.reading) {
    rows.push_back({"reading alone",
                    fmt::format("{:.2f} million samples a second, {:.2f} GB/s: {:.1f} x what steps "
                                "take",
                                reading->samples_per_s * 1e-6, reading->bytes_per_s * 1e-9,
                                reading->samples_per_s * timing.mean_s * bench.world.size() /
                                    bench.options.step.batch)});
  }
  if (bench.world.size() > 1) {
    const CommunicationTime& communication = timing.communication;
    rows.push_back({"communication",
                    fmt::format("{:.3f} ms, {:.3f} ms of it exposed: {:.0f} % hidden behind the "
                                "backward pass",
                                communication.total_s * 1e3, communication.exposed_s * 1e3,
                                100 * communication.hidden())});
  }
  const double operations = measured.work.forward + measured.work.backward;
  // Tensor cores are faster than the ceiling that the floor is of; --waterfall measures theirs.
  const bool on_tensor_cores = !product_paths(bench.device, bench.options.step.format).empty() &&
                               bench.options.step.format != ComputeFormat::float32;
  rows.push_back({on_tensor_cores ? "arithmetic at float32's rate" : "arithmetic alone",
                  fmt::format("{}, {:.1f} MFLOP a sample", part(floor_s), operations / 1e6)});
  return format_table({"training", "of a step"}, rows);
}

}  // namespace

void bench_train(const Bench& bench) {
  const Model model = make_bench_model(bench.options);
  const bench::Ceilings ceilings = bench::measure_ceilings(bench.device);
  bench::StepOptions step = bench.options.step;
  if (!bench.options.variant.empty()) step.variant = bench.variant();
  plan::Tuner tuner = bench.tuner();
  const MeasuredTraining measured = measure(bench, model, step, tuner);
  const double operations = measured.work.forward + measured.work.backward;
  const double floor_s = operations * step.batch / bench.world.size() / ceilings.flops;
  Json json = parts_json(bench, model, ceilings, measured, floor_s);
  add_kernels(json, tuner);
  std::string text = fmt::format("{}\n{}\n{}", bench.device.info().name, to_text(ceilings),
                                 bench.options.tune ? tuner.to_text() + '\n' : "") +
                     parts_text(bench, measured, floor_s);
  if (bench.options.waterfall) {
    const double step_s = measured.timing.step.median_s;
    const double flops = product_flops(bench, ceilings, tuner);
    json["waterfall"] = to_json(*measured.waterfall, ceilings, flops, step_s);
    text += '\n' + to_text(*measured.waterfall, ceilings, flops, step_s);
  }
  bench.write(text, json);
}

}  // namespace dovetail::app
