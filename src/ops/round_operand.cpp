// Launches the rounding of operands.
#include "ops/round_operand.hpp"

#include "dovetail_kernels.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {

RoundOperand::RoundOperand(opencl::Device& device, Variant variant, ComputeFormat format)
    : device_(device), group_(variant == Variant::cpu ? 1024 : 256) {
  kernel_ = device.build(kernels::round_operand, {fmt::format("FORMAT={}", kernel_number(format))})
                .kernel(kernels::round_operand_::round_operand);
}

const opencl::Buffer& RoundOperand::round(const opencl::Buffer& source, std::size_t elements,
                                          Side side) {
  const std::size_t bytes = elements * sizeof(float);
  if (source.bytes() < bytes || elements > UINT32_MAX)
    throw Error(
        fmt::format("rounding {} floats of a buffer of {} bytes", elements, source.bytes()));
  opencl::Buffer& copy = copies_[static_cast<std::size_t>(side)];
  device_.reserve(copy, bytes);
  device_.launch(kernel_, {{(elements + group_ - 1) / group_ * group_, 1, 1}, {group_, 1, 1}},
                 source, copy, static_cast<std::uint32_t>(elements));
  return copy;
}

}  // namespace dovetail
