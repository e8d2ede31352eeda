// The files of a target lie in memory, where /dev/shm is.
#include "fuzz/target.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "support/error.hpp"
#include "support/scratch_folder.hpp"

namespace dovetail::fuzz {

const std::filesystem::path& folder() {
  static const ScratchFolder scratch = [] {
    if (::access("/dev/shm", W_OK) == 0) ::setenv("TMPDIR", "/dev/shm", 0);
    return ScratchFolder();
  }();
  return scratch.path();
}

std::filesystem::path write(const std::string& name, std::span<const std::uint8_t> bytes) {
  std::filesystem::path path = folder() / name;
  const int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
  if (file < 0 || ::write(file, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    std::perror(path.c_str());
    std::abort();
  }
  ::close(file);
  return path;
}

void read_one(std::span<const std::uint8_t> input) {
  try {
    read(input);
  } catch (const Error&) {
  }
}

}  // namespace dovetail::fuzz
