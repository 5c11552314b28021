// ibot-train's command line, as a user meets it.
#include <gtest/gtest.h>

#include <fstream>

#include "support/run_program.h"

namespace ibot::testing {
namespace {

std::string source_file(const std::string& path) {
  return std::string(IBOT_SOURCE_DIR) + "/" + path;
}

class IbotTrain : public ::testing::Test {
 protected:
  ProgramResult run(const std::vector<std::string>& words) {
    return run_program("ibot-train", words, folder_);
  }
  // The request is refused with exactly this line.
  void expect_refusal(const std::vector<std::string>& words, const std::string& message) {
    const auto result = run(words);
    EXPECT_EQ(result.status, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(result.err, "error: " + message + "\n");
  }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return name;
  }

  std::filesystem::path folder_ = test_folder();
};

TEST_F(IbotTrain, HelpGoesToStandardOutput) {
  const auto result = run({"--help"});
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.err, "");
  for (const char* option : {"--output", "--resume", "--print-config", "--explain", "--dry-run",
                             "--quiet", "--threads", "--log-level", "--version", "Exit status"}) {
    EXPECT_NE(result.out.find(option), std::string::npos) << option;
  }
}

TEST_F(IbotTrain, VersionNamesBothLibraries) {
  const auto result = run({"--version"});
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.out.rfind("ibot-train (ibot ", 0), 0u) << result.out;
  EXPECT_NE(result.out.find(", LibTorch "), std::string::npos);
}

TEST_F(IbotTrain, PrintsTheDefaultConfig) {
  const auto result = run({"--print-config"});
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.out, read_text(source_file("configs/default.yaml")));
  EXPECT_EQ(result.err, "");
}

TEST_F(IbotTrain, PrintedConfigRepeatsItself) {
  const auto first = run({source_file("configs/smoke/tiny.yaml"), "--print-config",
                          "data.path=/a b", "mask.ratio=0.25", "mask.ratio_var=0"});
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_NE(first.out.find("path: \"/a b\""), std::string::npos);
  EXPECT_NE(first.out.find("ratio: [0.25]"), std::string::npos);
  const auto second = run({write("config=1.yaml", first.out), "--print-config"});
  EXPECT_EQ(second.status, 0);
  EXPECT_EQ(second.out, first.out);
}

TEST_F(IbotTrain, ExplainsKeys) {
  const auto result = run({"optim.lr=0.25", "--explain", "optim.lr"});
  EXPECT_EQ(result.status, 0);
  EXPECT_NE(result.out.find("default  0.0005\n  value    0.25"), std::string::npos) << result.out;
  expect_refusal({"--explain", "finetune.lr"},
                 "finetune.lr: a key of ibot-eval; ibot-eval --explain finetune.lr");
  expect_refusal({"--explain", "optim.lrr"}, "optim.lrr: unknown key; did you mean optim.lr?");
}

TEST_F(IbotTrain, RefusesConfigsInOneLine) {
  const auto file = write("run.yaml", "mask:\n  ration: 0.3\n");
  expect_refusal({file, "--print-config"},
                 "mask.ration: unknown key; did you mean mask.ratio? (run.yaml:2)");
  expect_refusal({"--print-config", "optim.lr=-1"},
                 "optim.lr: expected above 0, got -1 (command line)");
  expect_refusal({"--print-config", "backbone.patch_size=0"},
                 "backbone.patch_size: expected above 0, got 0 (command line)");
  expect_refusal({"none.yaml", "--print-config"}, "none.yaml: expected a YAML file, found none");
  expect_refusal({"a.yaml", "b.yaml"},
                 "arguments: expected one config, got a.yaml and b.yaml; write what differs as "
                 "section.key=value");
}

TEST_F(IbotTrain, RefusesArgumentsInOneLine) {
  expect_refusal({"--ouput", "x"}, "ibot-train: unknown option --ouput; did you mean --output?");
  expect_refusal({"--print-confg"},
                 "ibot-train: unknown option --print-confg; did you mean --print-config?");
  expect_refusal({"--optim.lr=3"},
                 "ibot-train: unknown option --optim.lr; keys are written without dashes, as in "
                 "optim.lr=0.001");
  expect_refusal({"--zzzzzz"}, "ibot-train: unknown option --zzzzzz; see --help");
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"--threads", "0"}, {"--threads", "many"}, {"--output"}}) {
    const auto result = run(words);
    EXPECT_EQ(result.status, 2) << words[0];
    EXPECT_EQ(result.err.rfind("error: ibot-train: " + words[0] + ": ", 0), 0u) << result.err;
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
  }
}

TEST_F(IbotTrain, AFullDiskIsAFailure) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const std::string command = shell_quoted(std::string(IBOT_PROGRAM_DIR) + "/ibot-train") +
                              " --print-config >/dev/full 2>" +
                              shell_quoted((folder_ / "err").string());
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 1);
  EXPECT_EQ(read_text(folder_ / "err"), "error: standard output: writing failed\n");
}

}  // namespace
}  // namespace ibot::testing
