#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "config/parsing.h"
#include "ibot/base/rng.h"

namespace ibot::config {
namespace {

TEST(YamlRefusal, UnknownKeysSuggestTheNearest) {
  EXPECT_EQ(refusal("mask:\n  shape: rand\n  ration: 0.3\n"),
            "mask.ration: unknown key; did you mean mask.ratio? (run.yaml:3)");
  EXPECT_EQ(refusal("train: {lr: 0.1}"),
            "train.lr: unknown key; did you mean optim.lr? (run.yaml:1)");
  EXPECT_EQ(refusal("optm: {lr: 0.1}"), "optm: unknown section; did you mean optim? (run.yaml:1)");
  EXPECT_EQ(refusal("\nteacher_temp: 0.1"),
            "teacher_temp: unknown section; did you mean loss.teacher_temp? (run.yaml:2)");
  EXPECT_EQ(refusal("optim.lr: 0.1"),
            "optim.lr: a file nests keys; write optim: {lr: ...} (run.yaml:1)");
  EXPECT_EQ(refusal("xyzzy: {lr: 0.1}"),
            "xyzzy: unknown section; --print-config lists all keys (run.yaml:1)");
  EXPECT_EQ(override_refusal("train.weight_deacy=1"),
            "train.weight_deacy: unknown key; did you mean optim.weight_decay? (command line)");
  EXPECT_EQ(override_refusal("lr=1"),
            "lr: unknown key; did you mean optim.lr or linear.lr? (command line)");
  EXPECT_EQ(override_refusal("optim.lr"),
            "optim.lr: expected section.key=value, without spaces around = (command line)");
  EXPECT_EQ(override_refusal("=1e-3"),
            "=1e-3: expected section.key=value, without spaces around = (command line)");
}

TEST(YamlRefusal, NothingIsStatedTwice) {
  EXPECT_EQ(refusal("optim:\n  lr: 1\n  min_lr: 1\n  lr: 2\n"),
            "optim.lr: stated twice (run.yaml:4)");
  EXPECT_EQ(refusal("optim: {lr: 1}\noptim: {min_lr: 2}\n"),
            "optim: section stated twice (run.yaml:2)");
}

TEST(YamlRefusal, TypesAreStrict) {
  EXPECT_EQ(refusal("train:\n  epochs: 1.5\n"),
            "train.epochs: expected an integer, got 1.5 (run.yaml:2)");
  EXPECT_EQ(refusal("train: {epochs: \"10\"}"),
            "train.epochs: expected an integer, got \"10\" (run.yaml:1)");
  EXPECT_EQ(refusal("train: {epochs: }"),
            "train.epochs: expected an integer, got nothing (run.yaml:1)");
  EXPECT_EQ(refusal("optim: {lr: fast}"), "optim.lr: expected a number, got fast (run.yaml:1)");
  EXPECT_EQ(refusal("optim: {lr: [1]}"),
            "optim.lr: expected a number, got a list of 1 (run.yaml:1)");
  EXPECT_EQ(refusal("head: {shared: 1}"),
            "head.shared: expected true or false, got 1 (run.yaml:1)");
  EXPECT_EQ(refusal("augment: {global_scale: [0.1, 0.5, 1]}"),
            "augment.global_scale: expected a list of 2 numbers, got a list of 3 (run.yaml:1)");
  EXPECT_EQ(refusal("mask: {shape: blok}"),
            "mask.shape: expected block | rand, got blok; did you mean block? (run.yaml:1)");
  EXPECT_EQ(refusal("data: {path: [a]}"), "data.path: expected text, got a list of 1 (run.yaml:1)");
  EXPECT_EQ(refusal("mask: 3"), "mask: expected keys, got 3 (run.yaml:1)");
  EXPECT_EQ(override_refusal("train.epochs=ten"),
            "train.epochs: expected an integer, got ten (command line)");
}

TEST(YamlRefusal, NumbersAreFiniteAndFit) {
  for (const char* number : {"nan", "inf", "-inf", "1e999", ".inf", ".nan", "0x10", "1_000"}) {
    EXPECT_EQ(override_refusal(std::string("optim.lr=") + number),
              std::string("optim.lr: expected a number, got ") + number + " (command line)");
  }
  EXPECT_EQ(override_refusal("train.epochs=9223372036854775808"),
            "train.epochs: expected an integer, got 9223372036854775808 (command line)");
}

TEST(YamlRefusal, RangesNameFileLineAndKey) {
  EXPECT_EQ(refusal("mask:\n  ratio: 1.2\n  ratio_var: 0\n"),
            "mask.ratio: expected [0, 1), got 1.2 (run.yaml:2)");
  EXPECT_EQ(refusal("optim: {lr: 1}", {"optim.lr=-1"}),
            "optim.lr: expected above 0, got -1 (command line)");
  EXPECT_EQ(
      refusal("mask:\n  ratio: [0, 0.1, 0.2]\n"),
      "mask.ratio_var: expected one number, or one for each of the 3 ratios, got 2 (default)");
}

TEST(YamlRefusal, CropsAreWholeNumbersOfPatches) {
  EXPECT_EQ(refusal("augment:\n  global_size: 220\n"),
            "augment.global_size: expected a multiple of backbone.patch_size 16, got 220; "
            "set augment.global_size=224 (run.yaml:2)");
  EXPECT_EQ(refusal("augment: {local_size: 100}"),
            "augment.local_size: expected a multiple of backbone.patch_size 16, got 100; "
            "set augment.local_size=112 (run.yaml:1)");
  EXPECT_EQ(refusal("augment: {local_size: 100, local_crops: 0}"), "");
  RunConfig config;
  config.augment.global_size = 220;
  EXPECT_THROW(validate(config), OptionError);
}

TEST(YamlRefusal, SwinNeedsItsPatchSizeAndWholeMaskCells) {
  EXPECT_EQ(refusal("", {"backbone.arch=swin_tiny"}),
            "backbone.patch_size: expected 4 with swin_tiny, got 16; set backbone.patch_size=4 "
            "(default)");
  const std::string swin = "backbone: {arch: swin_tiny, patch_size: 4}\n";
  EXPECT_EQ(refusal(swin), "");
  EXPECT_EQ(refusal(swin + "augment: {local_size: 100}"), "");
  EXPECT_EQ(refusal(swin + "mask: {views: all}"), "");
  EXPECT_EQ(refusal(swin + "mask: {views: all}\naugment: {local_size: 100}"),
            "augment.local_size: expected a multiple of 32, the pixels of an output token of "
            "swin_tiny, got 100 (run.yaml:3)");
  EXPECT_EQ(refusal(swin + "augment: {global_size: 240}"),
            "augment.global_size: expected a multiple of 32, the pixels of an output token of "
            "swin_tiny, got 240 (run.yaml:2)");
}

TEST(YamlRefusal, CropsWhosePatchesLearnExist) {
  EXPECT_EQ(
      refusal("mask: {views: all}\naugment: {local_crops: 0}\n"),
      "mask.views: expected global or first_global without local crops, got all (run.yaml:1)");
  EXPECT_EQ(refusal("mask: {pairs: position, ratio: 0, ratio_var: 0}\n"
                    "augment: {global_crops: 3}\n"),
            "augment.global_crops: expected 2 with mask.pairs position, got 3 (run.yaml:2)");
  EXPECT_EQ(refusal("mask: {pairs: feature}\n"),
            "mask.ratio: expected 0 with mask.pairs feature, which compares patches that are not "
            "masked, got 0.3 (default)");
  EXPECT_EQ(refusal("mask: {pairs: feature, ratio: 0, ratio_var: 0, views: all}\n"),
            "mask.views: expected global with mask.pairs feature, got all (run.yaml:1)");
  EXPECT_EQ(refusal("mask: {pairs: position, ratio: 0, ratio_var: 0}\n"), "");
  EXPECT_EQ(refusal("mask: {views: all}\n"), "");
}

TEST(YamlRefusal, SectionsOfOtherProgramsAreCheckedToo) {
  try {
    parse_config<OtherConfig>("second: {integer: 100}", "other.yaml");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "second.integer: expected below 100 (other.yaml:1)");
  }
}

TEST(YamlRefusal, DocumentsAreBounded) {
  EXPECT_EQ(refusal("a: &x 1\n"), "run.yaml:1: anchors are not supported; write the value out");
  EXPECT_EQ(refusal("optim: {lr: *x}\n").rfind("run.yaml:1: ", 0), 0u);
  EXPECT_EQ(refusal("optim:\n  lr: !!str 1\n").rfind("run.yaml:2: tags are not supported", 0), 0u);
  EXPECT_EQ(refusal("optim: {lr: 1}\n---\noptim: {lr: 2}\n"),
            "run.yaml:2: expected one document, got a second");
  EXPECT_EQ(refusal("mask: {ratio: [[[[[[[[[[1]]]]]]]]]]}"),
            "run.yaml:1: expected at most 8 levels of nesting");
  EXPECT_EQ(refusal(std::string((1 << 20) + 1, '#')),
            "run.yaml:1: expected at most 1 MB, got 1048577 bytes");
  EXPECT_EQ(refusal(std::string(1 << 20, '[')).rfind("run.yaml:1: ", 0), 0u);
  EXPECT_EQ(refusal("? [a]\n: 1\n"), "run.yaml:1: expected a key, got a list of 1");
}

TEST(YamlRefusal, GarbageIsOneClearLine) {
  EXPECT_EQ(refusal("- a\n- b\n"),
            "run.yaml:1: expected sections such as data: {...}, got a list of 2");
  EXPECT_EQ(refusal("hello"), "run.yaml:1: expected sections such as data: {...}, got hello");
  EXPECT_EQ(refusal("a: 1\nb: \xff\n"), "run.yaml:2: expected YAML in UTF-8, got byte 255");
  EXPECT_EQ(refusal(std::string("a\0b", 3)), "run.yaml:1: expected YAML in UTF-8, got byte 0");
  EXPECT_EQ(refusal("\x89PNG\r\n"), "run.yaml:1: expected YAML in UTF-8, got byte 137");
  for (const char* text : {"optim: {lr: 1", "optim: [", "a: b: c", "\"", "optim:\n\t- x", "@"}) {
    const std::string message = refusal(text);
    EXPECT_EQ(message.rfind("run.yaml:", 0), 0u) << text << ": " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << text;
  }
}

TEST(YamlRefusal, MessagesStayShort) {
  EXPECT_EQ(refusal("train: {epochs: \"a\\nb\"}"),
            "train.epochs: expected an integer, got \"a b\" (run.yaml:1)");
  EXPECT_LT(refusal("train: {epochs: " + std::string(100000, 'x') + "}").size(), 200u);
  EXPECT_LT(refusal(std::string(1000, 'x') + ": 1").size(), 200u);
}

// Whatever happens to a file, it is read or refused with one line.
TEST(YamlRefusal, DamageNeverDoesMore) {
  const std::string text = write_config(RunConfig{});
  constexpr std::string_view kBytes = "{}[]:,-#&*!|>'\"%@`? \n\t~=<a1.\xc3\xff";
  Rng rng(1, 0, 0, 0);
  int refused = 0;
  for (int i = 0; i < 500; ++i) {
    std::string damaged = text;
    for (uint64_t edit = rng.index(4) + 1; edit > 0; --edit) {
      damaged[rng.index(damaged.size())] = kBytes[rng.index(kBytes.size())];
    }
    if (rng.index(4) == 0) damaged.resize(rng.index(damaged.size()));
    const std::string message = refusal(damaged);
    refused += message.empty() ? 0 : 1;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
  EXPECT_GT(refused, 100);
}

TEST(YamlRefusal, FilesMustExist) {
  try {
    read_config<RunConfig>("/nonexistent/run.yaml");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "/nonexistent/run.yaml: expected a YAML file, found none");
  }
  EXPECT_THROW(read_config<RunConfig>(std::filesystem::temp_directory_path()), ConfigError);
}

}  // namespace
}  // namespace ibot::config
