// Traces as Perfetto reads them, plain and compressed.
#include "support/trace_file.hpp"

#include <gtest/gtest.h>

#include "support/error.hpp"
#include "support/file.hpp"
#include "support/gzip.hpp"
#include "support/random.hpp"
#include "support/scratch_folder.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;

timeline::Recording some_recording() {
  timeline::Recording recording;
  recording.names = {"", "step", "a \"quoted\"\n name \xff", "conv1 forward"};
  recording.lanes = {"host", "OpenCL queue"};
  timeline::Span step;
  step.begin_ns = 1'000'000'001;
  step.end_ns = 1'000'002'000;
  step.step = 7;
  step.name = 1;
  step.category = timeline::Category::step;
  timeline::Span kernel = step;
  kernel.lane = 1;
  kernel.name = 2;
  kernel.part = 3;
  kernel.bucket = 0;
  kernel.bytes = 4096;
  kernel.category = timeline::Category::kernel;
  recording.spans = {step, kernel};
  return recording;
}

void write_some(const TraceWriter::Sink& sink) {
  TraceWriter trace(sink, 1'000'000'000);
  trace.add(0, "rank 0", some_recording(), {});
  trace.add(1, "rank 1", some_recording(), {{0, 5000, 0}, {0, 5000, 0}});
  trace.finish({{"dropped_spans", 0}});
}

TEST(TraceFile, HoldsRanksLanesAndSpansToTheNanosecond) {
  std::string text;
  write_some([&](std::string_view piece) { text += piece; });
  const Json trace = Json::parse(text);
  EXPECT_EQ(trace.at("otherData").at("dropped_spans"), 0);
  std::vector<Json> spans;
  std::vector<std::string> names;
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("ph") == "X") spans.push_back(event);
    if (event.at("name") == "process_name" || event.at("name") == "thread_name")
      names.push_back(event.at("args").at("name"));
  }
  EXPECT_EQ(names, (std::vector<std::string>{"rank 0", "host", "OpenCL queue", "rank 1", "host",
                                             "OpenCL queue"}));
  ASSERT_EQ(spans.size(), 4u);
  EXPECT_EQ(spans[0].at("ts").dump(), "0.001");
  EXPECT_EQ(spans[0].at("dur").dump(), "1.999");
  EXPECT_EQ(spans[0].at("cat"), "step");
  EXPECT_EQ(spans[0].at("args").dump(), R"({"step":7})");
  EXPECT_EQ(spans[1].at("tid"), 1);
  EXPECT_EQ(spans[1].at("name"), "a \"quoted\"\n name \xef\xbf\xbd");
  EXPECT_EQ(spans[1].at("args").dump(),
            R"({"step":7,"part":"conv1 forward","bucket":0,"bytes":4096})");
  EXPECT_EQ(spans[3].at("pid"), 1);
  EXPECT_EQ(spans[3].at("ts").dump(), "5.001");
}

TEST(TraceFile, IsTheSameCompressed) {
  const ScratchFolder scratch;
  const fs::path plain = scratch.path() / "t.json", packed = scratch.path() / "t.json.gz";
  replace_trace(plain, write_some);
  replace_trace(packed, write_some);
  const std::vector<unsigned char> bytes = read_file(packed);
  EXPECT_EQ(bytes.at(0), 0x1f);
  EXPECT_EQ(bytes.at(1), 0x8b);
  EXPECT_EQ(read_unzipped(packed), read_file(plain));
}

TEST(TraceFile, ThatCannotBeWrittenLeavesTheOldOne) {
  const ScratchFolder scratch;
  for (const char* name : {"t.json", "t.json.gz"}) {
    const fs::path file = scratch.path() / name;
    replace_file_text(file, "old");
    EXPECT_THROW(replace_trace(file,
                               [](const TraceWriter::Sink& sink) {
                                 sink("half");
                                 throw Error("a rank is gone");
                               }),
                 Error);
    EXPECT_EQ(read_file(file).size(), 3u);
    EXPECT_THROW(replace_trace(scratch.path() / "missing" / name, write_some), Error);
  }
}

TEST(Gzip, GivesBackLongTextsWholeAndRefusesHalves) {
  const ScratchFolder scratch;
  const fs::path file = scratch.path() / "long.gz";
  SplitMix64 random(3);
  std::string text;
  while (text.size() < (5u << 20)) text += static_cast<char>(random.next());
  GzipWriter writer(file);
  writer.write(std::string_view(text).substr(0, 100));
  writer.write(std::string_view(text).substr(100));
  writer.close();
  const std::vector<std::uint8_t> back = read_unzipped(file);
  EXPECT_TRUE(std::equal(back.begin(), back.end(), text.begin(), text.end(),
                         [](std::uint8_t a, char b) { return a == static_cast<std::uint8_t>(b); }));
  fs::resize_file(file, fs::file_size(file) / 2);
  EXPECT_THROW(read_unzipped(file), Error);
}

}  // namespace
}  // namespace dovetail
