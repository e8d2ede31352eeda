// Texts for people: byte counts, errors with their remedies, the time.
#include "support/text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/json.hpp"

namespace dovetail {
namespace {

TEST(Text, BytesInTheUnitThatReadsBest) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(80.0 * 1024 * 1024 * 1024), "80.0 GiB");
  EXPECT_EQ(format_bytes(4096.0 * 1024 * 1024 * 1024 * 1024), "4096.0 TiB");
}

TEST(Text, OneOfAThingHasNoPlural) {
  EXPECT_EQ(counted(0, "epoch"), "0 epochs");
  EXPECT_EQ(counted(1, "epoch"), "1 epoch");
  EXPECT_EQ(counted(2, "epoch"), "2 epochs");
}

TEST(Text, AnErrorIsOneLineWithItsRemedy) {
  EXPECT_STREQ(Error("the disk is full").what(), "the disk is full");
  EXPECT_STREQ(Error("the disk is full", "Free some space").what(),
               "the disk is full. Free some space");
  EXPECT_THROW(throw UsageError("no such option"), Error);
}

TEST(Text, JsonKeepsTheOrderOfItsKeys) {
  Json json;
  json["zebra"] = 1;
  json["ant"] = 2;
  EXPECT_EQ(json.dump(), R"({"zebra":1,"ant":2})");
}

TEST(Text, TheTimeIsIso8601InUtc) {
  EXPECT_THAT(utc_now(), ::testing::MatchesRegex("[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+Z"));
}

TEST(Text, APhaseAddsToItsTotal) {
  double total_s = 1;
  { const PhaseTimer timer(total_s); }
  EXPECT_GE(total_s, 1);
  EXPECT_LT(total_s, 60);
}

}  // namespace
}  // namespace dovetail
