// Adds the spans of a timeline up by part.
#include "bench/waterfall.hpp"

#include <algorithm>
#include <utility>

#include "bench/steps.hpp"
#include "support/clock.hpp"
#include "support/table.hpp"
#include "support/timeline.hpp"

namespace dovetail::bench {
namespace {

constexpr double profiled_s = 0.5;
constexpr double least_steps = 10;
constexpr std::size_t most_steps = 1000, profiled_warm_up_steps = 10;

/// Records from construction to destruction.
class Recorder {
 public:
  explicit Recorder(std::size_t steps) { timeline::start({.first = 1, .last = steps}); }
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

/// Seconds by step.
using ByStep = std::vector<double>;

double median(ByStep seconds) {
  return spread(std::move(seconds)).median_s;
}

/// Of copies in a queue of their own; adds what they cost to the waterfall. `inputs` say who sent
/// whose samples.
void add_copies(const timeline::Recording& recording, std::vector<StepInput> inputs,
                Waterfall& waterfall) {
  const std::size_t steps = inputs.size();
  std::int64_t free_ns = 0;  // since then the kernels' queue is
  double copied_s = 0;
  for (const timeline::Span& span : recording.spans) {
    const bool counts = span.step >= 1 && span.step <= steps;
    const std::string& lane = recording.lanes[span.lane];
    if (lane == "OpenCL queue") {
      if (counts && inputs[span.step - 1].gap.end_ns == 0)
        inputs[span.step - 1].gap = {free_ns > 0 ? free_ns : span.begin_ns, span.begin_ns};
      free_ns = span.end_ns;
    } else if (lane == "OpenCL copies of input" && counts) {
      Interval& copy = inputs[span.step - 1].copy;
      if (copy.end_ns == 0) copy.begin_ns = span.begin_ns;
      copy.end_ns = span.end_ns;
      copied_s += static_cast<double>(span.end_ns - span.begin_ns) * 1e-9;
    }
  }
  const auto is_there = [](const StepInput& input) { return input.copy.end_ns > 0; };
  waterfall.copies = static_cast<std::size_t>(std::ranges::count_if(inputs, is_there));
  double waited_s = 0;
  for (const std::int64_t wait_ns : waits_ns(inputs)) {
    if (wait_ns > 0) ++waterfall.waited_for;
    const double wait_s = static_cast<double>(wait_ns) * 1e-9;
    waited_s += wait_s;
    waterfall.longest_wait_s = std::max(waterfall.longest_wait_s, wait_s);
  }
  // Means: one copy may be of many steps, and what seldom waits may wait long.
  waterfall.copied_beside_s = copied_s / static_cast<double>(steps);
  waterfall.exposed_s = waited_s / static_cast<double>(steps);
}

/// Steps are numbered from 1.
Waterfall add_up(const timeline::Recording& recording, std::vector<StepInput> inputs) {
  const std::size_t steps = inputs.size();
  struct Part {
    std::string name;
    ByStep seconds;
    double commands = 0;
    std::map<std::string, ByStep> kernels{};
  };
  std::vector<Part> parts;
  std::vector<std::int64_t> begins(steps, 0);
  for (const timeline::Span& span : recording.spans) {
    if (recording.lanes[span.lane] != "OpenCL queue" || span.step < 1 || span.step > steps)
      continue;
    const std::size_t step = span.step - 1;
    if (begins[step] == 0) begins[step] = span.begin_ns;
    const std::string name = part_of(recording, span);
    auto part = std::ranges::find(parts, name, &Part::name);
    if (part == parts.end()) part = parts.insert(parts.end(), {name, ByStep(steps)});
    const double seconds = static_cast<double>(span.end_ns - span.begin_ns) * 1e-9;
    part->seconds[step] += seconds;
    part->commands += 1;
    auto& kernel = part->kernels[recording.names[span.name]];
    kernel.resize(steps);
    kernel[step] += seconds;
  }
  Waterfall waterfall;
  for (const Part& part : parts) {
    StepPart& made = waterfall.parts.emplace_back(
        StepPart{.name = part.name,
                 .seconds = median(part.seconds),
                 .commands = part.commands / static_cast<double>(steps)});
    for (const auto& [kernel, seconds] : part.kernels) made.kernels[kernel] = median(seconds);
  }
  ByStep periods;
  for (std::size_t step = 1; step < steps; ++step)
    periods.push_back(static_cast<double>(begins[step] - begins[step - 1]) * 1e-9);
  waterfall.step_s = median(periods);
  add_copies(recording, std::move(inputs), waterfall);
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

double Waterfall::copied_in_turn_s() const {
  const auto upload = std::ranges::find(parts, "upload", &StepPart::name);
  return upload == parts.end() ? 0 : upload->seconds;
}

std::int64_t exposed_ns(const Interval& copy, const Interval& gap) {
  if (copy.end_ns <= gap.begin_ns) return 0;
  return std::max<std::int64_t>(0, gap.end_ns - std::max(gap.begin_ns, copy.begin_ns));
}

std::vector<std::int64_t> waits_ns(const std::vector<StepInput>& steps) {
  std::vector<std::int64_t> waits;
  for (const StepInput& step : steps) {
    const Interval copy = step.sender ? steps[*step.sender].copy : Interval{};
    waits.push_back(copy.end_ns > 0 ? exposed_ns(copy, step.gap) : 0);
  }
  return waits;
}

Waterfall measure_waterfall(Communicator& ranks, const opencl::Device& device,
                            const plan::Tuner& chosen, const Model& model,
                            const StepOptions& options) {
  const Recorder recorder(most_steps);
  opencl::Device profiled(device.info().index, device.cache());
  plan::Tuner tuner(profiled);
  tuner.listen(chosen.tell());
  const auto reduce = make_all_reduce(ranks, profiled, model, options);
  const auto plan = training_plan(tuner, profiled, model, options, ranks.size(), *reduce);
  Steps steps(ranks, profiled, *plan, *reduce, options);
  steps.run(profiled_warm_up_steps);
  profiled.finish();
  const Stopwatch watch;
  steps.run(profiled_warm_up_steps);
  profiled.finish();
  const double step_s = ranks.all_reduce_max(watch.seconds()) / profiled_warm_up_steps;
  const auto enough = static_cast<std::size_t>(
      std::clamp(profiled_s / step_s, least_steps, static_cast<double>(most_steps)));
  const std::size_t count = std::clamp(2 * steps.sent_together(), enough, most_steps);
  std::vector<StepInput> inputs(count);
  std::map<std::uint64_t, std::size_t> senders;  // by what they sent; once it is read, no more
  for (std::size_t step = 0; step < count; ++step) {
    const std::uint64_t before = plan->sendings();
    timeline::enter_step(step + 1);
    steps.run(1);
    if (plan->sendings() > before) senders[before] = step;
    if (const auto taken = steps.taken_sending()) {
      if (const auto sender = senders.extract(*taken)) inputs[step].sender = sender.mapped();
    } else {
      inputs[step].sender = step;
    }
  }
  timeline::enter_step(most_steps + 1);  // records no more
  profiled.end_timeline();
  Waterfall waterfall = add_up(timeline::stop(), std::move(inputs));
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
  std::string beside;
  if (waterfall.copied_beside_s > 0) {
    beside = fmt::format(
        "samples are copied beside that in {:.1f} us; {:.1f} us of \"between commands\" are waits "
        "for it: for {} of {} copies, {:.0f} us at most\n",
        waterfall.copied_beside_s * 1e6, waterfall.exposed_s * 1e6, waterfall.waited_for,
        waterfall.copies, waterfall.longest_wait_s * 1e6);
  }
  return format_table({"part", "commands", "us", "of the step", "arithmetic floor", "bytes floor",
                       "above", "together"},
                      rows) +
         beside +
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
  return {{"step_s", waterfall.step_s},          {"busy_s", waterfall.busy_s()},
          {"upload_copy_s", waterfall.copy_s()}, {"upload_s", waterfall.upload_s()},
          {"product_flops", product_flops},      {"parts", parts}};
}

}  // namespace dovetail::bench
