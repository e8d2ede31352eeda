// flock(2), which NFS clients of Linux pass on to the server.
#include "support/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>
#include <utility>

#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/log.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

std::string this_host() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return host.data();
}

/// Whoever reads it is told who to wait for; a lock without it is one as well.
bool write_holder(int file, const std::string& holder) {
  const std::string line = holder + "\n";
  return ::ftruncate(file, 0) == 0 && ::pwrite(file, line.data(), line.size(), 0) > 0;
}

std::string this_job() {
  const char* slurm = std::getenv("SLURM_JOB_ID");
  return fmt::format("process {} on {}{}, since {}", ::getpid(), this_host(),
                     slurm ? fmt::format(" (Slurm job {})", slurm) : "", utc_now());
}

}  // namespace

std::optional<FileLock> FileLock::take(const std::filesystem::path& path,
                                       const std::string& holder) {
  const int file = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  if (file < 0) {
    throw Error(fmt::format("cannot open {}: {}", path.string(), std::strerror(errno)),
                "Choose another folder");
  }
  FileLock lock(file);
  if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return std::nullopt;
    log::warn(fmt::format("{} cannot be locked ({}): see to it that no second job uses its folder",
                          path.string(), std::strerror(errno)));
  }
  if (!write_holder(file, holder))
    log::warn(fmt::format("cannot write {}: {}", path.string(), std::strerror(errno)));
  return lock;
}

FileLock FileLock::take_for_job(const std::filesystem::path& path, const std::string& what) {
  if (std::optional<FileLock> lock = take(path, this_job())) return std::move(*lock);
  throw Error(fmt::format("{} by another job: {}", what, holder(path)),
              "Wait for its end, or give another --out");
}

std::optional<FileLock> FileLock::await_turn(
    const std::filesystem::path& folder, const std::string& name,
    const std::function<bool(double seconds, const std::string& holder)>& waiting) {
  constexpr std::chrono::milliseconds between{50};
  std::error_code ignored;  // what cannot be made cannot be opened
  std::filesystem::create_directories(folder, ignored);
  const std::filesystem::path path = folder / fmt::format("{}-{}.lock", name, this_host());
  const int file = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  if (file < 0) return std::nullopt;
  FileLock lock(file);
  Stopwatch watch;
  std::string waited_for;
  while (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return std::nullopt;
    const std::string now = holder(path);  // empty while the next one writes it
    const bool is_another = !now.empty() && now != waited_for;
    if (is_another) {
      waited_for = now;
      watch.restart();
    }
    if (!waiting(is_another ? 0 : watch.seconds(), waited_for)) return std::nullopt;
    std::this_thread::sleep_for(between);
  }
  write_holder(file, this_job());
  return lock;
}

std::string FileLock::holder(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

FileLock::~FileLock() {
  if (file_ >= 0) ::close(file_);
}

FileLock::FileLock(FileLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

}  // namespace dovetail
