// Index arithmetic of feature maps.
#include "tensor/layout.hpp"

#include <gtest/gtest.h>

#include <set>

namespace dovetail {
namespace {

TEST(Layout, HiddenMapsPadTheirChannels) {
  EXPECT_EQ(feature_map(2, 3, 4, 10).channel_stride, 16);
  EXPECT_EQ(feature_map(2, 3, 4, 16).channel_stride, 16);
  EXPECT_EQ(feature_map(2, 3, 4, 17).channel_stride, 32);
  EXPECT_EQ(input_map(2, 3, 4, 3).channel_stride, 3);
}

TEST(Layout, CountsTheHaloOnAllSides) {
  const Layout map = feature_map(5, 28, 20, 32, 2);
  EXPECT_EQ(map.padded_height(), 32);
  EXPECT_EQ(map.padded_width(), 24);
  EXPECT_EQ(map.row_stride(), 24 * 32);
  EXPECT_EQ(map.image_stride(), 32 * 24 * 32);
  EXPECT_EQ(map.size(), 5u * 32 * 24 * 32);
  EXPECT_EQ(map.bytes(), map.size() * 4);
}

TEST(Layout, FirstElementLiesBehindTheHalo) {
  EXPECT_EQ(feature_map(1, 4, 4, 16, 0).index(0, 0, 0, 0), 0u);
  EXPECT_EQ(feature_map(1, 4, 4, 16, 1).index(0, 0, 0, 0), (6u + 1) * 16);
  EXPECT_EQ(input_map(1, 4, 4, 3, 2).index(0, 0, 0, 1), (2u * 8 + 2) * 3 + 1);
}

TEST(Layout, EveryElementHasItsOwnPlaceInside) {
  const Layout map = feature_map(3, 5, 4, 7, 1);
  std::set<std::size_t> places;
  for (int n = 0; n < map.batch; ++n)
    for (int row = 0; row < map.height; ++row)
      for (int column = 0; column < map.width; ++column)
        for (int c = 0; c < map.channels; ++c) places.insert(map.index(n, row, column, c));
  EXPECT_EQ(places.size(), 3u * 5 * 4 * 7);
  EXPECT_LT(*places.rbegin(), map.size());
}

TEST(Layout, NeighboursAreWhereTheStridesSay) {
  const Layout map = feature_map(3, 5, 4, 20, 1);
  const std::size_t at = map.index(1, 2, 3, 4);
  EXPECT_EQ(map.index(1, 2, 3, 5), at + 1);
  EXPECT_EQ(map.index(1, 2, 2, 4), at - static_cast<std::size_t>(map.channel_stride));
  EXPECT_EQ(map.index(1, 3, 3, 4), at + static_cast<std::size_t>(map.row_stride()));
  EXPECT_EQ(map.index(2, 2, 3, 4), at + static_cast<std::size_t>(map.image_stride()));
}

TEST(Layout, LargeMapsDoNotOverflow) {
  const Layout map = feature_map(4096, 256, 256, 64);
  EXPECT_EQ(map.size(), std::size_t{4096} * 256 * 256 * 64);
  EXPECT_EQ(map.index(4095, 255, 255, 63), map.size() - 1);
}

TEST(Layout, RoundsUpToMultiples) {
  EXPECT_EQ(round_up(0, 16), 0);
  EXPECT_EQ(round_up(1, 16), 16);
  EXPECT_EQ(round_up(32, 16), 32);
}

}  // namespace
}  // namespace dovetail
