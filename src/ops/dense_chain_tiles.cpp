// Sizes of a chain's tiles, and of the memory that they take.
#include "ops/dense_chain_tiles.hpp"

#include <algorithm>

#include "support/text.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

bool DenseChainShape::first_apart() const {
  return propagates || layers.front().in > dense_chain::most_in;
}

bool DenseChainShape::takes_images() const {
  return image.size() == layers.front().in;
}

}  // namespace dovetail

namespace dovetail::dense_chain {

namespace {

int tile_bytes(int width, int rows) {
  const int pitch = width + (width % 32 == 0 ? 16 : 0);  // as pitch_of in dense_chain.cl
  return rows * pitch * static_cast<int>(sizeof(float));
}

RowTiles tiles_of(const DenseChainShape& shape, int rows) {
  int bytes = shape.first_apart() ? 0 : tile_bytes(shape.layers.front().in, rows);
  for (const DenseChainLayer& layer : shape.layers) bytes += tile_bytes(layer.out, rows);
  return {.rows = rows, .shared_bytes = bytes};
}

/// Without an image the kernels are still to be built.
Definitions with_image(const DenseChainShape& shape, Definitions all) {
  const DenseChainShape::Image image =
      shape.takes_images() ? shape.image : DenseChainShape::Image{1, 1, shape.layers.front().in};
  all.insert(all.end(), {fmt::format("IMAGE_CHANNELS={}", image.channels),
                         fmt::format("IMAGE_HEIGHT={}", image.height),
                         fmt::format("IMAGE_WIDTH={}", image.width)});
  return all;
}

}  // namespace

std::vector<Entry> table(std::span<const DenseChainLayer> layers, int batch) {
  std::vector<Entry> entries;
  std::uint32_t next = 0;
  for (const DenseChainLayer& layer : layers) {
    const auto floats = static_cast<std::uint32_t>(batch * layer.out);
    entries.push_back({layer.in, layer.out, static_cast<std::uint32_t>(layer.weight),
                       static_cast<std::uint32_t>(layer.bias), next, next + floats});
    next += 2 * floats;
  }
  return entries;
}

std::size_t map_elements(std::span<const DenseChainLayer> layers, int batch) {
  std::size_t floats = 0;
  for (const DenseChainLayer& layer : layers) floats += 2 * extent(batch) * extent(layer.out);
  return floats;
}

Definitions RowTiles::definitions(const DenseChainShape& shape, ComputeFormat format) const {
  return with_image(
      shape,
      {fmt::format("ROWS={}", rows), fmt::format("LAYERS={}", shape.layers.size()),
       fmt::format("FIRST={}", shape.first_apart() ? 1 : 0),
       fmt::format("CLASSES={}", shape.classes), fmt::format("SHARED_BYTES={}", shared_bytes),
       fmt::format("FORMAT={}", kernel_number(format))});
}

RowTiles row_tiles(const DenseChainShape& shape, int batch, int compute_units, int rows) {
  constexpr int few = 16, many = 32;
  if (rows > 0) return tiles_of(shape, rows);
  const RowTiles tiles = tiles_of(shape, many);
  const bool takes_many = batch > few * compute_units && tiles.shared_bytes <= most_shared;
  return takes_many ? tiles : tiles_of(shape, few);
}

int FirstTiles::shared_bytes() {
  constexpr int stages = 4, padding = 4;  // as in dense_chain_first.cl
  return stages * tile * (slice + slice + padding) * static_cast<int>(sizeof(float));
}

Definitions FirstTiles::definitions(const DenseChainShape& shape, ComputeFormat format) {
  return with_image(shape, {fmt::format("SHARED_BYTES={}", shared_bytes()),
                            fmt::format("FORMAT={}", kernel_number(format))});
}

int FirstTiles::groups(int batch, int columns) {
  return quotient_up(batch, tile) * quotient_up(columns, tile);
}

int part_depth(const DenseChainLayer& first, int batch, int compute_units) {
  // Adding up what shorter parts leave costs more than they bring.
  constexpr int least = 192, groups_per_unit = 4;
  const int parts =
      std::clamp(groups_per_unit * compute_units / FirstTiles::groups(batch, first.out), 1,
                 quotient_up(first.in, least));
  return quotient_up(quotient_up(first.in, parts), FirstTiles::slice) * FirstTiles::slice;
}

int WeightTiles::shared_bytes() {
  constexpr int stages = 4, padding = 8;  // as in dense_chain_weight.cl
  return 2 * stages * slice * (tile + padding) * static_cast<int>(sizeof(float));
}

Definitions WeightTiles::definitions(std::size_t layers, ComputeFormat format) const {
  return {fmt::format("LAYERS={}", layers), fmt::format("SHARED_BYTES={}", shared_bytes()),
          fmt::format("FORMAT={}", kernel_number(format))};
}

int WeightTiles::share(int batch, int compute_units) const {
  constexpr int least = 4 * slice;
  const int shares =
      std::clamp(groups_per_unit * compute_units / tiles, 1, quotient_up(batch, least));
  return quotient_up(quotient_up(batch, shares), slice) * slice;
}

WeightTiles weight_tiles(std::span<const DenseChainLayer> layers, int groups_per_unit) {
  WeightTiles result;
  if (groups_per_unit > 0) result.groups_per_unit = groups_per_unit;
  for (const DenseChainLayer& layer : layers) {
    result.tiles +=
        quotient_up(layer.in, WeightTiles::tile) * quotient_up(layer.out, WeightTiles::tile);
  }
  return result;
}

}  // namespace dovetail::dense_chain
