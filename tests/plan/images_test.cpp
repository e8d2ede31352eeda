// Images that stay on the device, and augmentation.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "ops/reference/activation.hpp"
#include "plan/fixture.hpp"
#include "plan/plan.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

using namespace testing;

struct Images {
  Model model;
  RandomBatch set;
  Plan plan;

  Images(const Model& of, const Augmentation& augmentation, std::size_t samples)
      : model(of),
        set(random_batch(of, samples, 31)),
        plan(started_plan(
            of,
            {.batch = 8, .passes = 2, .training = true, .seed = 5, .augmentation = augmentation})) {
  }
  std::size_t image() const { return set.images.size() / set.labels.size(); }

  RandomBatch picked(const std::vector<std::int32_t>& numbers) const {
    RandomBatch batch;
    for (const std::int32_t number : numbers) {
      const auto begin = set.images.begin() +
                         static_cast<std::ptrdiff_t>(static_cast<std::size_t>(number) * image());
      batch.images.insert(batch.images.end(), begin, begin + static_cast<std::ptrdiff_t>(image()));
      batch.labels.push_back(set.labels[static_cast<std::size_t>(number)]);
    }
    return batch;
  }
  std::vector<float> step(const StepSamples& samples, const std::vector<std::size_t>& sizes) {
    plan.enqueue_step(samples, sizes, false);
    const opencl::Mapping mapping = plan.map_reduction();
    const std::span<float> values = mapping.as<float>();
    return {values.begin(), values.end()};
  }
};

/// Dense layers alone.
Model mlp_of_images() {
  return Model("dense", {3, 8, 6},
               {layer::Dense{.out = 20}, layer::Relu{}, layer::Dense{.out = 7}});
}

const std::vector<std::int32_t> numbers{19, 3, 3, 0, 7, 11, 4};

TEST(PlanImages, HeldAndGivenOnesAreTheSameToTheBit) {
  for (const Augmentation& augmentation :
       {Augmentation{}, Augmentation{.crop = 2, .flip = true, .erase = 3}}) {
    for (const Model& model : {small_cnn(), mixed_model()}) {
      Images images(model, augmentation, 20);
      const RandomBatch batch = images.picked(numbers);
      const StepSamples given{.images = batch.images, .labels = batch.labels, .first = 100};
      const std::vector<float> expected = images.step(given, {7});
      images.plan.hold_images(20);
      images.plan.write_images(0, std::span(images.set.images).first(12 * images.image()));
      images.plan.write_images(12, std::span(images.set.images).subspan(12 * images.image()));
      const StepSamples held{.numbers = numbers, .labels = batch.labels, .first = 100};
      EXPECT_EQ(images.step(held, {7}), expected);
      EXPECT_EQ(images.step(given, {7}), expected);  // as before
      EXPECT_EQ(images.step(held, {4, 3}), images.step(given, {4, 3}));
      // Two orders, one in the other's place.
      std::vector<std::int32_t> order(images.set.labels.size());
      std::iota(order.begin(), order.end(), 0);
      images.plan.hold_order(order, images.set.labels).await();
      order.assign({5, 5});
      order.insert(order.end(), numbers.begin(), numbers.end());
      images.plan.hold_order(order, images.picked(order).labels).await();
      const StepSamples placed{.place = 2, .labels = batch.labels, .first = 100};
      EXPECT_EQ(images.step(placed, {7}), expected);
      EXPECT_EQ(images.step(placed, {4, 3}), images.step(given, {4, 3}));
    }
  }
}

TEST(PlanImages, AugmentationFollowsTheSampleAndLeavesInferenceAlone) {
  const Model model = small_cnn();
  Images plain(model, {}, 8), augmented(model, {.crop = 2, .flip = true, .erase = 3}, 8);
  const StepSamples all{.images = plain.set.images, .labels = plain.set.labels, .first = 40};
  const std::vector<float> whole = augmented.step(all, {8});
  EXPECT_NE(whole, plain.step(all, {8}));
  EXPECT_EQ(augmented.step(all, {8}), whole);
  StepSamples later = all;
  later.first = 48;  // another epoch
  EXPECT_NE(augmented.step(later, {8}), whole);
  EXPECT_EQ(augmented.plan.infer(plain.set.images, 8), plain.plan.infer(plain.set.images, 8));
  // The second half alone: the same samples, so with the first half the same sum.
  const std::size_t half = 4 * augmented.image();
  const auto part = [&](std::size_t from) {
    return augmented.step({.images = std::span(plain.set.images).subspan(from * half, half),
                           .labels = std::span(plain.set.labels).subspan(from * 4, 4),
                           .first = 40 + from * 4},
                          {4});
  };
  const std::vector<float> first = part(0), second = part(1);
  float largest = 0, error = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    largest = std::max(largest, std::abs(whole[i]));
    error = std::max(error, std::abs(whole[i] - (first[i] + second[i])));
  }
  EXPECT_LT(error, 1e-5f * largest);
}

TEST(PlanImages, AugmentationIsThatOfTheTwinToTheBit) {
  // Erased pixels are no bytes: those are left to the kernels' tests.
  const Augmentation augmentation{.crop = 3, .flip = true};
  for (const Model& model : {small_cnn(), mixed_model(), mlp_of_images()}) {
    SCOPED_TRACE(model.name());
    Images plain(model, {}, 8), augmented(model, augmentation, 8);
    const auto [channels, height, width] = model.input();
    const std::uint64_t first = 0xFFFFFFFCu, seed = 5;
    const std::vector<int> shifted =
        reference::augment(plain.set.images, {8, extent(channels), extent(height), extent(width)},
                           augmentation, seed, first);
    const std::vector<std::uint8_t> images(shifted.begin(), shifted.end());
    const std::vector<float> expected =
        plain.step({.images = images, .labels = plain.set.labels, .first = first}, {8});
    EXPECT_EQ(augmented.step(
                  {.images = plain.set.images, .labels = plain.set.labels, .first = first}, {8}),
              expected);
  }
}

TEST(PlanImages, NumbersPastTheEndAreRefused) {
  Images images(small_cnn(), {}, 4);
  const std::vector<std::int32_t> labels{0, 1};
  const std::vector<std::int32_t> past{3, 4}, negative{-1, 0};
  const std::vector<std::size_t> sizes{2};
  EXPECT_THROW(images.plan.enqueue_step({.numbers = past, .labels = labels}, sizes, false), Error);
  images.plan.hold_images(4);
  images.plan.write_images(0, images.set.images);
  EXPECT_TRUE(images.plan.holds_images());
  EXPECT_THROW(images.plan.enqueue_step({.numbers = past, .labels = labels}, sizes, false), Error);
  EXPECT_THROW(images.plan.enqueue_step({.numbers = negative, .labels = labels}, sizes, false),
               Error);
  EXPECT_THROW(images.plan.hold_order(past, labels), Error);
  EXPECT_THROW(images.plan.hold_order(numbers, labels), Error);
  EXPECT_THROW(images.plan.enqueue_step({.place = 0, .labels = labels}, sizes, false), Error);
  images.plan.hold_order(std::vector<std::int32_t>{2, 0, 1}, std::vector<std::int32_t>{0, 1, 1})
      .await();
  EXPECT_THROW(images.plan.enqueue_step({.place = 2, .labels = labels}, sizes, false), Error);
}

}  // namespace
}  // namespace dovetail
