#include "ibot/io/torch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

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

// What a call would make is never made: its value is an object of the name that was called.
TEST(TorchFile, ExecutesNothing) {
  const auto type = [](const std::string& pickle) {
    const auto root = read(torch_zip(pickle));
    return root.opaque() == nullptr ? "" : root.opaque()->type;
  };
  const auto call = [&](const std::string& module, const std::string& name) {
    return type("c" + module + "\n" + name + "\n(" + pickled("touch /tmp/x") + "tR");
  };
  for (const auto& [module, name] :
       std::vector<std::pair<std::string, std::string>>{{"os", "system"},
                                                        {"builtins", "eval"},
                                                        {"builtins", "getattr"},
                                                        {"subprocess", "Popen"},
                                                        {"torch.storage", "_load_from_bytes"},
                                                        {"torch", "load"},
                                                        {"collections", "Counter"},
                                                        {"pathlib", "PosixPath"},
                                                        {"argparse", "ArgumentParser"}}) {
    EXPECT_EQ(call(module, name), module + "." + name);
  }
  EXPECT_EQ(type("\x80\x04\x8c\x02os\x8c\x06system\x93" + pickled("x") + "\x85R"), "os.system");
  EXPECT_EQ(type("(" + pickled("x") + "ios\nsystem\n"), "os.system");
  EXPECT_EQ(type("(cos\nsystem\n" + pickled("x") + "o"), "os.system");
  EXPECT_EQ(type("ctorch\nFloatStorage\n)R"), "torch.FloatStorage");
  EXPECT_EQ(type("ca\nB\n)\x81}(" + pickled("state") + "Nub"), "a.B");  // with attributes
  EXPECT_EQ(type("ca\nf\n)R(tR"), "a.f");                               // what a call made, called
  EXPECT_EQ(type("ca\nB\n)}\x92"), "a.B");                              // with named arguments
  EXPECT_EQ(type("ca\nB\n"), "a.B");                                    // a class itself
  EXPECT_EQ(type("\x8f(K\1K\2\x90"), "set");
  EXPECT_EQ(type("(K\1\x91"), "frozenset");
  EXPECT_EQ(type("\x8a\x09" + std::string(9, '\1')), "int of more than 64 bits");
  EXPECT_EQ(type("L" + std::string(300, '7') + "L\n"), "int of more than 64 bits");
}

// Bookkeeping that nobody asks for does not keep the tensors from being read.
TEST(TorchFile, ReadsTensorsBesideObjectsOfAnyKind) {
  const std::string objects =
      pickled("key of None") + "}NK\1s" + pickled("key of a tuple") + "}K\1K\2\x86K\3s" +
      pickled("own class with entries") + "ca\nDict\n)R(" + pickled("k") + "K\7u" +
      pickled("deque") + "ccollections\ndeque\n)R(K\1K\2e" + pickled("partial") +
      "cfunctools\npartial\n(cos\nsystem\ntR(cos\nsystem\n)}NtbcA\n<lambda>\n0" + pickled("bytes") +
      "\x96\x02\0\0\0\0\0\0\0xy"s + pickled("device") + "ctorch\ndevice\n" + pickled("cuda") +
      "\x85R" + pickled("dtype") + "ctorch\nfloat16\n";
  const auto root =
      read(torch_zip("}(" + pickled("w") + pickled_tensor({4}, {1}, 4) + objects + "u", {kFloats}));
  const auto& dict = *root.dict();
  EXPECT_TENSOR_EQUAL(*dict.find("w")->tensor(), torch::zeros({4}));
  EXPECT_TRUE(dict.find("key of None")->dict()->items[0].first.is_none());
  EXPECT_EQ(dict.find("own class with entries")->dict()->find("k")->integer(), 7);
  EXPECT_EQ(dict.find("deque")->opaque()->type, "collections.deque");
  EXPECT_EQ(dict.find("partial")->opaque()->type, "functools.partial");
  EXPECT_EQ(kind_of(*dict.find("device")), "an object of torch.device");
  EXPECT_EQ(*dict.find("dtype")->text(), "torch.float16");
  EXPECT_THROW(write_torch_file("/tmp/never", *dict.find("device")), Error);
}

