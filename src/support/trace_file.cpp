// One event a line.
#include "support/trace_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "support/error.hpp"
#include "support/file.hpp"
#include "support/gzip.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

constexpr std::size_t piece = 1 << 20;  // bytes that are passed on at once

std::string quoted(const std::string& text) {
  return dump(Json(text));
}

/// Microseconds, exact to the nanosecond.
std::string microseconds(std::int64_t ns) {
  const char* sign = ns < 0 ? "-" : "";
  const std::int64_t size = std::abs(ns);
  return fmt::format("{}{}.{:03}", sign, size / 1000, size % 1000);
}

}  // namespace

TraceWriter::TraceWriter(Sink sink, std::int64_t zero_ns)
    : sink_(std::move(sink)), zero_ns_(zero_ns) {
  pending_ = "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [";
}

void TraceWriter::end_event() {
  is_first_ = false;
  if (pending_.size() < piece) return;
  sink_(pending_);
  pending_.clear();
}

void TraceWriter::name(const char* what, int rank, int lane, const std::string& text) {
  const bool is_process = std::string_view(what) == "process";
  fmt::format_to(
      std::back_inserter(pending_),
      "{}\n{{\"ph\":\"M\",\"name\":\"{}_name\",\"pid\":{},\"tid\":{},\"args\":{{\"name\":"
      "{}}}}},\n{{\"ph\":\"M\",\"name\":\"{}_sort_index\",\"pid\":{},\"tid\":{},"
      "\"args\":{{\"sort_index\":{}}}}}",
      is_first_ ? "" : ",", what, rank, lane, quoted(text), what, rank, lane,
      is_process ? rank : lane);
  end_event();
}

void TraceWriter::add(int rank, const std::string& process, const timeline::Recording& recording,
                      const ClockLine& clock) {
  name("process", rank, 0, process);
  for (std::size_t lane = 0; lane < recording.lanes.size(); ++lane)
    name("thread", rank, static_cast<int>(lane), recording.lanes[lane]);
  for (const timeline::Span& each : recording.spans) span(rank, recording, each, clock);
}

void TraceWriter::span(int rank, const timeline::Recording& recording, const timeline::Span& span,
                       const ClockLine& clock) {
  const std::int64_t begin = clock.theirs_at(span.begin_ns), end = clock.theirs_at(span.end_ns);
  const auto out = std::back_inserter(pending_);
  fmt::format_to(out,
                 ",\n{{\"ph\":\"X\",\"pid\":{},\"tid\":{},\"ts\":{},\"dur\":{},\"name\":{},\"cat\":"
                 "\"{}\",\"args\":{{\"step\":{}",
                 rank, span.lane, microseconds(begin - zero_ns_), microseconds(end - begin),
                 quoted(recording.names.at(span.name)), timeline::to_string(span.category),
                 span.step);
  if (span.part != 0) fmt::format_to(out, ",\"part\":{}", quoted(recording.names.at(span.part)));
  if (span.bucket >= 0) fmt::format_to(out, ",\"bucket\":{}", span.bucket);
  if (span.bytes > 0) fmt::format_to(out, ",\"bytes\":{}", span.bytes);
  pending_ += "}}";
  end_event();
}

void TraceWriter::finish(const Json& about) {
  pending_ += "\n], \"otherData\": " + dump(about) + "}\n";
  sink_(pending_);
  pending_.clear();
}

void replace_trace(const std::filesystem::path& path,
                   const std::function<void(const TraceWriter::Sink&)>& write) {
  replace_file(path, [&](const std::filesystem::path& aside) {
    if (path.extension() == ".gz") {
      GzipWriter out(aside);
      write([&](std::string_view text) { out.write(text); });
      out.close();
      return;
    }
    std::ofstream out(aside, std::ios::binary);
    write([&](std::string_view text) {
      out << text;
      if (!out) throw Error(std::strerror(errno));
    });
    out.close();
    if (!out) throw Error(std::strerror(errno));
  });
}

}  // namespace dovetail
