// Launches the sums of batch normalisation.
#include "ops/batch_norm_sums.hpp"

#include <algorithm>

#include "dovetail_kernels.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

std::int32_t tiles_of(std::int32_t pixels, std::int32_t tile_pixels) {
  return (pixels - 1) / tile_pixels + 1;
}

}  // namespace

BatchNormSums::BatchNormSums(opencl::Device& device, Variant variant, const Layout& layout,
                             float epsilon)
    : device_(device),
      capacity_(layout.batch),
      lanes_(lanes(variant)),
      lines_(device, variant, layout, lanes_),
      max_slices_(variant == Variant::cpu ? 128 : 1024),
      fold_items_(variant == Variant::cpu ? 1 : 256),
      epsilon_(epsilon),
      channel_bytes_(extent(layout.channel_stride) * sizeof(float)) {
  if (!(epsilon > 0))
    throw Error(fmt::format("batch normalisation with an epsilon of {}", epsilon));
  reserve(1);
  const opencl::Range group = lines_.slice_groups(1);
  program_ = device.build(
      kernels::batch_norm,
      {fmt::format("LANES={}", lanes(variant)), fmt::format("ITEMS={}", fold_items_),
       fmt::format("VECTORS={}", group.local[1]), fmt::format("PARTS={}", group.local[2])});
  slice_statistics_ = program_.kernel(kernels::batch_norm_::slice_statistics);
  batch_statistics_ = program_.kernel(kernels::batch_norm_::batch_statistics);
  inference_law_ = program_.kernel(kernels::batch_norm_::inference_law);
  batch_gradients_ = program_.kernel(kernels::batch_norm_::batch_gradients);
}

void BatchNormSums::reserve(int passes) {
  if (passes <= passes_) return;
  const std::size_t bytes = channel_bytes_ * extent(passes);
  // A slice has one line at least.
  const std::size_t slices =
      std::min(extent(passes) * extent(max_slices_), extent(capacity_) * extent(lines_.rows()));
  slice_first_ = device_.allocate(channel_bytes_ * slices);
  slice_second_ = device_.allocate(channel_bytes_ * slices);
  const std::size_t alignment = device_.alignment();
  const std::size_t row = (bytes + alignment - 1) / alignment * alignment;
  law_ = device_.allocate_zeroed(6 * row);
  law_row_ = static_cast<std::int32_t>(row / sizeof(float));
  scale_ = law_.slice(row, bytes);
  gradient_scale_ = law_.slice(3 * row, bytes);
  offset_ = law_.slice(4 * row, bytes);
  slope_ = law_.slice(5 * row, bytes);
  passes_ = passes;
}

BatchNormSums::Slices BatchNormSums::slices(std::int32_t pass_lines) const {
  const std::int32_t slice_lines = (pass_lines + max_slices_ - 1) / max_slices_;
  return {.lines = pass_lines,
          .slice_lines = slice_lines,
          .count = (pass_lines + slice_lines - 1) / slice_lines};
}

opencl::Range BatchNormSums::folding_groups(int passes) const {
  return {.global = {extent(lines_.vectors()) * fold_items_, extent(passes), 1},
          .local = {fold_items_, 1, 1}};
}

void BatchNormSums::statistics(const opencl::Buffer& x, const opencl::Buffer& gamma,
                               const opencl::Buffer& beta, const opencl::Buffer& mean,
                               const opencl::Buffer& variance, const JoinedBatch& batch,
                               const TileStatistics* tiles) {
  expect_batch(batch.samples(), capacity_);
  reserve(batch.passes);
  const auto fold = [&](const opencl::Buffer& means, const opencl::Buffer& deviations,
                        std::int32_t slices, std::int32_t slice_pixels, std::int32_t from_first) {
    device_.launch(batch_statistics_, folding_groups(batch.passes), x, means, deviations, gamma,
                   beta, mean, variance, law_, law_row_ / lanes_, lines_.map(), slices,
                   pixels(batch), slice_pixels, from_first, epsilon_);
  };
  if (tiles) {
    if (batch.passes > 1) throw Error("batch normalisation: tiles that several passes share");
    const std::int32_t count = tiles_of(pixels(batch), tiles->pixels);
    fold(tiles->means, tiles->deviations, count, tiles->pixels, 0);
    return;
  }
  const Slices cut = slices(batch.each * lines_.rows());
  device_.launch(slice_statistics_, lines_.slice_groups(batch.passes * cut.count), x, slice_first_,
                 slice_second_, lines_.map(), cut.lines, cut.slice_lines, cut.count);
  fold(slice_first_, slice_second_, cut.count, cut.slice_lines * lines_.columns(), 1);
}

void BatchNormSums::inference(const opencl::Buffer& gamma, const opencl::Buffer& beta,
                              const opencl::Buffer& mean, const opencl::Buffer& variance) {
  const opencl::Range items{.global = {extent(lines_.vectors()), 1, 1}, .local = {1, 1, 1}};
  device_.launch(inference_law_, items, gamma, beta, mean, variance, law_, law_row_ / lanes_,
                 epsilon_);
}

void BatchNormSums::gradients(std::int32_t slices, const JoinedBatch& batch,
                              const opencl::Buffer& gamma, const opencl::Buffer& variance,
                              const opencl::Buffer& dgamma, const opencl::Buffer& dbeta) {
  fold_gradients(slice_first_, slice_second_, slices, batch, gamma, variance, dgamma, dbeta);
}

void BatchNormSums::gradients(const TileGradients& tiles, int batch, const opencl::Buffer& gamma,
                              const opencl::Buffer& variance, const opencl::Buffer& dgamma,
                              const opencl::Buffer& dbeta) {
  fold_gradients(tiles.sums, tiles.products, tiles_of(pixels(batch), tiles.pixels), batch, gamma,
                 variance, dgamma, dbeta);
}

void BatchNormSums::fold_gradients(const opencl::Buffer& sums, const opencl::Buffer& products,
                                   std::int32_t slices, const JoinedBatch& batch,
                                   const opencl::Buffer& gamma, const opencl::Buffer& variance,
                                   const opencl::Buffer& dgamma, const opencl::Buffer& dbeta) {
  device_.launch(batch_gradients_, folding_groups(1), sums, products, gamma, variance, dgamma,
                 dbeta, gradient_scale_, offset_, slope_, slices, std::int32_t{batch.passes},
                 static_cast<float>(pixels(batch)), epsilon_);
}

}  // namespace dovetail
