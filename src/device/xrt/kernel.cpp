// Checks a launch's arguments, starts it, and waits for it with a limit.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <mutex>
#include <optional>

#include "device/xrt/state.hpp"
#include "support/activity.hpp"
#include "support/timeline.hpp"

namespace dovetail::fpga {
namespace {

std::string argument_text(const KernelState& state, const std::string& kernel, int position) {
  const ArgumentInfo& argument = state.arguments[static_cast<std::size_t>(position)];
  return fmt::format("{}: argument {} ({}) of kernel {}", state.card->label, position,
                     argument.name, kernel);
}

/// Keeps the XRT objects of a launch that did not return: XRT would free memory that the card still
/// writes to.
void keep_for_good(std::shared_ptr<KernelState> state) {
  static std::mutex mutex;
  static auto* kept =
      new std::vector<std::shared_ptr<KernelState>>;  // outlives the process's static destruction
  const std::lock_guard lock(mutex);
  kept->push_back(std::move(state));
}

template <typename T>
void set_register(xrt::run& run, int position, const void* value) {
  T copy;
  std::memcpy(&copy, value, sizeof copy);
  run.set_arg(position, copy);
}

/// When a launch was where, as XRT's driver notes it behind the launch's packet if that asks for it
/// (ert.h), in CLOCK_MONOTONIC, which is steady_clock (kds_command.c: ktime_get).
class LaunchTimes {
 public:
  /// Asks for them. Nothing where the packet has no room for them.
  explicit LaunchTimes(const xrt::run& run) {
    constexpr std::size_t packet_bytes = 4096;  // that XRT allocates
    auto* packet = reinterpret_cast<ert_start_kernel_cmd*>(run.get_ert_packet());
    if (packet == nullptr) return;
    // Whoever ran the launch before has written its state there last.
    const std::atomic_ref<std::uint32_t> header(packet->header);
    ert_start_kernel_cmd asking{};
    asking.header = header.load(std::memory_order_acquire);
    if (asking.opcode != ERT_START_CU) return;
    cu_cmd_state_timestamps* times = ert_start_kernel_timestamps(packet);
    if (reinterpret_cast<std::byte*>(times + 1) - reinterpret_cast<std::byte*>(packet) >
        static_cast<std::ptrdiff_t>(packet_bytes))
      return;
    times_ = times;
    *times_ = {};
    asking.stat_enabled = 1;
    header.store(asking.header, std::memory_order_release);
  }
  /// 0 where nobody has noted it.
  std::int64_t at(ert_cmd_state state) const {
    if (times_ == nullptr) return 0;
    return static_cast<std::int64_t>(
        std::atomic_ref(times_->skc_timestamps[state]).load(std::memory_order_acquire));
  }

 private:
  cu_cmd_state_timestamps* times_ = nullptr;
};

/// Waits for the end of a launch, or for `timeout`.
///
/// Looks at the launch's state every now and then by itself: it may have ended without XRT's wait
/// hearing of it. An interrupt can be lost. And XRT 2.13 (kds.cpp) lets a thread skip its wait for
/// a card if another has waited there since, which it tells by comparing the card's count of waits
/// with one that the thread keeps for all cards: where the two happen to be equal, it sleeps for an
/// end that the other thread was told of.
ert_cmd_state wait_for(xrt::run& run, std::chrono::milliseconds timeout) {
  constexpr std::chrono::milliseconds between_looks(20);
  const auto end = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    // At the end once more, as XRT looks at the state before it waits. 0 would be without a limit.
    const ert_cmd_state state =
        run.wait(std::clamp(left, std::chrono::milliseconds(1), between_looks));
    if (state != ERT_CMD_STATE_TIMEOUT || left.count() <= 0) return state;
    if (run.state() == ERT_CMD_STATE_TIMEOUT) return state;  // by a limit of the driver's
  }
}

const char* meaning(ert_cmd_state state) {
  switch (state) {
    case ERT_CMD_STATE_ERROR:
      return "the card reports an error";
    case ERT_CMD_STATE_ABORT:
      return "it was aborted";
    case ERT_CMD_STATE_NORESPONSE:
      return "the card does not respond";
    default:
      return "the card reports an unexpected state";
  }
}

}  // namespace

void Kernel::begin(std::size_t arguments) {
  state_->card->expect_responsive(fmt::format(", so kernel {} is not started", name_));
  if (arguments != state_->arguments.size()) {
    throw Error(fmt::format("{}: kernel {} takes {} arguments, not {}", state_->card->label, name_,
                            state_->arguments.size(), arguments));
  }
}

void Kernel::set(int position, const Buffer& buffer) {
  const ArgumentInfo& argument = state_->arguments[static_cast<std::size_t>(position)];
  if (!argument.is_pointer) {
    throw Error(fmt::format("{} is a {}, not a buffer", argument_text(*state_, name_, position),
                            argument.type));
  }
  if (buffer.state_ == nullptr || buffer.state_->card != state_->card) {
    throw Error(fmt::format("{}: the buffer is not one of this card",
                            argument_text(*state_, name_, position)));
  }
  // XRT itself would warn, and compute on a copy of its own.
  if (buffer.state_->group != argument.group) {
    throw Error(fmt::format("{} is connected to {}, the buffer is in {}",
                            argument_text(*state_, name_, position),
                            state_->card->bank_name(argument.group),
                            state_->card->bank_name(buffer.state_->group)),
                "Allocate it for this argument");
  }
  with_xrt(argument_text(*state_, name_, position), "",
           [&] { state_->run.set_arg(position, buffer.state_->buffer); });
}

void Kernel::set_scalar(int position, const void* value, std::size_t bytes) {
  const ArgumentInfo& argument = state_->arguments[static_cast<std::size_t>(position)];
  if (argument.is_pointer || argument.bytes != bytes) {
    throw Error(fmt::format("{} is a {}, not a number of {} bytes",
                            argument_text(*state_, name_, position), argument.type, bytes));
  }
  with_xrt(argument_text(*state_, name_, position), "", [&] {
    switch (bytes) {
      case 1:
        return set_register<std::uint8_t>(state_->run, position, value);
      case 2:
        return set_register<std::uint16_t>(state_->run, position, value);
      case 4:
        return set_register<std::uint32_t>(state_->run, position, value);
      default:
        return set_register<std::uint64_t>(state_->run, position, value);
    }
  });
}

void Kernel::finish() {
  const double timeout_s = state_->card->timeout_s;
  const std::string remedy = "Look at the lines above for the card's reason";
  const auto timeout = std::chrono::milliseconds(std::max(1L, std::lround(timeout_s * 1000)));
  timeline::Scope scope(state_->card->lane, timeline::Category::kernel, name_);
  std::optional<LaunchTimes> times;
  if (timeline::detailed()) times.emplace(state_->run);
  const activity::During during(activity::Call::run_kernel);
  const ert_cmd_state ended =
      with_xrt(fmt::format("{}: kernel {}", state_->card->label, name_), remedy, [&] {
        state_->run.start();
        return wait_for(state_->run, timeout);
      });
  if (times) scope.took_place(times->at(ERT_CMD_STATE_RUNNING), times->at(ERT_CMD_STATE_COMPLETED));
  if (ended == ERT_CMD_STATE_COMPLETED) return;
  if (ended == ERT_CMD_STATE_TIMEOUT) {
    keep_for_good(state_);
    state_->card->note_stuck(name_);
    state_->card->expect_responsive("");
  }
  throw Error(fmt::format("{}: kernel {} failed: {} (state {})", state_->card->label, name_,
                          meaning(ended), static_cast<int>(ended)),
              remedy);
}

}  // namespace dovetail::fpga
