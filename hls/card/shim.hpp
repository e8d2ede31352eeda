// The handle behind XRT's xclDeviceHandle, and how C++ failures cross its C border.
#pragma once

#include <cerrno>
#include <exception>
#include <memory>

#include "card/emulated_card.hpp"
#include "card/refusal.hpp"
#include "xrt.h"

namespace xrt_core {
class device;
}

namespace dovetail::card {

struct Handle {
  EmulatedCard card;
  std::shared_ptr<xrt_core::device> device;  // XRT keeps no more than a weak reference to it
};

inline Handle& handle_of(xclDeviceHandle handle) {
  return *static_cast<Handle*>(handle);
}

/// The result of `call`, or minus the errno of its failure after one line on standard error.
template <typename Call>
auto across_border(Call&& call) -> decltype(call()) {
  try {
    return call();
  } catch (const Refusal& refusal) {
    complain(refusal.what());
    errno = refusal.code();
    return -refusal.code();
  } catch (const std::exception& failure) {
    complain(failure.what());
    errno = EIO;
    return -EIO;
  }
}

}  // namespace dovetail::card
