#include "ibot/io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "ibot/base/error.h"
#include "ibot/io/file.h"
#include "support/expect_tensor.h"
#include "support/golden.h"
#include "support/temporary_folder.h"

namespace ibot::io {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

/// A file with this header and this many bytes of data.
std::string file_of(const std::string& header, size_t data_bytes) {
  std::string file(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(file.data(), &length, 8);
  return file + header + std::string(data_bytes, '\1');
}

/// The message with which a file is refused; empty when it is not.
std::string refusal(const std::string& file) {
  const TemporaryFolder folder;
  const auto path = folder / "x.safetensors";
  std::ofstream(path, std::ios::binary) << file;  // write_file syncs, which takes its time
  std::string message;
  try {
    read_safetensors(path);
  } catch (const CheckpointError& error) {
    message = error.what();
    EXPECT_THAT(message, HasSubstr(path.string()));
  }
  if (message.empty()) {
    EXPECT_NO_THROW(read_safetensors_metadata(path));
  }
  return message;
}

std::string refusal(const std::string& header, size_t data_bytes) {
  return refusal(file_of(header, data_bytes));
}

Safetensors round_trip(const Safetensors& content) {
  const TemporaryFolder folder;
  write_safetensors(folder / "x", content);
  return read_safetensors(folder / "x");
}

TEST(Safetensors, ReadsAFileWrittenByHand) {
  const std::string header = R"({"a":{"dtype":"I16","shape":[2,1],"data_offsets":[0,4]},)"
                             R"("__metadata__":{"k":"v"}})";
  const TemporaryFolder folder;
  write_file(folder / "x", file_of(header, 0) + std::string("\x02\x01\xff\xff", 4));
  const auto content = read_safetensors(folder / "x");
  EXPECT_TENSOR_EQUAL(content.tensors.at("a"), torch::tensor({{258}, {-1}}, torch::kShort));
  EXPECT_EQ(content.metadata, (std::map<std::string, std::string>{{"k", "v"}}));
  EXPECT_EQ(read_safetensors_metadata(folder / "x"), content.metadata);
}

TEST(Safetensors, KeepsEveryDtype) {
  Safetensors content;
  for (const auto dtype :
       {torch::kDouble, torch::kFloat, torch::kHalf, torch::kBFloat16, torch::kLong, torch::kInt,
        torch::kShort, torch::kChar, torch::kByte, torch::kBool}) {
    content.tensors[torch::toString(dtype)] =
        torch::tensor({{0, 1, 1}, {1, 0, 1}}, torch::kLong).to(dtype);
  }
  const auto result = round_trip(content).tensors;
  ASSERT_EQ(result.size(), content.tensors.size());
  for (const auto& [name, tensor] : content.tensors) EXPECT_TENSOR_EQUAL(result.at(name), tensor);
}

TEST(Safetensors, KeepsScalarsEmptyTensorsNonContiguousOnesAndText) {
  const auto base = torch::arange(12, torch::kFloat).view({3, 4});
  const Safetensors content{{{"scalar", torch::tensor(2.5)},
                             {"empty", torch::empty({0, 3})},
                             {"transposed", base.t()},
                             {"leaf", base.clone().requires_grad_()},
                             {"\xc3\xa9.\"\\", base}},
                            {{"config", "line one\nline \"two\": \xe2\x82\xac"}, {"", ""}}};
  const auto result = round_trip(content);
  EXPECT_EQ(result.metadata, content.metadata);
  ASSERT_EQ(result.tensors.size(), content.tensors.size());
  for (const auto& [name, tensor] : content.tensors) {
    EXPECT_TENSOR_EQUAL(result.tensors.at(name), tensor);
  }
}

TEST(Safetensors, KeepsNothing) {
  const auto result = round_trip({});
  EXPECT_TRUE(result.tensors.empty());
  EXPECT_TRUE(result.metadata.empty());
}

TEST(Safetensors, ReadsThePartThatAPrefixNames) {
  const TemporaryFolder folder;
  write_safetensors(folder / "x", {{{"a.x", torch::ones({2})},
                                    {"b.x", torch::full({3}, 2.0)},
                                    {"b.y", torch::full({1}, 3.0)},
                                    {"c", torch::zeros({4})}},
                                   {{"k", "v"}}});
  const auto content = read_safetensors(folder / "x", "b.");
  ASSERT_EQ(content.tensors.size(), 2u);
  EXPECT_TENSOR_EQUAL(content.tensors.at("b.x"), torch::full({3}, 2.0));
  EXPECT_TENSOR_EQUAL(content.tensors.at("b.y"), torch::full({1}, 3.0));
  EXPECT_EQ(content.metadata.size(), 1u);
}

// The mapping lives as long as a tensor, whatever becomes of the name.
TEST(Safetensors, MapsWhatItWrote) {
  Safetensors mapped;
  {
    const TemporaryFolder folder;
    write_safetensors(folder / "x", {{{"a", torch::arange(6).view({2, 3})},
                                      {"b", torch::tensor({true, false})},
                                      {"empty", torch::empty({0, 2})}},
                                     {{"k", "v"}}});
    mapped = map_safetensors(folder / "x");
  }
  EXPECT_EQ(mapped.metadata.at("k"), "v");
  EXPECT_TENSOR_EQUAL(mapped.tensors.at("a"), torch::arange(6).view({2, 3}));
  EXPECT_TENSOR_EQUAL(mapped.tensors.at("b"), torch::tensor({true, false}));
  EXPECT_EQ(mapped.tensors.at("empty").numel(), 0);
}

TEST(SafetensorsRefusal, MappingOfATensorThatIsNotAligned) {
  const TemporaryFolder folder;
  const auto file = file_of(R"({"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}} )", 8);
  std::ofstream(folder / "x", std::ios::binary) << file;
  EXPECT_NO_THROW(read_safetensors(folder / "x"));
  EXPECT_THROW(map_safetensors(folder / "x"), CheckpointError);
}

