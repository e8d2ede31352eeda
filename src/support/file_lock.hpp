// A lock that a process holds as long as it lives, however it ends.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace dovetail {

class FileLock {
 public:
  /// Locks `path`, which is made where it is missing, and writes `holder` into it. Returns nullopt
  /// where another process, here or on another host, holds it. Throws Error where the file cannot
  /// be opened. On a file system without locks (Lustre mounted so) it warns and takes it as held.
  static std::optional<FileLock> take(const std::filesystem::path& path, const std::string& holder);
  /// The same for a whole job, whose process, host and Slurm job are written into it. Where another
  /// one holds it, throws Error: "`what` by another job: process ...".
  static FileLock take_for_job(const std::filesystem::path& path, const std::string& what);
  /// For work that processes of this host do one after the other: locks `folder`/`name`-HOST.lock
  /// as soon as nobody holds it; whoever looks at the right moment is next. Meanwhile it calls
  /// `waiting` again and again with the holder and for how long that one has been waited for, which
  /// returns false to give up. Without a line nullopt where the folder, which is made where it is
  /// missing, cannot be written or has no locks.
  static std::optional<FileLock> await_turn(
      const std::filesystem::path& folder, const std::string& name,
      const std::function<bool(double seconds, const std::string& holder)>& waiting);
  /// What the holder wrote; empty where nothing can be read.
  static std::string holder(const std::filesystem::path& path);

  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;

 private:
  explicit FileLock(int file) : file_(file) {}
  int file_ = -1;
};

}  // namespace dovetail
