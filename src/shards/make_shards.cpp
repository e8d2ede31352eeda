// Reads a source in its format and writes it as one split of a data set.
#include "shards/make_shards.hpp"

#include <algorithm>

#include "shards/shard_writer.hpp"
#include "shards/sources.hpp"
#include "support/clock.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

Samples read_source(const MakeShardsOptions& options) {
  if (options.images.empty()) throw UsageError("no file with images is given");
  if (options.format == "cifar") {
    if (!options.labels.empty()) {
      throw UsageError("CIFAR files hold their own labels", "Leave out --labels");
    }
    return read_cifar(options.images, options.classes);
  }
  if (options.format != "idx" && options.format != "npy") {
    throw UsageError(fmt::format("unknown source format '{}'", options.format),
                     "Choose idx, cifar or npy");
  }
  if (options.images.size() != 1) {
    throw UsageError(fmt::format("{} takes one file with images", options.format));
  }
  if (options.labels.empty()) throw UsageError("no file with labels is given");
  return options.format == "idx" ? read_idx(options.images.front(), options.labels)
                                 : read_npy(options.images.front(), options.labels);
}

}  // namespace

MakeShardsSummary make_shards(const MakeShardsOptions& options) {
  const Stopwatch watch;
  Samples samples = read_source(options);
  if (options.limit != 0 && options.limit < samples.size()) {
    samples.labels.resize(options.limit);
    samples.images.resize(options.limit * samples.shape.bytes());
  }
  MakeShardsSummary summary;
  summary.split = options.split;
  summary.bytes = samples.images.size() + samples.labels.size() * sizeof(samples.labels[0]);
  summary.manifest = write_split(options.out, samples,
                                 {.split = options.split,
                                  .name = options.name,
                                  .classes = options.classes,
                                  .samples_per_shard = options.samples_per_shard,
                                  .wrong_labels = options.wrong_labels});
  summary.seconds = watch.seconds();
  return summary;
}

std::string MakeShardsSummary::text() const {
  const Split& made = manifest.splits.at(split);
  std::string lines =
      fmt::format("{}, {} split: {} samples of {} in {} classes, {} in {} shards, {:.1f} s",
                  manifest.name, split, made.samples, to_string(manifest.shape), manifest.classes,
                  format_bytes(static_cast<double>(bytes)), made.shards.size(), seconds);
  if (split == "train") {
    lines += fmt::format("\nmean {:.4f}, standard deviation {:.4f}", fmt::join(manifest.mean, " "),
                         fmt::join(manifest.standard_deviation, " "));
  }
  if (made.wrong_labels) {
    lines += fmt::format("\n{} labels made wrong (seed {})", made.wrong_labels->samples,
                         made.wrong_labels->seed);
  }
  return lines;
}

}  // namespace dovetail
