// Writes and reads signs of life, and asks /proc.
#include "support/signs_of_life.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <sstream>

#include "support/text.hpp"

namespace dovetail {
namespace {

constexpr std::size_t line_bytes = 128;

std::filesystem::path file_of(const std::filesystem::path& folder, int rank) {
  return folder / fmt::format("rank-{}", rank);
}

/// The start of a process, or nullopt where it has ended. /proc/PID/stat: the command, in
/// parentheses, may hold anything; behind the last one the state comes third, the start 22nd.
std::optional<std::uint64_t> start_of(std::int64_t pid) {
  std::ifstream in(fmt::format("/proc/{}/stat", pid));
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const std::size_t command_end = text.rfind(')');
  if (command_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(command_end + 1));
  std::string state, field;
  fields >> state;
  if (state == "Z" || state == "X") return std::nullopt;
  for (int i = 4; i < 22; ++i) fields >> field;
  std::uint64_t started = 0;
  return fields >> started ? std::optional(started) : std::nullopt;
}

}  // namespace

LifeWriter::LifeWriter(const std::filesystem::path& folder, int rank)
    : file_(::open(file_of(folder, rank).c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644)) {
}

LifeWriter::~LifeWriter() {
  if (file_ >= 0) ::close(file_);
}

void LifeWriter::write(const SignOfLife& sign) const {
  std::string line = fmt::format("{} {} {} {:.1f} {:g} {} {} {} {}", sign.beat,
                                 static_cast<std::uint32_t>(sign.kind), sign.step, sign.seconds,
                                 sign.timeout_s, sign.leaving ? 1 : 0, sign.bucket,
                                 static_cast<std::uint32_t>(sign.call), sign.phase);
  line.resize(line_bytes - 1, ' ');
  line += '\n';
  if (file_ >= 0) static_cast<void>(!::pwrite(file_, line.data(), line.size(), 0));
}

void LifeWriter::hand_over() const {
  // Linux writes a network file system's pages back whenever a descriptor is closed, be it the
  // file's last one or not (close-to-open consistency). Local ones do nothing then: a microsecond,
  // where fdatasync(2) would wait for the disk.
  const int another = file_ >= 0 ? ::fcntl(file_, F_DUPFD_CLOEXEC, 0) : -1;
  if (another >= 0) ::close(another);
}

bool LifeWriter::removed() const {
  struct stat of_file {};
  // ESTALE: by another host.
  return file_ >= 0 && (::fstat(file_, &of_file) != 0 || of_file.st_nlink == 0);
}

std::optional<SignOfLife> read_sign(const std::filesystem::path& folder, int rank) {
  // Opened anew each time: that is when a network file system asks whether its pages are old.
  std::ifstream in(file_of(folder, rank));
  SignOfLife sign;
  std::uint32_t kind = 0, call = 0;
  int leaving = 0;
  in >> sign.beat >> kind >> sign.step >> sign.seconds >> sign.timeout_s >> leaving >>
      sign.bucket >> call >> sign.phase;
  if (!in) return std::nullopt;
  sign.kind = static_cast<activity::Kind>(kind);
  sign.call = call < activity::calls ? static_cast<activity::Call>(call) : activity::Call::none;
  sign.leaving = leaving != 0;
  return sign;
}

bool is_first_to_fail(const std::filesystem::path& folder) noexcept {
  try {
    const int file =
        ::open((folder / "failure").c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    if (file < 0) return errno != EEXIST;
    ::close(file);
  } catch (...) {  // out of memory: both speak
  }
  return true;
}

ProcessId this_process() {
  const std::int64_t pid = ::getpid();
  return {.pid = pid, .started = start_of(pid).value_or(0)};
}

bool is_alive(const ProcessId& process) {
  return start_of(process.pid) == process.started;
}

}  // namespace dovetail
