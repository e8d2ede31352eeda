// Chooses which samples of a pool are trained on, from the losses that they were scored with.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace dovetail {

/// Of the rank of a loss: its square is what a sample is drawn in proportion to.
inline constexpr double fresh_exponent = 2;

enum class SelectKind {
  rank,        // drawn without replacement, in proportion to the squared rank of the loss
  importance,  // drawn in proportion to the loss, and weighted so that the gradient is unbiased
  hard,        // those with the largest losses
  random       // every sample alike: what the others are compared with
};

const char* to_string(SelectKind kind);
/// Throws UsageError for an unknown name.
SelectKind parse_select(const std::string& name);

struct Choice {
  std::vector<std::uint32_t> picks;  // places in the pool, ascending; importance may repeat some
  std::vector<float> weights;        // of the picks' losses; empty: all 1
};

/// Chooses `count` of the pool's samples; a function of its arguments alone.
///
/// rank: weighted sampling without replacement with weight r^exponent, where r = 1 … n is the rank
/// of the loss, 1 the smallest; equal losses rank by their place. Method: exponential clocks
/// (Efraimidis and Spirakis, Information Processing Letters 97, 2006).
///
/// importance: `count` independent draws with p_i = (1 − λ) loss_i / Σ loss + λ / n, λ = 0.1, each
/// weighted with 1 / (n p_i): the expected value of the weighted mean gradient is the pool's mean
/// gradient, and no weight exceeds 1 / λ. (Katharopoulos and Fleuret, ICML 2018, with the loss as
/// the score.)
///
/// Losses that are negative or no finite number count as 0.
Choice choose(SelectKind kind, std::span<const float> losses, std::size_t count, std::uint64_t seed,
              double exponent = fresh_exponent);

/// What the rank of a loss counts for when the weights that it was scored with are old: the fresh
/// exponent times v / (v + discount · age), for weights of `version` v that are `age` steps behind
/// `step`. Weights move fastest at first, so it is the age relative to what had been learned that
/// counts; by weights of version 0 every sample is alike. With a discount of 0 the age is ignored.
double rank_exponent(std::uint64_t step, std::uint64_t version, double discount);

}  // namespace dovetail
