// Source files: what IDX, CIFAR and NumPy bytes mean, and one clear line for each kind of bad ones.
#include "shards/sources.hpp"

#include <zlib.h>

#include "shards/test_files.hpp"

namespace dovetail {
namespace {

using test::Bytes;
using test::error_of;

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

void append(Bytes& bytes, const std::string& text) {
  bytes.insert(bytes.end(), text.begin(), text.end());
}

Bytes idx_bytes(const std::vector<std::uint32_t>& extents, const Bytes& values) {
  Bytes bytes = {0, 0, 8, static_cast<std::uint8_t>(extents.size())};
  for (const std::uint32_t extent : extents) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      bytes.push_back(static_cast<std::uint8_t>(extent >> shift));
    }
  }
  bytes.insert(bytes.end(), values.begin(), values.end());
  return bytes;
}

Bytes npy_bytes(int version, const std::string& type, const std::string& shape, const Bytes& values,
                const std::string& fortran = "False") {
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}", type, fortran, shape);
  const std::size_t start = version == 1 ? 10 : 12;
  while ((start + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  Bytes bytes = {0x93, 'N', 'U', 'M', 'P', 'Y', static_cast<std::uint8_t>(version), 0};
  bytes.push_back(static_cast<std::uint8_t>(header.size()));
  bytes.push_back(static_cast<std::uint8_t>(header.size() >> 8));
  if (version > 1)
    bytes.insert(bytes.end(), {static_cast<std::uint8_t>(header.size() >> 16), std::uint8_t{0}});
  append(bytes, header);
  bytes.insert(bytes.end(), values.begin(), values.end());
  return bytes;
}

void write_gzip(const fs::path& path, const Bytes& bytes) {
  gzFile file = gzopen(path.c_str(), "wb");
  ASSERT_EQ(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())),
            static_cast<int>(bytes.size()));
  ASSERT_EQ(gzclose(file), Z_OK);
}

Bytes random_bytes(std::size_t count) {
  return test::random_samples(1, {1, 1, count}).images;
}

class SourcesTest : public testing::Test {
 protected:
  fs::path put(const std::string& name, const Bytes& bytes) {
    test::write_file(folder_ / name, bytes);
    return folder_ / name;
  }
  std::string idx_error(const Bytes& images, const Bytes& labels) {
    return error_of([&] { read_idx(put("images", images), put("labels", labels)); });
  }
  std::string npy_error(const Bytes& images, const Bytes& labels) {
    return error_of([&] { read_npy(put("images.npy", images), put("labels.npy", labels)); });
  }
  ScratchFolder folder_;
};

TEST_F(SourcesTest, IdxPlainAndGzipAreEqual) {
  const Bytes images = idx_bytes({30, 7, 5}, random_bytes(30 * 35));
  const Bytes labels = idx_bytes({30}, random_bytes(30));
  const Samples plain = read_idx(put("images", images), put("labels", labels));
  EXPECT_EQ(plain.shape, (SampleShape{1, 7, 5}));
  EXPECT_EQ(plain.images, random_bytes(30 * 35));
  EXPECT_THAT(plain.labels, testing::ElementsAreArray(random_bytes(30)));

  write_gzip(folder_ / "images.gz", images);
  write_gzip(folder_ / "labels.gz", labels);
  const Samples packed = read_idx(folder_ / "images.gz", folder_ / "labels.gz");
  EXPECT_EQ(packed.images, plain.images);
  EXPECT_EQ(packed.labels, plain.labels);
}

TEST_F(SourcesTest, IdxMayHaveChannels) {
  const Samples samples = read_idx(put("images", idx_bytes({2, 3, 4, 5}, random_bytes(120))),
                                   put("labels", idx_bytes({2}, {1, 0})));
  EXPECT_EQ(samples.shape, (SampleShape{3, 4, 5}));
}

