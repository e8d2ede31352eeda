// A target under libFuzzer. NAME --seeds=FOLDER writes the real files to begin with; all else is
// libFuzzer's.
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "fuzz/target.hpp"
#include "support/text.hpp"

extern "C" int LLVMFuzzerInitialize(int* count, char*** words) {
  constexpr std::string_view option = "--seeds=";
  for (int i = 1; i < *count; ++i) {
    const std::string_view word = (*words)[i];
    if (!word.starts_with(option)) continue;
    const std::filesystem::path folder = word.substr(option.size());
    std::filesystem::create_directories(folder);
    int number = 0;
    for (const dovetail::fuzz::Bytes& seed : dovetail::fuzz::seeds()) {
      std::ofstream out(folder / fmt::format("seed-{}", number++), std::ios::binary);
      out.write(reinterpret_cast<const char*>(seed.data()),
                static_cast<std::streamsize>(seed.size()));
    }
    std::exit(0);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dovetail::fuzz::read_one({data, size});
  return 0;
}
