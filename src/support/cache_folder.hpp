// A folder of files that may vanish at any time: what took long to find out, kept for the next
// start.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace dovetail {

/// Entries are replaced in one step, so that processes may load and store the same one at once:
/// each reads a whole entry, and the last one stored stays. Nothing here throws: a cache that
/// cannot be used costs time, not the job. Not thread-safe.
class CacheFolder {
 public:
  /// The folder is made with the first entry, or before by what else is kept in it
  /// (FileLock::await_turn).
  explicit CacheFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// $XDG_CACHE_HOME/dovetail, else $HOME/.cache/dovetail; null where neither is set (XDG Base
  /// Directory Specification 0.8).
  static std::shared_ptr<CacheFolder> of_user();

  /// What an entry holds. `what` names it; one of another `version` is out of date.
  struct Label {
    std::string kind;  // a word, the beginning of the file's name
    std::string what;
    std::string version;
  };

  enum class State { missing, outdated, damaged, sound };
  struct Entry {
    State state = State::missing;
    std::string bytes{};  // of a sound one
  };
  /// Says in one line why an entry that is there is not used; of outdated ones for the first.
  Entry load(const Label& label);
  /// Replaces the entry. Where that fails, a line says so once.
  void store(const Label& label, const std::string& bytes);

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path file_of(const Label& label) const;

 private:
  std::filesystem::path folder_;
  bool is_writable_ = true;
  bool has_said_outdated_ = false;
};

}  // namespace dovetail