TEST_F(SourcesTest, BadIdxIsRefused) {
  const Bytes images = idx_bytes({2, 2, 2}, Bytes(8));
  const Bytes labels = idx_bytes({2}, {0, 1});
  EXPECT_THAT(error_of([&] { read_idx(folder_ / "none", folder_ / "none"); }),
              HasSubstr("none: No such file or directory"));
  EXPECT_THAT(error_of([&] { read_idx(folder_.path(), folder_.path()); }),
              HasSubstr("Is a directory"));
  EXPECT_THAT(idx_error({}, labels), HasSubstr("images is empty"));
  EXPECT_THAT(idx_error({1, 2, 3, 4, 5}, labels), HasSubstr("images is no IDX file"));
  EXPECT_THAT(idx_error({0, 0, 0x0d, 3}, labels), HasSubstr("IDX type 0x0d"));
  EXPECT_THAT(idx_error({0, 0, 8, 3, 0}, labels), HasSubstr("images ends within its header"));
  EXPECT_THAT(idx_error(images, idx_bytes({3}, Bytes(3))),
              AllOf(HasSubstr("images has 2 images but "), HasSubstr("labels has 3 labels")));
  EXPECT_THAT(idx_error(labels, images), HasSubstr("swapped"));
  EXPECT_THAT(idx_error(images, images), HasSubstr("swapped"));
  EXPECT_THAT(idx_error(idx_bytes({0, 28, 28}, {}), idx_bytes({0}, {})),
              HasSubstr("images is empty"));
  // Extents whose product is 2^64 + 8: not to be believed.
  EXPECT_THAT(
      idx_error(idx_bytes({0x80000000u, 0x80000000u, 4}, Bytes(8)), labels),
      HasSubstr("no file is as large as the extents [2147483648, 2147483648, 4] in its header"));
  for (const int change : {-1, 1}) {
    EXPECT_THAT(
        idx_error(idx_bytes({2, 2, 2}, Bytes(static_cast<std::size_t>(8 + change))), labels),
        AllOf(HasSubstr(change < 0 ? " has 7 bytes" : " has more than 8 bytes"),
              HasSubstr("truncated or damaged")));
  }
  EXPECT_THAT(idx_error(idx_bytes({1, 1, 1, 1, 1}, {7}), labels), HasSubstr("has 5 extents"));
}

TEST_F(SourcesTest, DamagedGzipIsRefused) {
  const Bytes labels = idx_bytes({2}, {0, 1});
  write_gzip(folder_ / "whole.gz", idx_bytes({100, 28, 28}, random_bytes(78400)));
  Bytes packed = read_file(folder_ / "whole.gz");
  EXPECT_THAT(idx_error(Bytes(packed.begin(), packed.end() - 1000), labels),
              HasSubstr("images: the compressed file is truncated"));
  packed[packed.size() - 6] ^= 1;  // in the stream's CRC
  EXPECT_THAT(idx_error(packed, labels), HasSubstr("cannot read "));
}

TEST_F(SourcesTest, OfCompressedFilesNoMoreIsReadThanTheirHeadersSay) {
  write_gzip(folder_ / "images.gz", idx_bytes({2, 2, 2}, Bytes(std::size_t{1} << 24)));
  EXPECT_EQ(source::read_bytes(folder_ / "images.gz", 100).size(), 100u);
  write_gzip(folder_ / "labels.gz", idx_bytes({2}, {0, 1}));
  EXPECT_THAT(error_of([&] { read_idx(folder_ / "images.gz", folder_ / "labels.gz"); }),
              HasSubstr("has more than 8 bytes of data"));
}

