// The HDF5 wrapper: what is written comes back, and failures say which file and what in it.
#include "shards/hdf5.hpp"

#include <sys/resource.h>

#include <csignal>
#include <numeric>
#include <thread>

#include "shards/test_files.hpp"

namespace dovetail {
namespace {

using test::error_of;

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

template <typename T>
std::vector<T> counting(std::size_t count) {
  std::vector<T> values(count);
  std::iota(values.begin(), values.end(), T{});
  return values;
}

TEST(Hdf5, RoundTripsEveryElementTypeInEveryStorage) {
  const ScratchFolder folder;
  const auto bytes = counting<std::uint8_t>(200);
  const auto ints = counting<std::int32_t>(7);
  const std::vector<std::int64_t> longs = {-1, std::int64_t{1} << 40};
  const std::vector<float> floats = {0.5f, -1e-30f, 3e30f, 4, 5, 6};
  {
    hdf5::File file = hdf5::File::create(folder / "a.h5");
    file.write("/images", {10, 5, 4}, bytes, {.chunk_rows = 3, .fletcher32 = true});
    file.write("/ints", {7}, ints, {.chunk_rows = 64, .fletcher32 = true});
    file.write("/deep/er/longs", {2}, longs);
    file.write("/floats", {2, 3}, floats);
    file.write("/none", {0, 3}, std::vector<float>{}, {.chunk_rows = 64, .fletcher32 = true});
    file.close();
  }
  const hdf5::File file = hdf5::File::open(folder / "a.h5");
  EXPECT_EQ(file.read<std::uint8_t>("/images"), bytes);
  EXPECT_EQ(file.read<std::int32_t>("/ints"), ints);
  EXPECT_EQ(file.read<std::int64_t>("/deep/er/longs"), longs);
  EXPECT_EQ(file.read<float>("/floats"), floats);
  EXPECT_TRUE(file.read<float>("/none").empty());
  EXPECT_EQ(file.dataset("/images").extents(), (hdf5::Extents{10, 5, 4}));
  EXPECT_EQ(file.dataset("/images").type(), "uint8");
  EXPECT_EQ(file.dataset("/floats").type(), "float32");
}

TEST(Hdf5, ReadsRowsAlsoAcrossChunks) {
  const ScratchFolder folder;
  const auto values = counting<std::int32_t>(100);
  hdf5::File::create(folder / "a.h5").write("/x", {20, 5}, values, {.chunk_rows = 3});
  const hdf5::Dataset dataset = hdf5::File::open(folder / "a.h5").dataset("/x");
  std::vector<std::int32_t> rows(35);
  dataset.read_rows(2, 7, std::span(rows));
  EXPECT_EQ(rows, std::vector<std::int32_t>(values.begin() + 10, values.begin() + 45));
  EXPECT_THAT(error_of([&] { dataset.read_rows(14, 7, std::span(rows)); }),
              AllOf(HasSubstr("/x in "), HasSubstr("a.h5 has 20 rows; rows 14 to 21")));
  EXPECT_THAT(error_of([&] { dataset.read_rows(0, 6, std::span(rows)); }), HasSubstr("20 rows"));
}

TEST(Hdf5, KeepsAttributesOfFilesGroupsAndDataSets) {
  const ScratchFolder folder;
  {
    hdf5::File file = hdf5::File::create(folder / "a.h5");
    file.make_group("/group");
    file.write("/group/x", {1}, std::vector<float>{1});
    file.write_attribute("/", "step", -7);
    file.write_attribute("/group", "rate", 0.1);
    file.write_attribute("/group/x", "model", "cnn → größer");
    file.write_attribute("/", "empty", "");
  }
  const hdf5::File file = hdf5::File::open(folder / "a.h5");
  EXPECT_EQ(file.read_attribute<std::int64_t>("/", "step"), -7);
  EXPECT_EQ(file.read_attribute<double>("/group", "rate"), 0.1);
  EXPECT_EQ(file.read_attribute<std::string>("/group/x", "model"), "cnn → größer");
  EXPECT_EQ(file.read_attribute<std::string>("/", "empty"), "");
  EXPECT_TRUE(file.has_attribute("/", "step"));
  EXPECT_FALSE(file.has_attribute("/", "stride"));
  EXPECT_FALSE(file.has_attribute("/nowhere", "step"));
  EXPECT_THAT(error_of([&] { file.read_attribute<double>("/", "step"); }),
              HasSubstr("attribute step of / in "));
  EXPECT_THAT(error_of([&] { file.read_attribute<double>("/", "seed"); }),
              HasSubstr("cannot open attribute seed of / in "));
}

TEST(Hdf5, ListsAndFindsNames) {
  const ScratchFolder folder;
  hdf5::File file = hdf5::File::create(folder / "a.h5");
  const std::string long_name(400, 'n');
  for (const std::string& name : {std::string("b.weight"), std::string("a.bias"), long_name}) {
    file.write("/parameters/" + name, {1}, std::vector<float>{1});
  }
  EXPECT_THAT(file.names("/parameters"), ElementsAre("a.bias", "b.weight", long_name));
  EXPECT_THAT(file.names(), ElementsAre("parameters"));
  EXPECT_TRUE(file.exists("/"));
  EXPECT_TRUE(file.exists("/parameters/a.bias"));
  EXPECT_FALSE(file.exists("/parameters/a.weight"));
  EXPECT_FALSE(file.exists("/other/a.weight"));
  EXPECT_THAT(error_of([&] { file.names("/other"); }), HasSubstr("/other"));
}

TEST(Hdf5, FailuresNameFileObjectAndReason) {
  const ScratchFolder folder;
  const fs::path path = folder / "a.h5";
  EXPECT_THAT(error_of([&] { hdf5::File::open(path); }),
              testing::EndsWith("a.h5: No such file or directory"));
  EXPECT_THAT(error_of([&] { hdf5::File::create(folder / "no/a.h5"); }),
              testing::EndsWith("no/a.h5: No such file or directory"));
  EXPECT_THAT(error_of([&] { hdf5::File::open(folder.path()); }), HasSubstr("directory"));
  test::write_file(path, {});
  EXPECT_THAT(error_of([&] { hdf5::File::open(path); }), HasSubstr("a.h5: the file is empty"));
  test::write_file(path, test::Bytes(1000, 7));
  EXPECT_THAT(error_of([&] { hdf5::File::open(path); }),
              HasSubstr("a.h5: file signature not found"));

  hdf5::File file = hdf5::File::create(path);
  file.write("/x", {2}, std::vector<float>{1, 2});
  EXPECT_THAT(error_of([&] { file.read<float>("/y"); }),
              AllOf(HasSubstr("cannot open /y in "), HasSubstr("a.h5: object 'y' doesn't exist")));
  EXPECT_THAT(error_of([&] { file.read<std::uint8_t>("/x"); }),
              HasSubstr("a.h5 holds float32, not uint8"));
  EXPECT_THAT(error_of([&] {
                file.write("/x", {2}, std::vector<float>{1, 2});
              }),
              HasSubstr("cannot make /x in "));
  EXPECT_THAT(error_of([&] {
                file.write("/z", {3}, std::vector<float>{1, 2});
              }),
              HasSubstr("2 values don't fill /z [3]"));
}

TEST(Hdf5, AFullDiskIsAnErrorAndLaterFilesWork) {
  const ScratchFolder folder;
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{64 << 10, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string text = error_of([&] {
    hdf5::File file = hdf5::File::create(folder / "full.h5");
    file.write("/x", {1 << 20}, std::vector<std::uint8_t>(1 << 20));
    file.close();
  });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(text, AllOf(HasSubstr("full.h5"), HasSubstr("File too large")));

  hdf5::File file = hdf5::File::create(folder / "later.h5");
  file.write("/x", {2}, std::vector<float>{1, 2});
  file.close();
  EXPECT_EQ(hdf5::File::open(folder / "later.h5").read<float>("/x"), (std::vector<float>{1, 2}));
}

TEST(Hdf5, ThreadsMayUseFilesAtTheSameTime) {
  const ScratchFolder folder;
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      const fs::path path = folder / fmt::format("{}.h5", t);
      const std::vector<std::int32_t> values(1000, static_cast<std::int32_t>(t));
      for (int i = 0; i < 20; ++i) {
        hdf5::File::create(path).write("/x", {1000}, values);
        if (hdf5::File::open(path).read<std::int32_t>("/x") != values) ++wrong[t];
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

TEST(Hdf5, TheSameValuesGiveTheSameBytes) {
  const ScratchFolder folder;
  for (const char* name : {"a.h5", "b.h5"}) {
    hdf5::File file = hdf5::File::create(folder / name);
    file.write("/x", {100}, counting<std::int32_t>(100), {.chunk_rows = 9});
    file.write("/group/x", {100}, counting<float>(100));
    file.close();
    std::this_thread::sleep_for(
        std::chrono::milliseconds(1100));  // HDF5's time stamps are in seconds
  }
  EXPECT_EQ(read_file(folder / "a.h5"), read_file(folder / "b.h5"));
}

}  // namespace
}  // namespace dovetail
