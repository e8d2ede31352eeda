// Twins of the training kernels: the definitions written out on canonical arrays, equal to the card
// bit for bit.
//
// Maps are [batch, channels, height, width], weights [out, in, rows, columns]; a dense layer is a
// convolution with a kernel as large as its map. A number is code · step: one step a tensor for
// integer and fixed formats, and a power of two a block of 16 for block floating point.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "numeric/quantise_real.hpp"
#include "numeric/shared_exponent.hpp"

namespace dovetail::reference {

struct TrainingNumbers {
  bool blocks = false;  // block floating point
  int bits = 8;
};

/// How one tensor is rounded.
struct TrainingRounding {
  TrainingNumbers numbers;
  float inverse = 1;  // codes a unit; unused for blocks
  bool stochastic = false;
  std::uint32_t key = 0;

  std::uint32_t threshold(std::uint32_t counter) const {
    return stochastic ? numeric::random_bits(key, counter) : numeric::nearest_threshold;
  }
};

/// A number of a quantised tensor. exponent: of its block, 0 without blocks.
struct TrainingCode {
  std::int32_t code = 0;
  int exponent = 0;
  float block_value() const { return static_cast<float>(code) * numeric::power_of_two(exponent); }
};

/// Rounds 16 values or fewer that share an exponent; counters[i] numbers the random bits of value
/// i.
inline std::vector<TrainingCode> quantise_block(const std::vector<float>& values,
                                                const std::vector<std::uint32_t>& counters,
                                                const TrainingRounding& rounding) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  const int bits = rounding.numbers.bits;
  const int exponent = rounding.numbers.blocks ? numeric::exponent_for(largest, bits) : 0;
  const float inverse =
      rounding.numbers.blocks ? numeric::power_of_two(-exponent) : rounding.inverse;
  std::vector<TrainingCode> codes;
  for (std::size_t i = 0; i < values.size(); ++i) {
    codes.push_back({numeric::quantise_real(values[i] * inverse, rounding.threshold(counters[i]),
                                            numeric::largest_code(bits)),
                     exponent});
  }
  return codes;
}

/// [a, b, c, d], row-major.
template <typename T>
struct Array4 {
  int a = 0, b = 0, c = 0, d = 0;
  std::vector<T> values;

  Array4() = default;
  Array4(int a_, int b_, int c_, int d_)
      : a(a_), b(b_), c(c_), d(d_), values(static_cast<std::size_t>(a_ * b_ * c_ * d_)) {}
  std::size_t index(int i, int j, int k, int l) const {
    return static_cast<std::size_t>(((i * b + j) * c + k) * d + l);
  }
  T& at(int i, int j, int k, int l) { return values[index(i, j, k, l)]; }
  const T& at(int i, int j, int k, int l) const { return values[index(i, j, k, l)]; }
};
using RealMaps = Array4<float>;
using CodeMaps = Array4<TrainingCode>;

/// Blocks of 16 along b, the channels. Random bits are numbered by ((a · c + y) · d + x) · stored +
/// channel, `stored` being the channels that the card keeps.
inline CodeMaps quantise_channels(const RealMaps& real, const TrainingRounding& rounding,
                                  int stored) {
  CodeMaps codes(real.a, real.b, real.c, real.d);
  for (int n = 0; n < real.a; ++n)
    for (int y = 0; y < real.c; ++y)
      for (int x = 0; x < real.d; ++x)
        for (int first = 0; first < real.b; first += 16) {
          std::vector<float> values;
          std::vector<std::uint32_t> counters;
          const int last = std::min(first + 16, real.b);
          for (int channel = first; channel < last; ++channel) {
            values.push_back(real.at(n, channel, y, x));
            counters.push_back(
                static_cast<std::uint32_t>(((n * real.c + y) * real.d + x) * stored + channel));
          }
          const auto block = quantise_block(values, counters, rounding);
          for (int channel = first; channel < last; ++channel)
            codes.at(n, channel, y, x) = block[static_cast<std::size_t>(channel - first)];
        }
  return codes;
}

/// A sum of products: integers exactly, blocks as float32 in the order of end_block.
class TrainingSum {
 public:
  void add(const TrainingCode& x, const TrainingCode& w) {
    whole_ += std::int64_t{x.code} * w.code;
    exponent_ = x.exponent + w.exponent;
  }
  void end_block(bool blocks) {
    if (!blocks) return;
    real_ += static_cast<float>(whole_) * numeric::power_of_two(exponent_);
    whole_ = 0;
  }
  float value(bool blocks, float scale) const {
    return (blocks ? real_ : static_cast<float>(whole_)) * scale;
  }

 private:
  std::int64_t whole_ = 0;
  int exponent_ = 0;
  float real_ = 0;
};

struct TrainingStep {
  int stride = 1, padding = 0;
  TrainingNumbers numbers;
};