TEST_F(SourcesTest, CifarOfBothKindsInSeveralFiles) {
  const Bytes pixels = random_bytes(3072);
  const auto record = [&](const Bytes& labels) {
    Bytes bytes = labels;
    bytes.insert(bytes.end(), pixels.begin(), pixels.end());
    return bytes;
  };
  Bytes two = record({9});
  const Bytes second = record({3});
  two.insert(two.end(), second.begin(), second.end());
  const std::vector<fs::path> ten = {put("batch_1.bin", two), put("batch_2.bin", record({0}))};
  put("batches.meta.txt", Bytes{'a', '\n', 'b', '\n', 'c', '\n', 'd', '\n', 'e', '\r', '\n',
                                'f', '\n', 'g', '\n', 'h', '\n', 'i', '\n', 'j', '\n', '\n'});
  const Samples samples = read_cifar(ten);
  EXPECT_EQ(samples.shape, (SampleShape{3, 32, 32}));
  EXPECT_EQ(samples.classes, 10u);
  EXPECT_THAT(samples.labels, ElementsAre(9, 3, 0));
  EXPECT_THAT(samples.class_names, ElementsAre("a", "b", "c", "d", "e", "f", "g", "h", "i", "j"));
  EXPECT_EQ(Bytes(samples.images.begin() + 3072, samples.images.begin() + 6144), pixels);

  const std::vector<fs::path> hundred = {put("train.bin", record({19, 99}))};
  const Samples fine = read_cifar(hundred);
  EXPECT_EQ(fine.classes, 100u);
  EXPECT_THAT(fine.labels, ElementsAre(99));
  EXPECT_EQ(fine.images, pixels);
}

TEST_F(SourcesTest, BadCifarIsRefused) {
  const auto error = [&](const Bytes& bytes, std::size_t classes = 0) {
    const std::vector<fs::path> files = {put("data.bin", bytes)};
    return error_of([&] { read_cifar(files, classes); });
  };
  EXPECT_THAT(error({}), HasSubstr("data.bin is empty"));
  EXPECT_THAT(error(Bytes(3072)), HasSubstr("data.bin has 3072 bytes: neither whole CIFAR-10"));
  EXPECT_THAT(error(Bytes(3074), 10), HasSubstr("no whole CIFAR-10 records of 3073 bytes"));
  EXPECT_THAT(error(Bytes(3073, 10)),
              HasSubstr("record 0 has label 10; CIFAR-10 has labels 0 to 9"));
  EXPECT_THAT(error(Bytes(3074, 100)), HasSubstr("label 100; CIFAR-100"));
  EXPECT_THAT(error(Bytes(std::size_t{3073} * 3074)), HasSubstr("CIFAR-10 as well as CIFAR-100"));
  EXPECT_THROW(read_cifar({}), UsageError);
  EXPECT_THROW(read_cifar(std::vector<fs::path>{"x"}, 7), UsageError);
}

