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

struct Recipe {
  const char* name;
  std::vector<Layer> (*layers)(int classes);
};

constexpr Recipe recipes[] = {{"mlp", mlp}, {"cnn", cnn}};

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
