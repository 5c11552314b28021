// What ibot-model refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <torch/script.h>

#include "cli/model_fixture.h"
#include "ibot/config/run_config.h"
#include "ibot/config/yaml.h"
#include "ibot/io/file.h"
#include "ibot/io/safetensors.h"
#include "ibot/io/torch_file.h"
#include "ibot/models/weights.h"
#include "ibot/train/checkpoint.h"
#include "ibot/train/step.h"
#include "support/expect_tensor.h"
#include "support/golden.h"
#include "support/run_program.h"
#include "support/torch_bytes.h"

namespace ibot {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class IbotModelRefusal : public IbotModel {};

TEST_F(IbotModelRefusal, RefusesInOneLine) {
  write_checkpoint();
  const auto refusal = [&](const std::vector<std::string>& words) {
    const auto result = run(words);
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    return result.err;
  };
  EXPECT_THAT(refusal({"info", "nothing.pth"}), HasSubstr("cannot read nothing.pth"));
  EXPECT_THAT(
      refusal({"info", "."}),
      HasSubstr(".: expected a file of weights, or a folder with checkpoints/last.safetensors"));
  EXPECT_THAT(refusal({"convert", "a.safetensors", "b.onnx"}), HasSubstr(".safetensors or .pth"));
  EXPECT_THAT(refusal({"convert", golden("backbone_teacher.pth"), "b.pth", "--part", "all",
                       "backbone.heads=2"}),
              HasSubstr("expected a whole run"));
  EXPECT_THAT(refusal({"export", golden("backbone_teacher.pth"), "b.pt"}),
              HasSubstr("backbone.heads=N"));
}

/// Names and contents of files of every kind of attack.
std::vector<std::pair<std::string, std::string>> attacks() {
  using testing::little_endian;
  using testing::pickled;
  using testing::pickled_tensor;
  using testing::torch_zip;
  const auto tensors = [](const std::string& header, size_t bytes, uint64_t length = 0) {
    return little_endian<uint64_t>(length > 0 ? length : header.size()) + header +
           std::string(bytes, '\0');
  };
  const std::string floats(16, '\0');
  std::string lists = "(]q" + std::string(1, '\0');
  for (int level = 0; level < 40; ++level) {
    lists += "](";
    for (int i = 0; i < 10; ++i) lists += "h" + std::string(1, '\0');
    lists += "eq" + std::string(1, '\0');
  }
  return {
      {"huge_header", tensors("{}", 0, UINT64_MAX)},
      {"long_header", tensors("{}", 0, 99'000'000)},
      {"deep_header", tensors(std::string(100'000, '['), 0)},
      {"deep_object", tensors("{\"a\":" + std::string(100'000, '['), 0)},
      {"overlap", tensors(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},)"
                          R"("b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})",
                          16)},
      {"hole", tensors(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8)},
      {"twice", tensors(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                        R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                        4)},
      {"overflow", tensors(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],)"
                           R"("data_offsets":[0,0]}})",
                           0)},
      {"large_shape", tensors(R"({"a":{"dtype":"F32","shape":[1000000000000],)"
                              R"("data_offsets":[0,4000000000000]}})",
                              16)},
      {"not_utf8",
       tensors("{\"\xff\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4)},
      {"trailing", tensors(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 9)},
      {"execute", torch_zip("cos\nsystem\n" + pickled("touch executed") + "\x85R")},
      {"reduce", torch_zip("cbuiltins\neval\n" + pickled("1") + "\x85R")},
      {"compressed", torch_zip("N", {}, {.method = 8})},
      {"zip_size", torch_zip(pickled_tensor({4}, {1}, 4), {floats}, {.more_bytes = 2'000'000'000})},
      {"zip64_size", torch_zip(pickled_tensor({4}, {1}, 4), {floats},
                               {.more_bytes = 2'000'000'000, .zip64 = true})},
      {"storage_size", torch_zip(pickled_tensor({4}, {1}, int64_t{1} << 40), {floats})},
      {"tensor_size", torch_zip(pickled_tensor({int64_t{1} << 40}, {0}, 4), {floats})},
      {"text_size", torch_zip("X\xff\xff\xff\x7f")},
      {"memo_index", torch_zip("Nr\xff\xff\xff\xff"
                               "0")},
      {"shared_lists", torch_zip(lists + "t")},
      {"nested", torch_zip(std::string(900'000, ']') + std::string(899'999, 'a'))},
      {"stack", torch_zip(std::string(3'000'000, 'N'))},
      {"marks", torch_zip(std::string(3'000'000, '('))},
      {"legacy",
       std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9"
                   "\x03.",
                   21) +
           "}." + pickled_tensor({4}, {1}, 1 << 30) + ".](" + pickled("0") + "e." +
           little_endian<int64_t>(1 << 30)},
      {"empty", ""},
      {"text", "hello"},
      {"pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"},
      {"page", "<!DOCTYPE html><html>Quota exceeded</html>"},
      {"index.json", R"({"metadata": {}, "weight_map": {}})"},
      {"model.onnx", "\x08\x07\x12\x07pytorch"},
      {"global_names", torch_zip("(" +
                                 [] {
                                   std::string names = "\x8c\xff" + std::string(255, 'm') +
                                                       "\x94\x8c\xff" + std::string(255, 'n') +
                                                       "\x94";
                                   for (int i = 0; i < 200'000; ++i)
                                     names += std::string("h\0h\1\x93", 5) + "0";
                                   return names;
                                 }() +
                                 "t")},
      {"objects", torch_zip("(c" + std::string(200, 'm') + "\n" + std::string(200, 'n') + "\nq" +
                            std::string(1, '\0') +
                            [] {
                              std::string calls;
                              for (int i = 0; i < 100'000; ++i)
                                calls += std::string("h\0)R", 4) + "}NNs0" + "0";
                              return calls;
                            }() +
                            "t")},
  };
}

// A sanitizer keeps what is freed and much of its own: then memory tells nothing of the program.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsMeasurable = false;
#else
constexpr bool kMemoryIsMeasurable = true;
#endif

TEST_F(IbotModelRefusal, RefusesEveryAttackWithoutTakingMemory) {
  const auto peak_of = [&](const std::string& file) {
    const auto result = run({"info", file, "--threads", "1"});
    struct rusage usage {};
    getrusage(RUSAGE_CHILDREN, &usage);  // the largest child so far
    return std::pair{result, usage.ru_maxrss};
  };
  write_checkpoint();
  const auto usual = peak_of("a.safetensors").second;
  for (const auto& [name, bytes] : attacks()) {
    SCOPED_TRACE(name);
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    const auto [result, peak] = peak_of(name);
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_THAT(result.err, AllOf(StartsWith("error: "), HasSubstr(name)));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    // The values of a pickle, of which there may be 2^18, take some 30 MB; nothing else takes more
    // than the file's own size.
    if (kMemoryIsMeasurable) {
      EXPECT_LT(peak - usual, (48 << 10) + static_cast<int64_t>(bytes.size() >> 10)) << "kilobytes";
    }
    EXPECT_FALSE(std::filesystem::exists(folder_ / "executed"));
  }
}

}  // namespace
}  // namespace ibot