TEST(Safetensors, GivesEqualBytesForEqualContentAndAlignsEveryTensor) {
  const Safetensors content{{{"a", torch::ones({3}, torch::kByte)},
                             {"b", torch::ones({2}, torch::kDouble)},
                             {"c", torch::ones({1}, torch::kHalf)}},
                            {{"k", "v"}}};
  const TemporaryFolder folder;
  write_safetensors(folder / "x", content);
  write_safetensors(folder / "y", content);
  const auto file = read_file(folder / "x");
  EXPECT_EQ(file, read_file(folder / "y"));
  uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  EXPECT_EQ(length % 8, 0u);
  const auto header = nlohmann::json::parse(file.substr(8, length));
  EXPECT_EQ(header["b"]["data_offsets"][0], 0);
  EXPECT_EQ(header["c"]["data_offsets"][0], 16);
  EXPECT_EQ(header["a"]["data_offsets"][0], 18);
}

TEST(Safetensors, KeepsEightBitFloatsAndUnsignedIntegers) {
  const TemporaryFolder folder;
  const auto values = torch::tensor({1.f, -2.f, 0.5f});
  Safetensors file;
  for (const auto type : {torch::kFloat8_e4m3fn, torch::kFloat8_e5m2, torch::kUInt16,
                          torch::kUInt32, torch::kUInt64}) {
    const bool is_float = torch::isFloatingType(type);
    file.tensors[torch::toString(type)] = (is_float ? values : values.abs()).to(type);
  }
  write_safetensors(folder / "x", file);
  const auto again = read_safetensors(folder / "x");
  for (const auto& [name, tensor] : file.tensors) {
    EXPECT_EQ(again.tensors.at(name).scalar_type(), tensor.scalar_type());
    EXPECT_TENSOR_EQUAL(again.tensors.at(name).to(torch::kFloat), tensor.to(torch::kFloat));
  }
}

TEST(Safetensors, RefusesToWriteWhatItCouldNotRead) {
  const TemporaryFolder folder;
  const auto path = folder / "x";
  const auto tensor = torch::ones({1});
  EXPECT_THROW(write_safetensors(path, {{{"a", torch::Tensor()}}, {}}), Error);
  EXPECT_THROW(write_safetensors(path, {{{"a", tensor.to_sparse()}}, {}}), Error);
  EXPECT_THROW(write_safetensors(path, {{{"a", tensor.to(torch::kComplexFloat)}}, {}}), Error);
  EXPECT_THROW(write_safetensors(path, {{{"__metadata__", tensor}}, {}}), Error);
  EXPECT_THROW(write_safetensors(path, {{{"\xff", tensor}}, {}}), Error);
  EXPECT_THROW(write_safetensors(folder / "none" / "x", {{{"a", tensor}}, {}}), Error);
  EXPECT_EQ(testing::entries_in(folder.path()), 0u);
}

TEST(SafetensorsRefusal, MissingFile) {
  try {
    read_safetensors("/nowhere/x");
    FAIL();
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("/nowhere/x"), HasSubstr("No such file")));
  }
  EXPECT_THROW(read_safetensors("/"), CheckpointError);
}

