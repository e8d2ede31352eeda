// The HDF5 library's lock, set-up and error reports, for the files that implement hdf5.hpp.
#pragma once

#include <hdf5.h>

#include <filesystem>
#include <mutex>
#include <string>

#include "shards/hdf5.hpp"

namespace dovetail::hdf5 {

/// Holds the process-wide lock. Declare it first: ids declared later are then released under it.
class LibraryLock {
 public:
  LibraryLock();

 private:
  std::lock_guard<std::recursive_mutex> guard_;
};

/// Throws Error: "cannot <action> <object> in <file>: <HDF5's innermost reason>".
[[noreturn]] void fail(const std::string& action, const std::filesystem::path& file);

/// `action` reads like "read /images in"; it is only spent where `id` tells of a failure.
inline Id own(hid_t id, Id::Release release, const char* action, const std::string& object,
              const std::filesystem::path& file) {
  if (id < 0) fail(std::string(action) + " " + object + " in", file);
  return {id, release};
}

inline void check(herr_t status, const char* action, const std::string& object,
                  const std::filesystem::path& file) {
  if (status < 0) fail(std::string(action) + " " + object + " in", file);
}

}  // namespace dovetail::hdf5
