// What the account of a proof says of equal and of differing sides.
#include "verify/ledger.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <span>

#include "support/error.hpp"
#include "verify/report.hpp"

namespace dovetail::verify {
namespace {

using ::testing::HasSubstr;
using Outputs = Ledger::Outputs;

const Subject subject{"inference", "w2a4", "random", "maps"};

Outputs conv(std::vector<std::int32_t> values) {
  return {{"conv2d", "conv1", false, std::move(values)}};
}
Outputs real(float value) {
  return {{"train_forward", "conv1", true, {std::bit_cast<std::int32_t>(value)}}};
}

TEST(Ledger, HashesEachSideOverAllRounds) {
  Ledger ledger;
  const Outputs first = conv({1, -2, 3}), second = conv({4, 5});
  ledger.add(subject, first, &first, &first);
  ledger.add(subject, second, &second, &second);
  EXPECT_EQ(ledger.outputs("inference", "w2a4", "random", "conv2d"), 5U);
  EXPECT_EQ(ledger.outputs("inference", "w2a4", "random", "dense"), 0U);
  EXPECT_FALSE(ledger.differs());
  const std::vector<Row> rows = ledger.finish();
  ASSERT_EQ(rows.size(), 1U);
  const std::vector<std::int32_t> all{1, -2, 3, 4, 5};
  for (const std::string& hash : {rows[0].twin, rows[0].opencl, rows[0].card})
    EXPECT_EQ(hash, sha256_hex(std::span<const std::int32_t>(all)));
  EXPECT_EQ(difference_text(rows, {}), "");
  EXPECT_TRUE(report_json(rows, {})["equal"]);
}

TEST(Ledger, NamesTheFirstDifferenceOverAllRounds) {
  Ledger ledger;
  const Outputs good = conv({1, 2, 3}), wrong = conv({1, 7, 8});
  ledger.add(subject, good, &good, &good);
  ledger.add(subject, good, &good, &wrong);
  ledger.add(subject, good, &wrong, &good);
  EXPECT_TRUE(ledger.differs());
  const std::vector<Row> rows = ledger.finish();
  EXPECT_NE(rows[0].card, rows[0].twin);
  EXPECT_NE(rows[0].opencl, rows[0].twin);
  ASSERT_TRUE(rows[0].difference);
  EXPECT_EQ(rows[0].difference->index, 4U);
  EXPECT_EQ(difference_text(rows, {"a GPU", "a card"}),
            "inference w2a4, layer conv1 of network maps (conv2d, random inputs): output 4 is 2 by "
            "the twin but 7 by the card (a card)");
  EXPECT_THAT(report_text(rows, {"a GPU", "a card"}, false), HasSubstr("DIFFERENT"));
  EXPECT_FALSE(report_json(rows, {})["equal"]);
  EXPECT_EQ(report_json(rows, {})["rows"][0]["first_difference"]["index"], 4);
}

TEST(Ledger, ComparesTheBitsOfFloats) {
  const auto differ = [](float twin, float other) {
    Ledger ledger;
    const Outputs on_card = real(other);
    ledger.add(subject, real(twin), nullptr, &on_card);
    return ledger.differs();
  };
  EXPECT_FALSE(differ(0.1F, 0.1F));
  EXPECT_FALSE(differ(std::nanf(""), std::nanf("")));
  EXPECT_TRUE(differ(0.0F, -0.0F));
  EXPECT_TRUE(differ(1.0F, std::nextafter(1.0F, 2.0F)));
}

TEST(Ledger, ClaimsNothingForASideThatWasNotThere) {
  Ledger ledger;
  const Outputs outputs = conv({1});
  ledger.add(subject, outputs, &outputs, nullptr);
  const std::vector<Row> rows = ledger.finish();
  EXPECT_EQ(rows[0].card, "");
  const Where where{.opencl = "a GPU", .card = "", .no_card = "no driver"};
  EXPECT_THAT(report_text(rows, where, true), HasSubstr("twin = OpenCL  equal"));
  EXPECT_THAT(report_text(rows, where, true),
              HasSubstr("card    not compared, and no training formats: no driver"));
  const Json json = report_json(rows, where);
  EXPECT_TRUE(json["sides"]["card"].is_null());
  EXPECT_TRUE(json["rows"][0]["sha256"]["card"].is_null());
}

TEST(Ledger, RefusesOutputsThatDoNotAnswerToEachOther) {
  Ledger ledger;
  const Outputs three = conv({1, 2, 3}), two = conv({1, 2}), none;
  Outputs other = three;
  other[0].layer = "conv2";
  for (const Outputs* outputs : {&two, &none, static_cast<const Outputs*>(&other)})
    EXPECT_THROW(ledger.add(subject, three, nullptr, outputs), Error);
}

}  // namespace
}  // namespace dovetail::verify
