// What stands behind Card, Kernel and Buffer: XRT's objects. Only the sources of this folder
// include it.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "device/xrt/card.hpp"
#include "experimental/xrt_xclbin.h"
#include "support/error.hpp"
#include "support/text.hpp"
#include "xrt/xrt_bo.h"
#include "xrt/xrt_device.h"
#include "xrt/xrt_kernel.h"

namespace dovetail::fpga {

struct CardState {
  std::string label;  // "card 0 (dovetail_emulated_card)"
  std::string lane;   // the same for timelines, which say that a card is emulated
  double timeout_s = 0;
  xrt::device device;
  xrt::xclbin xclbin;
  xrt::uuid uuid;
  std::mutex stuck_mutex;
  std::string stuck;  // what has not returned in time, and how long it had; empty: nothing

  /// Throws Error, with what is stuck and that `and_so`, where a launch has not returned.
  void expect_responsive(const std::string& and_so);
  void note_stuck(const std::string& kernel);

  /// "HBM[3]", or the number of the group where XRT has joined banks.
  std::string bank_name(int group) const;
};

/// Pages for the host copy of a buffer. XRT would take aligned_alloc with a size that C does not
/// allow it.
struct HostPages {
  explicit HostPages(std::size_t bytes);
  void* data() const { return pages_.get(); }

 private:
  std::unique_ptr<void, void (*)(void*)> pages_;
};

struct BufferState {
  std::shared_ptr<CardState> card;
  HostPages host;  // outlives `buffer`, which uses it
  xrt::bo buffer;
  int group = 0;  // XRT's number for a bank, or for banks that it has joined
};

struct ArgumentInfo {
  std::string name;
  std::string type;
  std::size_t bytes = 0;
  bool is_pointer = false;
  int group = -1;
};

struct KernelState {
  std::shared_ptr<CardState> card;
  xrt::kernel kernel;
  xrt::run run;
  std::vector<ArgumentInfo> arguments;
};

/// Runs a call into XRT; its failure becomes an Error that starts with `doing` ("card 0 (…):
/// loading …").
template <typename Call>
auto with_xrt(const std::string& doing, const std::string& remedy, Call&& call) {
  try {
    return call();
  } catch (const std::exception& failure) {
    throw Error(fmt::format("{} failed: {}", doing, failure.what()), remedy);
  }
}

/// Throws Error where the file is missing or not all there.
void expect_whole_xclbin(const std::filesystem::path& path);

/// XRT reads its environment once, when it loads its driver: tells use_emulated_cards that this has
/// happened.
void note_that_xrt_is_used();

/// True when the XRT device is one of ours.
bool is_emulated(const std::string& xrt_name);

/// What XRT tells about an opened card.
DeviceInfo describe(int index, const xrt::device& device);

}  // namespace dovetail::fpga
