// Sees that the inspection finds each kind of broken rule in an invented tree, and none in this
// repository.
#include "house/house.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "support/scratch_folder.hpp"

namespace dovetail::house {
namespace {

namespace fs = std::filesystem;

/// A small house that breaks no rule, below a temporary folder; each test breaks one.
class HouseTest : public testing::Test {
 protected:
  void SetUp() override {
    write("src/support/CMakeLists.txt", "dovetail_room(support PRIVATE fmt::fmt)\n");
    write("src/support/text.hpp", "// Text.\n#include <fmt/format.h>\n");
    write("src/device/CMakeLists.txt", "dovetail_room(device LINKS dovetail_support)\n");
    write("src/device/opencl/check.hpp",
          "// Checks.\n#include <CL/cl.h>\n#include \"support/text.hpp\"\n");
    write("src/device/opencl/device.hpp", "// A device.\n#include <string>\n");
    write("src/ops/CMakeLists.txt",
          "dovetail_room(ops LINKS dovetail_device)  # not dovetail_app\n");
    write("src/ops/matmul.cpp",
          "// Products,\n// of matrices.\n#include \"device/opencl/device.hpp\"\n"
          "#include \"dovetail_kernels.hpp\"\n#include \"support/text.hpp\"\n");
    write("src/comm/CMakeLists.txt", "dovetail_room(comm LINKS dovetail_support)\n");
    write("src/numeric/round.hpp", "// Rounding.\n");
    write("hls/dense.cpp",
          "// A dense layer.\n#include \"dense.hpp\"\n#include \"numeric/round.hpp\"\n");
  }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  /// Expects one finding, in that file and line, whose problem has that text.
  void expect_only(const std::string& file, int line, const std::string& problem) {
    const Inspection inspection = inspect(root_.path());
    ASSERT_EQ(inspection.findings.size(), 1u);
    const Finding& finding = inspection.findings.front();
    EXPECT_EQ(finding.file, file);
    EXPECT_EQ(finding.line, line);
    EXPECT_NE(finding.problem.find(problem), std::string::npos) << finding.problem;
  }

