// Work-items take turns: each runs until it has to wait for others.
#include "kernels/warp/work_group.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "numeric/minifloat.hpp"

namespace dovetail::warp {
namespace {

constexpr int lanes_of_warp = 32;
constexpr std::size_t lanes_of_warpgroup = 128;
WorkGroup* running_group = nullptr;

}  // namespace

WorkGroup& WorkGroup::current() {
  return *running_group;
}

WorkGroup::WorkGroup(int threads, int shared_bytes, std::array<int, 3> place, int width)
    : place_(place),
      width_(width),
      memory_(static_cast<std::size_t>(shared_bytes)),
      hidden_(memory_.size() / sizeof(float) + 1),
      warps_(static_cast<std::size_t>(threads / lanes_of_warp)),
      operands_(static_cast<std::size_t>(threads)),
      addresses_(static_cast<std::size_t>(threads)),
      lefts_(static_cast<std::size_t>(threads)),
      descriptors_(static_cast<std::size_t>(threads) / lanes_of_warpgroup) {
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
  int idle_rounds = 0;
  while (done < lanes_.size() && failure_.empty()) {
    const std::uint64_t before = meetings_;
    const std::size_t done_before = done;
    for (const std::size_t i : next_turns()) {
      if (lanes_[i]->done || !failure_.empty()) continue;
      running_ = static_cast<int>(i);
      scheduler_.switch_to(lanes_[i]->fiber);
      done += lanes_[i]->done;
    }
    const bool is_idle = done == done_before && meetings_ == before;
    idle_rounds = is_idle ? idle_rounds + 1 : 0;
    constexpr int patience = 64;  // some are held back
    if (idle_rounds == (takes_turns_ ? patience : 1) && failure_.empty())
      failure_ = "work-items wait for others that never come";
  }
  if (!failure_.empty()) throw std::runtime_error(failure_);
}

std::vector<std::size_t> WorkGroup::next_turns() {
  std::vector<std::size_t> warps(warps_.size());
  std::iota(warps.begin(), warps.end(), std::size_t{0});
  if (takes_turns_) {
    // Warps are in no order, and some stay behind.
    std::shuffle(warps.begin(), warps.end(), turns_);
    std::erase_if(warps, [&](std::size_t) { return turns_() % 3 == 0; });
  }
  std::vector<std::size_t> turns;
  for (const std::size_t warp : warps) {
    for (std::size_t lane = 0; lane < static_cast<std::size_t>(lanes_of_warp); ++lane)
      turns.push_back(warp * static_cast<std::size_t>(lanes_of_warp) + lane);
  }
  return turns;
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

float* WorkGroup::written(std::uint32_t address, int bytes) {
  Lane& lane = *lanes_[static_cast<std::size_t>(running_)];
  for (std::size_t word = (address - first_address) / sizeof(float), i = 0;
       i < static_cast<std::size_t>(bytes) / sizeof(float); ++i) {
    if (word + i >= hidden_.size()) break;
    hidden_[word + i] = true;
    lane.writes.push_back(word + i);
  }
  return shared(address, bytes);
}

void WorkGroup::show_writes() {
  Lane& lane = *lanes_[static_cast<std::size_t>(running_)];
  for (const std::size_t word : lane.writes) hidden_[word] = false;
  lane.writes.clear();
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
      float* at = written(copy.target, copy.bytes);
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

void WorkGroup::warp_meet() {
  meet(warps_[static_cast<std::size_t>(running_) / 32], lanes_of_warp);
}

WorkGroup::Barrier& WorkGroup::barrier_at(std::uint32_t at) {
  const auto found = barriers_.find(at);
  if (found == barriers_.end()) fail("there is no barrier at " + std::to_string(at));
  return found->second;
}

void WorkGroup::init_barrier(std::uint32_t at, int count) {
  shared(at, 8);  // is there
  takes_turns_ = true;
  barriers_[at] = {count, count, 0, 0, {}};
}

void WorkGroup::end_barrier(std::uint32_t at) {
  barrier_at(at);
  barriers_.erase(at);
}

void WorkGroup::end_phase_if_complete(Barrier& barrier) {
  if (barrier.bytes < 0) fail("copies bring more bytes than their barrier expects");
  if (barrier.missing > 0 || barrier.bytes > 0) return;
  barrier.missing = barrier.count;
  ++barrier.phase;
  ++meetings_;
}

void WorkGroup::arrive(std::uint32_t at, int bytes) {
  Barrier& barrier = barrier_at(at);
  if (barrier.missing == 0) fail("more arrivals at a barrier than it counts");
  --barrier.missing;
  barrier.bytes += bytes;
  end_phase_if_complete(barrier);
}

void WorkGroup::bulk_copy(std::uint32_t target, const unsigned char* source, int bytes,
                          std::uint32_t barrier) {
  if (bytes % 16 != 0 || reinterpret_cast<std::uintptr_t>(source) % 16 != 0)
    fail("a bulk copy is not aligned");
  for (int i = 0; i < bytes; i += 16) {
    float* at = shared(target + static_cast<std::uint32_t>(i), 16);
    std::fill(at, at + 4, std::numeric_limits<float>::quiet_NaN());
  }
  barrier_at(barrier).copies.push_back({target, source, bytes});
}

void WorkGroup::wait_for_phase(std::uint32_t at, std::uint32_t parity) {
  const auto self = static_cast<std::size_t>(running_);
  for (;;) {
    Barrier& barrier = barrier_at(at);
    if (barrier.phase % 2 != parity) return;
    for (const BulkCopy& copy : barrier.copies) {
      std::memcpy(shared(copy.target, 16), copy.source, static_cast<std::size_t>(copy.bytes));
      barrier.bytes -= copy.bytes;
    }
    const bool has_copied = !barrier.copies.empty();
    barrier.copies.clear();
    if (has_copied) {
      end_phase_if_complete(barrier);
      continue;
    }
    lanes_[self]->fiber.switch_to(scheduler_);
    running_ = static_cast<int>(self);
  }
}

std::uint32_t wgmma_bits(float value, int format) {
  using namespace numeric;
  const Encoding how(Rounding::nearest_even, Excess::to_infinity);
  return format == 1 ? BFloat16::encode(value, how).code() : Float16::encode(value, how).code();
}

namespace {

/// 9.7.15.5.1.2 of the PTX ISA manual: the bytes that a descriptor has from bit `shift` on.
std::uint32_t field_of(std::uint64_t descriptor, int shift) {
  return static_cast<std::uint32_t>(descriptor >> shift & 0x3fff) << 4;
}

/// 0: none, 1: of 128 bytes, 2: 64, 3: 32.
int swizzle_of(std::uint64_t descriptor) {
  return static_cast<int>(descriptor >> 62);
}

}  // namespace

std::vector<float> WorkGroup::values_at(std::uint32_t address, int format) {
  const float word = *shared(address, sizeof(float));
  const auto bits = std::bit_cast<std::uint32_t>(word);
  if (hidden_[(address - first_address) / sizeof(float)])
    return std::vector<float>(format == 0 ? 1 : 2, std::numeric_limits<float>::quiet_NaN());
  if (format == 0) return {std::bit_cast<float>(bits & ~0x1fffu)};
  if (std::isnan(word)) return {word, word};
  std::vector<float> values;
  for (const std::uint32_t half : {bits & 0xffffu, bits >> 16}) {
    values.push_back(format == 1 ? numeric::BFloat16::from_code(half).value()
                                 : numeric::Float16::from_code(half).value());
  }
  return values;
}

std::vector<float> WorkGroup::transposed_row_of(std::uint64_t descriptor, int row, int format) {
  // Blocks of eight rows side by side, each of the depth behind the one before.
  constexpr std::uint32_t depth = 16;
  if (swizzle_of(descriptor) != 0) fail("a transposed operand that is permuted");
  const auto at = static_cast<std::uint32_t>(row);
  const std::uint32_t start =
      field_of(descriptor, 0) + at / 8 * field_of(descriptor, 32) + at % 8 / 2 * sizeof(float);
  std::vector<float> values;
  for (std::uint32_t k = 0; k < depth; ++k) {
    const std::uint32_t there = start + k / 8 * field_of(descriptor, 16) + k % 8 * 16;
    values.push_back(values_at(there, format)[at % 2]);
  }
  return values;
}

std::vector<float> WorkGroup::row_of(const Product& product, std::uint64_t descriptor, int row) {
  if (product.transposed) return transposed_row_of(descriptor, row, product.format);
  constexpr std::uint32_t bytes = 32;
  const auto field = [&](int shift) { return field_of(descriptor, shift); };
  const int swizzle = swizzle_of(descriptor);
  const std::uint32_t pitch = swizzle == 0 ? 16 : 256u >> swizzle;
  const auto at = static_cast<std::uint32_t>(row);
  const std::uint32_t start = field(0) + at / 8 * field(32) + at % 8 * pitch;
  std::vector<float> values;
  for (std::uint32_t byte = 0; byte < bytes; byte += sizeof(float)) {
    // Without a permutation the halves are apart.
    const std::uint32_t plain =
        swizzle == 0 ? start + byte / 16 * field(16) + byte % 16 : start + byte;
    const std::uint32_t there =
        swizzle == 0 ? plain : plain ^ ((plain >> 3) & (0x70u & (pitch - 1)));
    const std::vector<float> read = values_at(there, product.format);
    values.insert(values.end(), read.begin(), read.end());
  }
  return values;
}

std::vector<float> WorkGroup::product_of(const Product& product,
                                         const std::array<std::vector<float>, 2>& left) {
  const int lane = running_ % 32, warp = running_ / 32 % 4;
  const int row = 16 * warp + lane / 4;
  const bool is_there = !left[0].empty();
  const std::vector<float> rows[] = {is_there ? left[0] : row_of(product, product.a, row),
                                     is_there ? left[1] : row_of(product, product.a, row + 8)};
  std::vector<float> sums;
  for (int eight = 0; eight < product.columns; eight += 8) {
    const int column = eight + lane % 4 * 2;
    const std::vector<float> columns[] = {row_of(product, product.b, column),
                                          row_of(product, product.b, column + 1)};
    for (int i = 0; i < 4; ++i) {
      const std::vector<float>&values = rows[i / 2], &right = columns[i % 2];
      float sum = 0;
      for (std::size_t k = 0; k < values.size(); ++k) sum += values[k] * right[k];
      sums.push_back(sum);
    }
  }
  return sums;
}

void WorkGroup::multiply_later(const Product& product) {
  start(product, {});
}

void WorkGroup::multiply_later(const Product& product, const std::array<float, 4>& left) {
  const auto self = static_cast<std::size_t>(running_);
  Meeting& meeting = warps_[self / 32];
  const std::size_t slot = meeting.round % 2;
  lefts_[self][slot] = left;
  meet(meeting, lanes_of_warp);
  std::array<std::vector<float>, 2> rows;
  for (std::size_t row = 0; row < 2; ++row) {
    for (std::size_t k = 0; k < 8; ++k) {
      const float value = lefts_[self / 4 * 4 + k % 4][slot][k / 4 * 2 + row];
      rows[row].push_back(std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) & ~0x1fffu));
    }
  }
  start(product, rows);
}

void WorkGroup::start(const Product& product, const std::array<std::vector<float>, 2>& left) {
  const auto self = static_cast<std::size_t>(running_);
  Lane& lane = *lanes_[self];
  takes_turns_ = true;
  if (!lane.is_fenced) fail("products without a fence since the last group");
  auto& all = descriptors_[self / lanes_of_warpgroup];
  if (lane.started == all.size()) all.push_back({product.a, product.b});
  if (all.at(lane.started) != std::array{product.a, product.b})
    fail("the work-items of a warpgroup multiply different operands");
  ++lane.started;
  lane.products.back().push_back({product, left, product_of(product, left)});
}

void WorkGroup::fence_products() {
  lanes_[static_cast<std::size_t>(running_)]->is_fenced = true;
}

void WorkGroup::commit_products() {
  lanes_[static_cast<std::size_t>(running_)]->is_fenced = false;
  lanes_[static_cast<std::size_t>(running_)]->products.emplace_back();
}

void WorkGroup::wait_for_products(int pending) {
  auto& groups = lanes_[static_cast<std::size_t>(running_)]->products;
  while (static_cast<int>(groups.size()) - 1 > pending) {
    for (const Started& each : groups.front()) {
      const std::vector<float> now = product_of(each.product, each.left);
      for (std::size_t i = 0; i < now.size(); ++i) {
        const bool is_same = now[i] == each.result[i];
        each.product.sum[i] += is_same ? now[i] : std::numeric_limits<float>::quiet_NaN();
      }
    }
    groups.erase(groups.begin());
  }
  warp_meet();  // what one lane knows to be done is done for all
}

}  // namespace dovetail::warp
