// `dovetail bench train`: whole steps and their parts.
#include "app/bench_commands.hpp"
#include "support/table.hpp"

namespace dovetail::app {

void bench_train(const Bench& bench) {
  const Model model = make_bench_model(bench.options);
  const bench::Ceilings ceilings = bench::measure_ceilings(bench.device);
  bench::StepOptions step = bench.options.step;
  if (!bench.options.variant.empty()) step.variant = bench.variant();
  plan::Tuner tuner = bench.tuner();
  const auto reduce = bench::make_all_reduce(bench.world, bench.device, model, step);
  const auto plan = make_host_by_host(bench.world, tuner, [&] {
    return bench::training_plan(tuner, bench.device, model, step, bench.world.size(), *reduce);
  });
  const bench::StepTiming timing =
      bench::time_training(bench.world, bench.device, *plan, *reduce, step);
  const bench::ModelWork work = bench::work_of(*plan);
  const double operations = work.forward + work.backward;
  const int batch = bench.options.step.batch;
  const double step_s = timing.step.median_s;
  const double floor_s = operations * batch / bench.world.size() / ceilings.flops;
  Json json = describe(bench, "train", ceilings);
  json["step"] = to_json(timing.step);
  json["samples_per_second"] = batch / step_s;
  json["input_share"] = timing.input_s / step_s;
  json["seconds"] = {{"input", timing.input_s},
                     {"compute", timing.compute_s},
                     {"reduce", timing.reduce_s},
                     {"update", timing.update_s}};
  const CommunicationTime& communication = timing.communication;
  const double hidden = communication.hidden();
  if (bench.world.size() > 1) {
    json["communication"] = {{"seconds", communication.total_s},
                             {"exposed_seconds", communication.exposed_s},
                             {"hidden", hidden},
                             {"buckets", plan->buckets().size()}};
  }
  json["arithmetic_floor_s"] = floor_s;
  const bench::ModelWork whole = bench::work_of(model);
  json["operations_per_sample"] = {{"computed", operations},
                                   {"model", whole.forward + whole.backward}};
  json["format_emulated"] = plan->emulates_format();
  add_kernels(json, tuner);
  const auto part = [&](double seconds) {
    return fmt::format("{:.3f} ms ({:.1f} %)", seconds * 1e3, 100 * seconds / step_s);
  };
  std::vector<std::vector<std::string>> rows{
      {"step", fmt::format("{:.3f} ms ({:.3f}..{:.3f}), {:.0f} samples a second", step_s * 1e3,
                           timing.step.low_s * 1e3, timing.step.high_s * 1e3, batch / step_s)},
      {"  input", part(timing.input_s)},
      {"  compute", part(timing.compute_s)},
      {"  all-reduce", part(timing.reduce_s)},
      {"  update", part(timing.update_s)}};
  if (bench.world.size() > 1) {
    rows.push_back(
        {"communication",
         fmt::format("{:.3f} ms, {:.3f} ms of it exposed: {:.0f} % hidden behind the "
                     "backward pass",
                     communication.total_s * 1e3, communication.exposed_s * 1e3, 100 * hidden)});
  }
  rows.push_back({"arithmetic alone",
                  fmt::format("{}, {:.1f} MFLOP a sample", part(floor_s), operations / 1e6)});
  bench.write(fmt::format("{}\n{}\n{}", bench.device.info().name, to_text(ceilings),
                          bench.options.tune ? tuner.to_text() + '\n' : "") +
                  format_table({"training", "median"}, rows),
              json);
}

}  // namespace dovetail::app
