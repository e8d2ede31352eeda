// Maps positions of an epoch to samples and gathers them into batches.
#include "shards/shard_reader.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <mutex>

#include "shards/sample_store.hpp"
#include "support/error.hpp"
#include "support/stream_copy.hpp"

namespace dovetail {
namespace {

/// Images gathered from all over the memory are asked for before it is their turn: so many bytes
/// ahead. Longer images are streams that the processor itself sees coming.
constexpr std::size_t bytes_ahead = 5 << 10, longest_ahead = bytes_ahead / 2, line = 64;

void want(const std::uint8_t* image, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += line) __builtin_prefetch(image + at);
}

}  // namespace

/// Newest first. Two at least: while a batch of a new epoch is read, the last ones of the old may
/// still be. Epochs of a few samples may be read ahead by many, and each again by who holds images.
struct ShardReader::Orders {
  static constexpr std::size_t least = 2, most = 64, most_samples = std::size_t{1} << 18;
  struct Order {
    std::int64_t epoch = Range::in_order;
    std::shared_ptr<const EpochOrder> order{};
  };
  std::mutex mutex;  // guards the rest
  std::deque<Order> known;
};

ShardReader::ShardReader(const std::filesystem::path& folder, const std::string& split_name,
                         const ReaderOptions& options)
    : manifest_(Manifest::load(folder)),
      seed_(options.seed),
      window_slabs_(options.window_slabs),
      orders_(std::make_unique<Orders>()) {
  const Split& split = manifest_.split(split_name, folder);
  samples_ = split.samples;
  const std::size_t image_bytes = manifest_.shape.bytes();
  in_memory_ = samples_ <= options.memory_bytes / image_bytes;
  if (in_memory_) {
    store_ = load_into_memory(folder, manifest_, split);
  } else {
    const std::size_t slabs_held =
        std::max<std::size_t>(1, options.memory_bytes / (slab_samples * image_bytes));
    if (window_slabs_ == 0) window_slabs_ = slabs_held;
    store_ = read_by_slabs(folder, manifest_, split, std::max(window_slabs_, slabs_held));
  }
}

ShardReader::~ShardReader() = default;
ShardReader::ShardReader(ShardReader&&) noexcept = default;
ShardReader& ShardReader::operator=(ShardReader&&) noexcept = default;

std::shared_ptr<const EpochOrder> ShardReader::order_of(std::int64_t epoch) {
  if (epoch == Range::in_order) return nullptr;
  const std::lock_guard lock(orders_->mutex);
  for (const Orders::Order& each : orders_->known) {
    if (each.epoch == epoch) return each.order;
  }
  const EpochOrderOptions options{.samples = samples_,
                                  .seed = seed_,
                                  .epoch = static_cast<std::uint64_t>(epoch),
                                  .window_slabs = window_slabs_};
  orders_->known.push_front({epoch, std::make_shared<const EpochOrder>(options)});
  const std::size_t held = std::clamp(Orders::most_samples / samples_, Orders::least, Orders::most);
  if (orders_->known.size() > held) orders_->known.pop_back();
  return orders_->known.front().order;
}

void ShardReader::read(const Range& range, Batch& batch) {
  const std::size_t extent =
      range.picks.empty() ? range.count : std::ranges::max(range.picks) + std::size_t{1};
  if (range.begin > samples_ || extent > samples_ - range.begin) {
    throw Error(fmt::format("samples {} to {} were asked for, but the split has {}", range.begin,
                            range.begin + extent, samples_));
  }
  if (!range.picks.empty() && range.picks.size() != range.count)
    throw Error(fmt::format("{} samples with {} picks", range.count, range.picks.size()));
  const std::shared_ptr<const EpochOrder> order = order_of(range.epoch);
  const std::size_t bytes = manifest_.shape.bytes();
  batch.range = range;
  batch.images.resize(range.images ? range.count * bytes : 0);
  batch.labels.resize(range.count);
  batch.numbers.resize(range.images ? 0 : range.count);
  const auto sample_of = [&](std::size_t i) {
    const std::size_t position = range.begin + (range.picks.empty() ? i : range.picks[i]);
    return order ? (*order)[position] : position;
  };
  const bool wants = range.images && in_memory() && bytes <= longest_ahead;
  const std::size_t ahead = bytes_ahead / bytes;
  // A source of memory other than the heap is a device's, which copies from there.
  const bool streams = batch.images.get_allocator().memory() != nullptr;
  for (std::size_t i = 0; i < range.count; ++i) {
    const std::size_t sample = sample_of(i);
    if (wants && i + ahead < range.count) want(store_->image(sample_of(i + ahead)), bytes);
    if (range.images) {
      std::uint8_t* image = &batch.images[i * bytes];
      if (streams) {
        stream_copy(image, store_->image(sample), bytes);
      } else {
        std::memcpy(image, store_->image(sample), bytes);
      }
    } else {
      batch.numbers[i] = static_cast<std::int32_t>(sample);
    }
    batch.labels[i] = store_->label(sample);
  }
  if (streams) publish_stream_copies();
}

}  // namespace dovetail
