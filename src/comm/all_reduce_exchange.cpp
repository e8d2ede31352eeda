// The way between groups, round by round. Directly: each group's rank adds up one piece of the
// slice and sends the sum to all.
#include <array>

#include "comm/all_reduce_state.hpp"
#include "comm/workers.hpp"

namespace dovetail {

int AllReduce::Part::tag(bool of_sums) const {
  constexpr int first = 1000;
  return first + 2 * static_cast<int>(number) + (of_sums ? 1 : 0);
}

std::span<const std::byte> AllReduce::coded(Part& part, std::size_t group) {
  const Part::Span& piece = part.pieces[group];
  const std::span<float> values = memory_.subspan(piece.begin, piece.count);
  if (part.compression == Compression::none) return std::as_bytes(values);
  encode_with_feedback(part.compression, values,
                       std::span(residual_).subspan(piece.begin, piece.count),
                       part.outgoing[group]);
  return part.outgoing[group];
}

void AllReduce::exchange(Part& part, std::size_t group, std::span<const std::byte> code,
                         std::span<std::byte> answer, int tag) {
  const int peer = static_cast<int>(group);
  part.requests.push_back(layout_->across->ireceive(answer, peer, tag));
  part.requests.push_back(layout_->across->isend(code, peer, tag));
  sent_bytes_ += code.size();
}

std::size_t AllReduce::rounds(const Part& part) const {
  return part.halving.empty() ? 2 : part.halving.size();
}

void AllReduce::begin_round(Part& part) {
  if (!part.halving.empty()) return begin_halving_round(part);
  if (part.step == 0) return scatter(part);
  gather(part);
}

void AllReduce::end_round(Part& part) {
  if (!part.halving.empty()) return end_halving_round(part);
  if (part.step == 0) return add(part);
  take_gathered(part);
}

void AllReduce::scatter(Part& part) {
  const std::size_t mine = layout_->mine();
  for (std::size_t group = 0; group < part.pieces.size(); ++group) {
    if (group == mine) continue;
    const std::size_t bytes = encoded_bytes(part.compression, part.pieces[mine].count);
    const std::span<std::byte> answer =
        part.compression == Compression::none
            ? std::as_writable_bytes(std::span(part.summands[group]))
            : std::span(part.incoming[group]).first(bytes);
    exchange(part, group, coded(part, group), answer, part.tag(false));
  }
}

void AllReduce::add(Part& part) {
  const std::size_t mine = layout_->mine();
  const Part::Span& piece = part.pieces[mine];
  float* sum = memory_.data() + piece.begin;
  std::vector<const float*> summands;
  for (std::size_t group = 0; group < part.pieces.size(); ++group) {
    if (group != mine && part.compression != Compression::none)
      decode(part.compression, part.incoming[group], part.summands[group]);
    summands.push_back(group == mine ? sum : part.summands[group].data());
  }
  tree_sum(summands, piece.count, std::span(&sum, 1));
}

void AllReduce::gather(Part& part) {
  const std::size_t mine = layout_->mine();
  const std::span<const std::byte> code = coded(part, mine);
  for (std::size_t group = 0; group < part.pieces.size(); ++group) {
    if (group == mine) continue;
    const Part::Span& theirs = part.pieces[group];
    const std::span<std::byte> answer =
        part.compression == Compression::none
            ? std::as_writable_bytes(memory_.subspan(theirs.begin, theirs.count))
            : std::span(part.incoming[group]).first(encoded_bytes(part.compression, theirs.count));
    exchange(part, group, code, answer, part.tag(true));
  }
}

void AllReduce::take_gathered(Part& part) {
  for (std::size_t group = 0; group < part.pieces.size(); ++group) {
    if (group == layout_->mine() || part.compression == Compression::none) continue;
    const Part::Span& piece = part.pieces[group];
    decode(part.compression, part.incoming[group], memory_.subspan(piece.begin, piece.count));
  }
}

void AllReduce::begin_halving_round(Part& part) {
  const HalvingRound& round = part.halving[part.step];
  const Communicator& across = *layout_->across;
  const int partner = static_cast<int>(round.partner);
  const auto values = [&](const ElementSpan& of) { return memory_.subspan(of.begin, of.count); };
  if (round.receives) {
    const std::span<float> answer = round.adds
                                        ? std::span(part.arriving).first(round.receives->count)
                                        : values(*round.receives);
    part.requests.push_back(
        across.ireceive(std::as_writable_bytes(answer), partner, part.tag(!round.adds)));
  }
  if (round.sends) {
    const bool is_sum = part.step >= part.halving.size() / 2;
    const std::span<const std::byte> code = std::as_bytes(values(*round.sends));
    part.requests.push_back(across.isend(code, partner, part.tag(is_sum)));
    sent_bytes_ += code.size();
  }
}

void AllReduce::end_halving_round(Part& part) {
  const HalvingRound& round = part.halving[part.step];
  if (!round.adds) return;
  float* sum = memory_.data() + round.receives->begin;
  const float* theirs = part.arriving.data();
  const bool is_first = layout_->mine() < round.partner;
  const std::array<const float*, 2> summands = {is_first ? sum : theirs, is_first ? theirs : sum};
  workers_->split(round.receives->count, [&](std::size_t first, std::size_t count) {
    const std::array<const float*, 2> here = {summands[0] + first, summands[1] + first};
    float* target = sum + first;
    tree_sum(here, count, std::span(&target, 1));
  });
}

}  // namespace dovetail
