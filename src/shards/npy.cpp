// Reads NumPy .npy files: a magic, a version, a Python dictionary as header, then the values.
#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

#include "shards/sources.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_header = 12 + (1 << 16);  // NumPy itself reads 10,000 bytes of one
constexpr std::size_t most_extents = 64;             // as NumPy

struct NpyFile {
  std::string type;  // as NumPy writes it: "|u1", "<i4" …
  std::vector<std::size_t> extents;
  std::vector<std::uint8_t> values;

  std::size_t element_bytes() const { return static_cast<std::size_t>(type.back() - '0'); }
};

[[noreturn]] void bad_header(const fs::path& path, std::string_view what) {
  throw Error(fmt::format("{} has a damaged .npy header: {}", path.string(), what));
}

// The text after "'key':" in the header dictionary.
std::string_view value_of(std::string_view header, std::string_view key, const fs::path& path) {
  const std::size_t at = header.find(fmt::format("'{}':", key));
  if (at == std::string_view::npos) bad_header(path, fmt::format("no {}", key));
  header.remove_prefix(at + key.size() + 3);
  header.remove_prefix(std::min(header.find_first_not_of(' '), header.size()));
  return header;
}

// "|u1" of "'|u1', …"; nothing where there is no short word in quotes.
std::string_view type_in(std::string_view text) {
  constexpr std::size_t longest = 16;
  if (text.empty() || text.front() != '\'') return {};
  text = text.substr(1, longest + 1);
  const std::size_t end = text.find('\'');
  if (end == std::string_view::npos) return {};
  text = text.substr(0, end);
  const bool plain = std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
  return plain ? text : std::string_view{};
}

std::vector<std::size_t> parse_extents(std::string_view text, const fs::path& path) {
  const std::size_t end = text.find(')');
  if (text.empty() || text.front() != '(' || end == std::string_view::npos) {
    bad_header(path, "no tuple as shape");
  }
  text = text.substr(1, end - 1);
  std::vector<std::size_t> extents;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(" ,"), text.size()));
    if (text.empty()) return extents;
    std::size_t extent = 0;
    const auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), extent);
    if (failure != std::errc{}) bad_header(path, "the shape is not made of numbers");
    extents.push_back(extent);
    if (extents.size() > most_extents) bad_header(path, "its shape is too long");
    text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  }
}

// Returns the header's text and where the values begin.
std::pair<std::string_view, std::size_t> find_header(const std::vector<std::uint8_t>& bytes,
                                                     const fs::path& path) {
  constexpr char magic[] = "\x93NUMPY";
  if (bytes.size() < 12 || std::memcmp(bytes.data(), magic, 6) != 0) {
    throw Error(fmt::format("{} is no .npy file: it doesn't begin with \\x93NUMPY", path.string()));
  }
  const int version = bytes[6];
  if (version < 1 || version > 3) {
    throw Error(fmt::format("{} has .npy version {}; 1 to 3 are read", path.string(), version));
  }
  const std::size_t start = version == 1 ? 10 : 12;
  std::size_t length = bytes[8] | std::size_t{bytes[9]} << 8;
  if (version > 1) length |= std::size_t{bytes[10]} << 16 | std::size_t{bytes[11]} << 24;
  if (start + length > most_header) bad_header(path, "it is too long");
  if (length > bytes.size() - start)
    throw Error(fmt::format("{} ends within its header", path.string()));
  return {{reinterpret_cast<const char*>(bytes.data()) + start, length}, start + length};
}

NpyFile read_npy_file(const fs::path& path, std::span<const std::string_view> types) {
  const std::vector<std::uint8_t> bytes = source::read_bytes(path, most_header);
  const auto [header, values_at] = find_header(bytes, path);
  NpyFile file;
  const std::string_view descr = value_of(header, "descr", path);
  file.type = type_in(descr);
  if (file.type.empty()) bad_header(path, "descr is no plain type");
  if (std::ranges::find(types, file.type) == types.end()) {
    throw Error(fmt::format("{} holds NumPy type {}; expected is {}", path.string(), file.type,
                            fmt::join(types, " or ")),
                "Convert it with astype and save it anew");
  }
  if (!value_of(header, "fortran_order", path).starts_with("False")) {
    throw Error(fmt::format("{} is in Fortran order", path.string()),
                "Save numpy.ascontiguousarray of it");
  }
  file.extents = parse_extents(value_of(header, "shape", path), path);
  file.values = source::read_values(path, values_at, file.extents, file.element_bytes());
  return file;
}

std::vector<std::uint8_t> channels_first(const std::vector<std::uint8_t>& pixels, std::size_t count,
                                         const SampleShape& shape) {
  std::vector<std::uint8_t> turned(pixels.size());
  const std::size_t area = shape.height * shape.width;
  for (std::size_t n = 0; n < count; ++n) {
    for (std::size_t at = 0; at < area; ++at) {
      for (std::size_t c = 0; c < shape.channels; ++c) {
        turned[(n * shape.channels + c) * area + at] = pixels[(n * area + at) * shape.channels + c];
      }
    }
  }
  return turned;
}

template <typename T>
std::vector<std::int32_t> to_labels(const NpyFile& file, const fs::path& path) {
  std::vector<std::int32_t> labels(file.values.size() / sizeof(T));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    T value;
    std::memcpy(&value, &file.values[i * sizeof(T)], sizeof(T));
    labels[i] = static_cast<std::int32_t>(value);
    if (static_cast<T>(labels[i]) != value) {
      throw Error(
          fmt::format("{}: label {} of sample {} is out of range", path.string(), value, i));
    }
  }
  return labels;
}

}  // namespace

Samples read_npy(const fs::path& images, const fs::path& labels) {
  static constexpr std::string_view image_types[] = {"|u1"};
  static constexpr std::string_view label_types[] = {"|u1", "<i4", "<i8"};
  NpyFile pixels = read_npy_file(images, image_types);
  const NpyFile classes = read_npy_file(labels, label_types);
  const auto& e = pixels.extents;
  if (e.size() != 3 && e.size() != 4) {
    throw Error(fmt::format("{} has {} extents; images have 3 or 4", images.string(), e.size()));
  }
  const bool column = classes.extents.size() == 2 && classes.extents[1] == 1;
  if (classes.extents.size() != 1 && !column) {
    throw Error(fmt::format("{} has extents [{}]; labels have 1", labels.string(),
                            fmt::join(classes.extents, ", ")));
  }
  source::check_counts(e[0], classes.extents[0], images, labels);
  Samples samples;
  if (e.size() == 4 && e[3] <= 4 && e[1] > 4) {
    samples.shape = {e[3], e[1], e[2]};
    samples.images = channels_first(pixels.values, e[0], samples.shape);
  } else {
    samples.shape = {e.size() == 4 ? e[1] : 1, e[e.size() - 2], e.back()};
    samples.images = std::move(pixels.values);
  }
  samples.origin = labels.string();
  samples.labels = classes.type == "|u1"   ? to_labels<std::uint8_t>(classes, labels)
                   : classes.type == "<i4" ? to_labels<std::int32_t>(classes, labels)
                                           : to_labels<std::int64_t>(classes, labels);
  return samples;
}

}  // namespace dovetail
