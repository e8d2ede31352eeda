// A part's round as spans of the timeline: the whole, and within it what it waited for.
#include "comm/all_reduce_state.hpp"
#include "support/text.hpp"

namespace dovetail {

void AllReduce::Part::begin_spans() {
  began_ns = stage_ns = timeline::detailed() ? steady_ns() : 0;
  if (began_ns != 0 && !lane) lane = timeline::new_lane(fmt::format("sum of bucket {}", number));
}

void AllReduce::Part::end_stage(const char* name, timeline::Category category) {
  if (began_ns == 0) return;
  timeline::Span span = timeline::span_of(*lane, category, timeline::intern(name));
  span.bucket = static_cast<std::int32_t>(number);
  span.begin_ns = stage_ns;
  span.end_ns = stage_ns = steady_ns();
  timeline::record(span);
}

void AllReduce::Part::end_spans() {
  if (began_ns == 0) return;
  timeline::Span span =
      timeline::span_of(*lane, timeline::Category::reduce, timeline::intern("sum"));
  span.bucket = static_cast<std::int32_t>(number);
  span.bytes = of.count * sizeof(float);
  span.begin_ns = began_ns;
  span.end_ns = stage_ns;
  timeline::record(span);
}

}  // namespace dovetail
