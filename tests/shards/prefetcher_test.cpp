// The prefetcher: the schedule's batches in order, failures in their place, a clean stop at any
// time.
#include "shards/prefetcher.hpp"

#include <atomic>
#include <chrono>
#include <memory_resource>

#include "shards/shard_writer.hpp"
#include "shards/test_files.hpp"

namespace dovetail {
namespace {

using test::error_of;

class PrefetcherTest : public testing::Test {
 protected:
  PrefetcherTest() {
    write_split(folder_.path(), test::random_samples(500, {1, 4, 4}),
                {.split = "train", .samples_per_shard = 100});
  }
  ShardReader reader(std::size_t memory_bytes) {
    return ShardReader(folder_.path(), "train", {.seed = 3, .memory_bytes = memory_bytes});
  }

  // Three epochs in batches of 64, the last of each shorter.
  static std::optional<Range> schedule(std::size_t step) {
    constexpr std::size_t steps = 8;
    if (step >= 3 * steps) return std::nullopt;
    const std::size_t begin = step % steps * 64;
    return Range{.epoch = static_cast<std::int64_t>(step / steps),
                 .begin = begin,
                 .count = std::min<std::size_t>(64, 500 - begin)};
  }
  static std::optional<Range> without_images(std::size_t step) {
    std::optional<Range> range = schedule(step);
    if (range) range->images = false;
    return range;
  }

  /// What `direct` reads, to the end.
  static void expect_schedule(Prefetcher& prefetcher, ShardReader direct,
                              const Schedule& schedule = PrefetcherTest::schedule) {
    Batch batch;
    Batch expected;
    std::size_t step = 0;
    for (; prefetcher.next(batch); ++step) {
      ASSERT_EQ(batch.range, *schedule(step));
      direct.read(batch.range, expected);
      EXPECT_EQ(batch.images, expected.images);
      EXPECT_EQ(batch.labels, expected.labels);
      EXPECT_EQ(batch.numbers, expected.numbers);
    }
    EXPECT_EQ(step, 24u);
    EXPECT_FALSE(prefetcher.next(batch));
  }

