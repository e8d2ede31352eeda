// Writes and reads the groups and data sets of HDF5 files through the library's C interface.
#include "shards/hdf5.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "shards/hdf5_library.hpp"
#include "shards/seal.hpp"

namespace dovetail::hdf5 {
namespace {

namespace fs = std::filesystem;

struct ElementTypes {
  hid_t memory;
  hid_t file;
  const char* name;
};

ElementTypes types_of(Element element) {
  switch (element) {
    case Element::uint8:
      return {H5T_NATIVE_UINT8, H5T_STD_U8LE, "uint8"};
    case Element::int32:
      return {H5T_NATIVE_INT32, H5T_STD_I32LE, "int32"};
    case Element::int64:
      return {H5T_NATIVE_INT64, H5T_STD_I64LE, "int64"};
    case Element::float32:
      return {H5T_NATIVE_FLOAT, H5T_IEEE_F32LE, "float32"};
  }
  throw Error("unknown element type of an HDF5 data set");
}

std::string type_name(hid_t type) {
  const std::size_t bits = 8 * H5Tget_size(type);
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return fmt::format("{}{}", H5Tget_sign(type) == H5T_SGN_NONE ? "uint" : "int", bits);
    case H5T_FLOAT:
      return fmt::format("float{}", bits);
    default:
      return "other";
  }
}

std::vector<hsize_t> to_hsize(const Extents& extents) {
  return {extents.begin(), extents.end()};
}

Id file_access(const fs::path& path) {
  Id access = own(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "set up", "access", path);
  check(H5Pset_file_locking(access.get(), false, true), "switch off", "locking", path);
  // The format of HDF5 1.10: it has checksums over its own structures too. In the default, older
  // one a flipped bit can make a chunk vanish, which reads as zeros.
  check(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110), "set up", "access",
        path);
  return access;
}

// The same values give the same bytes: no time stamps. `kind` is a class of creation properties.
Id creation(hid_t kind, const std::string& name, const fs::path& path) {
  Id properties = own(H5Pcreate(kind), H5Pclose, "make", name, path);
  check(H5Pset_obj_track_times(properties.get(), false), "make", name, path);
  return properties;
}

Id dataset_creation(const Extents& extents, const Storage& storage, const std::string& name,
                    const fs::path& path) {
  Id properties = creation(H5P_DATASET_CREATE, name, path);
  if (storage.chunk_rows > 0 && !extents.empty() &&
      std::ranges::find(extents, 0u) == extents.end()) {
    std::vector<hsize_t> chunk = to_hsize(extents);
    chunk.front() = std::min<hsize_t>(chunk.front(), storage.chunk_rows);
    check(H5Pset_chunk(properties.get(), static_cast<int>(chunk.size()), chunk.data()), "chunk",
          name, path);
    if (storage.fletcher32) {
      check(H5Pset_fletcher32(properties.get()), "set the checksum of", name, path);
    }
  }
  return properties;
}

}  // namespace

Dataset::Dataset(std::int64_t file, fs::path path, std::string name)
    : path_(std::move(path)), name_(std::move(name)) {
  const LibraryLock lock;
  id_ = own(H5Dopen2(file, name_.c_str(), H5P_DEFAULT), H5Dclose, "open", name_, path_);
  const Id type = own(H5Dget_type(id_.get()), H5Tclose, "read the type of", name_, path_);
  type_ = type_name(type.get());
  const Id space = own(H5Dget_space(id_.get()), H5Sclose, "read the extents of", name_, path_);
  const int rank = H5Sget_simple_extent_ndims(space.get());
  check(rank, "read the extents of", name_, path_);
  std::vector<hsize_t> extents(static_cast<std::size_t>(rank));
  check(H5Sget_simple_extent_dims(space.get(), extents.data(), nullptr), "read the extents of",
        name_, path_);
  extents_.assign(extents.begin(), extents.end());
}

std::size_t Dataset::volume() const {
  std::size_t product = 1;
  for (const std::size_t extent : extents_) {
    if (extent != 0 && product > std::numeric_limits<std::size_t>::max() / 16 / extent) {
      throw Error(fmt::format("{} in {} claims an impossible size", name_, path_.string()));
    }
    product *= extent;
  }
  return product;
}

void Dataset::read_bytes(Element element, std::size_t begin, std::size_t count, void* values,
                         std::size_t size) const {
  const LibraryLock lock;
  const ElementTypes types = types_of(element);
  if (type_ != types.name) {
    throw Error(fmt::format("{} in {} holds {}, not {}", name_, path_.string(), type_, types.name));
  }
  if (begin > rows() || count > rows() - begin || size * rows() != volume() * count) {
    throw Error(fmt::format("{} in {} has {} rows; rows {} to {} were asked for", name_,
                            path_.string(), rows(), begin, begin + count));
  }
  if (size == 0) return;
  const Id space = own(H5Dget_space(id_.get()), H5Sclose, "read", name_, path_);
  std::vector<hsize_t> extent = to_hsize(extents_);
  if (!extent.empty()) {
    std::vector<hsize_t> start(extent.size(), 0);
    start.front() = begin;
    extent.front() = count;
    check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, extent.data(),
                              nullptr),
          "select rows of", name_, path_);
  }
  // Of the same rank as in the file: into a flat buffer HDF5 would map the chunks element by
  // element.
  const Id buffer = own(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr),
                        H5Sclose, "read", name_, path_);
  check(H5Dread(id_.get(), types.memory, buffer.get(), space.get(), H5P_DEFAULT, values), "read",
        name_, path_);
}