TEST_F(SourcesTest, NpyInEveryVersionLayoutAndLabelType) {
  const Bytes pixels = random_bytes(2 * 3 * 8 * 6);
  const fs::path labels = put("labels.npy", npy_bytes(1, "<i4", "(2,)", {7, 0, 0, 0, 1, 1, 0, 0}));
  for (const int version : {1, 2, 3}) {
    const Samples samples =
        read_npy(put("i.npy", npy_bytes(version, "|u1", "(2, 3, 8, 6)", pixels)), labels);
    EXPECT_EQ(samples.shape, (SampleShape{3, 8, 6}));
    EXPECT_EQ(samples.images, pixels);
    EXPECT_THAT(samples.labels, ElementsAre(7, 257));
  }
  const Samples grey = read_npy(put("i.npy", npy_bytes(1, "|u1", "(2, 24, 6)", pixels)), labels);
  EXPECT_EQ(grey.shape, (SampleShape{1, 24, 6}));

  const Samples last = read_npy(put("i.npy", npy_bytes(1, "|u1", "(2, 8, 6, 3)", pixels)), labels);
  EXPECT_EQ(last.shape, (SampleShape{3, 8, 6}));
  const auto at = [&](std::size_t n, std::size_t y, std::size_t x, std::size_t c) {
    return pixels[((n * 8 + y) * 6 + x) * 3 + c];
  };
  EXPECT_EQ(last.images[0], at(0, 0, 0, 0));
  EXPECT_EQ(last.images[((1 * 3 + 2) * 8 + 5) * 6 + 4], at(1, 5, 4, 2));

  const fs::path images = put("i.npy", npy_bytes(1, "|u1", "(2, 24, 6)", pixels));
  const Bytes wide = {5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_THAT(read_npy(images, put("l.npy", npy_bytes(1, "<i8", "(2,)", wide))).labels,
              ElementsAre(5, 6));
  EXPECT_THAT(read_npy(images, put("l.npy", npy_bytes(1, "|u1", "(2, 1)", {5, 200}))).labels,
              ElementsAre(5, 200));
}

TEST_F(SourcesTest, BadNpyIsRefused) {
  const Bytes images = npy_bytes(1, "|u1", "(2, 2, 2)", Bytes(8));
  const Bytes labels = npy_bytes(1, "|u1", "(2,)", Bytes(2));
  EXPECT_THAT(npy_error(Bytes(100), labels), HasSubstr("images.npy is no .npy file"));
  EXPECT_THAT(npy_error(npy_bytes(4, "|u1", "(2, 2, 2)", Bytes(8)), labels),
              HasSubstr("version 4"));
  EXPECT_THAT(npy_error(Bytes(images.begin(), images.begin() + 40), labels),
              HasSubstr("ends within its header"));
  EXPECT_THAT(npy_error(npy_bytes(1, "<f4", "(2, 2, 2)", Bytes(32)), labels),
              HasSubstr("holds NumPy type <f4; expected is |u1"));
  EXPECT_THAT(npy_error(npy_bytes(1, "|u1", "(2, 2, 2)", Bytes(8), "True"), labels),
              HasSubstr("Fortran order"));
  EXPECT_THAT(npy_error(npy_bytes(1, "|u1", "(2, x, 2)", Bytes(8)), labels),
              HasSubstr("the shape is not made of numbers"));
  EXPECT_THAT(npy_error(npy_bytes(1, "|u1", "2", Bytes(8)), labels),
              HasSubstr("no tuple as shape"));
  EXPECT_THAT(npy_error(npy_bytes(1, "|u1", "(2, 2)", Bytes(4)), labels),
              HasSubstr("has 2 extents; images have 3 or 4"));
  EXPECT_THAT(npy_error(npy_bytes(1, "|u1", "(2, 2, 3)", Bytes(8)), labels),
              HasSubstr("doesn't fit the extents [2, 2, 3]"));
  EXPECT_THAT(npy_error(images, npy_bytes(1, "|u1", "(3,)", Bytes(3))), HasSubstr("3 labels"));
  EXPECT_THAT(npy_error(images, npy_bytes(1, "|u1", "(2, 2)", Bytes(4))),
              HasSubstr("labels have 1"));
  EXPECT_THAT(npy_error(images, npy_bytes(1, "<i8", "(2,)", Bytes(16, 0x7f))),
              HasSubstr("label 9187201950435737471 of sample 0 is out of range"));
  EXPECT_THAT(npy_error(npy_bytes(1, "|u1\n", "(2, 2, 2)", Bytes(8)), labels),
              HasSubstr("descr is no plain type"));
  EXPECT_THAT(npy_error(npy_bytes(1, std::string(200, 'u'), "(2, 2, 2)", Bytes(8)), labels),
              HasSubstr("descr is no plain type"));
  std::string shape = "(1";
  for (int i = 0; i < 64; ++i) shape += ", 1";
  EXPECT_THAT(npy_error(npy_bytes(1, "|u1", shape + ")", Bytes(1)), labels),
              HasSubstr("its shape is too long"));
  EXPECT_THAT(
      npy_error(npy_bytes(2, "|u1", "(2, 2, 2)" + std::string(1 << 16, ' '), Bytes(8)), labels),
      HasSubstr("damaged .npy header: it"));
  Bytes headless = images;
  headless[10] = 'x';
  headless[13] = 'X';  // spoils the key descr
  EXPECT_THAT(npy_error(headless, labels), HasSubstr("damaged .npy header: no descr"));
}

}  // namespace
}  // namespace dovetail
