// Buckets, chunks and compression.
#include "app/reduce_options.hpp"

#include <bit>

#include "app/expect.hpp"
#include "support/text.hpp"

namespace dovetail::app {

void ReduceOptions::add_to(CommandLine& line) {
  line.add("bucket-mb", bucket_mb,
           "MiB of gradients that are summed over the ranks together, while the backward pass goes "
           "on; 0: all in one");
  line.add_flag("no-overlap", no_overlap,
                "sums over the ranks begin when the backward pass is done; the same bits");
  line.add_flag("deterministic", deterministic,
                "the same weights with 1, 2 or 4 GPU ranks of one device type, up to --chunks");
  line.add("chunks", chunks,
           "with --deterministic: parts of each batch that are computed alone, a power of two");
  line.add(
      "compress", compression,
      "of gradients that hosts send each other: none, bf16, fp16 or int8, with error feedback");
  line.add("reduce", reduce,
           "hosts: ranks of a host share memory; flat: all ranks send messages, as if each were on "
           "a host of its own");
}

void ReduceOptions::apply(TrainSettings& settings) const {
  expect_bucket_size(bucket_mb);
  expect(std::has_single_bit(chunks) && chunks <= 1024,
         fmt::format("--chunks {} is no power of two up to 1024", chunks), "Give 4, or 8");
  expect(deterministic || chunks == ReduceOptions{}.chunks,
         "--chunks has no effect without --deterministic", "Leave it out, or give both");
  expect(reduce == "hosts" || reduce == "flat", fmt::format("unknown --reduce '{}'", reduce),
         "Known: hosts, flat");
  settings.bucket_bytes = static_cast<std::size_t>(bucket_mb * (1 << 20));
  expect(bucket_mb == 0 || settings.bucket_bytes >= sizeof(float),
         fmt::format("--bucket-mb {} holds no number", bucket_mb), "Give MiB, such as 1");
  settings.overlap = !no_overlap;
  settings.compression = parse_compression(compression);
  if (reduce == "flat") settings.ranks_per_group = 1;
  if (!deterministic) return;
  settings.chunks = chunks;
  expect(!settings.boost.any(),
         "--deterministic with --boost or --boost-select: what FPGA ranks send depends on time",
         "Leave one of them out");
  expect(settings.compression == Compression::none,
         fmt::format("--deterministic with --compress {}: its errors depend on the number of ranks",
                     compression),
         "Leave one of them out");
  expect(static_cast<std::uint64_t>(settings.batch) >= chunks,
         fmt::format("--batch {} is smaller than its {} chunks", settings.batch, chunks),
         "Give a larger batch, or fewer --chunks");
}

}  // namespace dovetail::app
