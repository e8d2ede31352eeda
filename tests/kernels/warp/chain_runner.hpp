// Runs a case's kernels of a chain of dense layers on the host.
#pragma once

#include <vector>

#include "kernels/dense_chain_check.hpp"
#include "kernels/warp/launches.hpp"
#include "kernels/warp/work_group.hpp"
#include "tensor/layout.hpp"

namespace dovetail::warp {

/// Launches as DenseChain does.
class ChainRunner {
 public:
  ChainRunner(const DenseCase& c, const DenseLaunches& launches)
      : case_(c), launches_(launches), entries_(dense_chain::table(c.layers, c.batch)) {}

  /// Writes x where that is made from pixels, maps, and the losses and hits of each sample.
  /// `part_depth`: of the first layer where it is apart; 0 as estimated.
  void rows(const testing::ChainInputs& in, std::vector<float>& x, std::vector<float>& maps,
            std::vector<float>& losses, std::vector<float>& hits, int part_depth = 0) const {
    const dense_chain::RowTiles tiles =
        dense_chain::row_tiles(case_, case_.batch, case_.compute_units);
    const testing::ImageInput& from = in.images;
    const Augmentation& augmentation = from.augmentation;
    int source = from.pixels.empty() ? 0 : 1;
    std::vector<float> parts;
    if (case_.first_apart()) source = first_layer(in, x, parts, part_depth);
    for (int group = 0; group < quotient_up(case_.batch, tiles.rows); ++group) {
      WorkGroup(tiles.threads(), tiles.shared_bytes, {group, 0, 0}).run([&] {
        launches_.rows(from.pixels.data(), from.samples.data(), from.first, !from.samples.empty(),
                       from.scale.data(), from.shift.data(), augmentation.crop, augmentation.flip,
                       augmentation.erase, from.seed, from.first_sample,
                       parts.empty() ? x.data() : parts.data(), source, in.parameters.data(),
                       table(), in.labels.data(), in.first_label, in.row_weights.data(),
                       !in.row_weights.empty(), maps.data(), losses.data(), hits.data(),
                       case_.batch);
      });
    }
  }

  /// [batch, in].
  std::vector<float> input_gradient(const testing::ChainInputs& in, const std::vector<float>& x,
                                    const std::vector<float>& maps, bool mask) const {
    using dense_chain::FirstTiles;
    std::vector<float> dx(x.size(), testing::poison);
    for (int i = 0; i < FirstTiles::groups(case_.batch, case_.layers.front().in); ++i) {
      WorkGroup(FirstTiles::threads, FirstTiles::shared_bytes(), {i, 0, 0}).run([&] {
        launches_.input_gradient(maps.data(), in.parameters.data(), table(), x.data(), dx.data(),
                                 case_.batch, mask);
      });
    }
    return dx;
  }

  /// `groups_per_unit`: as weight_tiles has it. The sum over shares is this function's own.
  std::vector<float> weight_gradients(const std::vector<float>& x, const std::vector<float>& maps,
                                      int groups_per_unit = 0) const {
    const int share = dense_chain::weight_tiles(case_.layers, groups_per_unit)
                          .share(case_.batch, case_.compute_units);
    const std::vector<float> partial =
        partial_gradients(x, maps, case_.batch, 1, share, groups_per_unit);
    std::vector<float> sums(case_.all_parameters());
    for (std::size_t i = 0; i < partial.size(); ++i)
      sums[case_.first_parameter + i % case_.parameters] += partial[i];
    return sums;
  }

  /// [passes, shares, parameters], a share being `share` of a pass's `each` samples; with
  /// `together` [parameters], over passes of one share each.
  std::vector<float> partial_gradients(const std::vector<float>& x, const std::vector<float>& maps,
                                       int each, int passes, int share, int groups_per_unit = 0,
                                       bool together = false) const {
    const dense_chain::WeightTiles tiles = dense_chain::weight_tiles(case_.layers, groups_per_unit);
    const int shares = quotient_up(each, share);
    const int inside = together ? passes : 1;
    passes /= inside;
    std::vector<float> partial(extent(passes * shares) * case_.parameters, testing::poison);
    for (int place = 0; place < passes * shares * tiles.tiles; ++place) {
      const int number = place / tiles.tiles;
      WorkGroup one(dense_chain::WeightTiles::threads, dense_chain::WeightTiles::shared_bytes(),
                    {place % tiles.tiles, number % shares, number / shares});
      one.set_groups({tiles.tiles + 1, shares, passes});
      one.run([&] {
        launches_.weight_gradients(x.data(), maps.data(), table(), partial.data(),
                                   static_cast<unsigned>(case_.first_parameter),
                                   static_cast<unsigned>(case_.parameters), each, share, inside,
                                   nullptr, nullptr, nullptr);
      });
    }
    return partial;
  }

  /// [3], over `passes` of `each` samples, the last work-group's of weight_gradients. `together` of
  /// them are a work-group's.
  std::vector<float> statistics(const std::vector<float>& losses, const std::vector<float>& hits,
                                int each, int passes, int together) const {
    std::vector<float> sums(3, testing::poison);
    const int tiles = dense_chain::weight_tiles(case_.layers).tiles;
    WorkGroup one(dense_chain::WeightTiles::threads, dense_chain::WeightTiles::shared_bytes(),
                  {tiles, 0, 0});
    one.set_groups({tiles + 1, 1, passes / together});
    one.run([&] {
      launches_.weight_gradients(nullptr, nullptr, table(), nullptr, 0, 0, each, each, together,
                                 losses.data(), hits.data(), sums.data());
    });
    return sums;
  }

 private:
  /// Returns how many parts there are.
  int first_layer(const testing::ChainInputs& in, std::vector<float>& x, std::vector<float>& parts,
                  int depth) const {
    using dense_chain::FirstTiles;
    const testing::ImageInput& from = in.images;
    const Augmentation& augmentation = from.augmentation;
    const DenseChainLayer& first = case_.layers.front();
    if (depth == 0) depth = dense_chain::part_depth(first, case_.batch, case_.compute_units);
    const int count = quotient_up(first.in, depth);
    parts.assign(extent(count) * extent(case_.batch) * extent(first.out), testing::poison);
    const int tiles = FirstTiles::groups(case_.batch, first.out);
    for (int i = 0; i < count * tiles; ++i) {
      WorkGroup one(FirstTiles::threads, FirstTiles::shared_bytes(), {i % tiles, i / tiles, 0});
      one.run([&] {
        if (from.pixels.empty()) {
          launches_.first_layer(x.data(), in.parameters.data(), table(), parts.data(), case_.batch,
                                depth);
        } else {
          launches_.first_layer_images(from.pixels.data(), from.samples.data(), from.first,
                                       !from.samples.empty(), from.scale.data(), from.shift.data(),
                                       augmentation.crop, augmentation.flip, augmentation.erase,
                                       from.seed, from.first_sample, x.data(), in.parameters.data(),
                                       table(), parts.data(), case_.batch, depth);
        }
      });
    }
    return count;
  }

  const int* table() const { return reinterpret_cast<const int*>(entries_.data()); }

  DenseCase case_;
  const DenseLaunches& launches_;
  std::vector<dense_chain::Entry> entries_;
};

}  // namespace dovetail::warp
