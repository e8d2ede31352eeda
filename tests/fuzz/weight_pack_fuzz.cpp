// Weight packs of both kinds of engines, with a checksum that holds: what parsing itself must see.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "fuzz/target.hpp"
#include "quant/byte_string.hpp"
#include "quant/networks.hpp"
#include "quant/packed_network.hpp"
#include "quant/training_pack.hpp"

namespace dovetail::fuzz {
namespace {

constexpr std::uint64_t version = 5;

Bytes content_of(const quant::WeightPack& pack) {
  const auto content = quant::sealed_content(pack.bytes);
  return {content.begin(), content.end()};
}

}  // namespace

std::vector<Bytes> seeds() {
  std::vector<Bytes> packs;
  const quant::Network network =
      quant::NetworkBuilder("seed", 1, 6, 6, 1).conv(3, 3, 1, 1).pool(2, 2).dense(4, true).build(3);
  for (const char* format : {"w1a1", "wta2", "w2a4", "w4a4", "int8"})
    packs.push_back(content_of(quant::pack(network, format, version)));
  for (const char* format : {"fixed8", "bfp4", "int5"})
    packs.push_back(content_of(quant::pack(network, format, version)));
  for (const char* format : {"int8", "fixed16", "bfp8"})
    packs.push_back(content_of(quant::pack_training(network, format, version)));
  return packs;
}

void read(std::span<const std::uint8_t> input) {
  quant::WeightPack pack{version, {input.begin(), input.end()}};
  quant::seal(pack.bytes);
  constexpr std::string_view training = "DOVETRNP";
  quant::WeightPack again;
  if (input.size() >= training.size() &&
      std::equal(training.begin(), training.end(), input.begin())) {
    quant::TrainingNetwork network = quant::parse_training(pack);
    pack.version = network.version;
    again = quant::serialise_training(network);
  } else {
    again = quant::serialise(quant::parse(pack));
  }
  // What is taken is taken as it stands. Names end at their first zero.
  if (again.bytes.size() != pack.bytes.size()) std::abort();
}

}  // namespace dovetail::fuzz
