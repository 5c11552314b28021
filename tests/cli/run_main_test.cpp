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

TEST(ConfigArguments, TellAKeyWithoutItsValue) {
  for (const auto& words :
       {std::vector<std::string>{"run.yaml", "optim.lr"}, {"run.yaml", "optim.lr", "=", "1e-3"}}) {
    try {
      split_config_arguments(words);
      FAIL();
    } catch (const ConfigError& error) {
      EXPECT_STREQ(error.what(),
                   "optim.lr: expected section.key=value, without spaces, got no value");
    }
  }
}

// What a shell makes of optim.lr={1e-3,2e-3} without quotes.
TEST(ConfigArguments, RefuseAKeyThatIsStatedTwice) {
  for (const auto& words :
       {std::vector<std::string>{"optim.lr=1e-3", "train.seed=1", "optim.lr=2e-3"},
        {"optim.lr,train.seed={[1, 2]}", "optim.lr=2e-3"}}) {
    try {
      split_config_arguments(words);
      FAIL();
    } catch (const ConfigError& error) {
      EXPECT_EQ(std::string(error.what()).rfind("optim.lr: stated twice, ", 0), 0u) << error.what();
      EXPECT_NE(std::string(error.what()).find("'optim.lr={a, b}'"), std::string::npos);
    }
  }
}

TEST(RunMain, TellsWhatHelpsWhereMemoryRunsOut) {
  const auto failed = [](const std::function<int()>& body) {
    return run_body([&] { return with_memory_remedy("fewer images help", body); });
  };
  const auto torch = failed([]() -> int {
    TORCH_CHECK(false,
                "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't "
                "allocate memory: you tried to allocate 1927372800 bytes. Error code 12");
  });
  EXPECT_EQ(torch.status, 1);
  EXPECT_EQ(torch.err, "error: out of memory: tried to allocate 1.8 GiB; fewer images help\n");
  const auto gpu = failed([]() -> int {
    TORCH_CHECK(false,
                "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity");
  });
  EXPECT_EQ(gpu.err, "error: out of memory: tried to allocate 20.00 MiB; fewer images help\n");
  EXPECT_EQ(failed([]() -> int { throw std::runtime_error("could not create a primitive"); }).err,
            "error: out of memory: the system or the GPU has no more; fewer images help\n");
  EXPECT_EQ(failed([]() -> int { throw std::bad_alloc(); }).status, 1);
  EXPECT_EQ(failed([]() -> int { throw Error("other"); }).err, "error: other\n");
}

}  // namespace
}  // namespace ibot::apps
