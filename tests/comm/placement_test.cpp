// Devices of invented hosts bound to ranks, the notices, and the table.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/invented_cluster.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

using testing::Cluster;
using testing::device;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::message_of;
using testing::several;

using Devices = std::vector<DeviceInfo>;

const Devices one_cpu{device(DeviceKind::cpu, 0, "EPYC")};

/// Every GPU rank of the job sees `opencl`, every FPGA rank its host's cards, or enough emulated
/// ones.
Placement bind(const Cluster& cluster, const PlacementRequest& request, const Devices& opencl) {
  const RolePlan plan = plan_roles(cluster.sites, request);
  std::vector<Devices> devices;
  for (std::size_t i = 0; i < plan.ranks.size(); ++i) {
    devices.push_back(
        plan.ranks[i].role == Role::gpu ? opencl
        : plan.backend == fpga::Backend::card
            ? cluster.sites[i].cards
            : several(DeviceKind::emulated_fpga, plan.ranks[i].host_ranks, "emulated"));
  }
  return bind_devices(cluster.sites, plan, devices);
}

std::vector<int> indices(const Placement& placement) {
  std::vector<int> found;
  for (const RankPlacement& rank : placement.ranks) found.push_back(rank.device.index);
  return found;
}

TEST(Binding, GivesEachRankAGpuOfItsOwn) {
  const Placement placement = bind(Cluster().host("a", 4, 0).host("b", 2, 0), {.fpga_ranks = 0},
                                   several(DeviceKind::gpu, 4, "H200"));
  EXPECT_THAT(indices(placement), ElementsAre(0, 1, 2, 3, 0, 1));
  EXPECT_THAT(placement.notices, IsEmpty());
  for (const RankPlacement& rank : placement.ranks) EXPECT_EQ(rank.sharers, 1);
  EXPECT_EQ(placement.ranks[5].local_rank, 1);
  EXPECT_EQ(placement.ranks[5].cpu_threads, 0);
}

TEST(Binding, LetsFourRanksShareTwoGpus) {
  const Placement placement =
      bind(Cluster().host("a", 4, 0), {.fpga_ranks = 0}, several(DeviceKind::gpu, 2, "H200"));
  EXPECT_THAT(indices(placement), ElementsAre(0, 1, 0, 1));
  for (const RankPlacement& rank : placement.ranks) EXPECT_EQ(rank.sharers, 2);
}

TEST(Binding, GivesTheChosenDevicesInTurn) {
  Devices devices = several(DeviceKind::gpu, 3, "H200");
  devices.push_back(device(DeviceKind::cpu, 3, "EPYC"));
  const Cluster cluster = Cluster().host("a", 3, 0).host("b", 1, 0);
  const RolePlan plan = plan_roles(cluster.sites, {.fpga_ranks = 0});
  const auto bound = [&](const std::vector<int>& chosen) {
    return bind_devices(cluster.sites, plan, {4, devices}, chosen);
  };
  EXPECT_THAT(indices(bound({2, 0})), ElementsAre(2, 0, 2, 2));
  EXPECT_EQ(bound({2, 0}).ranks[0].sharers, 2);
  // A CPU beside GPUs is taken without a word about missing ones.
  EXPECT_THAT(indices(bound({3})), ElementsAre(3, 3, 3, 3));
  EXPECT_THAT(bound({3}).notices, IsEmpty());
  EXPECT_EQ(bound({3}).ranks[3].cpu_threads, 8);
  EXPECT_EQ(message_of<Error>([&] {
              bound({0, 4});
            }),
            "rank 1 on host a cannot use OpenCL device 4: it sees 4. `dovetail devices` on that "
            "host lists them");
  devices[1].unusable = "its driver has no compiler";
  EXPECT_THAT(message_of<Error>([&] { bound({1}); }),
              HasSubstr("rank 0 on host a cannot use OpenCL device 1: its driver has no compiler"));
}

