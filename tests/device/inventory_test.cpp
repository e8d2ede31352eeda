// The list of OpenCL devices, and hosts that lack what is asked for.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "device/opencl/device.hpp"
#include "support/error.hpp"

namespace dovetail::opencl {
namespace {

/// These tests change what the OpenCL loader reads once per process: each runs in a process of its
/// own.
class OpenclInventoryDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST(OpenclInventory, DescribesEveryDevice) {
  const std::vector<DeviceInfo> devices = list_devices();
  ASSERT_FALSE(devices.empty()) << "these tests need an OpenCL device, for example PoCL";
  for (std::size_t i = 0; i < devices.size(); ++i) {
    EXPECT_EQ(devices[i].index, static_cast<int>(i));
    EXPECT_FALSE(devices[i].name.empty());
    EXPECT_FALSE(devices[i].platform.empty());
    EXPECT_FALSE(devices[i].driver.empty());
    EXPECT_GT(devices[i].memory_bytes, 0u);
    EXPECT_GT(devices[i].compute_units, 0);
  }
}

TEST(OpenclInventory, ADeviceThatIsNotThereIsAnError) {
  const int count = static_cast<int>(list_devices().size());
  for (const int index : {-1, count, count + 7}) {
    try {
      const Device absent(index);
      FAIL() << "opened device " << index;
    } catch (const Error& error) {
      EXPECT_NE(
          std::string(error.what()).find("there is no OpenCL device " + std::to_string(index)),
          std::string::npos);
    }
  }
}

[[noreturn]] void open_without_a_platform() {
  setenv("OCL_ICD_VENDORS", "/nonexistent", 1);
  const bool empty = list_devices().empty();
  try {
    const Device device(0);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    ::_exit(empty ? 3 : 4);
  }
  ::_exit(0);
}

TEST_F(OpenclInventoryDeathTest, AHostWithoutAPlatformIsAnErrorWithARemedy) {
  EXPECT_EXIT(open_without_a_platform(), ::testing::ExitedWithCode(3),
              "no OpenCL platform.*pocl-opencl-icd");
}

/// Exits with the number of threads of the first CPU device; 100 where there is none that PoCL
/// drives.
[[noreturn]] void count_threads(const char* set_by_user) {
  if (set_by_user != nullptr) setenv("POCL_MAX_PTHREAD_COUNT", set_by_user, 1);
  limit_cpu_threads(1);
  for (const DeviceInfo& info : list_devices()) {
    if (info.platform == "Portable Computing Language") ::_exit(info.compute_units);
  }
  ::_exit(100);
}

TEST_F(OpenclInventoryDeathTest, CpuThreadsAreLimited) {
  EXPECT_EXIT(
      count_threads(nullptr),
      [](int status) { return WEXITSTATUS(status) == 1 || WEXITSTATUS(status) == 100; }, "");
}

/// Exits like count_threads, but lists the GPUs first: 0 where one of them is PoCL's or no GPU.
[[noreturn]] void list_gpus_first() {
  for (const DeviceInfo& info : list_gpus()) {
    if (info.kind != DeviceKind::gpu || info.platform == "Portable Computing Language") ::_exit(0);
  }
  count_threads(nullptr);
}

TEST_F(OpenclInventoryDeathTest, GpusAreListedBeforeCpuThreadsAreLimited) {
  EXPECT_EXIT(
      list_gpus_first(),
      [](int status) { return WEXITSTATUS(status) == 1 || WEXITSTATUS(status) == 100; }, "");
}

TEST_F(OpenclInventoryDeathTest, TheUsersLimitOfCpuThreadsStands) {
  EXPECT_EXIT(
      count_threads("2"), [](int status) { return WEXITSTATUS(status) != 1; }, "");
}

}  // namespace
}  // namespace dovetail::opencl