TEST(SafetensorsRefusal, HeaderLength) {
  EXPECT_THAT(refusal(""), HasSubstr("an empty file"));
  EXPECT_THAT(refusal("1234567"), HasSubstr("header length"));
  EXPECT_THAT(refusal(std::string("\x10\0\0\0\0\0\0\0{}", 10)),
              AllOf(HasSubstr("within the file"), HasSubstr("cut off")));
  EXPECT_THAT(refusal(std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10)), HasSubstr("at most"));
  EXPECT_THAT(refusal(std::string(8, '\xff') + "{}"), HasSubstr("at most"));
}

// What is no weights is told by what it is.
TEST(SafetensorsRefusal, FilesOfOtherFormats) {
  using namespace std::string_literals;
  const std::string rest(600, 'x');
  std::string tar = "weights.bin" + std::string(600, '\0');
  tar.replace(257, 5, "ustar");
  for (const auto& [bytes, what] : std::vector<std::pair<std::string, std::string>>{
           {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS"},
           {"<!DOCTYPE html><html></html>", "a web page"},
           {"\xef\xbb\xbf\n  <html>" + rest, "a web page"},
           {"{\"weight_map\": {}}", "a JSON text"},
           {" [1, 2, 3, 4]", "a JSON text"},
           {"\x1f\x8b\x08\0"s + rest, "gunzip"},
           {"BZh9" + rest, "a compressed file"},
           {"\x28\xb5\x2f\xfd" + rest, "a compressed file"},
           {tar, "a tar archive"},
           {"PK\3\4" + rest, "name it .pth"},
           {"\x89HDF\r\n\x1a\n" + rest, "an HDF5 file"},
           {"GGUF\3\0\0\0"s + rest, "a GGUF file"},
           {"\x1c\0\0\0TFL3"s + rest, "TensorFlow Lite"},
           {"\x93NUMPY\x01\0"s + rest, "a NumPy array"},
           {"\x08\x07\x12\x07pytorch", "ONNX"},
           {"\x82\xa6params\x81\xa1w" + rest, "Flax"},
           {"\x80\x04\x95\x20\0\0\0\0\0\0\0}."s + rest, "torch.save did not write"},
           {"\xff\xd8\xff\xe0" + rest, "a JPEG image"}}) {
    EXPECT_THAT(refusal(bytes), AllOf(HasSubstr("expected weights, got "), HasSubstr(what)));
  }
}

TEST(SafetensorsRefusal, HeaderThatIsNoJsonObject) {
  EXPECT_THAT(refusal("", 0), HasSubstr("JSON object"));
  EXPECT_THAT(refusal("[]", 0), HasSubstr("JSON object"));
  EXPECT_THAT(refusal(" {}", 0), HasSubstr("JSON object"));
  EXPECT_THAT(refusal(std::string("{}\0x", 4), 0), HasSubstr("JSON object"));
  EXPECT_THAT(refusal("{} {}", 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal("{\"a\":", 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal("{\"\xff\":{}}", 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal("{\"a\":1e999}", 0), HasSubstr("out of range"));
  EXPECT_EQ(refusal("{}      ", 0), "");
}

TEST(SafetensorsRefusal, DeepNesting) {
  std::string deep = R"({"a":)";
  for (int i = 0; i < 100000; ++i) deep += '[';
  EXPECT_THAT(refusal(deep, 0), HasSubstr("nested deeper"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1),
              HasSubstr("nested deeper"));
}

TEST(SafetensorsRefusal, NamesThatOccurTwice) {
  const std::string entry = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_EQ(refusal("{" + entry + "}", 1), "");
  EXPECT_THAT(refusal("{" + entry + "," + entry + "}", 1), HasSubstr("twice"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
              HasSubstr("twice"));
  EXPECT_THAT(refusal(R"({"__metadata__":{"k":"v","k":"w"}})", 0), HasSubstr("twice"));
}

TEST(SafetensorsRefusal, EntriesOfAnotherForm) {
  EXPECT_THAT(refusal(R"({"a":1})", 0), HasSubstr("expected an object"));
  EXPECT_THAT(refusal(R"({"__metadata__":"v"})", 0), HasSubstr("expected an object"));
  EXPECT_THAT(refusal(R"({"__metadata__":{"k":1}})", 0), HasSubstr("expected a string"));
  EXPECT_THAT(refusal(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1), HasSubstr("dtype"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1), HasSubstr("shape"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"U8","shape":[1]}})", 1), HasSubstr("data_offsets"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", 1),
              HasSubstr("only dtype, shape and data_offsets"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}})", 1),
              HasSubstr("unknown dtype \"F4\""));
  EXPECT_THAT(refusal(R"({"a":{"dtype":7,"shape":[1],"data_offsets":[0,1]}})", 1),
              HasSubstr("unknown dtype 7"));
}

