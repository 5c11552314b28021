#include "ibot/base/hash.h"

#include <gtest/gtest.h>

namespace ibot {
namespace {

std::string hash_of(std::string_view text) {
  Hash hash;
  hash.add(text);
  return hash.hex();
}

// From `xxhsum -H2`, the reference program.
TEST(Hash, IsTheXxh3OfTheReferenceProgram) {
  EXPECT_EQ(hash_of(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_of("123456789"), "33119477ede5dcd5e9716427681d5860");
}

// From `xxhsum -H3`.
TEST(Hash, TheShortOneIsThatOfTheReferenceProgramToo) {
  EXPECT_EQ(short_hash("", 0), 0x2d06800538d394c2U);
  EXPECT_EQ(short_hash("123456789", 9), 0x72dcb18b67a17dffU);
}

TEST(Hash, DoesNotDependOnThePieces) {
  const std::string text(5000, 'x');
  Hash hash;
  for (size_t start = 0; start < text.size(); start += 7) {
    hash.add(std::string_view(text).substr(start, 7));
  }
  EXPECT_EQ(hash.hex(), hash_of(text));
  EXPECT_NE(hash.hex(), hash_of(text + "x"));
}

}  // namespace
}  // namespace ibot
