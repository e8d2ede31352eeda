// `dovetail bench` on the real devices of this host: its JSON holds measurements that fit each
// other.
#include <gtest/gtest.h>

#include <map>

#include "app/command.hpp"
#include "support/json.hpp"

namespace dovetail {
namespace {

using testing::dovetail;
using testing::dovetail_job;
using testing::Outcome;
using testing::patience;

Json document(const Outcome& outcome) {
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text();
  const Json json = Json::parse(outcome.out, nullptr, false);
  EXPECT_FALSE(json.is_discarded()) << outcome.text();
  return json;
}

void expect_timing(const Json& timing) {
  EXPECT_GT(timing.at("median_s").get<double>(), 0);
  EXPECT_LE(timing.at("low_s").get<double>(), timing.at("median_s").get<double>());
  EXPECT_GE(timing.at("high_s").get<double>(), timing.at("median_s").get<double>());
}

TEST(BenchCommand, MeasuresProductsInThreeDirections) {
  const Json json = document(
      dovetail({"bench", "gemm", "--shape", "64x96x32", "--shape", "17x5x16", "--json", "-"})
          .run(120 * patience));
  ASSERT_EQ(json.at("rows").size(), 6u);
  EXPECT_DOUBLE_EQ(json.at("rows")[0].at("operations").get<double>(), 2.0 * 64 * 96 * 32);
  EXPECT_GT(json.at("ceilings").at("float32_flops").get<double>(), 1e8);
  EXPECT_GT(json.at("ceilings").at("copy_bytes_per_s").get<double>(), 1e8);
  for (const Json& row : json.at("rows")) {
    expect_timing(row.at("timing"));
    EXPECT_GT(row.at("flops").get<double>(), 0) << row.dump();
    const double median_s = row.at("timing").at("median_s"), bytes = row.at("bytes");
    EXPECT_DOUBLE_EQ(row.at("bytes_per_s").get<double>(), bytes / median_s);
    for (const auto& [rate, share, ceiling] :
         {std::tuple{"flops", "of_float32_ceiling", "float32_flops"},
          std::tuple{"bytes_per_s", "of_copy_ceiling", "copy_bytes_per_s"}}) {
      EXPECT_DOUBLE_EQ(row.at(share).get<double>(),
                       row.at(rate).get<double>() / json.at("ceilings").at(ceiling).get<double>());
    }
  }
}

TEST(BenchCommand, MeasuresStepsAndInference) {
  for (const char* what : {"train", "infer"}) {
    const Json json = document(dovetail({"bench", what, "--model", "mlp", "--batch", "32",
                                         "--seconds", "0.2", "--json", "-"})
                                   .run(120 * patience));
    expect_timing(json.at(std::string(what) == "train" ? "step" : "timing"));
    EXPECT_GT(json.at("samples_per_second").get<double>(), 0);
    EXPECT_NEAR(
        json.at("flops").get<double>() / json.at("ceilings").at("float32_flops").get<double>(),
        json.at("of_float32_ceiling").get<double>(), 1e-9);
    EXPECT_GT(json.at("of_float32_ceiling").get<double>(), 0);
  }
}

TEST(BenchCommand, ShowsAStepPartByPart) {
  const Json json = document(dovetail({"bench", "train", "--model", "cnn", "--batch", "16",
                                       "--seconds", "0.2", "--waterfall", "--json", "-"})
                                 .run(120 * patience));
  const Json& waterfall = json.at("waterfall");
  const double busy = waterfall.at("busy_s");
  EXPECT_GT(busy, 0);
  EXPECT_GT(waterfall.at("step_s").get<double>(), 0);
  std::map<std::string, Json> parts;
  double seconds = 0, operations = 0;
  for (const Json& part : waterfall.at("parts")) {
    parts[part.at("part")] = part;
    seconds += part.at("seconds").get<double>();
    operations += part.at("operations").get<double>();
    EXPECT_GT(part.at("commands"), 0);
  }
  EXPECT_NEAR(seconds, busy, 1e-9 * busy);
  const double computed = json.at("operations_per_sample").at("computed");
  EXPECT_NEAR(operations, 16 * computed, 1e-6 * operations) << "a part has another name";
  for (const char* part :
       {"upload", "conv1 forward", "conv2 backward", "dense2 forward", "loss", "record", "update"})
    EXPECT_EQ(parts.count(part), 1u) << part;
  EXPECT_NEAR(parts.at("upload").at("commands").get<double>(), 2, 1e-9);  // images and labels
  EXPECT_NEAR(parts.at("dense1 forward").at("arithmetic_floor_s").get<double>(),
              16 * 2.0 * 3136 * 128 / waterfall.at("product_flops").get<double>(), 1e-12);
}

// The copies to the device count, which the host does not wait for.
TEST(BenchCommand, CountsTheUploadOfStreamedImagesAsInput) {
  const Json json = document(dovetail({"bench", "train", "--model", "mlp", "--batch", "64",
                                       "--seconds", "0.2", "--waterfall", "--json", "-"})
                                 .run(120 * patience));
  const Json& seconds = json.at("seconds");
  const double upload = seconds.at("upload"), waited = seconds.at("input");
  EXPECT_GT(upload, 0);
  EXPECT_NEAR(json.at("input_share").get<double>(),
              (upload + waited) / seconds.at("step").get<double>(), 1e-9);
  double parts = 0;
  for (const char* part : {"input", "compute", "reduce", "update"})
    parts += seconds.at(part).get<double>();
  EXPECT_LE(parts, seconds.at("step").get<double>() * (1 + 1e-9));
}

TEST(BenchCommand, SaysHowMuchOfTheCommunicationIsHidden) {
  const Outcome outcome = dovetail_job(2, {"bench", "train", "--model", "mlp", "--batch", "32",
                                           "--seconds", "0.2", "--json", "-"})
                              .run(120 * patience);
  const Json communication = document(outcome).at("communication");
  const double total = communication.at("seconds"), exposed = communication.at("exposed_seconds");
  EXPECT_GT(exposed, 0);
  EXPECT_LE(exposed, total);
  EXPECT_DOUBLE_EQ(communication.at("hidden").get<double>(), 1 - exposed / total);
  EXPECT_GE(communication.at("buckets"), 2);
  EXPECT_NE(outcome.text().find("hidden behind the backward pass"), std::string::npos)
      << outcome.text();
}

TEST(BenchCommand, MeasuresInferenceOnACardAndCallsItEmulated) {
  for (const char* format : {"w1a1", "fixed8"}) {
    const Outcome outcome = dovetail({"bench", "infer", "--model", "mlp", "--format", format,
                                      "--batch", "32", "--seconds", "0.2", "--json", "-"})
                                .run(120 * patience);
    const Json json = document(outcome);
    EXPECT_EQ(json.at("backend"), "emulated");
    EXPECT_EQ(json.at("format"), format);
    expect_timing(json.at("timing"));
    expect_timing(json.at("host_timing"));
    EXPECT_GT(json.at("samples_per_core_second").get<double>(), 0);
    EXPECT_NE(outcome.text().find("no FPGA's speed"), std::string::npos) << outcome.text();
  }
}

TEST(BenchCommand, MeasuresTheLinkBetweenTwoRanks) {
  const Json json = document(dovetail_job(2, {"bench", "link", "--json", "-"}).run(120 * patience));
  ASSERT_EQ(json.at("links").size(), 1u);
  const Json& link = json.at("links")[0];
  EXPECT_GT(link.at("bytes_per_s").get<double>(), 1e6);
  for (const Json& message : link.at("messages")) expect_timing(message.at("one_way"));
}

TEST(BenchCommand, MeasuresSumsFromDeviceToDeviceAgainstStagedOnes) {
  const Json json = document(dovetail_job(2, {"bench", "allreduce", "--reduce", "flat",
                                              "--compress", "int8", "--json", "-"})
                                 .run(120 * patience));
  EXPECT_EQ(json.at("groups"), 2);
  EXPECT_EQ(json.at("compression"), "int8");
  ASSERT_GE(json.at("sizes").size(), 3u);
  for (const Json& size : json.at("sizes")) {
    for (const char* way : {"device_to_device", "staged", "host_to_host"})
      expect_timing(size.at(way));
    EXPECT_NEAR(size.at("speedup").get<double>(),
                size.at("staged").at("median_s").get<double>() /
                    size.at("device_to_device").at("median_s").get<double>(),
                1e-6);
  }
}

TEST(BenchCommand, RefusesWhatItCannotMeasure) {
  for (const testing::Words& words :
       {testing::Words{"bench"}, testing::Words{"bench", "nonsense"},
        testing::Words{"bench", "gemm", "--shape", "64x64"}, testing::Words{"bench", "link"},
        testing::Words{"bench", "train", "--batch", "0"},
        testing::Words{"bench", "conv", "--variant", "fpga"},
        testing::Words{"bench", "gemm", "--reduce", "nonsense"},
        testing::Words{"bench", "gemm", "--format", "int3"},
        testing::Words{"bench", "gemm", "--devices", "0,"},
        testing::Words{"bench", "scaling", "--bucket-mb", "-1"},
        testing::Words{"bench", "scaling", "--balance", "3:1"},
        testing::Words{"bench", "infer", "--format", "nonsense"},
        testing::Words{"bench", "gemm", "--variant", "gpu", "--format", "tf32"},
        testing::Words{"bench", "train", "--shape", "64x64x64"},
        testing::Words{"bench", "infer", "--direction", "forward"},
        testing::Words{"bench", "infer", "--variant", "gpu"},
        testing::Words{"bench", "conv", "--waterfall"},
        testing::Words{"bench", "conv", "--variant", "nvidia"}}) {
    const Outcome outcome = dovetail(words).run(60 * patience);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.text();
    EXPECT_EQ(testing::errors_beginning(outcome, "dovetail bench: ").size(), 1u) << outcome.text();
  }
}

}  // namespace
}  // namespace dovetail
