// Card, Kernel and Buffer on the emulated card, through the real XRT library: results, and every
// error's line.
#include "device/xrt/card.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <thread>

#include "hls/card_fixture.hpp"
#include "support/timeline.hpp"

namespace dovetail::fpga {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

auto says(const std::string& part) {
  return ThrowsMessage<Error>(HasSubstr(part));
}

TEST(Card, AddsVectors) {
  Card card(0, fixture_xclbin());
  VectorAddition addition(card, 1000);
  addition.run();
  EXPECT_EQ(addition.wrong(), 0);
}

TEST(Card, DescribesItselfAsEmulated) {
  Card card(0, fixture_xclbin());
  EXPECT_EQ(card.info().kind, DeviceKind::emulated_fpga);
  EXPECT_EQ(card.info().name, "dovetail_emulated_card");
  EXPECT_EQ(card.info().address, "emulated:0");
  EXPECT_EQ(card.info().compute_units, 5);
  EXPECT_EQ(card.info().memory_bytes, 3 * (std::uint64_t{256} << 20));  // three connected HBM banks
}

TEST(Card, ListsAsManyAsAskedFor) {
  use_emulated_cards(3);
  const std::vector<DeviceInfo> cards = list_cards();
  ASSERT_EQ(cards.size(), 3U);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(cards[static_cast<std::size_t>(i)].index, i);
    EXPECT_EQ(cards[static_cast<std::size_t>(i)].kind, DeviceKind::emulated_fpga);
    EXPECT_EQ(cards[static_cast<std::size_t>(i)].platform, "XRT");
    EXPECT_EQ(cards[static_cast<std::size_t>(i)].unusable, "");
  }
  const std::filesystem::path xclbin = find_xclbin("card_fixture", Backend::emulated);
  Card last(2, xclbin);
  VectorAddition addition(last, 10);
  addition.run();
  EXPECT_EQ(addition.wrong(), 0);
  EXPECT_THAT(([&] { Card(3, xclbin); }), says("opening card 3 failed"));
}

