// Launches the sums.
#include "ops/accumulate.hpp"

#include <algorithm>
#include <cstdint>

#include "dovetail_kernels.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {

Accumulate::Accumulate(opencl::Device& device, Variant variant)
    : device_(device), group_(variant == Variant::cpu ? 1024 : 256) {
  const opencl::Program program = device.build(kernels::accumulate);
  add_ = program.kernel(kernels::accumulate_::add);
  scale_ = program.kernel(kernels::accumulate_::scale);
}

opencl::Range Accumulate::range(std::size_t elements) const {
  return {.global = {(elements + group_ - 1) / group_ * group_, 1, 1}, .local = {group_, 1, 1}};
}

void Accumulate::add(const opencl::Buffer& x, const opencl::Buffer& sum) {
  if (x.bytes() != sum.bytes())
    throw Error(fmt::format("a sum of {} and {} bytes", x.bytes(), sum.bytes()));
  add(x, sum, 0, sum.bytes() / sizeof(float));
}

void Accumulate::add(const opencl::Buffer& x, const opencl::Buffer& sum, std::size_t first,
                     std::size_t count) {
  if (const std::size_t elements = std::min(x.bytes(), sum.bytes()) / sizeof(float);
      first > elements || count > elements - first)
    throw Error(fmt::format("a sum of {} elements from {} on of {}", count, first, elements));
  if (count == 0) return;
  device_.launch(add_, range(count), x, sum, static_cast<std::uint32_t>(first),
                 static_cast<std::uint32_t>(count));
}

void Accumulate::scale(const opencl::Buffer& x, float factor) {
  const std::size_t elements = x.bytes() / sizeof(float);
  if (elements == 0) return;
  device_.launch(scale_, range(elements), x, factor, static_cast<std::uint32_t>(elements));
}

}  // namespace dovetail