TEST(TorchFile, ReadsNumpyNumbersOfEveryType) {
  const auto scalar = [](const std::string& code, const std::string& bytes,
                         const char* order = "<") {
    return read(torch_zip("cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n" + pickled(code) +
                          "\x85R(K\3" + pickled(order) + "NNNtbC" +
                          static_cast<char>(bytes.size()) + bytes + "tR"));
  };
  using testing::little_endian;
  EXPECT_EQ(scalar("b1", "\1").boolean(), true);
  EXPECT_EQ(scalar("i1", "\xfd", "|").integer(), -3);
  EXPECT_EQ(scalar("i2", little_endian<int16_t>(-300)).integer(), -300);
  EXPECT_EQ(scalar("i2", "\1\2", ">").integer(), 258);
  EXPECT_EQ(scalar("i4", little_endian<int32_t>(-70000)).integer(), -70000);
  EXPECT_EQ(scalar("i8", little_endian<int64_t>(INT64_MIN)).integer(), INT64_MIN);
  EXPECT_EQ(scalar("u1", "\xfd").integer(), 253);
  EXPECT_EQ(scalar("u2", little_endian<uint16_t>(65000)).integer(), 65000);
  EXPECT_EQ(scalar("u4", little_endian<uint32_t>(4'000'000'000)).integer(), 4'000'000'000);
  EXPECT_EQ(scalar("u8", little_endian<uint64_t>(7)).integer(), 7);
  EXPECT_EQ(scalar("f2", little_endian<uint16_t>(0x3e00)).number(), 1.5);
  EXPECT_EQ(scalar("f4", little_endian(0.1f)).number(), static_cast<double>(0.1f));
  EXPECT_EQ(scalar("f8", little_endian(0.1)).number(), 0.1);
  for (const auto& [code, size] : std::vector<std::pair<std::string, size_t>>{
           {"u8", 8}, {"c8", 8}, {"f16", 16}, {"M8", 8}, {"S3", 3}, {"f4", 8}}) {
    const auto value = scalar(code, std::string(size, '\xff'));
    ASSERT_NE(value.opaque(), nullptr) << code;
    EXPECT_EQ(value.opaque()->type, "numpy.core.multiarray.scalar");
  }
}

TEST(TorchFile, ReadsParametersAndClassesOfTensorsAsTensors) {
  const auto tensor = pickled_tensor({4}, {1}, 4);
  const auto arguments = tensor.substr(tensor.find('('), tensor.size() - tensor.find('(') - 1);
  for (const auto& pickle :
       {"ctorch._utils\n_rebuild_parameter\n(" + tensor + "\x88NtR",
        "ctorch._utils\n_rebuild_parameter_with_state\n(" + tensor + "\x88N}tR",
        "ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\ncmy\nTensor\n" +
            arguments + "}tR"}) {
    EXPECT_TENSOR_EQUAL(*read(torch_zip(pickle, {kFloats})).tensor(), torch::zeros({4}));
  }
  const auto quantized = "ctorch._utils\n_rebuild_qtensor\n((" + pickled("storage") +
                         "ctorch\nQInt8Storage\n" + pickled("0") + pickled("cpu") + "K\4tQtR";
  EXPECT_EQ(read(torch_zip(quantized, {"1234"})).opaque()->type, "torch._utils._rebuild_qtensor");
}

TEST(TorchFile, WritesTypesThatOnlyUntypedStoragesHold) {
  const TemporaryFolder folder;
  const auto base = torch::tensor({1.f, -2.f, 0.5f, 4.f});
  const io::Value root(Dict{{{"a", base.to(torch::kFloat8_e4m3fn).slice(0, 1)},
                             {"b", base.abs().to(torch::kUInt16)},
                             {"c", torch::complex(base, base)}},
                            ""});
  write_torch_file(folder / "x.pth", root);
  const auto again = read_torch_file(folder / "x.pth").root;
  for (const auto& [name, value] : root.dict()->items) {
    const auto& tensor = *again.dict()->find(*name.text())->tensor();
    EXPECT_EQ(tensor.scalar_type(), value.tensor()->scalar_type());
    EXPECT_TRUE(
        torch::equal(tensor.to(torch::kComplexFloat), value.tensor()->to(torch::kComplexFloat)));
  }
}

// As pickle_protocol=1 and 4 begin it.
TEST(TorchFile, ReadsTheOlderStreamOfEveryProtocol) {
  const auto stream = [](const std::string& magic, const std::string& version) {
    return magic + version + "}.](" + pickled("w") + pickled_tensor({4}, {1}, 4) + "e." + "](" +
           pickled("0") + "e." + testing::little_endian<int64_t>(4) + kFloats;
  };
  const std::string digits("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 13);
  for (const auto& file : {stream("\x80\x02" + digits, "\x80\x02M\xe9\x03."),
                           stream("\x80\x04\x95\x0d\0\0\0\0\0\0\0"s + digits,
                                  "\x80\x04\x95\x04\0\0\0\0\0\0\0M\xe9\x03."s),
                           stream("L119547037146038801333356L\n.", "M\xe9\x03.")}) {
    EXPECT_TENSOR_EQUAL(*read(file).list()->items[1].tensor(), torch::zeros({4}));
  }
  EXPECT_THAT(refusal(stream("\x80\x02" + digits, "K\1.")), HasSubstr("expected version 1001"));
}

}  // namespace
}  // namespace ibot::io