TEST(Card, IsNotThereWithoutDriver) {
  // Needs a process in which XRT has not loaded the emulated card.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        unsetenv("XILINX_XRT");
        const bool none = host_has_card() || list_cards().empty();
        std::exit(none ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(Card, WritesAndReadsParts) {
  Card card(0, fixture_xclbin());
  Kernel vadd = card.kernel("vadd");
  Buffer buffer = card.allocate(100, vadd, 0);
  const std::vector<char> text = {'p', 'a', 'r', 't'};
  buffer.write(text.data(), 4, 96);
  std::vector<char> read(4);
  buffer.read(read.data(), 4, 96);
  EXPECT_EQ(read, text);
  EXPECT_THAT([&] { buffer.write(text.data(), 4, 97); },
              says("a write of 4 bytes at 97 leaves a buffer of 100 bytes"));
  EXPECT_THAT([&] { buffer.read(read.data(), 101); }, says("a read of 101 bytes at 0 leaves"));
}

TEST(Card, ChecksArguments) {
  Card card(0, fixture_xclbin());
  VectorAddition v(card, 16);
  EXPECT_THAT([&] { v.kernel.run(v.a, v.b, v.sum); }, says("kernel vadd takes 4 arguments, not 3"));
  EXPECT_THAT([&] { v.kernel.run(v.a, v.b, v.sum, std::int64_t{16}); },
              says("argument 3 (count) of kernel vadd is a std::int32_t, not a number of 8 bytes"));
  EXPECT_THAT([&] { v.kernel.run(v.a, v.b, v.sum, v.sum); },
              says("(count) of kernel vadd is a std::int32_t, not a buffer"));
  EXPECT_THAT([&] { v.kernel.run(v.a, 7, v.sum, 16); },
              says("(b) of kernel vadd is a const std::int32_t*"));
  EXPECT_THAT([&] { v.kernel.run(v.a, v.a, v.sum, 16); },
              says("(b) of kernel vadd is connected to HBM[1], the buffer is in HBM[0]"));
  EXPECT_THAT([&] { card.allocate(0, v.kernel, 0); }, says("a buffer of 0 bytes"));
  EXPECT_THAT([&] { card.allocate(16, v.kernel, 3); },
              says("argument 3 of kernel vadd takes no buffer"));
  v.run();
  EXPECT_EQ(v.wrong(), 0);
}

TEST(Card, KeepsBuffersToTheirCard) {
  use_emulated_cards(2);
  const std::filesystem::path xclbin = find_xclbin("card_fixture", Backend::emulated);
  Card one(0, xclbin);
  Card other(1, xclbin);
  VectorAddition v(one, 16);
  VectorAddition w(other, 16);
  EXPECT_THAT([&] { v.kernel.run(v.a, w.b, v.sum, 16); },
              says("the buffer is not one of this card"));
}

TEST(Card, NamesMissingAndWrongXclbins) {
  use_emulated_cards(1);
  EXPECT_THAT(([] { Card(0, "/nowhere/int8.xclbin"); }),
              says("there is no xclbin /nowhere/int8.xclbin. Build"));
  EXPECT_THAT([] { find_xclbin("nofamily", Backend::emulated); }, says("nofamily.emulated.xclbin"));
  EXPECT_THAT([] { find_xclbin("nofamily", Backend::card); }, says("Build it with v++"));
}

TEST(Card, RefusesXclbinsThatAreDamaged) {
  const auto file = std::filesystem::path(testing::TempDir()) /
                    ("damaged_" + std::to_string(getpid()) + ".xclbin");
  const auto refusal = says("xclbin " + file.string() + " is damaged");
  std::ofstream(file) << "no xclbin at all";
  EXPECT_THAT(([&] { Card(0, file); }), refusal);
  for (const int bytes : {0, 300, 600, 5000}) {
    std::filesystem::copy_file(fixture_xclbin(), file,
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(file, static_cast<std::uintmax_t>(bytes));
    EXPECT_THAT(([&] { Card(0, file); }), refusal) << bytes;
  }
  // All there, but what is loaded, the first section, is no library: a real card's bitstream, say.
  std::filesystem::copy_file(fixture_xclbin(), file,
                             std::filesystem::copy_options::overwrite_existing);
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(736).write("NOPE", 4);
  EXPECT_THAT(([&] { Card(0, file); }), says("loading " + file.string() + " failed"));
  std::filesystem::remove(file);
}

TEST(Card, FindsTheXclbinOfARealCard) {
  const ScopedVariable chosen("DOVETAIL_XCLBIN", fixture_xclbin().string());
  EXPECT_EQ(find_xclbin("w8", Backend::card), fixture_xclbin());
}

TEST(Card, SaysWhichKernelsAnXclbinHas) {
  Card card(0, fixture_xclbin());
  EXPECT_THAT(
      [&] { card.kernel("dense_int8"); },
      ThrowsMessage<Error>(AllOf(HasSubstr("no kernel dense_int8, it was built for other kernels"),
                                 HasSubstr("vadd, misbehave, meet"))));
}

TEST(Card, RefusesMoreThanABankHolds) {
  Card card(0, fixture_xclbin());
  Kernel vadd = card.kernel("vadd");
  const Buffer most = card.allocate(std::size_t{200} << 20, vadd, 0);
  EXPECT_THAT([&] { card.allocate(std::size_t{100} << 20, vadd, 0); },
              says("allocating 100.0 MiB in HBM[0] (a of kernel vadd) failed: the bank has "
                   "no room for it"));
  const Buffer in_another_bank = card.allocate(std::size_t{100} << 20, vadd, 1);
  EXPECT_EQ(in_another_bank.bytes(), std::size_t{100} << 20);
}

TEST(Card, ReportsKernelsThatFail) {
  Card card(0, fixture_xclbin());
  Kernel misbehave = card.kernel("misbehave");
  Buffer memory = card.allocate(4096, misbehave, 0);
  const std::string failed =
      "card 0 (dovetail_emulated_card): kernel misbehave failed: the card reports an error";
  testing::internal::CaptureStderr();
  EXPECT_THAT([&] { misbehave.run(memory, 1, std::int64_t{0}); }, says(failed));
  EXPECT_THAT([&] { misbehave.run(memory, 2, std::int64_t{1024}); },
              says(failed));  // one past the end
  EXPECT_THAT(
      testing::internal::GetCapturedStderr(),
      AllOf(HasSubstr("misbehave:misbehave_1 failed: it threw: misbehave was told to"),
            HasSubstr("misbehave:misbehave_1 failed: it touched memory outside its buffers")));
  misbehave.run(memory, 0, std::int64_t{42});
  std::int32_t stored = 0;
  memory.read(&stored, sizeof stored);
  EXPECT_EQ(stored, 42);
}

TEST(Card, ItsTimelineShowsWhenTheComputeUnitsRan) {
  Card card(0, fixture_xclbin());
  constexpr int threads = 4, launches = 20, units = 2;
  timeline::start({1, 1});
  timeline::enter_step(1);
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; ++i) {
    workers.emplace_back([&card] {
      VectorAddition addition(card, 200'000);
      for (int launch = 0; launch < launches; ++launch) addition.run();
      EXPECT_EQ(addition.wrong(), 0);
    });
  }
  for (std::thread& worker : workers) worker.join();
  const timeline::Recording recording = timeline::stop();
  // From launch to return four of them would be under way at once.
  std::vector<std::pair<std::int64_t, int>> changes;
  for (const timeline::Span& span : recording.spans) {
    if (span.category != timeline::Category::kernel) continue;
    EXPECT_EQ(recording.names[span.name], "vadd");
    changes.emplace_back(span.begin_ns, 1);
    changes.emplace_back(span.end_ns, -1);
  }
  EXPECT_EQ(changes.size(), 2u * threads * launches);
  std::sort(changes.begin(), changes.end());  // an end before a begin at the same time
  int running = 0, most = 0;
  for (const auto& [ns, change] : changes) most = std::max(most, running += change);
  EXPECT_LE(most, units);
  EXPECT_GE(most, 1);
}

TEST(Card, RunsSeveralComputeUnitsAtOnce) {
  Card card(0, fixture_xclbin());
  std::vector<std::int32_t> seen(2);
  std::vector<std::thread> threads;
  for (std::int32_t& one : seen) {
    threads.emplace_back([&card, &one] {
      Kernel meet = card.kernel("meet");
      Buffer buffer = card.allocate(4, meet, 0);
      meet.run(buffer, 10000);
      buffer.read(&one, 4);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(seen, testing::ElementsAre(2, 2));
}

TEST(Card, ServesManyThreads) {
  Card card(0, fixture_xclbin());
  std::vector<int> wrong(6, -1);
  std::vector<std::thread> threads;
  for (int& one : wrong) {
    threads.emplace_back([&card, &one] {
      VectorAddition addition(card, 257);
      for (int i = 0; i < 300; ++i) addition.run();
      one = addition.wrong();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

TEST(Card, LeavesNothingBehind) {
  const std::filesystem::path xclbin = fixture_xclbin();
  const auto once = [&] {
    Card card(0, xclbin);
    VectorAddition addition(card, 64);
    for (int i = 0; i < 200; ++i) addition.run();
    ASSERT_EQ(addition.wrong(), 0);
  };
  for (int i = 0; i < 3; ++i) once();
  const int files = entries("/proc/self/fd");
  const int threads = entries("/proc/self/task");
  const int maps = [] {
    std::ifstream lines("/proc/self/maps");
    return static_cast<int>(std::count(std::istreambuf_iterator<char>(lines), {}, '\n'));
  }();
  const int openings = 20;
  for (int i = 0; i < openings; ++i) once();
  EXPECT_LE(entries("/proc/self/fd"), files);
  // XRT itself keeps one thread for every opening; the card's six must be gone.
  EXPECT_LE(entries("/proc/self/task"), threads + openings);
  std::ifstream lines("/proc/self/maps");
  EXPECT_LE(std::count(std::istreambuf_iterator<char>(lines), {}, '\n'), maps + 3 * openings);
}

}  // namespace
}  // namespace dovetail::fpga
