// Copies of input beside the kernels, from pinned memory.
#include "device/opencl/input_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <thread>
#include <vector>

#include "device/held_queue.hpp"
#include "device/opencl/pinned_memory.hpp"
#include "device/test_device.hpp"
#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/host_memory.hpp"

namespace dovetail::opencl {
namespace {

using dovetail::testing::HeldQueue;
using dovetail::testing::test_device;

constexpr std::size_t words = 100'000;

constexpr kernels::Source doubling{"doubling", R"(
kernel void twice(global const int* in, global int* out) {
  out[get_global_id(0)] = 2 * in[get_global_id(0)];
})"};
constexpr kernels::Entry twice_entry{&doubling, "twice"};

HostVector<std::int32_t> counted(const HostMemory& memory, std::int32_t first) {
  HostVector<std::int32_t> values(memory);
  values.resize(words);
  std::iota(values.begin(), values.end(), first);
  return values;
}

void launch_twice(Device& device, const Buffer& in, const Buffer& out) {
  static const Kernel kernel = device.build(doubling).kernel(twice_entry);
  device.launch(kernel, {{words, 1, 1}, {1, 1, 1}}, in, out);
}

std::int32_t first_of(Device& device, const Buffer& buffer) {
  const std::vector<std::int32_t> values = device.download<std::int32_t>(buffer);
  for (std::size_t i = 0; i < words; ++i)
    EXPECT_EQ(values[i] - values.front(), static_cast<std::int32_t>(2 * i));
  return values.front();
}

TEST(InputQueue, KernelsWaitForTheirCopies) {
  Device& device = test_device();
  const auto memory = std::make_shared<PinnedMemory>(device);
  InputQueue queue(device);
  const Buffer in = device.allocate_zeroed(words * sizeof(std::int32_t));
  const Buffer out = device.allocate_zeroed(in.bytes());
  device.finish();
  for (std::int32_t round = 1; round <= 5; ++round) {
    const HostVector<std::int32_t> values = counted(memory, 1000 * round);
    const Mark copied = queue.write(in, values.data(), in.bytes());
    queue.hold_kernels(copied);
    launch_twice(device, in, out);
    device.flush();
    EXPECT_EQ(first_of(device, out), 2000 * round);
    EXPECT_TRUE(copied.reached());
  }
}

TEST(InputQueue, CopiesGoOnWhileKernelsRunAndWaitForThoseThatReadBefore) {
  Device& device = test_device();
  if (!HeldQueue::works_on(device)) GTEST_SKIP() << HeldQueue::needs;
  const auto memory = std::make_shared<PinnedMemory>(device);
  InputQueue queue(device);
  const Buffer in = device.allocate(words * sizeof(std::int32_t));
  const Buffer other = device.allocate(in.bytes()), out = device.allocate(in.bytes());
  const HostVector<std::int32_t> old = counted(memory, 7), newer = counted(memory, 4000),
                                 beside = counted(memory, 9);
  queue.hold_kernels(queue.write(in, old.data(), in.bytes()));
  HeldQueue held(device);  // before the kernel that reads `in`
  launch_twice(device, in, out);
  const Mark read = test_device().mark();
  device.flush();
  const Mark copied = queue.write(other, beside.data(), in.bytes());
  const Mark overwritten = queue.write(in, newer.data(), in.bytes(), read);
  queue.hold_kernels(overwritten);
  copied.await();  // or for ever, if it waited for the kernels
  EXPECT_FALSE(read.reached());
  EXPECT_FALSE(overwritten.reached()) << "while it was still to be read";
  held.release();
  EXPECT_EQ(first_of(device, out), 14);
  launch_twice(device, in, out);
  EXPECT_EQ(first_of(device, out), 8000);
  launch_twice(device, other, out);
  EXPECT_EQ(first_of(device, out), 18);
}

TEST(InputQueue, RefusesWhatLeavesTheBuffer) {
  Device& device = test_device();
  InputQueue queue(device);
  const Buffer buffer = device.allocate(16);
  const std::vector<std::byte> bytes(32);
  EXPECT_THROW(queue.write(buffer, bytes.data(), 17), Error);
  EXPECT_THROW(queue.write(buffer, bytes.data(), 0), Error);
  EXPECT_TRUE(Mark().reached());
  Mark().await();
  queue.hold_kernels({});
}

TEST(PinnedMemory, IsGivenToAnyThreadWhateverTheKernelsDo) {
  Device& device = test_device();
  if (!HeldQueue::works_on(device)) GTEST_SKIP() << HeldQueue::needs;
  const HostMemory memory = std::make_shared<PinnedMemory>(device);
  HeldQueue held(device);
  std::vector<HostVector<std::uint8_t>> blocks(2, HostVector<std::uint8_t>(memory));
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    threads.emplace_back([&, i] {
      for (std::size_t bytes = 1; bytes < 100'000; bytes = 2 * bytes + i) {
        HostVector<std::uint8_t> block(bytes, static_cast<std::uint8_t>(i + 1), memory);
        blocks[i] = std::move(block);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  held.release();
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(blocks[i].get_allocator().memory(), memory);
    EXPECT_GE(blocks[i].size(), 50'000u);
    EXPECT_EQ(std::ranges::count(blocks[i], static_cast<std::uint8_t>(i + 1)),
              static_cast<std::ptrdiff_t>(blocks[i].size()));
  }
}

TEST(PinnedMemory, MayOutliveItsDevice) {
  HostMemory memory;
  HostVector<std::int32_t> values;
  {
    Device device(dovetail::testing::test_device_index());
    memory = std::make_shared<PinnedMemory>(device);
    values = HostVector<std::int32_t>(1000, 3, memory);
  }
  EXPECT_EQ(std::accumulate(values.begin(), values.end(), 0), 3000);
  EXPECT_THROW(static_cast<void>(memory->allocate(8, 4096)), Error);
}

}  // namespace
}  // namespace dovetail::opencl
