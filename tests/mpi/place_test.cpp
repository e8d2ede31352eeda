// The placement of a running job on the devices of this host: OpenCL, and emulated cards behind the
// real XRT.
//
// A process fixes its OpenCL threads and its XRT driver once, so each request is a run of this
// program of its own, named by the environment: DOVETAIL_TEST_FPGA_RANKS is the number asked for,
// or absent for the automatic placement.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "comm/placement.hpp"
#include "device/opencl/device.hpp"
#include "mpi/mpi_main.hpp"
#include "support/cores.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

using testing::world;

TEST(Place, GivesEveryRankADeviceThatOpens) {
  if (fpga::host_has_card()) GTEST_SKIP() << "this host has a card, or XILINX_XRT is set";
  const char* asked = std::getenv("DOVETAIL_TEST_FPGA_RANKS");
  PlacementRequest request;
  if (asked) request.fpga_ranks = std::atoi(asked);

  EXPECT_THROW(place(world(), {.gpu_ranks = world().size() + 1}), UsageError);
  EXPECT_THROW(place(world(), {.backend = fpga::Backend::card}), Error);

  const Placement placement = place(world(), request);
  // All ranks here are on one host and see the same GPUs.
  const bool several_gpus = opencl::list_gpus().size() > 1;
  const int automatic =
      fpga::built_with_emulated_card() && world().size() > 1 && !several_gpus ? 1 : 0;
  const int fpga_ranks = request.fpga_ranks.value_or(automatic);
  const int gpu_ranks = world().size() - fpga_ranks;
  EXPECT_EQ(placement.ranks.size(), static_cast<std::size_t>(world().size()));
  EXPECT_EQ(placement.ranks_of(Role::fpga).size(), static_cast<std::size_t>(fpga_ranks));
  EXPECT_EQ(placement.self, world().rank());

  // Every rank must have come to the same table.
  const std::string table = to_text(placement);
  for (const std::string& other : world().all_gather_text(table)) EXPECT_EQ(other, table);

  const RankPlacement& mine = placement.mine();
  if (mine.role == Role::gpu) {
    const opencl::Device device(mine.device.index);
    EXPECT_EQ(device.info().name, mine.device.name);
    if (device.is_cpu()) {
      const int share = std::max(1, static_cast<int>(available_cores().size()) / gpu_ranks);
      EXPECT_EQ(mine.cpu_threads, share);
      EXPECT_EQ(device.info().compute_units, share)
          << "the limit came too late for the OpenCL runtime";
      EXPECT_EQ(mine.sharers, gpu_ranks);
    }
  } else {
    EXPECT_TRUE(mine.emulated);
    EXPECT_EQ(mine.device.index, world().rank() - gpu_ranks);
    EXPECT_EQ(fpga::list_cards().size(), static_cast<std::size_t>(fpga_ranks));
  }
}

}  // namespace
}  // namespace dovetail
