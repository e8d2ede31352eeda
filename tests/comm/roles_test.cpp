// Roles of invented jobs: automatic and by request, with real and emulated cards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/invented_cluster.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

using fpga::Backend;
using testing::Cluster;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::letters;
using testing::message_of;

std::string roles(const Cluster& cluster, const PlacementRequest& request = {}) {
  return letters(plan_roles(cluster.sites, request));
}

TEST(AutomaticRoles, WithoutCardsEmulateOneUnlessTheJobHasOneRank) {
  EXPECT_EQ(roles(Cluster().host("a", 1, 0)), "g");
  EXPECT_EQ(roles(Cluster().host("a", 2, 0)), "gf");
  EXPECT_EQ(roles(Cluster().host("a", 3, 0)), "ggf");
  EXPECT_EQ(roles(Cluster().host("a", 2, 0).host("b", 2, 0)), "gggf");
  EXPECT_EQ(plan_roles(Cluster().host("a", 3, 0).sites, {}).backend, Backend::emulated);
}

TEST(AutomaticRoles, WithNeitherCardsNorEmulationAllTrain) {
  EXPECT_EQ(roles(Cluster().host("a", 3, 0).without_emulation()), "ggg");
}

TEST(AutomaticRoles, UseSeveralGpusBeforeAnEmulatedCard) {
  EXPECT_EQ(roles(Cluster().host("a", 2, 0).with_gpus(2)), "gg");
  EXPECT_EQ(roles(Cluster().host("a", 3, 0).with_gpus(2)), "ggg");
  EXPECT_EQ(roles(Cluster().host("a", 1, 0).host("b", 1, 0).with_gpus(1)), "gg");
  // One GPU leaves nothing else for a second rank.
  EXPECT_EQ(roles(Cluster().host("a", 2, 0).with_gpus(1)), "gf");
  EXPECT_EQ(roles(Cluster().host("a", 1, 0).with_gpus(2)), "g");
  EXPECT_THAT(plan_roles(Cluster().host("a", 2, 0).with_gpus(4).sites, {}).notices,
              ElementsAre("no FPGA ranks: the hosts have 4 GPUs and no FPGA card. Use "
                          "--fpga-ranks 1 for one on an emulated card"));
}

TEST(AutomaticRoles, CountEachUsableGpuOnce) {
  // A launcher that shows each rank a GPU of its own.
  Cluster shown = Cluster().host("a", 2, 0).with_gpus(1);
  shown.sites[1].gpus[0].address = "0000:65:00.0";
  EXPECT_EQ(roles(shown), "gg");
  // Two platforms show the same one.
  Cluster twice = Cluster().host("a", 2, 0).with_gpus(1);
  for (RankSite& site : twice.sites) site.gpus.push_back(site.gpus[0]);
  EXPECT_EQ(roles(twice), "gf");
  // Without addresses each rank of the host sees the same ones.
  Cluster nameless = Cluster().host("a", 2, 0).with_gpus(1);
  for (RankSite& site : nameless.sites) site.gpus[0].address.clear();
  EXPECT_EQ(roles(nameless), "gf");
  for (RankSite& site : nameless.sites) site.gpus.push_back(site.gpus[0]);
  EXPECT_EQ(roles(nameless), "gg");
  Cluster broken = Cluster().host("a", 2, 0).with_gpus(2);
  for (RankSite& site : broken.sites) site.gpus[1].unusable = "its driver has no compiler";
  EXPECT_EQ(roles(broken), "gf");
}

TEST(AutomaticRoles, EmulateBesideSeveralGpusWhereAsked) {
  const Cluster cluster = Cluster().host("a", 3, 0).with_gpus(2);
  EXPECT_EQ(roles(cluster, {.fpga_ranks = 1}), "ggf");
  EXPECT_EQ(roles(cluster, {.gpu_ranks = 2}), "ggf");
  EXPECT_EQ(roles(cluster, {.backend = Backend::emulated}), "ggf");
  EXPECT_THAT(plan_roles(cluster.sites, {.fpga_ranks = 0}).notices, IsEmpty());
  EXPECT_THAT(plan_roles(cluster.sites, {.backend = Backend::emulated}).notices, IsEmpty());
  // Cards are used whatever the GPUs.
  EXPECT_EQ(roles(Cluster().host("gpu1", 2, 0).host("fpga1", 1, 1).with_gpus(2)), "ggf");
  EXPECT_EQ(roles(Cluster().host("a", 2, 0).with_gpus(2).without_emulation()), "gg");
}

