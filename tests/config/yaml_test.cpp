#include "ibot/config/yaml.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/parsing.h"
#include "ibot/models/swin_transformer.h"
#include "ibot/models/vision_transformer.h"

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

}  // namespace
}  // namespace ibot::config
