// Cuts a convolution into tiles for the tensor cores and launches the kernels.
#include "ops/conv2d_mma.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "dovetail_kernels.hpp"
#include "support/error.hpp"
#include "support/text.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

using namespace conv_mma;

std::string ConvMmaKernels::name(Direction direction) const {
  if (direction == Direction::weight_gradient) {
    if (!weight_gradient) return "mma";
    const GradientCut& cut = *weight_gradient;
    return fmt::format("{}, {}x{}, {} a unit", cut.by_warpgroup ? "wgmma" : "mma",
                       cut.block > 0 ? fmt::format("{}", cut.block) : "all", 32 * cut.warp_columns,
                       counted(static_cast<std::uint64_t>(cut.groups_per_unit), "group"));
  }
  const std::optional<Cut>& cut = direction == Direction::forward ? forward : input_gradient;
  if (!cut) return "mma";
  const auto warps = static_cast<std::uint64_t>(cut->warp_rows * cut->warp_columns);
  return fmt::format(
      "{}, {}x{} by {}", cut->by_warpgroup() ? "wgmma" : "mma", cut->rows(), cut->columns(),
      cut->by_warpgroup() ? counted(warps / 4, "warpgroup") : counted(warps, "warp"));
}

std::vector<ConvMmaKernels> conv_mma_candidates(const Conv2dPoolShape& shape, Direction direction,
                                                ComputeFormat format, bool warpgroups,
                                                bool same_bits) {
  const auto with = [&]<typename Cut>(std::vector<Cut> cuts, const std::vector<Cut>& more) {
    if (same_bits && !more.empty()) return more;
    cuts.insert(cuts.end(), more.begin(), more.end());
    return cuts;
  };
  const auto cuts_of = [&](const ProductTiles& tiles) {
    return with(tiles.cuts(), warpgroups ? tiles.warpgroup_cuts() : std::vector<Cut>{});
  };
  std::vector<ConvMmaKernels> candidates;
  if (direction == Direction::weight_gradient) {
    std::vector<GradientCut> more;
    if (warpgroups) more = warpgroup_gradient_cuts(shape, format);
    for (const GradientCut& cut : with(gradient_cuts(shape), more))
      candidates.push_back({.weight_gradient = cut});
    if (same_bits) candidates.resize(1);
    return candidates;
  }
  if (direction == Direction::input_gradient) {
    for (const Cut& cut : cuts_of(turned(shape))) candidates.push_back({.input_gradient = cut});
    return candidates;
  }
  const ProductTiles tiles = is_narrow(shape.input) ? narrow_forward(shape) : wide_forward(shape);
  for (const Cut& cut : cuts_of(tiles)) candidates.push_back({.forward = cut});
  return candidates;
}

bool Conv2dMma::fits(const Conv2dPoolShape& shape) {
  if (shape.pool != 1 && shape.pool != 2) return false;
  if (shape.statistics && shape.pool != 1) return false;
  if (shape.gradient_sums && !shape.normalised) return false;
  if (shape.normalised && is_narrow(shape.input)) return false;
  if (shape.norm_gradient && (shape.pool != 1 || !is_narrow(shape.input))) return false;
  if (shape.kernel < 2 || shape.kernel > 5) return false;
  if (shape.output.height < 1 || shape.output.width < 1) return false;
  if (is_narrow(shape.input)) {
    return depth(shape) <= most_narrow_depth &&
           narrow_forward(shape).shared_bytes() <= most_shared &&
           narrow_weight(shape).shared_bytes() <= most_shared;
  }
  return shape.stride == 1 && wide_forward(shape).shared_bytes() <= most_shared &&
         turned(shape).shared_bytes() <= most_shared &&
         wide_weight(shape).shared_bytes() <= most_shared;
}

opencl::Range Conv2dMma::Product::over(int batch) const {
  const int groups = quotient_up(batch * units_per_image, tile_units) * column_tiles;
  return {{extent(groups) * extent(threads), 1, 1}, {extent(threads), 1, 1}};
}

