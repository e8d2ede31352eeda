// Augmentations as text.
#include "ops/augmentation.hpp"

#include <charconv>
#include <string_view>
#include <vector>

#include "support/error.hpp"

namespace dovetail {
namespace {

constexpr int largest_extent = 255;

int extent_of(std::string_view word, std::string_view digits) {
  int extent = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), extent);
  if (failure != std::errc() || end != digits.data() + digits.size() || extent < 1 ||
      extent > largest_extent) {
    throw UsageError(
        fmt::format("'{}' gives no number of pixels from 1 to {}", word, largest_extent),
        "For example crop=4");
  }
  return extent;
}

}  // namespace

std::string to_string(const Augmentation& augmentation) {
  std::vector<std::string> words;
  if (augmentation.crop > 0) words.push_back(fmt::format("crop={}", augmentation.crop));
  if (augmentation.flip) words.push_back("flip");
  if (augmentation.erase > 0) words.push_back(fmt::format("erase={}", augmentation.erase));
  return words.empty() ? "none" : fmt::format("{}", fmt::join(words, ","));
}

Augmentation parse_augmentation(const std::string& text) {
  Augmentation augmentation;
  if (text == "none") return augmentation;
  std::string_view rest = text;
  while (true) {
    const std::size_t comma = rest.find(',');
    const std::string_view word = rest.substr(0, comma);
    if (word == "flip") {
      augmentation.flip = true;
    } else if (word.starts_with("crop=")) {
      augmentation.crop = extent_of(word, word.substr(5));
    } else if (word.starts_with("erase=")) {
      augmentation.erase = extent_of(word, word.substr(6));
    } else {
      throw UsageError(
          fmt::format("unknown augmentation '{}'", word),
          "Give some of crop=PIXELS, flip and erase=PIXELS, with commas between, or none");
    }
    if (comma == std::string_view::npos) return augmentation;
    rest.remove_prefix(comma + 1);
  }
}

}  // namespace dovetail
