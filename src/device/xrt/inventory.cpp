// Finds cards and the files that they need, and chooses between real and emulated ones.
#include <cstdlib>
#include <mutex>

#include "device/xrt/state.hpp"
#include "experimental/xrt_system.h"
#include "support/log.hpp"
#include "version.h"

namespace dovetail::fpga {
namespace {

namespace fs = std::filesystem;

constexpr const char* emulated_name = "dovetail_emulated_card";

struct Driver {
  std::mutex mutex;
  bool loaded = false;    // XRT has read its environment
  bool emulated = false;  // use_emulated_cards was called
};

Driver& driver() {
  static Driver one;
  return one;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

bool folder_has_entries(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    // A bound device is a link named by its PCI address, "0000:3b:00.1".
    if (entry.path().filename().string().find(':') != std::string::npos) return true;
  }
  return false;
}

/// The folder with the emulated card and the xclbins: `card` next to the program, or next to its
/// folder (as for the programs in a build's tests/), or where an installation has it.
fs::path card_folder() {
  const std::string chosen = environment("DOVETAIL_CARD_FOLDER");
  if (!chosen.empty()) return fs::absolute(chosen);
  const fs::path beside = fs::read_symlink("/proc/self/exe").parent_path();
  for (const fs::path& folder : {beside / "card", beside.parent_path() / "card",
                                 beside.parent_path() / "lib/dovetail/card"}) {
    if (fs::is_directory(folder)) return folder;
  }
  return beside / "card";
}

int count_cards() {
  try {
    return static_cast<int>(xrt::system::enumerate_devices());
  } catch (const std::exception& failure) {
    log::warn(fmt::format("XRT cannot list its cards: {}", failure.what()));
    return 0;
  }
}

}  // namespace

bool built_with_xrt() {
  return true;
}

bool host_has_card() {
  if (!environment("XILINX_XRT").empty() && !driver().emulated) return true;
  return folder_has_entries("/sys/bus/pci/drivers/xocl") ||
         folder_has_entries("/sys/bus/pci/drivers/xclmgmt");
}

void note_that_xrt_is_used() {
  const std::lock_guard lock(driver().mutex);
  driver().loaded = true;
}

bool is_emulated(const std::string& xrt_name) {
  return xrt_name == emulated_name;
}

void use_emulated_cards(int count) {
  if (!built_with_emulated_card()) {
    throw Error("this build has no emulated card: it fits XRT 2.13 alone",
                "Use real cards, or build with that XRT");
  }
  const std::lock_guard lock(driver().mutex);
  if (driver().loaded && !driver().emulated) {
    throw Error(
        "XRT has loaded another driver already, so the emulated card cannot be used in this "
        "process");
  }
  const fs::path folder = card_folder();
  if (!fs::exists(folder / "lib" / "libxrt_core.so.2")) {
    throw Error(fmt::format("the emulated card is not in {}", folder.string()),
                "Build the project, or name its folder with DOVETAIL_CARD_FOLDER");
  }
  setenv("XILINX_XRT", folder.c_str(), 1);
  setenv("DOVETAIL_EMULATED_CARDS", std::to_string(count).c_str(), 1);
  unsetenv("XCL_EMULATION_MODE");  // with it XRT would load an emulation of its own
  driver().emulated = true;
}

DeviceInfo describe(int index, const xrt::device& device) {
  DeviceInfo info;
  info.index = index;
  info.platform = "XRT";
  info.name = device.get_info<xrt::info::device::name>();
  info.driver = fmt::format("XRT {}", xrt_build_version);
  if (is_emulated(info.name)) {
    info.kind = DeviceKind::emulated_fpga;
    info.address = fmt::format("emulated:{}", index);
  } else {
    info.kind = DeviceKind::fpga;
    info.address = device.get_info<xrt::info::device::bdf>();
  }
  return info;
}

std::vector<DeviceInfo> list_cards() {
  if (!host_has_card() && !driver().emulated)
    return {};  // XRT would fail to find a driver, and say so
  note_that_xrt_is_used();
  std::vector<DeviceInfo> cards;
  const int counted = count_cards();
  for (int index = 0;; ++index) {
    DeviceInfo info;
    try {
      info = describe(index, xrt::device(static_cast<unsigned>(index)));
    } catch (const std::exception& failure) {
      // XRT's classes for emulated cards count none, so the first one that does not open ends the
      // list.
      if (index >= counted) return cards;
      info.kind = DeviceKind::fpga;
      info.index = index;
      info.platform = "XRT";
      info.unusable = failure.what();
    }
    cards.push_back(info);
  }
}

fs::path find_xclbin(const std::string& family, Backend backend) {
  if (backend == Backend::emulated) {
    const fs::path file = card_folder() / "xclbin" / (family + ".emulated.xclbin");
    if (fs::is_regular_file(file)) return file;
    throw Error(fmt::format("there is no xclbin {}", file.string()),
                "Build the project with XRT 2.13, or name the folder with DOVETAIL_CARD_FOLDER");
  }
  const std::string chosen = environment("DOVETAIL_XCLBIN");
  fs::path file = chosen.empty() ? card_folder() / "xclbin" : fs::path(chosen);
  if (chosen.empty() || fs::is_directory(file)) file /= family + ".xclbin";
  if (fs::is_regular_file(file)) return file;
  throw Error(
      fmt::format("there is no xclbin {}", file.string()),
      "Build it with v++ for your card, and name the file or its folder with DOVETAIL_XCLBIN");
}

}  // namespace dovetail::fpga
