// Sums gradients over ranks, part by part, while their owner goes on computing.
//
// Ranks of one host share a window of memory: each adds up its slice of a part straight from the
// memory of the others. Between hosts the sums of slices travel as messages, perhaps compressed:
// directly, or by recursive halving where there are many.
// Sums are taken in a fixed tree, so their bits depend neither on timing nor on how a vector is cut
// into parts. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "comm/gradient_codec.hpp"
#include "comm/shared_window.hpp"

namespace dovetail {

class Workers;

/// Elements [begin, begin + count) of AllReduce::memory(), summed together.
struct ReductionPart {
  std::size_t begin = 0, count = 0;
  bool may_compress = true;
};

/// How groups of ranks sum a slice among them; the bits are the same.
enum class Exchange {
  automatic,  // exchange_for
  /// Each group gets its piece of the slice from all others, adds, and sends the sum to all: two
  /// rounds of groups - 1 messages.
  direct,
  /// Recursive halving and doubling: partners send each other half of what they still sum, log2
  /// groups times, and then the sums back (R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of
  /// Collective Communication Operations in MPICH", 2005). Where groups are no power of two, some
  /// first give all to a neighbour. Not compressed: what is added would be coded again and again.
  halving
};

/// "auto", "direct" or "halving"; throws UsageError otherwise.
Exchange parse_exchange(const std::string& name);
/// The one that takes less time for an uncompressed slice of so many bytes.
Exchange exchange_for(std::size_t groups, std::size_t bytes);

struct AllReduceOptions {
  Compression compression = Compression::none;  // of what groups of ranks send each other
  Exchange exchange = Exchange::automatic;      // of parts that are not compressed
  /// The tree over the ranks is that of tree_sum, however they lie on hosts: then the sum over 2^k
  /// ranks is the same when each of them brings the tree's sum of more than one.
  bool fixed_tree = false;
  /// Consecutive ranks that share a window; by default those of each host. 1: all travels as
  /// messages.
  std::optional<int> ranks_per_group{};
  int threads = 1;  // that add up large slices: AllReduce::threads_for
};

class AllReduce {
 public:
  static constexpr std::size_t line = 64;  // bytes that cores exchange at once
  /// AllReduceOptions::threads: one beside a CPU device, which wants its cores for itself.
  static int threads_for(const Communicator& ranks, bool is_cpu);

  /// Collective. All ranks give the same parts, which don't overlap.
  AllReduce(const Communicator& ranks, std::vector<ReductionPart> parts,
            const AllReduceOptions& options = {});
  ~AllReduce();
  AllReduce(const AllReduce&) = delete;
  AllReduce& operator=(const AllReduce&) = delete;

  /// Where this rank's values lie and their sums appear; aligned to 4096 bytes, zero at first.
  std::span<float> memory() const { return memory_; }
  std::size_t parts() const;

  /// Begins to sum a part, whose values lie in memory() and must be left alone until done. All
  /// ranks start the same parts equally often, in any order.
  void start(std::size_t part);
  /// Moves what is under way; never waits. True when nothing is. A part is done only when all ranks
  /// have called this often enough.
  bool progress();
  bool done(std::size_t part) const;
  /// Until all that was started is done. `meanwhile` is called between two looks at it.
  void wait(const std::function<void()>& meanwhile = {});

  /// Where gradients are `factor` times as large from now on: so are the errors fed back.
  void scale_feedback(float factor);
  /// What compression has lost so far and later sums make up for: [groups(), memory().size()] at
  /// rank 0, empty elsewhere, and everywhere where nothing is compressed. Collective, while nothing
  /// is under way.
  std::vector<float> gather_feedback() const;
  /// Takes up what gather_feedback() gave, from rank 0. Collective. It must be of as many groups
  /// and elements, cut into the same parts.
  void scatter_feedback(std::span<const float> all);

  int groups() const;
  std::uint64_t sent_bytes() const { return sent_bytes_; }  // in messages

 private:
  struct Part;
  struct Layout;
  /// What `local` of a group sums of all the parts that are compressed.
  std::vector<ReductionPart> compressed_slices(std::size_t local) const;
  /// The group's values at a place of the memory, by rank.
  std::vector<float*> group_values(std::size_t begin) const;
  void make_groups(const AllReduceOptions& options);
  void make_memory(std::size_t elements);
  void make_slices(Exchange exchange);
  void advance(Part& part);
  bool all_ready(const Part& part) const;
  bool all_summed(const Part& part) const;
  void sum_in_group(Part& part);
  /// This rank's piece for a group as it travels, with the feedback of earlier errors.
  std::span<const std::byte> coded(Part& part, std::size_t group);
  void exchange(Part& part, std::size_t group, std::span<const std::byte> code,
                std::span<std::byte> answer, int tag);
  std::size_t rounds(const Part& part) const;
  /// Sends and receives what the part's round does, and what follows when all of it is there.
  void begin_round(Part& part);
  void end_round(Part& part);
  void scatter(Part& part);
  void add(Part& part);
  void gather(Part& part);
  void take_gathered(Part& part);
  void begin_halving_round(Part& part);
  void end_halving_round(Part& part);
  void publish(Part& part);

  std::unique_ptr<Layout> layout_;
  std::vector<Part> parts_;
  std::unique_ptr<SharedWindow> window_;
  std::unique_ptr<float, void (*)(void*)> own_memory_{nullptr, nullptr};  // without a window
  std::span<float> memory_;
  std::vector<float> residual_;  // by element, where compressed
  Compression compression_ = Compression::none;
  std::uint64_t sent_bytes_ = 0;
  std::unique_ptr<Workers> workers_;
};

/// Each results[k][i] = the sum of values[r][i] over all r, where n summands are the sum of the
/// first ⌈n/2⌉ plus that of the others, each by this same law. Results may be values.
void tree_sum(std::span<const float* const> values, std::size_t count,
              std::span<float* const> results);

}  // namespace dovetail
