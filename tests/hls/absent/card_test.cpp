// A build without Xilinx XRT: no cards, and every use of one says what is missing.
#include "device/xrt/card.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/error.hpp"

namespace dovetail::fpga {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(CardAbsent, IsNoFailureUntilOneIsUsed) {
  EXPECT_FALSE(built_with_xrt());
  EXPECT_FALSE(built_with_emulated_card());
  EXPECT_FALSE(host_has_card());
  EXPECT_TRUE(list_cards().empty());
}

TEST(CardAbsent, SaysWhatIsMissing) {
  const auto refusal = ThrowsMessage<Error>(HasSubstr("this build has no Xilinx XRT"));
  EXPECT_THAT([] { use_emulated_cards(1); }, refusal);
  EXPECT_THAT([] { find_xclbin("w8", Backend::emulated); }, refusal);
  EXPECT_THAT([] { Card(0, "any.xclbin"); }, refusal);
}

}  // namespace
}  // namespace dovetail::fpga
