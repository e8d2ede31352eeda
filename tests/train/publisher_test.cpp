// Packs go out and evaluations come back without the root waiting.
#include "train/publisher.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "mpi/mpi_main.hpp"
#include "quant/announcement.hpp"
#include "quant/report.hpp"

namespace dovetail {
namespace {

using testing::world;

quant::WeightPack make_pack(std::uint64_t version) {
  quant::WeightPack pack{version, std::vector<std::uint8_t>(300000)};
  for (std::size_t i = 0; i < pack.bytes.size(); ++i)
    pack.bytes[i] = static_cast<std::uint8_t>(i * version);
  return pack;
}

using quant::Announcement;
using quant::Report;

constexpr int published_tag = 77;  // far from those of the protocol

/// What an FPGA rank does, with a rank that is slower the higher it is: answers every pack with a
/// share of its evaluation. Returns the formats of the packs that came. `late`: it says nothing
/// before the root has published all.
std::vector<std::uint32_t> answer_packs(bool retires_at_once = false, bool late = false) {
  std::vector<std::uint32_t> formats;
  const auto send = [](const Report& report, const std::string& payload = "") {
    world().send(std::span(&report, 1), 0, quant::report_tag);
    if (report.bytes > 0) world().send(payload, 0, quant::payload_tag);
  };
  while (true) {
    Announcement announcement;
    world().ibroadcast(std::span(&announcement, 1), 0).wait_idle();
    std::vector<std::uint8_t> bytes(announcement.bytes);
    if (announcement.bytes > 0) world().ibroadcast(bytes, 0).wait_idle();
    if (announcement.kind == Announcement::Kind::end) break;
    if (announcement.kind != Announcement::Kind::evaluate) continue;
    EXPECT_EQ(bytes, make_pack(announcement.version).bytes);
    if (retires_at_once) {
      if (formats.empty()) send({.kind = Report::Kind::retired, .bytes = 6}, "broken");
      formats.push_back(announcement.format);
      continue;
    }
    if (late && formats.empty()) {
      int published = 0;
      world().receive(std::span(&published, 1), 0, published_tag);
    }
    formats.push_back(announcement.format);
    std::this_thread::sleep_for(std::chrono::milliseconds(30 * world().rank()));
    send({.kind = Report::Kind::evaluation,
          .round = announcement.round,
          .sums = {.version = announcement.version,
                   .samples = 10,
                   .correct = static_cast<std::uint64_t>(world().rank()),
                   .loss_sum = 1,
                   .seconds = 0.1 * world().rank()}});
  }
  send({.kind = Report::Kind::done});
  return formats;
}

std::vector<quant::WeightPack> one(quant::WeightPack pack) {
  return {std::move(pack)};
}

TEST(Publisher, EvaluationsOfAllSharesComeBackInOrder) {
  const int fpga_ranks = world().size() - 1;
  if (world().rank() > 0) {
    EXPECT_EQ(answer_packs(false, true).size(), 3u);
    return;
  }
  Publisher publisher(world());
  std::vector<quant::Evaluation> evaluations;
  for (const std::uint64_t version : {10, 20, 30}) {
    publisher.publish(one(make_pack(version)));
    for (const auto& e : publisher.poll()) evaluations.push_back(e);
  }
  // A root that waited for the others would never come here.
  const int published = 1;
  for (int rank = 1; rank <= fpga_ranks; ++rank)
    world().send(std::span(&published, 1), rank, published_tag);
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

TEST(Publisher, ARankThatRetiresLeavesItsShareToTheOthers) {
  const int last = world().size() - 1;
  if (world().rank() > 0) {
    const std::vector<std::uint32_t> formats = answer_packs(world().rank() == last);
    EXPECT_GE(formats.size(), 1u);
    return;
  }
  Publisher publisher(world());
  publisher.publish(one(make_pack(1)));
  publisher.publish(one(make_pack(2)));
  const auto evaluations = publisher.finish();
  const auto retired = publisher.take_retired();
  ASSERT_EQ(retired.size(), 1u);
  EXPECT_EQ(retired[0].rank, last);
  EXPECT_EQ(std::string(retired[0].payload.begin(), retired[0].payload.end()), "broken");
  EXPECT_EQ(publisher.serving(), static_cast<std::size_t>(last - 1));
  if (last == 1) {
    EXPECT_TRUE(evaluations.empty()) << "nobody is left to evaluate";
    return;
  }
  ASSERT_EQ(evaluations.size(), 2u);
  for (const auto& e : evaluations) {
    EXPECT_EQ(e.samples, static_cast<std::uint64_t>(10 * (last - 1)));
    EXPECT_EQ(e.correct, static_cast<std::uint64_t>(last * (last - 1) / 2));
  }
}

/// As where a card fails at work that nobody needs any more.
TEST(Publisher, ARankThatRetiresBehindTheEndHearsNothingMore) {
  if (world().rank() > 0) {
    Announcement announcement;
    world().ibroadcast(std::span(&announcement, 1), 0).wait_idle();
    EXPECT_EQ(announcement.kind, Announcement::Kind::end);
    const Report retired{.kind = Report::Kind::retired, .bytes = 6};
    world().send(std::span(&retired, 1), 0, quant::report_tag);
    world().send(std::string("broken"), 0, quant::payload_tag);
    const Report done{.kind = Report::Kind::done};
    world().send(std::span(&done, 1), 0, quant::report_tag);
  } else {
    Publisher publisher(world());
    EXPECT_TRUE(publisher.finish().empty());
    EXPECT_EQ(publisher.take_retired().size(), static_cast<std::size_t>(world().size() - 1));
    EXPECT_EQ(publisher.serving(), 0u);
  }
  // An announcement that nobody heard would come in place of this.
  std::uint64_t word = world().is_lead() ? 0x0123456789abcdefu : 0;
  world().ibroadcast(std::span(&word, 1), 0).wait_idle();
  EXPECT_EQ(word, 0x0123456789abcdefu);
}

TEST(Publisher, FinishesWithoutHavingPublished) {
  if (world().rank() > 0) {
    EXPECT_TRUE(answer_packs().empty());
    return;
  }
  Publisher publisher(world());
  EXPECT_TRUE(publisher.poll().empty());
  EXPECT_TRUE(publisher.finish().empty());
}

}  // namespace
}  // namespace dovetail
