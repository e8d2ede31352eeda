// Shows an observer of the gradient engine what each kernel left in the card's memory.
#include "infer/gradient_engine.hpp"
#include "infer/training_memory.hpp"

namespace dovetail::infer {

using quant::TrainingLayer;

void GradientEngine::show_input(std::size_t index, const char* kernel, int batch) {
  const TrainingLayer& layer = network_.layers[index];
  const CardLayer on_card = card_layer(network_, index);
  const int pixels = layer.in_height * layer.in_width;
  outputs_.codes(
      kernel, layer.name + " input", network_.format, steps_[index].input,
      {batch, layer.in_channels, pixels,
       on_card.in_words * on_card.in_height * on_card.in_width / pixels, on_card.input_bytes()});
}

void GradientEngine::show_output(std::size_t index, int batch) {
  const TrainingLayer& layer = network_.layers[index];
  const CardLayer on_card = card_layer(network_, index);
  outputs_.reals("train_forward", layer.name, steps_[index].real,
                 {batch, layer.out_channels, on_card.pooled_pixels, on_card.out_words(),
                  on_card.real_bytes()});
  outputs_.routes("train_forward", layer.name, steps_[index].routes,
                  {batch, layer.out_channels, on_card.pooled_pixels, on_card.out_words(),
                   on_card.route_bytes()});
}

void GradientEngine::show_gradient(std::size_t index, int batch) {
  const TrainingLayer& layer = network_.layers[index];
  const CardLayer on_card = card_layer(network_, index);
  outputs_.codes("train_quantise", layer.name + " gradient", network_.format,
                 steps_[index].gradient,
                 {batch, layer.out_channels, on_card.out_pixels, on_card.out_words(),
                  on_card.gradient_bytes()});
}

void GradientEngine::show_input_gradient(std::size_t index, int batch) {
  const TrainingLayer& before = network_.layers[index - 1];
  const CardLayer on_card = card_layer(network_, index - 1);
  outputs_.reals("train_input_gradient", network_.layers[index].name, steps_[index - 1].real,
                 {batch, before.out_channels, on_card.pooled_pixels, on_card.out_words(),
                  on_card.real_bytes()});
}

}  // namespace dovetail::infer
