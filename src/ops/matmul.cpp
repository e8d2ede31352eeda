// Cuts matrix products into work-items for the device and launches the kernels.
#include "ops/matmul.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "dovetail_kernels.hpp"
#include "support/error.hpp"
#include "support/text.hpp"
#include "tensor/layout.hpp"

namespace dovetail {
namespace {

// CPU: rows of the result that a work-item can own, and that it keeps in registers at a time. Tiles
// of 8 divide the usual batches; 12 and 14 rows, with fewer loads a product, were no faster.
constexpr int row_block = 512;
constexpr int row_tile = 8;
constexpr int column_tile = 2 * channel_lanes;
constexpr int column_tiles = 32;  // of a work-item, at most
constexpr int panel_depth = 256;  // of the weight gradient's samples in a slice
// Multiply-adds; larger products have two work-items a core, so that an interrupted one is no
// delay.
constexpr std::int64_t small_product = 1 << 26;

// GPU: as in kernels/matmul_gpu.cl.
constexpr int tile = 64;
constexpr int slice = 16;
constexpr int threads = 256;
constexpr int sum_threads = 64;
constexpr int least_depth = 64;  // of a split; shorter ones cost more than they bring

opencl::Range each_element(int rows, int columns) {
  const std::size_t groups = (extent(rows) * extent(columns) + sum_threads - 1) / sum_threads;
  return {{groups * sum_threads, 1, 1}, {sum_threads, 1, 1}};
}

}  // namespace

std::string MatmulKernels::name() const {
  const MatmulKernels usual{};
  if (variant == Variant::cpu)
    return row_block == usual.row_block ? "cpu" : fmt::format("cpu, {} rows", row_block);
  if (path)
    return fmt::format("{}{}", opencl::to_string(*path), whole_depth ? ", whole depth" : "");
  return groups == usual.groups ? "gpu" : fmt::format("gpu, {} groups", groups);
}

std::vector<MatmulKernels> matmul_candidates(opencl::Device& device, const MatmulShape& shape,
                                             int rows, ComputeFormat format, Direction direction) {
  std::vector<MatmulKernels> candidates;
  for (const opencl::InstructionSet path : product_paths(device, format)) {
    candidates.push_back({.variant = Variant::nvidia, .path = path});
    if (cuts_depth(device, shape, format, path, direction, rows))
      candidates.push_back({.variant = Variant::nvidia, .path = path, .whole_depth = true});
  }
  std::vector<MatmulKernels> cpu{{.variant = Variant::cpu}};
  cpu.push_back({.variant = Variant::cpu, .row_block = 128});
  cpu.push_back({.variant = Variant::cpu, .row_block = 32});
  if (device.is_cpu()) candidates.insert(candidates.end(), cpu.begin(), cpu.end());
  for (const int groups : {256, 1024, 64})
    candidates.push_back({.variant = Variant::gpu, .groups = groups});
  if (!device.is_cpu()) candidates.insert(candidates.end(), cpu.begin(), cpu.end());
  return candidates;
}

namespace {

MatmulKernels usual_kernels(opencl::Device& device, Variant variant, ComputeFormat format,
                            std::optional<opencl::InstructionSet> path) {
  if (variant != Variant::nvidia) return {.variant = variant};
  const std::vector<opencl::InstructionSet> paths = product_paths(device, format);
  if (paths.empty()) return {.variant = Variant::gpu};
  return {.variant = variant, .path = path.value_or(paths.front())};
}

}  // namespace

MatmulKernels usual_matmul(opencl::Device& device, Variant variant, const MatmulShape& shape,
                           int rows, ComputeFormat format) {
  // Below that the first path's packing costs more than its products save.
  constexpr int large = 1024;
  const std::vector<opencl::InstructionSet> paths = variant == Variant::nvidia
                                                        ? product_paths(device, format)
                                                        : std::vector<opencl::InstructionSet>{};
  if (paths.size() > 1 && std::min({rows, shape.in, shape.out}) < large)
    return usual_kernels(device, variant, format, paths.back());
  return usual_kernels(device, variant, format, std::nullopt);
}

Matmul::Matmul(opencl::Device& device, Variant variant, const MatmulShape& shape,
               ComputeFormat format, std::optional<opencl::InstructionSet> path)
    : Matmul(device, usual_kernels(device, variant, format, path), shape, format) {}

Matmul::Matmul(opencl::Device& device, const MatmulKernels& kernels, const MatmulShape& shape,
               ComputeFormat format)
    : device_(device),
      variant_(kernels.variant == Variant::cpu ? Variant::cpu : Variant::gpu),
      cut_(kernels),
      shape_(shape) {
  if (shape.in < 1 || shape.out < 1 || shape.out % channel_lanes != 0) {
    throw Error(fmt::format(
        "a dense layer of {} inputs and {} outputs: there must be inputs, and outputs in "
        "multiples of {}",
        shape.in, shape.out, channel_lanes));
  }
  if (const std::int64_t elements = std::int64_t{shape.in} * shape.out; elements > most_elements) {
    throw Error(fmt::format(
        "a dense layer of {} inputs and {} outputs has a weight of {} elements; kernels count "
        "to 2^31 - 1",
        shape.in, shape.out, elements));
  }
  if (cut_.row_block < 1 || cut_.row_block > row_block || cut_.groups < 1)
    throw Error(fmt::format("a dense layer by \"{}\"", kernels.name()));
  if (variant_ == Variant::cpu) {
    build_cpu();
  } else {
    build_gpu();
  }
  if (kernels.path) {
    products_ = make_products(device, shape, format, *kernels.path, kernels.whole_depth);
  } else if (format != ComputeFormat::float32) {
    rounding_.emplace(device, variant_, format);
  }
}

void Matmul::build_cpu() {
  namespace entries = kernels::matmul_cpu_;
  const opencl::Program program =
      device_.build(kernels::matmul_cpu,
                    {fmt::format("IN={}", shape_.in), fmt::format("OUT={}", shape_.out),
                     fmt::format("ROW_BLOCK={}", row_block), fmt::format("ROW_TILE={}", row_tile),
                     fmt::format("PANEL_DEPTH={}", panel_depth)});
  forward_ = program.kernel(entries::forward);
  input_gradient_ = program.kernel(entries::input_gradient);
  weight_gradient_ = program.kernel(entries::weight_gradient);
  pack_weight_ = program.kernel(entries::pack_weight);
  forward_packed_ = program.kernel(entries::forward_packed);
}

void Matmul::build_gpu() {
  namespace entries = kernels::matmul_gpu_;
  const opencl::Program program = device_.build(
      kernels::matmul_gpu, {fmt::format("IN={}", shape_.in), fmt::format("OUT={}", shape_.out)});
  forward_ = program.kernel(entries::forward);
  input_gradient_ = program.kernel(entries::input_gradient);
  weight_gradient_ = program.kernel(entries::weight_gradient);
  finish_forward_ = program.kernel(entries::finish_forward);
  finish_input_gradient_ = program.kernel(entries::finish_input_gradient);
  finish_weight_gradient_ = program.kernel(entries::finish_weight_gradient);
  bias_gradient_ = program.kernel(entries::bias_gradient);
}

// A work-item copies its rows' slices once for all its columns, and the columns' slices once for
// all its rows: the cut that copies least, of those that give each core something to do.
opencl::Range Matmul::cpu_range(int rows, int columns, int depth, bool packed) const {
  const int tiles = quotient_up(columns, column_tile);
  const bool is_small = std::int64_t{rows} * columns * depth < small_product;
  const int least = device_.info().compute_units * (is_small ? 1 : 2);
  int best_blocks = 0, best_groups = 0;
  std::int64_t best = 0;
  for (int blocks = quotient_up(rows, cut_.row_block);; blocks *= 2) {
    const int groups =
        std::clamp(quotient_up(least, blocks), quotient_up(tiles, column_tiles), tiles);
    // To read a slice takes a quarter of the time of a copy, about.
    const std::int64_t copied =
        std::int64_t{rows} * groups + std::int64_t{columns} * blocks / (packed ? 4 : 1);
    if (best == 0 || copied < best) {
      best = copied;
      best_blocks = blocks;
      best_groups = groups;
    }
    if (blocks >= least || blocks * 2 * row_tile > rows) break;
  }
  return {{extent(best_blocks), extent(best_groups), 1}};
}

const opencl::Buffer& Matmul::operand(const opencl::Buffer& source, int rows, int columns,
                                      RoundOperand::Side side) {
  return rounding_ ? rounding_->round(source, extent(rows) * extent(columns), side) : source;
}

bool Matmul::joins(const JoinedBatch& rows) const {
  return !products_ || products_->joins(rows);
}

void Matmul::expect_rows(const JoinedBatch& rows) const {
  if (rows.each < 1 || !joins(rows)) {
    throw Error(fmt::format("a dense layer by \"{}\" over {} times {} rows", cut_.name(),
                            rows.passes, rows.each));
  }
  const std::int64_t elements = std::int64_t{rows.samples()} * std::max(shape_.in, shape_.out);
  if (elements > most_elements) {
    throw Error(
        fmt::format(
            "a dense layer of {} rows, {} inputs and {} outputs has {} elements, beyond 2^31",
            rows.samples(), shape_.in, shape_.out, elements),
        "Take a smaller batch");
  }
}

Matmul::Split Matmul::split_product(const Product& product) {
  const int column_tiles = quotient_up(product.columns, tile);
  const int wanted = std::clamp(cut_.groups / (quotient_up(product.pass_rows, tile) * column_tiles),
                                1, quotient_up(product.depth, least_depth));
  Split split;
  split.depth = round_up(quotient_up(product.depth, wanted), slice);
  split.count = quotient_up(product.depth, split.depth);
  split.range = {{extent(quotient_up(product.rows, tile) * threads), extent(column_tiles),
                  extent(split.count * product.count)},
                 {threads, 1, 1}};
  const std::size_t bytes = extent(split.count * product.count) * extent(product.rows) *
                            extent(product.columns) * sizeof(float);
  device_.reserve(partial_, bytes);
  return split;
}

const opencl::Buffer& Matmul::packed(const opencl::Buffer& weight) {
  if (kept_.is_there()) return packed_;
  const opencl::Buffer& right = operand(weight, shape_.in, shape_.out, RoundOperand::Side::right);
  const int tiles = quotient_up(shape_.out, column_tile);
  device_.reserve(packed_, extent(shape_.in) * extent(tiles * column_tile) * sizeof(float));
  device_.launch(pack_weight_, {{extent(quotient_up(shape_.in, panel_depth)), extent(tiles), 1}},
                 right, packed_);
  kept_.made();
  return packed_;
}

void Matmul::forward(const opencl::Buffer& x, const opencl::Buffer& weight,
                     const opencl::Buffer& bias, const opencl::Buffer& y, const JoinedBatch& batch,
                     bool relu) {
  expect_rows(batch);
  const int rows = batch.samples();
  const opencl::Buffer& left = operand(x, rows, shape_.in, RoundOperand::Side::left);
  if (variant_ == Variant::cpu && kept_.is_kept()) {
    device_.launch(forward_packed_, cpu_range(rows, shape_.out, shape_.in, true), left,
                   packed(weight), bias, y, std::int32_t{rows}, std::int32_t{relu});
    return;
  }
  const opencl::Buffer& right = operand(weight, shape_.in, shape_.out, RoundOperand::Side::right);
  if (variant_ == Variant::cpu) {
    device_.launch(forward_, cpu_range(rows, shape_.out, shape_.in), left, right, bias, y,
                   std::int32_t{rows}, std::int32_t{relu});
    return;
  }
  int splits = 0;
  if (products_) {
    splits = products_->run(Direction::forward, {left, right, y, bias}, partial_, batch,
                            relu ? finish_bias | finish_relu : finish_bias);
    if (splits == 0) return;
  } else {
    const Split split = split_product({rows, shape_.out, shape_.in, batch.each});
    splits = split.count;
    device_.launch(forward_, split.range, left, right, partial_, std::int32_t{rows},
                   std::int32_t{split.depth});
  }
  device_.launch(finish_forward_, each_element(rows, shape_.out), partial_, bias, y,
                 std::int32_t{rows}, std::int32_t{splits}, std::int32_t{relu});
}

void Matmul::input_gradient(const opencl::Buffer& dy, const opencl::Buffer& weight,
                            const opencl::Buffer& x, const opencl::Buffer& dx,
                            const JoinedBatch& batch, bool mask) {
  expect_rows(batch);
  const int rows = batch.samples();
  const opencl::Buffer& left = operand(dy, rows, shape_.out, RoundOperand::Side::left);
  const opencl::Buffer& right = operand(weight, shape_.in, shape_.out, RoundOperand::Side::right);
  if (variant_ == Variant::cpu) {
    device_.launch(input_gradient_, cpu_range(rows, shape_.in, shape_.out), left, right, x, dx,
                   std::int32_t{rows}, std::int32_t{mask});
    return;
  }
  int splits = 0;
  if (products_) {
    splits = products_->run(Direction::input_gradient, {left, right, dx, x}, partial_, batch,
                            mask ? finish_mask : finish_none);
    if (splits == 0) return;
  } else {
    const Split split = split_product({rows, shape_.in, shape_.out, batch.each});
    splits = split.count;
    device_.launch(input_gradient_, split.range, left, right, partial_, std::int32_t{rows},
                   std::int32_t{split.depth});
  }
  device_.launch(finish_input_gradient_, each_element(rows, shape_.in), partial_, x, dx,
                 std::int32_t{rows}, std::int32_t{splits}, std::int32_t{mask});
}

void Matmul::weight_gradient(const opencl::Buffer& x, const opencl::Buffer& dy,
                             const opencl::Buffer& dweight, const opencl::Buffer& dbias,
                             const JoinedBatch& batch) {
  expect_rows(batch);
  const int rows = batch.samples();
  const opencl::Buffer& left = operand(x, rows, shape_.in, RoundOperand::Side::left);
  const opencl::Buffer& right = operand(dy, rows, shape_.out, RoundOperand::Side::right);
  if (variant_ == Variant::cpu) {
    const int group = std::clamp(static_cast<int>(std::bit_floor(extent(panel_depth / batch.each))),
                                 1, batch.passes);
    const int levels = std::countr_zero(extent(batch.passes / group));
    device_.reserve(partial_,
                    extent(levels) * extent(shape_.in) * extent(shape_.out) * sizeof(float));
    device_.launch(weight_gradient_, cpu_range(shape_.in, shape_.out, rows), left, right, dy,
                   dweight, dbias, levels > 0 ? partial_ : dweight, std::int32_t{batch.each},
                   std::int32_t{batch.passes}, std::int32_t{group});
    return;
  }
  int splits = 0;  // of each pass
  if (products_) {
    splits = products_->run(Direction::weight_gradient, {left, right, dweight, dbias}, partial_,
                            batch, finish_none);
  } else {
    const Split split = split_product({shape_.in, shape_.out, batch.each, shape_.in, batch.passes});
    splits = split.count;
    device_.launch(weight_gradient_, split.range, left, right, partial_, std::int32_t{batch.each},
                   std::int32_t{split.depth}, std::int32_t{splits});
  }
  if (splits > 0) {
    device_.launch(finish_weight_gradient_, each_element(shape_.in, shape_.out), partial_, dweight,
                   std::int32_t{splits}, std::int32_t{batch.passes});
  }
  device_.launch(bias_gradient_, {{extent(shape_.out / 8 * threads), 1, 1}, {threads, 1, 1}}, dy,
                 dbias, std::int32_t{batch.each}, std::int32_t{batch.passes});
}

}  // namespace dovetail
