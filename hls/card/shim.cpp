// The functions that XRT's front library calls on a card it has opened: its shim API (xrt.h), for
// the emulated card.
//
// unsupported.cpp has those that no card of ours needs.
#include "card/shim.hpp"

#include <cstdio>
#include <cstring>

// Internal to XRT, exported by libxrt_coreutil and libxrt_swemu.a.
namespace xrt_core {
class device {
 public:
  void register_axlf(const axlf* xclbin);
};
std::shared_ptr<device> get_userpf_device(void* handle);
namespace swemu {
std::shared_ptr<device> get_userpf_device(void* handle, unsigned index);
}
}  // namespace xrt_core

namespace dovetail::card {

void complain(const std::string& reason) {
  std::fprintf(stderr, "emulated card: %s\n", reason.c_str());
}

namespace {

constexpr const char* card_name = "dovetail_emulated_card";

unsigned allocate(xclDeviceHandle handle, std::size_t bytes, unsigned flags, void* user_memory) {
  const int result = across_border(
      [&] { return static_cast<int>(handle_of(handle).card.allocate(bytes, flags, user_memory)); });
  return result < 0 ? NULLBO : static_cast<unsigned>(result);
}

}  // namespace
}  // namespace dovetail::card

using dovetail::card::across_border;
using dovetail::card::Direction;
using dovetail::card::Handle;
using dovetail::card::handle_of;
using dovetail::card::Refusal;

extern "C" {

unsigned xclProbe() {
  const int count = across_border([] { return static_cast<int>(dovetail::card::card_count()); });
  return count < 0 ? 0 : static_cast<unsigned>(count);
}

xclDeviceHandle xclOpen(unsigned index, const char*, xclVerbosityLevel) {
  if (index >= xclProbe()) return nullptr;
  std::unique_ptr<Handle> handle;
  across_border([&] {
    handle = std::make_unique<Handle>();
    handle->device = xrt_core::swemu::get_userpf_device(handle.get(), index);
    return 0;
  });
  return handle != nullptr && handle->device != nullptr ? handle.release() : nullptr;
}

void xclClose(xclDeviceHandle handle) {
  delete &handle_of(handle);
}

int xclLoadXclBin(xclDeviceHandle handle, const axlf* xclbin) {
  return across_border([&] {
    handle_of(handle).card.load(xclbin);
    xrt_core::get_userpf_device(handle)->register_axlf(xclbin);
    return 0;
  });
}

int xclGetDeviceInfo2(xclDeviceHandle, xclDeviceInfo2* info) {
  *info = {};
  info->mMagic = 0x586C0C6C;
  std::strncpy(info->mName, dovetail::card::card_name, sizeof info->mName - 1);
  info->mDataAlignment = 4096;
  info->mNumCDMA = 1;  // copies between buffers stay on the card
  info->mOCLFrequency[0] = 300;
  return 0;
}

int xclOpenContext(xclDeviceHandle handle, const xuid_t, unsigned unit, bool) {
  return across_border([&] { return handle_of(handle).card.open_context(unit), 0; });
}

int xclCloseContext(xclDeviceHandle handle, const xuid_t, unsigned unit) {
  return across_border([&] { return handle_of(handle).card.close_context(unit), 0; });
}

xclBufferHandle xclAllocBO(xclDeviceHandle handle, size_t bytes, int, unsigned flags) {
  return dovetail::card::allocate(handle, bytes, flags, nullptr);
}

xclBufferHandle xclAllocUserPtrBO(xclDeviceHandle handle, void* memory, size_t bytes,
                                  unsigned flags) {
  return dovetail::card::allocate(handle, bytes, flags, memory);
}

void xclFreeBO(xclDeviceHandle handle, xclBufferHandle buffer) {
  across_border([&] { return handle_of(handle).card.free(buffer), 0; });
}

void* xclMapBO(xclDeviceHandle handle, xclBufferHandle buffer, bool) {
  void* address = nullptr;
  across_border([&] { return address = handle_of(handle).card.find(buffer)->host(), 0; });
  return address;
}

int xclUnmapBO(xclDeviceHandle, xclBufferHandle, void*) {
  return 0;
}

int xclSyncBO(xclDeviceHandle handle, xclBufferHandle buffer, xclBOSyncDirection direction,
              size_t bytes, size_t offset) {
  return across_border([&] {
    if (direction != XCL_BO_SYNC_BO_TO_DEVICE && direction != XCL_BO_SYNC_BO_FROM_DEVICE) {
      throw Refusal(EINVAL, "a buffer can be synchronised to or from the card only");
    }
    const auto way =
        direction == XCL_BO_SYNC_BO_TO_DEVICE ? Direction::to_card : Direction::to_host;
    return handle_of(handle).card.sync(buffer, way, bytes, offset), 0;
  });
}

int xclCopyBO(xclDeviceHandle handle, xclBufferHandle target, xclBufferHandle source, size_t bytes,
              size_t target_offset, size_t source_offset) {
  return across_border([&] {
    return handle_of(handle).card.copy(target, source, bytes, target_offset, source_offset), 0;
  });
}

int xclGetBOProperties(xclDeviceHandle handle, xclBufferHandle buffer,
                       xclBOProperties* properties) {
  return across_border([&] {
    const auto found = handle_of(handle).card.find(buffer);
    *properties = {};
    properties->handle = buffer;
    properties->flags = found->flags();
    properties->size = found->bytes();
    properties->paddr = found->address;
    return 0;
  });
}

int xclExecBuf(xclDeviceHandle handle, xclBufferHandle command) {
  return across_border([&] { return handle_of(handle).card.execute(command), 0; });
}

int xclExecWait(xclDeviceHandle handle, int timeout_ms) {
  return across_border([&] { return handle_of(handle).card.wait_for_end(timeout_ms) ? 1 : 0; });
}

}  // extern "C"
