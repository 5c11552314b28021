#include "ibot/config/yaml.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "ibot/base/rng.h"
#include "ibot/config/run_config.h"
#include "ibot/models/swin_transformer.h"
#include "ibot/models/vision_transformer.h"

namespace ibot::config {
namespace {

RunConfig parsed(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return parse_config<RunConfig>(text, "run.yaml", overrides);
}

// The message of the refusal; empty when there was none.
std::string refusal(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    parsed(text, overrides);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return {};
}

std::string override_refusal(const std::string& assignment) { return refusal("", {assignment}); }

enum class Color { kOff, kInk };

struct EveryType {
  Color color = Color::kInk;
  bool flag = true;
  int64_t integer = -3;
  double number = 0.1;
  std::string text = "plain";
  std::vector<int64_t> integers{1, 2};
  std::vector<double> numbers{1e-7};
  std::vector<std::string> words{"one", "two words"};
  std::array<double, 2> pair{0.5, 1};
  std::array<double, 3> triple{1, 2, 3};

  template <class Visitor>
  void fields(Visitor&& field) {
    field("color", color, "an enumerator");
    field("flag", flag, "yes or no");
    field("integer", integer, "a whole number");
    field("number", number, "any number");
    field("text", text, "words");
    field("integers", integers, "some whole numbers");
    field("numbers", numbers, "some numbers");
    field("words", words, "some words");
    field("pair", pair, "two numbers");
    field("triple", triple, "three numbers");
  }
  void validate() const { check_option(integer < 100, "integer", "expected below 100"); }
};

// A struct of another program, unknown to the library.
struct OtherConfig {
  EveryType first;
  EveryType second;

  template <class Visitor>
  void sections(Visitor&& section) {
    section("first", first);
    section("second", second);
  }
};

}  // namespace
}  // namespace ibot::config

template <>
struct ibot::EnumNames<ibot::config::Color> {
  static constexpr std::array<std::pair<config::Color, std::string_view>, 2> values{
      {{config::Color::kOff, "off"}, {config::Color::kInk, "ink"}}};
};

