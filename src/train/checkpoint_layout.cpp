// The checkpoint's members as attributes and tensors of an HDF5 file.
#include "train/checkpoint_layout.hpp"

#include "shards/hdf5.hpp"
#include "support/error.hpp"

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

}  // namespace

void write_layout(const std::filesystem::path& path, const Checkpoint& checkpoint,
                  const std::string& content_sha256) {
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
  file.write_attribute("/", "content_sha256", content_sha256);
  file.close();
}

StoredCheckpoint read_layout(const std::filesystem::path& path) {
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
  return {.checkpoint = read_content(file),
          .content_sha256 = file.read_attribute<std::string>("/", "content_sha256")};
}

}  // namespace dovetail