TEST(AutomaticRoles, NeedGpusOnlyWhereNobodySaysWhatTheRanksDo) {
  EXPECT_TRUE(needs_gpus(2, {}));
  EXPECT_FALSE(needs_gpus(1, {}));
  EXPECT_FALSE(needs_gpus(2, {.gpu_ranks = 1}));
  EXPECT_FALSE(needs_gpus(2, {.fpga_ranks = 1}));
  EXPECT_FALSE(needs_gpus(2, {.backend = Backend::card}));
}

TEST(AutomaticRoles, GiveEveryCardARankAndKeepOneGpuRank) {
  EXPECT_EQ(roles(Cluster().host("a", 4, 1)), "gggf");
  EXPECT_EQ(roles(Cluster().host("a", 4, 2)), "ggff");
  EXPECT_EQ(roles(Cluster().host("a", 4, 8)), "gfff");
  EXPECT_EQ(roles(Cluster().host("a", 1, 1)), "g");
  EXPECT_EQ(plan_roles(Cluster().host("a", 4, 1).sites, {}).backend, Backend::card);
}

TEST(AutomaticRoles, FollowTheCardsOfGpuNodesAndFpgaNodes) {
  EXPECT_EQ(roles(Cluster().host("gpu1", 2, 0).host("gpu2", 2, 0).host("fpga1", 2, 2)), "ggggff");
  EXPECT_EQ(roles(Cluster().host("fpga1", 2, 2).host("gpu1", 2, 0)), "ffgg");
  // The same hosts with their ranks dealt out in turn.
  Cluster dealt;
  for (int i = 0; i < 2; ++i) dealt.host("gpu1", 1, 0).host("fpga1", 1, 2);
  EXPECT_EQ(roles(dealt), "gfgf");
  // More ranks than cards on the FPGA node: the rest trains.
  EXPECT_EQ(roles(Cluster().host("gpu1", 1, 0).host("fpga1", 3, 2)), "ggff");
}

TEST(AutomaticRoles, DoNotCountUnusableCards) {
  Cluster cluster = Cluster().host("a", 3, 2);
  for (RankSite& site : cluster.sites) site.cards[0].unusable = "shell too old";
  EXPECT_EQ(roles(cluster), "ggf");
  EXPECT_THAT(plan_roles(cluster.sites, {}).notices, IsEmpty());
  for (RankSite& site : cluster.sites) site.cards[1].unusable = "in use";
  EXPECT_EQ(roles(cluster), "ggg");
  EXPECT_THAT(plan_roles(cluster.sites, {}).notices,
              ElementsAre("no FPGA ranks: card 0 of a cannot be used: shell too old; card 1 of a "
                          "cannot be used: in use. Use --fpga-backend emulated for an emulated "
                          "card"));
}

TEST(AutomaticRoles, DoNotEmulateWhereTheUserChoseAnXrtThatShowsNoCard) {
  Cluster cluster = Cluster().host("a", 3, 0);
  cluster.sites[1].has_card = true;
  EXPECT_EQ(roles(cluster), "ggg");
  EXPECT_THAT(plan_roles(cluster.sites, {}).notices,
              ElementsAre("no FPGA ranks: a has a card's driver or XILINX_XRT is set there, but "
                          "XRT lists no card. Use --fpga-backend emulated for an emulated card"));
  EXPECT_THAT(plan_roles(cluster.without_emulation().sites, {}).notices,
              ElementsAre(EndsWith("XRT lists no card")));
}

TEST(AutomaticRoles, SayNothingAboutCardsThatNobodyWouldUse) {
  Cluster cluster = Cluster().host("a", 3, 1);
  for (RankSite& site : cluster.sites) site.cards[0].unusable = "shell too old";
  EXPECT_THAT(plan_roles(cluster.sites, {.fpga_ranks = 0}).notices, IsEmpty());
  EXPECT_THAT(plan_roles(cluster.sites, {.backend = Backend::emulated}).notices, IsEmpty());
  cluster.sites.resize(1);
  EXPECT_THAT(plan_roles(cluster.sites, {}).notices, IsEmpty());
  EXPECT_THAT(plan_roles(Cluster().host("a", 3, 0).sites, {}).notices, IsEmpty());
}

TEST(RequestedRoles, FollowFromOneCountOrBoth) {
  const Cluster cluster = Cluster().host("a", 4, 0);
  EXPECT_EQ(roles(cluster, {.gpu_ranks = 3}), "gggf");
  EXPECT_EQ(roles(cluster, {.fpga_ranks = 3}), "gfff");
  EXPECT_EQ(roles(cluster, {.gpu_ranks = 2, .fpga_ranks = 2}), "ggff");
  EXPECT_EQ(roles(cluster, {.gpu_ranks = 4}), "gggg");
  EXPECT_EQ(roles(cluster, {.fpga_ranks = 0}), "gggg");
  EXPECT_EQ(roles(cluster, {.gpu_ranks = 0}), "ffff");
}

