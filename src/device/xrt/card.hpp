// One FPGA card through Xilinx XRT: its bitstream, buffers in its memory banks, and kernel runs
// with a timeout.
//
// No xrt/ header is needed here. In a build without XRT the same interface stands, and every call
// says what is missing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "device/device_info.hpp"

namespace dovetail::fpga {

/// Where the FPGA ranks' cards come from.
enum class Backend { card, emulated };

/// True when this build has XRT at all.
bool built_with_xrt();
/// True when this build also has the emulated card.
bool built_with_emulated_card();

/// True when this host has a board (the kernel driver lists one) or the user chose an XRT with
/// XILINX_XRT.
bool host_has_card();

/// Makes XRT load the emulated card with `count` cards from now on. Call before the first XRT call
/// of the process: throws Error when XRT has another driver already, or where the emulated card's
/// folder is missing. The folder is `card` next to the program; DOVETAIL_CARD_FOLDER names another.
void use_emulated_cards(int count);

/// Every card that XRT shows in this process. Empty without XRT or without cards. How much memory a
/// card has is known once an xclbin is loaded (Card::info); here it is 0.
std::vector<DeviceInfo> list_cards();

/// The xclbin for a kernel family ("int8") and backend: for the emulated card the one that this
/// build made, for a real one the file that DOVETAIL_XCLBIN names, or FAMILY.xclbin in the folder
/// that it names or in card/xclbin next to the program. Throws Error where there is none.
std::filesystem::path find_xclbin(const std::string& family, Backend backend);

class Card;
struct CardState;
struct BufferState;
struct KernelState;

/// Memory in the bank that one kernel argument is connected to. Host and card copies are apart:
/// `write` and `read` include the transfer. Both throw Error when they leave the buffer or the
/// transfer fails.
class Buffer {
 public:
  std::size_t bytes() const { return bytes_; }
  void write(const void* source, std::size_t bytes, std::size_t offset = 0);
  void read(void* target, std::size_t bytes, std::size_t offset = 0);
  /// Transfers twice and compares: throws Error where the two differ. For small results that
  /// nothing else protects.
  void read_checked(void* target, std::size_t bytes, std::size_t offset = 0);

 private:
  friend class Card;
  friend class Kernel;
  std::shared_ptr<BufferState> state_;
  std::size_t bytes_ = 0;
};

/// A kernel of the loaded xclbin, run with arguments in its order: Buffers, or scalars of the
/// declared size.
///
/// One Kernel, and its copies, run one launch at a time. To keep several compute units at work,
/// give each thread a Kernel of its own (Card::kernel): every launch goes to a unit that is free.
class Kernel {
 public:
  /// Starts a run with all arguments and waits for it. Throws Error naming card, kernel and seconds
  /// when it fails or has not returned within the timeout. Number, kind, size and memory bank of
  /// the arguments are checked.
  template <typename... Arguments>
  void run(const Arguments&... arguments) {
    begin(sizeof...(arguments));
    int position = 0;
    (set(position++, arguments), ...);
    finish();
  }
  const std::string& name() const { return name_; }

 private:
  friend class Card;
  void begin(std::size_t arguments);
  void set(int position, const Buffer& buffer);
  template <typename T>
  requires std::is_arithmetic_v<T>
  void set(int position, T value) { set_scalar(position, &value, sizeof value); }
  void set_scalar(int position, const void* value, std::size_t bytes);
  void finish();

  std::shared_ptr<KernelState> state_;
  std::string name_;
};

/// After a launch that did not return in time, the card stays open until the process ends: XRT has
/// no way to take a launch back. Every further launch on it throws Error at once.
class Card {
 public:
  /// Opens card `index` and loads an xclbin. Throws Error naming card and file.
  Card(int index, const std::filesystem::path& xclbin, double timeout_s = 30);
  ~Card();
  Card(const Card&) = delete;
  Card& operator=(const Card&) = delete;

  /// Loads another xclbin in place of the one before. Its kernels and buffers must be gone. The
  /// device stays open: XRT 2.13 leaves a monitor thread behind for every device that is closed,
  /// and may have it serve, deaf, a device that is opened later.
  void load(const std::filesystem::path& xclbin);

  const DeviceInfo& info() const { return info_; }
  /// Throws Error when the xclbin has no such kernel ("it was built for other kernels").
  Kernel kernel(const std::string& name);
  /// Memory in the bank of argument `argument` of `kernel`. Throws Error when the card's bank is
  /// full.
  Buffer allocate(std::size_t bytes, const Kernel& kernel, int argument);

 private:
  DeviceInfo info_;
  std::shared_ptr<CardState> state_;
};

}  // namespace dovetail::fpga
