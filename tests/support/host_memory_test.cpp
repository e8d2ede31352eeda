// Vectors whose memory comes from elsewhere.
#include "support/host_memory.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace dovetail {
namespace {

TEST(HostMemory, GoesAlongWithMovesAndSwapsAndStaysInCopies) {
  const HostMemory pool = std::make_shared<std::pmr::unsynchronized_pool_resource>();
  HostVector<std::int32_t> mine(3, 7, pool), other;
  const std::int32_t* where = mine.data();
  other = mine;  // has its own memory
  EXPECT_EQ(other.get_allocator().memory(), nullptr);
  EXPECT_EQ(other, mine);
  std::swap(mine, other);
  EXPECT_EQ(other.data(), where) << "elements were copied";
  EXPECT_EQ(other.get_allocator().memory(), pool);
  EXPECT_EQ(mine.get_allocator().memory(), nullptr);
  mine = std::move(other);
  EXPECT_EQ(mine.data(), where);
  EXPECT_EQ(mine.get_allocator().memory(), pool);
  const HostVector<std::int32_t> twin(mine);
  EXPECT_EQ(twin.get_allocator().memory(), pool);
  EXPECT_EQ(twin, (std::vector<std::int32_t>{7, 7, 7}));
  EXPECT_FALSE(twin == (std::vector<std::int32_t>{7, 7}));
}

TEST(HostMemory, LivesAsLongAsItsVectors) {
  HostMemory pool = std::make_shared<std::pmr::monotonic_buffer_resource>();
  const std::weak_ptr<std::pmr::memory_resource> watched = pool;
  {
    HostVector<std::uint8_t> values(1000, 1, pool);
    pool.reset();
    EXPECT_FALSE(watched.expired());
    values.resize(100'000, 1);
    EXPECT_EQ(values.back(), 1);
  }
  EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace dovetail
