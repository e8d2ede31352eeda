// One FPGA card through Xilinx XRT: its bitstream, buffers in its memory banks, and kernel runs with a timeout.
//
// No xrt/ header is needed here. In a build without XRT the same interface stands, and every call says what is missing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
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

/// True when this host has a board (the kernel driver lists one) or the user chose an XRT with XILINX_XRT.
bool host_has_card();

/// Makes XRT load the emulated card with `count` cards from now on. Call before the first XRT call of the process.
void use_emulated_cards(int count);

/// Every card that XRT shows in this process. Empty without XRT or without cards.
std::vector<DeviceInfo> list_cards();

/// The xclbin that this build made for a kernel family ("int8") and backend. Throws Error where there is none.
std::filesystem::path find_xclbin(const std::string& family, Backend backend);

class Card;

/// Memory in the bank that one kernel argument is connected to. Host and card copies are apart: `write` and `read`
/// include the transfer.
class Buffer {
 public:
  std::size_t bytes() const { return bytes_; }
  void write(const void* source, std::size_t bytes, std::size_t offset = 0);
  void read(void* target, std::size_t bytes, std::size_t offset = 0);

 private:
  friend class Card;
  friend class Kernel;
  std::shared_ptr<void> buffer_;  // xrt::bo
  std::size_t bytes_ = 0;
  std::string card_;
};

/// A kernel of the loaded xclbin, run with arguments in its order: Buffers, or 32-bit or 64-bit scalars.
class Kernel {
 public:
  /// Starts a run with all arguments and waits for it. Throws Error naming card, kernel and seconds when it fails or has not
  /// returned within the timeout. The number of arguments is checked.
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
    requires std::is_integral_v<T>
  void set(int position, T value) {
    set_scalar(position, &value, sizeof value);
  }
  void set_scalar(int position, const void* value, std::size_t bytes);
  void finish();

  std::shared_ptr<void> kernel_;
  std::string name_;
};

class Card {
 public:
  /// Opens card `index` and loads an xclbin. Throws Error naming card and file.
  Card(int index, const std::filesystem::path& xclbin, double timeout_s = 30);
  ~Card();
  Card(const Card&) = delete;
  Card& operator=(const Card&) = delete;

  const DeviceInfo& info() const { return info_; }
  /// Throws Error when the xclbin has no such kernel ("the xclbin was built for other kernels").
  Kernel kernel(const std::string& name);
  /// Memory in the bank of argument `argument` of `kernel`. Throws Error when the card's bank is full.
  Buffer allocate(std::size_t bytes, const Kernel& kernel, int argument);

 private:
  struct Handles;
  DeviceInfo info_;
  std::unique_ptr<Handles> handles_;
};

}  // namespace dovetail::fpga
