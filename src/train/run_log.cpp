// Appends events to run.jsonl.
#include "train/run_log.hpp"

#include <cerrno>
#include <cstring>

#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

/// Cuts the file behind its last complete line.
void drop_unfinished_line(const std::filesystem::path& path) {
  if (!std::filesystem::is_regular_file(path)) return;
  std::ifstream in(path, std::ios::binary);
  if (!in) return;
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const std::size_t end = text.rfind('\n');
  std::filesystem::resize_file(path, end == std::string::npos ? 0 : end + 1);
}

}  // namespace

RunLog::RunLog(const std::filesystem::path& path, bool append) : path_(path) {
  if (append) drop_unfinished_line(path);
  out_.open(path, append ? std::ios::app : std::ios::trunc);
  if (!out_) {
    throw Error(fmt::format("cannot write {}: {}", path.string(), std::strerror(errno)),
                "Choose another run folder");
  }
}

void RunLog::event(const std::string& name, const Json& fields) {
  Json line = {{"event", name}, {"time", utc_now()}};
  if (fields.is_object()) line.update(fields);
  out_ << dump(line) << '\n' << std::flush;
  if (!out_)
    throw Error(fmt::format("cannot write {}: {}", path_.string(), std::strerror(errno)),
                "Free some disk space");
}

}  // namespace dovetail
