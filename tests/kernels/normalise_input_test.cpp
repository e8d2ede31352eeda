// The input's normalisation, picks and augmentation against their twins.
#include "ops/normalise_input.hpp"

#include <algorithm>
#include <set>

#include "kernels/feature_maps.hpp"
#include "ops/reference/activation.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

using namespace testing;

class NormaliseInputTest : public BothVariants {};
INSTANTIATE_TEST_SUITE_P(Ops, NormaliseInputTest, ::testing::Values(Variant::cpu, Variant::gpu),
                         variant_name);

std::vector<Layout> layouts(Random& random) {
  std::vector<Layout> made = {input_map(3, 28, 28, 1, 1), input_map(3, 32, 32, 3, 1),
                              input_map(2, 28, 28, 1)};
  for (int i = 0; i < 4; ++i) {
    made.push_back(input_map(random.integer(1, 4), random.integer(1, 33), random.integer(1, 33),
                             random.integer(1, 4), random.integer(0, 2)));
  }
  return made;
}

std::size_t image_elements(const Layout& layout) {
  return static_cast<std::size_t>(layout.channels * layout.height * layout.width);
}

struct Case {
  std::vector<std::uint8_t> images;
  std::vector<float> mean, deviation;

  Case(Random& random, const Layout& layout, int samples)
      : images(static_cast<std::size_t>(samples) * image_elements(layout)) {
    for (std::uint8_t& pixel : images) pixel = static_cast<std::uint8_t>(random.integer(0, 255));
    for (int c = 0; c < layout.channels; ++c) {
      mean.push_back(0.2f + 0.1f * static_cast<float>(c));
      deviation.push_back(0.35f - 0.05f * static_cast<float>(c));
    }
  }
  ImageSource source() const {
    return {test_device().upload(std::span<const std::uint8_t>(images)), {}};
  }
  std::vector<double> normalised(const Layout& layout,
                                 const std::vector<std::uint8_t>& pixels) const {
    return reference::normalise_input<double>(
        pixels, static_cast<std::size_t>(layout.height * layout.width), {mean.begin(), mean.end()},
        {deviation.begin(), deviation.end()});
  }
};

TEST_P(NormaliseInputTest, IsTheTwin) {
  Random random(8);
  for (const Layout& layout : layouts(random)) {
    const int batch = random.integer(1, layout.batch);
    const Case made(random, layout, batch);
    NormaliseInput normalise(test_device(), GetParam(), layout, made.mean, made.deviation);
    const opencl::Buffer y = poisoned(layout.size());
    normalise.forward(made.source(), y, batch);
    EXPECT_LT(relative_error(download_map(layout, batch, y), made.normalised(layout, made.images)),
              1e-6);
  }
}

TEST_P(NormaliseInputTest, PicksSamplesOfADataSet) {
  Random random(9);
  for (const Layout& layout : layouts(random)) {
    const int samples = 11, batch = random.integer(1, layout.batch);
    const Case made(random, layout, samples);
    std::vector<std::int32_t> picks(static_cast<std::size_t>(batch));
    for (std::int32_t& pick : picks) pick = random.integer(0, samples - 1);
    const auto first = static_cast<std::uint32_t>(random.integer(0, 9));
    std::vector<std::int32_t> order(first, 0);
    order.insert(order.end(), picks.begin(), picks.end());
    std::vector<std::uint8_t> picked;
    for (const std::int32_t pick : picks) {
      const auto begin =
          made.images.begin() + static_cast<std::ptrdiff_t>(image_elements(layout)) * pick;
      picked.insert(picked.end(), begin,
                    begin + static_cast<std::ptrdiff_t>(image_elements(layout)));
    }
    for (const auto rounding : {NormaliseInput::Rounding::none, NormaliseInput::Rounding::int8}) {
      NormaliseInput normalise(test_device(), GetParam(), layout, made.mean, made.deviation,
                               rounding);
      const opencl::Buffer from_all = poisoned(layout.size()), alone = poisoned(layout.size());
      ImageSource source = made.source();
      source.samples = test_device().upload(std::span<const std::int32_t>(order));
      source.first = first;
      normalise.forward(source, from_all, batch);
      normalise.forward({test_device().upload(std::span<const std::uint8_t>(picked))}, alone,
                        batch);
      EXPECT_EQ(download_map(layout, batch, from_all), download_map(layout, batch, alone));
    }
  }
}

