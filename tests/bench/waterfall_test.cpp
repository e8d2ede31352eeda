// What a waterfall says of the samples' way to the device, in turn with the kernels or beside them.
#include "bench/waterfall.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "device/test_device.hpp"
#include "mpi/mpi_main.hpp"

namespace dovetail::bench {
namespace {

using dovetail::testing::test_device;
using dovetail::testing::world;

TEST(Waterfall, ACopyCostsWhatTheKernelsWaitForIt) {
  const Interval gap{100, 150};
  EXPECT_EQ(exposed_ns({20, 100}, gap), 0);   // there in time; the gap has another reason
  EXPECT_EQ(exposed_ns({20, 130}, gap), 50);  // with the start behind it
  EXPECT_EQ(exposed_ns({120, 140}, gap), 30) << "the host was late with the first 20";
  EXPECT_EQ(exposed_ns({100, 150}, gap), 50);
  EXPECT_EQ(exposed_ns({20, 130}, {100, 100}), 0);
  EXPECT_EQ(exposed_ns({160, 170}, gap), 0) << "clocks disagree";
}

bool has_upload(const Waterfall& waterfall) {
  return std::ranges::count(waterfall.parts, "upload", &StepPart::name) > 0;
}

TEST(Waterfall, TellsCopiesInTurnFromThoseBesideTheKernels) {
  const Model model("chain", {1, 16, 16},
                    {layer::Dense{.out = 20}, layer::Relu{}, layer::Dense{.out = 10}});
  plan::Tuner tuner(test_device());
  for (const UploadWay way : {UploadWay::in_turn, UploadWay::overlapped}) {
    const StepOptions options{.batch = 64, .upload_way = way};
    const Waterfall waterfall = measure_waterfall(world(), test_device(), tuner, model, options);
    const bool in_turn = way == UploadWay::in_turn;
    EXPECT_EQ(has_upload(waterfall), in_turn);
    EXPECT_GT(waterfall.copy_s(), 0);
    if (in_turn) {
      EXPECT_EQ(waterfall.upload_s(), waterfall.copy_s());
      EXPECT_EQ(waterfall.copied_beside_s, 0);
    } else {
      EXPECT_EQ(waterfall.copied_beside_s, waterfall.copy_s());
      EXPECT_GE(waterfall.upload_s(), 0);
    }
  }
}

}  // namespace
}  // namespace dovetail::bench
