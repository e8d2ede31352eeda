// Adds the spans of a timeline up by part.
#include "bench/waterfall.hpp"

#include <algorithm>

#include "bench/steps.hpp"
#include "support/table.hpp"
#include "support/timeline.hpp"

namespace dovetail::bench {
namespace {

constexpr double profiled_s = 0.5;
constexpr double least_steps = 10, most_steps = 1000;

/// Records from construction to destruction.
class Recorder {
 public:
  Recorder() { timeline::start({.first = 1, .last = 1}); }
  ~Recorder() {
    if (timeline::on()) timeline::stop();
  }
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
};

std::string part_of(const timeline::Recording& recording, const timeline::Span& span) {
  if (span.part != 0) return recording.names[span.part];
  return recording.names[span.name] == "write" ? "upload" : "to the host and back";
}

Waterfall add_up(const timeline::Recording& recording, double steps) {
  Waterfall waterfall;
  std::int64_t begin = 0, end = 0;
  for (const timeline::Span& span : recording.spans) {
    if (recording.lanes[span.lane] != "OpenCL queue") continue;
    if (end == 0) begin = span.begin_ns;
    end = std::max(end, span.end_ns);
    const std::string name = part_of(recording, span);
    auto part = std::ranges::find(waterfall.parts, name, &StepPart::name);
    if (part == waterfall.parts.end())
      part = waterfall.parts.insert(waterfall.parts.end(), StepPart{.name = name});
    const double seconds = static_cast<double>(span.end_ns - span.begin_ns) * 1e-9 / steps;
    part->seconds += seconds;
    part->commands += 1 / steps;
    part->kernels[recording.names[span.name]] += seconds;
  }
  waterfall.step_s = static_cast<double>(end - begin) * 1e-9 / steps;
  return waterfall;
}

struct Floors {
  double arithmetic_s = 0, bytes_s = 0;
  double larger() const { return std::max(arithmetic_s, bytes_s); }
};

Floors floors_of(const StepPart& part, const Ceilings& ceilings, double product_flops) {
  // What comes from the host does not pass through the device's memory alone.
  if (part.name == "upload") return {};
  return {part.work.operations / product_flops, part.work.bytes / ceilings.copy_bytes_per_s};
}

}  // namespace

double Waterfall::busy_s() const {
  double seconds = 0;
  for (const StepPart& part : parts) seconds += part.seconds;
  return seconds;
}

double Waterfall::upload_s() const {
  const auto upload = std::ranges::find(parts, "upload", &StepPart::name);
  return upload == parts.end() ? 0 : upload->seconds;
}

Waterfall measure_waterfall(Communicator& ranks, const opencl::Device& device,
                            const plan::Tuner& chosen, const Model& model,
                            const StepOptions& options) {
  const Recorder recorder;
  opencl::Device profiled(device.info().index, device.cache());
  plan::Tuner tuner(profiled);
  tuner.listen(chosen.tell());
  const auto reduce = make_all_reduce(ranks, profiled, model, options);
  const auto plan = training_plan(tuner, profiled, model, options, ranks.size(), *reduce);
  Steps steps(ranks, profiled, *plan, *reduce, options);
  const double step_s = steps.warm_up();
  profiled.finish();
  timeline::enter_step(1);
  const auto count =
      static_cast<std::size_t>(std::clamp(profiled_s / step_s, least_steps, most_steps));
  const auto samples = static_cast<double>(steps.run(count).samples.size());
  timeline::enter_step(2);  // records no more
  profiled.end_timeline();
  Waterfall waterfall =
      add_up(timeline::stop(), samples * static_cast<double>(steps.steps_a_sample()));
  const auto work = work_by_part(*plan, plan->capacity(), options.on_device);
  for (StepPart& part : waterfall.parts) {
    if (const auto found = work.find(part.name); found != work.end()) part.work = found->second;
  }
  return waterfall;
}

std::string to_text(const Waterfall& waterfall, const Ceilings& ceilings, double product_flops,
                    double step_s) {
  const auto us = [](double seconds) { return fmt::format("{:.1f}", seconds * 1e6); };
  const auto floor = [&](double seconds) { return seconds > 0 ? us(seconds) : std::string("-"); };
  std::vector<std::vector<std::string>> rows;
  double together = 0, lowest = 0;
  const auto add = [&](const std::string& name, double commands, double seconds,
                       const Floors& floors) {
    together += seconds;
    rows.push_back({name, commands > 0 ? fmt::format("{:.3g}", commands) : "-", us(seconds),
                    fmt::format("{:.1f} %", 100 * seconds / step_s), floor(floors.arithmetic_s),
                    floor(floors.bytes_s), us(std::max(0.0, seconds - floors.larger())),
                    us(together)});
  };
  for (const StepPart& part : waterfall.parts) {
    const Floors floors = floors_of(part, ceilings, product_flops);
    lowest += floors.larger();
    add(part.name, part.commands, part.seconds, floors);
  }
  const double between = waterfall.step_s - waterfall.busy_s();
  add("between commands", 0, between, {});
  return format_table({"part", "commands", "us", "of the step", "arithmetic floor", "bytes floor",
                       "above", "together"},
                      rows) +
         fmt::format(
             "a step of {:.1f} us ({:.1f} while times are taken); the parts' floors add up to "
             "{:.1f} us, products at {:.0f} GFLOP/s, bytes at {:.0f} GB/s\n",
             step_s * 1e6, waterfall.step_s * 1e6, lowest * 1e6, product_flops / 1e9,
             ceilings.copy_bytes_per_s / 1e9);
}

Json to_json(const Waterfall& waterfall, const Ceilings& ceilings, double product_flops,
             double step_s) {
  Json parts = Json::array();
  for (const StepPart& part : waterfall.parts) {
    const Floors floors = floors_of(part, ceilings, product_flops);
    parts.push_back({{"part", part.name},
                     {"seconds", part.seconds},
                     {"share", part.seconds / step_s},
                     {"commands", part.commands},
                     {"operations", part.work.operations},
                     {"bytes", part.work.bytes},
                     {"arithmetic_floor_s", floors.arithmetic_s},
                     {"bytes_floor_s", floors.bytes_s},
                     {"kernels", part.kernels}});
  }
  return {{"step_s", waterfall.step_s},
          {"busy_s", waterfall.busy_s()},
          {"product_flops", product_flops},
          {"parts", parts}};
}

}  // namespace dovetail::bench
