// Built programs come back from the cache, and only where they are the same ones and sound.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>

#include "device/opencl/device.hpp"
#include "device/opencl/keep_programs.hpp"
#include "device/test_device.hpp"
#include "support/file.hpp"
#include "support/scratch_folder.hpp"

namespace dovetail::opencl {
namespace {

namespace fs = std::filesystem;

constexpr kernels::Source adding{"adding", R"(
kernel void add(global float* values, float summand) {
  values[get_global_id(0)] += summand * FACTOR;
})"};
constexpr kernels::Source subtracting{"adding", R"(
kernel void add(global float* values, float summand) {
  values[get_global_id(0)] -= summand * FACTOR;
})"};

// Before this process asks for more: asking PoCL for a binary compiles what may never run.
TEST(ProgramCacheOnPocl, KeepsNothingUnasked) {
  const ScratchFolder scratch;
  Device device(testing::test_device_index(), std::make_shared<CacheFolder>(scratch / "cache"));
  if (device.info().platform != "Portable Computing Language") GTEST_SKIP() << "not on PoCL";
  device.build(adding, {"FACTOR=2"});
  EXPECT_EQ(device.builds().compiled, 1);
  EXPECT_FALSE(fs::exists(scratch / "cache"));
}

class ProgramCache : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { keep_programs_everywhere(); }

  struct Run {
    int compiled, loaded;
    std::vector<float> values;
  };
  /// One start: builds `source` and adds 1 · factor to 64 zeros.
  Run start(const kernels::Source& source, const std::string& factor = "2", bool cached = true) {
    Device device(testing::test_device_index(),
                  cached ? std::make_shared<CacheFolder>(folder()) : nullptr);
    const Kernel kernel = device.build(source, {"FACTOR=" + factor}).kernel({&source, "add"});
    device.build(source, {"FACTOR=" + factor});  // held already: neither compiled nor loaded
    const Buffer buffer = device.allocate_zeroed(64 * sizeof(float));
    device.launch(kernel, {{64, 1, 1}, {32, 1, 1}}, buffer, 1.0f);
    return {device.builds().compiled, device.builds().loaded, device.download<float>(buffer)};
  }
  fs::path folder() const { return scratch_ / "cache"; }
  std::vector<fs::path> entries() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder())) found.push_back(entry.path());
    return found;
  }
  static std::vector<float> all(float value) { return std::vector<float>(64, value); }

  ScratchFolder scratch_;
};

TEST_F(ProgramCache, TheSecondStartCompilesNothing) {
  const Run first = start(adding), second = start(adding);
  EXPECT_EQ(first.compiled, 1);
  EXPECT_EQ(first.loaded, 0);
  EXPECT_EQ(second.compiled, 0);
  EXPECT_EQ(second.loaded, 1);
  EXPECT_EQ(first.values, all(2));
  EXPECT_EQ(second.values, all(2));
}

TEST_F(ProgramCache, OtherDefinitionsAreAnotherProgram) {
  start(adding, "2");
  const Run other = start(adding, "3");
  EXPECT_EQ(other.compiled, 1);
  EXPECT_EQ(other.values, all(3));
  EXPECT_EQ(entries().size(), 2u);
}

TEST_F(ProgramCache, AChangedSourceIsBuiltAnew) {
  start(adding);
  const Run changed = start(subtracting);
  EXPECT_EQ(changed.compiled, 1);
  EXPECT_EQ(changed.values, all(-2));
  EXPECT_EQ(entries().size(), 1u) << "the outdated program should be replaced";
  EXPECT_EQ(start(subtracting).loaded, 1);
}

TEST_F(ProgramCache, ADamagedBinaryIsBuiltAnewWithALine) {
  start(adding);
  ASSERT_EQ(entries().size(), 1u);
  const auto bytes = read_file(entries().front());
  std::ofstream(entries().front(), std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size() / 2));
  ::testing::internal::CaptureStderr();
  const Run again = start(adding);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(again.compiled, 1);
  EXPECT_EQ(again.values, all(2));
  EXPECT_NE(said.find("damaged"), std::string::npos) << said;
  EXPECT_EQ(start(adding).loaded, 1);
}

// A sound entry whose bytes the driver refuses: a binary of another driver under this one's name.
TEST_F(ProgramCache, ABinaryThatTheDriverRefusesIsBuiltAnew) {
  start(adding);
  auto cache = std::make_shared<CacheFolder>(folder());
  const auto head = read_file(entries().front());
  const std::string text(head.begin(), std::find(head.begin(), head.end(), '\n'));
  const auto field = [&](const std::string& name) {
    const std::size_t begin = text.find("\"" + name + "\":\"") + name.size() + 4;
    return text.substr(begin, text.find('"', begin) - begin);
  };
  cache->store({"program", field("what"), field("version")}, "no binary");
  ASSERT_EQ(entries().size(), 1u) << "the test should replace the entry";
  const Run again = start(adding);
  EXPECT_EQ(again.compiled, 1);
  EXPECT_EQ(again.values, all(2));
}

TEST_F(ProgramCache, WithoutACacheNothingIsKept) {
  EXPECT_EQ(start(adding, "2", false).compiled, 1);
  EXPECT_FALSE(fs::exists(folder()));
}

}  // namespace
}  // namespace dovetail::opencl