File File::create(const fs::path& path) {
  return create(path, 0);
}

File File::create_sealable(const fs::path& path) {
  return create(path, user_block_bytes);
}

File File::create(const fs::path& path, std::size_t user_block) {
  const LibraryLock lock;
  const Id access = file_access(path);
  const Id properties = creation(H5P_FILE_CREATE, "/", path);
  check(H5Pset_userblock(properties.get(), user_block), "set up", "user block", path);
  const hid_t id = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, properties.get(), access.get());
  if (id < 0) fail("make", path);
  return {Id(id, H5Fclose), path};
}

File File::open(const fs::path& path) {
  std::error_code failure;
  const auto bytes = fs::file_size(path, failure);
  if (failure) throw Error(fmt::format("cannot open {}: {}", path.string(), failure.message()));
  if (bytes == 0) throw Error(fmt::format("cannot open {}: the file is empty", path.string()));
  const LibraryLock lock;
  const Id access = file_access(path);
  const hid_t id = H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get());
  if (id < 0) fail("open", path);
  return {Id(id, H5Fclose), path};
}

void File::close() {
  const LibraryLock lock;
  if (!id_.reset()) fail("finish writing", path_);
}

void File::make_group(const std::string& name) {
  const LibraryLock lock;
  for (std::size_t end = name.find('/', 1);; end = name.find('/', end + 1)) {
    const std::string part = name.substr(0, end);
    if (!exists(part)) {
      const Id properties = creation(H5P_GROUP_CREATE, part, path_);
      own(H5Gcreate2(id_.get(), part.c_str(), H5P_DEFAULT, properties.get(), H5P_DEFAULT), H5Gclose,
          "make the group", part, path_);
    }
    if (end == std::string::npos) return;
  }
}

bool File::exists(const std::string& name) const {
  const LibraryLock lock;
  // HDF5 answers for the last link only, and fails where an earlier one is missing.
  for (std::size_t end = name.find('/', 1);; end = name.find('/', end + 1)) {
    const std::string part = name.substr(0, end);
    if (part != "/" && H5Lexists(id_.get(), part.c_str(), H5P_DEFAULT) <= 0) return false;
    if (end == std::string::npos) return true;
  }
}

std::vector<std::string> File::names(const std::string& group) const {
  const LibraryLock lock;
  const Id id = own(H5Gopen2(id_.get(), group.c_str(), H5P_DEFAULT), H5Gclose, "open the group",
                    group, path_);
  H5G_info_t info{};
  check(H5Gget_info(id.get(), &info), "list", group, path_);
  std::vector<std::string> found;
  for (hsize_t i = 0; i < info.nlinks; ++i) {
    const auto name_into = [&](char* name, std::size_t bytes) {
      const auto length = H5Lget_name_by_idx(id.get(), ".", H5_INDEX_NAME, H5_ITER_INC, i, name,
                                             bytes, H5P_DEFAULT);
      check(length < 0 ? -1 : 0, "list", group, path_);
      return static_cast<std::size_t>(length);
    };
    std::string name(name_into(nullptr, 0), '\0');
    name_into(name.data(), name.size() + 1);
    found.push_back(std::move(name));
  }
  return found;
}

void File::write_bytes(const std::string& name, Element element, const Extents& extents,
                       const void* values, std::size_t size, const Storage& storage) {
  const LibraryLock lock;
  std::size_t product = 1;
  for (const std::size_t extent : extents) product *= extent;
  if (product != size) {
    throw Error(fmt::format("{} values don't fill {} [{}] in {}", size, name,
                            fmt::join(extents, ", "), path_.string()));
  }
  const ElementTypes types = types_of(element);
  const std::vector<hsize_t> dims = to_hsize(extents);
  const Id space = own(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr),
                       H5Sclose, "make", name, path_);
  if (const auto slash = name.rfind('/'); slash != std::string::npos && slash != 0) {
    make_group(name.substr(0, slash));
  }
  const Id properties = dataset_creation(extents, storage, name, path_);
  const Id dataset = own(H5Dcreate2(id_.get(), name.c_str(), types.file, space.get(), H5P_DEFAULT,
                                    properties.get(), H5P_DEFAULT),
                         H5Dclose, "make", name, path_);
  check(H5Dwrite(dataset.get(), types.memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), "write", name,
        path_);
}

}  // namespace dovetail::hdf5
