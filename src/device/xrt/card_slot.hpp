// A card whose kernels change.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "device/xrt/card.hpp"

namespace dovetail::fpga {

/// A card that has one family of kernels at a time (find_xclbin).
class CardSlot {
 public:
  CardSlot(Backend backend, int index, double timeout_s)
      : backend_(backend), index_(index), timeout_s_(timeout_s) {}

  Backend backend() const { return backend_; }
  /// The card with this family's xclbin on it. Before that takes the place of another, `make_way`
  /// ends whatever uses the kernels of the other. Throws Error where the card or the xclbin is of
  /// no use.
  Card& with(
      const std::string& family, const std::function<void()>& make_way = [] {});

 private:
  Backend backend_;
  int index_;
  double timeout_s_;
  std::string family_;
  std::unique_ptr<Card> card_;
};

}  // namespace dovetail::fpga
