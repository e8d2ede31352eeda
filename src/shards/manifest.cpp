// Writes a manifest as JSON, and reads one without trusting it.
#include "shards/manifest.hpp"

#include <cmath>
#include <cstdint>
#include <limits>

#include "support/error.hpp"
#include "support/file.hpp"
#include "support/json.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;

constexpr const char* format_name = "dovetail data set";

// Throws Error with the file's name in front.
class Complaint {
 public:
  explicit Complaint(fs::path file) : file_(std::move(file)) {}
  [[noreturn]] void operator()(const std::string& problem) const {
    throw Error(file_.string() + ": " + problem, make_anew);
  }

 private:
  fs::path file_;
};

const Json& field(const Json& object, const char* key, const Complaint& complain) {
  if (!object.is_object() || !object.contains(key))
    complain(fmt::format("field {} is missing", key));
  return object[key];
}

std::string text(const Json& object, const char* key, const Complaint& complain) {
  const Json& value = field(object, key, complain);
  if (!value.is_string()) complain(fmt::format("field {} is no text", key));
  return value.get<std::string>();
}

std::size_t positive(const Json& object, const char* key, const Complaint& complain) {
  const Json& value = field(object, key, complain);
  constexpr std::uint64_t limit = std::uint64_t{1} << 32;
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() == 0 ||
      value.get<std::uint64_t>() >= limit) {
    complain(fmt::format("field {} is no whole number from 1 to {}", key, limit - 1));
  }
  return value.get<std::size_t>();
}

std::vector<double> per_channel(const Json& object, const char* key, std::size_t channels,
                                const Complaint& complain) {
  const Json& values = field(object, key, complain);
  bool good = values.is_array() && values.size() == channels;
  for (const Json& value : values) good = good && value.is_number();
  if (!good)
    complain(fmt::format("field {} doesn't hold {} numbers, one a channel", key, channels));
  return values.get<std::vector<double>>();
}

ShardEntry parse_shard(const Json& json, const Complaint& complain) {
  ShardEntry shard{text(json, "file", complain), positive(json, "samples", complain),
                   text(json, "sha256", complain)};
  if (shard.file.empty() || fs::path(shard.file).filename() != shard.file || shard.file == "..") {
    complain(fmt::format("shard file '{}' is no plain file name", shard.file));
  }
  if (shard.sha256.size() != 64)
    complain(fmt::format("the sha256 of {} has not 64 digits", shard.file));
  return shard;
}

Split parse_split(const std::string& name, const Json& json, const Complaint& complain) {
  Split split;
  split.samples = positive(json, "samples", complain);
  const Json& shards = field(json, "shards", complain);
  if (!shards.is_array()) complain("field shards is no list");
  std::size_t sum = 0;
  for (const Json& shard : shards) {
    split.shards.push_back(parse_shard(shard, complain));
    sum += split.shards.back().samples;
  }
  if (json.contains("wrong_labels")) {
    const Json& wrong = json["wrong_labels"];
    const Json& seed = field(wrong, "seed", complain);
    if (!seed.is_number_unsigned()) complain("field seed is no whole number");
    split.wrong_labels =
        WrongLabelsMade{positive(wrong, "samples", complain), seed.get<std::uint64_t>()};
  }
  if (sum != split.samples) {
    complain(
        fmt::format("split {} has {} samples, but its shards have {}", name, split.samples, sum));
  }
  return split;
}

void check_statistics(const Manifest& manifest, const Complaint& complain) {
  for (std::size_t c = 0; c < manifest.mean.size(); ++c) {
    const double mean = manifest.mean[c];
    const double deviation = manifest.standard_deviation[c];
    if (!(mean >= 0 && mean <= 1) || !(deviation > 0 && deviation <= 1)) {
      complain(fmt::format("mean {} and std {} of channel {} can't come from pixels of 0 to 1",
                           mean, deviation, c));
    }
  }
}

