// Draws images, or reads them in the data set's order.
#include "verify/source.hpp"

#include <algorithm>

namespace dovetail::verify {
namespace {

/// Mean and deviation, of x / 255, of uniformly random bytes.
constexpr float random_mean = 0.5F, random_deviation = 0.29F;

InputShape shape_of(int channels, int height, int width, int classes) {
  const auto count = static_cast<std::size_t>(channels);
  InputShape shape;
  shape.channels = channels;
  shape.height = height;
  shape.width = width;
  shape.classes = classes;
  shape.mean.assign(count, random_mean);
  shape.deviation.assign(count, random_deviation);
  return shape;
}

}  // namespace

Source::Source(const std::filesystem::path& folder)
    : name_(Manifest::load(folder).name), reader_(std::make_unique<ShardReader>(folder, "test")) {
  if (name_.empty()) name_ = folder.string();
}

InputShape Source::shape(int channels, int height, int width) const {
  constexpr int random_classes = 10;
  if (!reader_) return shape_of(channels, height, width, random_classes);
  const Manifest& manifest = reader_->manifest();
  InputShape shape =
      shape_of(static_cast<int>(manifest.shape.channels), static_cast<int>(manifest.shape.height),
               static_cast<int>(manifest.shape.width), static_cast<int>(manifest.classes));
  if (!manifest.mean.empty()) {  // a data set without a train split has no statistics
    shape.mean.assign(manifest.mean.begin(), manifest.mean.end());
    shape.deviation.assign(manifest.standard_deviation.begin(), manifest.standard_deviation.end());
  }
  return shape;
}

Samples Source::next(const InputShape& shape, std::uint64_t count, SplitMix64& random) {
  if (reader_) return next_of_data(count);
  Samples samples;
  for (std::size_t i = 0; i < count * shape.image_bytes(); ++i)
    samples.images.push_back(static_cast<std::uint8_t>(random.next() >> 56));
  for (std::uint64_t n = 0; n < count; ++n) {
    samples.labels.push_back(
        static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(shape.classes))));
  }
  return samples;
}

Samples Source::next_of_data(std::uint64_t count) {
  count = std::min<std::uint64_t>(count, reader_->samples());
  if (position_ + count > reader_->samples()) position_ = 0;
  Batch batch;
  reader_->read({.begin = position_, .count = count}, batch);
  position_ += count;
  return {{batch.images.begin(), batch.images.end()}, {batch.labels.begin(), batch.labels.end()}};
}

}  // namespace dovetail::verify
