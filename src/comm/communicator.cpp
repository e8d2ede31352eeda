// Every call begins a non-blocking MPI operation; the blocking ones wait for it in Request's gentle
// way.
#include "comm/communicator.hpp"

#include <algorithm>
#include <map>

#include "comm/byte_type.hpp"
#include "comm/handle.hpp"
#include "comm/operation.hpp"
#include "support/checksum.hpp"

namespace dovetail {
namespace {

template <Reducible T>
MPI_Datatype datatype() {
  if constexpr (std::same_as<T, float>) return MPI_FLOAT;
  if constexpr (std::same_as<T, double>) return MPI_DOUBLE;
  if constexpr (std::same_as<T, std::int32_t>) return MPI_INT32_T;
  if constexpr (std::same_as<T, std::int64_t>) return MPI_INT64_T;
  if constexpr (std::same_as<T, std::uint64_t>) return MPI_UINT64_T;
}

std::string processor_name() {
  char name[MPI_MAX_PROCESSOR_NAME] = {};
  int length = 0;
  check_mpi(MPI_Get_processor_name(name, &length), "MPI_Get_processor_name");
  return {name, static_cast<std::size_t>(length)};
}

}  // namespace

Communicator::Communicator(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {
  int size = 1;
  check_mpi(MPI_Comm_rank(handle_->comm, &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(handle_->comm, &size), "MPI_Comm_size");
  hosts_.resize(static_cast<std::size_t>(size));
  hosts_ = all_gather_text(processor_name());
}

Communicator::~Communicator() = default;
Communicator::Communicator(Communicator&&) noexcept = default;
Communicator& Communicator::operator=(Communicator&&) noexcept = default;

Communicator Communicator::world() {
  MPI_Comm comm = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm), "MPI_Comm_dup");
  return Communicator(std::make_unique<Handle>(comm));
}

int Communicator::local_rank() const {
  return static_cast<int>(std::count(hosts_.begin(), hosts_.begin() + rank_, host()));
}

int Communicator::local_size() const {
  return static_cast<int>(std::count(hosts_.begin(), hosts_.end(), host()));
}

std::optional<Communicator> Communicator::split(std::optional<int> colour, int key) const {
  MPI_Comm comm = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(handle_->comm, colour.value_or(MPI_UNDEFINED), key, &comm),
            "MPI_Comm_split");
  if (comm == MPI_COMM_NULL) return std::nullopt;
  return Communicator(std::make_unique<Handle>(comm));
}

Request Communicator::ibarrier() const {
  return Request::begin("MPI_Ibarrier",
                        [&](MPI_Request* handle) { return MPI_Ibarrier(handle_->comm, handle); });
}

Request Communicator::start_broadcast(void* data, std::size_t bytes, int root) const {
  const ByteType all(bytes);
  return Request::begin("MPI_Ibcast", [&](MPI_Request* handle) {
    return MPI_Ibcast(data, all.count(), all.type(), root, handle_->comm, handle);
  });
}

void Communicator::broadcast_text(std::string& text, int root) const {
  std::uint64_t length = text.size();
  broadcast(std::span(&length, 1), root);
  text.resize(length);
  broadcast(text, root);
}

template <Reducible T>
Request Communicator::start_all_reduce(std::span<T> values, Reduction reduction) const {
  return Request::begin("MPI_Iallreduce", [&](MPI_Request* handle) {
    return MPI_Iallreduce(MPI_IN_PLACE, values.data(), mpi_count(values.size()), datatype<T>(),
                          reduction == Reduction::sum ? MPI_SUM : MPI_MAX, handle_->comm, handle);
  });
}

template Request Communicator::start_all_reduce(std::span<float>, Reduction) const;
template Request Communicator::start_all_reduce(std::span<double>, Reduction) const;
template Request Communicator::start_all_reduce(std::span<std::int32_t>, Reduction) const;
template Request Communicator::start_all_reduce(std::span<std::int64_t>, Reduction) const;
template Request Communicator::start_all_reduce(std::span<std::uint64_t>, Reduction) const;

void Communicator::all_reduce_sum_at_once(std::span<float> values) const {
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, values.data(), mpi_count(values.size()), MPI_FLOAT, MPI_SUM,
                          handle_->comm),
            "MPI_Allreduce");
}

Request Communicator::start_all_gather(const void* value, void* values, std::size_t bytes) const {
  return Request::begin("MPI_Iallgather", [&](MPI_Request* handle) {
    return MPI_Iallgather(value, mpi_count(bytes), MPI_BYTE, values, mpi_count(bytes), MPI_BYTE,
                          handle_->comm, handle);
  });
}

std::vector<std::string> Communicator::all_gather_text(const std::string& text) const {
  const std::vector<int> lengths = all_gather(mpi_count(text.size()));
  std::vector<int> starts;
  std::size_t total = 0;
  for (int length : lengths) {
    starts.push_back(mpi_count(total));
    total += static_cast<std::size_t>(length);
  }
  std::string joined(total, '\0');
  Request::begin("MPI_Iallgatherv", [&](MPI_Request* handle) {
    return MPI_Iallgatherv(text.data(), mpi_count(text.size()), MPI_BYTE, joined.data(),
                           lengths.data(), starts.data(), MPI_BYTE, handle_->comm, handle);
  }).wait();
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    texts.push_back(
        joined.substr(static_cast<std::size_t>(starts[i]), static_cast<std::size_t>(lengths[i])));
  }
  return texts;
}

Request Communicator::start_send(const void* data, std::size_t bytes, int target, int tag) const {
  const ByteType all(bytes);
  return Request::begin("MPI_Isend", [&](MPI_Request* handle) {
    return MPI_Isend(data, all.count(), all.type(), target, tag, handle_->comm, handle);
  });
}

Request Communicator::start_receive(void* data, std::size_t bytes, int source, int tag) const {
  const ByteType all(bytes);
  Request request = Request::begin("MPI_Irecv", [&](MPI_Request* handle) {
    return MPI_Irecv(data, all.count(), all.type(), source, tag, handle_->comm, handle);
  });
  request.operation_->expected_bytes = bytes;
  return request;
}

void Communicator::move_on() const {
  int there = 0;
  check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, handle_->comm, &there, MPI_STATUS_IGNORE),
            "MPI_Iprobe");
}

std::vector<int> Communicator::ranks_with_other_bits(std::span<const float> values) const {
  const std::vector<std::string> sums = all_gather_text(sha256_hex(values));
  std::map<std::string, int> holders;
  for (const std::string& sum : sums) ++holders[sum];
  // max_element keeps the first of equals, which is the lowest rank's.
  const auto usual = std::max_element(sums.begin(), sums.end(), [&](const auto& a, const auto& b) {
    return holders[a] < holders[b];
  });
  std::vector<int> others;
  for (std::size_t rank = 0; rank < sums.size(); ++rank) {
    if (sums[rank] != *usual) others.push_back(static_cast<int>(rank));
  }
  return others;
}

void Communicator::expect_same_bits(std::span<const float> values, const std::string& what) const {
  const std::vector<int> others = ranks_with_other_bits(values);
  if (others.empty()) return;
  std::vector<std::string> names;
  for (int rank : others)
    names.push_back(fmt::format("{} ({})", rank, hosts_[static_cast<std::size_t>(rank)]));
  throw Error(fmt::format("{} differ between ranks: other bits than most on rank {}", what,
                          fmt::join(names, ", ")),
              "A device or its memory may be faulty; resume from the last checkpoint without it");
}

}  // namespace dovetail
