// Runs a case's convolution kernels for tensor cores on the host.
#pragma once

#include <vector>

#include "kernels/conv2d_mma_check.hpp"
#include "kernels/warp/launches.hpp"
#include "kernels/warp/work_group.hpp"
#include "tensor/layout.hpp"

namespace dovetail::warp {

/// Launches as Conv2dMma does.
class ConvRunner {
 public:
  /// @param number  of the case in cases(). Its batch may be another one.
  ConvRunner(const Case& c, std::size_t number) : case_(c), launches_(launches().at(number)) {
    places_.resize(case_.shape.output.size());
  }

  /// Rows of `pitch` floats, as NormLaw has them.
  void set_law(const std::vector<float>& rows, int pitch) {
    norm_ = rows;
    norm_row_ = pitch;
  }

  /// As Conv2dMma::set_output_norm.
  void set_output_norm(const std::vector<float>& y, const std::vector<float>& rows, int pitch) {
    output_ = y;
    set_law(rows, pitch);
  }

  std::vector<float> forward(const std::vector<float>& x, const std::vector<float>& weight,
                             const std::vector<float>& bias, bool relu = true) {
    const Conv2dPoolShape& shape = case_.shape;
    const ConvMmaKernels& cuts = case_.kernels;
    const int finish = finish_bias | finish_places | (relu ? finish_relu : finish_none);
    if (conv_mma::is_narrow(shape.input)) {
      return run(launches_.forward, conv_mma::narrow_forward(shape, cuts.forward), x, weight, bias,
                 shape.output, finish);
    }
    pack(weight);
    return run(launches_.forward, conv_mma::wide_forward(shape, cuts.forward), x, packed_, bias,
               shape.output, finish);
  }

  /// For few channels; writes x.
  std::vector<float> forward_images(const testing::ImageInput& images, std::vector<float>& x,
                                    const std::vector<float>& weight,
                                    const std::vector<float>& bias) {
    const conv_mma::ProductTiles tiles =
        conv_mma::narrow_forward(case_.shape, case_.kernels.forward);
    std::vector<float> y(case_.shape.output.size(), testing::poison);
    poison(statistics_, tiles);
    for (int group = 0; group < groups_of(tiles); ++group) {
      WorkGroup(launches_.forward.threads, launches_.forward.shared_bytes, {group, 0, 0}).run([&] {
        launches_.forward_images.kernel(
            images.pixels.data(), images.samples.data(), images.first, !images.samples.empty(),
            images.scale.data(), images.shift.data(), images.augmentation.crop,
            images.augmentation.flip, images.augmentation.erase, images.seed, images.first_sample,
            x.data(), weight.data(), bias.data(), places_.data(), y.data(), case_.extents.batch,
            finish_bias | finish_relu | finish_places, statistics_.means.data(),
            statistics_.deviations.data());
      });
    }
    return y;
  }

  /// Of what either has stored, [tiles, channel_stride] for the layout's batch.
  const testing::Statistics& statistics() const { return statistics_; }
  /// The same of input_gradient: sums and products.
  const testing::Statistics& gradient_sums() const { return gradient_sums_; }

  std::vector<float> input_gradient(const std::vector<float>& dy, const std::vector<float>&,
                                    const std::vector<float>& x) {
    return run(launches_.input_gradient,
               conv_mma::turned(case_.shape, case_.kernels.input_gradient), dy, turned_, x,
               case_.shape.input, finish_mask);
  }

  testing::WeightGradient weight_gradient(const std::vector<float>& x,
                                          const std::vector<float>& dy) {
    const std::vector<float> partial = partial_gradients(x, dy, 0, case_.extents.batch, 1);
    const auto outs = static_cast<std::size_t>(case_.shape.output.channel_stride);
    const std::size_t weights = static_cast<std::size_t>(conv_mma::depth(case_.shape)) * outs;
    const std::size_t size = weights + outs;
    std::vector<float> sums(size);
    for (std::size_t i = 0; i < partial.size(); ++i) sums[i % size] += partial[i];
    const auto middle = sums.begin() + static_cast<std::ptrdiff_t>(weights);
    return {{sums.begin(), middle}, {middle, sums.end()}};
  }

