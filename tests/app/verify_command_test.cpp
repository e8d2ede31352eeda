// `dovetail verify` on the real devices of this host: what it proves, what it claims where a side
// is missing, and that one wrong bit fails it.
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "app/refusal.hpp"
#include "support/json.hpp"

namespace dovetail {
namespace {

using namespace testing;

bool has_card() {
  return !std::string(DOVETAIL_EMULATED_CARD_FOLDER).empty();
}

Outcome verify(Words options) {
  options.insert(options.begin(), "verify");
  return dovetail(options).run(patiently_s);
}

Json document(const Outcome& outcome) {
  const Json json = Json::parse(outcome.out, nullptr, false);
  EXPECT_FALSE(json.is_discarded()) << outcome.text();
  return json;
}

void expect_error(const Outcome& outcome, int exit_code, const Words& words) {
  EXPECT_EQ(outcome.exit_code, exit_code) << outcome.text();
  const Words lines = errors_beginning(outcome, "dovetail verify: ");
  ASSERT_EQ(lines.size(), 1U) << outcome.text();
  for (const std::string& word : words) EXPECT_THAT(lines.front(), HasSubstr(word));
}

TEST(Verify, ProvesEveryFormatAndKernel) {
  if (!has_card()) GTEST_SKIP() << "this build has no emulated card";
  const Outcome outcome = verify({"--outputs", "100", "--json", "-"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text();
  const Json json = document(outcome);
  EXPECT_TRUE(json["equal"]);
  EXPECT_THAT(json["sides"]["card"].get<std::string>(), HasSubstr("FPGA"));
  std::map<std::string, std::map<std::string, std::uint64_t>> outputs;  // by format and kernel
  for (const Json& row : json["rows"]) {
    EXPECT_TRUE(row["equal"]);
    EXPECT_EQ(row["sha256"]["twin"], row["sha256"]["card"]) << row.dump();
    if (row["purpose"] == "inference") {
      EXPECT_EQ(row["sha256"]["twin"], row["sha256"]["opencl"]) << row.dump();
    } else {
      EXPECT_TRUE(row["sha256"]["opencl"].is_null()) << row.dump();
    }
    outputs[row["format"]][row["kernel"]] += row["outputs"].get<std::uint64_t>();
  }
  EXPECT_EQ(outputs.size(), 20U + 15 + 15 + 7);
  for (const auto& [format, kernels] : outputs) {
    EXPECT_EQ(kernels.size(), format.starts_with('w') ? 4U : 5U) << format;
    for (const auto& [kernel, count] : kernels) EXPECT_GE(count, 100U) << format << ' ' << kernel;
  }
}

TEST(Verify, RunsOnRealImagesToo) {
  const ScratchFolder scratch;
  write_data(scratch / "data", {3, 16, 18});
  const Outcome outcome = verify({"--outputs", "3000", "--formats", "wta2", "--data",
                                  scratch / "data", "--json", scratch / "proof.json"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text();
  EXPECT_THAT(outcome.out, HasSubstr("equal"));
  const std::vector<std::uint8_t> file = read_file(scratch / "proof.json");
  std::map<std::string, std::uint64_t> pixels;
  const Json json = Json::parse(file.begin(), file.end());
  for (const Json& row : json["rows"]) {
    EXPECT_TRUE(row["equal"]);
    if (row["kernel"] == "quantise_input") pixels[row["inputs"]] += row["outputs"].get<int>();
  }
  EXPECT_EQ(pixels.size(), 2U);
  for (const auto& [inputs, count] : pixels) EXPECT_GE(count, 3000U) << inputs;
}

TEST(Verify, FailsOnOneWrongBitOfTheCard) {
  if (!has_card()) GTEST_SKIP() << "this build has no emulated card";
  // Inference: the first map that is read back is the quantised input, the second the
  // convolution's. Training: largest magnitudes are read back on the way forward, then the maps.
  const std::map<std::string, Words> faults{
      {"corrupt:1", {"--formats", "w8a8"}},
      {"corrupt:3", {"--formats", "w2a4,w8a8"}},
      {"corrupt:8", {"--formats", "bfp5"}},
  };
  for (const auto& [fault, options] : faults) {
    Words words{"verify", "--outputs", "2000", "--json", "-"};
    words.insert(words.end(), options.begin(), options.end());
    const Outcome outcome = dovetail(words).with("DOVETAIL_CARD_FAULT", fault).run(patiently_s);
    const std::string format = options[1].substr(0, options[1].find(','));
    expect_error(outcome, 1, {format + ", layer ", "output ", " by the twin but ", "by the card"});
    const Json json = document(outcome);
    EXPECT_FALSE(json["equal"]);
    const auto wrong = std::count_if(json["rows"].begin(), json["rows"].end(), [](const Json& row) {
      return !row["equal"] && row["sha256"]["card"] != row["sha256"]["twin"] &&
             row["first_difference"]["twin"] != row["first_difference"]["other"];
    });
    EXPECT_GE(wrong, 1) << outcome.text();
  }
}

/// The bit flips in the middle of what is read: in an output, or in what fills up channels and
/// bursts, which no output shows. Each network has one image here.
TEST(Verify, OverlooksNoBitThatTheCardLeaves) {
  if (!has_card()) GTEST_SKIP() << "this build has no emulated card";
  constexpr int readbacks = 56;
  for (int readback = 1; readback <= readbacks + 1; ++readback) {
    const std::string fault = "corrupt:" + std::to_string(readback);
    const Outcome outcome = dovetail({"verify", "--outputs", "1", "--formats", "w1a1,bfp4"})
                                .with("DOVETAIL_CARD_FAULT", fault)
                                .run(patiently_s);
    EXPECT_EQ(outcome.exit_code, readback <= readbacks ? 1 : 0) << fault << '\n' << outcome.text();
  }
}

TEST(Verify, FailsWithTheCardsOwnError) {
  if (!has_card()) GTEST_SKIP() << "this build has no emulated card";
  const Outcome outcome = dovetail({"verify", "--outputs", "1", "--formats", "w1a1"})
                              .with("DOVETAIL_CARD_FAULT", "fail:2")
                              .run(patiently_s);
  expect_error(outcome, 1, {"card 0"});
}

TEST(Verify, ClaimsOnlyTheSidesThatItCompared) {
  const Words small{"verify", "--outputs", "1", "--formats", "w1a1", "--json", "-"};
  const Outcome no_card =
      dovetail(small).with("DOVETAIL_CARD_FOLDER", "/no/such/folder").run(patiently_s);
  ASSERT_EQ(no_card.exit_code, 0) << no_card.text();
  Json json = document(no_card);
  EXPECT_TRUE(json["sides"]["card"].is_null());
  EXPECT_TRUE(json["rows"][0]["sha256"]["card"].is_null());
  EXPECT_FALSE(json["rows"][0]["sha256"]["opencl"].is_null());
  EXPECT_THAT(no_card.text(), HasSubstr("twin = OpenCL"));
  EXPECT_THAT(no_card.text(), HasSubstr("not compared"));

  if (has_card()) {
    const Outcome no_opencl =
        dovetail(small).with("OCL_ICD_VENDORS", "/no/such/folder").run(patiently_s);
    ASSERT_EQ(no_opencl.exit_code, 0) << no_opencl.text();
    json = document(no_opencl);
    EXPECT_TRUE(json["sides"]["opencl"].is_null());
    EXPECT_TRUE(json["rows"][0]["sha256"]["opencl"].is_null());
    EXPECT_FALSE(json["rows"][0]["sha256"]["card"].is_null());
  }

  expect_error(dovetail({"verify", "--outputs", "1"})
                   .with("DOVETAIL_CARD_FOLDER", "/no/such/folder")
                   .with("OCL_ICD_VENDORS", "/no/such/folder")
                   .run(patiently_s),
               1, {"nothing to compare the twin with", "dovetail devices"});
  expect_error(dovetail({"verify", "--outputs", "1", "--formats", "int8"})
                   .with("DOVETAIL_CARD_FOLDER", "/no/such/folder")
                   .run(patiently_s),
               1, {"FPGA kernels alone"});
}

TEST(Verify, RefusesWhatItCannotProve) {
  for (const Words& options :
       {Words{"--formats", "w3a1"}, Words{"--formats", "float32"}, Words{"--formats", ""},
        Words{"--outputs", "0"}, Words{"--device", "99"}, Words{"--card-timeout", "0"},
        Words{"--card-timeout", "nan"}})
    expect_error(verify(options), unusable_arguments, {});
  expect_error(verify({"--formats", "w1a1", "--data", "/no/such/folder"}), failure,
               {"/no/such/folder"});
}

}  // namespace
}  // namespace dovetail
