// Emulated cards for tests of the engines, one a kernel family.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "device/xrt/card.hpp"

namespace dovetail::testing {

/// A test suite that may use up to `count` kernel families.
template <int count>
class EmulatedCards : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { fpga::use_emulated_cards(count); }
  static void TearDownTestSuite() { cards_.clear(); }

  /// Opened when it is first asked for.
  static fpga::Card& card(const std::string& family) {
    auto& card = cards_[family];
    if (!card) {
      card = std::make_unique<fpga::Card>(static_cast<int>(cards_.size()) - 1,
                                          fpga::find_xclbin(family, fpga::Backend::emulated));
    }
    return *card;
  }

 private:
  static inline std::map<std::string, std::unique_ptr<fpga::Card>> cards_;
};

}  // namespace dovetail::testing
