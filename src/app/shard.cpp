// `dovetail shard`: a data set in a common format becomes HDF5 shards.
#include "app/command_line.hpp"
#include "app/commands.hpp"
#include "shards/make_shards.hpp"
#include "support/error.hpp"
#include "support/log.hpp"

namespace dovetail::app {

int run_shard(const Arguments& arguments) {
  MakeShardsOptions options;
  std::vector<std::string> images;
  std::string labels, out;
  std::uint64_t samples_per_shard = options.samples_per_shard;
  std::uint64_t classes = 0;
  std::uint64_t limit = 0;
  WrongLabels& wrong = options.wrong_labels;
  CommandLine line(
      "usage: dovetail shard --format idx|cifar|npy --images F [--labels F] --split train|test "
      "--out DIR",
      "Writes DIR/<split>-00000.h5 … and DIR/manifest.json; data/FORMAT.md says what is in them.");
  line.add("format", options.format,
           "idx (plain or gzip), cifar (CIFAR-10/100 binary), npy (NumPy arrays)");
  line.add("images", images, "the images' file; several for cifar");
  line.add("labels", labels, "the labels' file (not for cifar)");
  line.add("split", options.split, "train or test");
  line.add("out", out, "the data set's folder");
  line.add("samples-per-shard", samples_per_shard, "samples in one file");
  line.add("classes", classes, "number of classes; 0: as the data say");
  line.add("name", options.name, "the data set's name; by default the folder's");
  line.add("limit", limit, "take the first so many samples only; 0: all");
  line.add("wrong-labels", wrong.share, "share of the labels to replace by another class");
  line.add("seed", wrong.seed, "of --wrong-labels");
  for (const char* name : {"format", "images", "split", "out"}) line.require(name);
  if (!line.parse(arguments)) return 0;
  if (wrong.share == 0 && wrong.seed != WrongLabels{}.seed)
    throw UsageError("--seed has no effect without --wrong-labels", "Leave it out");
  options.images.assign(images.begin(), images.end());
  options.labels = labels;
  options.out = out;
  options.samples_per_shard = samples_per_shard;
  options.classes = classes;
  options.limit = limit;
  log::note(make_shards(options).text());
  return 0;
}

}  // namespace dovetail::app
