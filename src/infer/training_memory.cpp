// Sizes and orders follow numeric/training_layout.hpp.
#include "infer/training_memory.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "numeric/training_layout.hpp"

namespace dovetail::infer {
namespace {

using quant::TrainingFormat;
using quant::TrainingLayer;
using quant::TrainingNetwork;

constexpr int square_elements = training::simd * training::pe;

int element_bytes(const TrainingFormat& format) {
  return format.family == "fixed16" ? 2 : 1;
}

/// A word of block floating point carries its exponent.
int word_bytes(const TrainingFormat& format) {
  return training::simd * element_bytes(format) + (format.blocks ? 1 : 0);
}

/// A square's exponents fill a burst of their own.
int square_bytes(const TrainingFormat& format) {
  return square_elements * element_bytes(format) + (format.blocks ? training::burst_bytes : 0);
}

std::size_t map_bytes(int words, int words_per_burst) {
  return static_cast<std::size_t>(training::bursts_for(words, words_per_burst)) *
         training::burst_bytes;
}

/// Words of one kernel position: a dense layer behind a map meets its positions one after another.
int words_per_position(const TrainingLayer& layer, bool first) {
  return first ? training::channel_words(layer.in_channels)
               : training::output_tiles(layer.in_channels) * training::words_per_tile;
}

/// Calls visit(canonical index, square, row within it, column within it) for every weight.
template <typename Visit>
void each_weight(const TrainingLayer& layer, int words, Visit visit) {
  const int positions = layer.rows() * layer.columns();
  std::size_t i = 0;
  for (int o = 0; o < layer.out_channels; ++o) {
    for (int c = 0; c < layer.in_channels; ++c) {
      for (int p = 0; p < positions; ++p, ++i) {
        const int square = (o / training::pe * positions + p) * words + c / training::simd;
        visit(i, static_cast<std::size_t>(square), static_cast<std::size_t>(c % training::simd),
              static_cast<std::size_t>(o % training::pe));
      }
    }
  }
}

}  // namespace

int CardLayer::out_words() const {
  return tiles * training::words_per_tile;
}
std::size_t CardLayer::input_bytes() const {
  return map_bytes(in_height * in_width * in_words, words_per_burst);
}
std::size_t CardLayer::gradient_bytes() const {
  return map_bytes(out_pixels * out_words(), words_per_burst);
}
std::size_t CardLayer::real_bytes() const {
  return map_bytes(pooled_pixels * out_words(), 1);
}
std::size_t CardLayer::route_bytes() const {
  return map_bytes(pooled_pixels * tiles, training::burst_bytes / training::pe);
}
std::size_t CardLayer::weight_bytes() const {
  return static_cast<std::size_t>(tiles * positions * in_words) *
         static_cast<std::size_t>(square_bytes);
}
std::size_t CardLayer::bias_bytes() const {
  return static_cast<std::size_t>(tiles * training::pe) * sizeof(float);
}
std::size_t CardLayer::weight_sum_bytes() const {
  return static_cast<std::size_t>(tiles * positions * in_words) * square_elements * sizeof(float);
}

CardLayer card_layer(const TrainingNetwork& network, std::size_t index) {
  const TrainingLayer& layer = network.layers[index];
  const int words = words_per_position(layer, index == 0);
  CardLayer result;
  result.tiles = training::output_tiles(layer.out_channels);
  if (layer.dense) {
    result.in_words = words * layer.rows() * layer.columns();
  } else {
    result.in_height = layer.in_height;
    result.in_width = layer.in_width;
    result.in_words = words;
    result.positions = layer.kernel * layer.kernel;
  }
  result.out_pixels = layer.out_height * layer.out_width;
  result.pooled_pixels = layer.pooled_height() * layer.pooled_width();
  result.words_per_burst = training::burst_bytes / word_bytes(network.format);
  result.square_bytes = square_bytes(network.format);
  return result;
}

bool same_shape(const TrainingNetwork& a, const TrainingNetwork& b) {
  const auto shape = [](const TrainingLayer& l) {
    return std::array{l.dense ? 1 : 0, l.in_channels, l.in_height, l.in_width,
                      l.out_channels,  l.out_height,  l.out_width, l.kernel,
                      l.stride,        l.padding,     l.pool,      l.relu ? 1 : 0};
  };
  return a.channels == b.channels && a.height == b.height && a.width == b.width &&
         std::equal(a.layers.begin(), a.layers.end(), b.layers.begin(), b.layers.end(),
                    [&](const auto& x, const auto& y) { return shape(x) == shape(y); });
}

std::size_t staged_image_bytes(const TrainingNetwork& network) {
  return map_bytes(network.channels * network.height * network.width, training::burst_bytes);
}

std::vector<std::uint8_t> weight_squares(const TrainingNetwork& network, std::size_t index) {
  const TrainingLayer& layer = network.layers[index];
  const CardLayer on_card = card_layer(network, index);
  const auto element = static_cast<std::size_t>(element_bytes(network.format));
  const auto bytes = static_cast<std::size_t>(on_card.square_bytes);
  std::vector<std::uint8_t> squares(on_card.weight_bytes());
  const int words = words_per_position(layer, index == 0);
  each_weight(layer, words,
              [&](std::size_t i, std::size_t square, std::size_t row, std::size_t column) {
                // Little-endian: a narrow element is the code's low byte.
                std::memcpy(&squares[square * bytes + (row * training::pe + column) * element],
                            &layer.codes[i], element);
                if (network.format.blocks) {
                  squares[square * bytes + square_elements + column] =
                      static_cast<std::uint8_t>(layer.exponents[layer.block_of(i)]);
                }
              });
  return squares;
}

std::vector<float> stored_bias(const TrainingLayer& layer) {
  std::vector<float> bias = layer.bias;
  bias.resize(static_cast<std::size_t>(training::output_tiles(layer.out_channels) * training::pe));
  return bias;
}

void add_weight_sums(const TrainingLayer& layer, const CardLayer& on_card,
                     const std::vector<float>& card_sums, std::vector<float>& sums) {
  const int words = on_card.in_words * on_card.positions / (layer.rows() * layer.columns());
  each_weight(layer, words,
              [&](std::size_t i, std::size_t square, std::size_t row, std::size_t column) {
                sums[i] += card_sums[(square * training::simd + row) * training::pe + column];
              });
}

}  // namespace dovetail::infer