TEST(SafetensorsRefusal, ShapesThatAreNone) {
  const auto with_shape = [](const std::string& shape) {
    return refusal(R"({"a":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,4]}})", 4);
  };
  EXPECT_EQ(with_shape("[1]"), "");
  EXPECT_THAT(with_shape("1"), HasSubstr("expected a list"));
  EXPECT_THAT(with_shape("[-1]"), HasSubstr("expected integers"));
  EXPECT_THAT(with_shape("[1.0]"), HasSubstr("expected integers"));
  EXPECT_THAT(with_shape("[\"1\"]"), HasSubstr("expected integers"));
  EXPECT_THAT(with_shape("[9223372036854775808]"), HasSubstr("expected integers"));
  EXPECT_THAT(with_shape("[99999999999999999999999]"), HasSubstr("expected integers"));
  // 2^62 · 4 and 2^32 · 2^32 · 4 wrap round to 0 in 64 bits.
  EXPECT_THAT(with_shape("[4611686018427387904]"), HasSubstr("overflows"));
  EXPECT_THAT(with_shape("[4294967296,4294967296]"), HasSubstr("overflows"));
  EXPECT_THAT(with_shape("[0,4611686018427387904,4]"), HasSubstr("overflows"));
  EXPECT_THAT(with_shape("[2]"), HasSubstr("expected 8 bytes from its shape, got 4"));
  EXPECT_THAT(with_shape("[0]"), HasSubstr("expected 0 bytes from its shape, got 4"));
}

TEST(SafetensorsRefusal, ExtentsThatDoNotTileTheData) {
  const auto with_extents = [](const std::string& a, const std::string& b, size_t bytes) {
    return refusal(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + a +
                       R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + b + "}}",
                   bytes);
  };
  EXPECT_EQ(with_extents("[0,2]", "[2,4]", 4), "");
  EXPECT_EQ(with_extents("[2,4]", "[0,2]", 4), "");
  EXPECT_THAT(with_extents("[0,2]", "[1,3]", 3), HasSubstr("overlap"));
  EXPECT_THAT(with_extents("[0,2]", "[0,2]", 2), HasSubstr("overlap"));
  EXPECT_THAT(with_extents("[0,2]", "[3,5]", 5), HasSubstr("hole"));
  EXPECT_THAT(with_extents("[1,3]", "[3,5]", 5), HasSubstr("hole"));
  EXPECT_THAT(with_extents("[0,2]", "[4,2]", 4), HasSubstr("[begin, end]"));
  EXPECT_THAT(with_extents("[0,2]", "[2]", 4), HasSubstr("[begin, end]"));
  EXPECT_THAT(with_extents("[0,2]", "[2,3,4]", 4), HasSubstr("[begin, end]"));
  EXPECT_THAT(with_extents("[0,2]", "[2,4]", 5), HasSubstr("expected 4 bytes of tensors, got 5"));
  EXPECT_THAT(with_extents("[0,2]", "[2,4]", 3), HasSubstr("expected 4 bytes of tensors, got 3"));
}

TEST(SafetensorsRefusal, BooleansOfOtherValues) {
  const std::string header = R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})";
  EXPECT_EQ(refusal(header, 1), "");
  EXPECT_THAT(refusal(file_of(header, 0) + '\2'), HasSubstr("booleans"));
}

// No prefix of a good file is taken for a whole one.
TEST(SafetensorsRefusal, TruncationAnywhere) {
  const TemporaryFolder folder;
  write_safetensors(folder / "x", {{{"a", torch::ones({3})}, {"b", torch::ones({2})}}, {}});
  const auto file = read_file(folder / "x");
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_NE(refusal(file.substr(0, size)), "") << size;
  }
}

// A damaged file is refused or read; it never does anything else.
TEST(SafetensorsRefusal, SurvivesEveryFlippedBitOfTheHeader) {
  const TemporaryFolder folder;
  write_safetensors(folder / "x", {{{"a", torch::ones({3})}}, {{"k", "v"}}});
  const auto file = read_file(folder / "x");
  for (size_t bit = 0; bit < (file.size() - 12) * 8; ++bit) {
    auto damaged = file;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    refusal(damaged);
  }
}

TEST(SafetensorsGolden, ReadsEveryFileAndReproducesItsTensors) {
  size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(testing::golden_root())) {
    if (entry.path().extension() != ".safetensors") continue;
    const auto content = read_safetensors(entry.path());
    const auto again = round_trip(content);
    EXPECT_EQ(again.metadata, content.metadata);
    for (const auto& [name, tensor] : content.tensors) {
      EXPECT_TENSOR_EQUAL(again.tensors.at(name), tensor) << entry.path() << name;
    }
    ++files;
  }
  EXPECT_GT(files, 0u);
}

}  // namespace
}  // namespace ibot::io
