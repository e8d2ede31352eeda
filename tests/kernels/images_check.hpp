// Convolutions that make their input from images, against the normalisation by itself.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "kernels/feature_maps.hpp"
#include "ops/normalise_input.hpp"
#include "ops/reference/conv2d.hpp"

namespace dovetail::testing {

/// To the bit: y, the weight gradient behind either, and x, or as much of it as windows look at
/// where not `whole`. Gathered or in order, augmented or not.
template <typename Convolution>
void expect_images_are_normalised(Convolution& conv, const reference::Conv2dExtents& e,
                                  const Layout& in, const Layout& out, bool whole, Random& random) {
  const bool gathers = random.integer(0, 1) == 1, augments = random.integer(0, 2) > 0;
  const Augmentation augmentation{.crop = augments ? random.integer(0, 4) : 0,
                                  .flip = augments && random.integer(0, 1) == 1,
                                  .erase = augments ? random.integer(0, 6) : 0};
  SCOPED_TRACE(::testing::Message() << (gathers ? "gathered, " : "") << to_string(augmentation));
  std::vector<float> mean, deviation;
  for (int c = 0; c < e.in; ++c) {
    mean.push_back(static_cast<float>(random.integer(1, 9)) / 10);
    deviation.push_back(static_cast<float>(random.integer(1, 9)) / 10);
  }
  std::vector<std::uint8_t> pixels((gathers ? 2 : 1) * e.x_size());
  for (std::uint8_t& pixel : pixels) pixel = static_cast<std::uint8_t>(random.integer(0, 255));
  ImageSource source{test_device().upload(std::span<const std::uint8_t>(pixels))};
  if (gathers) {
    source.first = static_cast<std::uint32_t>(random.integer(0, 9));
    std::vector<std::int32_t> samples(source.first);
    for (int i = 0; i < e.batch; ++i) samples.push_back(random.integer(0, 2 * e.batch - 1));
    source.samples = test_device().upload(std::span<const std::int32_t>(samples));
  }
  const std::uint64_t seed = 0x9E3779B97F4A7C15u,
                      first = 0xFFFFFFFFu;  // the counter's second word is used, too
  NormaliseInput normalise(test_device(), Variant::cpu, in, mean, deviation,
                           NormaliseInput::Rounding::none, augmentation);

  const auto weights =
      static_cast<std::size_t>(e.kernel * e.kernel * e.in) * extent(out.channel_stride);
  const opencl::Buffer weight = upload(random.normal(weights)),
                       bias = upload(random.normal(extent(out.channel_stride)));
  const opencl::Buffer dy = upload_map(
      out, e.batch,
      random.normal(extent(e.batch) * extent(out.channels) * extent(out.height * out.width)));
  struct Results {
    std::vector<double> x, y, dweight, dbias;
  };
  const auto results = [&](const auto& forward) {
    // Borders are zeros, and the interior is not there yet.
    const opencl::Buffer x = upload_map(in, e.batch, std::vector<double>(e.x_size(), poison));
    const opencl::Buffer y = poisoned(out.size()), dweight = poisoned(weights),
                         dbias = poisoned(extent(out.channel_stride));
    forward(x, y);
    conv.weight_gradient(x, dy, dweight, dbias, e.batch);
    return Results{download(x), download(y), download(dweight), download(dbias)};
  };
  const Results apart = results([&](opencl::Buffer x, const opencl::Buffer& y) {
    normalise.forward_augmented(source, x, e.batch, seed, first);
    conv.forward(x, weight, bias, y, e.batch, true);
  });
  ASSERT_TRUE(conv.takes_images());
  const Results together = results([&](const opencl::Buffer& x, const opencl::Buffer& y) {
    conv.forward_images(source, *normalise.channel_laws(seed, first), x, weight, bias, y, e.batch,
                        true);
  });
  std::vector<double> x = together.x;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!whole && x[i] == static_cast<double>(poison)) x[i] = apart.x[i];
  EXPECT_EQ(x, apart.x);
  EXPECT_EQ(together.y, apart.y);
  EXPECT_EQ(together.dweight, apart.dweight);
  EXPECT_EQ(together.dbias, apart.dbias);
}

}  // namespace dovetail::testing
