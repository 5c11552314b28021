#include "ibot/io/torch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "ibot/base/error.h"
#include "ibot/io/file.h"
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

Value read(const std::string& bytes) {
  static const TemporaryFolder folder;
  std::ofstream(folder / "x.pth", std::ios::binary) << bytes;
  return read_torch_file(folder / "x.pth").root;
}

/// What reading the bytes is refused with; empty where it is not. Always one line naming the file.
std::string refusal(const std::string& bytes) {
  try {
    read(bytes);
  } catch (const CheckpointError& error) {
    const std::string text = error.what();
    EXPECT_THAT(text, HasSubstr("x.pth: "));
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    return text;
  }
  return {};
}

const std::string kFloats(16, '\0');  // four of them

// Values.

TEST(TorchFile, ReadsNumbersTextAndContainers) {
  const auto root =
      read(torch_zip("\x80\x02]q\0(K\xffM\xff\xffJ\xff\xff\xff\xff\x8a\x01\x80"
                     "\x8a\0\x88NG\x3f\xf8\0\0\0\0\0\0e"s));
  const auto& items = root.list()->items;
  ASSERT_EQ(items.size(), 8u);
  EXPECT_EQ(items[0].integer(), 255);
  EXPECT_EQ(items[1].integer(), 65535);
  EXPECT_EQ(items[2].integer(), -1);
  EXPECT_EQ(items[3].integer(), -128);
  EXPECT_EQ(items[4].integer(), 0);
  EXPECT_EQ(items[5].boolean(), true);
  EXPECT_TRUE(items[6].is_none());
  EXPECT_EQ(items[7].number(), 1.5);
}

TEST(TorchFile, ReadsProtocolFourAndNumpyScalars) {
  // {"lr": numpy.float64(0.5)}, memoised, as NumPy 2 and protocol 4 write it
  const auto root = read(torch_zip(
      "\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94\x8c\x02lr\x94\x8c\x16numpy._core.multiarray\x94\x8c\x06"
      "scalar\x94\x93\x94\x8c\x05numpy\x94\x8c\x05"
      "dtype\x94\x93\x94\x8c\x02"
      "f8\x94\x89\x88\x87\x94R"
      "\x94(K\x03\x8c\x01<\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0t\x94"
      "bC\x08\0\0\0\0\0\0\xe0\x3f"
      "\x86\x94R\x94s"s));
  EXPECT_EQ(root.dict()->find("lr")->number(), 0.5);
}

TEST(TorchFile, ReadsANamespaceAsItsAttributes) {
  const auto root = read(
      torch_zip("cargparse\nNamespace\n)\x81}(" + pickled("arch") + pickled("vit_small") + "ub"));
  EXPECT_EQ(root.dict()->type, "argparse.Namespace");
  EXPECT_EQ(*root.dict()->find("arch")->text(), "vit_small");
}

TEST(TorchFile, ReadsStridesOffsetsAndUntypedStorages) {
  std::string data;
  for (const float value : {0.f, 1.f, 2.f, 3.f, 4.f, 5.f}) {
    data += testing::little_endian(value);
  }
  const auto transposed = *read(torch_zip(pickled_tensor({2, 2}, {1, 2}, 6, 2), {data})).tensor();
  EXPECT_TENSOR_EQUAL(transposed, torch::tensor({{2.f, 4.f}, {3.f, 5.f}}));
  const auto untyped = "ctorch._utils\n_rebuild_tensor_v3\n((" + pickled("storage") +
                       "ctorch.storage\nUntypedStorage\n" + pickled("0") + pickled("cuda:3") +
                       pickled(24) + "tQ" + pickled(0) + pickled(std::vector<int64_t>{3}) +
                       pickled(std::vector<int64_t>{2}) + "\x89Nctorch\nfloat32\ntR";
  EXPECT_TENSOR_EQUAL(*read(torch_zip(untyped, {data})).tensor(), torch::tensor({0.f, 2.f, 4.f}));
}

TEST(TorchFile, ReadsZip64) {
  const auto bytes = torch_zip(pickled_tensor({4}, {1}, 4), {kFloats}, {.zip64 = true});
  EXPECT_TENSOR_EQUAL(*read(bytes).tensor(), torch::zeros({4}));
}

TEST(TorchFile, WritesWhatItReads) {
  const TemporaryFolder folder;
  const auto base = torch::randn({4, 3});
  Dict inner{{{"w", base}, {"t", base.t()}, {"row", base[1]}}, "collections.OrderedDict"};
  const Value root(Dict{{{"state", inner},
                         {"epoch", int64_t{1} << 40},
                         {"small", int64_t{-7}},
                         {int64_t{3}, 0.1},
                         {"betas", List{{0.9, 0.999}, true}},
                         {"list", List{{true, Value(), "text"}, false}},
                         {"half", torch::ones({2}, torch::kHalf)},
                         {"flags", torch::tensor({true, false})},
                         {"none", torch::empty({0, 3})},
                         {"scalar", torch::tensor(5, torch::kLong)}},
                        ""});
  write_torch_file(folder / "x.pth", root);
  EXPECT_EQ(testing::entries_in(folder.path()), 1u);
  EXPECT_TRUE(is_torch_file(folder / "x.pth"));
  const auto again = read_torch_file(folder / "x.pth").root;
  const auto& dict = *again.dict();
  const auto& state = *dict.find("state")->dict();
  EXPECT_EQ(state.type, "collections.OrderedDict");
  EXPECT_TENSOR_EQUAL(*state.find("w")->tensor(), base);
  EXPECT_TENSOR_EQUAL(*state.find("t")->tensor(), base.t());
  EXPECT_TENSOR_EQUAL(*state.find("row")->tensor(), base[1]);
  EXPECT_EQ(state.find("w")->tensor()->data_ptr(), state.find("t")->tensor()->data_ptr());
  EXPECT_EQ(dict.find("epoch")->integer(), int64_t{1} << 40);
  EXPECT_EQ(dict.find("small")->integer(), -7);
  EXPECT_EQ(dict.items[3].first.integer(), 3);
  EXPECT_EQ(dict.items[3].second.number(), 0.1);
  EXPECT_TRUE(dict.find("betas")->list()->tuple);
  EXPECT_EQ(*dict.find("list")->list()->items[2].text(), "text");
  EXPECT_TENSOR_EQUAL(*dict.find("half")->tensor(), torch::ones({2}, torch::kHalf));
  EXPECT_TENSOR_EQUAL(*dict.find("flags")->tensor(), torch::tensor({true, false}));
  EXPECT_TENSOR_EQUAL(*dict.find("none")->tensor(), torch::empty({0, 3}));
  EXPECT_EQ(dict.find("scalar")->tensor()->item<int64_t>(), 5);
}

