// How a training network lies in a card's memory: sizes, weights in the kernels' order, and sums
// back from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "quant/training_pack.hpp"

namespace dovetail::infer {

/// Extents of one layer as the kernels take them; sizes are bytes, of one image where a map is
/// meant.
struct CardLayer {
  int in_height = 1, in_width = 1;  // a dense layer's map is one position
  int in_words = 0;                 // of a position
  int tiles = 0;                    // of outputs
  int positions = 1;                // of the kernel's window
  int out_pixels = 1, pooled_pixels = 1;
  int words_per_burst = 1, square_bytes = 0;

  int out_words() const;
  std::size_t input_bytes() const;
  std::size_t gradient_bytes() const;
  std::size_t real_bytes() const;
  std::size_t route_bytes() const;
  std::size_t weight_bytes() const;
  std::size_t bias_bytes() const;
  std::size_t weight_sum_bytes() const;
};

CardLayer card_layer(const quant::TrainingNetwork& network, std::size_t index);

/// True where one network's buffers serve the other.
bool same_shape(const quant::TrainingNetwork& a, const quant::TrainingNetwork& b);

/// Bytes from one image to the next as the card takes it.
std::size_t staged_image_bytes(const quant::TrainingNetwork& network);

/// A layer's weights as train_forward and train_input_gradient read them.
std::vector<std::uint8_t> weight_squares(const quant::TrainingNetwork& network, std::size_t index);

/// A layer's biases, padded with zeros to whole tiles.
std::vector<float> stored_bias(const quant::TrainingLayer& layer);

/// Adds the sums of train_weight_gradient to a tensor in the canonical layout.
void add_weight_sums(const quant::TrainingLayer& layer, const CardLayer& on_card,
                     const std::vector<float>& card_sums, std::vector<float>& sums);

/// Work shared out over compute units in runs as even as possible.
class Shares {
 public:
  Shares(int work, std::size_t units)
      : work_(work), parts_(work < static_cast<int>(units) ? work : static_cast<int>(units)) {}
  std::size_t parts() const { return static_cast<std::size_t>(parts_); }
  std::int32_t first(std::size_t part) const { return start(static_cast<int>(part)); }
  std::int32_t count(std::size_t part) const {
    return start(static_cast<int>(part) + 1) - first(part);
  }

 private:
  int start(int part) const { return work_ * part / parts_; }
  int work_, parts_;
};

}  // namespace dovetail::infer
