// Writes and reads scalar attributes of HDF5 objects: integers, doubles and UTF-8 texts.
#include <algorithm>
#include <memory>

#include "shards/hdf5_library.hpp"

namespace dovetail::hdf5 {
namespace {

namespace fs = std::filesystem;

// Of variable length: h5py reads it as str.
Id text_type(const std::string& name, const fs::path& path) {
  Id type = own(H5Tcopy(H5T_C_S1), H5Tclose, "make", name, path);
  check(H5Tset_size(type.get(), H5T_VARIABLE), "make", name, path);
  check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "make", name, path);
  return type;
}

std::string read_text(const Id& attribute, const Id& stored, const std::string& name,
                      const fs::path& path) {
  if (H5Tis_variable_str(stored.get()) > 0) {
    char* text = nullptr;
    check(H5Aread(attribute.get(), stored.get(), &text), "read", name, path);
    const std::unique_ptr<char, herr_t (*)(void*)> owner(text, H5free_memory);
    return text == nullptr ? "" : text;
  }
  std::string text(H5Tget_size(stored.get()), '\0');
  check(H5Aread(attribute.get(), stored.get(), text.data()), "read", name, path);
  return text.substr(0, text.find('\0'));
}

}  // namespace

void File::write_attribute(const std::string& object, const std::string& name,
                           const AttributeValue& value) {
  const LibraryLock lock;
  const std::string label = fmt::format("attribute {} of {}", name, object);
  const Id target =
      own(H5Oopen(id_.get(), object.c_str(), H5P_DEFAULT), H5Oclose, "open", object, path_);
  const Id space = own(H5Screate(H5S_SCALAR), H5Sclose, "make", label, path_);
  const auto write = [&](hid_t file_type, hid_t memory_type, const void* data) {
    const Id attribute = own(
        H5Acreate2(target.get(), name.c_str(), file_type, space.get(), H5P_DEFAULT, H5P_DEFAULT),
        H5Aclose, "make", label, path_);
    check(H5Awrite(attribute.get(), memory_type, data), "write", label, path_);
  };
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    write(H5T_STD_I64LE, H5T_NATIVE_INT64, integer);
  } else if (const auto* real = std::get_if<double>(&value)) {
    write(H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, real);
  } else {
    const char* text = std::get<std::string>(value).c_str();
    const Id type = text_type(label, path_);
    write(type.get(), type.get(), &text);
  }
}

bool File::has_attribute(const std::string& object, const std::string& name) const {
  const LibraryLock lock;
  return H5Aexists_by_name(id_.get(), object.c_str(), name.c_str(), H5P_DEFAULT) > 0;
}

AttributeValue File::attribute(const std::string& object, const std::string& name) const {
  const LibraryLock lock;
  const std::string label = fmt::format("attribute {} of {}", name, object);
  const Id attribute =
      own(H5Aopen_by_name(id_.get(), object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT),
          H5Aclose, "open", label, path_);
  const Id space = own(H5Aget_space(attribute.get()), H5Sclose, "read", label, path_);
  if (H5Sget_simple_extent_npoints(space.get()) != 1) {
    throw Error(fmt::format("{} in {} is no single value", label, path_.string()));
  }
  const Id stored = own(H5Aget_type(attribute.get()), H5Tclose, "read", label, path_);
  switch (H5Tget_class(stored.get())) {
    case H5T_INTEGER: {
      std::int64_t value = 0;
      check(H5Aread(attribute.get(), H5T_NATIVE_INT64, &value), "read", label, path_);
      return value;
    }
    case H5T_FLOAT: {
      double value = 0;
      check(H5Aread(attribute.get(), H5T_NATIVE_DOUBLE, &value), "read", label, path_);
      return value;
    }
    case H5T_STRING:
      return read_text(attribute, stored, label, path_);
    default:
      throw Error(fmt::format("{} in {} is neither number nor text", label, path_.string()));
  }
}

}  // namespace dovetail::hdf5
