// Parts of a buffer that go to the host and back while the device goes on.
#include "device/opencl/hosted_buffer.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "device/test_device.hpp"
#include "support/clock.hpp"
#include "support/error.hpp"

namespace dovetail::opencl {
namespace {

using dovetail::testing::test_device;

constexpr std::size_t part_floats = 4096, parts = 4;

constexpr kernels::Source adding{"adding", R"(
kernel void add(global float* values, float summand) { values[get_global_id(0)] += summand; })"};
constexpr kernels::Entry add_entry{&adding, "add"};

constexpr kernels::Source waiting{"waiting", R"(
kernel void wait_for(global const volatile int* flag, global float* values) {
  while (*flag == 0) {}
  values[0] += 1;
})"};
constexpr kernels::Entry wait_entry{&waiting, "wait_for"};

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

TEST_P(HostedBufferTest, TellsWhenPartsWereOnTheirWay) {
  Device& device = test_device();
  const Kernel add = device.build(adding).kernel(add_entry);
  HostedBuffer hosted(device, 2 * part_floats * sizeof(float), {}, GetParam());
  EXPECT_TRUE(hosted.take_trips().empty());
  std::int64_t before = 0;
  for (int round = 0; round < 3; ++round) {
    device.launch(add, {{part_floats, 1, 1}, {64, 1, 1}}, hosted.buffer(), 1.0f);
    for (std::size_t part = 0; part < 2; ++part)
      hosted.hand_over(part * part_floats * sizeof(float), part_floats * sizeof(float));
    for (std::size_t part = 0; part < 2; ++part) hosted.await(part);
    hosted.give_back(0);
    hosted.let_go(1);
    const std::vector<HostedBuffer::Trip> trips = hosted.take_trips();
    if (GetParam() == HostedBuffer::Way::map) {
      EXPECT_TRUE(trips.empty());
      continue;
    }
    ASSERT_EQ(trips.size(), 2u);
    EXPECT_GE(trips[0].left_ns, before);
    EXPECT_GE(trips[0].arrived_ns, trips[0].left_ns);
    EXPECT_GE(trips[1].arrived_ns, trips[1].left_ns);
    EXPECT_GE(trips[1].arrived_ns, trips[0].arrived_ns);
    EXPECT_GE(trips[0].back_ns, trips[1].arrived_ns) << "given back after both had arrived";
    EXPECT_EQ(trips[1].back_ns, 0);
    before = trips[0].back_ns;
    EXPECT_TRUE(hosted.take_trips().empty());
  }
}

/// The device's queue is at a kernel that waits for the host, and a copy to the host waits behind
/// it; yet the part before it returns.
TEST(HostedBuffer, PartsReturnWhileOthersWaitForTheirKernels) {
  Device& device = test_device();
  if (!device.is_cpu() || device.info().compute_units < 2)
    GTEST_SKIP() << "needs memory that a running kernel and the host share, and two threads";
  const Kernel wait_for = device.build(waiting).kernel(wait_entry);
  HostedBuffer flag(device, 4096, {}, HostedBuffer::Way::map);
  auto* raised = reinterpret_cast<volatile std::int32_t*>(flag.host().data());
  HostedBuffer hosted(device, 2 * part_floats * sizeof(float), {}, HostedBuffer::Way::copy);
  hosted.hand_over(0, part_floats * sizeof(float));
  device.launch(wait_for, {{1, 1, 1}, {1, 1, 1}}, flag.buffer(),
                hosted.buffer().slice(part_floats * sizeof(float), part_floats * sizeof(float)));
  hosted.hand_over(part_floats * sizeof(float), part_floats * sizeof(float));
  device.flush();
  hosted.await(0);
  hosted.host()[0] = 7;
  EXPECT_FALSE(hosted.returned(0));
  hosted.give_back(0);
  const Stopwatch watch;
  while (!hosted.returned(0) && watch.seconds() < 20) std::this_thread::yield();
  EXPECT_TRUE(hosted.returned(0)) << "behind the copy that waits";
  EXPECT_FALSE(hosted.arrived(1));
  *raised = 1;
  hosted.await(1);
  EXPECT_EQ(hosted.host()[part_floats], 1);
  hosted.give_back(1);
  const std::vector<HostedBuffer::Trip> trips = hosted.take_trips();
  EXPECT_LE(trips.at(0).back_ns, trips.at(1).left_ns);
  EXPECT_EQ(device.download<float>(hosted.buffer())[0], 7);
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
