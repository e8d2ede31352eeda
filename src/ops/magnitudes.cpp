// Launches the counting of magnitudes.
#include "ops/magnitudes.hpp"

#include <algorithm>
#include <cstdint>

#include "dovetail_kernels.hpp"
#include "ops/lines.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {

Magnitudes::Magnitudes(opencl::Device& device, Variant variant)
    : device_(device), items_(variant == Variant::cpu ? 1 : 256) {
  const opencl::Program program =
      device.build(kernels::magnitudes,
                   {fmt::format("ITEMS={}", items_), fmt::format("BINS={}", MagnitudeBins::count),
                    fmt::format("DROPPED_BITS={}", MagnitudeBins::dropped_bits),
                    fmt::format("LOWEST={}", MagnitudeBins::lowest)});
  magnitudes_ = program.kernel(kernels::magnitudes_::magnitudes);
}

void Magnitudes::add(const Layout& layout, const opencl::Buffer& x, int batch, int every,
                     const opencl::Buffer& seen, std::size_t first) {
  expect_batch(batch, layout.batch);
  if (every < 1) throw Error(fmt::format("every {}th row of a feature map", every));
  const std::size_t room = seen.bytes() / sizeof(std::uint32_t);
  if (room < elements || first > room - elements)
    throw Error(fmt::format("counts of magnitudes from {} on of {}", first, room));
  const std::int32_t lines = batch * layout.height;
  const std::size_t groups = std::min<std::size_t>(extent(lines), items_ == 1 ? 64 : 1024);
  device_.launch(magnitudes_, {.global = {groups * items_, 1, 1}, .local = {items_, 1, 1}}, x,
                 static_cast<std::int32_t>(layout.index(0, 0, 0, 0)),
                 std::int32_t{layout.image_stride()}, std::int32_t{layout.row_stride()},
                 std::int32_t{layout.height}, std::int32_t{layout.width},
                 std::int32_t{layout.channel_stride}, std::int32_t{layout.channels}, lines,
                 std::int32_t{every}, seen, static_cast<std::uint32_t>(first));
}

}  // namespace dovetail
