// Draws the progress bar.
#include "support/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "support/log.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

constexpr double terminal_interval_s = 0.1;
constexpr double plain_interval_s = 10.0;
constexpr int bar_width = 24;

/// Whether a person watches standard output. mpirun gives its ranks a pseudo-terminal whatever its
/// own output is, so under it the launcher's own output decides.
bool is_watched() {
  if (isatty(STDOUT_FILENO) != 1) return false;
  if (std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr) return true;
  std::error_code failure;
  const auto target =
      std::filesystem::read_symlink(fmt::format("/proc/{}/fd/1", getppid()), failure);
  return !failure &&
         (target.string().starts_with("/dev/pts/") || target.string().starts_with("/dev/tty"));
}

std::string format_time_left(double seconds) {
  const long total = std::lround(seconds);
  return total < 60 ? fmt::format("{} s", total)
                    : fmt::format("{}:{:02} min", total / 60, total % 60);
}

}  // namespace

Progress::Progress(std::string title, std::size_t total, std::string unit)
    : title_(std::move(title)), total_(total), unit_(std::move(unit)), terminal_(is_watched()) {}

void Progress::update(std::size_t done, const std::string& remark) {
  if (log::is_quiet() || total_ == 0) return;
  if (since_draw_.seconds() < (terminal_ ? terminal_interval_s : plain_interval_s)) return;
  since_draw_.restart();
  const double elapsed_s = since_start_.seconds();
  const double rate = static_cast<double>(done) / std::max(elapsed_s, 1e-9);
  const double left_s = done == 0 ? 0 : static_cast<double>(total_ - std::min(done, total_)) / rate;
  const double fraction = static_cast<double>(done) / static_cast<double>(total_);
  const std::string figures = fmt::format("{:3.0f} %  {:.0f} {}/s  {} left  {}", 100 * fraction,
                                          rate, unit_, format_time_left(left_s), remark);
  if (!terminal_) {
    log::note(fmt::format("  {}  {}", title_, figures));
    return;
  }
  const int filled = static_cast<int>(fraction * bar_width);
  std::string bar;
  for (int i = 0; i < bar_width; ++i) bar += i < filled ? "█" : "░";
  std::printf("\r\033[K  %s  %s %s", title_.c_str(), bar.c_str(), figures.c_str());
  std::fflush(stdout);
  drawn_ = true;
}

void Progress::clear() {
  if (!drawn_) return;
  std::printf("\r\033[K");
  std::fflush(stdout);
  drawn_ = false;
}

}  // namespace dovetail
