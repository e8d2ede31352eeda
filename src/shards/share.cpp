// Cuts a range of samples into one part a rank.
#include "shards/share.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

void check_rank(std::size_t rank, std::size_t ranks) {
  if (rank >= ranks) throw Error(fmt::format("there is no share for rank {} of {}", rank, ranks));
}

}  // namespace

Share share(std::size_t count, std::size_t rank, std::size_t ranks) {
  check_rank(rank, ranks);
  const std::size_t larger = count % ranks;  // so many ranks get one more
  const std::size_t least = count / ranks;
  return {rank * least + std::min(rank, larger), least + (rank < larger ? 1 : 0)};
}

Share share(std::size_t count, std::size_t rank, std::span<const double> weights) {
  check_rank(rank, weights.size());
  double total = 0;
  double before = 0;
  for (std::size_t r = 0; r < weights.size(); ++r) {
    if (!(weights[r] >= 0) || !std::isfinite(weights[r])) {
      throw Error(fmt::format("the weight of rank {}, {}, is no share of a batch", r, weights[r]));
    }
    if (r == rank) before = total;
    total += weights[r];
  }
  if (total == 0) throw Error("the weights of all ranks are zero");
  // Both ends are rounded in the same way by the rank on either side, so the parts meet.
  const auto end_at = [&](double sum) {
    return static_cast<std::size_t>(std::llround(static_cast<double>(count) * (sum / total)));
  };
  const std::size_t begin = end_at(before);
  return {begin, end_at(before + weights[rank]) - begin};
}

Share chunks_of(std::size_t chunks, std::size_t rank, std::size_t ranks) {
  check_rank(rank, ranks);
  if (!std::has_single_bit(chunks) || ranks > chunks)
    throw Error(fmt::format("{} chunks of a batch for {} ranks", chunks, ranks));
  if (ranks == 1) return {0, chunks};
  const std::size_t left = (ranks + 1) / 2, half = chunks / 2;
  if (rank < left) return chunks_of(half, rank, left);
  const Share right = chunks_of(half, rank - left, ranks - left);
  return {half + right.begin, right.count};
}

Shares::Shares(std::vector<double> weights) : ranks_(weights.size()), weights_(std::move(weights)) {
  share(0, 0, weights_);  // checks them
}

Share Shares::of(std::size_t count, std::size_t rank) const {
  return even() ? share(count, rank, ranks_) : share(count, rank, weights_);
}

std::size_t Shares::largest(std::size_t most, std::size_t rank) const {
  std::size_t largest = of(most, rank).count;
  // Rounding may give a rank one more of a sample less.
  for (std::size_t count = 0; !even() && count < most; ++count)
    largest = std::max(largest, of(count, rank).count);
  return largest;
}

}  // namespace dovetail
