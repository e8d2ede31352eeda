// Launches the kernels of a chain of dense layers.
#include "ops/dense_chain.hpp"

#include <algorithm>

#include "dovetail_kernels.hpp"
#include "ops/lines.hpp"
#include "support/error.hpp"
#include "support/text.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

namespace {

enum class Source : std::int32_t { floats, images };  // the kernel's FROM_…

}  // namespace

std::string DenseChainKernels::name(Direction direction) const {
  if (direction == Direction::weight_gradient && groups_per_unit > 0)
    return fmt::format("mma chain, {} a unit",
                       counted(static_cast<std::uint64_t>(groups_per_unit), "group"));
  if (direction == Direction::weight_gradient) return "mma chain";
  std::string name = "mma chain";
  if (rows > 0) name += fmt::format(", {} rows", rows);
  if (part_depth > 0) name += fmt::format(", parts of {}", part_depth);
  return name;
}

std::vector<DenseChainKernels> dense_chain_candidates(const DenseChainShape& shape, int batch,
                                                      int compute_units, Direction direction) {
  std::vector<DenseChainKernels> candidates;
  if (direction != Direction::weight_gradient) {
    std::vector<int> depths{0};
    if (shape.first_apart()) {
      const DenseChainLayer& first = shape.layers.front();
      const int usual = dense_chain::part_depth(first, batch, compute_units);
      depths = {usual};
      const int half =
          quotient_up(usual / 2, dense_chain::FirstTiles::slice) * dense_chain::FirstTiles::slice;
      if (half < usual) depths.push_back(half);
      if (usual < first.in) depths.push_back(std::min(2 * usual, first.in));
    }
    const int usual_rows = dense_chain::row_tiles(shape, batch, compute_units).rows;
    for (const int rows : {usual_rows, usual_rows == 16 ? 32 : 16}) {
      const auto tiles = dense_chain::row_tiles(shape, batch, compute_units, rows);
      if (rows != usual_rows && tiles.shared_bytes > dense_chain::most_shared) continue;
      for (const int depth : depths) candidates.push_back({.rows = rows, .part_depth = depth});
    }
    return candidates;
  }
  std::vector<int> shares;
  for (const int groups : {dense_chain::WeightTiles{}.groups_per_unit, 2, 8, 1}) {
    const int share = dense_chain::weight_tiles(shape.layers, groups).share(batch, compute_units);
    if (std::find(shares.begin(), shares.end(), share) != shares.end()) continue;
    shares.push_back(share);
    candidates.push_back({.groups_per_unit = groups});
  }
  return candidates;
}

bool DenseChain::fits(const DenseChainShape& shape, int batch) {
  const std::vector<DenseChainLayer>& layers = shape.layers;
  if (layers.size() < 2 || shape.classes < 1 || shape.classes > dense_chain::most_classes)
    return false;
  if (shape.classes > layers.back().out) return false;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const DenseChainLayer& layer = layers[i];
    if (layer.in % channel_lanes != 0 || layer.out % channel_lanes != 0) return false;
    if (layer.in < 1 || (i > 0 && layer.in > dense_chain::most_in)) return false;
    if (i > 0 && layers[i - 1].out != layer.in) return false;
  }
  constexpr std::size_t most_floats = std::size_t{1} << 31;
  if (batch < 1 || dense_chain::map_elements(layers, batch) > most_floats) return false;
  return dense_chain::row_tiles(shape, 1, 1).shared_bytes <= dense_chain::most_shared;
}

DenseChain::DenseChain(opencl::Device& device, const DenseChainShape& shape, int batch,
                       ComputeFormat format, const DenseChainKernels& kernels)
    : device_(device),
      shape_(shape),
      kernels_(kernels),
      capacity_(batch),
      compute_units_(device.info().compute_units),
      row_tiles_(dense_chain::row_tiles(shape, batch, compute_units_, kernels.rows)),
      weight_tiles_(dense_chain::weight_tiles(shape.layers, kernels.groups_per_unit)) {
  const std::vector<DenseChainLayer>& layers = shape_.layers;
  if (!fits(shape_, batch))
    throw Error(fmt::format("{} dense layers do not fit the tensor cores' chain", layers.size()));
  rows_ = device.build(kernels::dense_chain, row_tiles_.definitions(shape_, format))
              .kernel(kernels::dense_chain_::rows);
  weight_gradients_ =
      device.build(kernels::dense_chain_weight, weight_tiles_.definitions(layers.size(), format))
          .kernel(kernels::dense_chain_weight_::weight_gradients);
  if (shape_.first_apart()) {
    namespace entries = kernels::dense_chain_first_;
    const opencl::Program program = device.build(
        kernels::dense_chain_first, dense_chain::FirstTiles::definitions(shape_, format));
    first_layer_ = program.kernel(entries::first_layer);
    if (takes_images()) first_layer_images_ = program.kernel(entries::first_layer_images);
    input_gradient_ = program.kernel(entries::input_gradient);
  }
  sum_chunks_ = SumChunks(device, static_cast<int>(shape_.parameters));
  const std::vector<dense_chain::Entry> entries = dense_chain::table(layers, batch);
  table_ = device.upload(std::span<const dense_chain::Entry>(entries));
  maps_ = device.allocate(dense_chain::map_elements(layers, batch) * sizeof(float));
  losses_ = device.allocate(extent(batch) * sizeof(float));
  hits_ = device.allocate(extent(batch) * sizeof(float));
  reserve_partial(quotient_up(batch, weight_tiles_.share(batch, compute_units_)));
}