TEST(Binding, CountsGpusPastTheFpgaRanksOfTheHost) {
  // The FPGA rank in between must not use up a GPU.
  Cluster cluster = Cluster().host("a", 3, 0);
  RolePlan plan = plan_roles(cluster.sites, {.gpu_ranks = 2});
  std::swap(plan.ranks[1], plan.ranks[2]);
  const Devices gpus = several(DeviceKind::gpu, 2, "H200");
  const Placement placement = bind_devices(
      cluster.sites, plan, {gpus, several(DeviceKind::emulated_fpga, 1, "emulated"), gpus});
  EXPECT_THAT(indices(placement), ElementsAre(0, 0, 1));
  EXPECT_THAT(placement.ranks_of(Role::gpu), ElementsAre(0, 2));
  EXPECT_THAT(placement.ranks_of(Role::fpga), ElementsAre(1));
}

TEST(Binding, TakesTheOneGpuThatTheLauncherShowsEachRank) {
  const Cluster cluster = Cluster().host("a", 2, 0);
  const RolePlan plan = plan_roles(cluster.sites, {.fpga_ranks = 0});
  Devices first = several(DeviceKind::gpu, 1, "H200");
  Devices second = first;
  first[0].address = "0000:17:00.0";
  second[0].address = "0000:65:00.0";
  const Placement placement = bind_devices(cluster.sites, plan, {first, second});
  EXPECT_EQ(placement.ranks[1].device.address, "0000:65:00.0");
  EXPECT_EQ(placement.ranks[1].sharers, 1);
}

TEST(Binding, CountsAGpuOnceThatTwoPlatformsShow) {
  Devices devices = several(DeviceKind::gpu, 4, "H200");
  devices[0].address = devices[2].address = "0000:17:00.0";
  devices[1].address = devices[3].address = "0000:65:00.0";
  devices[2].platform = devices[3].platform = "Another";
  EXPECT_THAT(indices(bind(Cluster().host("a", 4, 0), {.fpga_ranks = 0}, devices)),
              ElementsAre(0, 1, 0, 1));
}

TEST(Binding, PrefersAUsableGpuToTheCpu) {
  Devices devices{device(DeviceKind::cpu, 0, "EPYC"),
                  device(DeviceKind::accelerator, 1, "some board"),
                  device(DeviceKind::gpu, 2, "broken"), device(DeviceKind::gpu, 3, "H200")};
  devices[2].unusable = "its driver has no compiler";
  EXPECT_THAT(indices(bind(Cluster().host("a", 2, 0), {.fpga_ranks = 0}, devices)),
              ElementsAre(3, 3));
}

TEST(Binding, FallsBackToTheCpuWithOneNotice) {
  const Placement placement =
      bind(Cluster().host("a", 2, 0, 8).host("b", 1, 0, 4), {.fpga_ranks = 0}, one_cpu);
  EXPECT_THAT(placement.notices,
              ElementsAre("no GPU on hosts a, b: GPU ranks there use the CPU through PoCL"));
  EXPECT_EQ(placement.ranks[0].cpu_threads, 4);
  EXPECT_EQ(placement.ranks[2].cpu_threads, 4);
  EXPECT_EQ(placement.ranks[0].sharers, 2);
}

TEST(Binding, WithoutOpenClIsRefusedNamingHostAndRemedy) {
  EXPECT_EQ(
      message_of<Error>([] { bind(Cluster().host("a", 1, 0), {}, {}); }),
      "no OpenCL platform on host a, where rank 0 is to train. Install the GPU's driver, or "
      "PoCL for the CPU (package pocl-opencl-icd; where it is there, name a folder that it can "
      "write by POCL_CACHE_DIR)");
  Devices broken{device(DeviceKind::gpu, 0, "H200")};
  broken[0].unusable = "its driver has no compiler";
  EXPECT_THAT(message_of<Error>([&] { bind(Cluster().host("a", 1, 0), {}, broken); }),
              HasSubstr("no usable OpenCL GPU or CPU on host a, where rank 0 is to train (H200: "
                        "its driver has no compiler)"));
}

