// Shows an observer of the gradient engine what each kernel left in the card's memory.
#include "infer/gradient_engine.hpp"
#include "infer/training_memory.hpp"

namespace dovetail::infer {

using quant::TrainingLayer;

void GradientEngine::show_forward(int batch) {
  const quant::TrainingNetwork& network = forward_.network();
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const TrainingLayer& layer = network.layers[i];
    const CardLayer on_card = card_layer(network, i);
    ForwardPass::Step& step = forward_.steps()[i];
    const int pixels = layer.in_height * layer.in_width;
    outputs_.codes(
        i == 0 ? "train_quantise_images" : "train_quantise", layer.name + " input", network.format,
        step.input,
        {batch, layer.in_channels, pixels,
         on_card.in_words * on_card.in_height * on_card.in_width / pixels, on_card.input_bytes()});
    outputs_.reals("train_forward", layer.name, step.real,
                   {batch, layer.out_channels, on_card.pooled_pixels, on_card.out_words(),
                    on_card.real_bytes()});
    outputs_.routes("train_forward", layer.name, step.routes,
                    {batch, layer.out_channels, on_card.pooled_pixels, on_card.out_words(),
                     on_card.route_bytes()});
  }
}

void GradientEngine::show_gradient(std::size_t index, int batch) {
  const TrainingLayer& layer = forward_.network().layers[index];
  const CardLayer on_card = card_layer(forward_.network(), index);
  outputs_.codes("train_quantise", layer.name + " gradient", forward_.network().format,
                 steps_[index].gradient,
                 {batch, layer.out_channels, on_card.out_pixels, on_card.out_words(),
                  on_card.gradient_bytes()});
}

void GradientEngine::show_input_gradient(std::size_t index, int batch) {
  const TrainingLayer& before = forward_.network().layers[index - 1];
  const CardLayer on_card = card_layer(forward_.network(), index - 1);
  outputs_.reals("train_input_gradient", forward_.network().layers[index].name,
                 forward_.steps()[index - 1].real,
                 {batch, before.out_channels, on_card.pooled_pixels, on_card.out_words(),
                  on_card.real_bytes()});
}

}  // namespace dovetail::infer
