// Asks the tuner for each product of a convolution.
#include <algorithm>

#include "plan/conv_problem.hpp"
#include "support/text.hpp"

namespace dovetail::plan {
namespace {

/// A shape with `batch` images, or with fewer that fill a device as well: operands of 128 MiB are
/// beyond its caches.
Conv2dPoolShape measured_shape(Conv2dPoolShape shape, int batch) {
  constexpr int most_floats = 1 << 25;
  const int image = std::max(shape.input.image_stride(), shape.output.image_stride());
  shape.input.batch = shape.output.batch = std::clamp(most_floats / image, 1, batch);
  return shape;
}

/// `remark`: what sets its candidates apart from the usual ones.
std::string problem_of(const Conv2dPoolShape& shape, ComputeFormat format, Direction direction,
                       const std::string& remark) {
  const Layout &x = shape.input, &y = shape.output;
  const bool sums_up = (shape.statistics && direction == Direction::forward) ||
                       (shape.gradient_sums && direction == Direction::input_gradient);
  return fmt::format(
      "conv {0}x{0} {1}->{2} on {3}x{4}, stride {5}, padding {6}, {7}{13}halos {8} {9}, batch "
      "{10}, "
      "{11}, {12}{14}{15}{16}",
      shape.kernel, x.channels, y.channels, x.height, x.width, shape.stride, shape.padding,
      shape.pool > 1 ? fmt::format("pool {}, ", shape.pool) : "", x.halo, y.halo, x.batch,
      to_string(format), to_string(direction), shape.normalised ? "normalised, " : "",
      sums_up ? " with statistics" : "",
      shape.norm_gradient && direction == Direction::weight_gradient ? " through a batch norm" : "",
      remark);
}

/// The tuner's choice among `kernels`. `candidate`: one as the tuner names it; `make`: what
/// launches it.
template <typename Kernels, typename Candidate, typename Make>
Kernels choose(Tuner& tuner, opencl::Device& device, const Conv2dPoolShape& shape,
               ComputeFormat format, Direction direction, const std::vector<Kernels>& kernels,
               const Candidate& candidate, const Make& make, const std::string& remark = "") {
  std::vector<Tuner::Candidate> candidates;
  for (const Kernels& each : kernels) candidates.push_back(candidate(each));
  std::optional<ConvProblem> problem;  // made where something is to be measured
  return kernels[tuner.choose(problem_of(shape, format, direction, remark), candidates,
                              [&](std::size_t i) {
                                if (!problem) problem.emplace(device, shape, format, direction);
                                return problem->trial(make(kernels[i]));
                              })];
}

/// The choice for one direction. `weight_gradient`: which member is that direction's.
template <auto weight_gradient, typename Kernels>
void take(Kernels& chosen, Direction direction, const Kernels& choice) {
  switch (direction) {
    case Direction::forward:
      chosen.forward = choice.forward;
      break;
    case Direction::input_gradient:
      chosen.input_gradient = choice.input_gradient;
      break;
    case Direction::weight_gradient:
      chosen.*weight_gradient = choice.*weight_gradient;
      break;
  }
}

/// A convolution whose directions are chosen each by itself among candidates(shape, direction), in
/// the place of what `chosen` has.
template <typename Conv, auto weight_gradient, typename Kernels, typename Candidates>
std::unique_ptr<Conv> tuned(Tuner& tuner, opencl::Device& device, const Conv2dPoolShape& room,
                            int batch, bool training, ComputeFormat format,
                            const std::vector<Direction>& directions, int step_passes,
                            Kernels chosen, const Candidates& candidates,
                            const std::string& remark = "") {
  const Conv2dPoolShape shape = measured_shape(room, batch);
  for (const Direction direction : directions) {
    take<weight_gradient>(
        chosen, direction,
        choose(
            tuner, device, shape, format, direction, candidates(shape, direction),
            [&](const Kernels& each) -> Tuner::Candidate { return {each.name(direction)}; },
            [&](const Kernels& each) {
              return std::make_shared<Conv>(device, shape, direction != Direction::forward, format,
                                            each);
            },
            remark));
  }
  return std::make_unique<Conv>(device, room, training, format, chosen, step_passes);
}

}  // namespace

std::unique_ptr<Conv2d> tuned_conv(Tuner& tuner, opencl::Device& device, const Conv2dShape& room,
                                   int batch, ComputeFormat format,
                                   const std::vector<Direction>& directions, int step_passes) {
  const Conv2dPoolShape measured =
      measured_shape({room.input, room.output, room.kernel, room.stride, room.padding, 1}, batch);
  const Conv2dShape shape{measured.input, measured.output, room.kernel, room.stride, room.padding};
  ConvKernels chosen;
  bool is_first = true;
  for (const Direction direction : directions) {
    std::vector<ConvKernels> candidates = conv_candidates(device, shape, direction);
    // All directions are one variant's.
    if (!is_first)
      std::erase_if(candidates, [&](const auto& each) { return each.variant != chosen.variant; });
    const ConvKernels choice = choose(
        tuner, device, measured, format, direction, candidates,
        [&](const ConvKernels& each) -> Tuner::Candidate {
          return {each.name(direction), estimated_cost(device, each.variant)};
        },
        [&](const ConvKernels& each) {
          return std::make_shared<Conv2d>(device, each, shape, format);
        });
    if (is_first) chosen.variant = choice.variant;
    is_first = false;
    take<&ConvKernels::groups>(chosen, direction, choice);
  }
  return std::make_unique<Conv2d>(device, chosen, room, format, step_passes);
}

std::unique_ptr<Conv2dPool> tuned_conv_pool(Tuner& tuner, opencl::Device& device,
                                            const Conv2dPoolShape& room, int batch, bool training,
                                            ComputeFormat format,
                                            const std::vector<Direction>& directions,
                                            int step_passes) {
  const Conv2dPoolShape shape = measured_shape(room, batch);
  ConvPoolKernels chosen;
  for (const Direction direction : directions) {
    const ConvPoolKernels choice = choose(
        tuner, device, shape, format, direction, conv_pool_candidates(shape, direction),
        [](const ConvPoolKernels& each) -> Tuner::Candidate { return {each.name()}; },
        [&](const ConvPoolKernels& each) {
          return std::make_shared<Conv2dPool>(device, shape, direction != Direction::forward,
                                              format, each);
        });
    if (direction == Direction::forward) chosen = choice;
  }
  return std::make_unique<Conv2dPool>(device, room, training, format, chosen, step_passes);
}

std::unique_ptr<Conv2dGpu> tuned_conv_gpu(Tuner& tuner, opencl::Device& device,
                                          const Conv2dPoolShape& room, int batch, bool training,
                                          ComputeFormat format,
                                          const std::vector<Direction>& directions,
                                          int step_passes) {
  return tuned<Conv2dGpu, &ConvKernels::groups>(
      tuner, device, room, batch, training, format, directions, step_passes,
      ConvKernels{.variant = Variant::gpu}, conv_gpu_candidates);
}

std::unique_ptr<Conv2dMma> tuned_conv_mma(Tuner& tuner, opencl::Device& device,
                                          const Conv2dPoolShape& room, int batch, bool training,
                                          ComputeFormat format,
                                          const std::vector<Direction>& directions, int step_passes,
                                          bool same_bits) {
  const bool warpgroups = device.takes(opencl::InstructionSet::wgmma);
  return tuned<Conv2dMma, &ConvMmaKernels::weight_gradient>(
      tuner, device, room, batch, training, format, directions, step_passes, ConvMmaKernels{},
      [&](const Conv2dPoolShape& shape, Direction direction) {
        return conv_mma_candidates(shape, direction, format, warpgroups, same_bits);
      },
      remark_of(same_bits));
}

}  // namespace dovetail::plan
