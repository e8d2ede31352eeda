// What the emulated card refuses, shown by XRT's own API: the mistakes that Card and Kernel do not
// let through.
#include <cstring>

#include "experimental/xrt_xclbin.h"
#include "hls/card_fixture.hpp"
#include "xrt/xrt_bo.h"
#include "xrt/xrt_device.h"
#include "xrt/xrt_kernel.h"

namespace dovetail::fpga {
namespace {

using testing::HasSubstr;

class CardStrictness : public testing::Test {
 protected:
  CardStrictness()
      : xclbin_(fixture_xclbin().string()),
        device_(0),
        uuid_(device_.load_xclbin(xclbin_)),
        vadd_(device_, uuid_, "vadd") {}

  // Whole pages: XRT gives aligned_alloc the size as it is, and the address sanitizer minds.
  xrt::bo buffer(int argument, std::size_t bytes = 4096) {
    return {device_, bytes, xrt::bo::flags::normal,
            static_cast<xrt::memory_group>(vadd_.group_id(argument))};
  }

  xrt::xclbin xclbin_;
  xrt::device device_;
  xrt::uuid uuid_;
  xrt::kernel vadd_;
};

TEST_F(CardStrictness, KeepsHostAndCardCopiesApart) {
  xrt::bo a = buffer(0);
  const std::int32_t written = 77;
  a.write(&written, sizeof written, 0);
  a.sync(XCL_BO_SYNC_BO_FROM_DEVICE);  // the write was never sent
  std::int32_t read = -1;
  a.read(&read, sizeof read, 0);
  EXPECT_EQ(read, 0);
}

TEST_F(CardStrictness, RefusesToSynchroniseWhatIsNotThere) {
  xrt::bo a = buffer(0);
  EXPECT_ANY_THROW(a.sync(XCL_BO_SYNC_BO_TO_DEVICE, 4097, 0));
  EXPECT_ANY_THROW(a.sync(XCL_BO_SYNC_BO_TO_DEVICE, 32, 4065));
  EXPECT_ANY_THROW(a.sync(XCL_BO_SYNC_BO_GMIO_TO_AIE, 4096, 0));
}

TEST_F(CardStrictness, FailsALaunchWithAnArgumentThatIsNotSet) {
  xrt::run run(vadd_);
  xrt::bo a = buffer(0);
  xrt::bo sum = buffer(2);
  run.set_arg(0, a);
  run.set_arg(2, sum);
  run.set_arg(3, 4);
  testing::internal::CaptureStderr();
  run.start();
  EXPECT_EQ(run.wait(2000), ERT_CMD_STATE_ERROR);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("argument 1 (b) is not set"));
}

TEST_F(CardStrictness, RefusesBanksThatNoKernelIsConnectedTo) {
  EXPECT_THROW(xrt::bo(device_, 4096, xrt::bo::flags::normal, 9), std::bad_alloc);
}

TEST_F(CardStrictness, CopiesOnTheCard) {
  xrt::bo source = buffer(0);
  xrt::bo target = buffer(1);
  std::vector<std::uint8_t> values(4096);
  std::iota(values.begin(), values.end(), std::uint8_t{0});
  source.write(values.data());
  source.sync(XCL_BO_SYNC_BO_TO_DEVICE);
  target.copy(source, 128, 64, 32);
  target.sync(XCL_BO_SYNC_BO_FROM_DEVICE);
  std::vector<std::uint8_t> copied(4096);
  target.read(copied.data());
  EXPECT_EQ(std::memcmp(copied.data() + 32, values.data() + 64, 128), 0);
  EXPECT_EQ(copied[31], 0);
  EXPECT_EQ(copied[160], 0);
}

TEST_F(CardStrictness, TakesSubBuffers) {
  xrt::bo parent = buffer(0, 3 * 4096);
  xrt::bo part(parent, 4096, 4096);
  xrt::bo b = buffer(1, 4096);
  xrt::bo sum = buffer(2, 4096);
  std::vector<std::int32_t> values(1024, 11);
  part.write(values.data());
  part.sync(XCL_BO_SYNC_BO_TO_DEVICE);
  xrt::run run = vadd_(part, b, sum, 1024);
  EXPECT_EQ(run.wait(2000), ERT_CMD_STATE_COMPLETED);
  sum.sync(XCL_BO_SYNC_BO_FROM_DEVICE);
  std::vector<std::int32_t> result(1024);
  sum.read(result.data());
  EXPECT_EQ(result, values);
}

TEST_F(CardStrictness, RunsOnMemoryThatTheUserAllocated) {
  void* memory = std::aligned_alloc(4096, 4096);
  std::memset(memory, 1, 4096);
  {
    xrt::bo a(device_, memory, 4096, static_cast<xrt::memory_group>(vadd_.group_id(0)));
    xrt::bo b = buffer(1, 4096);
    xrt::bo sum = buffer(2, 4096);
    a.sync(XCL_BO_SYNC_BO_TO_DEVICE);
    xrt::run run = vadd_(a, b, sum, 1024);
    EXPECT_EQ(run.wait(2000), ERT_CMD_STATE_COMPLETED);
    sum.sync(XCL_BO_SYNC_BO_FROM_DEVICE);
    EXPECT_EQ(std::memcmp(sum.map(), memory, 4096), 0);
  }
  std::free(memory);
}

TEST_F(CardStrictness, RefusesPeerToPeerAndHostMemory) {
  EXPECT_ANY_THROW(xrt::bo(device_, 4096, xrt::bo::flags::p2p, 0));
  EXPECT_ANY_THROW(xrt::bo(device_, 4096, xrt::bo::flags::host_only, 0));
}

}  // namespace
}  // namespace dovetail::fpga