TEST(TorchFile, AFullDiskLeavesTheOldFile) {
  EXPECT_THROW(write_torch_file("/dev/full/x", Value(1.0)), Error);
}

// Refusals.

TEST(TorchFileRefusal, ExecutesNothing) {
  const auto call = [](const std::string& module, const std::string& name) {
    return refusal(torch_zip("c" + module + "\n" + name + "\n(" + pickled("touch /tmp/x") + "tR"));
  };
  for (const auto& [module, name] :
       std::vector<std::pair<std::string, std::string>>{{"os", "system"},
                                                        {"posix", "system"},
                                                        {"builtins", "eval"},
                                                        {"builtins", "getattr"},
                                                        {"__builtin__", "exec"},
                                                        {"subprocess", "Popen"},
                                                        {"torch.storage", "_load_from_bytes"},
                                                        {"torch", "load"},
                                                        {"torch.hub", "load"},
                                                        {"collections", "Counter"},
                                                        {"numpy", "frombuffer"},
                                                        {"argparse", "ArgumentParser"}}) {
    EXPECT_THAT(call(module, name), HasSubstr("global " + module + "." + name + " is refused"));
  }
  EXPECT_THAT(refusal(torch_zip("\x80\x04\x8c\x02os\x8c\x06system\x93" + pickled("x") + "\x85R")),
              HasSubstr("global os.system is refused"));
  // Allowed names in uses that no file of tensors has.
  EXPECT_THAT(refusal(torch_zip("ctorch\nFloatStorage\n)R")), HasSubstr("not called"));
  EXPECT_THAT(refusal(torch_zip("carg\nb")), HasSubstr("a name"));
  EXPECT_THAT(refusal(torch_zip("ios\nsystem\n")), HasSubstr("opcode 0x69"));
  EXPECT_THAT(refusal(torch_zip("(cos\nsystem\no")), HasSubstr("os.system"));
  EXPECT_THAT(refusal(torch_zip("\x82\x01")), HasSubstr("opcode 0x82"));
}

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
  EXPECT_THAT(refusal(torch_zip("\x8a\x09" + std::string(9, '\1'))), HasSubstr("64 bits"));
  EXPECT_THAT(refusal(torch_zip("c" + std::string(300, 'x') + "\ny\n")), HasSubstr("name"));
}

TEST(TorchFileRefusal, PicklesThatUnderflow) {
  for (const char* pickle :
       {"",  "a",  "e",  "t",   "s",    "u",    "R",    "b",  "Q",   "0",   "h\1", "q\1",
        "(", "NN", "N0", "(t0", "\x85", "\x93", "K\1a", "Na", "]Ns", "})s", "NNR", "((R"}) {
    EXPECT_NE(refusal(torch_zip(pickle)), "") << pickle;
  }
  EXPECT_THAT(refusal(torch_zip("}(NNu")), HasSubstr("keys of text"));
  EXPECT_THAT(refusal(torch_zip("}(" + pickled("a") + "N" + pickled("a") + "Nu")),
              HasSubstr("a key occurs twice: a"));
}

TEST(TorchFileRefusal, DamagedArchives) {
  const auto pickle = pickled_tensor({4}, {1}, 4);
  const auto with = [&](testing::ZipOptions options) {
    return refusal(torch_zip(pickle, {kFloats}, options));
  };
  EXPECT_EQ(with({}), "");
  EXPECT_THAT(with({.method = 8}), HasSubstr("compressed"));
  EXPECT_THAT(with({.flags = 1}), HasSubstr("encrypted"));
  EXPECT_THAT(with({.crc_error = 1}), HasSubstr("checksum"));
  EXPECT_THAT(with({.more_bytes = 1}), HasSubstr("overlap"));
  EXPECT_THAT(with({.more_bytes = 1'000'000'000}), HasSubstr("within the file"));
  EXPECT_THAT(with({.more_bytes = 1'000'000'000, .zip64 = true}), HasSubstr("within the file"));
  EXPECT_THAT(refusal(testing::zip_of({{"a/x", "1"}, {"a/x", "2"}})), HasSubstr("occurs twice"));
  EXPECT_THAT(refusal(testing::zip_of({{"a/x", "1"}})), HasSubstr("*/data.pkl"));
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
