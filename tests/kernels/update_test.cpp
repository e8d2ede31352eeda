// Optimiser updates against their twin in float64, over several steps.
#include "ops/update.hpp"

#include "kernels/feature_maps.hpp"
#include "ops/reference/update.hpp"

namespace dovetail {
namespace {

using namespace testing;

constexpr int steps = 8;
constexpr double samples = 64;  // gradients arrive as sums over so many

class UpdateTest : public BothVariants {};
INSTANTIATE_TEST_SUITE_P(Ops, UpdateTest, ::testing::Values(Variant::cpu, Variant::gpu),
                         variant_name);

/// One parameter, several work-groups with a rest, and a small odd number.
const std::vector<std::size_t> lengths = {1, 5000, 77};

std::vector<double> zeros(std::size_t count) {
  return std::vector<double>(count, 0.0);
}

TEST_P(UpdateTest, SgdIsTheTwin) {
  Random random(51);
  const std::vector<Update::Sgd> all = {
      {.learning_rate = 0.1f},
      {.learning_rate = 0.05f, .weight_decay = 0.01f},
      {.learning_rate = 0.05f, .momentum = 0.9f},
      {.learning_rate = 0.05f, .momentum = 0.9f, .weight_decay = 0.01f, .nesterov = true}};
  for (const Update::Sgd& settings : all) {
    for (const std::size_t n : lengths) {
      Update update(test_device(), GetParam(), n);
      std::vector<double> expected = random.normal(n);
      std::vector<double> velocity = zeros(n);
      const opencl::Buffer parameters = upload(expected);
      const opencl::Buffer momentum = upload(velocity);
      const reference::SgdSettings<double> twin{settings.learning_rate, settings.momentum,
                                                settings.weight_decay, settings.nesterov};
      for (int step = 1; step <= steps; ++step) {
        const std::vector<double> gradients = random.normal(n, 0, samples);
        update.sgd(parameters, upload(gradients), momentum, settings, 1 / samples);
        for (std::size_t i = 0; i < n; ++i) {
          reference::sgd(expected[i], gradients[i] / samples, velocity[i], twin);
        }
      }
      EXPECT_LT(relative_error(download(parameters), expected), 1e-6);
      EXPECT_LT(relative_error(download(momentum), velocity), 1e-6);
    }
  }
}

TEST_P(UpdateTest, AdamAndAdamWAreTheTwin) {
  Random random(52);
  const std::vector<Update::Adam> all = {{},
                                         {.learning_rate = 0.01f, .weight_decay = 0.1f},
                                         {.learning_rate = 0.01f,
                                          .beta1 = 0.8f,
                                          .beta2 = 0.95f,
                                          .epsilon = 1e-4f,
                                          .weight_decay = 0.1f,
                                          .decoupled = true}};
  for (const Update::Adam& settings : all) {
    for (const std::size_t n : lengths) {
      Update update(test_device(), GetParam(), n);
      std::vector<double> expected = random.normal(n);
      std::vector<double> first = zeros(n);
      std::vector<double> second = zeros(n);
      const opencl::Buffer parameters = upload(expected);
      const opencl::Buffer first_moment = upload(first);
      const opencl::Buffer second_moment = upload(second);
      const reference::AdamSettings<double> twin{settings.learning_rate, settings.beta1,
                                                 settings.beta2,         settings.epsilon,
                                                 settings.weight_decay,  settings.decoupled};
      for (int step = 1; step <= steps; ++step) {
        const std::vector<double> gradients = random.normal(n, 0, samples);
        update.adam(parameters, upload(gradients), first_moment, second_moment, settings,
                    1 / samples, static_cast<std::uint64_t>(step));
        for (std::size_t i = 0; i < n; ++i) {
          reference::adam(expected[i], gradients[i] / samples, first[i], second[i], twin, step);
        }
      }
      EXPECT_LT(relative_error(download(parameters), expected), 1e-5);
      EXPECT_LT(relative_error(download(first_moment), first), 1e-5);
      EXPECT_LT(relative_error(download(second_moment), second), 1e-5);
    }
  }
}

TEST_P(UpdateTest, AdamMovesParametersWhoseGradientIsTiny) {
  // The first step's direction is the gradient's sign, whatever its size: nothing may vanish on the
  // way.
  const Update::Adam settings{.learning_rate = 0.01f, .epsilon = 1e-12f};
  Update update(test_device(), GetParam(), 2);
  const opencl::Buffer parameters = upload({1.0, 1.0});
  update.adam(parameters, upload({1e-9, -1e-9}), upload({0, 0}), upload({0, 0}), settings, 1, 1);
  EXPECT_LT(relative_error(download(parameters), {0.99, 1.01}), 1e-4);
}

TEST_P(UpdateTest, PlainSgdNeedsNoMomentumBuffer) {
  Update update(test_device(), GetParam(), 3);
  const opencl::Buffer parameters = upload({1, 2, 3});
  update.sgd(parameters, upload({1, 1, 1}), {}, {.learning_rate = 0.5f}, 1);
  EXPECT_EQ(download(parameters), (std::vector<double>{0.5, 1.5, 2.5}));
}

TEST_P(UpdateTest, RefusesBuffersOfOtherLengths) {
  Update update(test_device(), GetParam(), 4);
  const opencl::Buffer four = upload({1, 2, 3, 4});
  const opencl::Buffer three = upload({1, 2, 3});
  EXPECT_THROW(update.sgd(four, three, {}, {}, 1), Error);
  EXPECT_THROW(update.sgd(four, four, {}, {.momentum = 0.9f}, 1), Error);
  EXPECT_THROW(update.adam(four, four, four, three, {}, 1, 1), Error);
  EXPECT_THROW(update.adam(four, four, four, four, {}, 1, 0), Error);
  EXPECT_THROW(Update(test_device(), GetParam(), 0), Error);
}

}  // namespace
}  // namespace dovetail