Conv2dMma::Conv2dMma(opencl::Device& device, const Conv2dPoolShape& shape, bool training,
                     ComputeFormat format, const ConvMmaKernels& kernels, int step_passes)
    : Conv2dFused(device, shape, training),
      format_(format),
      kernels_(kernels),
      step_passes_(step_passes) {
  conv_tiles::validate(shape);
  if (!fits(shape)) {
    throw Error(
        fmt::format("convolution: a kernel of {} with a pool of {} on {}x{} does not fit "
                    "the tensor cores' kernels",
                    shape.kernel, shape.pool, shape.input.height, shape.input.width));
  }
  make_places();
  build_forward();
  if (!is_narrow(shape.input)) build_packing();
  if (!training) return;
  build_weight_gradient();
  if (!is_narrow(shape.input)) build_input_gradient();
}

void Conv2dMma::build_forward() {
  const bool narrow = is_narrow(shape_.input);
  const ProductTiles tiles =
      narrow ? narrow_forward(shape_, kernels_.forward) : wide_forward(shape_, kernels_.forward);
  if (narrow) {
    const opencl::Program program =
        device_.build(kernels::conv2d_mma_narrow, tiles.definitions(shape_, format_));
    forward_ = product_of(tiles, program.kernel(kernels::conv2d_mma_narrow_::forward));
    forward_images_ = program.kernel(kernels::conv2d_mma_narrow_::forward_images);
  } else {
    forward_ = wide_product(tiles);
  }
  statistics_ = {tile_numbers(tiles), tile_numbers(tiles), tiles.tile_units()};
}

Conv2dMma::Product Conv2dMma::product_of(const ProductTiles& tiles, opencl::Kernel kernel) {
  return {std::move(kernel), tiles.units_per_image(), tiles.tile_units(), tiles.column_tiles(),
          tiles.threads()};
}

Conv2dMma::Product Conv2dMma::wide_product(const ProductTiles& tiles) {
  const bool by_warpgroup = tiles.cut.by_warpgroup();
  if (by_warpgroup && std::ranges::count(tiles.warpgroup_cuts(), tiles.cut) == 0)
    throw Error("convolution: its warpgroups cannot be cut so");
  const opencl::Program program =
      device_.build(by_warpgroup ? kernels::conv2d_wgmma : kernels::conv2d_mma,
                    tiles.definitions(shape_, format_));
  return product_of(tiles, program.kernel(by_warpgroup ? kernels::conv2d_wgmma_::product
                                                       : kernels::conv2d_mma_::product));
}

opencl::Buffer Conv2dMma::tile_numbers(const ProductTiles& tiles) const {
  const int pixels = tiles.target.batch * tiles.units_per_image();
  const int rows = tiles.statistics ? quotient_up(pixels, tiles.tile_units()) : 1;
  return device_.allocate(extent(rows) * extent(tiles.target.channel_stride) * sizeof(float));
}

void Conv2dMma::build_packing() {
  const ProductTiles tiles[] = {wide_forward(shape_, kernels_.forward),
                                turned(shape_, kernels_.input_gradient)};
  const opencl::Program program = device_.build(
      kernels::conv2d_mma_pack, pack_definitions(shape_, format_, tiles[0].cut, tiles[1].cut));
  pack_ = program.kernel(kernels::conv2d_mma_pack_::pack);
  // Channels beyond the target's stay zero.
  packed_ = device_.allocate_zeroed(tiles[0].packed_floats() * sizeof(float));
  turned_ = device_.allocate_zeroed(tiles[1].packed_floats() * sizeof(float));
}

void Conv2dMma::build_input_gradient() {
  const ProductTiles tiles = turned(shape_, kernels_.input_gradient);
  input_gradient_ = wide_product(tiles);
  gradient_sums_ = {tile_numbers(tiles), tile_numbers(tiles), tiles.tile_units()};
}

