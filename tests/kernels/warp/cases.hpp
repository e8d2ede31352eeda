// The convolutions whose tensor-core kernels the host runs: for the program that writes them out
// and for the test.
#pragma once

#include <algorithm>
#include <vector>

#include "ops/compute_format.hpp"
#include "ops/conv2d_mma.hpp"
#include "ops/reference/conv2d.hpp"

namespace dovetail::warp {

struct Case {
  reference::Conv2dExtents extents;
  int pool;
  ComputeFormat format;
  Conv2dPoolShape shape;
  ConvMmaKernels kernels{};
};

/// @param halo  beyond what the padding needs, of the input; of the output beyond the gradient's.
inline Case make_case(const reference::Conv2dExtents& e, int pool, ComputeFormat format,
                      bool narrow, int halo) {
  Case c{e, pool, format, {{}, {}, e.kernel, e.stride, e.padding, pool}, {}};
  const int border = std::max(0, e.kernel - 1 - e.padding);
  c.shape.input = narrow ? input_map(e.batch + 1, e.height, e.width, e.in, e.padding + halo)
                         : feature_map(e.batch + 1, e.height, e.width, e.in, e.padding + halo);
  c.shape.output = feature_map(e.batch + 1, e.out_height() / pool, e.out_width() / pool, e.out,
                               (pool > 1 ? 0 : border) + halo);
  return c;
}

/// The same shape cut in each way that the tuner may choose for this batch or a large one, beyond
/// the estimated one: several directions at a time.
inline std::vector<Case> other_cuts(const Case& c) {
  std::vector<std::optional<conv_mma::Cut>> forward, input;
  std::vector<std::optional<conv_mma::GradientCut>> weight;
  const auto add = [](auto& all, const auto& cut) {
    if (std::ranges::find(all, cut) == all.end()) all.push_back(cut);
  };
  for (const int batch : {c.shape.input.batch, 4096}) {
    Conv2dPoolShape shape = c.shape;
    shape.input.batch = shape.output.batch = batch;
    for (const auto& each : conv_mma_candidates(shape, Direction::forward, c.format, true))
      add(forward, each.forward);
    for (const auto& each : conv_mma_candidates(shape, Direction::weight_gradient, c.format, true))
      add(weight, each.weight_gradient);
    if (conv_mma::is_narrow(shape.input)) continue;
    for (const auto& each : conv_mma_candidates(shape, Direction::input_gradient, c.format, true))
      add(input, each.input_gradient);
  }
  if (input.empty()) input.emplace_back();
  std::vector<Case> cases;
  for (std::size_t i = 1; i < std::max({forward.size(), weight.size(), input.size()}); ++i) {
    Case other = c;
    other.kernels = {forward[std::min(i, forward.size() - 1)], input[std::min(i, input.size() - 1)],
                     weight[std::min(i, weight.size() - 1)]};
    cases.push_back(other);
  }
  return cases;
}

/// The nets' shapes; padded channels, odd extents, other kernels and strides; other cuts.
inline std::vector<Case> cases() {
  using enum ComputeFormat;
  std::vector<Case> all{
      make_case({3, 1, 32, 28, 28, 3, 1, 1}, 2, tf32, true, 0),
      make_case({3, 32, 64, 14, 14, 3, 1, 1}, 2, tf32, false, 0),
      make_case({1, 3, 64, 32, 32, 3, 1, 1}, 1, bf16, true, 1),
      make_case({3, 64, 128, 8, 8, 3, 1, 1}, 1, bf16, false, 0),
      make_case({2, 20, 40, 9, 11, 5, 1, 1}, 2, fp16, false, 1),
      make_case({5, 48, 17, 5, 7, 2, 1, 0}, 1, tf32, false, 2),
      make_case({2, 2, 16, 15, 13, 5, 2, 2}, 2, fp16, true, 0),
  };
  // Windows of a pool that tiles cut, beside pixels that are in none, with and without borders.
  all.push_back(make_case({5, 16, 16, 5, 9, 3, 1, 1}, 2, tf32, false, 0));
  all.push_back(make_case({7, 16, 16, 6, 7, 2, 1, 1}, 2, tf32, false, 1));
  all.push_back(make_case({6, 2, 40, 9, 11, 3, 1, 1}, 2, tf32, true, 1));
  // Inputs behind a batch norm.
  for (Case c : {make_case({3, 64, 64, 8, 8, 3, 1, 1}, 1, tf32, false, 0),
                 make_case({2, 20, 40, 9, 7, 5, 1, 2}, 1, bf16, false, 1),
                 make_case({4, 32, 24, 10, 6, 3, 1, 1}, 2, fp16, false, 0),
                 make_case({3, 48, 17, 5, 7, 2, 1, 0}, 1, tf32, false, 2)}) {
    c.shape.normalised = true;
    c.shape.gradient_sums = c.format == fp16;
    all.push_back(c);
  }
  // By warpgroup, in all formats.
  for (Case c : {make_case({3, 32, 64, 16, 8, 3, 1, 1}, 1, tf32, false, 0),
                 make_case({2, 48, 40, 8, 24, 5, 1, 2}, 1, fp16, false, 1),
                 make_case({1, 16, 64, 8, 8, 5, 1, 2}, 1, tf32, false, 0),
                 make_case({1, 32, 136, 8, 8, 5, 1, 2}, 1, tf32, false, 0),
                 make_case({2, 16, 16, 8, 8, 4, 1, 2}, 1, bf16, false, 0),
                 make_case({2, 16, 24, 8, 16, 2, 1, 0}, 1, tf32, false, 0),
                 make_case({5, 64, 72, 8, 8, 3, 1, 1}, 1, tf32, false, 0),
                 make_case({2, 128, 24, 6, 17, 2, 1, 0}, 1, tf32, false, 0),
                 make_case({3, 64, 72, 9, 9, 2, 1, 0}, 1, fp16, false, 1),
                 make_case({5, 128, 72, 5, 24, 3, 1, 1}, 1, bf16, false, 1),
                 make_case({1, 16, 24, 8, 128, 3, 1, 1}, 1, tf32, false, 0)}) {
    c.shape.normalised = c.extents.width == 128 || c.extents.in == 64 || c.extents.width == 24;
    for (const Case& other : other_cuts(c)) all.push_back(other);
  }
  for (const std::size_t of : {0u, 1u, 3u}) {
    for (const Case& other : other_cuts(all[of])) all.push_back(other);
  }
  for (Case c : {make_case({5, 2, 40, 9, 11, 3, 1, 1}, 1, tf32, true, 1),
                 make_case({5, 16, 40, 13, 11, 3, 1, 1}, 1, fp16, false, 0),
                 make_case({2, 16, 136, 7, 6, 2, 1, 1}, 1, bf16, false, 1),
                 make_case({5, 32, 24, 8, 8, 3, 1, 1}, 1, bf16, false, 0),
                 make_case({3, 32, 40, 8, 16, 3, 1, 1}, 1, tf32, false, 0),
                 make_case({7, 136, 24, 7, 6, 3, 1, 1}, 1, bf16, false, 1)}) {
    c.shape.statistics = true;
    c.shape.normalised = c.shape.gradient_sums =
        !conv_mma::is_narrow(c.shape.input) && c.format != fp16;
    all.push_back(c);
    for (const Case& other : other_cuts(c)) all.push_back(other);
  }
  // In front of a batch norm.
  for (Case c : {make_case({3, 3, 64, 9, 11, 3, 1, 1}, 1, tf32, true, 0),
                 make_case({5, 2, 40, 13, 7, 5, 2, 2}, 1, bf16, true, 1),
                 make_case({2, 1, 17, 8, 30, 3, 1, 1}, 1, fp16, true, 0)}) {
    c.shape.norm_gradient = true;
    all.push_back(c);
    for (const Case& other : other_cuts(c)) all.push_back(other);
  }
  return all;
}

}  // namespace dovetail::warp
