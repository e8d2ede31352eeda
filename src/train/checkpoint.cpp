// Writes and reads checkpoint.h5 through the shards room's HDF5 files.
#include "train/checkpoint.hpp"

#include "model/zoo.hpp"
#include "shards/hdf5.hpp"
#include "shards/seal.hpp"
#include "support/checksum.hpp"
#include "support/error.hpp"
#include "support/file.hpp"

namespace dovetail {
namespace {

constexpr std::int64_t format_version = 1;
constexpr const char* format_name = "dovetail checkpoint";
constexpr std::int64_t largest_extent = 1 << 16;  // of an image's side, its channels, the classes

void write_parameters(hdf5::File& file, const std::string& group,
                      const std::vector<Parameter>& parameters) {
  file.make_group(group);
  for (const Parameter& parameter : parameters) {
    file.write(group + "/" + parameter.name, parameter.value.shape, parameter.value.values,
               {.chunk_rows = parameter.value.shape.front(), .fletcher32 = true});
  }
}

/// Reads the tensors that `specs` name, in their order.
std::vector<Parameter> read_parameters(const hdf5::File& file, const std::string& group,
                                       const std::vector<ParameterSpec>& specs) {
  std::vector<Parameter> parameters;
  for (const ParameterSpec& spec : specs) {
    const hdf5::Dataset data = file.dataset(group + "/" + spec.name);
    if (data.extents() != spec.shape) {
      throw Error(fmt::format("{} in {} is {}, not {}", group + "/" + spec.name,
                              file.path().string(), to_string(data.extents()),
                              to_string(spec.shape)));
    }
    Parameter parameter{spec.name, Tensor(spec.shape)};
    data.read_rows<float>(0, data.rows(), parameter.value.values);
    parameters.push_back(std::move(parameter));
  }
  return parameters;
}

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

void write_position(hdf5::File& file, const Checkpoint& checkpoint) {
  if (checkpoint.steps_per_epoch == 0) return;
  file.write_attribute("/", "steps_per_epoch",
                       static_cast<std::int64_t>(checkpoint.steps_per_epoch));
  file.write_attribute("/", "epoch_loss_sum", checkpoint.epoch_sums.loss_sum);
  file.write_attribute("/", "epoch_correct", checkpoint.epoch_sums.correct);
  file.write_attribute("/", "epoch_samples", checkpoint.epoch_sums.samples);
  if (checkpoint.test_accuracy)
    file.write_attribute("/", "test_accuracy", *checkpoint.test_accuracy);
}

void read_position(const hdf5::File& file, Checkpoint& checkpoint) {
  if (!file.has_attribute("/", "steps_per_epoch")) return;
  checkpoint.steps_per_epoch =
      static_cast<std::uint64_t>(file.read_attribute<std::int64_t>("/", "steps_per_epoch"));
  checkpoint.epoch_sums = {.loss_sum = file.read_attribute<double>("/", "epoch_loss_sum"),
                           .correct = file.read_attribute<double>("/", "epoch_correct"),
                           .samples = file.read_attribute<double>("/", "epoch_samples")};
  if (file.has_attribute("/", "test_accuracy"))
    checkpoint.test_accuracy = file.read_attribute<double>("/", "test_accuracy");
}

void write_compression_errors(hdf5::File& file, const CompressionErrors& errors) {
  file.write("/compression_errors", {errors.groups, errors.values.size() / errors.groups},
             errors.values, {.chunk_rows = 1, .fletcher32 = true});
  file.write_attribute("/", "compression", errors.compression);
}

std::optional<CompressionErrors> read_compression_errors(const hdf5::File& file) {
  if (!file.exists("/compression_errors")) return std::nullopt;
  return CompressionErrors{.compression = file.read_attribute<std::string>("/", "compression"),
                           .groups = file.dataset("/compression_errors").rows(),
                           .values = file.read<float>("/compression_errors")};
}

/// Returns its content_sha256.
std::string write_content(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  hdf5::File file = hdf5::File::create_sealable(path);
  const auto integer = [&](const char* name, std::uint64_t value) {
    file.write_attribute("/", name, static_cast<std::int64_t>(value));
  };
  file.write_attribute("/", "format", std::string(format_name));
  integer("version", format_version);
  file.write_attribute("/", "model", checkpoint.model);
  if (checkpoint.quantisation) {
    file.write_attribute("/", "qat", checkpoint.quantisation->format);
    file.write_attribute("/", "qat_scale", std::string(to_string(checkpoint.quantisation->steps)));
  }
  integer("channels", static_cast<std::uint64_t>(checkpoint.input.channels));
  integer("height", static_cast<std::uint64_t>(checkpoint.input.height));
  integer("width", static_cast<std::uint64_t>(checkpoint.input.width));
  integer("classes", static_cast<std::uint64_t>(checkpoint.classes));
  integer("epoch", checkpoint.epoch);
  integer("step", checkpoint.step);
  integer("seed", checkpoint.seed);
  integer("batch", checkpoint.batch);
  if (checkpoint.chunks > 0) integer("chunks", checkpoint.chunks);
  if (!checkpoint.shares.empty()) {
    file.write("/balance/shares", {checkpoint.shares.size()},
               std::vector<std::int64_t>(checkpoint.shares.begin(), checkpoint.shares.end()));
  }
  file.write_attribute("/", "optimizer", std::string(to_string(checkpoint.optimizer)));
  file.write_attribute("/", "loss", std::string(to_string(checkpoint.loss)));
  file.write_attribute("/", "train_set_sha256", checkpoint.train_set_sha256);
  if (!checkpoint.recipe.empty()) file.write_attribute("/", "recipe", checkpoint.recipe);
  write_position(file, checkpoint);
  if (checkpoint.loss_scale) {
    integer("loss_scale_steps", checkpoint.loss_scale->steps());
    file.write("/loss_scale", {1}, std::vector<float>{checkpoint.loss_scale->value()});
  }
  if (checkpoint.compression_errors) write_compression_errors(file, *checkpoint.compression_errors);
  file.write("/input/mean", {checkpoint.input_statistics.mean.size()},
             checkpoint.input_statistics.mean);
  file.write("/input/standard_deviation", {checkpoint.input_statistics.deviation.size()},
             checkpoint.input_statistics.deviation);
  write_parameters(file, "/parameters", checkpoint.parameters);
  write_parameters(file, "/statistics", checkpoint.statistics);
  file.make_group("/optimizer");
  for (std::size_t i = 0; i < checkpoint.optimizer_state.size(); ++i) {
    write_parameters(file, fmt::format("/optimizer/{}", i), checkpoint.optimizer_state[i]);
  }
  if (!checkpoint.calibration.empty()) {
    file.write("/calibration/ranges", {checkpoint.calibration.size()}, checkpoint.calibration);
  }
  if (!checkpoint.histograms.empty()) {
    const std::size_t bins = quant::Histogram::bins;
    file.write("/calibration/histograms", {checkpoint.histograms.size() / bins, bins},
               checkpoint.histograms);
  }
  file.write_attribute("/", "weights_sha256", weights_sha256(checkpoint.parameters));
  std::string content = content_sha256(checkpoint);
  file.write_attribute("/", "content_sha256", content);
  file.close();
  return content;
}

Checkpoint read_content(const hdf5::File& file) {
  Checkpoint checkpoint;
  const auto integer = [&](const char* name) {
    return file.read_attribute<std::int64_t>("/", name);
  };
  const auto extent = [&](const char* name) {
    const std::int64_t value = integer(name);
    if (value < 1 || value > largest_extent) throw Error(fmt::format("its {} is {}", name, value));
    return static_cast<int>(value);
  };
  checkpoint.model = file.read_attribute<std::string>("/", "model");
  if (file.has_attribute("/", "qat")) {
    checkpoint.quantisation = {
        .format = file.read_attribute<std::string>("/", "qat"),
        .steps = parse_step_kind(file.read_attribute<std::string>("/", "qat_scale"))};
  }
  checkpoint.input = {extent("channels"), extent("height"), extent("width")};
  checkpoint.classes = extent("classes");
  checkpoint.epoch = static_cast<std::uint64_t>(integer("epoch"));
  checkpoint.step = static_cast<std::uint64_t>(integer("step"));
  checkpoint.seed = static_cast<std::uint64_t>(integer("seed"));
  checkpoint.batch = static_cast<std::uint64_t>(integer("batch"));
  if (file.has_attribute("/", "chunks"))
    checkpoint.chunks = static_cast<std::uint64_t>(integer("chunks"));
  if (file.exists("/balance/shares")) {
    const auto shares = file.read<std::int64_t>("/balance/shares");
    checkpoint.shares.assign(shares.begin(), shares.end());
  }
  checkpoint.optimizer = parse_optimizer(file.read_attribute<std::string>("/", "optimizer"));
  checkpoint.loss = parse_loss(file.read_attribute<std::string>("/", "loss"));
  checkpoint.train_set_sha256 = file.read_attribute<std::string>("/", "train_set_sha256");
  if (file.has_attribute("/", "recipe"))
    checkpoint.recipe = file.read_attribute<std::string>("/", "recipe");
  read_position(file, checkpoint);
  if (file.exists("/loss_scale")) {
    checkpoint.loss_scale.emplace(file.read<float>("/loss_scale").at(0),
                                  static_cast<std::uint64_t>(integer("loss_scale_steps")));
  }
  checkpoint.compression_errors = read_compression_errors(file);
  checkpoint.input_statistics.mean = file.read<float>("/input/mean");
  checkpoint.input_statistics.deviation = file.read<float>("/input/standard_deviation");
  const Model model = model_of(checkpoint);
  checkpoint.parameters = read_parameters(file, "/parameters", model.parameters());
  checkpoint.statistics = read_parameters(file, "/statistics", model.statistics());
  for (const std::string& slot : file.names("/optimizer")) {
    checkpoint.optimizer_state.push_back(
        read_parameters(file, "/optimizer/" + slot, model.parameters()));
  }
  if (file.exists("/calibration/ranges"))
    checkpoint.calibration = file.read<float>("/calibration/ranges");
  if (file.exists("/calibration/histograms"))
    checkpoint.histograms = file.read<std::int64_t>("/calibration/histograms");
  return checkpoint;
}

struct Verified {
  Checkpoint checkpoint;
  std::string content_sha256;  // of what was read, and as the file says
};

/// Throws Error for whatever is wrong with it, without its name.
Verified read_verified(const std::filesystem::path& path) {
  hdf5::expect_unchanged(path);
  const hdf5::File file = hdf5::File::open(path);
  if (!file.has_attribute("/", "format") ||
      file.read_attribute<std::string>("/", "format") != format_name) {
    throw Error("it is not a Dovetail checkpoint");
  }
  if (const auto version = file.read_attribute<std::int64_t>("/", "version");
      version != format_version) {
    throw Error(
        fmt::format("it has format version {}, this build reads {}", version, format_version));
  }
  Verified read{.checkpoint = read_content(file), .content_sha256 = {}};
  read.content_sha256 = content_sha256(read.checkpoint);
  if (file.read_attribute<std::string>("/", "content_sha256") != read.content_sha256)
    throw Error("its contents do not match their checksum");
  return read;
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
    const std::string content = write_content(aside, checkpoint);
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
