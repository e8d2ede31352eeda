// This build has no emulated card: XRT is not the version that it fits.
#include "device/xrt/card.hpp"

namespace dovetail::fpga {

bool built_with_emulated_card() {
  return false;
}

}  // namespace dovetail::fpga
