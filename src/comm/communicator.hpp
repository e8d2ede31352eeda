// A group of ranks that talk to each other over MPI.
//
// No mpi.h is needed here. Not thread-safe: all communication of a process happens in the thread
// that made MpiSession. Collective calls must be made by all ranks of the communicator, in the same
// order. Every wait is Request::wait, gentle on hosts with more ranks than cores. All failures are
// thrown as Error with MPI's own text.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "comm/request.hpp"

namespace dovetail {

/// What can be added up and compared over ranks.
template <typename T>
concept Reducible =
    std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, std::int32_t> ||
    std::same_as<T, std::int64_t> || std::same_as<T, std::uint64_t>;

/// A vector, array or span of them.
template <typename R>
concept ReducibleRange =
    std::ranges::contiguous_range<R> && Reducible<std::ranges::range_value_t<R>>;

/// What can be sent as its bytes: ranks of one job share one architecture.
template <typename T>
concept Plain = std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>;

/// A vector, array or span of them.
template <typename R>
concept PlainRange = std::ranges::contiguous_range<R> && Plain<std::ranges::range_value_t<R>>;

class Communicator {
 public:
  /// All ranks of the job, apart from other users of MPI. Collective; needs a MpiSession.
  static Communicator world();
  ~Communicator();
  Communicator(Communicator&&) noexcept;
  Communicator& operator=(Communicator&&) noexcept;

  int rank() const { return rank_; }
  int size() const { return static_cast<int>(hosts_.size()); }
  bool is_lead() const { return rank_ == 0; }
  /// Host name of every rank.
  const std::vector<std::string>& hosts() const { return hosts_; }
  const std::string& host() const { return hosts_[static_cast<std::size_t>(rank_)]; }
  /// Position among the ranks of the same host name, and how many they are.
  int local_rank() const;
  int local_size() const;

  /// The ranks that gave the same colour, ordered by key, then by rank. Without a colour: nullopt.
  /// Collective.
  std::optional<Communicator> split(std::optional<int> colour, int key) const;

  void barrier() const { ibarrier().wait(); }
  Request ibarrier() const;

  /// Every rank receives the root's values. All must bring the same number.
  template <PlainRange R>
  void broadcast(R&& values, int root) const {
    ibroadcast(values, root).wait();
  }
  template <PlainRange R>
  Request ibroadcast(R&& values, int root) const {
    const auto bytes = std::as_writable_bytes(std::span(values));
    return start_broadcast(bytes.data(), bytes.size(), root);
  }
  /// Every rank receives the root's text, of any length.
  void broadcast_text(std::string& text, int root) const;

  /// Replaces the values by their sums over all ranks: the same bits on every rank, and the same in
  /// every run with this number of ranks.
  template <ReducibleRange R>
  void all_reduce_sum(R&& values) const {
    iall_reduce_sum(values).wait();
  }
  template <ReducibleRange R>
  Request iall_reduce_sum(R&& values) const {
    return start_all_reduce(std::span(values), Reduction::sum);
  }
  /// The same by MPI_Allreduce, which burns its core while it waits: what others are compared with.
  void all_reduce_sum_at_once(std::span<float> values) const;
  template <Reducible T>
  T all_reduce_sum(T value) const {
    all_reduce_sum(std::span(&value, 1));
    return value;
  }
  template <ReducibleRange R>
  void all_reduce_max(R&& values) const {
    start_all_reduce(std::span(values), Reduction::max).wait();
  }
  template <Reducible T>
  T all_reduce_max(T value) const {
    all_reduce_max(std::span(&value, 1));
    return value;
  }

  /// Every rank's value, by rank.
  template <Plain T>
  std::vector<T> all_gather(const T& value) const {
    std::vector<T> values(hosts_.size());
    start_all_gather(&value, values.data(), sizeof value).wait();
    return values;
  }
  /// Every rank's text, by rank.
  std::vector<std::string> all_gather_text(const std::string& text) const;

  /// Point to point. A receive takes exactly as many values as were sent, else it throws Error.
  template <PlainRange R>
  void send(const R& values, int target, int tag) const {
    isend(values, target, tag).wait();
  }
  template <PlainRange R>
  Request isend(const R& values, int target, int tag) const {
    const auto bytes = std::as_bytes(std::span(values));
    return start_send(bytes.data(), bytes.size(), target, tag);
  }
  template <PlainRange R>
  void receive(R&& values, int source, int tag) const {
    ireceive(values, source, tag).wait();
  }
  template <PlainRange R>
  Request ireceive(R&& values, int source, int tag) const {
    const auto bytes = std::as_writable_bytes(std::span(values));
    return start_receive(bytes.data(), bytes.size(), source, tag);
  }

  /// Gives MPI a moment to move whatever is under way, as every test of a request does.
  void move_on() const;

  /// Compares checksums over all ranks: the ranks whose values have other bits than those of most
  /// ranks, where the lower rank counts in a tie. Empty when all are equal. Collective, with the
  /// same result on every rank.
  std::vector<int> ranks_with_other_bits(std::span<const float> values) const;

  /// Throws Error on every rank, naming the ranks and hosts that differ, unless all ranks hold the
  /// same bits of `what`.
  void expect_same_bits(std::span<const float> values, const std::string& what) const;

 private:
  friend class SharedWindow;
  enum class Reduction { sum, max };
  struct Handle;

  explicit Communicator(std::unique_ptr<Handle> handle);
  template <Reducible T>
  Request start_all_reduce(std::span<T> values, Reduction reduction) const;
  Request start_broadcast(void* data, std::size_t bytes, int root) const;
  Request start_all_gather(const void* value, void* values, std::size_t bytes) const;
  Request start_send(const void* data, std::size_t bytes, int target, int tag) const;
  Request start_receive(void* data, std::size_t bytes, int source, int tag) const;

  std::unique_ptr<Handle> handle_;
  int rank_ = 0;
  std::vector<std::string> hosts_;
};

}  // namespace dovetail
