// Each operation hands its edges to the kernels' launchers.
#include "plan/operation.hpp"

#include "support/error.hpp"

namespace dovetail::plan {

void Operation::forward_images(const Pass&, const ImageSource&, const ChannelLaws&) {
  throw Error("an operation that takes no images");
}

OperationWeight::OperationWeight(DeviceParameter parameter) : parameter_(std::move(parameter)) {}

OperationWeight::OperationWeight(opencl::Device& device, Variant variant, DeviceParameter parameter,
                                 const WeightMatrix& matrix, const WeightLaw& law)
    : parameter_(std::move(parameter)),
      quantised_(device.allocate(parameter_.value.bytes())),
      quantiser_(std::in_place, device, variant, matrix, law) {}

const opencl::Buffer& OperationWeight::refresh() {
  if (quantiser_) quantiser_->forward(parameter_.value, quantised_);
  return value();
}

void OperationWeight::finish_gradient() {
  if (quantiser_) quantiser_->backward(parameter_.value, parameter_.gradient);
}

template <typename Convolution>
ConvolutionOperation<Convolution>::ConvolutionOperation(Edge& in, Edge& out, std::size_t last_layer,
                                                        std::unique_ptr<Convolution> conv,
                                                        OperationWeight weight,
                                                        DeviceParameter bias)
    : Operation(in, out, last_layer),
      conv_(std::move(conv)),
      weight_(std::move(weight)),
      bias_(std::move(bias)) {
  if constexpr (std::is_same_v<Convolution, Conv2dMma>) {
    if (const TileStatistics* statistics = conv_->statistics()) out_.statistics = *statistics;
    if (const TileGradients* sums = conv_->gradient_sums()) in_.gradient_sums = *sums;
    out_.norm_gradient = conv_->makes_norm_gradient();
  }
}

template <typename Convolution>
void ConvolutionOperation<Convolution>::forward(const Pass& pass) {
  if constexpr (requires { conv_->set_input_law(in_.law); }) conv_->set_input_law(in_.law);
  conv_->forward(in_.value, weight_.refresh(), bias_.value, out_.value, pass.batch, out_.rectified);
}

template <typename Convolution>
bool ConvolutionOperation<Convolution>::takes_images() const {
  return conv_->takes_images();
}

template <typename Convolution>
void ConvolutionOperation<Convolution>::forward_images(const Pass& pass, const ImageSource& images,
                                                       const ChannelLaws& laws) {
  conv_->forward_images(images, laws, in_.value, weight_.refresh(), bias_.value, out_.value,
                        pass.batch, out_.rectified);
}

template <typename Convolution>
void ConvolutionOperation<Convolution>::keep_weight() {
  // A quantised one is rounded in every pass.
  if constexpr (requires { conv_->keep_weight(); })
    if (!weight_.is_quantised()) conv_->keep_weight();
}

template <typename Convolution>
void ConvolutionOperation<Convolution>::backward(const Pass& pass, bool propagate) {
  if constexpr (std::is_same_v<Convolution, Conv2dMma>) {
    if (out_.norm_gradient) conv_->set_output_norm(out_.value, out_.gradient_law);
  }
  conv_->weight_gradient(in_.value, out_.gradient, weight_.gradient(), bias_.gradient,
                         pass.joined());
  weight_.finish_gradient();
  if (propagate) {
    conv_->input_gradient(out_.gradient, weight_.value(), in_.value, in_.gradient, pass.batch,
                          in_.rectified);
  }
}

template class ConvolutionOperation<Conv2d>;
template class ConvolutionOperation<Conv2dPool>;
template class ConvolutionOperation<Conv2dGpu>;
template class ConvolutionOperation<Conv2dMma>;

DenseOperation::DenseOperation(Edge& in, Edge& out, std::size_t last_layer, DenseProducts products,
                               OperationWeight weight, DeviceParameter bias)
    : Operation(in, out, last_layer),
      products_(std::move(products)),
      weight_(std::move(weight)),
      bias_(std::move(bias)) {}

void DenseOperation::forward(const Pass& pass) {
  products_.of(Direction::forward)
      .forward(in_.value, weight_.refresh(), bias_.value, out_.value, pass.joined(),
               out_.rectified);
}

void DenseOperation::keep_weight() {
  if (!weight_.is_quantised()) products_.of(Direction::forward).keep_weight();
}

void DenseOperation::backward(const Pass& pass, bool propagate) {
  products_.of(Direction::weight_gradient)
      .weight_gradient(in_.value, out_.gradient, weight_.gradient(), bias_.gradient, pass.joined());
  weight_.finish_gradient();
  if (propagate) {
    products_.of(Direction::input_gradient)
        .input_gradient(out_.gradient, weight_.value(), in_.value, in_.gradient, pass.joined(),
                        in_.rectified);
  }
}

PoolOperation::PoolOperation(opencl::Device& device, Variant variant, Edge& in, Edge& out,
                             std::size_t last_layer, PoolKind kind, int kernel, int stride)
    : Operation(in, out, last_layer),
      pool_(device, variant, kind,
            {.input = in.layout, .output = out.layout, .kernel = kernel, .stride = stride}) {}

void PoolOperation::forward(const Pass& pass) {
  pool_.forward(in_.value, out_.value, pass.batch);
}

void PoolOperation::backward(const Pass& pass, bool propagate) {
  if (propagate)
    pool_.backward(in_.value, out_.value, out_.gradient, in_.gradient, pass.batch, in_.rectified);
}

ReluOperation::ReluOperation(opencl::Device& device, Variant variant, Edge& in, Edge& out,
                             std::size_t last_layer)
    : Operation(in, out, last_layer), relu_(device, variant, in.layout) {}

void ReluOperation::forward(const Pass& pass) {
  relu_.forward(in_.value, out_.value, pass.batch);
}

void ReluOperation::backward(const Pass& pass, bool propagate) {
  // Where the input is rectified itself, its mask is this one.
  if (propagate) relu_.backward(out_.value, out_.gradient, in_.gradient, pass.batch);
}

QuantisedActivationOperation::QuantisedActivationOperation(opencl::Device& device, Variant variant,
                                                           Edge& in, Edge& out,
                                                           std::size_t last_layer,
                                                           const ActivationLaw& law,
                                                           DeviceParameter step)
    : Operation(in, out, last_layer),
      quantiser_(device, variant, in.layout, law),
      step_(std::move(step)) {}

void QuantisedActivationOperation::forward(const Pass& pass) {
  quantiser_.forward(in_.value, step_.value, out_.value, pass.batch);
}

void QuantisedActivationOperation::backward(const Pass& pass, bool propagate) {
  // No ReLU was fused before it (its input is not rectified), so the mask is its own alone.
  if (propagate) {
    quantiser_.backward(in_.value, step_.value, out_.gradient, in_.gradient, step_.gradient,
                        pass.batch);
  }
}

DropoutOperation::DropoutOperation(opencl::Device& device, Variant variant, Edge& in, Edge& out,
                                   std::size_t last_layer, float probability)
    : Operation(in, out, last_layer),
      device_(device),
      dropout_(device, variant, in.layout, probability, static_cast<std::uint32_t>(last_layer)),
      relu_(device, variant, in.layout) {}

void DropoutOperation::forward(const Pass& pass) {
  if (pass.training) {
    dropout_.forward(in_.value, out_.value, pass.batch, pass.seed, pass.first_sample);
  } else {
    device_.copy(in_.value, out_.value, in_.value.bytes());
  }
}

void DropoutOperation::backward(const Pass& pass, bool propagate) {
  if (!propagate) return;
  dropout_.backward(out_.gradient, in_.gradient, pass.batch, pass.seed, pass.first_sample);
  if (in_.rectified) relu_.backward(in_.value, in_.gradient, in_.gradient, pass.batch);
}

BatchNormOperation::BatchNormOperation(opencl::Device& device, Variant variant, Edge& in, Edge& out,
                                       std::size_t last_layer, std::unique_ptr<BatchNorm> norm,
                                       DeviceParameter gamma, DeviceParameter beta,
                                       NormStatistics statistics)
    : Operation(in, out, last_layer),
      norm_(std::move(norm)),
      relu_(device, variant, in.layout),
      gamma_(std::move(gamma)),
      beta_(std::move(beta)),
      statistics_(std::move(statistics)) {}

void BatchNormOperation::forward(const Pass& pass) {
  const bool has_tiles = in_.statistics && pass.passes == 1;
  const TileStatistics* tiles = has_tiles ? &*in_.statistics : nullptr;
  if (out_.deferred) {
    if (pass.training) {
      norm_->prepare(in_.value, gamma_.value, beta_.value, statistics_.mean(pass),
                     statistics_.variance(pass), pass.batch, tiles);
    } else {
      norm_->prepare_inference(gamma_.value, beta_.value, statistics_.running_mean,
                               statistics_.running_variance);
    }
    out_.law = norm_->law();
  } else if (pass.training) {
    norm_->forward(in_.value, gamma_.value, beta_.value, statistics_.mean(pass),
                   statistics_.variance(pass), out_.value, pass.joined(), out_.rectified, tiles);
  } else {
    norm_->infer(in_.value, gamma_.value, beta_.value, statistics_.running_mean,
                 statistics_.running_variance, out_.value, pass.batch, out_.rectified);
  }
}

void BatchNormOperation::backward(const Pass& pass, bool propagate) {
  const bool has_tiles = out_.gradient_sums && pass.passes == 1;
  const TileGradients* tiles = has_tiles ? &*out_.gradient_sums : nullptr;
  if (in_.norm_gradient) {
    norm_->prepare_backward(in_.value, out_.gradient, gamma_.value, statistics_.mean(pass),
                            statistics_.variance(pass), gamma_.gradient, beta_.gradient, pass.batch,
                            tiles);
    in_.gradient_law = norm_->law();
    return;
  }
  // The kernel computes dx along with dgamma and dbeta; a first layer's dx is simply not used.
  norm_->backward(in_.value, out_.gradient, gamma_.value, beta_.value, statistics_.mean(pass),
                  statistics_.variance(pass), in_.gradient, gamma_.gradient, beta_.gradient,
                  pass.joined(), tiles);
  if (propagate && in_.rectified) relu_.backward(in_.value, in_.gradient, in_.gradient, pass.batch);
}

}  // namespace dovetail::plan
