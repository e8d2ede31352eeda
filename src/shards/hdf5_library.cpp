// Sets the HDF5 library up once, guards it, and turns its error stack into one line.
#include "shards/hdf5_library.hpp"

#include <algorithm>
#include <utility>

namespace dovetail::hdf5 {
namespace {

std::recursive_mutex& library_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

// Runs under the lock. No clean-up at exit: our ids are released by their owners, and the library's
// own attempt to flush a file whose disk is full would only repeat the failure.
void set_up_once() {
  static const bool done = [] {
    H5dont_atexit();
    H5open();
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    return true;
  }();
  static_cast<void>(done);
}

// Called from the innermost entry of the error stack outwards; the first entry is enough.
herr_t take_first(unsigned, const H5E_error2_t* entry, void* text) {
  *static_cast<std::string*>(text) = entry->desc == nullptr ? "" : entry->desc;
  return H5_ITER_STOP;
}

// System calls that fail are described with addresses, times and a line break; their errno text is
// what matters.
std::string innermost_reason() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_first, &text);
  const std::string mark = "error message = '";
  if (const auto begin = text.find(mark); begin != std::string::npos) {
    text = text.substr(begin + mark.size());
    text = text.substr(0, text.find('\''));
  }
  std::ranges::replace(text, '\n', ' ');
  return text.empty() ? "HDF5 gives no reason" : text;
}

}  // namespace

LibraryLock::LibraryLock() : guard_(library_mutex()) {
  set_up_once();
}

void fail(const std::string& action, const std::filesystem::path& file) {
  throw Error(fmt::format("cannot {} {}: {}", action, file.string(), innermost_reason()));
}

Id::Id(Id&& other) noexcept
    : value_(std::exchange(other.value_, -1)), release_(std::exchange(other.release_, nullptr)) {}

Id& Id::operator=(Id&& other) noexcept {
  if (this != &other) {
    reset();
    value_ = std::exchange(other.value_, -1);
    release_ = std::exchange(other.release_, nullptr);
  }
  return *this;
}

bool Id::reset() noexcept {
  if (value_ < 0) return true;
  const LibraryLock lock;
  return release_(std::exchange(value_, -1)) >= 0;
}

}  // namespace dovetail::hdf5