namespace ibot::config {
namespace {

TEST(Yaml, EmptyTextGivesDefaults) {
  const std::string defaults = write_config(RunConfig{});
  for (const char* text : {"", "\n", "# only a comment\n", "---\n", "data:\n", "data: {}\n"}) {
    EXPECT_EQ(write_config(parsed(text)), defaults) << text;
  }
}

TEST(Yaml, FileWinsOverDefaultsAndOverridesOverTheFile) {
  const std::string text = "optim: {lr: 0.25, min_lr: 0.5}\n";
  const RunConfig config = parsed(text, {"optim.lr=0.75", "optim.lr=0.125"});
  EXPECT_EQ(config.optim.lr, 0.125);
  EXPECT_EQ(config.optim.min_lr, 0.5);
  EXPECT_EQ(config.optim.clip_grad, 3.0);
}

TEST(Yaml, ReadsEveryTypeInBlockAndFlowStyle) {
  const auto config = parse_config<OtherConfig>(
      "first:\n"
      "  color: off\n"
      "  flag: OFF\n"
      "  integer: 42\n"
      "  number: 5e-4\n"
      "  text: 'a: b # c'\n"
      "  integers:\n  - 7\n  - -8\n"
      "  numbers: 0.3\n"
      "  words: [knn, 'a, b']\n"
      "  pair: [0.25, 1]\n"
      "second: {flag: on, integers: [], triple: [.5, 1., 2]}\n",
      "run.yaml");
  EXPECT_EQ(config.first.color, Color::kOff);
  EXPECT_FALSE(config.first.flag);
  EXPECT_EQ(config.first.integer, 42);
  EXPECT_EQ(config.first.number, 5e-4);
  EXPECT_EQ(config.first.text, "a: b # c");
  EXPECT_EQ(config.first.integers, (std::vector<int64_t>{7, -8}));
  EXPECT_EQ(config.first.numbers, std::vector<double>{0.3});
  EXPECT_EQ(config.first.words, (std::vector<std::string>{"knn", "a, b"}));
  EXPECT_EQ(config.first.pair, (std::array<double, 2>{0.25, 1}));
  EXPECT_TRUE(config.second.flag);
  EXPECT_TRUE(config.second.integers.empty());
  EXPECT_EQ(config.second.triple, (std::array<double, 3>{0.5, 1, 2}));
}

TEST(Yaml, OverridesTakeTheSameForms) {
  const auto config =
      parse_config<OtherConfig>("", "",
                                {"first.color=off", "first.flag=off", "first.integer=-9",
                                 "first.number=1e-3", "first.integers=[4, 5]", "first.numbers=0.7",
                                 "first.words=knn", "second.words=[]", "first.pair=[0, 1]"});
  EXPECT_EQ(config.first.color, Color::kOff);
  EXPECT_FALSE(config.first.flag);
  EXPECT_EQ(config.first.integer, -9);
  EXPECT_EQ(config.first.number, 1e-3);
  EXPECT_EQ(config.first.integers, (std::vector<int64_t>{4, 5}));
  EXPECT_EQ(config.first.numbers, std::vector<double>{0.7});
  EXPECT_EQ(config.first.words, std::vector<std::string>{"knn"});
  EXPECT_TRUE(config.second.words.empty());
  EXPECT_EQ(config.first.pair, (std::array<double, 2>{0, 1}));
}

// A shell has quotes of its own; a path must not need a second pair inside them.
TEST(Yaml, OverridesTakeTextAsItIs) {
  for (const char* text : {"", "a b", "*.tar", "x: y #z", "&a", "{0..3}.tar", "a=b", "[x", "123"}) {
    EXPECT_EQ(parsed("", {std::string("data.path=") + text}).data.path, text);
  }
  EXPECT_EQ(parsed("", {"data.path=\"a\\tb\""}).data.path, "a\tb");
}

TEST(Yaml, WritingReadsBackToTheBit) {
  OtherConfig config;
  config.first = {Color::kOff, false, INT64_MIN,       0.1 + 0.2,       "null",
                  {},          {},    {"off", "a\"b"}, {1e300, 5e-324}, {}};
  config.first.triple = {-0.0, 1.0 / 3, 123456789012345678.0};
  config.second.text = "quote \" slash \\ tab \t line \n bell \a ünï : # {}";
  config.second.numbers = {1e-6, 5e-4, 1e15, 1e16, 2.5, 3};
  const std::string yaml = write_config(config);
  const auto copy = parse_config<OtherConfig>(yaml, "copy.yaml");
  EXPECT_EQ(write_config(copy), yaml);
  EXPECT_EQ(copy.first.color, Color::kOff);
  EXPECT_EQ(copy.first.integer, INT64_MIN);
  EXPECT_EQ(copy.first.text, "null");
  EXPECT_EQ(copy.second.text, config.second.text);
  EXPECT_EQ(copy.first.number, config.first.number);
  EXPECT_EQ(copy.first.pair, config.first.pair);
  EXPECT_EQ(copy.second.numbers, config.second.numbers);
  EXPECT_EQ(std::memcmp(copy.first.triple.data(), config.first.triple.data(), 3 * sizeof(double)),
            0);
}

// YAML 1.1 readers, PyYAML among them, see a float only where there is a point.
TEST(Yaml, WritesNumbersWithAPoint) {
  OtherConfig config;
  config.first.numbers = {1, 0, 1e-6, 5e-4, 1e20};
  EXPECT_NE(write_config(config).find("numbers: [1.0, 0.0, 1.0e-06, 0.0005, 1.0e+20]"),
            std::string::npos);
}

TEST(Yaml, CommentsAreOptional) {
  EXPECT_NE(write_config(RunConfig{}).find("# decoding threads"), std::string::npos);
  const std::string bare = write_config(RunConfig{}, Comments::kNone);
  EXPECT_EQ(bare.find('#'), std::string::npos);
  EXPECT_EQ(write_config(parsed(bare)), write_config(RunConfig{}));
}

TEST(Yaml, DefaultFileIsWhatIsPrinted) {
  std::ifstream file(std::string(IBOT_SOURCE_DIR) + "/configs/default.yaml");
  std::ostringstream content;
  content << file.rdbuf();
  EXPECT_EQ(content.str(), write_config(RunConfig{}));
}

TEST(Yaml, ExplainsAKeyOrASection) {
  RunConfig config;
  config.optim.lr = 0.25;
  EXPECT_EQ(explain(config, "optim.lr"),
            "optim.lr\n"
            "  peak learning rate for 256 images; scaled by the global batch over 256\n"
            "  type     a number\n"
            "  default  0.0005\n"
            "  value    0.25\n");
  EXPECT_NE(explain(config, "mask.shape").find("type     block | rand"), std::string::npos);
  EXPECT_NE(explain(config, "data.workers").find("results  the same under every value"),
            std::string::npos);
  const std::string section = explain(config, "schedule");
  EXPECT_NE(section.find("schedule.warmup_epochs\n"), std::string::npos);
  EXPECT_NE(section.find("\nschedule.momentum_teacher\n"), std::string::npos);
  EXPECT_THROW(explain(config, "optim.lrr"), ConfigError);
}

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
  EXPECT_EQ(override_refusal("lr=1"), "lr: unknown key; did you mean optim.lr? (command line)");
  EXPECT_EQ(override_refusal("optim.lr"), "optim.lr: expected optim.lr=value (command line)");
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

TEST(Yaml, DepthAndHeadsAreOneNumberOrOneForEachStage) {
  const auto vit = parsed("backbone: {depth: 4}", {"backbone.heads=3"}).backbone;
  EXPECT_EQ(models::vit_shape(vit).depth, 4);
  EXPECT_EQ(models::vit_shape(vit).heads, 3);
  // Runs of earlier versions wrote 0 for the preset's.
  EXPECT_EQ(models::vit_shape(parsed("backbone: {depth: 0, heads: 0}").backbone).depth, 12);
  const auto swin =
      parsed("backbone: {arch: swin_tiny, patch_size: 4, heads: [3, 6]}", {"backbone.depth=[2, 4]"})
          .backbone;
  EXPECT_EQ(models::swin_shape(swin).size(), 2u);
  EXPECT_EQ(models::swin_shape(swin).back().depth, 4);
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
