// Entries of the cache in which the tuner remembers its choices. Nothing of them may end a job: an
// entry is sound, or it is not used.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "fuzz/target.hpp"
#include "support/cache_folder.hpp"
#include "support/checksum.hpp"
#include "support/file.hpp"
#include "support/log.hpp"

namespace dovetail::fuzz {
namespace {

const CacheFolder::Label label{.kind = "choice",
                               .what = "platform / device / 2 units / dense 784->256, 64 rows",
                               .version = "1 driver digest"};
constexpr std::string_view sum_mark = "\"sha256\":\"";
constexpr std::size_t sum_digits = 64;

/// Half of the damage would be seen by the checksum alone: where there is room for one, the right
/// one is put in, unless the head ends in a space.
Bytes mended(std::span<const std::uint8_t> input) {
  Bytes bytes(input.begin(), input.end());
  const auto head_end = std::find(bytes.begin(), bytes.end(), '\n');
  if (head_end == bytes.end() || (head_end != bytes.begin() && head_end[-1] == ' ')) return bytes;
  const auto mark = std::search(bytes.begin(), head_end, sum_mark.begin(), sum_mark.end());
  const auto room = static_cast<std::size_t>(head_end - mark);
  if (room < sum_mark.size() + sum_digits) return bytes;
  const std::string sum = sha256_hex(std::span<const std::uint8_t>(head_end + 1, bytes.end()));
  std::copy(sum.begin(), sum.end(), mark + sum_mark.size());
  return bytes;
}

}  // namespace

std::vector<Bytes> seeds() {
  CacheFolder cache(folder());
  std::vector<Bytes> files;
  for (const char* chosen : {"tiled 64x64", "plain", ""}) {
    cache.store(label, chosen);
    files.push_back(read_file(cache.file_of(label)));
  }
  return files;
}

void read(std::span<const std::uint8_t> input) {
  log::set_quiet(true);
  CacheFolder cache(folder());
  const Bytes bytes = mended(input);
  write(cache.file_of(label).filename(), bytes);
  const CacheFolder::Entry entry = cache.load(label);
  // Sound ones give what stands behind the head, others nothing.
  const auto head_end = std::find(bytes.begin(), bytes.end(), '\n');
  const std::string rest(head_end == bytes.end() ? head_end : head_end + 1, bytes.end());
  if (entry.state == CacheFolder::State::missing) std::abort();
  if (entry.bytes != (entry.state == CacheFolder::State::sound ? rest : "")) std::abort();
}

}  // namespace dovetail::fuzz
