// A small data set that trains fast, for the tests of training over MPI.
#pragma once

#include <cmath>
#include <filesystem>
#include <optional>
#include <string>

#include "mpi/mpi_main.hpp"
#include "shards/shard_writer.hpp"
#include "support/random.hpp"
#include "support/scratch_folder.hpp"
#include "train/trainer.hpp"

namespace dovetail::testing {

inline constexpr std::size_t train_samples =
    150;  // with batch 16 the last step has 6, so some of 4 ranks get two, some one
inline constexpr std::size_t test_samples = 37;

/// Images whose class shows as a bright spot on noise.
inline Samples make_spots(std::size_t count, std::uint64_t seed) {
  SplitMix64 random(seed);
  Samples samples;
  samples.shape = {1, 12, 12};
  samples.classes = 10;
  for (std::size_t i = 0; i < count; ++i) {
    const auto label = static_cast<std::int32_t>(random.next() % 10);
    samples.labels.push_back(label);
    for (int pixel = 0; pixel < 144; ++pixel) {
      const bool bright = pixel / 14 == label;
      samples.images.push_back(static_cast<std::uint8_t>(random.next() % 64 + (bright ? 160 : 0)));
    }
  }
  return samples;
}

/// A folder that all ranks share, with the data set in it.
class SpotsFolder {
 public:
  SpotsFolder() {
    if (world().is_lead()) {
      scratch_.emplace();
      folder_ = scratch_->path().string();
    }
    world().broadcast_text(folder_, 0);
    if (world().is_lead()) {
      write_split(data(), make_spots(train_samples, 1), {.split = "train", .name = "spots"});
      write_split(data(), make_spots(test_samples, 2), {.split = "test", .name = "spots"});
    }
    world().barrier();
  }
  ~SpotsFolder() { world().barrier(); }
  SpotsFolder(const SpotsFolder&) = delete;
  SpotsFolder& operator=(const SpotsFolder&) = delete;

  std::filesystem::path data() const { return std::filesystem::path(folder_) / "data"; }

  /// Collective.
  TrainSettings settings(int epochs, const std::string& out) const {
    TrainSettings settings;
    settings.data = data();
    settings.out = std::filesystem::path(folder_) / out;
    settings.epochs = epochs;
    settings.batch = 16;
    settings.learning_rate.kind = ScheduleKind::constant;
    settings.learning_rate.base = 0.02f;
    if (world().is_lead()) std::filesystem::create_directories(settings.out);
    world().barrier();
    return settings;
  }

 private:
  std::optional<ScratchFolder> scratch_;  // the lead's, which all ranks share
  std::string folder_;
};

inline double relative_difference(const std::vector<Parameter>& a,
                                  const std::vector<Parameter>& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < a[i].value.size(); ++j) {
      const double d = static_cast<double>(a[i].value.values[j]) - b[i].value.values[j];
      difference += d * d;
      norm += static_cast<double>(b[i].value.values[j]) * b[i].value.values[j];
    }
  }
  return std::sqrt(difference / norm);
}

}  // namespace dovetail::testing
