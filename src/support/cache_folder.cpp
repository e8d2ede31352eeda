// Loads and stores the entries: a line of JSON that says what follows, and the bytes.
#include "support/cache_folder.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <span>
#include <vector>

#include "support/checksum.hpp"
#include "support/json.hpp"
#include "support/log.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;

constexpr int layout_version = 1;

std::string checksum(const std::string& bytes) {
  return sha256_hex(std::span<const char>(bytes.data(), bytes.size()));
}

std::string head_of(const CacheFolder::Label& label, const std::string& bytes) {
  const Json head = {{"dovetail_cache", layout_version},
                     {"what", label.what},
                     {"version", label.version},
                     {"sha256", checksum(bytes)}};
  return head.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
}

/// Whole entries alone come under the entry's name. There is no fsync: a crash of the machine may
/// tear an entry, and its checksum tells.
void replace(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::string aside = path.string() + ".XXXXXX";
  const int file = ::mkstemp(aside.data());
  if (file < 0) throw fs::filesystem_error("mkstemp", {errno, std::generic_category()});
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = ::write(file, text.data() + done, text.size() - done);
    if (written <= 0) break;
    done += static_cast<std::size_t>(written);
  }
  const int reason = errno;
  const bool whole = ::close(file) == 0 && done == text.size();
  std::error_code failure;
  if (whole) fs::rename(aside, path, failure);
  if (whole && !failure) return;
  std::error_code ignored;
  fs::remove(aside, ignored);
  throw fs::filesystem_error("write",
                             whole ? failure : std::error_code(reason, std::generic_category()));
}

}  // namespace

std::shared_ptr<CacheFolder> CacheFolder::of_user() {
  // A relative path is to be ignored, the specification says.
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache && *cache == '/') return std::make_shared<CacheFolder>(fs::path(cache) / "dovetail");
  const char* home = std::getenv("HOME");
  if (home && *home == '/')
    return std::make_shared<CacheFolder>(fs::path(home) / ".cache" / "dovetail");
  return nullptr;
}

fs::path CacheFolder::file_of(const Label& label) const {
  return folder_ / fmt::format("{}-{}", label.kind, checksum(label.what).substr(0, 32));
}

CacheFolder::Entry CacheFolder::load(const Label& label) {
  const fs::path path = file_of(label);
  std::ifstream in(path, std::ios::binary);
  if (!in) return {};
  std::string head;
  std::getline(in, head);
  Entry entry;
  entry.bytes.assign(std::istreambuf_iterator<char>(in), {});
  const Json said = Json::parse(head, nullptr, false);
  const auto holds = [&](const char* name, const auto& value) {
    return said.is_object() && said.contains(name) && said[name] == value;
  };
  if (!holds("dovetail_cache", layout_version) || !holds("what", label.what) ||
      !holds("sha256", checksum(entry.bytes))) {
    log::warn(fmt::format("cache {}: damaged, made anew", path.string()));
    return {State::damaged};
  }
  if (!holds("version", label.version)) {
    if (!has_said_outdated_)
      log::note(
          fmt::format("cache {}: entries of another version are made anew", folder_.string()));
    has_said_outdated_ = true;
    return {State::outdated};
  }
  entry.state = State::sound;
  return entry;
}

void CacheFolder::store(const Label& label, const std::string& bytes) {
  if (!is_writable_) return;
  try {
    replace(file_of(label), head_of(label, bytes) + bytes);
  } catch (const fs::filesystem_error& failure) {
    is_writable_ = false;
    log::warn(
        fmt::format("cannot write to the cache {}: {}; what takes long is done anew in every "
                    "start",
                    folder_.string(), failure.code().message()));
  }
}

}  // namespace dovetail
