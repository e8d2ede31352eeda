// Launches the look through the sums.
#include "ops/record_sums.hpp"

#include "dovetail_kernels.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {

RecordSums::RecordSums(opencl::Device& device, Variant variant, std::size_t gradients,
                       std::size_t rest)
    : device_(device),
      gradients_(static_cast<std::uint32_t>(gradients)),
      rest_(static_cast<std::uint32_t>(rest)) {
  if (gradients == 0 || gradients + rest >= none)
    throw Error(fmt::format("a record of {} gradients and {} other sums", gradients, rest));
  const std::size_t span = variant == Variant::cpu ? 4096 : 4;
  const std::size_t group = variant == Variant::cpu ? 1 : 256;
  const std::size_t items = (gradients + span - 1) / span;
  range_ = {.global = {(items + group - 1) / group * group, 1, 1}, .local = {group, 1, 1}};
  kernel_ = device.build(kernels::record_sums, {fmt::format("SPAN={}", span)})
                .kernel(kernels::record_sums_::record_sums);
}

void RecordSums::run(const opencl::Buffer& sums, const opencl::Buffer& record) {
  const std::size_t wanted = std::size_t{gradients_} + rest_;
  if (sums.bytes() != wanted * sizeof(float) || record.bytes() != words() * sizeof(float)) {
    throw Error(fmt::format("a record of {} bytes of {} bytes of sums where {} are of {}",
                            record.bytes(), sums.bytes(), words() * sizeof(float),
                            wanted * sizeof(float)));
  }
  device_.launch(kernel_, range_, sums, gradients_, rest_, record);
}

}  // namespace dovetail
