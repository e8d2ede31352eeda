// Launches the kernels of a chain of dense layers.
#include "ops/dense_chain.hpp"

#include <algorithm>

#include "dovetail_kernels.hpp"
#include "ops/lines.hpp"
#include "support/error.hpp"
#include "support/text.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

using conv_tiles::quotient_up;
using conv_tiles::size;

namespace {

constexpr std::size_t summing_items = 256;

enum class Source : std::int32_t { floats, pixels, samples };  // the kernel's FROM_…

opencl::Program row_sums_program(opencl::Device& device) {
  return device.build(kernels::loss, {fmt::format("ITEMS={}", summing_items)});
}

}  // namespace

std::string DenseChainKernels::name(Direction direction) const {
  if (direction == Direction::weight_gradient && groups_per_unit > 0)
    return fmt::format("mma chain, {} a unit",
                       counted(static_cast<std::uint64_t>(groups_per_unit), "group"));
  if (direction != Direction::weight_gradient && rows > 0)
    return fmt::format("mma chain, {} rows", rows);
  return "mma chain";
}

std::vector<DenseChainKernels> dense_chain_candidates(std::span<const DenseChainLayer> layers,
                                                      int batch, int compute_units,
                                                      Direction direction) {
  std::vector<DenseChainKernels> candidates;
  if (direction != Direction::weight_gradient) {
    const int usual = dense_chain::row_tiles(layers, batch, compute_units).rows;
    candidates.push_back({.rows = usual});
    for (const int rows : {16, 32}) {
      const auto tiles = dense_chain::row_tiles(layers, batch, compute_units, rows);
      if (rows != usual && tiles.shared_bytes <= dense_chain::most_shared)
        candidates.push_back({.rows = rows});
    }
    return candidates;
  }
  std::vector<int> shares;
  for (const int groups : {dense_chain::WeightTiles{}.groups_per_unit, 2, 8, 1}) {
    const int share = dense_chain::weight_tiles(layers, groups).share(batch, compute_units);
    if (std::find(shares.begin(), shares.end(), share) != shares.end()) continue;
    shares.push_back(share);
    candidates.push_back({.groups_per_unit = groups});
  }
  return candidates;
}

bool DenseChain::fits(std::span<const DenseChainLayer> layers, int classes, int batch) {
  if (layers.size() < 2 || classes < 1 || classes > dense_chain::most_classes) return false;
  if (classes > layers.back().out) return false;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const DenseChainLayer& layer = layers[i];
    if (layer.in % channel_lanes != 0 || layer.out % channel_lanes != 0) return false;
    if (layer.in < 1 || layer.in > dense_chain::most_in) return false;
    if (i > 0 && layers[i - 1].out != layer.in) return false;
  }
  constexpr std::size_t most_floats = std::size_t{1} << 31;
  if (batch < 1 || dense_chain::map_elements(layers, batch) > most_floats) return false;
  return dense_chain::row_tiles(layers, 1, 1).shared_bytes <= dense_chain::most_shared;
}

DenseChain::DenseChain(opencl::Device& device, std::span<const DenseChainLayer> layers, int classes,
                       std::size_t parameters, int batch, ComputeFormat format,
                       const DenseChainKernels& kernels)
    : device_(device),
      parameters_(parameters),
      capacity_(batch),
      compute_units_(device.info().compute_units),
      row_tiles_(dense_chain::row_tiles(layers, batch, compute_units_, kernels.rows)),
      weight_tiles_(dense_chain::weight_tiles(layers, kernels.groups_per_unit)),
      row_sums_(device, row_sums_program(device), summing_items) {
  if (!fits(layers, classes, batch))
    throw Error(fmt::format("{} dense layers do not fit the tensor cores' chain", layers.size()));
  rows_ = device.build(kernels::dense_chain, row_tiles_.definitions(layers.size(), classes, format))
              .kernel(kernels::dense_chain_::rows);
  weight_gradients_ =
      device.build(kernels::dense_chain_weight, weight_tiles_.definitions(layers.size(), format))
          .kernel(kernels::dense_chain_weight_::weight_gradients);
  sum_chunks_ = device.build(kernels::sum_chunks).kernel(kernels::sum_chunks_::sum_chunks);
  const std::vector<dense_chain::Entry> entries = dense_chain::table(layers, batch);
  table_ = device.upload(std::span<const dense_chain::Entry>(entries));
  maps_ = device.allocate(dense_chain::map_elements(layers, batch) * sizeof(float));
  row_sums_.reserve(batch);
  reserve_partial(quotient_up(batch, weight_tiles_.share(batch, compute_units_)));
}

void DenseChain::reserve_partial(int shares) {
  const std::size_t bytes = size(shares) * parameters_ * sizeof(float);
  // What lies between the parameters is never written.
  if (partial_.bytes() < bytes) partial_ = device_.allocate_zeroed(bytes);
}

void DenseChain::forward_backward(const Input& input, const opencl::Buffer& parameters,
                                  const opencl::Buffer& labels, const opencl::Buffer& row_weights,
                                  const opencl::Buffer& statistics, const JoinedBatch& batch) {
  expect_batch(batch.samples(), capacity_);
  const std::int32_t weighed = row_weights ? 1 : 0;
  const bool gathers = static_cast<bool>(input.images.samples);
  const Source source = !input.images.pixels ? Source::floats
                        : gathers            ? Source::samples
                                             : Source::pixels;
  const auto threads = size(row_tiles_.threads());
  device_.launch(
      rows_,
      {{size(quotient_up(batch.samples(), row_tiles_.rows)) * threads, 1, 1}, {threads, 1, 1}},
      input.x, source == Source::floats ? input.x : input.images.pixels,
      gathers ? input.images.samples : input.x, static_cast<std::int32_t>(source), input.law.scale,
      input.law.shift, parameters, table_, labels, weighed ? row_weights : input.x, weighed, maps_,
      row_sums_.losses(), row_sums_.hits(), std::int32_t{batch.samples()});
  row_sums_.sum_into(statistics, batch);
}

void DenseChain::weight_gradients(const opencl::Buffer& x, const opencl::Buffer& gradients,
                                  const JoinedBatch& batch) {
  expect_batch(batch.samples(), capacity_);
  constexpr int most_together = 4;  // as the kernel has room for
  const std::int32_t share = weight_tiles_.share(batch.each, compute_units_);
  const std::int32_t shares = quotient_up(batch.each, share);
  const bool together = shares == 1 && batch.passes <= most_together;
  const bool is_whole = together || shares * batch.passes == 1;
  const auto all = static_cast<std::int32_t>(parameters_);
  constexpr std::size_t threads = dense_chain::WeightTiles::threads;
  if (!is_whole) reserve_partial(shares * batch.passes);
  device_.launch(weight_gradients_,
                 {{size(weight_tiles_.tiles) * threads, size(shares),
                   together ? std::size_t{1} : size(batch.passes)},
                  {threads, 1, 1}},
                 x, maps_, table_, is_whole ? gradients : partial_,
                 static_cast<std::uint32_t>(parameters_), std::int32_t{batch.each}, share,
                 std::int32_t{together ? batch.passes : 1});
  if (!is_whole) {
    device_.launch(sum_chunks_, {{size(quotient_up(all, 64)) * 256, 1, 1}, {256, 1, 1}}, partial_,
                   gradients, gradients, shares, std::int32_t{batch.passes}, all, all);
  }
}

}  // namespace dovetail
