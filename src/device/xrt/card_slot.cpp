// Loads one xclbin in place of another.
#include "device/xrt/card_slot.hpp"

namespace dovetail::fpga {

Card& CardSlot::with(const std::string& family, const std::function<void()>& make_way) {
  if (card_ && family == family_) return *card_;
  const std::filesystem::path xclbin = find_xclbin(family, backend_);
  if (card_) {
    make_way();
    card_->load(xclbin);
  } else {
    card_ = std::make_unique<Card>(index_, xclbin, timeout_s_);
  }
  family_ = family;
  return *card_;
}

}  // namespace dovetail::fpga
