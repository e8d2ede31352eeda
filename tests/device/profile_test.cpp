// A queue's commands in the timeline, told in the host's clock.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "device/opencl/hosted_buffer.hpp"
#include "device/opencl/input_queue.hpp"
#include "device/test_device.hpp"
#include "support/timeline.hpp"

namespace dovetail::opencl {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using timeline::Category;

constexpr kernels::Source counting{"counting", R"(
kernel void count(global float* values, int rounds) {
  const size_t i = get_global_id(0);
  float value = values[i];
  for (int round = 0; round < rounds; ++round) value = value * 0.5f + 1;
  values[i] = value;
})"};
constexpr kernels::Entry count_entry{&counting, "count"};

struct Seen {
  std::vector<std::string> names;
  std::vector<timeline::Span> spans;
};

Seen in_lane(const timeline::Recording& recording, const std::string& lane) {
  Seen seen;
  for (const timeline::Span& span : recording.spans) {
    if (recording.lanes[span.lane] != lane) continue;
    seen.names.push_back(recording.names[span.name]);
    seen.spans.push_back(span);
  }
  return seen;
}

class ProfileTest : public ::testing::Test {
 protected:
  ~ProfileTest() override { timeline::stop(); }
};

TEST_F(ProfileTest, CommandsLieWhereTheHostSawThem) {
  timeline::start({1, 1});
  Device device(testing::test_device_index());
  const Kernel kernel = device.build(counting).kernel(count_entry);
  const Buffer buffer = device.allocate_zeroed(4096 * sizeof(float));
  std::vector<float> values(4096);
  device.finish();

  timeline::enter_step(1);
  std::vector<std::pair<std::int64_t, std::int64_t>> host;
  const auto timed = [&](const auto& enqueue) {
    const std::int64_t begin = steady_ns();
    enqueue();
    device.finish();
    host.emplace_back(begin, steady_ns());
  };
  {
    const timeline::Part part("layer", "forward");
    timed([&] { device.launch(kernel, {{4096, 1, 1}, {64, 1, 1}}, buffer, std::int32_t{20000}); });
  }
  timed([&] { device.read(buffer, values.data(), buffer.bytes()); });
  timed([&] { device.write(buffer, values.data(), buffer.bytes()); });
  timed([&] { device.fill_zero(buffer); });
  timeline::enter_step(2);  // behind the window
  device.fill_zero(buffer);
  device.end_timeline();
  const timeline::Recording recording = timeline::stop();

  // Clocks may run apart a little between the two looks at them.
  const std::int64_t tolerance_ns = recording.uncertainty_ns + 100'000;
  const Seen seen = in_lane(recording, "OpenCL queue");
  ASSERT_THAT(seen.names, ElementsAre("count", "read", "write", "fill"));
  for (std::size_t i = 0; i < host.size(); ++i) {
    SCOPED_TRACE(seen.names[i]);
    const timeline::Span& span = seen.spans[i];
    EXPECT_GE(span.begin_ns, host[i].first - tolerance_ns);
    EXPECT_LE(span.end_ns, host[i].second + tolerance_ns);
    EXPECT_EQ(span.step, 1u);
    EXPECT_EQ(span.category, i == 0 ? Category::kernel : Category::copy);
    EXPECT_EQ(span.bytes, i == 0 ? 0 : buffer.bytes());
  }
  EXPECT_EQ(recording.names[seen.spans[0].part], "layer forward");
  EXPECT_EQ(seen.spans[1].part, 0u);
  EXPECT_GT(seen.spans[0].end_ns, seen.spans[0].begin_ns);
}

TEST_F(ProfileTest, HandedOverPartsAreCopiesOfBuckets) {
  using Way = HostedBuffer::Way;
  for (const Way way : {Way::map, Way::copy}) {
    timeline::start({1, 1});
    Device device(testing::test_device_index());
    if (way == Way::map && !device.is_cpu()) continue;
    constexpr std::size_t half = 4096;
    HostedBuffer buffer(device, 2 * half, {}, way);
    timeline::enter_step(1);
    for (int round = 0; round < 2; ++round) {
      for (const std::size_t part : {buffer.hand_over(half, half), buffer.hand_over(0, half)})
        buffer.await(part);
      buffer.give_back(1);
      buffer.give_back(0);
    }
    device.end_timeline();
    const timeline::Recording recording = timeline::stop();
    const auto buckets_of = [&](const Seen& seen) {
      std::vector<std::int32_t> buckets;
      for (const timeline::Span& span : seen.spans) {
        buckets.push_back(span.bucket);
        EXPECT_EQ(span.bytes, half);
      }
      return buckets;
    };
    if (way == Way::map) {
      const Seen seen = in_lane(recording, "OpenCL queue");
      EXPECT_THAT(seen.names,
                  ElementsAre("map", "map", "unmap", "unmap", "map", "map", "unmap", "unmap"));
      EXPECT_THAT(buckets_of(seen), ElementsAre(0, 1, 1, 0, 0, 1, 1, 0));
    } else {
      const Seen there = in_lane(recording, "OpenCL copies to the host");
      EXPECT_THAT(there.names, ElementsAre("read", "read", "read", "read"));
      EXPECT_THAT(buckets_of(there), ElementsAre(0, 1, 0, 1));
      const Seen back = in_lane(recording, "OpenCL copies to the device");
      EXPECT_THAT(back.names, ElementsAre("write", "write", "write", "write"));
      EXPECT_THAT(buckets_of(back), ElementsAre(1, 0, 1, 0));
    }
  }
}

TEST_F(ProfileTest, CopiesBesideTheKernelsHaveALaneOnTheSameClock) {
  timeline::start({1, 1});
  Device device(testing::test_device_index());
  const Kernel kernel = device.build(counting).kernel(count_entry);
  const Buffer buffer = device.allocate_zeroed(4096 * sizeof(float));
  const std::vector<float> values(4096, 1.0f);
  device.finish();
  InputQueue queue(device);
  timeline::enter_step(1);
  constexpr std::size_t steps = 20;
  Mark read;
  for (std::size_t step = 0; step < steps; ++step) {
    queue.write(buffer, values.data(), 100, read);
    queue.hold_kernels(queue.write(buffer, values.data(), buffer.bytes(), read));
    device.launch(kernel, {{4096, 1, 1}, {64, 1, 1}}, buffer, std::int32_t{200});
    read = device.mark();
    device.flush();
  }
  device.end_timeline();
  const timeline::Recording recording = timeline::stop();
  const Seen kernels = in_lane(recording, "OpenCL queue");
  const Seen copies = in_lane(recording, "OpenCL copies of input");
  ASSERT_EQ(kernels.spans.size(), steps);
  ASSERT_EQ(copies.spans.size(), 2 * steps);
  for (std::size_t step = 0; step < steps; ++step) {
    const timeline::Span &labels = copies.spans[2 * step], &images = copies.spans[2 * step + 1];
    EXPECT_EQ(copies.names[2 * step], "write");
    EXPECT_EQ(labels.bytes, 100u);
    EXPECT_EQ(images.bytes, buffer.bytes());
    EXPECT_GE(images.begin_ns, labels.end_ns) << "commands of a lane do not overlap";
    EXPECT_GE(kernels.spans[step].begin_ns, images.end_ns) << "it waited for the copy";
    if (step > 0) {
      EXPECT_GE(labels.begin_ns, kernels.spans[step - 1].end_ns) << "it waited for who read";
    }
  }
}

TEST_F(ProfileTest, ManyCommandsAreAllRecordedInOrder) {
  timeline::start({1, 1});
  Device device(testing::test_device_index());
  const Buffer buffer = device.allocate_zeroed(64);
  timeline::enter_step(1);
  constexpr std::size_t many = 3000;  // more than are kept until somebody asks
  for (std::size_t i = 0; i < many; ++i) device.fill_zero(buffer);
  device.end_timeline();
  const Seen seen = in_lane(timeline::stop(), "OpenCL queue");
  ASSERT_EQ(seen.spans.size(), many);
  for (std::size_t i = 1; i < many; ++i)
    EXPECT_GE(seen.spans[i].begin_ns, seen.spans[i - 1].end_ns);
}

TEST_F(ProfileTest, ADeviceOpenedBeforeRecordsNothing) {
  Device device(testing::test_device_index());
  timeline::start({1, 1});
  timeline::enter_step(1);
  device.allocate_zeroed(64);
  device.end_timeline();
  EXPECT_THAT(timeline::stop().spans, IsEmpty());
}

}  // namespace
}  // namespace dovetail::opencl
