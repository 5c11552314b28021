#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ibot/io/file.h"
#include "io/torch_reading.h"
#include "support/expect_tensor.h"
#include "support/temporary_folder.h"
#include "support/torch_bytes.h"

namespace ibot::io {
namespace {

using namespace std::string_literals;

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::pickled;
using testing::pickled_tensor;
using testing::TemporaryFolder;
using testing::torch_zip;

// Refusals.

TEST(TorchFileRefusal, TensorsOutsideTheirStorage) {
  const auto tensor = [](std::vector<int64_t> sizes, std::vector<int64_t> strides,
                         int64_t elements = 4, int64_t offset = 0) {
    return refusal(torch_zip(pickled_tensor(sizes, strides, elements, offset), {kFloats}));
  };
  EXPECT_EQ(tensor({4}, {1}), "");
  EXPECT_EQ(tensor({2, 2}, {1, 2}), "");
  EXPECT_EQ(tensor({0, 9}, {9, 1}), "");
  EXPECT_EQ(tensor({}, {}, 4, 3), "");
  const auto outside = HasSubstr("does not lie within");
  EXPECT_THAT(tensor({5}, {1}), outside);
  EXPECT_THAT(tensor({4}, {1}, 4, 1), outside);
  EXPECT_THAT(tensor({4}, {1}, 4, -1), outside);
  EXPECT_THAT(tensor({}, {}, 4, 4), outside);
  EXPECT_THAT(tensor({2}, {4}), outside);
  EXPECT_THAT(tensor({2}, {-1}, 4, 1), outside);
  EXPECT_THAT(tensor({-1}, {1}), outside);
  EXPECT_THAT(tensor({int64_t{1} << 62}, {0}), outside);  // one element, seen often
  EXPECT_THAT(tensor({int64_t{1} << 32, int64_t{1} << 32}, {0, 0}), outside);
  EXPECT_THAT(tensor({0, int64_t{1} << 62, int64_t{1} << 62}, {1, 1, 1}), outside);
  EXPECT_THAT(tensor({2}, {INT64_MAX}), outside);
  EXPECT_THAT(tensor({2, 2}, {1}), HasSubstr("as many strides"));
  EXPECT_THAT(tensor(std::vector<int64_t>(17, 1), std::vector<int64_t>(17, 1)),
              AllOf(HasSubstr("at most 16"), HasSubstr("17")));
  EXPECT_THAT(tensor({4}, {1}, 5), HasSubstr("expected 20 bytes, got 16"));
  EXPECT_THAT(tensor({4}, {1}, INT64_MAX), HasSubstr("expected a size"));
  EXPECT_THAT(tensor({4}, {1}, -4), HasSubstr("expected a size"));
}

TEST(TorchFileRefusal, StoragesThatAreNotThere) {
  EXPECT_THAT(refusal(torch_zip(pickled_tensor({1}, {1}, 1, 0, "9"), {kFloats})),
              HasSubstr("expected an entry a/data/9, found none"));
  EXPECT_THAT(refusal(torch_zip(pickled_tensor({1}, {1}, 1, 0, "../byteorder"), {kFloats})),
              HasSubstr("found none"));
  EXPECT_THAT(refusal(torch_zip("(" + pickled_tensor({4}, {1}, 4) +
                                    pickled_tensor({2}, {1}, 2, 0, "0", "DoubleStorage") + "t",
                                {kFloats})),
              HasSubstr("described in two ways"));
  EXPECT_THAT(refusal(torch_zip(pickled_tensor({2}, {1}, 2, 0, "0", "BoolStorage"), {"\1\2"})),
              HasSubstr("booleans"));
}

TEST(TorchFileRefusal, BombsOfSharing) {
  // A list of ten lists of ten lists …: 10^30 entries in a few hundred bytes.
  std::string pickle = "(]q\0"s;
  for (int level = 0; level < 30; ++level) {
    pickle += "](" + [] {
      std::string ten;
      for (int i = 0; i < 10; ++i) ten += "h\0"s;
      return ten;
    }() + "eq\0"s;
  }
  EXPECT_EQ(refusal(torch_zip(pickle + "t")), "");  // shared, so as small as the file
  EXPECT_THAT(refusal(torch_zip("]q\0h\0a"s)), HasSubstr("holds itself"));
  EXPECT_THAT(refusal(torch_zip(std::string(200, ']') + std::string(199, 'a'))),
              HasSubstr("nested deeper"));
  std::string many = "](" + pickled_tensor({1024}, {1}, 1024) + "q\0"s;
  for (int i = 0; i < 3; ++i) many += "h\0"s;
  EXPECT_EQ(refusal(torch_zip(many + "e", {std::string(4096, '\0')})), "");
  many = "](";
  for (int i = 0; i < 300; ++i) many += pickled_tensor({65536}, {1}, 65536);
  EXPECT_THAT(refusal(torch_zip(many + "e", {std::string(65536 * 4, '\0')})),
              HasSubstr("too many tensors"));
}

TEST(TorchFileRefusal, LengthsBeyondTheFile) {
  for (const char* opcode :
       {"X\xff\xff\xff\x7f", "B\xff\xff\xff\xff", "C\xff", "U\xff", "\x8a\xff"}) {
    EXPECT_THAT(refusal(torch_zip(std::string(opcode) + "x")), HasSubstr("got the end")) << opcode;
  }
  EXPECT_THAT(refusal(torch_zip("\x8d\xff\xff\xff\xff\xff\xff\xff\xff")), HasSubstr("got the end"));
  EXPECT_THAT(refusal(torch_zip("c" + std::string(300, 'x') + "\ny\n")), HasSubstr("name"));
}

TEST(TorchFileRefusal, PicklesThatUnderflow) {
  for (const char* pickle :
       {"",  "a",  "e",  "t",   "s",    "u",    "R",    "b",  "Q",   "0",   "h\1", "q\1",
        "(", "NN", "N0", "(t0", "\x85", "\x93", "K\1a", "Na", "]Ns", "})s", "NNR", "((R"}) {
    EXPECT_NE(refusal(torch_zip(pickle)), "") << pickle;
  }
  EXPECT_THAT(refusal(torch_zip("\x82\x01")), HasSubstr("opcode 0x82"));
  EXPECT_THAT(refusal(torch_zip("K\1)R")), HasSubstr("a name to call"));
  EXPECT_THAT(refusal(torch_zip("}(" + pickled("a") + "N" + pickled("a") + "Nu")),
              HasSubstr("a key occurs twice: a"));
}

TEST(TorchFileRefusal, DamagedArchives) {
  const auto pickle = pickled_tensor({4}, {1}, 4);
  const auto with = [&](testing::ZipOptions options) {
    return refusal(torch_zip(pickle, {kFloats}, options));
  };
  EXPECT_EQ(with({}), "");
  EXPECT_THAT(with({.method = 8}), HasSubstr("is compressed"));
  EXPECT_THAT(with({.flags = 1}), HasSubstr("encrypted"));
  EXPECT_THAT(with({.crc_error = 1}), HasSubstr("checksum"));
  EXPECT_THAT(with({.more_bytes = 1}), HasSubstr("overlap"));
  EXPECT_THAT(with({.more_bytes = 1'000'000'000}), HasSubstr("within the file"));
  EXPECT_THAT(with({.more_bytes = 1'000'000'000, .zip64 = true}), HasSubstr("within the file"));
  EXPECT_THAT(refusal(testing::zip_of({{"a/x", "1"}, {"a/x", "2"}})), HasSubstr("occurs twice"));
  EXPECT_THAT(refusal(testing::zip_of({{"a/x", "1"}})),
              HasSubstr("a zip archive of other files such as a/x"));
  EXPECT_THAT(refusal(testing::zip_of({{"w.npy", "1"}})), HasSubstr("a NumPy archive"));
  EXPECT_THAT(refusal(testing::zip_of({{"a/data.pkl", "1"}}).substr(0, 40)), HasSubstr("cut off"));
  EXPECT_THAT(refusal(testing::zip_of({{"a/data.pkl", "N."}, {"b/data.pkl", "N."}})),
              HasSubstr("*/data.pkl"));
  EXPECT_THAT(refusal(testing::zip_of({{"a/data.pkl", "N."}, {"a/byteorder", "big"}})),
              HasSubstr("big-endian"));
  EXPECT_THAT(refusal(testing::zip_of({{"a/data.pkl", "N."}, {"a/constants.pkl", "N."}})),
              HasSubstr("TorchScript"));
  EXPECT_THAT(refusal("an image, say"), HasSubstr("expected a file of torch.save"));
}

// No prefix of a good file is taken for a whole one, and no flipped bit does more than be refused.
TEST(TorchFileRefusal, SurvivesTruncationAndEveryFlippedBit) {
  const auto file = torch_zip(pickled_tensor({4}, {1}, 4), {kFloats});
  for (size_t size = 0; size < file.size(); ++size) EXPECT_NE(refusal(file.substr(0, size)), "");
  for (size_t bit = 0; bit < file.size() * 8; ++bit) {
    auto damaged = file;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    refusal(damaged);
  }
}

}  // namespace
}  // namespace ibot::io
