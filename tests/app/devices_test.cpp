// The table and the JSON behind `dovetail devices`, on this host's devices and on invented ones.
#include "app/devices.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "device/xrt/card.hpp"
#include "support/error.hpp"
#include "support/scoped_variable.hpp"

namespace dovetail::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

DeviceInfo gpu() {
  return {.kind = DeviceKind::gpu,
          .index = 1,
          .name = "NVIDIA H200",
          .platform = "NVIDIA CUDA",
          .driver = "570.1",
          .address = "0000:17:00.0",
          .memory_bytes = std::uint64_t{139} << 30,
          .compute_units = 132,
          .unusable = ""};
}

TEST(Devices, OfThisHostAreListedWithTheEmulatedCardInPlaceOfAMissingOne) {
  const bool emulated = !fpga::host_has_card() && fpga::built_with_emulated_card();
  const std::vector<DeviceInfo> devices = list_all_devices();
  const auto count = [&](DeviceKind kind) {
    return std::count_if(devices.begin(), devices.end(),
                         [&](const DeviceInfo& d) { return d.kind == kind; });
  };
  EXPECT_GE(count(DeviceKind::gpu) + count(DeviceKind::cpu), 1) << "this host has no OpenCL device";
  EXPECT_EQ(count(DeviceKind::emulated_fpga), emulated ? 1 : 0);
  for (const DeviceInfo& device : devices) {
    EXPECT_FALSE(device.name.empty());
    EXPECT_FALSE(device.platform.empty()) << device.name;
  }
}

TEST(Devices, AppearAsAnAlignedTable) {
  DeviceInfo card;
  card.kind = DeviceKind::emulated_fpga;
  card.name = "dovetail";
  card.platform = "XRT";
  DeviceInfo broken = gpu();
  broken.unusable = "its driver has no compiler";
  EXPECT_EQ(
      devices_text({gpu(), broken, card}),
      "kind           device          platform     driver  address       memory     units  usable\n"
      "GPU            1: NVIDIA H200  NVIDIA CUDA  570.1   0000:17:00.0  139.0 GiB    132  yes\n"
      "GPU            1: NVIDIA H200  NVIDIA CUDA  570.1   0000:17:00.0  139.0 GiB    132  "
      "no: its driver has no compiler\n"
      "emulated FPGA  0: dovetail     XRT          -       -             -              -  "
      "yes, where there is no card");
}

TEST(Devices, AreListedWithWhatTheirInstructionsAreRestrictedTo) {
  EXPECT_THAT(devices_text({gpu()}), Not(HasSubstr("DOVETAIL_INSTRUCTIONS")));
  const auto text_where = [](const char* words) {
    const ScopedVariable allowed("DOVETAIL_INSTRUCTIONS", words);
    return devices_text({gpu()});
  };
  const std::string some = text_where("async_copy,mma"), none = text_where("none");
  EXPECT_THAT(some, HasSubstr("\nDOVETAIL_INSTRUCTIONS leaves NVIDIA GPUs cp.async, mma.sync"));
  EXPECT_THAT(none, HasSubstr("\nDOVETAIL_INSTRUCTIONS leaves NVIDIA GPUs nothing"));
}

TEST(Devices, ThatAreMissingOrUnusableAreExplained) {
  EXPECT_THAT(devices_text({}),
              HasSubstr("GPU ranks cannot run here: no usable OpenCL GPU or CPU. Install"));
  EXPECT_THAT(devices_text({}), HasSubstr("FPGA ranks cannot run here: no usable FPGA card"));
  EXPECT_THAT(devices_text({gpu()}), Not(HasSubstr("GPU ranks cannot")));
  DeviceInfo broken = gpu();
  broken.unusable = "its driver has no compiler";
  EXPECT_THAT(devices_text({broken}), HasSubstr("GPU ranks cannot run here"));
}

TEST(Devices, AreWrittenAsJson) {
  const std::filesystem::path file = std::filesystem::path(::testing::TempDir()) / "devices.json";
  report_devices(file.string());
  std::ifstream stream(file);
  const Json written = Json::parse(stream);
  EXPECT_EQ(written, devices_json(list_all_devices()));
  std::filesystem::remove(file);

  const Json one = devices_json({gpu()})[0];
  EXPECT_EQ(one["kind"], "GPU");
  EXPECT_EQ(one["memory_bytes"], std::uint64_t{139} << 30);
  EXPECT_EQ(one["usable"], true);
  EXPECT_EQ(one["unusable_because"], "");
  EXPECT_EQ(one.size(), 10U);
}

TEST(Devices, JsonThatCannotBeWrittenIsAnErrorNamingTheFile) {
  try {
    report_devices("/no/such/folder/devices.json");
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("/no/such/folder/devices.json"));
  }
}

}  // namespace
}  // namespace dovetail::app