/// scale · x ⋆ w + bias.
inline RealMaps training_forward(const CodeMaps& x, const CodeMaps& w,
                                 const std::vector<float>& bias, const TrainingStep& step,
                                 float scale) {
  RealMaps y(x.a, w.a, (x.c + 2 * step.padding - w.c) / step.stride + 1,
             (x.d + 2 * step.padding - w.d) / step.stride + 1);
  for (int n = 0; n < y.a; ++n)
    for (int o = 0; o < y.b; ++o)
      for (int row = 0; row < y.c; ++row)
        for (int column = 0; column < y.d; ++column) {
          TrainingSum sum;
          for (int i = 0; i < w.c; ++i)
            for (int j = 0; j < w.d; ++j) {
              const int v = row * step.stride + i - step.padding;
              const int u = column * step.stride + j - step.padding;
              if (v < 0 || v >= x.c || u < 0 || u >= x.d) continue;
              for (int c = 0; c < x.b; ++c) {
                sum.add(x.at(n, c, v, u), w.at(o, c, i, j));
                if (c % 16 == 15 || c + 1 == x.b) sum.end_block(step.numbers.blocks);
              }
            }
          y.at(n, o, row, column) =
              sum.value(step.numbers.blocks, scale) + bias[static_cast<std::size_t>(o)];
        }
  return y;
}

/// The same weights blocked along the outputs, to nearest; without blocks as they are.
inline CodeMaps block_outputs(const CodeMaps& w, const TrainingNumbers& numbers) {
  if (!numbers.blocks) return w;
  CodeMaps turned(w.a, w.b, w.c, w.d);
  for (int c = 0; c < w.b; ++c)
    for (int i = 0; i < w.c; ++i)
      for (int j = 0; j < w.d; ++j)
        for (int first = 0; first < w.a; first += 16) {
          std::vector<float> values;
          const int last = std::min(first + 16, w.a);
          for (int o = first; o < last; ++o) values.push_back(w.at(o, c, i, j).block_value());
          const auto block = quantise_block(values, std::vector<std::uint32_t>(values.size()),
                                            {.numbers = numbers});
          for (int o = first; o < last; ++o)
            turned.at(o, c, i, j) = block[static_cast<std::size_t>(o - first)];
        }
  return turned;
}

/// scale · the gradient of x, for x of height × width.
inline RealMaps training_input_gradient(const CodeMaps& gradient, const CodeMaps& weights,
                                        const TrainingStep& step, int height, int width,
                                        float scale) {
  const CodeMaps w = block_outputs(weights, step.numbers);
  RealMaps dx(gradient.a, w.b, height, width);
  for (int n = 0; n < dx.a; ++n)
    for (int c = 0; c < dx.b; ++c)
      for (int v = 0; v < height; ++v)
        for (int u = 0; u < width; ++u) {
          TrainingSum sum;
          for (int i = w.c - 1; i >= 0; --i)
            for (int j = w.d - 1; j >= 0; --j) {
              const int row = v + step.padding - i, column = u + step.padding - j;
              if (row < 0 || column < 0 || row % step.stride != 0 || column % step.stride != 0)
                continue;
              if (row / step.stride >= gradient.c || column / step.stride >= gradient.d) continue;
              for (int o = 0; o < w.a; ++o) {
                sum.add(gradient.at(n, o, row / step.stride, column / step.stride),
                        w.at(o, c, i, j));
                if (o % 16 == 15 || o + 1 == w.a) sum.end_block(step.numbers.blocks);
              }
            }
          dx.at(n, c, v, u) = sum.value(step.numbers.blocks, scale);
        }
  return dx;
}

/// A sequence of positions blocked anew, 16 in a row; without blocks as it is.
/// `first_counter(group)` numbers the random bits.
template <typename Counter>
std::vector<TrainingCode> block_positions(const std::vector<TrainingCode>& along,
                                          const TrainingRounding& rounding, Counter first_counter) {
  if (!rounding.numbers.blocks) return along;
  std::vector<TrainingCode> result;
  for (std::size_t first = 0; first < along.size(); first += 16) {
    std::vector<float> values;
    std::vector<std::uint32_t> counters;
    for (std::size_t i = first; i < std::min(first + 16, along.size()); ++i) {
      values.push_back(along[i].block_value());
      counters.push_back(first_counter(static_cast<std::uint32_t>(first / 16)) +
                         static_cast<std::uint32_t>(i - first));
    }
    const auto block = quantise_block(values, counters, rounding);
    result.insert(result.end(), block.begin(), block.end());
  }
  return result;
}

inline float sum_positions(const std::vector<TrainingCode>& x, const std::vector<TrainingCode>& dy,
                           bool blocks, float scale) {
  TrainingSum sum;
  for (std::size_t i = 0; i < x.size(); ++i) {
    sum.add(x[i], dy[i]);
    if (i % 16 == 15 || i + 1 == x.size()) sum.end_block(blocks);
  }
  return sum.value(blocks, scale);
}

