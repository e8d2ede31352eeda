// The zoo: each model is a list of layers.
#include "model/zoo.hpp"

#include "support/error.hpp"

namespace dovetail {
namespace {

using namespace layer;

std::vector<Layer> mlp(int classes) {
  return {Dense{.out = 256}, Relu{}, Dense{.out = 128}, Relu{}, Dense{.out = classes}};
}

std::vector<Layer> cnn(int classes) {
  return {Conv2d{.out = 32, .kernel = 3, .padding = 1},
          Relu{},
          MaxPool{.kernel = 2, .stride = 2},
          Conv2d{.out = 64, .kernel = 3, .padding = 1},
          Relu{},
          MaxPool{.kernel = 2, .stride = 2},
          Dense{.out = 128},
          Relu{},
          Dense{.out = classes}};
}

void append(std::vector<Layer>& layers, std::initializer_list<Layer> more) {
  layers.insert(layers.end(), more);
}

/// Convolution without bias, batch norm, ReLU.
void append_conv(std::vector<Layer>& layers, int out, int padding) {
  append(layers,
         {Conv2d{.out = out, .kernel = 3, .padding = padding, .bias = false}, BatchNorm{}, Relu{}});
}

/// Dense without bias, batch norm, ReLU.
void append_dense(std::vector<Layer>& layers, int out) {
  append(layers, {Dense{.out = out, .bias = false}, BatchNorm{}, Relu{}});
}

/// FINN's fully connected networks (Umuroglu et al., FPGA 2017, section 4.1): three hidden layers.
std::vector<Layer> fully_connected(int width, int classes) {
  std::vector<Layer> layers;
  for (int i = 0; i < 3; ++i) append_dense(layers, width);
  append(layers, {Dense{.out = classes}});
  return layers;
}

std::vector<Layer> sfc(int classes) {
  return fully_connected(256, classes);
}

std::vector<Layer> lfc(int classes) {
  return fully_connected(1024, classes);
}

/// FINN's convolutional network, as above: valid convolutions.
std::vector<Layer> cnv(int classes) {
  std::vector<Layer> layers;
  for (const int channels : {64, 128, 256}) {
    append_conv(layers, channels, 0);
    append_conv(layers, channels, 0);
    if (channels < 256) append(layers, {MaxPool{.kernel = 2, .stride = 2}});
  }
  append_dense(layers, 512);
  append_dense(layers, 512);
  append(layers, {Dense{.out = classes}});
  return layers;
}

std::vector<Layer> vgg_small(int classes) {
  std::vector<Layer> layers;
  for (const int channels : {64, 128, 256}) {
    append_conv(layers, channels, 1);
    append_conv(layers, channels, 1);
    append(layers, {MaxPool{.kernel = 2, .stride = 2}});
  }
  append(layers, {Dense{.out = 512}, Relu{}, Dense{.out = classes}});
  return layers;
}

struct Recipe {
  const char* name;
  std::vector<Layer> (*layers)(int classes);
};

constexpr Recipe recipes[] = {{"mlp", mlp}, {"cnn", cnn}, {"sfc", sfc},
                              {"lfc", lfc}, {"cnv", cnv}, {"vgg-small", vgg_small}};

}  // namespace

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const Recipe& recipe : recipes) names.emplace_back(recipe.name);
  return names;
}

Model make_model(const std::string& name, const FeatureShape& input, int classes) {
  for (const Recipe& recipe : recipes) {
    if (name == recipe.name) return Model(name, input, recipe.layers(classes));
  }
  throw UsageError(fmt::format("unknown model '{}'", name),
                   fmt::format("Known models: {}", fmt::join(model_names(), ", ")));
}

}  // namespace dovetail