  /// [passes, chunks, weights and bias] of `passes` times `each` images from `first` on.
  std::vector<float> partial_gradients(const std::vector<float>& x, const std::vector<float>& dy,
                                       int first, int each, int passes) {
    const Conv2dPoolShape& shape = case_.shape;
    const auto& wanted = case_.kernels.weight_gradient;
    const conv_mma::WeightTiles cut = conv_mma::is_narrow(shape.input)
                                          ? conv_mma::narrow_weight(shape, wanted)
                                          : conv_mma::wide_weight(shape, wanted);
    const int tiles_per_chunk = 7 - cut.cut.groups_per_unit;
    const int chunks =
        quotient_up(quotient_up(each * cut.pixels_per_image(), cut.tile), tiles_per_chunk);
    const std::size_t size = static_cast<std::size_t>(conv_mma::depth(shape) + 1) *
                             static_cast<std::size_t>(shape.output.channel_stride);
    std::vector<float> partial(size * static_cast<std::size_t>(passes * chunks), testing::poison);
    const WeightLaunch& launch = launches_.weight_gradient;
    const auto image = static_cast<std::size_t>(first);
    const auto from = [&](const auto& values, const Layout& layout) {
      return values.data() + image * static_cast<std::size_t>(layout.image_stride());
    };
    const std::size_t places_per_image = static_cast<std::size_t>(
        shape.output.height * shape.output.width * shape.output.channel_stride);
    for (int pass = 0; pass < passes; ++pass) {
      for (int chunk = 0; chunk < chunks; ++chunk) {
        for (int group = 0; group < cut.groups(); ++group) {
          WorkGroup one(launch.threads, launch.shared_bytes, {group, chunk, pass});
          one.set_groups({cut.groups(), chunks, passes});
          one.run([&] {
            launch.kernel(from(x, shape.input), from(dy, shape.output),
                          places_.data() + image * places_per_image, partial.data(), each,
                          tiles_per_chunk, norm_.data(), norm_row_,
                          shape.norm_gradient ? from(output_, shape.output) : nullptr);
          });
        }
      }
    }
    return partial;
  }

 private:
  static void poison(testing::Statistics& statistics, const conv_mma::ProductTiles& tiles) {
    const Layout& map = tiles.target;
    const int rows = quotient_up(map.batch * map.height * map.width, tiles.tile_units());
    statistics.pixels = tiles.tile_units();
    statistics.means.assign(extent(rows * map.channel_stride), testing::poison);
    statistics.deviations = statistics.means;
  }

  void pack(const std::vector<float>& weight) {
    constexpr int side = 16;
    const int ins = case_.shape.input.channel_stride, outs = case_.shape.output.channel_stride;
    const int taps = case_.extents.kernel * case_.extents.kernel;
    const auto room = [](const conv_mma::ProductTiles& tiles) {
      // By warpgroup, zeros beside the target's channels.
      return std::vector<float>(tiles.packed_floats(),
                                tiles.cut.by_warpgroup() ? 0.0f : testing::poison);
    };
    packed_ = room(conv_mma::wide_forward(case_.shape, case_.kernels.forward));
    turned_ = room(conv_mma::turned(case_.shape, case_.kernels.input_gradient));
    for (int tap = 0; tap < taps; ++tap) {
      for (int group = 0; group < ins / side * (outs / side); ++group) {
        WorkGroup(side * side, side * (side + 1) * 4,
                  {group % (outs / side), group / (outs / side), tap}, side)
            .run([&] { launches_.pack.kernel(weight.data(), packed_.data(), turned_.data()); });
      }
    }
  }

  int groups_of(const conv_mma::ProductTiles& tiles) const {
    return quotient_up(case_.extents.batch * tiles.units_per_image(), tiles.tile_units()) *
           tiles.column_tiles();
  }

  std::vector<float> run(const ProductLaunch& launch, const conv_mma::ProductTiles& tiles,
                         const std::vector<float>& source, const std::vector<float>& weight,
                         const std::vector<float>& other, const Layout& target, int finish) {
    std::vector<float> result(target.size(), testing::poison);
    const int batch = case_.extents.batch;
    testing::Statistics& statistics = tiles.turned ? gradient_sums_ : statistics_;
    poison(statistics, tiles);
    for (int group = 0; group < groups_of(tiles); ++group) {
      WorkGroup(launch.threads, launch.shared_bytes, {group, 0, 0}).run([&] {
        launch.kernel(source.data(), weight.data(), other.data(), places_.data(), result.data(),
                      batch, finish, norm_.data(), norm_row_, statistics.means.data(),
                      statistics.deviations.data());
      });
    }
    return result;
  }

  Case case_;
  const Launches& launches_;
  std::vector<unsigned char> places_;
  std::vector<float> packed_, turned_, norm_, output_;
  int norm_row_ = 0;
  testing::Statistics statistics_, gradient_sums_;
};

}  // namespace dovetail::warp