  ScratchFolder folder_;
};

TEST_F(PrefetcherTest, DeliversTheScheduleFromMemoryAndFromFiles) {
  for (const std::size_t memory_bytes : {std::size_t{1} << 20, std::size_t{64 * 16 * 3}}) {
    ShardReader ahead = reader(memory_bytes);
    Prefetcher prefetcher(ahead, schedule);
    expect_schedule(prefetcher, reader(memory_bytes));
  }
}

TEST_F(PrefetcherTest, SeveralThreadsDeliverTheSameInOrder) {
  for (int round = 0; round < 20; ++round) {
    ShardReader ahead = reader(1 << 20);
    const Schedule wanted = round % 2 == 0 ? schedule : without_images;
    Prefetcher prefetcher(ahead, wanted, Prefetcher::by_size, nullptr, 4);
    expect_schedule(prefetcher, reader(1 << 20), wanted);
  }
}

/// The heap, and what of it was asked for.
class CountedMemory : public std::pmr::memory_resource {
 public:
  std::size_t blocks() const { return blocks_; }
  std::size_t asked() const { return asked_; }
  std::size_t given_back() const { return given_back_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    ++blocks_, ++asked_;
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    --blocks_, ++given_back_;
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }
  std::atomic<std::size_t> blocks_ = 0, asked_ = 0, given_back_ = 0;
};

// Batches that come from elsewhere are not read into: the caller's first one, and later strangers.
TEST_F(PrefetcherTest, TakesTheMemoryThatItIsGivenAndUsesItAgain) {
  for (const int threads : {1, 3}) {
    const auto memory = std::make_shared<CountedMemory>();
    {
      ShardReader source = reader(1 << 20);
      Prefetcher prefetcher(
          source,
          [](std::size_t) {
            return Range{0, 0, 64};
          },
          3, memory, threads);
      std::vector<Batch> held(3);
      for (int i = 0; i < 100; ++i) {
        Batch& batch = held[static_cast<std::size_t>(i) % held.size()];
        if (i == 50) batch = Batch();
        ASSERT_TRUE(prefetcher.next(batch));
        EXPECT_TRUE(batch.is_in(memory));
        EXPECT_EQ(batch.labels.get_allocator().memory(), memory);
      }
      // Three ready or being read, three with the caller and one it gave away, some to spare.
      EXPECT_LE(memory->asked(), 2u * 14);
      EXPECT_GT(memory->blocks(), 0u);
    }
    EXPECT_EQ(memory->blocks(), 0u);
  }
}

// Its memory is taken for the longest batch so far, whichever is read into it first.
TEST_F(PrefetcherTest, ShortBatchesLeaveNoMemoryThatIsTooSmallForOthers) {
  const auto memory = std::make_shared<CountedMemory>();
  ShardReader source = reader(1 << 20);
  Prefetcher prefetcher(
      source,
      [](std::size_t step) {
        return Range{0, 0, step % 7 > 0 ? 10u : 64u};
      },
      4, memory);
  std::vector<Batch> held(2);
  for (std::size_t i = 0; i < 100; ++i) ASSERT_TRUE(prefetcher.next(held[i % held.size()]));
  EXPECT_EQ(prefetcher.most_waiting(), 4u);
  EXPECT_EQ(memory->given_back(), 0u) << "for more";
}

/// Counts what a prefetcher asks of its schedule.
class AskedSchedule {
 public:
  Schedule schedule(std::size_t steps) {
    return [this, steps](std::size_t step) -> std::optional<Range> {
      if (step >= steps) return std::nullopt;
      ++asked_;
      return Range{.begin = step % 8 * 60, .count = 60};
    };
  }
  /// How often, when it has long been `count` or will be no more.
  std::size_t settled_at(std::size_t count) const {
    for (int i = 0; i < 5000 && asked_ < count; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return asked_.load();
  }

 private:
  std::atomic<std::size_t> asked_ = 0;
};

TEST_F(PrefetcherTest, ReadsAheadByTwoAndNoFurther) {
  ShardReader source = reader(1 << 20);
  AskedSchedule asked;
  Prefetcher prefetcher(source, asked.schedule(24), 2);
  EXPECT_EQ(asked.settled_at(2), 2u);
  Batch batch;
  ASSERT_TRUE(prefetcher.next(batch));
  EXPECT_EQ(asked.settled_at(3), 3u);
}

// Batches of a kilobyte: the most that may wait are sixteen.
TEST_F(PrefetcherTest, ReadsMoreSmallBatchesAheadAndSleepsUntilHalfAreGone) {
  ShardReader source = reader(1 << 20);
  AskedSchedule asked;
  Prefetcher prefetcher(source, asked.schedule(100));
  EXPECT_EQ(asked.settled_at(16), 16u);
  Batch batch;
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(prefetcher.next(batch));
  EXPECT_EQ(asked.settled_at(16), 16u) << "woken for less than half";
  ASSERT_TRUE(prefetcher.next(batch));
  EXPECT_EQ(asked.settled_at(24), 24u);
}

// Of several threads, where the one that takes batches has to wait for many of them; twice as many
// then, and no more.
TEST_F(PrefetcherTest, ReadsFurtherAheadOfWhoHasToWait) {
  ShardReader source = reader(1 << 20);
  std::atomic<bool> is_slow = false;
  const Schedule schedule = [&](std::size_t step) -> std::optional<Range> {
    if (is_slow) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return Range{.begin = step % 8 * 60, .count = 60};
  };
  Prefetcher prefetcher(source, schedule, Prefetcher::by_size, nullptr, 2);
  Batch batch;
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(prefetcher.next(batch));
    std::this_thread::sleep_for(std::chrono::microseconds(300));
  }
  EXPECT_EQ(prefetcher.most_waiting(), 64u);
  is_slow = true;
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(prefetcher.next(batch));
  EXPECT_EQ(prefetcher.most_waiting(), 128u);
  prefetcher.forget_waits();
  EXPECT_EQ(prefetcher.most_waiting(), 64u);
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(prefetcher.next(batch));
  EXPECT_EQ(prefetcher.most_waiting(), 128u);
}

// Asked for while the thread reads, and never more than three at once.
TEST_F(PrefetcherTest, DeliversWhatIsRequestedMeanwhile) {
  ShardReader ahead = reader(1 << 20);
  ShardReader direct = reader(1 << 20);
  Prefetcher prefetcher(ahead);
  Batch batch;
  Batch expected;
  for (std::size_t step = 0; step < 24; ++step) {
    if (step == 0) {
      prefetcher.request(*schedule(0));
      prefetcher.request(*schedule(1));
    }
    if (step + 2 < 24) prefetcher.request(*schedule(step + 2));
    // The thread meets it before the lock in `next` puts the two in order.
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    ASSERT_TRUE(prefetcher.next(batch));
    ASSERT_EQ(batch.range, *schedule(step));
    direct.read(batch.range, expected);
    EXPECT_EQ(batch.images, expected.images);
    EXPECT_EQ(batch.labels, expected.labels);
  }
}

TEST_F(PrefetcherTest, UsesStorageAgain) {
  ShardReader source = reader(1 << 20);
  Prefetcher prefetcher(
      source,
      [](std::size_t) {
        return Range{0, 0, 64};
      },
      2);
  Batch batch;
  std::set<const std::uint8_t*> storage;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(prefetcher.next(batch));
    storage.insert(batch.images.data());
  }
  EXPECT_LE(storage.size(), 5u);  // two ready, one being read, one with the caller, one to spare
}

TEST_F(PrefetcherTest, RethrowsAfterTheBatchesBefore) {
  for (const int threads : {1, 3}) {
    ShardReader source = reader(1 << 20);
    Prefetcher prefetcher(
        source,
        [](std::size_t step) {
          return Range{0, step * 200, 200};
        },
        4, nullptr, threads);
    Batch batch;
    EXPECT_TRUE(prefetcher.next(batch));
    EXPECT_TRUE(prefetcher.next(batch));
    for (int again = 0; again < 2; ++again) {
      EXPECT_THAT(error_of([&] { prefetcher.next(batch); }),
                  testing::HasSubstr("samples 400 to 600 were asked for, but the split has 500"));
    }
  }
}

TEST_F(PrefetcherTest, RethrowsWhatTheScheduleThrows) {
  ShardReader source = reader(1 << 20);
  Prefetcher prefetcher(source,
                        [](std::size_t) -> std::optional<Range> { throw Error("no schedule"); });
  Batch batch;
  EXPECT_EQ(error_of([&] { prefetcher.next(batch); }), "no schedule");
}

TEST_F(PrefetcherTest, StopsAtAnyTime) {
  for (int fetched = 0; fetched < 30; ++fetched) {
    const bool in_memory = fetched % 2 == 0;
    ShardReader source = reader(in_memory ? 1 << 20 : 64 * 16 * 3);
    Prefetcher prefetcher(source, schedule, Prefetcher::by_size, nullptr, in_memory ? 3 : 1);
    Batch batch;
    for (int i = 0; i < fetched; ++i) prefetcher.next(batch);
  }
}

}  // namespace
}  // namespace dovetail
