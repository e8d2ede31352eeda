// Reads whole files and replaces them atomically: write aside, fsync, rename, fsync the folder.
#include "support/file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;

void sync_path(const fs::path& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC);
  if (file < 0) throw Error(fmt::format("cannot open {}: {}", path.string(), std::strerror(errno)));
  const int status = ::fsync(file);
  const int reason = errno;
  ::close(file);
  if (status != 0)
    throw Error(fmt::format("cannot sync {}: {}", path.string(), std::strerror(reason)));
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// Gone at the end, unless it was renamed.
struct Aside {
  fs::path path;
  explicit Aside(fs::path file) : path(std::move(file)) {}
  ~Aside() {
    std::error_code ignored;
    fs::remove(path, ignored);
  }
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;
};

}  // namespace

std::vector<unsigned char> read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error(fmt::format("cannot open {}: {}", path.string(), std::strerror(errno)));
  std::vector<unsigned char> bytes{std::istreambuf_iterator<char>(in),
                                   std::istreambuf_iterator<char>()};
  if (in.bad()) throw Error(fmt::format("cannot read {}", path.string()));
  return bytes;
}

void replace_file(const fs::path& path, const std::function<void(const fs::path&)>& write) {
  const std::string remedy =
      "Free some space or choose another place; a file that was there is untouched";
  const Aside aside(path.string() + fmt::format(".{}.part", ::getpid()));
  try {
    write(aside.path);
    sync_path(aside.path, O_RDONLY);
    fs::rename(aside.path, path);
    sync_path(folder_of(path), O_RDONLY | O_DIRECTORY);
  } catch (const fs::filesystem_error& failure) {
    throw Error(fmt::format("cannot write {}: {}", path.string(), failure.code().message()),
                remedy);
  } catch (const Error& failure) {
    throw Error(fmt::format("cannot write {}: {}", path.string(), failure.what()), remedy);
  }
}

void sync_file(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw Error(fmt::format("cannot open {}: {}", path.string(), std::strerror(errno)));
  const int status = ::fsync(file);
  const int reason = errno;
  ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  ::close(file);
  if (status != 0)
    throw Error(fmt::format("cannot sync {}: {}", path.string(), std::strerror(reason)));
}

void replace_by_link(const fs::path& path, const fs::path& existing) {
  std::error_code ignored;
  // Renaming one name of a file over another of its names does nothing.
  if (fs::equivalent(path, existing, ignored)) return;
  replace_file(path, [&](const fs::path& aside) {
    std::error_code failure;
    fs::remove(aside, failure);
    fs::create_hard_link(existing, aside, failure);
    if (failure) fs::copy_file(existing, aside, fs::copy_options::overwrite_existing);
  });
}

void replace_file_text(const fs::path& path, const std::string& text) {
  replace_file(path, [&](const fs::path& aside) {
    std::ofstream out(aside, std::ios::binary);
    out << text;
    out.close();
    if (!out) throw Error(std::strerror(errno));
  });
}

void make_writable_folder(const fs::path& path) {
  std::error_code failure;
  fs::create_directories(path, failure);
  if (failure) {
    throw Error(fmt::format("cannot make the folder {}: {}", path.string(), failure.message()),
                "Choose another folder");
  }
  const fs::path probe = path / fmt::format(".probe-{}", ::getpid());
  const int file = ::open(probe.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  if (file < 0) {
    throw Error(fmt::format("cannot write in {}: {}", path.string(), std::strerror(errno)),
                "Choose another folder or free some space");
  }
  ::close(file);
  ::unlink(probe.c_str());
}

}  // namespace dovetail
