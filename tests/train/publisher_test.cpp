// Packs go out and evaluations come back without the root waiting.
#include "train/publisher.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "mpi/mpi_main.hpp"
#include "support/clock.hpp"

namespace dovetail {
namespace {

using testing::world;

quant::WeightPack make_pack(std::uint64_t version) {
  quant::WeightPack pack{version, std::vector<std::uint8_t>(300000)};
  for (std::size_t i = 0; i < pack.bytes.size(); ++i)
    pack.bytes[i] = static_cast<std::uint8_t>(i * version);
  return pack;
}

/// What an FPGA rank does, with a rank that is slower the higher it is. Returns how many packs
/// came.
int answer_packs() {
  int packs = 0;
  for (;; ++packs) {
    quant::Announcement announcement;
    world().ibroadcast(std::span(&announcement, 1), 0).wait_idle();
    if (announcement.bytes == 0) return packs;
    std::vector<std::uint8_t> bytes(announcement.bytes);
    world().ibroadcast(bytes, 0).wait_idle();
    EXPECT_EQ(bytes, make_pack(announcement.version).bytes);
    std::this_thread::sleep_for(std::chrono::milliseconds(30 * world().rank()));
    const quant::Evaluation share{.version = announcement.version,
                                  .samples = 10,
                                  .correct = static_cast<std::uint64_t>(world().rank()),
                                  .loss_sum = 1,
                                  .seconds = 0.1 * world().rank()};
    world().send(std::span(&share, 1), 0, quant::evaluation_tag);
  }
}

TEST(Publisher, EvaluationsOfAllSharesComeBackInOrder) {
  const int fpga_ranks = world().size() - 1;
  if (world().rank() > 0) {
    EXPECT_EQ(answer_packs(), 3);
    return;
  }
  Publisher publisher(world());
  Stopwatch watch;
  std::vector<quant::Evaluation> evaluations;
  for (const std::uint64_t version : {10, 20, 30}) {
    publisher.publish(make_pack(version));
    for (const auto& e : publisher.poll()) evaluations.push_back(e);
  }
  EXPECT_LT(watch.seconds(), 0.025) << "publishing must not wait for the slowest rank";
  for (const auto& e : publisher.finish()) evaluations.push_back(e);
  ASSERT_EQ(evaluations.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(evaluations[i].version, 10 * (i + 1));
    EXPECT_EQ(evaluations[i].samples, static_cast<std::uint64_t>(10 * fpga_ranks));
    EXPECT_EQ(evaluations[i].correct,
              static_cast<std::uint64_t>(fpga_ranks * (fpga_ranks + 1) / 2));
    EXPECT_DOUBLE_EQ(evaluations[i].loss_sum, fpga_ranks);
    EXPECT_DOUBLE_EQ(evaluations[i].seconds, 0.1 * fpga_ranks);
  }
}

TEST(Publisher, FinishesWithoutHavingPublished) {
  if (world().rank() > 0) {
    EXPECT_EQ(answer_packs(), 0);
    return;
  }
  Publisher publisher(world());
  EXPECT_TRUE(publisher.poll().empty());
  EXPECT_TRUE(publisher.finish().empty());
}

}  // namespace
}  // namespace dovetail
