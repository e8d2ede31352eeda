// Runs a work-group of a kernel for NVIDIA's tensor cores on the host: one fiber a work-item, and
// the instructions by which work-items of a warp or a group meet. Slow; for tests of what such
// kernels compute where no such GPU is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "fiber.hpp"

namespace dovetail::warp {

/// One at a time. Throws std::runtime_error where a work-item reads or writes beyond the shared
/// memory, reads what a copy has not brought yet, gives the lanes of a wgmma different operands, or
/// where work-items wait for each other for ever.
class WorkGroup {
 public:
  /// Of shared memory, so that 0 is none.
  static constexpr std::uint32_t first_address = 1024;

  /// @param width  work-items along dimension 0.
  WorkGroup(int threads, int shared_bytes, std::array<int, 3> place, int width = 1 << 30);
  void run(const std::function<void()>& kernel);
  /// Of the launch; those that none was told of have one group.
  void set_groups(std::array<int, 3> groups) { groups_ = groups; }

  /// The one that runs.
  static WorkGroup& current();
  int item(unsigned dimension) const {
    return dimension == 0 ? running_ % width_ : running_ / width_;
  }
  int place(unsigned dimension) const { return place_.at(dimension); }
  int groups(unsigned dimension) const { return groups_.at(dimension); }

  // What work-items call, each for itself.
  void barrier();
  /// `bytes`: 16 or 4, of which those past `valid` become zeros; done at the wait for its group.
  void copy(std::uint32_t target, const float* source, int bytes, int valid);
  void commit();
  void wait(int pending);
  /// Aligned to as many bytes.
  float* shared(std::uint32_t address, int bytes);
  /// The same, to write there: the tensor cores see it behind this work-item's show_writes().
  float* written(std::uint32_t address, int bytes);
  void show_writes();
  /// ldmatrix with four matrices.
  void load_matrices(std::uint32_t address, float values[4]);
  /// m16n8k8: this lane's words, `second` the four k behind. Rounded operands as float32.
  struct Operands {
    float upper[2], lower[2], right[2];
  };
  void multiply(float sum[4], const Operands& operands);

  /// wgmma m64 × columns × 32 bytes: this lane's sums, of operands that descriptors say the places
  /// of. `format`: kernel_number of it. `transposed`: rows and columns are side by side, 16 bits
  /// each.
  struct Product {
    float* sum;
    std::uint64_t a, b;
    int columns, format;
    bool transposed = false;
  };
  // mbarrier and cp.async.bulk.
  void init_barrier(std::uint32_t at, int count);
  void end_barrier(std::uint32_t at);
  /// Once, with so many bytes that copies will bring before the phase ends.
  void arrive(std::uint32_t at, int bytes);
  /// Until the phase of this parity has ended.
  void wait_for_phase(std::uint32_t at, std::uint32_t parity);
  /// Done when somebody waits for the barrier.
  void bulk_copy(std::uint32_t target, const unsigned char* source, int bytes,
                 std::uint32_t barrier);
  void warp_meet();
  /// Done at the wait for its group. A NaN where an operand is not there from here until then.
  void multiply_later(const Product& product);
  /// The same in TF32 with A in registers: k = lane % 4 of rows lane / 4 and + 8, then k + 4.
  void multiply_later(const Product& product, const std::array<float, 4>& left);
  void fence_products();
  void commit_products();
  void wait_for_products(int pending);

 private:
  struct Copy {
    std::uint32_t target;
    const float* source;
    int bytes, valid;
  };
  struct BulkCopy {
    std::uint32_t target;
    const unsigned char* source;
    int bytes;
  };
  struct Barrier {
    int count = 0, missing = 0, bytes = 0;
    std::uint32_t phase = 0;
    std::vector<BulkCopy> copies;
  };
  struct Started {
    Product product;
    std::array<std::vector<float>, 2> left;  // this lane's rows, if they come from registers
    std::vector<float> result;               // with the operands of then
  };
  struct Lane {
    hls::Fiber fiber;
    std::vector<std::vector<Copy>> groups{1};
    std::vector<std::vector<Started>> products{1};
    std::vector<std::size_t> writes;  // not shown yet
    std::size_t started = 0;
    bool is_fenced = false;  // for products
    bool done = false;
  };
  /// Where a number of work-items meet, again and again.
  struct Meeting {
    int arrived = 0;
    std::uint64_t round = 0;
  };
  static void enter();
  /// Which work-items take their turn next, each once at most.
  std::vector<std::size_t> next_turns();
  void meet(Meeting& meeting, int count);
  void fail(const std::string& what);
  Barrier& barrier_at(std::uint32_t at);
  void end_phase_if_complete(Barrier& barrier);
  /// The values of a word of shared memory, as the tensor cores read them: one (TF32) or two. NaN
  /// where it is not shown.
  std::vector<float> values_at(std::uint32_t address, int format);
  /// Of row `row` of an operand of that product, what it multiplies.
  std::vector<float> row_of(const Product& product, std::uint64_t descriptor, int row);
  std::vector<float> transposed_row_of(std::uint64_t descriptor, int row, int format);
  /// What a product adds to this lane's sums.
  std::vector<float> product_of(const Product& product,
                                const std::array<std::vector<float>, 2>& left);
  void start(const Product& product, const std::array<std::vector<float>, 2>& left);

  std::array<int, 3> place_;
  std::array<int, 3> groups_{1, 1, 1};
  int width_;
  std::vector<unsigned char> memory_;
  std::vector<bool> hidden_;  // by word: written, and not yet shown to the tensor cores
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Meeting> warps_;
  std::map<std::uint32_t, Barrier> barriers_;
  Meeting group_;
  std::vector<std::array<Operands, 2>> operands_;  // by work-item, of two meetings
  std::vector<std::array<std::uint32_t, 2>> addresses_;
  std::vector<std::array<std::array<float, 4>, 2>> lefts_;
  std::vector<std::vector<std::array<std::uint64_t, 2>>>
      descriptors_;           // by warpgroup, of all products
  bool takes_turns_ = false;  // at random: kernels by warpgroup
  std::minstd_rand turns_;
  const std::function<void()>* kernel_ = nullptr;
  hls::Fiber scheduler_;
  int running_ = 0;
  std::uint64_t meetings_ = 0;
  std::string failure_;
};

/// `value` rounded to bfloat16 or float16 (`format`: kernel_number): its bits.
std::uint32_t wgmma_bits(float value, int format);

}  // namespace dovetail::warp
