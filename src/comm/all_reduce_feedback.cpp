// The errors of compression, for a checkpoint and from one.
#include <algorithm>

#include "comm/all_reduce_state.hpp"

namespace dovetail {
namespace {

constexpr int feedback_tag = 900;

struct Place {
  std::uint64_t group = 0, local = 0;
  bool sums = false;
};

std::vector<float> packed(std::span<const float> row, const std::vector<ReductionPart>& slices) {
  std::vector<float> values;
  for (const ReductionPart& slice : slices) {
    const auto from = row.subspan(slice.begin, slice.count);
    values.insert(values.end(), from.begin(), from.end());
  }
  return values;
}

void unpack(std::span<const float> values, const std::vector<ReductionPart>& slices,
            std::span<float> row) {
  for (const ReductionPart& slice : slices) {
    std::copy_n(values.begin(), slice.count, row.subspan(slice.begin).begin());
    values = values.subspan(slice.count);
  }
}

std::size_t elements_of(const std::vector<ReductionPart>& slices) {
  std::size_t count = 0;
  for (const ReductionPart& slice : slices) count += slice.count;
  return count;
}

}  // namespace

std::vector<ReductionPart> AllReduce::compressed_slices(std::size_t local) const {
  std::vector<ReductionPart> slices;
  for (const Part& part : parts_) {
    if (part.compression != Compression::none)
      slices.push_back(cut_at_lines(part.of, local, layout_->summing));
  }
  return slices;
}

std::vector<float> AllReduce::gather_feedback() const {
  if (residual_.empty()) return {};
  const Layout& layout = *layout_;
  const Place mine = {layout.sums() ? layout.mine() : 0, layout.local(), layout.sums()};
  const std::vector<Place> places = layout.ranks.all_gather(mine);
  const std::vector<float> own =
      mine.sums ? packed(residual_, compressed_slices(mine.local)) : std::vector<float>();
  if (!layout.ranks.is_lead()) {
    if (mine.sums) layout.ranks.send(own, 0, feedback_tag);
    return {};
  }
  std::vector<float> all(static_cast<std::size_t>(layout.groups) * layout.elements);
  for (std::size_t rank = 0; rank < places.size(); ++rank) {
    const Place& place = places[rank];
    if (!place.sums) continue;
    const std::vector<ReductionPart> slices = compressed_slices(place.local);
    std::vector<float> values = rank == 0 ? own : std::vector<float>(elements_of(slices));
    if (rank != 0) layout.ranks.receive(values, static_cast<int>(rank), feedback_tag);
    unpack(values, slices, std::span(all).subspan(place.group * layout.elements, layout.elements));
  }
  return all;
}

void AllReduce::scatter_feedback(std::span<const float> all) {
  if (residual_.empty()) return;
  const Layout& layout = *layout_;
  const Place mine = {layout.sums() ? layout.mine() : 0, layout.local(), layout.sums()};
  const std::vector<Place> places = layout.ranks.all_gather(mine);
  const std::vector<ReductionPart> slices = compressed_slices(mine.local);
  if (!layout.ranks.is_lead()) {
    if (!mine.sums) return;
    std::vector<float> values(elements_of(slices));
    layout.ranks.receive(values, 0, feedback_tag);
    return unpack(values, slices, residual_);
  }
  for (std::size_t rank = 0; rank < places.size(); ++rank) {
    const Place& place = places[rank];
    if (!place.sums) continue;
    const auto row = all.subspan(place.group * layout.elements, layout.elements);
    const std::vector<float> values = packed(row, compressed_slices(place.local));
    if (rank == 0) {
      unpack(values, slices, residual_);
    } else {
      layout.ranks.send(values, static_cast<int>(rank), feedback_tag);
    }
  }
}

}  // namespace dovetail