TEST(Binding, GivesEachFpgaRankItsOwnUsableCard) {
  Cluster cluster = Cluster().host("a", 4, 3);
  for (RankSite& site : cluster.sites) site.cards[1].unusable = "in use";
  const Placement placement = bind(cluster, {}, several(DeviceKind::gpu, 1, "H200"));
  EXPECT_THAT(placement.ranks_of(Role::fpga), ElementsAre(2, 3));
  EXPECT_EQ(placement.ranks[2].device.index, 0);
  EXPECT_EQ(placement.ranks[3].device.index, 2);
  EXPECT_FALSE(placement.ranks[3].emulated);
  EXPECT_THAT(placement.notices, IsEmpty());
}

TEST(Binding, SaysOnceThatCardsAreEmulated) {
  const Placement one = bind(Cluster().host("a", 3, 0), {}, several(DeviceKind::gpu, 2, "H200"));
  EXPECT_THAT(
      one.notices,
      ElementsAre(
          "the FPGA card is emulated: what it computes is right, how long it takes means nothing"));
  EXPECT_TRUE(one.ranks[2].emulated);
  const Placement two =
      bind(Cluster().host("a", 4, 0), {.fpga_ranks = 2}, several(DeviceKind::gpu, 2, "H200"));
  EXPECT_THAT(two.notices, ElementsAre(HasSubstr("the 2 FPGA cards are emulated")));
  EXPECT_EQ(two.ranks[3].device.index, 1);
}

TEST(Binding, PassesOnWhyNoCardInfers) {
  Cluster cluster = Cluster().host("a", 2, 1);
  for (RankSite& site : cluster.sites) site.cards[0].unusable = "in use";
  EXPECT_THAT(bind(cluster, {}, several(DeviceKind::gpu, 1, "H200")).notices,
              ElementsAre(HasSubstr("card 0 of a cannot be used: in use")));
}

TEST(Binding, RefusesAnFpgaRankWhoseCardHasGone) {
  const Cluster cluster = Cluster().host("a", 2, 1);
  const RolePlan plan = plan_roles(cluster.sites, {});
  EXPECT_THAT(message_of<Error>([&] {
                bind_devices(cluster.sites, plan, {one_cpu, {}});
              }),
              HasSubstr("rank 1 on host a needs FPGA card 0 of the host, but sees 0"));
}

TEST(PlacementTable, AlignsItsColumns) {
  const Placement placement = bind(Cluster().host("a", 3, 0, 2), {}, one_cpu);
  EXPECT_EQ(to_text(placement),
            "rank  host  role  kind           device       notes\n"
            "   0  a     gpu   CPU            0: EPYC      1 thread, shared by 2 ranks\n"
            "   1  a     gpu   CPU            0: EPYC      1 thread, shared by 2 ranks\n"
            "   2  a     fpga  emulated FPGA  0: emulated  emulated\n");
}

TEST(PlacementTable, IsWrittenAsJson) {
  const Json ranks = to_json(bind(Cluster().host("a", 2, 0, 2), {}, one_cpu));
  ASSERT_EQ(ranks.size(), 2U);
  EXPECT_EQ(ranks[0]["role"], "gpu");
  EXPECT_EQ(ranks[0]["device"], "EPYC");
  EXPECT_EQ(ranks[0]["cpu_threads"], 2);
  EXPECT_EQ(ranks[0]["emulated"], false);
  EXPECT_EQ(ranks[1]["rank"], 1);
  EXPECT_EQ(ranks[1]["host"], "a");
  EXPECT_EQ(ranks[1]["kind"], "emulated FPGA");
  EXPECT_EQ(ranks[1]["emulated"], true);
}

}  // namespace
}  // namespace dovetail