struct WeightGradient {
  RealMaps weight;  // [out, in, rows, columns]
  std::vector<float> bias;
};

/// weight_scale · Σ gradient · x and bias_scale · Σ gradient over all positions. `rounding`: of the
/// gradient's blocks along the positions; `stored`: the outputs that the card keeps.
inline WeightGradient training_weight_gradient(const CodeMaps& x, const CodeMaps& gradient,
                                               const TrainingStep& step, int rows, int columns,
                                               float weight_scale, float bias_scale,
                                               const TrainingRounding& rounding, int stored) {
  const bool blocks = step.numbers.blocks;
  WeightGradient result{RealMaps(gradient.b, x.b, rows, columns), {}};
  std::vector<std::vector<TrainingCode>> outputs;  // of each, along the positions
  for (int o = 0; o < gradient.b; ++o) {
    std::vector<TrainingCode> along;
    for (int n = 0; n < gradient.a; ++n)
      for (int row = 0; row < gradient.c; ++row)
        for (int column = 0; column < gradient.d; ++column)
          along.push_back(gradient.at(n, o, row, column));
    outputs.push_back(block_positions(along, rounding, [&](std::uint32_t group) {
      return (group * static_cast<std::uint32_t>(stored / 16) +
              static_cast<std::uint32_t>(o / 16)) *
                 256 +
             static_cast<std::uint32_t>(o % 16) * 16;
    }));
    const std::vector<TrainingCode> ones(along.size(), TrainingCode{1, 0});
    result.bias.push_back(sum_positions(ones, outputs.back(), blocks, bias_scale));
  }
  for (int c = 0; c < x.b; ++c)
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j) {
        std::vector<TrainingCode> along;
        for (int n = 0; n < gradient.a; ++n)
          for (int row = 0; row < gradient.c; ++row)
            for (int column = 0; column < gradient.d; ++column) {
              const int v = row * step.stride + i - step.padding;
              const int u = column * step.stride + j - step.padding;
              const bool inside = v >= 0 && v < x.c && u >= 0 && u < x.d;
              along.push_back(inside ? x.at(n, c, v, u) : TrainingCode{});
            }
        const auto inputs = block_positions(along, {.numbers = step.numbers},
                                            [](std::uint32_t) { return std::uint32_t{0}; });
        for (int o = 0; o < gradient.b; ++o)
          result.weight.at(o, c, i, j) =
              sum_positions(inputs, outputs[static_cast<std::size_t>(o)], blocks, weight_scale);
      }
  return result;
}

/// pool(relu(y)) with windows of pool × pool that touch, and for each output the index within its
/// window of the first largest element, −1 where the ReLU stops the gradient.
struct Activated {
  RealMaps real;
  Array4<int> routes;
};

inline Activated training_activation(const RealMaps& y, int pool, bool relu) {
  Activated out{RealMaps(y.a, y.b, y.c / pool, y.d / pool),
                Array4<int>(y.a, y.b, y.c / pool, y.d / pool)};
  for (int n = 0; n < y.a; ++n)
    for (int c = 0; c < y.b; ++c)
      for (int row = 0; row < out.real.c; ++row)
        for (int column = 0; column < out.real.d; ++column) {
          float best = y.at(n, c, row * pool, column * pool);
          int route = 0;
          for (int e = 1; e < pool * pool; ++e) {
            const float value = y.at(n, c, row * pool + e / pool, column * pool + e % pool);
            if (value > best) {
              best = value;
              route = e;
            }
          }
          const bool stopped = relu && !(best > 0);
          out.real.at(n, c, row, column) = stopped ? 0 : best;
          out.routes.at(n, c, row, column) = stopped ? -1 : route;
        }
  return out;
}

/// Zero where the route stops.
inline void mask_stopped(const Array4<int>& routes, RealMaps& gradient) {
  for (std::size_t i = 0; i < gradient.values.size(); ++i) {
    if (routes.values[i] < 0) gradient.values[i] = 0;
  }
}

/// Back through the pool, to height × width.
inline RealMaps unpool(const RealMaps& gradient, const Array4<int>& routes, int pool, int height,
                       int width) {
  RealMaps out(gradient.a, gradient.b, height, width);
  for (int n = 0; n < gradient.a; ++n)
    for (int c = 0; c < gradient.b; ++c)
      for (int row = 0; row < gradient.c; ++row)
        for (int column = 0; column < gradient.d; ++column) {
          const int route = routes.at(n, c, row, column);
          if (route < 0) continue;
          out.at(n, c, row * pool + route / pool, column * pool + route % pool) =
              gradient.at(n, c, row, column);
        }
  return out;
}

inline float largest_magnitude(const RealMaps& maps) {
  float largest = 0;
  for (const float value : maps.values) largest = std::max(largest, std::fabs(value));
  return largest;
}

}  // namespace dovetail::reference
