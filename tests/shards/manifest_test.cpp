// Manifests: what is saved comes back; every missing, wrong or contradictory field is named.
#include "shards/manifest.hpp"

#include <functional>

#include "shards/test_files.hpp"
#include "support/json.hpp"

namespace dovetail {
namespace {

using test::error_of;

using testing::AllOf;
using testing::HasSubstr;

Manifest example() {
  Manifest manifest;
  manifest.name = "example";
  manifest.classes = 2;
  manifest.class_names = {"cat", "dog"};
  manifest.shape = {3, 8, 9};
  manifest.mean = {0.1, 0.2, 1.0 / 3};
  manifest.standard_deviation = {0.3, 0.4, 0.5};
  manifest.splits["train"] = {
      7,
      {{"train-00000.h5", 4, std::string(64, 'a')}, {"train-00001.h5", 3, std::string(64, 'b')}}};
  return manifest;
}

class ManifestTest : public testing::Test {
 protected:
  // The error of the example manifest with one change.
  std::string error_after(const std::function<void(Json&)>& change) {
    example().save(folder_.path());
    Json json = Json::parse(read_file(folder_ / "manifest.json"));
    change(json);
    replace_file_text(folder_ / "manifest.json", json.dump());
    const std::string text = error_of([&] { Manifest::load(folder_.path()); });
    if (!text.empty()) {
      EXPECT_THAT(text, AllOf(testing::StartsWith((folder_ / "manifest.json").string() + ": "),
                              testing::EndsWith("Make the shards anew with `dovetail shard`")));
    }
    return text;
  }
  ScratchFolder folder_;
};

TEST_F(ManifestTest, NamesWhatIsBadAboutWrongLabels) {
  const auto error_with = [&](const Json& wrong) {
    return error_after([&](Json& json) { json["splits"]["train"]["wrong_labels"] = wrong; });
  };
  EXPECT_EQ(error_with({{"samples", 3}, {"seed", 0}}), "");
  EXPECT_THAT(error_with({{"samples", 3}}), HasSubstr("field seed is missing"));
  EXPECT_THAT(error_with({{"samples", 3}, {"seed", "x"}}), HasSubstr("field seed"));
  EXPECT_THAT(error_with({{"samples", 0}, {"seed", 1}}), HasSubstr("field samples"));
  EXPECT_THAT(error_with("many"), HasSubstr("field seed is missing"));
}

TEST_F(ManifestTest, NamesThatAreNotUtf8CanBeSaved) {
  Manifest manifest = example();
  manifest.name =
      "donn\xe9"
      "es";
  manifest.class_names = {"\xe9t\xe9", "dog"};
  manifest.save(folder_.path());
  EXPECT_THAT(Manifest::load(folder_.path()).class_names,
              testing::ElementsAre("\xef\xbf\xbdt\xef\xbf\xbd", "dog"));
}

TEST_F(ManifestTest, RoundTrips) {
  const Manifest saved = example();
  saved.save(folder_.path());
  const Manifest loaded = Manifest::load(folder_.path());
  EXPECT_EQ(loaded.name, saved.name);
  EXPECT_EQ(loaded.classes, saved.classes);
  EXPECT_EQ(loaded.class_names, saved.class_names);
  EXPECT_EQ(loaded.shape, saved.shape);
  EXPECT_EQ(loaded.mean, saved.mean);  // to the last bit
  EXPECT_EQ(loaded.standard_deviation, saved.standard_deviation);
  const Split& split = loaded.split("train", folder_.path());
  EXPECT_EQ(split.samples, 7u);
  EXPECT_EQ(split.shards.at(1).file, "train-00001.h5");
  EXPECT_EQ(split.shards.at(1).samples, 3u);
  EXPECT_EQ(split.shards.at(1).sha256, std::string(64, 'b'));
  EXPECT_THAT(error_of([&] { loaded.split("test", folder_.path()); }),
              HasSubstr("has no test split"));
}

TEST_F(ManifestTest, MissingOrNoJson) {
  EXPECT_THAT(error_of([&] { Manifest::load(folder_.path()); }), HasSubstr("has no manifest.json"));
  EXPECT_THAT(error_of([&] { Manifest::load(folder_ / "no"); }), HasSubstr("no is no data set"));
  for (const std::string text : {"", "{", "\xff\xfe", "{\"a\": 1}x"}) {
    test::write_file(folder_ / "manifest.json", {text.begin(), text.end()});
    EXPECT_THAT(error_of([&] { Manifest::load(folder_.path()); }), HasSubstr("no valid JSON"))
        << text;
  }
  for (const std::string text : {"[]", "3", "null", "{}"}) {
    test::write_file(folder_ / "manifest.json", {text.begin(), text.end()});
    EXPECT_THAT(error_of([&] { Manifest::load(folder_.path()); }), HasSubstr("format is missing"));
  }
}

TEST_F(ManifestTest, EveryFieldIsNeeded) {
  EXPECT_EQ(error_after([](Json&) {}), "");
  EXPECT_EQ(error_after([](Json& json) { json.erase("class_names"); }), "");
  for (const char* key : {"format", "version", "name", "classes", "channels", "height", "width",
                          "mean", "std", "splits"}) {
    EXPECT_THAT(error_after([&](Json& json) { json.erase(key); }),
                HasSubstr(fmt::format("field {} is missing", key)));
    EXPECT_NE(error_after([&](Json& json) { json[key] = nullptr; }), "") << key;
  }
  for (const char* key : {"file", "samples", "sha256"}) {
    EXPECT_THAT(error_after([&](Json& json) { json["splits"]["train"]["shards"][1].erase(key); }),
                HasSubstr(fmt::format("field {} is missing", key)));
  }
}

TEST_F(ManifestTest, WrongValuesAreNamed) {
  EXPECT_THAT(error_after([](Json& json) { json["format"] = "other"; }),
              HasSubstr("no data set's"));
  EXPECT_THAT(error_after([](Json& json) { json["version"] = 2; }),
              HasSubstr("the manifest has version 2; this program reads version 1"));
  for (const Json& bad : {Json(0), Json(-1), Json(2.5), Json("2"), Json(std::uint64_t{1} << 40)}) {
    EXPECT_THAT(error_after([&](Json& json) { json["classes"] = bad; }),
                HasSubstr("field classes is no whole number"));
  }
  for (const char* side : {"height", "width"}) {
    EXPECT_THAT(error_after([&](Json& json) { json[side] = std::uint64_t{1} << 31; }),
                HasSubstr("has more than 2^31 - 1 values"));
  }
  // Together 2^64 bytes.
  EXPECT_THAT(error_after([](Json& json) {
                json["channels"] = 4;
                json["height"] = json["width"] = std::uint64_t{1} << 31;
              }),
              HasSubstr("has more than 2^31 - 1 values"));
  EXPECT_THAT(error_after([](Json& json) { json["class_names"] = {"cat"}; }),
              HasSubstr("class_names"));
  EXPECT_THAT(error_after([](Json& json) { json["mean"] = {0.5}; }), HasSubstr("field mean"));
  EXPECT_THAT(error_after([](Json& json) { json["std"][1] = 0; }),
              HasSubstr("std 0 of channel 1 can't come from pixels"));
  EXPECT_THAT(error_after([](Json& json) { json["mean"][0] = 130.0; }), HasSubstr("mean 130"));
  EXPECT_THAT(error_after([](Json& json) { json["splits"]["train"]["samples"] = 8; }),
              HasSubstr("split train has 8 samples, but its shards have 7"));
  EXPECT_THAT(error_after([](Json& json) { json["splits"]["train"]["shards"] = Json::object(); }),
              HasSubstr("shards is no list"));
  for (const char* file : {"", "..", "../train-00000.h5", "/etc/passwd"}) {
    EXPECT_THAT(
        error_after([&](Json& json) { json["splits"]["train"]["shards"][0]["file"] = file; }),
        HasSubstr("is no plain file name"));
  }
  EXPECT_THAT(
      error_after([](Json& json) { json["splits"]["train"]["shards"][0]["sha256"] = "ab"; }),
      HasSubstr("the sha256 of train-00000.h5"));
}

}  // namespace
}  // namespace dovetail