void Conv2dMma::build_weight_gradient() {
  const bool narrow = is_narrow(shape_.input);
  const WeightTiles tiles = narrow ? narrow_weight(shape_, kernels_.weight_gradient)
                                   : wide_weight(shape_, kernels_.weight_gradient);
  if (tiles.cut.by_warpgroup) {
    if (std::ranges::count(warpgroup_gradient_cuts(shape_, format_), tiles.cut) == 0)
      throw Error("convolution: its weight gradient cannot be cut by warpgroup");
    const bool halves = tiles.cut.halves;
    const opencl::Program program =
        device_.build(halves ? kernels::conv2d_wgmma_half_weight : kernels::conv2d_wgmma_weight,
                      tiles.definitions(shape_, format_));
    weight_gradient_ = program.kernel(halves ? kernels::conv2d_wgmma_half_weight_::weight_gradient
                                             : kernels::conv2d_wgmma_weight_::weight_gradient);
  } else {
    const opencl::Program program =
        device_.build(narrow ? kernels::conv2d_mma_narrow_weight : kernels::conv2d_mma_weight,
                      tiles.definitions(shape_, format_));
    weight_gradient_ = program.kernel(narrow ? kernels::conv2d_mma_narrow_weight_::weight_gradient
                                             : kernels::conv2d_mma_weight_::weight_gradient);
  }
  gradient_threads_ = tiles.threads();
  gradient_tiles_ = tiles.groups();
  pixels_per_image_ = tiles.pixels_per_image();
  tile_pixels_ = tiles.tile;
  const int pixel_tiles = quotient_up(shape_.input.batch * pixels_per_image_, tiles.tile);
  // All work-groups run at once and have as much to do.
  const int passes = std::max(1, step_passes_ / 2);
  const int wanted =
      tiles.cut.groups_per_unit * device_.info().compute_units / gradient_tiles_ / passes;
  max_chunks_ = std::clamp(wanted, 1, pixel_tiles);
  make_sums(max_chunks_);
}

void Conv2dMma::forward_images(const ImageSource& images, const ChannelLaws& laws,
                               const opencl::Buffer& x, const opencl::Buffer& weight,
                               const opencl::Buffer& bias, const opencl::Buffer& y, int batch,
                               bool relu) {
  expect_room(batch);
  if (!takes_images()) throw Error("convolution: images of padded channels");
  launch_from_images(device_, forward_images_, forward_.over(batch), images, laws, x, weight, bias,
                     places_, y, std::int32_t{batch}, finish(relu), statistics_.means,
                     statistics_.deviations);
}

void Conv2dMma::forward(const opencl::Buffer& x, const opencl::Buffer& weight,
                        const opencl::Buffer& bias, const opencl::Buffer& y, int batch, bool relu) {
  expect_room(batch);
  if (pack_) {
    device_.launch(pack_,
                   {{extent(shape_.output.channel_stride), extent(shape_.input.channel_stride),
                     extent(shape_.kernel * shape_.kernel)},
                    {16, 16, 1}},
                   weight, packed_, turned_);
  }
  device_.launch(forward_.kernel, forward_.over(batch), x, pack_ ? packed_ : weight, bias, places_,
                 y, std::int32_t{batch}, finish(relu), law_or(bias), input_law_.pitch,
                 statistics_.means, statistics_.deviations);
}

void Conv2dMma::input_gradient(const opencl::Buffer& dy, const opencl::Buffer& /*weight*/,
                               const opencl::Buffer& x, const opencl::Buffer& dx, int batch,
                               bool mask) {
  expect_gradients(batch);
  if (!input_gradient_.kernel)
    throw Error("convolution: the gradient of an input whose channels are not padded");
  expect_halo();
  device_.launch(input_gradient_.kernel, input_gradient_.over(batch), dy, turned_, x, places_, dx,
                 std::int32_t{batch}, std::int32_t{mask ? finish_mask : finish_none}, law_or(x),
                 input_law_.pitch, gradient_sums_.sums, gradient_sums_.products);
}

void Conv2dMma::weight_gradient(const opencl::Buffer& x, const opencl::Buffer& dy,
                                const opencl::Buffer& dweight, const opencl::Buffer& dbias,
                                const JoinedBatch& batch) {
  expect_gradients(batch.samples());
  const int tiles = quotient_up(batch.each * pixels_per_image_, tile_pixels_);
  const std::int32_t tiles_per_chunk = quotient_up(tiles, max_chunks_);
  const std::int32_t chunks = quotient_up(tiles, tiles_per_chunk);
  const bool norms = shape_.norm_gradient;
  if (norms && batch.passes > 1)
    throw Error("convolution: several passes through one batch norm behind it");
  reserve_partial(batch.passes * chunks);
  device_.launch(
      weight_gradient_,
      {{extent(gradient_tiles_) * extent(gradient_threads_), extent(chunks), extent(batch.passes)},
       {extent(gradient_threads_), 1, 1}},
      x, dy, places_, partial_, std::int32_t{batch.each}, tiles_per_chunk,
      norms ? output_law_.rows_of("convolution") : law_or(x),
      norms ? output_law_.pitch : input_law_.pitch, norms ? output_ : dy);
  sum_partial(dweight, dbias, chunks, batch.passes);
}

}  // namespace dovetail
