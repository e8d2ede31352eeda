// Requests under way: overlap, polling, idle waiting and destruction.
#include <gtest/gtest.h>

#include <ctime>
#include <thread>

#include "comm/byte_type.hpp"
#include "mpi/mpi_main.hpp"

namespace dovetail {
namespace {

using testing::world;

constexpr int tag = 11;

double cpu_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

TEST(Requests, WithNothingUnderWayAreComplete) {
  Request request;
  EXPECT_TRUE(request.test());
  request.wait();
  request.wait_idle();
}

TEST(Requests, ReduceWhileTheRankDoesOtherThings) {
  std::vector<float> a(100000, 1.0F);
  std::vector<float> b(1000, 2.0F);
  Request first = world().iall_reduce_sum(a);
  Request second = world().iall_reduce_sum(b);
  second.wait();
  first.wait();
  EXPECT_TRUE(first.test());
  EXPECT_EQ(a, std::vector<float>(100000, static_cast<float>(world().size())));
  EXPECT_EQ(b, std::vector<float>(1000, 2.0F * static_cast<float>(world().size())));
}

TEST(Requests, BroadcastLeavesTheRootFreeAndKeepsItsBuffer) {
  // As weights travel: the root lets go of the buffer at once and looks in now and then; the others
  // wait idly.
  auto pack = std::make_shared<std::vector<std::byte>>(
      1 << 20, std::byte{static_cast<unsigned char>(world().rank())});
  const std::weak_ptr<const void> watched = pack;
  Request request = world().ibroadcast(*pack, 0);
  request.keep(pack);
  if (world().rank() == 0) {
    pack.reset();
    while (!request.test()) std::this_thread::sleep_for(std::chrono::microseconds(100));
    EXPECT_TRUE(watched.expired());
  } else {
    request.wait_idle();
    EXPECT_EQ(*pack, std::vector<std::byte>(1 << 20, std::byte{0}));
  }
}

TEST(Requests, CostNoCpuTimeWhileWaitingForALateRank) {
  if (world().size() == 1) GTEST_SKIP() << "nobody to wait for";
  constexpr double late_s = 0.4;
  for (const bool idle : {true, false}) {
    world().barrier();
    const double cpu_before = cpu_seconds();
    if (world().rank() == 0) std::this_thread::sleep_for(std::chrono::duration<double>(late_s));
    Request request = world().ibarrier();
    idle ? request.wait_idle() : request.wait();
    // A spinning wait would use all of it; naps of 50 µs leave a fraction, naps of a millisecond
    // next to nothing.
    EXPECT_LT(cpu_seconds() - cpu_before, (idle ? 0.1 : 0.4) * late_s) << "idle " << idle;
  }
}

TEST(Requests, GivenUpReceivesAreCancelled) {
  std::vector<int> never(10);
  { const Request abandoned = world().ireceive(never, 0, tag); }
  // The message that comes now belongs to the next receive.
  if (world().rank() == 0) {
    for (int rank = 0; rank < world().size(); ++rank) {
      world().isend(std::vector<int>(10, rank), rank, tag + 1).wait();
    }
  }
  std::vector<int> values(10);
  world().receive(values, 0, tag + 1);
  EXPECT_EQ(values, std::vector<int>(10, world().rank()));
  EXPECT_EQ(never, std::vector<int>(10));
  world().barrier();
}

TEST(Requests, BytesBeyondMpisCountGoAsOneTypeOfTheirOwn) {
  for (const std::size_t bytes : {999U, 1000U, 1001U, 1U}) {
    const ByteType all(bytes, 100), plain(bytes);
    EXPECT_EQ(all.count(), bytes <= 100 ? static_cast<int>(bytes) : 1);
    EXPECT_EQ(plain.count(), static_cast<int>(bytes));
    std::vector<unsigned char> sent(bytes), received(bytes);
    for (std::size_t i = 0; i < bytes; ++i) sent[i] = static_cast<unsigned char>(i * 7 + bytes);
    // What is sent by its own type is received byte by byte.
    MPI_Sendrecv(sent.data(), all.count(), all.type(), 0, tag, received.data(), plain.count(),
                 plain.type(), 0, tag, MPI_COMM_SELF, MPI_STATUS_IGNORE);
    EXPECT_EQ(received, sent);
  }
}

TEST(Requests, DestroyedWhileUnderWayAreFinishedFirst) {
  std::vector<float> values(50000, 1.0F);
  { const Request request = world().iall_reduce_sum(values); }
  EXPECT_EQ(values, std::vector<float>(50000, static_cast<float>(world().size())));
}

}  // namespace
}  // namespace dovetail