  ScratchFolder root_;
};

TEST_F(HouseTest, AcceptsACleanTree) {
  const Inspection inspection = inspect(root_.path());
  EXPECT_EQ(inspection.sources, 6);
  EXPECT_TRUE(inspection.findings.empty()) << inspection.findings.front().problem;
}

TEST_F(HouseTest, FindsAnIncludeUpwards) {
  write("src/support/log.hpp", "// Log.\n\n  #  include \"device/opencl/device.hpp\"\n");
  expect_only("src/support/log.hpp", 3, "support looks up to device");
}

TEST_F(HouseTest, FindsAnIncludeSideways) {
  write("src/ops/sum.cpp", "// Sums.\n#include \"comm/communicator.hpp\"\n");
  expect_only("src/ops/sum.cpp", 2, "ops looks sideways to comm");
}

TEST_F(HouseTest, FindsALinkUpwards) {
  write("src/device/CMakeLists.txt",
        "dovetail_room(device LINKS dovetail_support\n  dovetail_train)\n");
  expect_only("src/device/CMakeLists.txt", 0, "device looks up to train");
}

TEST_F(HouseTest, FindsALinkSidewaysInAnIncludedCmakeFile) {
  write("src/device/xrt/xrt.cmake",
        "target_link_libraries(dovetail_device PUBLIC dovetail_numeric)\n");
  expect_only("src/device/CMakeLists.txt", 0, "device looks sideways to numeric");
}

TEST_F(HouseTest, FindsAnIncludeWithoutALink) {
  write("src/ops/round.cpp", "// Rounds.\n#include \"numeric/round.hpp\"\n");
  expect_only("src/ops/round.cpp", 2, "does not link numeric");
}

TEST_F(HouseTest, FindsAnIncludeThatNamesNoRoom) {
  write("src/ops/sum.cpp", "// Sums.\n#include \"matmul.hpp\"\n");
  expect_only("src/ops/sum.cpp", 2, "names no room");
}

TEST_F(HouseTest, FindsAFolderThatIsNoRoom) {
  write("src/garage/car.hpp", "// A car.\n");
  expect_only("src/garage/car.hpp", 0, "stands in no room");
}

TEST_F(HouseTest, FindsAnApiThatLeavesItsHomeThroughAHeader) {
  write("src/ops/fill.cpp", "// Fills.\n#include \"device/opencl/check.hpp\"\n");
  expect_only("src/ops/fill.cpp", 2, "gets CL/ through device/opencl/check.hpp");
}

TEST_F(HouseTest, FindsAnHlsKernelThatKnowsTheHost) {
  write("hls/pool.cpp", "// Pools.\n#include \"support/text.hpp\"\n");
  expect_only("hls/pool.cpp", 2, "hls/ knows numeric alone");
}

TEST_F(HouseTest, LetsTheToolOfTheEmulatedCardUseSupportButNoHigherRoom) {
  write("hls/card/tool/pack.cpp", "// Packs.\n#include \"support/text.hpp\"\n");
  EXPECT_TRUE(inspect(root_.path()).findings.empty());
  write("hls/card/tool/pack.cpp",
        "// Packs.\n#include \"support/text.hpp\"\n#include \"device/opencl/device.hpp\"\n");
  expect_only("hls/card/tool/pack.cpp", 3, "hls/ knows numeric alone");
}

TEST_F(HouseTest, FindsAFileWithoutAnOpeningSentence) {
  write("tests/ops/matmul_test.cpp", "#include <string>\n");
  expect_only("tests/ops/matmul_test.cpp", 1, "does not open with a sentence");
  write("tests/ops/matmul_test.cpp", "// matmul tests\n#include <string>\n");
  expect_only("tests/ops/matmul_test.cpp", 1, "does not open with a sentence");
}

TEST_F(HouseTest, FindsNamesThatSayNothing) {
  write("src/ops/string_utils.hpp", "// Strings.\n");
  expect_only("src/ops/string_utils.hpp", 0, "'utils'");
  fs::remove(root_ / "src/ops/string_utils.hpp");
  write("kernels/common/sum.cl", "// Sums.\n");
  expect_only("kernels/common/sum.cl", 0, "'common'");
}

struct Stray {
  const char* header;
  const char* file;
};

/// How a test's name shows it.
void PrintTo(const Stray& stray, std::ostream* out) {
  *out << stray.header << " in " << stray.file;
}

class ApiHomeTest : public HouseTest, public testing::WithParamInterface<Stray> {};

TEST_P(ApiHomeTest, FindsAHeaderAwayFromHome) {
  const auto [header, file] = GetParam();
  write(file, std::string("// A stray.\n#include <") + header + ">\n");
  expect_only(file, 2, std::string("includes ") + header);
  write(file, std::string("// A stray.\n#include \"") + header + "\"\n");
  expect_only(file, 2, std::string("includes ") + header);
}

INSTANTIATE_TEST_SUITE_P(
    Strays, ApiHomeTest,
    testing::Values(
        Stray{"CL/cl.h", "src/ops/stray.cpp"}, Stray{"CL/cl.h", "src/device/xrt/stray.cpp"},
        Stray{"xrt/xrt_bo.h", "src/infer/stray.cpp"}, Stray{"xrt/xrt_bo.h", "hls/stray.cpp"},
        Stray{"experimental/xrt_ip.h", "src/device/opencl/stray.cpp"},
        Stray{"xclbin.h", "src/infer/stray.cpp"}, Stray{"xrt_mem.h", "hls/stray.cpp"},
        Stray{"version.h", "src/app/stray.cpp"}, Stray{"hdf5.h", "src/train/stray.cpp"},
        Stray{"H5public.h", "src/infer/stray.cpp"}, Stray{"mpi.h", "src/train/stray.cpp"},
        Stray{"boost/program_options.hpp", "src/train/stray.cpp"},
        Stray{"nlohmann/json.hpp", "src/support/stray.cpp"},
        Stray{"fmt/format.h", "src/support/stray.cpp"},
        Stray{"spdlog/spdlog.h", "src/comm/stray.cpp"},
        Stray{"openssl/evp.h", "src/shards/stray.cpp"}, Stray{"zlib.h", "src/shards/stray.cpp"}));

TEST(House, ThisRepositoryKeepsItsRules) {
  const Inspection inspection = inspect(DOVETAIL_ROOT);
  EXPECT_GT(inspection.sources, 30) << "looked at too few files below " DOVETAIL_ROOT;
  for (const Finding& finding : inspection.findings) {
    ADD_FAILURE() << finding.file << ':' << finding.line << ' ' << finding.problem;
  }
}

}  // namespace
}  // namespace dovetail::house