TEST(RequestedRoles, AreSpreadOverTheHostsWithCards) {
  const Cluster cluster = Cluster().host("a", 4, 2).host("b", 4, 2).host("c", 2, 0);
  EXPECT_EQ(roles(cluster, {.fpga_ranks = 1}),
            "gggg"
            "gggf"
            "gg");
  EXPECT_EQ(roles(cluster, {.fpga_ranks = 2}),
            "gggf"
            "gggf"
            "gg");
  EXPECT_EQ(roles(cluster, {.fpga_ranks = 3}),
            "gggf"
            "ggff"
            "gg");
  EXPECT_EQ(roles(cluster, {.fpga_ranks = 4}),
            "ggff"
            "ggff"
            "gg");
}

TEST(RequestedRoles, ThatDoNotAddUpAreUsageErrors) {
  const Cluster cluster = Cluster().host("a", 3, 0);
  const auto refused = [&](const PlacementRequest& request) {
    return message_of<UsageError>([&] { plan_roles(cluster.sites, request); });
  };
  EXPECT_EQ(refused({.gpu_ranks = 2, .fpga_ranks = 2}),
            "2 GPU ranks and 2 FPGA ranks were asked for, but the job has 3 ranks. Start it with "
            "mpirun -n 4");
  EXPECT_THAT(refused({.gpu_ranks = 1, .fpga_ranks = 1}), HasSubstr("mpirun -n 2"));
  EXPECT_EQ(refused({.gpu_ranks = 4}),
            "4 GPU ranks asked for, but the job has 3 ranks. Start it with mpirun -n 4 or more");
  EXPECT_THAT(refused({.fpga_ranks = 4}), HasSubstr("4 FPGA ranks asked for"));
  EXPECT_THAT(refused({.gpu_ranks = -1}), HasSubstr("negative"));
  EXPECT_THAT(refused({.gpu_ranks = 4, .fpga_ranks = -1}), HasSubstr("negative"));
}

TEST(RequestedRoles, MoreThanThereAreCardsAreRefusedWithTheNumbers) {
  const Cluster cluster = Cluster().host("gpu1", 2, 0).host("fpga1", 2, 1);
  EXPECT_EQ(message_of<Error>([&] { plan_roles(cluster.sites, {.fpga_ranks = 2}); }),
            "2 FPGA ranks asked for, but the job's hosts can place 1 on FPGA cards (gpu1: 0 cards, "
            "2 ranks; fpga1: 1 card, "
            "2 ranks). Ask for fewer, or use --fpga-backend emulated");
  // Cards without ranks beside them don't help.
  const Cluster cramped = Cluster().host("gpu1", 3, 0).host("fpga1", 1, 4);
  EXPECT_THAT(
      message_of<Error>([&] { plan_roles(cramped.sites, {.fpga_ranks = 2}); }),
      HasSubstr("can place 1 on FPGA cards (gpu1: 0 cards, 3 ranks; fpga1: 4 cards, 1 rank)"));
}

TEST(RequestedRoles, SayWhyACardDoesNotCount) {
  Cluster cluster = Cluster().host("a", 2, 1);
  for (RankSite& site : cluster.sites) site.cards[0].unusable = "shell too old";
  const std::string line = message_of<Error>([&] { plan_roles(cluster.sites, {.fpga_ranks = 1}); });
  EXPECT_THAT(line, HasSubstr("; card 0 of a cannot be used: shell too old. "));
  EXPECT_EQ(line.find("card 0"), line.rfind("card 0")) << "said once, not per rank";
}

TEST(Backends, EmulatedIsUsedEvenWhereCardsAre) {
  const Cluster cluster = Cluster().host("a", 3, 2);
  EXPECT_EQ(roles(cluster, {.backend = Backend::emulated}), "ggf");
  EXPECT_EQ(roles(cluster, {.fpga_ranks = 3, .backend = Backend::emulated}), "fff");
  EXPECT_EQ(plan_roles(cluster.sites, {.backend = Backend::emulated}).backend, Backend::emulated);
}

// A launcher may give the rank that is one too many to any host.
TEST(Backends, EmulatedIsTheLastRankOfTheHostWithMost) {
  const Cluster first = Cluster().host("a", 3, 0).host("b", 2, 0);
  EXPECT_EQ(roles(first, {.fpga_ranks = 1, .backend = Backend::emulated}), "ggfgg");
  const Cluster last = Cluster().host("a", 2, 0).host("b", 3, 0);
  EXPECT_EQ(roles(last, {.fpga_ranks = 1, .backend = Backend::emulated}), "ggggf");
  const Cluster equal = Cluster().host("a", 2, 0).host("b", 2, 0);
  EXPECT_EQ(roles(equal, {.fpga_ranks = 1, .backend = Backend::emulated}), "gggf");
  EXPECT_EQ(roles(equal, {.fpga_ranks = 3, .backend = Backend::emulated}), "gfff");
}

