// Every rank's spans go to the lead, one rank after the other.
#include "app/job_timeline.hpp"

#include <cstdlib>
#include <filesystem>

#include "comm/clock_alignment.hpp"
#include "support/activity.hpp"
#include "support/file.hpp"
#include "support/log.hpp"
#include "support/stop_signal.hpp"
#include "support/text.hpp"
#include "support/trace_file.hpp"

namespace dovetail::app {
namespace {

namespace fs = std::filesystem;
using timeline::Recording;

constexpr int text_tag = 720, spans_tag = 721;

/// What goes ahead of a rank's spans.
struct Header {
  std::uint64_t text_bytes = 0, spans = 0, dropped = 0;
  SameInstant start, end;
  std::int64_t device_uncertainty_ns = 0;
};

/// Makes no folder: the job may yet be refused.
void expect_writable(const std::string& file) {
  fs::path folder = fs::absolute(file).parent_path();
  while (!fs::exists(folder) && folder.has_relative_path()) folder = folder.parent_path();
  make_writable_folder(folder);
}

std::string names_of(const Recording& recording) {
  return Json{{"names", recording.names}, {"lanes", recording.lanes}}.dump(
      -1, ' ', false, Json::error_handler_t::replace);
}

Recording receive_recording(const Communicator& world, int rank, const Header& header) {
  std::string text(header.text_bytes, '\0');
  world.receive(text, rank, text_tag);
  const Json names = Json::parse(text);
  Recording recording;
  recording.names = names.at("names").get<std::vector<std::string>>();
  recording.lanes = names.at("lanes").get<std::vector<std::string>>();
  recording.spans.resize(header.spans);
  if (header.spans > 0) world.receive(recording.spans, rank, spans_tag);
  return recording;
}

void write(const std::string& file, const std::function<void(const TraceWriter::Sink&)>& body) {
  if (file != "-") {
    fs::create_directories(fs::absolute(file).parent_path());
    replace_trace(file, body);
    return;
  }
  std::string text;
  body([&](std::string_view piece) { text += piece; });
  log::document(text);
}

}  // namespace

JobTimeline::JobTimeline(const Communicator& world, const Placement& placement,
                         const TimelineOptions& options)
    : world_(world), placement_(placement), options_(options) {
  if (!wanted()) return;
  if (world_.is_lead() && options_.file != "-") expect_writable(options_.file);
  zero_ns_ = steady_ns();
  start_ = clock_of_lead(world_);
  timeline::start(options_.window);
}

std::string JobTimeline::rank_name(int rank) const {
  const RankPlacement& placed = placement_.ranks[static_cast<std::size_t>(rank)];
  return fmt::format("rank {} {}: {} on {}{}", rank, to_string(placed.role), placed.device.name,
                     placed.host, placed.emulated ? " (emulated)" : "");
}

void JobTimeline::finish() {
  if (!wanted()) return;
  activity::enter("timeline", 0, activity::Kind::wait);
  const StopSignal noted;  // who stops a job may send several: the file is to be whole
  Recording mine = timeline::stop();
  const std::string names = names_of(mine);
  const Header header{names.size(), mine.spans.size(),     mine.dropped,
                      start_,       clock_of_lead(world_), mine.uncertainty_ns};
  const std::vector<Header> headers = world_.all_gather(header);
  if (!world_.is_lead()) {
    world_.send(names, 0, text_tag);
    if (!mine.spans.empty()) world_.send(mine.spans, 0, spans_tag);
    return;
  }
  activity::enter("timeline", 0);
  std::uint64_t spans = 0, dropped = 0;
  Json clocks = Json::array();
  for (const Header& each : headers) {
    spans += each.spans;
    dropped += each.dropped;
    clocks.push_back({{"offset_ns", {each.start.offset(), each.end.offset()}},
                      {"uncertainty_ns", {each.start.uncertainty, each.end.uncertainty}},
                      {"device_uncertainty_ns", each.device_uncertainty_ns}});
  }
  write(options_.file, [&](const TraceWriter::Sink& sink) {
    TraceWriter trace(sink, zero_ns_);
    for (int rank = 0; rank < world_.size(); ++rank) {
      const Header& theirs = headers[static_cast<std::size_t>(rank)];
      trace.add(rank, rank_name(rank), rank == 0 ? mine : receive_recording(world_, rank, theirs),
                {theirs.start, theirs.end});
    }
    trace.finish({{"steps", options_.steps}, {"dropped_spans", dropped}, {"clocks", clocks}});
  });
  if (dropped > 0) {
    log::warn(
        fmt::format("dovetail train: the timeline lacks {} that came when its memory was "
                    "full; give --timeline-steps a shorter range",
                    counted(dropped, "span")));
  }
  if (options_.file != "-")
    log::note(fmt::format("timeline of {}: {}", counted(spans, "span"), options_.file));
}

}  // namespace dovetail::app
