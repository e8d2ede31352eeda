// Saves and loads checkpoints so that none is damaged unnoticed.
#include "train/checkpoint.hpp"

#include "model/zoo.hpp"
#include "shards/seal.hpp"
#include "support/checksum.hpp"
#include "support/error.hpp"
#include "support/file.hpp"
#include "train/checkpoint_layout.hpp"

namespace dovetail {
namespace {

/// Where in its epoch it stands; empty for a file of a version that did not say.
std::string position_text(const Checkpoint& checkpoint) {
  if (checkpoint.steps_per_epoch == 0) return "";
  const StepStatistics& sums = checkpoint.epoch_sums;
  return fmt::format(" {} {} {} {} {}", checkpoint.steps_per_epoch, sums.loss_sum, sums.correct,
                     sums.samples,
                     checkpoint.test_accuracy ? fmt::format("{}", *checkpoint.test_accuracy) : "");
}

/// Everything that a checkpoint holds, in one checksum.
std::string content_sha256(const Checkpoint& checkpoint) {
  Sha256 sum;
  const std::string scalars = fmt::format(
      "{} {} {} {} {} {} {} {} {} {} {} {}", checkpoint.model, checkpoint.input.channels,
      checkpoint.input.height, checkpoint.input.width, checkpoint.classes, checkpoint.epoch,
      checkpoint.step, checkpoint.seed, checkpoint.batch, to_string(checkpoint.optimizer),
      to_string(checkpoint.loss), checkpoint.train_set_sha256);
  sum.update(scalars.data(), scalars.size());
  if (checkpoint.quantisation) {
    const std::string quantisation = describe(*checkpoint.quantisation);
    sum.update(quantisation.data(), quantisation.size());
  }
  sum.update(checkpoint.recipe.data(), checkpoint.recipe.size());
  const std::string position = position_text(checkpoint);
  sum.update(position.data(), position.size());
  if (checkpoint.chunks > 0) {
    const std::string chunks = fmt::format(" {} chunks", checkpoint.chunks);
    sum.update(chunks.data(), chunks.size());
  }
  if (!checkpoint.shares.empty()) {
    const std::string shares = fmt::format(" shares {}", fmt::join(checkpoint.shares, ":"));
    sum.update(shares.data(), shares.size());
  }
  if (checkpoint.loss_scale) {
    const std::string scale =
        fmt::format("{} {}", checkpoint.loss_scale->value(), checkpoint.loss_scale->steps());
    sum.update(scale.data(), scale.size());
  }
  if (const auto& errors = checkpoint.compression_errors) {
    const std::string origin = fmt::format("{} in {} groups", errors->compression, errors->groups);
    sum.update(origin.data(), origin.size());
    sum.update(errors->values.data(), errors->values.size() * sizeof(float));
  }
  const auto add = [&](const std::vector<Parameter>& parameters) {
    for (const Parameter& parameter : parameters) {
      sum.update(parameter.value.values.data(), parameter.value.values.size() * sizeof(float));
    }
  };
  add(checkpoint.parameters);
  add(checkpoint.statistics);
  for (const auto& state : checkpoint.optimizer_state) add(state);
  for (const std::vector<float>* values :
       {&checkpoint.calibration, &checkpoint.input_statistics.mean,
        &checkpoint.input_statistics.deviation}) {
    sum.update(values->data(), values->size() * sizeof(float));
  }
  sum.update(checkpoint.histograms.data(), checkpoint.histograms.size() * sizeof(std::int64_t));
  return sum.hex();
}

/// Throws Error for whatever is wrong with it, without its name.
StoredCheckpoint read_verified(const std::filesystem::path& path) {
  hdf5::expect_unchanged(path);
  StoredCheckpoint stored = read_layout(path);
  if (stored.content_sha256 != content_sha256(stored.checkpoint))
    throw Error("its contents do not match their checksum");
  return stored;
}

}  // namespace

std::string weights_sha256(const std::vector<Parameter>& parameters) {
  Sha256 sum;
  for (const Parameter& parameter : parameters) {
    sum.update(parameter.value.values.data(), parameter.value.values.size() * sizeof(float));
  }
  return sum.hex();
}

Model model_of(const Checkpoint& checkpoint) {
  return make_model(checkpoint.model, checkpoint.input, checkpoint.classes,
                    checkpoint.quantisation);
}

void save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  replace_file(path, [&](const std::filesystem::path& aside) {
    const std::string content = content_sha256(checkpoint);
    write_layout(aside, checkpoint, content);
    hdf5::seal(aside);
    sync_file(aside);
    if (read_verified(aside).content_sha256 != content)
      throw Error("what was written reads back as something else");
  });
}

Checkpoint read_checkpoint(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path))
    throw Error(fmt::format("there is no checkpoint {}", path.string()));
  try {
    return read_verified(path).checkpoint;
  } catch (const Error& failure) {
    throw Error(fmt::format("checkpoint {} cannot be used: {}", path.string(), failure.what()));
  }
}

Checkpoint load_checkpoint(const std::filesystem::path& path) {
  try {
    return read_checkpoint(path);
  } catch (const Error& failure) {
    throw Error(failure.what(), "Give an undamaged checkpoint.h5, or train anew");
  }
}

void expect_model(const Checkpoint& checkpoint, const Model& model,
                  const std::filesystem::path& path) {
  if (checkpoint.model == model.name() && checkpoint.input == model.input() &&
      checkpoint.classes == model.classes() && checkpoint.quantisation == model.quantisation()) {
    return;
  }
  const auto all_of = [](const std::string& name, const std::optional<Quantisation>& quantisation,
                         const FeatureShape& in, int classes) {
    return fmt::format("{}{} for {}x{}x{} images and {} classes", name,
                       quantisation ? fmt::format(" (--qat {})", describe(*quantisation)) : "",
                       in.channels, in.height, in.width, classes);
  };
  throw UsageError(
      fmt::format(
          "checkpoint {} is of {}, not of {}", path.string(),
          all_of(checkpoint.model, checkpoint.quantisation, checkpoint.input, checkpoint.classes),
          all_of(model.name(), model.quantisation(), model.input(), model.classes())),
      "Choose that model and data set, or another checkpoint");
}

}  // namespace dovetail
