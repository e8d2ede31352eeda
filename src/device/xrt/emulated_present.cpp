// This build has the emulated card.
#include "device/xrt/card.hpp"

namespace dovetail::fpga {

bool built_with_emulated_card() {
  return true;
}

}  // namespace dovetail::fpga
