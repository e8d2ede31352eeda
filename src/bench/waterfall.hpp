// A training step by what the device does, part by part, beside the least that each could take.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/ceilings.hpp"
#include "bench/training.hpp"
#include "bench/work.hpp"

namespace dovetail::bench {

/// What the device's queue did for one operation and pass, or for the images' way there, in a step:
/// the median over the steps.
struct StepPart {
  std::string name;  // "conv1 forward", "upload", "update"
  double seconds = 0;
  double commands = 0;                      // the mean
  std::map<std::string, double> kernels{};  // seconds by kernel or copy
  PartWork work{};
};

struct Waterfall {
  std::vector<StepPart> parts;  // in the queue's order
  double step_s = 0;            // from one step to the next, while times are taken
  /// Of copies of images and labels in a queue of their own: their own time, and that for which
  /// they keep the kernels' queue waiting (exposed_ns).
  double copied_beside_s = 0, exposed_s = 0;
  std::size_t copies = 0, waited_for = 0;  // steps' or groups' of steps in that queue, in all
  double longest_wait_s = 0;
  double busy_s() const;
  /// Of the copies of images, or of their numbers, and labels.
  double copy_s() const { return copied_in_turn_s() + copied_beside_s; }
  /// For so long no kernel runs because of them.
  double upload_s() const { return copied_in_turn_s() + exposed_s; }

 private:
  double copied_in_turn_s() const;
};

/// When something began and ended.
struct Interval {
  std::int64_t begin_ns = 0, end_ns = 0;
};
/// What of a gap between two commands of the kernels' queue is due to the copy that the second one
/// waits for: nothing where the copy is done when the first one ends; else all from the copy's
/// beginning on, with what it takes the second one to begin behind it.
std::int64_t exposed_ns(const Interval& copy, const Interval& gap);
/// How the samples of a step came to the device.
struct StepInput {
  Interval copy{};  // that it sent, if any, be it for itself or for steps to come: else {0, 0}
  Interval gap{};   // of the kernels' queue before its first command
  std::optional<std::size_t> sender{};  // of the samples, where none before it needed the copy
};
/// For so long each step's kernels wait for the copy that its sender sent.
std::vector<std::int64_t> waits_ns(const std::vector<StepInput>& steps);

/// Trains for some more steps on another queue of the device, whose commands tell their times, with
/// the kernels that `chosen` has chosen. Records a timeline of its own. Collective; each rank's own
/// times. Throws Error where the driver tells no times.
Waterfall measure_waterfall(Communicator& ranks, const opencl::Device& device,
                            const plan::Tuner& chosen, const Model& model,
                            const StepOptions& options);

/// The table for people: each part's time, its share of `step_s`, the floors, and what the parts
/// take together so far. `product_flops`: the ceiling of products, in the format of the step.
std::string to_text(const Waterfall& waterfall, const Ceilings& ceilings, double product_flops,
                    double step_s);
/// {"step_s", "busy_s", "upload_copy_s", "upload_s", "product_flops", "parts": [{"part", "seconds",
/// "share", "commands", "operations", "bytes", "arithmetic_floor_s", "bytes_floor_s", "kernels"}]}.
Json to_json(const Waterfall& waterfall, const Ceilings& ceilings, double product_flops,
             double step_s);

}  // namespace dovetail::bench
