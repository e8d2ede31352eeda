// MPI_Win_allocate_shared.
#include "comm/shared_window.hpp"

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "comm/handle.hpp"

namespace dovetail {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t of_mpi = 65536;  // that MPI may want for itself, by rank

/// Mappings begin at pages, so every process rounds up to the same place.
std::byte* round_up(std::byte* address) {
  const auto number = reinterpret_cast<std::uintptr_t>(address);
  return address + ((number + page - 1) / page * page - number);
}

/// Where MPI makes the window's file on Linux; empty: elsewhere.
std::string folder_of_windows() {
  if (const char* chosen = std::getenv("OMPI_MCA_osc_sm_backing_directory")) return chosen;
  constexpr const char* usual = "/dev/shm";
  return ::access(usual, W_OK) == 0 ? usual : "";
}

/// Collective. Without room for its file, Open MPI 4.1 fails on the rank that makes it, and the
/// others wait for that one for ever.
void expect_room(const Communicator& host_ranks, std::size_t bytes) {
  const std::string folder = folder_of_windows();
  std::error_code unknown;  // then as much as can be is available
  const std::uintmax_t available = std::filesystem::space(folder, unknown).available;
  const std::size_t needed = static_cast<std::size_t>(host_ranks.size()) * (bytes + page + of_mpi);
  const bool lacks = !folder.empty() && available < needed;
  if (host_ranks.all_reduce_max(std::int32_t{lacks}) == 0) return;
  throw Error(fmt::format("{} has {} free, and {} ranks need {} there", folder,
                          format_bytes(static_cast<double>(available)), host_ranks.size(),
                          format_bytes(static_cast<double>(needed))),
              "Enlarge it; for a Docker container, with --shm-size");
}

}  // namespace

struct SharedWindow::Window {
  MPI_Win handle = MPI_WIN_NULL;
  std::vector<std::byte*> segments{};
};

SharedWindow::SharedWindow(const Communicator& host_ranks, std::size_t bytes)
    : window_(std::make_unique<Window>()), bytes_(bytes) {
  expect_room(host_ranks, bytes);
  MPI_Info info = MPI_INFO_NULL;
  check_mpi(MPI_Info_create(&info), "MPI_Info_create");
  check_mpi(MPI_Info_set(info, "alloc_shared_noncontig", "true"), "MPI_Info_set");
  void* mine = nullptr;
  const int code = MPI_Win_allocate_shared(static_cast<MPI_Aint>(bytes + page), 1, info,
                                           host_ranks.handle_->comm, &mine, &window_->handle);
  MPI_Info_free(&info);
  check_mpi(code, "MPI_Win_allocate_shared");
  check_mpi(MPI_Win_lock_all(MPI_MODE_NOCHECK, window_->handle), "MPI_Win_lock_all");
  for (int rank = 0; rank < host_ranks.size(); ++rank) {
    MPI_Aint size = 0;
    int unit = 1;
    void* base = nullptr;
    check_mpi(MPI_Win_shared_query(window_->handle, rank, &size, &unit, &base),
              "MPI_Win_shared_query");
    window_->segments.push_back(round_up(static_cast<std::byte*>(base)));
  }
  std::memset(segment(host_ranks.rank()).data(), 0, bytes);
  check_mpi(MPI_Win_sync(window_->handle), "MPI_Win_sync");
  host_ranks.barrier();
}

SharedWindow::~SharedWindow() {
  int stopped = 0;
  MPI_Finalized(&stopped);
  if (stopped || std::uncaught_exceptions() > 0) return;
  MPI_Win_unlock_all(window_->handle);
  MPI_Win_free(&window_->handle);
}

std::span<std::byte> SharedWindow::segment(int rank) const {
  return {window_->segments[static_cast<std::size_t>(rank)], bytes_};
}

}  // namespace dovetail
