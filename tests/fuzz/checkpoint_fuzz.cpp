// Checkpoints: files as they are, and files of HDF5's own making whose attributes and data sets are
// not what they should be. Damaged files that carry a seal which holds are left out: HDF5 1.10
// crashes on them, which is why there is a seal.
#include <algorithm>
#include <cstring>

#include "fuzz/target.hpp"
#include "model/zoo.hpp"
#include "shards/hdf5.hpp"
#include "shards/seal.hpp"
#include "support/error.hpp"
#include "support/file.hpp"
#include "train/checkpoint.hpp"

namespace dovetail::fuzz {
namespace {

constexpr std::string_view seal_mark = "dovetail sha256 ", hdf5_mark = "\x89HDF";
constexpr std::string_view recipe_mark = "recipe";

/// Takes the input apart, and gives zeros once it is at its end.
struct Source {
  std::span<const std::uint8_t> left;

  template <typename T>
  T value() {
    T result{};
    const std::size_t bytes = std::min(sizeof result, left.size());
    std::memcpy(&result, left.data(), bytes);
    left = left.subspan(bytes);
    return result;
  }
  std::string text() {
    const std::size_t bytes = std::min<std::size_t>(value<std::uint8_t>(), left.size());
    const std::string result(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(bytes));
    left = left.subspan(bytes);
    return result.substr(0, result.find('\0'));
  }
};

/// The usual value, none, or another one: a byte of the input decides.
void write_attribute(hdf5::File& file, Source& source, const char* name,
                     const hdf5::AttributeValue& usual) {
  switch (source.value<std::uint8_t>()) {
    case 1:
      return;
    case 2:
      return file.write_attribute("/", name, source.value<std::int64_t>());
    case 3:
      return file.write_attribute("/", name, source.value<double>());
    case 4:
      return file.write_attribute("/", name, source.text());
    case 5:
      return file.write_attribute("/", name, std::int64_t{source.value<std::int8_t>()});
    default:
      return file.write_attribute("/", name, usual);
  }
}

void write_values(hdf5::File& file, Source& source, const std::string& name,
                  const hdf5::Extents& usual) {
  const auto volume = [](const hdf5::Extents& extents) {
    std::size_t product = 1;
    for (const std::size_t extent : extents) product *= extent;
    return product;
  };
  hdf5::Extents other;
  const auto kind = source.value<std::uint8_t>();
  if (kind == 1) return;
  if (kind >= 2 && kind <= 5) {
    for (int i = kind & 3; i > 0; --i) other.push_back(source.value<std::uint8_t>() % 20);
  }
  if (kind == 2) {
    file.write(name, other, std::vector<std::int64_t>(volume(other), -1));
  } else if (kind == 3) {
    file.write(name, other, std::vector<std::uint8_t>(volume(other), 255));
  } else if (kind == 4 || kind == 5) {
    file.write(name, other, std::vector<float>(volume(other), source.value<float>()));
  } else {
    file.write(name, usual, std::vector<float>(volume(usual), source.value<float>()));
  }
}

/// A checkpoint of `mlp` for images of one pixel, except for what the input says.
void make(const std::filesystem::path& path, Source source) {
  hdf5::File file = hdf5::File::create_sealable(path);
  for (const auto& [name, usual] :
       std::initializer_list<std::pair<const char*, hdf5::AttributeValue>>{
           {"format", "dovetail checkpoint"},
           {"version", std::int64_t{1}},
           {"model", "mlp"},
           {"qat", "w1a1"},
           {"qat_scale", "mean"},
           {"channels", std::int64_t{1}},
           {"height", std::int64_t{1}},
           {"width", std::int64_t{1}},
           {"classes", std::int64_t{2}},
           {"epoch", std::int64_t{2}},
           {"step", std::int64_t{123}},
           {"seed", std::int64_t{9}},
           {"batch", std::int64_t{64}},
           {"optimizer", "sgd"},
           {"loss", "cross_entropy"},
           {"train_set_sha256", "abc"},
           {"recipe", "none"},
           {"steps_per_epoch", std::int64_t{50}},
           {"epoch_loss_sum", 1.5},
           {"epoch_correct", 10.0},
           {"epoch_samples", 20.0},
           {"test_accuracy", 0.5},
           {"loss_scale_steps", std::int64_t{7}},
           {"content_sha256", "abc"}}) {
    write_attribute(file, source, name, usual);
  }
  for (const auto& [name, usual] : std::initializer_list<std::pair<const char*, hdf5::Extents>>{
           {"/loss_scale", {1}},
           {"/input/mean", {1}},
           {"/input/standard_deviation", {1}},
           {"/parameters/dense1.weight", {256, 1}},
           {"/parameters/dense1.bias", {256}},
           {"/parameters/dense2.weight", {128, 256}},
           {"/parameters/dense2.bias", {128}},
           {"/parameters/dense3.weight", {2, 128}},
           {"/parameters/dense3.bias", {2}},
           {"/optimizer/0/dense1.weight", {256, 1}},
           {"/calibration/ranges", {6}},
           {"/calibration/histograms", {5, 64}}}) {
    write_values(file, source, name, usual);
  }
  if (source.value<std::uint8_t>() == 1)  // most files have none
    write_values(file, source, "/balance/shares", {2});
  file.close();
  hdf5::seal(path);
}

}  // namespace

std::vector<Bytes> seeds() {
  const Model model = make_model("mlp", {1, 1, 1}, 2);
  Checkpoint checkpoint;
  checkpoint.model = "mlp";
  checkpoint.input = {1, 1, 1};
  checkpoint.classes = 2;
  checkpoint.input_statistics = {{0.25f}, {0.5f}};
  checkpoint.parameters = model.initial_parameters(1);
  checkpoint.train_set_sha256 = "abc";
  save_checkpoint(folder() / "seed.h5", checkpoint);
  Bytes recipe(recipe_mark.begin(), recipe_mark.end());
  std::vector<Bytes> files{read_file(folder() / "seed.h5"), recipe};
  // Without quantisation, it is read to its end.
  recipe.insert(recipe.end(), {0, 0, 0, 1, 1});
  files.push_back(recipe);
  return files;
}

void read(std::span<const std::uint8_t> input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  if (text.starts_with(recipe_mark)) {
    const std::filesystem::path path = folder() / "made.h5";
    make(path, {input.subspan(recipe_mark.size())});
    try {
      read_checkpoint(path);
    } catch (const Error&) {  // it has no checksum of its content that holds
    }
  } else if (!text.starts_with(hdf5_mark)) {
    read_checkpoint(write("checkpoint.h5", input));
  }
}

}  // namespace dovetail::fuzz