TEST_P(NormaliseInputTest, AugmentsLikeTheTwin) {
  Random random(10);
  for (const Layout& layout : layouts(random)) {
    const int batch = random.integer(1, layout.batch);
    const Case made(random, layout, batch);
    const Augmentation augmentation{.crop = random.integer(0, 5),
                                    .flip = random.integer(0, 1) == 1,
                                    .erase = random.integer(0, 9)};
    const std::uint64_t seed = 0x9E3779B97F4A7C15u + static_cast<std::uint64_t>(layout.size());
    const std::uint64_t first = 0xFFFFFFFEu;  // the counter's second word is used, too
    NormaliseInput normalise(test_device(), GetParam(), layout, made.mean, made.deviation,
                             NormaliseInput::Rounding::none, augmentation);
    const opencl::Buffer y = poisoned(layout.size());
    normalise.forward_augmented(made.source(), y, batch, seed, first);
    const std::vector<int> pixels = reference::augment(
        made.images,
        {static_cast<std::size_t>(batch), static_cast<std::size_t>(layout.channels),
         static_cast<std::size_t>(layout.height), static_cast<std::size_t>(layout.width)},
        augmentation, seed, first);
    std::vector<std::uint8_t> kept;
    for (const int pixel : pixels) kept.push_back(static_cast<std::uint8_t>(std::max(pixel, 0)));
    std::vector<double> expected = made.normalised(layout, kept);
    for (std::size_t i = 0; i < pixels.size(); ++i)
      if (pixels[i] < 0) expected[i] = 0;
    EXPECT_LT(relative_error(download_map(layout, batch, y), expected), 1e-6);
  }
}

TEST(AugmentationTwin, DrawsAllThatItMay) {
  // One bright pixel in the middle of a 9 × 9 image, 2,000 samples.
  const std::size_t samples = 2000;
  std::vector<std::uint8_t> images(samples * 81, 1);
  for (std::size_t n = 0; n < samples; ++n) images[n * 81 + 4 * 9 + 3] = 255;
  const auto places = [&](const Augmentation& augmentation) {
    std::set<std::size_t> found;
    const auto pixels = reference::augment(images, {samples, 1, 9, 9}, augmentation, 7, 0);
    for (std::size_t i = 0; i < pixels.size(); ++i)
      if (pixels[i] == 255) found.insert(i % 81);
    return found;
  };
  EXPECT_EQ(places({}), (std::set<std::size_t>{39}));
  EXPECT_EQ(places({.flip = true}), (std::set<std::size_t>{39, 41}));
  EXPECT_EQ(places({.crop = 2}).size(), 25u);
  const auto erased = reference::augment(images, {samples, 1, 9, 9}, {.erase = 3}, 7, 0);
  const auto count = std::count(erased.begin(), erased.end(), -1);
  // A square of 9 whose centre may be any of the 81 pixels: 25/27 of its rows and columns lie
  // inside.
  EXPECT_NEAR(static_cast<double>(count) / static_cast<double>(samples), 9 * 625.0 / 729, 0.1);
}

TEST(AugmentationText, IsReadAndWritten) {
  EXPECT_EQ(parse_augmentation("crop=4,flip,erase=8"),
            (Augmentation{.crop = 4, .flip = true, .erase = 8}));
  for (const char* text : {"none", "flip", "crop=1", "erase=255", "crop=4,flip,erase=8"})
    EXPECT_EQ(to_string(parse_augmentation(text)), text);
  for (const char* text : {"", "crop", "crop=", "crop=0", "crop=256", "crop=4x", "flip,", "turn"})
    EXPECT_THROW(parse_augmentation(text), UsageError) << text;
}

TEST_P(NormaliseInputTest, RefusesAChannelThatNeverChanges) {
  const Layout layout = input_map(1, 4, 4, 1);
  EXPECT_THROW(NormaliseInput(test_device(), GetParam(), layout, {0.5f}, {0.0f}), Error);
  EXPECT_THROW(NormaliseInput(test_device(), GetParam(), layout, {0.5f, 0.5f}, {1.0f, 1.0f}),
               Error);
}

}  // namespace
}  // namespace dovetail
