// Chains of dense layers for tensor cores against their twins, whoever runs them.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/feature_maps.hpp"
#include "kernels/image_input.hpp"
#include "kernels/warp/dense_cases.hpp"
#include "ops/reference/loss.hpp"
#include "ops/reference/matmul.hpp"
#include "ops/reference/round_operand.hpp"
#include "tensor/layout.hpp"

namespace dovetail::testing {

/// In the device's layouts. What a kernel did not write is poison.
struct ChainInputs {
  std::vector<float> x, parameters, row_weights;  // row_weights: empty, or [batch]
  std::vector<std::int32_t> labels;               // the batch's from first_label on
  ImageInput images;                              // which x follows from; no pixels: x is given
  std::uint32_t first_label = 0;
};
struct ChainResults {
  std::vector<float> x, maps, gradients, statistics;
  std::vector<float> dx{};  // where the chain propagates, masked
};

/// Images in place of a given x.
inline void take_images(ChainInputs& in, const warp::DenseCase& c, Random& random) {
  const DenseChainShape::Image& image = c.image;
  const ImageExtents extents{extent(c.batch), extent(image.channels), extent(image.height),
                             extent(image.width)};
  in.images = random_images(extents, random);
  in.x = to_float(arrange(input_map(c.batch, image.height, image.width, image.channels), c.batch,
                          in.images.values(extents)));
}

/// The products of layer i in canonical layouts: weight [out, in].
inline std::vector<double> canonical_weight(const DenseChainLayer& layer,
                                            const std::vector<float>& all, ComputeFormat format) {
  std::vector<double> weight(extent(layer.in) * extent(layer.out));
  for (std::size_t i = 0; i < extent(layer.in); ++i) {
    for (std::size_t o = 0; o < extent(layer.out); ++o) {
      weight[o * extent(layer.in) + i] = static_cast<double>(
          reference::round_operand(all[layer.weight + i * extent(layer.out) + o], format));
    }
  }
  return weight;
}

inline std::vector<double> rounded_part(const std::vector<float>& all, std::size_t first,
                                        std::size_t count, ComputeFormat format) {
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = static_cast<double>(reference::round_operand(all.at(first + i), format));
  return values;
}

inline std::vector<double> part(const std::vector<float>& all, std::size_t first,
                                std::size_t count) {
  return rounded_part(all, first, count, ComputeFormat::float32);
}

/// Each layer is checked with what the kernels themselves made of the one before: roundings that
/// fall to the other side would pass on.
/// @param run          from ChainInputs to ChainResults.
/// @param longest_sum  samples of a weight gradient that are summed on tensor cores, which cut off
///                     what a sum has below its last bit with every eight of them: in sums of one
///                     sign that adds up. 0 on the host, which rounds.
template <typename Run>
void expect_chain_is_twin(const warp::DenseCase& c, const Run& run, int longest_sum, bool weighed,
                          Random& random) {
  const bool from_images = c.takes_images() && random.integer(0, 3) > 0;
  SCOPED_TRACE(from_images ? "from images" : "from floats");
  constexpr double tolerance = 3e-5;  // tensor cores do not round their sums to the nearest
  const double long_sums = tolerance + longest_sum / 8 * std::ldexp(1.0, -24);
  const auto batch = extent(c.batch), classes = extent(c.classes);
  const auto entries = dense_chain::table(c.layers, c.batch);
  ChainInputs in;
  in.x = to_float(random.normal(batch * extent(c.layers.front().in)));
  if (from_images) take_images(in, c, random);
  in.parameters = to_float(random.normal(c.all_parameters()));
  for (const DenseChainLayer& layer : c.layers) {
    const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(layer.in)));
    for (std::size_t i = 0; i < extent(layer.in * layer.out); ++i)
      in.parameters[layer.weight + i] *= scale;
  }
  in.first_label = static_cast<std::uint32_t>(random.integer(0, 9));
  for (std::size_t i = 0; i < in.first_label + batch; ++i)
    in.labels.push_back(random.integer(0, c.classes - 1));
  const std::vector<std::int32_t> labels(in.labels.begin() + in.first_label, in.labels.end());
  if (weighed) in.row_weights = to_float(random.normal(batch));
  const ChainResults results = run(in);
  EXPECT_EQ(results.x, in.x);
  EXPECT_EQ(results.dx.empty(), !c.propagates);

  const auto output_of = [&](std::size_t layer, ComputeFormat format) {
    return layer == 0 ? rounded_part(in.x, 0, in.x.size(), format)
                      : rounded_part(results.maps, entries[layer - 1].output,
                                     batch * extent(entries[layer - 1].out), format);
  };
  const auto gradient_of = [&](std::size_t layer, ComputeFormat format) {
    return rounded_part(results.maps, entries[layer].gradient, batch * extent(entries[layer].out),
                        format);
  };
  if (c.propagates) {
    const DenseChainLayer& first = c.layers.front();
    EXPECT_LT(
        relative_error(part(results.dx, 0, in.x.size()),
                       reference::matmul_input_gradient(
                           {batch, extent(first.in), extent(first.out)}, gradient_of(0, c.format),
                           canonical_weight(first, in.parameters, c.format),
                           part(in.x, 0, in.x.size()), true)),
        tolerance);
  }
  for (std::size_t i = 0; i < c.layers.size(); ++i) {
    SCOPED_TRACE(::testing::Message() << "layer " << i);
    const DenseChainLayer& layer = c.layers[i];
    const reference::MatmulExtents e{batch, extent(layer.in), extent(layer.out)};
    const bool is_last = i + 1 == c.layers.size();
    const std::vector<double> y = reference::matmul(
        e, output_of(i, c.format), canonical_weight(layer, in.parameters, c.format),
        part(in.parameters, layer.bias, e.out), !is_last);
    if (!is_last) {
      EXPECT_LT(relative_error(output_of(i + 1, ComputeFormat::float32), y), tolerance);
      const DenseChainLayer& next = c.layers[i + 1];
      const reference::MatmulExtents behind{batch, e.out, extent(next.out)};
      EXPECT_LT(relative_error(gradient_of(i, ComputeFormat::float32),
                               reference::matmul_input_gradient(
                                   behind, gradient_of(i + 1, c.format),
                                   canonical_weight(next, in.parameters, c.format),
                                   output_of(i + 1, ComputeFormat::float32), true)),
                tolerance);
    } else {
      std::vector<double> logits;
      for (std::size_t row = 0; row < batch; ++row)
        logits.insert(logits.end(), y.begin() + static_cast<std::ptrdiff_t>(row * e.out),
                      y.begin() + static_cast<std::ptrdiff_t>(row * e.out + classes));
      const auto sums = reference::softmax_cross_entropy(logits, labels);
      std::vector<double> wanted(batch * e.out);
      for (std::size_t row = 0; row < batch; ++row) {
        const double weight = weighed ? static_cast<double>(in.row_weights[row]) : 1.0;
        for (std::size_t k = 0; k < classes; ++k)
          wanted[row * e.out + k] = weight * sums.gradient[row * classes + k];
      }
      EXPECT_LT(relative_error(gradient_of(i, ComputeFormat::float32), wanted), tolerance);
      EXPECT_NEAR(static_cast<double>(results.statistics[0]), sums.loss, 1e-4 * sums.loss);
      EXPECT_EQ(results.statistics[1], static_cast<float>(sums.hits));
      EXPECT_EQ(results.statistics[2], static_cast<float>(batch));
    }
    const std::vector<double> products =
        reference::matmul_weight_gradient(e, output_of(i, c.format), gradient_of(i, c.format));
    std::vector<double> dweight(e.in * e.out);  // as on the device
    for (std::size_t k = 0; k < dweight.size(); ++k)
      dweight[k % e.in * e.out + k / e.in] = products[k];
    EXPECT_LT(relative_error(part(results.gradients, layer.weight, dweight.size()), dweight),
              long_sums);
    EXPECT_LT(
        relative_error(part(results.gradients, layer.bias, e.out),
                       reference::matmul_bias_gradient(e, gradient_of(i, ComputeFormat::float32))),
        tolerance);
  }
}

}  // namespace dovetail::testing