void DenseChain::reserve_partial(int shares) {
  const std::size_t bytes = extent(shares) * shape_.parameters * sizeof(float);
  // What lies between the parameters is never written.
  if (partial_.bytes() < bytes) partial_ = device_.allocate_zeroed(bytes);
}

void DenseChain::forward_backward(const Input& input, const opencl::Buffer& parameters,
                                  const LabelSource& labels, const opencl::Buffer& row_weights,
                                  const JoinedBatch& batch) {
  expect_batch(batch.samples(), capacity_);
  const bool from_images = static_cast<bool>(input.images.pixels);
  if (from_images && !takes_images()) throw Error("a chain whose input is not images, from some");
  const std::int32_t weighed = row_weights ? 1 : 0;
  const auto from = shape_.first_apart()
                        ? enqueue_first_layer(input, parameters, batch)
                        : static_cast<std::int32_t>(from_images ? Source::images : Source::floats);
  const bool here = from_images && !shape_.first_apart();
  const auto threads = extent(row_tiles_.threads());
  launch_from_images(
      device_, rows_,
      {{extent(quotient_up(batch.samples(), row_tiles_.rows)) * threads, 1, 1}, {threads, 1, 1}},
      here ? input.images : ImageSource{input.x},
      here ? input.laws : ChannelLaws{.scale = input.x, .shift = input.x},
      shape_.first_apart() ? parts_ : input.x, from, parameters, table_, labels.labels,
      labels.first, weighed ? row_weights : input.x, weighed, maps_, losses_, hits_,
      std::int32_t{batch.samples()});
}

std::int32_t DenseChain::enqueue_first_layer(const Input& input, const opencl::Buffer& parameters,
                                             const JoinedBatch& batch) {
  const DenseChainLayer& first = shape_.layers.front();
  // As one pass would be cut, so that passes in one launch give its bits.
  const std::int32_t depth = kernels_.part_depth > 0
                                 ? kernels_.part_depth
                                 : dense_chain::part_depth(first, batch.each, compute_units_);
  const std::int32_t parts = quotient_up(first.in, depth);
  device_.reserve(parts_,
                  extent(parts) * extent(batch.samples()) * extent(first.out) * sizeof(float));
  constexpr std::size_t threads = dense_chain::FirstTiles::threads;
  const opencl::Range range{
      {extent(dense_chain::FirstTiles::groups(batch.samples(), first.out)) * threads, extent(parts),
       1},
      {threads, 1, 1}};
  const auto samples = std::int32_t{batch.samples()};
  if (input.images.pixels) {
    launch_from_images(device_, first_layer_images_, range, input.images, input.laws, input.x,
                       parameters, table_, parts_, samples, depth);
  } else {
    device_.launch(first_layer_, range, input.x, parameters, table_, parts_, samples, depth);
  }
  return parts;
}

void DenseChain::input_gradient(const opencl::Buffer& x, const opencl::Buffer& parameters,
                                const opencl::Buffer& dx, const JoinedBatch& batch, bool mask) {
  expect_batch(batch.samples(), capacity_);
  if (!shape_.propagates) throw Error("the gradient of a chain's input that nobody waits for");
  constexpr std::size_t threads = dense_chain::FirstTiles::threads;
  device_.launch(
      input_gradient_,
      {{extent(dense_chain::FirstTiles::groups(batch.samples(), shape_.layers.front().in)) *
            threads,
        1, 1},
       {threads, 1, 1}},
      maps_, parameters, table_, x, dx, std::int32_t{batch.samples()}, std::int32_t{mask ? 1 : 0});
}

void DenseChain::weight_gradients(const opencl::Buffer& x, const opencl::Buffer& gradients,
                                  const opencl::Buffer& statistics, const JoinedBatch& batch) {
  expect_batch(batch.samples(), capacity_);
  constexpr int most_together = 4;  // as the kernel has room for
  const std::int32_t share = weight_tiles_.share(batch.each, compute_units_);
  const std::int32_t shares = quotient_up(batch.each, share);
  const bool together = shares == 1 && batch.passes <= most_together;
  const bool is_whole = together || shares * batch.passes == 1;
  const auto all = static_cast<std::int32_t>(shape_.parameters);
  constexpr std::size_t threads = dense_chain::WeightTiles::threads;
  if (!is_whole) reserve_partial(shares * batch.passes);
  const auto base = static_cast<std::uint32_t>(shape_.first_parameter);
  device_.launch(weight_gradients_,
                 {{extent(weight_tiles_.tiles + 1) * threads, extent(shares),
                   together ? std::size_t{1} : extent(batch.passes)},
                  {threads, 1, 1}},
                 x, maps_, table_, is_whole ? gradients : partial_,
                 is_whole ? std::uint32_t{0} : base, static_cast<std::uint32_t>(shape_.parameters),
                 std::int32_t{batch.each}, share, std::int32_t{together ? batch.passes : 1},
                 losses_, hits_, statistics);
  if (is_whole) return;
  sum_chunks_.run(device_, partial_, gradients, gradients, shares, batch.passes, all,
                  static_cast<int>(base));
}

}  // namespace dovetail
