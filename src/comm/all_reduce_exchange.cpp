// The way between groups: each group's rank adds up one piece of the slice and sends the sum to
// all.
#include "comm/all_reduce_state.hpp"

namespace dovetail {
namespace {

constexpr int first_tag = 1000;

int tag_of(std::size_t part, bool of_sums) {
  return first_tag + 2 * static_cast<int>(part) + (of_sums ? 1 : 0);
}

}  // namespace

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

void AllReduce::scatter(Part& part) {
  const std::size_t mine = layout_->mine();
  part.requests.clear();
  for (std::size_t group = 0; group < part.pieces.size(); ++group) {
    if (group == mine) continue;
    const std::size_t bytes = encoded_bytes(part.compression, part.pieces[mine].count);
    const std::span<std::byte> answer =
        part.compression == Compression::none
            ? std::as_writable_bytes(std::span(part.summands[group]))
            : std::span(part.incoming[group]).first(bytes);
    exchange(part, group, coded(part, group), answer, tag_of(part.number, false));
  }
}

void AllReduce::add_and_gather(Part& part) {
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
  const std::span<const std::byte> code = coded(part, mine);
  part.requests.clear();
  for (std::size_t group = 0; group < part.pieces.size(); ++group) {
    if (group == mine) continue;
    const Part::Span& theirs = part.pieces[group];
    const std::span<std::byte> answer =
        part.compression == Compression::none
            ? std::as_writable_bytes(memory_.subspan(theirs.begin, theirs.count))
            : std::span(part.incoming[group]).first(encoded_bytes(part.compression, theirs.count));
    exchange(part, group, code, answer, tag_of(part.number, true));
  }
}

void AllReduce::take_gathered(Part& part) {
  for (std::size_t group = 0; group < part.pieces.size(); ++group) {
    if (group == layout_->mine() || part.compression == Compression::none) continue;
    const Part::Span& piece = part.pieces[group];
    decode(part.compression, part.incoming[group], memory_.subspan(piece.begin, piece.count));
  }
  part.requests.clear();
}

}  // namespace dovetail
