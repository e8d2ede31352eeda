// Parts of a buffer that go to the host and back while the device goes on.
#include "device/opencl/hosted_buffer.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "device/test_device.hpp"
#include "support/error.hpp"

namespace dovetail::opencl {
namespace {

using dovetail::testing::test_device;

constexpr std::size_t part_floats = 4096, parts = 4;

constexpr kernels::Source adding{"adding", R"(
kernel void add(global float* values, float summand) { values[get_global_id(0)] += summand; })"};
constexpr kernels::Entry add_entry{&adding, "add"};

/// Both ways, whatever the device.
class HostedBufferTest : public ::testing::TestWithParam<HostedBuffer::Way> {};
INSTANTIATE_TEST_SUITE_P(Ways, HostedBufferTest,
                         ::testing::Values(HostedBuffer::Way::map, HostedBuffer::Way::copy),
                         [](const auto& each) {
                           return std::string(each.param == HostedBuffer::Way::map ? "map"
                                                                                   : "copy");
                         });

TEST_P(HostedBufferTest, PartsThatAreLetGoLeaveTheDevicesValues) {
  Device& device = test_device();
  const Kernel add = device.build(adding).kernel(add_entry);
  HostedBuffer hosted(device, part_floats * sizeof(float), {}, GetParam());
  for (int round = 1; round <= 5; ++round) {
    device.launch(add, {{part_floats, 1, 1}, {64, 1, 1}}, hosted.buffer(), 1.5f);
    EXPECT_EQ(hosted.hand_over(0, hosted.buffer().bytes()), 0u);
    device.flush();
    hosted.await(0);
    for (const float value : hosted.host()) ASSERT_EQ(value, 1.5f * static_cast<float>(round));
    hosted.let_go(0);
    EXPECT_ANY_THROW(hosted.let_go(0));
  }
  EXPECT_EQ(device.download<float>(hosted.buffer()), std::vector<float>(part_floats, 7.5f));
}

TEST_P(HostedBufferTest, PartsArriveAndReturnWhileOthersAreComputed) {
  Device& device = test_device();
  const Kernel add = device.build(adding).kernel(add_entry);
  HostedBuffer hosted(device, parts * part_floats * sizeof(float), {}, GetParam());
  EXPECT_EQ(hosted.is_copied(), GetParam() == HostedBuffer::Way::copy);
  std::vector<Buffer> slices;
  for (std::size_t i = 0; i < parts; ++i) {
    slices.push_back(
        hosted.buffer().slice(i * part_floats * sizeof(float), part_floats * sizeof(float)));
  }
  std::vector<float> expected(parts * part_floats, 0.0f);
  for (int round = 1; round <= 5; ++round) {
    for (std::size_t i = 0; i < parts; ++i) {
      device.launch(add, {{part_floats, 1, 1}, {64, 1, 1}}, slices[i], static_cast<float>(i + 1));
      EXPECT_EQ(hosted.hand_over(i * part_floats * sizeof(float), part_floats * sizeof(float)), i);
    }
    device.flush();
    for (std::size_t i = 0; i < parts; ++i) {
      hosted.await(i);
      EXPECT_TRUE(hosted.arrived(i));
      for (std::size_t j = i * part_floats; j < (i + 1) * part_floats; ++j) {
        expected[j] += static_cast<float>(i + 1);
        ASSERT_EQ(hosted.host()[j], expected[j]) << j << " in round " << round;
        expected[j] = hosted.host()[j] = 2 * expected[j] + static_cast<float>(j % 7);
      }
    }
    for (std::size_t i = parts; i-- > 0;) hosted.give_back(i);
    ASSERT_EQ(device.download<float>(hosted.buffer()), expected);
  }
}

TEST_P(HostedBufferTest, BeginsWithZerosAndMayEndWithPartsInTheHost) {
  Device& device = test_device();
  HostedBuffer hosted(device, 4096, {}, GetParam());
  EXPECT_EQ(device.download<float>(hosted.buffer()), std::vector<float>(1024, 0.0f));
  hosted.hand_over(0, 2048);
  hosted = HostedBuffer(device, 8192, {}, GetParam());
  hosted.hand_over(4096, 4096);
  hosted.await(0);
  EXPECT_EQ(hosted.host()[2000], 0.0f);
}

TEST_P(HostedBufferTest, UsesTheMemoryThatItIsGiven) {
  Device& device = test_device();
  std::vector<float> storage(3 * 1024);
  auto* begin = reinterpret_cast<std::byte*>(
      (reinterpret_cast<std::uintptr_t>(storage.data()) + 4095) / 4096 * 4096);
  HostedBuffer hosted(device, 4096, {begin, 4096}, GetParam());
  const std::vector<float> values(1024, 3.0f);
  device.write(hosted.buffer(), values.data(), 4096);
  hosted.hand_over(0, 4096);
  hosted.await(0);
  EXPECT_EQ(reinterpret_cast<std::byte*>(hosted.host().data()), begin);
  EXPECT_EQ(hosted.host()[1023], 3.0f);
  hosted.give_back(0);
  EXPECT_THROW(HostedBuffer(device, 8192, {begin, 4096}, GetParam()), Error);
}

TEST_P(HostedBufferTest, RefusesPartsBeyondItsEndAndTwoReturns) {
  HostedBuffer hosted(test_device(), 4096, {}, GetParam());
  EXPECT_THROW(hosted.hand_over(4096, 4), Error);
  EXPECT_THROW(hosted.hand_over(0, 0), Error);
  hosted.hand_over(0, 1024);
  hosted.hand_over(1024, 1024);
  hosted.give_back(0);
  EXPECT_THROW(hosted.give_back(0), Error);
  hosted.give_back(1);
}

}  // namespace
}  // namespace dovetail::opencl
