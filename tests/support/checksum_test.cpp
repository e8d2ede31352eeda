// SHA-256 against the vectors that NIST publishes with FIPS 180-4.
#include "support/checksum.hpp"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace dovetail {
namespace {

std::string hex_of(std::string_view text) {
  return sha256_hex(std::span<const char>(text));
}

TEST(Sha256, GivesThePublishedDigests) {
  EXPECT_EQ(hex_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex_of(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesGiveTheDigestOfTheWhole) {
  Sha256 pieces;
  pieces.update("a", 1);
  pieces.update("", 0);
  pieces.update("bc", 2);
  EXPECT_EQ(pieces.hex(), hex_of("abc"));
}

TEST(Sha256, CountsBytesNotElements) {
  const std::vector<float> zeros(16);
  EXPECT_EQ(sha256_hex(std::span<const float>(zeros)), hex_of(std::string(64, '\0')));
}

}  // namespace
}  // namespace dovetail