Manifest parse(const Json& json, const Complaint& complain) {
  if (text(json, "format", complain) != format_name) complain("this is no data set's manifest");
  const std::size_t version = positive(json, "version", complain);
  if (version != Manifest::version) {
    complain(fmt::format("the manifest has version {}; this program reads version {}", version,
                         Manifest::version));
  }
  Manifest manifest;
  manifest.name = text(json, "name", complain);
  manifest.classes = positive(json, "classes", complain);
  manifest.shape = {positive(json, "channels", complain), positive(json, "height", complain),
                    positive(json, "width", complain)};
  constexpr std::size_t most_values = std::numeric_limits<std::int32_t>::max();  // of an image
  const SampleShape& shape = manifest.shape;
  if (shape.height > most_values / shape.channels ||
      shape.width > most_values / (shape.channels * shape.height)) {
    complain(fmt::format("an image of {} x {} x {} has more than 2^31 - 1 values", shape.channels,
                         shape.height, shape.width));
  }
  if (json.contains("class_names")) {
    const Json& names = json["class_names"];
    bool good = names.is_array() && names.size() == manifest.classes;
    for (const Json& name : names) good = good && name.is_string();
    if (!good) complain(fmt::format("field class_names doesn't hold {} texts", manifest.classes));
    manifest.class_names = names.get<std::vector<std::string>>();
  }
  const Json& splits = field(json, "splits", complain);
  if (!splits.is_object()) complain("field splits is no object");
  for (const auto& [name, split] : splits.items()) {
    manifest.splits[name] = parse_split(name, split, complain);
  }
  if (manifest.splits.contains("train")) {
    manifest.mean = per_channel(json, "mean", manifest.shape.channels, complain);
    manifest.standard_deviation = per_channel(json, "std", manifest.shape.channels, complain);
    check_statistics(manifest, complain);
  }
  return manifest;
}

}  // namespace

Manifest Manifest::load(const fs::path& folder) {
  const fs::path file = folder / file_name;
  const Complaint complain(file);
  std::error_code failure;
  if (!fs::is_regular_file(file, failure)) {
    throw Error(fmt::format("{} is no data set: it has no {}", folder.string(), file_name),
                make_anew);
  }
  const std::vector<unsigned char> bytes = read_file(file);
  const Json json = Json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) complain("this is no valid JSON");
  return parse(json, complain);
}

void Manifest::save(const fs::path& folder) const {
  Json json = {{"format", format_name}, {"version", version}, {"name", name}, {"classes", classes}};
  if (!class_names.empty()) json["class_names"] = class_names;
  json["channels"] = shape.channels;
  json["height"] = shape.height;
  json["width"] = shape.width;
  if (!mean.empty()) {
    json["mean"] = mean;
    json["std"] = standard_deviation;
  }
  json["splits"] = Json::object();
  for (const auto& [split_name, split] : splits) {
    Json shards = Json::array();
    for (const ShardEntry& shard : split.shards) {
      shards.push_back(
          {{"file", shard.file}, {"samples", shard.samples}, {"sha256", shard.sha256}});
    }
    Json& entry = json["splits"][split_name];
    entry = {{"samples", split.samples}, {"shards", shards}};
    if (split.wrong_labels) {
      entry["wrong_labels"] = {{"samples", split.wrong_labels->samples},
                               {"seed", split.wrong_labels->seed}};
    }
  }
  // Names come from files and folders, which need not be UTF-8.
  replace_file_text(folder / file_name, dump(json, 2) + "\n");
}

const Split& Manifest::split(const std::string& split_name, const fs::path& folder) const {
  const auto found = splits.find(split_name);
  if (found == splits.end()) {
    throw Error(fmt::format("the data set {} has no {} split", folder.string(), split_name),
                fmt::format("Add it with `dovetail shard --split {}`", split_name));
  }
  return found->second;
}

}  // namespace dovetail
