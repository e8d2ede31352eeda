// Work-items take turns: each runs until it has to wait for others.
#include "kernels/warp/work_group.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

namespace dovetail::warp {
namespace {

constexpr int lanes_of_warp = 32;
constexpr std::uint32_t first_address = 128;  // so that 0 is none
WorkGroup* running_group = nullptr;

}  // namespace

WorkGroup& WorkGroup::current() {
  return *running_group;
}

WorkGroup::WorkGroup(int threads, int shared_bytes, std::array<int, 3> place, int width)
    : place_(place),
      width_(width),
      memory_(static_cast<std::size_t>(shared_bytes)),
      warps_(static_cast<std::size_t>(threads / lanes_of_warp)),
      operands_(static_cast<std::size_t>(threads)),
      addresses_(static_cast<std::size_t>(threads)) {
  const float nothing = std::numeric_limits<float>::quiet_NaN();
  for (std::size_t i = 0; i + sizeof nothing <= memory_.size(); i += sizeof nothing)
    std::memcpy(memory_.data() + i, &nothing, sizeof nothing);
  for (int i = 0; i < threads; ++i) lanes_.push_back(std::make_unique<Lane>());
}

void WorkGroup::enter() {
  WorkGroup& group = current();
  Lane& lane = *group.lanes_[static_cast<std::size_t>(group.running_)];
  lane.fiber.arrived();
  (*group.kernel_)();
  lane.done = true;
  lane.fiber.leave_to(group.scheduler_);
}

void WorkGroup::run(const std::function<void()>& kernel) {
  running_group = this;
  kernel_ = &kernel;
  for (auto& lane : lanes_) lane->fiber.start(enter);
  std::size_t done = 0;
  while (done < lanes_.size() && failure_.empty()) {
    done = 0;
    const std::uint64_t before = meetings_;
    std::size_t newly_done = 0;
    for (std::size_t i = 0; i < lanes_.size() && failure_.empty(); ++i) {
      const bool was_done = lanes_[i]->done;
      running_ = static_cast<int>(i);
      if (!was_done) scheduler_.switch_to(lanes_[i]->fiber);
      done += lanes_[i]->done;
      newly_done += lanes_[i]->done && !was_done;
    }
    if (done < lanes_.size() && newly_done == 0 && meetings_ == before && failure_.empty())
      failure_ = "work-items wait for others that never come";
  }
  if (!failure_.empty()) throw std::runtime_error(failure_);
}

void WorkGroup::fail(const std::string& what) {
  if (failure_.empty()) failure_ = what + ", work-item " + std::to_string(running_);
  // Never to come back.
  for (;;) lanes_[static_cast<std::size_t>(running_)]->fiber.switch_to(scheduler_);
}

void WorkGroup::meet(Meeting& meeting, int count) {
  const std::uint64_t round = meeting.round;
  const std::size_t self = static_cast<std::size_t>(running_);
  if (++meeting.arrived == count) {
    meeting.arrived = 0;
    ++meeting.round;
    ++meetings_;
  }
  while (meeting.round == round) {
    lanes_[self]->fiber.switch_to(scheduler_);
    running_ = static_cast<int>(self);
  }
}

void WorkGroup::barrier() {
  meet(group_, static_cast<int>(lanes_.size()));
}

float* WorkGroup::shared(std::uint32_t address, int bytes) {
  if (address < first_address || address % static_cast<std::uint32_t>(bytes) != 0 ||
      address - first_address + static_cast<std::uint32_t>(bytes) > memory_.size())
    fail("shared memory " + std::to_string(address) + " is out of reach");
  return reinterpret_cast<float*>(memory_.data() + (address - first_address));
}

void WorkGroup::copy(std::uint32_t target, const float* source, int bytes, int valid) {
  if (target % static_cast<std::uint32_t>(bytes) != 0) fail("a copy is not aligned");
  float* at = shared(target, bytes);
  for (int i = 0; i < bytes / 4; ++i) at[i] = std::numeric_limits<float>::quiet_NaN();
  lanes_[static_cast<std::size_t>(running_)]->groups.back().push_back(
      {target, source, bytes, valid});
}

void WorkGroup::commit() {
  lanes_[static_cast<std::size_t>(running_)]->groups.emplace_back();
}

void WorkGroup::wait(int pending) {
  auto& groups = lanes_[static_cast<std::size_t>(running_)]->groups;
  // The last one is not committed yet.
  while (static_cast<int>(groups.size()) - 1 > pending) {
    for (const Copy& copy : groups.front()) {
      float* at = shared(copy.target, copy.bytes);
      std::memset(at, 0, static_cast<std::size_t>(copy.bytes));
      std::memcpy(at, copy.source, static_cast<std::size_t>(copy.valid));
    }
    groups.erase(groups.begin());
  }
}

void WorkGroup::load_matrices(std::uint32_t address, float values[4]) {
  const std::size_t self = static_cast<std::size_t>(running_), first = self / 32 * 32;
  Meeting& meeting = warps_[self / 32];
  const std::size_t slot = meeting.round % 2;
  if (address % 16 != 0) fail("a row of ldmatrix is not aligned");
  addresses_[self][slot] = address;
  meet(meeting, lanes_of_warp);
  for (std::size_t i = 0; i < 4; ++i) {
    const std::uint32_t row = addresses_[first + 8 * i + self % 32 / 4][slot];
    values[i] = shared(row, 16)[self % 4];
  }
}

void WorkGroup::multiply(float sum[4], const Operands& operands) {
  const std::size_t self = static_cast<std::size_t>(running_), first = self / 32 * 32;
  Meeting& meeting = warps_[self / 32];
  const std::size_t slot = meeting.round % 2;
  operands_[self][slot] = operands;
  meet(meeting, lanes_of_warp);
  const std::size_t row = first + self % 32 / 4 * 4;
  for (std::size_t k = 0; k < 8; ++k) {
    const Operands& left = operands_[row + k % 4][slot];
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t column = self % 4 * 2 + i % 2;
      const Operands& right = operands_[first + column * 4 + k % 4][slot];
      sum[i] += (i < 2 ? left.upper : left.lower)[k / 4] * right.right[k / 4];
    }
  }
}

}  // namespace dovetail::warp
