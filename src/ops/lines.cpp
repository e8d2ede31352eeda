// Geometry of feature maps for elementwise kernels.
#include "ops/lines.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <span>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

std::size_t power_of_two_up_to(int wanted, int limit) {
  return std::min(std::bit_ceil(static_cast<unsigned>(wanted)), static_cast<unsigned>(limit));
}

}  // namespace

Lines::Lines(opencl::Device& device, Variant variant, const Layout& layout, int lanes, Rows rows)
    : variant_(variant),
      rows_(layout.height),
      columns_(layout.width),
      vectors_(layout.channel_stride / lanes) {
  if (layout.channel_stride % lanes != 0) {
    throw Error(
        fmt::format("a feature map with a channel stride of {} cannot be walked in vectors of {}",
                    layout.channel_stride, lanes));
  }
  if (rows == Rows::merged && layout.halo == 0) {
    columns_ *= rows_;
    rows_ = 1;
  }
  const int line = layout.padded_width() * vectors_;
  const std::array<std::int32_t, 6> map{layout.halo * (line + vectors_),
                                        layout.padded_height() * line,
                                        line,
                                        rows_,
                                        columns_,
                                        vectors_};
  map_ = device.upload(std::span<const std::int32_t>(map));
}

opencl::Range Lines::groups(int lines) const {
  const auto groups = static_cast<std::size_t>(lines);
  if (variant_ == Variant::cpu) return {.global = {groups, 1, 1}, .local = {1, 1, 1}};
  // At most 256 work-items a group, and 64 in dimension 2, which is all that NVIDIA takes there.
  const std::size_t vectors = power_of_two_up_to(vectors_, 64);
  const std::size_t columns =
      power_of_two_up_to(columns_, std::min(64, 256 / static_cast<int>(vectors)));
  return {.global = {groups, vectors, columns}, .local = {1, vectors, columns}};
}

opencl::Range Lines::slice_groups(int slices) const {
  const auto count = static_cast<std::size_t>(slices);
  if (variant_ == Variant::cpu) return {.global = {count, 1, 1}, .local = {1, 1, 1}};
  const std::size_t vectors = power_of_two_up_to(vectors_, 64);
  const std::size_t parts = std::min<std::size_t>(64, 256 / vectors);
  return {.global = {count, vectors, parts}, .local = {1, vectors, parts}};
}

void expect_batch(int batch, int capacity) {
  if (batch < 1 || batch > capacity) {
    throw Error(
        fmt::format("a batch of {} where the layout holds 1 to {} samples", batch, capacity));
  }
}

}  // namespace dovetail
