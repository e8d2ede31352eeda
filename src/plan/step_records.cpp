// Two pages of records, in turns.
#include "plan/step_records.hpp"

#include <algorithm>
#include <bit>

#include "support/error.hpp"

namespace dovetail::plan {

StepRecords::StepRecords(opencl::Device& device, std::size_t gradients, std::size_t rest,
                         opencl::HostedBuffer::Way way)
    : device_(device), record_(device, variant_for(device), gradients, rest) {
  const std::size_t line = device.alignment() / sizeof(float);
  stride_ = (record_.words() + line - 1) / line * line;
  for (Page& page : pages_) {
    page.memory = opencl::HostedBuffer(device, per_page * stride_ * sizeof(float), {}, way);
    for (std::size_t i = 0; i < per_page; ++i) {
      page.places.push_back(
          page.memory.buffer().slice(i * stride_ * sizeof(float), record_.words() * sizeof(float)));
      clear(page.places.back());
    }
  }
}

void StepRecords::clear(const opencl::Buffer& place) {
  device_.write(place, &RecordSums::none, sizeof RecordSums::none,
                (record_.words() - 1) * sizeof(float));
}

bool StepRecords::has_room() const {
  return !pages_[written_].is_sent;
}

const opencl::Buffer& StepRecords::next_place() {
  if (!has_room()) throw Error("a step more than there are records for");
  const Page& page = pages_[written_];
  return page.places[page.added];
}

void StepRecords::make(const opencl::Buffer& sums) {
  record_.run(sums, next_place());
}

void StepRecords::note_added() {
  if (++pages_[written_].added == per_page) send();
}

void StepRecords::send() {
  Page& page = pages_[written_];
  if (page.is_sent || page.added == 0) return;
  page.memory.hand_over(0, page.added * stride_ * sizeof(float));
  device_.flush();
  page.is_sent = true;
  written_ = 1 - written_;
}

bool StepRecords::arrived() const {
  const Page& page = pages_[oldest_];
  return page.is_sent && page.memory.arrived(0);
}

bool StepRecords::are_travelling() const {
  const Page& newest = pages_[1 - written_];
  return newest.is_sent && !newest.memory.arrived(0);
}

StepRecords::Record StepRecords::take() {
  Page& page = pages_[oldest_];
  if (page.added == 0) throw Error("no step is under way");
  send();
  page.memory.await(0);
  const std::span<const float> record =
      page.memory.host().subspan(page.taken * stride_, record_.words());
  newest_.assign(record.begin(), record.end());
  const auto first = std::bit_cast<std::uint32_t>(newest_.back());
  ++page.taken;
  if (page.taken == page.added) release(page);
  Record result{.first_not_finite = {}, .rest = std::span(newest_).first(newest_.size() - 1)};
  if (first != RecordSums::none) result.first_not_finite = first;
  return result;
}

void StepRecords::release(Page& page) {
  std::vector<std::size_t> marked;
  for (std::size_t i = 0; i < page.added; ++i) {
    const float number = page.memory.host()[i * stride_ + record_.words() - 1];
    if (std::bit_cast<std::uint32_t>(number) != RecordSums::none) marked.push_back(i);
  }
  page.memory.let_go(0);
  for (const std::size_t place : marked) clear(page.places[place]);
  page.added = page.taken = 0;
  page.is_sent = false;
  oldest_ = 1 - oldest_;
}

}  // namespace dovetail::plan
