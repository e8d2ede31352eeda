// The FPGA side of a build without Xilinx XRT: no card, and every use of one says why.
#include "device/xrt/card.hpp"
#include "support/error.hpp"

namespace dovetail::fpga {

struct CardState {};
struct BufferState {};
struct KernelState {};

namespace {

[[noreturn]] void refuse() {
  throw Error("this build has no Xilinx XRT, so it has no FPGA side",
              "Install XRT (Debian: libxrt-dev) and build again, or run with --fpga-ranks 0");
}

}  // namespace

bool built_with_xrt() {
  return false;
}
bool built_with_emulated_card() {
  return false;
}
bool host_has_card() {
  return false;
}
std::vector<DeviceInfo> list_cards() {
  return {};
}

void use_emulated_cards(int /*count*/) {
  refuse();
}
std::filesystem::path find_xclbin(const std::string& /*family*/, Backend /*backend*/) {
  refuse();
}

Card::Card(int /*index*/, const std::filesystem::path& /*xclbin*/, double /*timeout_s*/) {
  refuse();
}
Card::~Card() = default;
void Card::load(const std::filesystem::path& /*xclbin*/) {
  refuse();
}
Kernel Card::kernel(const std::string& /*name*/) {
  refuse();
}
Buffer Card::allocate(std::size_t /*bytes*/, const Kernel& /*kernel*/, int /*argument*/) {
  refuse();
}

void Buffer::write(const void* /*source*/, std::size_t /*bytes*/, std::size_t /*offset*/) {
  refuse();
}
void Buffer::read(void* /*target*/, std::size_t /*bytes*/, std::size_t /*offset*/) {
  refuse();
}

void Buffer::read_checked(void* /*target*/, std::size_t /*bytes*/, std::size_t /*offset*/) {
  refuse();
}

void Kernel::begin(std::size_t /*arguments*/) {
  refuse();
}
void Kernel::set(int /*position*/, const Buffer& /*buffer*/) {
  refuse();
}
void Kernel::set_scalar(int /*position*/, const void* /*value*/, std::size_t /*bytes*/) {
  refuse();
}
void Kernel::finish() {
  refuse();
}

}  // namespace dovetail::fpga
