#include "common/run_main.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#include "common/arguments.h"
#include "ibot/base/error.h"

namespace ibot::apps {
namespace {

// Runs a program of two subcommands whose body is `body`; what it wrote to standard error.
struct Outcome {
  int status;
  std::string err;
};

Outcome run(std::vector<std::string> words, const std::function<int()>& body) {
  CLI::App app("A program for tests.", "ibot-test");
  app.add_subcommand("info", "first");
  app.add_subcommand("verify", "second");
  app.require_subcommand(1);
  words.insert(words.begin(), "ibot-test");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  ::testing::internal::CaptureStderr();
  const int status = run_main(app, static_cast<int>(argv.size()), argv.data(), body);
  return {status, ::testing::internal::GetCapturedStderr()};
}

Outcome run_body(const std::function<int()>& body) { return run({"info"}, body); }

TEST(RunMain, ReturnsWhatTheBodyReturns) {
  EXPECT_EQ(run_body([] { return 0; }).status, 0);
  EXPECT_EQ(run_body([] { return 143; }).status, 143);
  EXPECT_EQ(run_body([] { return 0; }).err, "");
}

TEST(RunMain, ErrorsBecomeOneLineAndAStatus) {
  const auto wrong = run_body([]() -> int { throw ConfigError("a.b: expected 1, got 2"); });
  EXPECT_EQ(wrong.status, 2);
  EXPECT_EQ(wrong.err, "error: a.b: expected 1, got 2\n");
  const auto failed = run_body([]() -> int { throw DataError("x.jpg: damaged"); });
  EXPECT_EQ(failed.status, 1);
  EXPECT_EQ(failed.err, "error: x.jpg: damaged\n");
  const auto other = run_body([]() -> int { throw std::runtime_error("two\nlines"); });
  EXPECT_EQ(other.status, 1);
  EXPECT_EQ(other.err, "error: two\n");
  EXPECT_EQ(run_body([]() -> int { throw std::bad_alloc(); }).status, 1);
}

TEST(RunMain, TorchErrorsLoseTheirStackTrace) {
  const auto result = run_body([]() -> int { TORCH_CHECK(false, "sizes differ"); });
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.err, "error: sizes differ\n");
}

TEST(RunMain, WhatAnInputLacksIsAWrongRequest) {
  const auto missing = run_body([] {
    return open_input([]() -> int { throw DataError("/none: expected a folder, found none"); });
  });
  EXPECT_EQ(missing.status, 2);
  EXPECT_EQ(missing.err, "error: /none: expected a folder, found none\n");
}

TEST(RunMain, SubcommandsTakeTheCommonOptions) {
  EXPECT_EQ(run({"info", "--log-level", "debug"}, [] { return 0; }).status, 0);
  EXPECT_EQ(run({"info", "--log-levl", "debug"}, [] { return 0; }).err,
            "error: ibot-test info: unknown option --log-levl; did you mean --log-level?\n");
}

TEST(RunMain, SuggestsSubcommands) {
  const auto result = run({"verfy"}, [] { return 0; });
  EXPECT_EQ(result.status, 2);
  EXPECT_EQ(result.err, "error: ibot-test: unexpected argument verfy; did you mean verify?\n");
  const auto none = run({}, [] { return 0; });
  EXPECT_EQ(none.status, 2);
  EXPECT_EQ(none.err, "error: ibot-test: a subcommand is required; see --help\n");
}

TEST(ConfigArguments, TellTheFileFromTheOverrides) {
  const auto arguments = split_config_arguments({"a.b=1", "run.yaml", "c.d=[1, 2]"});
  EXPECT_EQ(arguments.file, "run.yaml");
  EXPECT_EQ(arguments.overrides, (std::vector<std::string>{"a.b=1", "c.d=[1, 2]"}));
  EXPECT_FALSE(split_config_arguments({"a.b=1"}).file);
  EXPECT_THROW(split_config_arguments({"a.yaml", "b.yaml"}), ConfigError);
  EXPECT_THROW(split_config_arguments({"a.yaml", "optim.lr", "=", "1e-3"}), ConfigError);
}

}  // namespace
}  // namespace ibot::apps
