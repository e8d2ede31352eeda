// Typed data sets, groups and attributes of HDF5 files: the project's one door to the HDF5 library.
//
// Distributions build the library without thread safety, so every call here holds one process-wide
// lock: any thread may use any object, one thread at a time per object. Errors name the file, the
// object and HDF5's innermost reason. Files are never changed in place (written once, then replaced
// whole), so HDF5's file locks, which some parallel file systems refuse, are off.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <new>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::hdf5 {

/// Extents, outermost first.
using Extents = std::vector<std::size_t>;

/// What a data set can hold here; stored little-endian.
enum class Element { uint8, int32, int64, float32 };

template <typename T>
constexpr Element element_of() {
  if constexpr (std::is_same_v<T, std::uint8_t>) {
    return Element::uint8;
  } else if constexpr (std::is_same_v<T, std::int32_t>) {
    return Element::int32;
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    return Element::int64;
  } else {
    static_assert(std::is_same_v<T, float>, "data sets hold uint8, int32, int64 or float");
    return Element::float32;
  }
}

/// How a data set lies in the file. HDF5's own checksum needs chunks, so fletcher32 asks for
/// chunk_rows > 0.
struct Storage {
  std::size_t chunk_rows = 0;  // rows of the outermost extent in a chunk; 0: one contiguous block
  bool fletcher32 = false;     // a checksum per chunk, verified by every reader of the file
};

using AttributeValue = std::variant<std::int64_t, double, std::string>;

/// An id of the library, released with its owner.
class Id {
 public:
  using Release = int (*)(std::int64_t);
  Id() = default;
  Id(std::int64_t value, Release release) : value_(value), release_(release) {}
  ~Id() { reset(); }
  Id(Id&& other) noexcept;
  Id& operator=(Id&& other) noexcept;
  std::int64_t get() const { return value_; }
  /// Releases it now; false where the library reports a failure, such as a full disk.
  bool reset() noexcept;

 private:
  std::int64_t value_ = -1;
  Release release_ = nullptr;
};

/// An open data set. It keeps its file open, also beyond the File it came from.
class Dataset {
 public:
  const Extents& extents() const { return extents_; }
  std::size_t rows() const { return extents_.empty() ? 1 : extents_.front(); }
  /// "uint8", "int32", "float64" …, or "other" for what is no number.
  const std::string& type() const { return type_; }

  /// Rows [begin, begin + count) of the outermost extent into `values`, which has exactly their
  /// size. Throws Error where the type differs, the rows are out of range, or the data fail the
  /// file's checksum.
  template <typename T>
  void read_rows(std::size_t begin, std::size_t count, std::span<T> values) const {
    read_bytes(element_of<T>(), begin, count, values.data(), values.size());
  }
  /// All values, row-major.
  template <typename T>
  std::vector<T> read() const;

 private:
  friend class File;
  Dataset(std::int64_t file, std::filesystem::path path, std::string name);
  void read_bytes(Element element, std::size_t begin, std::size_t count, void* values,
                  std::size_t size) const;
  std::size_t volume() const;

  Id id_;
  std::filesystem::path path_;
  std::string name_;
  std::string type_;
  Extents extents_;
};

/// An HDF5 file: written once from scratch, or open for reading. Object names are paths such as
/// "/parameters/a.weight"; groups on the way are made as needed.
class File {
 public:
  /// Makes a new file, or empties an old one.
  static File create(const std::filesystem::path& path);
  /// The same with room for a checksum over the whole file: see shards/seal.hpp.
  static File create_sealable(const std::filesystem::path& path);
  static File open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  /// Writes what is buffered and closes. Throws Error where that fails; the destructor alone would
  /// stay silent.
  void close();

  /// Makes it and the groups above it where they don't exist yet.
  void make_group(const std::string& name);
  bool exists(const std::string& name) const;
  /// The names in a group, in alphabetical order.
  std::vector<std::string> names(const std::string& group = "/") const;

  /// Makes a data set with these values: a contiguous range of std::uint8_t, std::int32_t,
  /// std::int64_t or float.
  template <std::ranges::contiguous_range Range>
  void write(const std::string& name, const Extents& extents, const Range& values,
             const Storage& storage = {}) {
    using T = std::ranges::range_value_t<Range>;
    write_bytes(name, element_of<T>(), extents, std::ranges::data(values),
                std::ranges::size(values), storage);
  }
  Dataset dataset(const std::string& name) const { return {id_.get(), path_, name}; }
  template <typename T>
  std::vector<T> read(const std::string& name) const {
    return dataset(name).read<T>();
  }

  /// A scalar attribute of a group ("/" is the root) or a data set.
  void write_attribute(const std::string& object, const std::string& name,
                       const AttributeValue& value);
  bool has_attribute(const std::string& object, const std::string& name) const;
  /// T is std::int64_t, double or std::string; an attribute of another kind throws Error.
  template <typename T>
  T read_attribute(const std::string& object, const std::string& name) const {
    const AttributeValue value = attribute(object, name);
    if (const T* held = std::get_if<T>(&value)) return *held;
    throw Error(
        fmt::format("attribute {} of {} in {} is of another type", name, object, path_.string()));
  }

 private:
  static File create(const std::filesystem::path& path, std::size_t user_block);
  File(Id id, std::filesystem::path path) : id_(std::move(id)), path_(std::move(path)) {}
  void write_bytes(const std::string& name, Element element, const Extents& extents,
                   const void* values, std::size_t size, const Storage& storage);
  AttributeValue attribute(const std::string& object, const std::string& name) const;

  Id id_;
  std::filesystem::path path_;
};

template <typename T>
std::vector<T> Dataset::read() const {
  try {
    std::vector<T> values(volume());
    read_bytes(element_of<T>(), 0, rows(), values.data(), values.size());
    return values;
  } catch (const std::bad_alloc&) {
    throw Error(
        fmt::format("{} in {} is larger than this machine's memory", name_, path_.string()));
  } catch (const std::length_error&) {
    throw Error(fmt::format("{} in {} claims an impossible size", name_, path_.string()));
  }
}

}  // namespace dovetail::hdf5