TEST(Backends, CardWithoutACardIsRefused) {
  const Cluster cluster = Cluster().host("a", 3, 0);
  EXPECT_THAT(message_of<Error>([&] { plan_roles(cluster.sites, {.backend = Backend::card}); }),
              HasSubstr("can place 0 on FPGA cards (a: 0 cards, 3 ranks)"));
  EXPECT_EQ(roles(cluster, {.fpga_ranks = 0, .backend = Backend::card}), "ggg");
}

TEST(Backends, EmulatedWithoutEmulationIsRefused) {
  const Cluster cluster = Cluster().host("a", 3, 0).without_emulation();
  EXPECT_THAT(message_of<Error>([&] { plan_roles(cluster.sites, {.backend = Backend::emulated}); }),
              HasSubstr("this build has no emulated FPGA card"));
  EXPECT_THAT(message_of<Error>([&] { plan_roles(cluster.sites, {.fpga_ranks = 1}); }),
              HasSubstr("1 FPGA rank asked for, but no host has an FPGA card and this build has no "
                        "emulated one"));
}

TEST(HostRanks, CountTheRanksOfOneHostAndRole) {
  const RolePlan plan = plan_roles(Cluster().host("a", 4, 2).host("b", 3, 1).sites, {});
  ASSERT_EQ(letters(plan), "ggffggf");
  std::vector<int> positions;
  std::vector<int> counts;
  for (const RankPlan& rank : plan.ranks) {
    positions.push_back(rank.host_rank);
    counts.push_back(rank.host_ranks);
  }
  EXPECT_EQ(positions, (std::vector<int>{0, 1, 0, 1, 0, 1, 0}));
  EXPECT_EQ(counts, (std::vector<int>{2, 2, 2, 2, 2, 2, 1}));
}

std::vector<int> threads(const RolePlan& plan) {
  std::vector<int> counts;
  for (const RankPlan& rank : plan.ranks) counts.push_back(rank.cpu_threads);
  return counts;
}

TEST(CpuThreads, ShareTheHostsCoresAmongItsGpuRanks) {
  EXPECT_EQ(threads(plan_roles(Cluster().host("a", 1, 0, 2).sites, {})), (std::vector<int>{2}));
  EXPECT_EQ(threads(plan_roles(Cluster().host("a", 3, 0, 2).sites, {})),
            (std::vector<int>{1, 1, 0}));
  EXPECT_EQ(threads(plan_roles(Cluster().host("a", 3, 0, 16).host("b", 1, 0, 6).sites,
                               {.fpga_ranks = 0})),
            (std::vector<int>{5, 5, 5, 6}));
  EXPECT_EQ(threads(plan_roles(Cluster().host("a", 4, 0, 2).sites, {.fpga_ranks = 0})),
            (std::vector<int>{1, 1, 1, 1}));
}

TEST(CpuThreads, OfBoundRanksAreTheirOwnCores) {
  Cluster cluster = Cluster().host("a", 3, 0, 3);
  cluster.sites[0].cores = {0};
  cluster.sites[1].cores = {1, 2};
  cluster.sites[2].cores = {3, 4, 5};
  EXPECT_EQ(threads(plan_roles(cluster.sites, {.fpga_ranks = 0})), (std::vector<int>{1, 2, 3}));
  // Three ranks on the same three cores: 3 × 1/3.
  for (RankSite& site : cluster.sites) site.cores = {0, 1, 2};
  EXPECT_EQ(threads(plan_roles(cluster.sites, {.fpga_ranks = 0})), (std::vector<int>{1, 1, 1}));
}

TEST(LeadFirst, NumbersGpuRanksFirstOnlyWhereRankZeroInfers) {
  const auto order = [](const Cluster& cluster, const PlacementRequest& request = {}) {
    return lead_first(plan_roles(cluster.sites, request));
  };
  EXPECT_EQ(order(Cluster().host("gpu1", 2, 0).host("fpga1", 2, 2).host("gpu2", 1, 0)),
            (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(order(Cluster().host("fpga1", 2, 2).host("gpu1", 2, 0)),
            (std::vector<int>{2, 3, 0, 1}));
  EXPECT_EQ(order(Cluster().host("a", 3, 0), {.gpu_ranks = 0}), (std::vector<int>{0, 1, 2}));
}

}  // namespace
}  // namespace dovetail
