// Memory, programs and launches on a real OpenCL device, and what goes wrong with them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <numeric>

#include "device/opencl/device.hpp"
#include "device/opencl/hosted_buffer.hpp"
#include "support/error.hpp"

namespace dovetail::opencl {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Device& device() {
  static Device opened(0);
  return opened;
}

constexpr kernels::Source scaling{"scaling", R"(
kernel void scale(global float* values, float factor, int count, uint unsigned_shift, ulong wide_shift) {
  const size_t i = get_global_id(0);
  if (i < count) values[i] = values[i] * factor * FACTOR + (unsigned_shift + (float)(wide_shift >> 32));
}
kernel void where(global int* places) {
  places[get_global_id(1) * get_global_size(0) + get_global_id(0)] = get_local_id(0) + 100 * get_group_id(1);
})"};
constexpr kernels::Entry scale_entry{&scaling, "scale"};
constexpr kernels::Entry where_entry{&scaling, "where"};

std::vector<float> counting(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

Buffer upload(const std::vector<float>& values) {
  return device().upload(std::span<const float>(values));
}

/// What the Error says that `action` throws.
std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(OpenclDevice, GivesBackWhatWasWritten) {
  const std::vector<float> values = counting(1000);
  const Buffer buffer = upload(values);
  EXPECT_EQ(buffer.bytes(), 4000u);
  EXPECT_EQ(device().download<float>(buffer), values);
  const float patch[] = {-1, -2};
  device().write(buffer, patch, sizeof patch, 998 * sizeof(float));
  float last[3] = {};
  device().read(buffer, last, sizeof last, 997 * sizeof(float));
  EXPECT_THAT(last, ::testing::ElementsAre(997, -1, -2));
}

TEST(OpenclDevice, ZeroedMemoryIsZero) {
  EXPECT_EQ(device().download<float>(device().allocate_zeroed(400)), std::vector<float>(100, 0.0f));
  const Buffer buffer = upload(counting(10));
  device().fill_zero(buffer);
  EXPECT_EQ(device().download<float>(buffer), std::vector<float>(10, 0.0f));
}

TEST(OpenclDevice, CopiesBetweenBuffers) {
  const Buffer source = upload(counting(100));
  const Buffer target = device().allocate_zeroed(400);
  device().copy(source, target, 200);
  std::vector<float> expected = counting(100);
  std::fill(expected.begin() + 50, expected.end(), 0.0f);
  EXPECT_EQ(device().download<float>(target), expected);
}

TEST(OpenclDevice, AccessPastTheEndIsAnError) {
  const Buffer buffer = device().allocate(100);
  const Buffer larger = device().allocate(200);
  char bytes[200] = {};
  EXPECT_THAT(error_of([&] { device().write(buffer, bytes, 101); }),
              HasSubstr("leaves a buffer of 100 bytes"));
  EXPECT_THAT(error_of([&] { device().read(buffer, bytes, 1, 100); }),
              HasSubstr("a read of 1 bytes at 100"));
  EXPECT_THROW(device().read(buffer, bytes, 2, static_cast<std::size_t>(-1)), Error);
  EXPECT_THROW(device().copy(larger, buffer, 101), Error);
  EXPECT_THROW(device().copy(buffer, larger, 101), Error);
  EXPECT_THROW(buffer.slice(0, 101), Error);
  EXPECT_THROW(buffer.slice(device().alignment() * 4, 1), Error);
}

TEST(OpenclDevice, ASliceSharesItsParentsMemoryAndKeepsItAlive) {
  const std::size_t offset = device().alignment();
  Buffer whole = device().allocate_zeroed(4 * offset);
  Buffer slice = whole.slice(offset, 2 * offset);
  EXPECT_EQ(slice.bytes(), 2 * offset);
  const float mark = 42;
  device().write(slice, &mark, sizeof mark);
  float seen = 0;
  device().read(whole, &seen, sizeof seen, offset);
  EXPECT_EQ(seen, mark);
  whole = Buffer();
  device().read(slice, &seen, sizeof seen);
  EXPECT_EQ(seen, mark);
}

TEST(OpenclDevice, AMappingIsTheBuffer) {
  const Buffer buffer = upload(counting(64));
  {
    const Mapping mapping = device().map(buffer, Access::read_write);
    const std::span<float> values = mapping.as<float>();
    ASSERT_EQ(values.size(), 64u);
    EXPECT_EQ(values[63], 63);
    values[0] = 7;
  }
  EXPECT_EQ(device().download<float>(buffer).front(), 7);
}

TEST(OpenclDevice, LaunchesWithAllKindsOfArguments) {
  const Kernel scale = device().build(scaling, {"FACTOR=2"}).kernel(scale_entry);
  EXPECT_EQ(scale.name(), "scale");
  const Buffer buffer = upload(counting(6));
  device().launch(scale, {.global = {64, 1, 1}, .local = {64, 1, 1}}, buffer, 10.0f,
                  std::int32_t{5}, std::uint32_t{3}, std::uint64_t{4} << 32);
  device().flush();
  device().finish();
  EXPECT_EQ(device().download<float>(buffer), (std::vector<float>{7, 27, 47, 67, 87, 5}));
}

TEST(OpenclDevice, DefinitionsMakeProgramsOfTheirOwn) {
  const Buffer buffer = upload({1});
  for (const char* factor : {"FACTOR=2", "FACTOR=3", "FACTOR=2"}) {
    const Kernel scale = device().build(scaling, {factor}).kernel(scale_entry);
    device().launch(scale, {}, buffer, 1.0f, std::int32_t{1}, std::uint32_t{0}, std::uint64_t{0});
  }
  EXPECT_EQ(device().download<float>(buffer), std::vector<float>{12});
}

TEST(OpenclDevice, RangesReachTheKernel) {
  const Kernel where = device().build(scaling, {"FACTOR=1"}).kernel(where_entry);
  const Buffer places = device().allocate(4 * 3 * sizeof(std::int32_t));
  device().launch(where, {.global = {4, 3, 1}, .local = {2, 1, 1}}, places);
  EXPECT_EQ(device().download<std::int32_t>(places),
            (std::vector<std::int32_t>{0, 1, 0, 1, 100, 101, 100, 101, 200, 201, 200, 201}));
}

TEST(OpenclDevice, AKernelThatDoesNotBuildShowsTheCompilersLog) {
  constexpr kernels::Source broken{
      "broken", "kernel void broken(global float* x) { x[0] = undeclared_name; }"};
  EXPECT_THROW(device().build(broken), BuildFailure);
  EXPECT_THAT(
      error_of([&] { device().build(broken, {"TILE=8"}); }),
      AllOf(HasSubstr("kernels/broken.cl"), HasSubstr("-DTILE=8"), HasSubstr("undeclared_name")));
}

TEST(OpenclDevice, AnUnknownKernelIsAnErrorThatNamesIt) {
  constexpr kernels::Entry unknown{&scaling, "unknown_kernel"};
  const Program program = device().build(scaling, {"FACTOR=1"});
  EXPECT_THAT(error_of([&] { program.kernel(unknown); }), HasSubstr("unknown_kernel"));
}

TEST(OpenclDevice, AWrongNumberOfArgumentsIsAnError) {
  const Kernel scale = device().build(scaling, {"FACTOR=2"}).kernel(scale_entry);
  const Buffer buffer = upload({1});
  EXPECT_THAT(error_of([&] { device().launch(scale, {}, buffer, 1.0f); }),
              HasSubstr("kernel scale takes 5 arguments, not 2"));
}

TEST(OpenclDevice, AnArgumentOfAnotherSizeIsAnErrorThatNamesItsPlace) {
  const Kernel scale = device().build(scaling, {"FACTOR=2"}).kernel(scale_entry);
  const Buffer buffer = upload({1});
  EXPECT_THAT(error_of([&] {
                device().launch(scale, {}, buffer, std::uint64_t{1}, std::int32_t{1},
                                std::uint32_t{0}, std::uint64_t{0});
              }),
              HasSubstr("argument 1 of kernel scale"));
}

TEST(OpenclDevice, ALaunchThatTheDeviceRefusesIsAnErrorThatNamesTheKernel) {
  const Kernel where = device().build(scaling, {"FACTOR=1"}).kernel(where_entry);
  const Buffer places = device().allocate(1024);
  EXPECT_THAT(error_of([&] {
                device().launch(where, {.global = {5, 1, 1}, .local = {2, 1, 1}}, places);
              }),
              AllOf(HasSubstr("launching kernel where"), HasSubstr(device().info().name),
                    HasSubstr(". `dovetail devices`")));
}

TEST(OpenclDevice, TooMuchMemoryIsAFailureOfItsOwnWithARemedy) {
  EXPECT_THROW(device().allocate(std::size_t{1} << 55), OutOfMemory);
  EXPECT_THROW(device().allocate_zeroed(std::size_t{1} << 55), OutOfMemory);
  EXPECT_THROW(HostedBuffer(device(), std::size_t{1} << 55, {}, HostedBuffer::Way::copy),
               OutOfMemory);
  EXPECT_THAT(error_of([] { device().allocate(std::size_t{1} << 55); }),
              AllOf(HasSubstr("cannot allocate 32768.0 TiB"), HasSubstr("smaller batch")));
}

TEST(OpenclDevice, ABufferOfNothingIsNoLackOfMemory) {
  try {
    device().allocate(0);
    FAIL() << "nothing was thrown";
  } catch (const OutOfMemory& error) {
    FAIL() << error.what();
  } catch (const Error&) {
  }
}

TEST(OpenclDevice, KnowsItsLimits) {
  EXPECT_GE(device().alignment(), 16u);
  EXPECT_EQ(device().is_cpu(), device().info().kind == DeviceKind::cpu);
}

}  // namespace
}  // namespace dovetail::opencl
