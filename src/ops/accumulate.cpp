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
  fold_passes_ = program.kernel(kernels::accumulate_::fold_passes);
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

void Accumulate::fold_passes(const opencl::Buffer& values, const opencl::Buffer& sources,
                             const opencl::Buffer& sum, std::size_t first, int passes) {
  constexpr std::size_t threads = 256;  // as in the kernel
  const std::size_t elements = sources.bytes() / sizeof(Source);
  if (const std::size_t room = sum.bytes() / sizeof(float);
      elements == 0 || first > room || elements > room - first)
    throw Error(fmt::format("{} sums of passes from {} on of {}", elements, first, room));
  device_.launch(fold_passes_,
                 {{(elements + threads - 1) / threads * threads, 1, 1}, {threads, 1, 1}}, values,
                 sources, sum, static_cast<std::uint32_t>(first),
                 static_cast<std::uint32_t>(elements), std::int32_t{passes});
}

}  // namespace dovetail
