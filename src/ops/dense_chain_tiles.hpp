// How DenseChain cuts its work, and what its kernels need to know of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ops/compute_format.hpp"
#include "ops/conv2d_tiles.hpp"

namespace dovetail {

/// A dense layer: widths with padding, and where in all parameters (and in all gradients) its
/// weight [in, out] and bias [out] begin, in floats.
struct DenseChainLayer {
  int in = 0, out = 0;
  std::size_t weight = 0, bias = 0;
};

struct DenseChainShape {
  /// What the chain may make its input from.
  struct Image {
    int channels = 0, height = 0, width = 0;
    int size() const { return channels * height * width; }
  };
  std::vector<DenseChainLayer> layers{};  // at least two, each the next one's input
  int classes = 0;                        // the first outputs of the last one
  std::size_t first_parameter = 0;        // where theirs begin among all
  std::size_t parameters = 0;             // floats of theirs, with what lies between
  Image image{};                          // none: its input is given
  bool propagates = false;                // somebody waits for the gradient of the first's input
  /// Whether the first layer has launches of its own.
  bool first_apart() const;
  /// Whether an image has as many values as the first layer takes.
  bool takes_images() const;
  /// Floats of all parameters, those of others in front included.
  std::size_t all_parameters() const { return first_parameter + parameters; }
};

namespace dense_chain {

using conv_tiles::Definitions;

inline constexpr int most_shared = 200 << 10;  // bytes of a work-group, of the 227 KiB on Hopper
/// Inputs beyond need more of the second-level cache than a tile of samples' products are worth, so
/// their layer is the first one, apart.
inline constexpr int most_in = 1024;
inline constexpr int most_classes = 64;  // that one work-item goes through

/// A layer as kernels/dense_chain.clh has it: where in the maps its output and that one's gradient
/// begin, [batch, out] each.
struct Entry {
  std::int32_t in = 0, out = 0;
  std::uint32_t weight = 0, bias = 0, output = 0, gradient = 0;
};
std::vector<Entry> table(std::span<const DenseChainLayer> layers, int batch);
/// Floats of the maps.
std::size_t map_elements(std::span<const DenseChainLayer> layers, int batch);

/// The kernel `rows`: so many samples a work-group.
struct RowTiles {
  int rows = 16;
  int shared_bytes = 0;
  int threads() const { return rows * 16; }
  Definitions definitions(const DenseChainShape& shape, ComputeFormat format) const;
};
/// `rows`: 16 or 32; 0: 32 where there are enough samples for all compute units, and where they
/// fit.
RowTiles row_tiles(const DenseChainShape& shape, int batch, int compute_units, int rows = 0);

/// The kernels `first_layer` and `input_gradient`.
struct FirstTiles {
  static constexpr int tile = 64, slice = 16, threads = 128;
  static int shared_bytes();
  static Definitions definitions(const DenseChainShape& shape, ComputeFormat format);
  /// Work-groups over a result of so many columns.
  static int groups(int batch, int columns);
};
/// Products of a work-group of `first_layer`, so that there are some for each compute unit.
int part_depth(const DenseChainLayer& first, int batch, int compute_units);

/// The kernel `weight_gradients`.
struct WeightTiles {
  static constexpr int tile = 64, slice = 16, threads = 128;
  int tiles = 0;            // of all layers
  int groups_per_unit = 4;  // work-groups for each compute unit
  static int shared_bytes();
  Definitions definitions(std::size_t layers, ComputeFormat format) const;
  /// Samples of a work-group, so that each has enough to do.
  int share(int batch, int compute_units) const;
};
/// `groups_per_unit`: 0 for the usual.
WeightTiles weight_tiles(std::span<const DenseChainLayer> layers, int groups_per_unit = 0);

}  // namespace dense_chain
}  // namespace dovetail
