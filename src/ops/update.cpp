// Launches the optimiser updates.
#include "ops/update.hpp"

#include <cmath>

#include "dovetail_kernels.hpp"
#include "ops/record_sums.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

void expect_length(const opencl::Buffer& buffer, std::size_t elements, const char* what) {
  if (buffer.bytes() != elements * sizeof(float)) {
    throw Error(fmt::format("an update of {} parameters with {} of {} bytes", elements, what,
                            buffer.bytes()));
  }
}

}  // namespace

Update::Update(opencl::Device& device, Variant variant, std::size_t elements, std::size_t rest)
    : device_(device),
      elements_(static_cast<std::uint32_t>(elements)),
      rest_(static_cast<std::uint32_t>(rest)) {
  const std::size_t group = variant == Variant::cpu ? 1024 : 256;
  if (elements == 0 || elements + rest >= RecordSums::none)
    throw Error(fmt::format("an update of {} parameters with {} other sums", elements, rest));
  range_ = {.global = {(elements + group - 1) / group * group, 1, 1}, .local = {group, 1, 1}};
  plain_ = build({});
}

Update::Kernels Update::build(const std::vector<std::string>& definitions) {
  return kernels_of(device_.build(kernels::update, definitions));
}

Update::Kernels Update::kernels_of(const opencl::Program& program) {
  namespace entries = kernels::update_;
  return {program.kernel(entries::sgd), program.kernel(entries::sgd_momentum),
          program.kernel(entries::adam)};
}

const Update::Kernels& Update::kernels_for(const opencl::Buffer& parameters,
                                           const opencl::Buffer& gradients,
                                           const BesideUpdate& beside) {
  const bool has_record{beside.record};
  expect_length(parameters, elements_, "parameters");
  expect_length(gradients, has_record ? std::size_t{elements_} + rest_ : elements_, "gradients");
  if (!has_record && beside.scale) throw Error("an update with a loss scale, without a record");
  if (!has_record) return plain_;
  if (rest_ == 0) throw Error("an update that was made without records");
  expect_length(beside.record, std::size_t{rest_} + 1, "a record");
  if (!beside.scale) {
    if (!recording_) recording_ = build({"RECORD"});
    return *recording_;
  }
  if (beside.scale.bytes() != scale_bytes || beside.next_scale.bytes() != scale_bytes)
    throw Error("an update with loss scales of other lengths");
  if (!scaled_) {
    const opencl::Program program = device_.build(kernels::update, {"SCALED"});
    scaled_ = kernels_of(program);
    follow_scale_ = program.kernel(kernels::update_::follow_scale);
  }
  return *scaled_;
}

template <typename... Arguments>
void Update::launch(const opencl::Kernel& kernel, const BesideUpdate& beside,
                    const Arguments&... arguments) {
  if (beside.scale) {
    device_.launch(kernel, range_, arguments..., rest_, beside.record, beside.scale);
    device_.launch(*follow_scale_, {}, rest_, beside.record, beside.scale, beside.next_scale,
                   beside.largest_scale, beside.patience);
  } else if (beside.record) {
    device_.launch(kernel, range_, arguments..., rest_, beside.record);
  } else {
    device_.launch(kernel, range_, arguments...);
  }
}

void Update::sgd(const opencl::Buffer& parameters, const opencl::Buffer& gradients,
                 const opencl::Buffer& momentum, const Sgd& settings, float gradient_scale,
                 const BesideUpdate& beside) {
  const Kernels& kernels = kernels_for(parameters, gradients, beside);
  if (settings.momentum == 0) {
    launch(kernels.sgd, beside, parameters, gradients, elements_, settings.learning_rate,
           settings.weight_decay, gradient_scale);
    return;
  }
  expect_length(momentum, elements_, "a momentum");
  launch(kernels.sgd_momentum, beside, parameters, gradients, momentum, elements_,
         settings.learning_rate, settings.momentum, settings.weight_decay,
         std::int32_t{settings.nesterov ? 1 : 0}, gradient_scale);
}

void Update::adam(const opencl::Buffer& parameters, const opencl::Buffer& gradients,
                  const opencl::Buffer& first_moment, const opencl::Buffer& second_moment,
                  const Adam& settings, float gradient_scale, std::uint64_t step,
                  const BesideUpdate& beside) {
  const Kernels& kernels = kernels_for(parameters, gradients, beside);
  expect_length(first_moment, elements_, "a first moment");
  expect_length(second_moment, elements_, "a second moment");
  if (step == 0) throw Error("Adam's steps count from 1");
  const double learning_rate = static_cast<double>(settings.learning_rate);
  const double decay = static_cast<double>(settings.weight_decay);
  const auto steps = static_cast<double>(step);
  const double first_bias = 1 - std::pow(static_cast<double>(settings.beta1), steps);
  const double second_bias = 1 - std::pow(static_cast<double>(settings.beta2), steps);
  const auto shrink = static_cast<float>(settings.decoupled ? 1 - learning_rate * decay : 1.0);
  launch(kernels.adam, beside, parameters, gradients, first_moment, second_moment, elements_,
         settings.beta1, settings.beta2, settings.epsilon,
         settings.decoupled ? 0.0f : settings.weight_decay, shrink,
         static_cast<float>(learning_rate / first_bias),
         static_cast<float>(1 / std::sqrt(second_bias)), gradient_scale);
}

}  // namespace dovetail
