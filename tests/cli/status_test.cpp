// One exit status for one kind of refusal, in every program: 2 for what the user named and can
// mend, told before any work is done.
#include <fstream>

#include "cli/pretrain_folder.h"
#include "support/temporary_folder.h"

namespace ibot::testing {
namespace {

using ::testing::HasSubstr;

struct Case {
  std::string program;
  std::vector<std::string> words;
  std::string reason;
};

class ExitStatus : public PretrainFolder {
 protected:
  void SetUp() override {
    PretrainFolder::SetUp();
    finish("run", {"train.max_steps=1"});
    std::filesystem::copy_file(last("run"), folder_ / "w.safetensors");
    std::ofstream(folder_ / "file") << "mine";
    std::filesystem::create_directory(folder_ / "empty");
    inputs_ = entries_in(folder_);
  }

  /// The last line is the error; nothing was computed, and no file or folder is new.
  void expect_refused(const Case& refused) const {
    std::string shown = refused.program;
    for (const auto& word : refused.words) shown += " " + word;
    SCOPED_TRACE(shown);
    const auto result = run(refused.program, refused.words);
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_EQ(result.out, "");
    const auto line = result.err.rfind("error: ");
    ASSERT_NE(line, std::string::npos) << result.err;
    EXPECT_EQ(result.err.find('\n', line), result.err.size() - 1) << result.err;
    EXPECT_THAT(result.err.substr(line), HasSubstr(refused.reason));
    EXPECT_THAT(result.err, ::testing::Not(HasSubstr("images/s")));
    // stdout.txt and stderr.txt are the test's own.
    EXPECT_EQ(entries_in(folder_), inputs_) << "left something behind";
    EXPECT_EQ(text("file"), "mine");
  }

  static Words eval(const std::string& task, const Words& more) {
    Words words{task, "--threads", "1", "--device", "cpu"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  /// With weights and options that would do, and images of `set`.
  static Words full(const std::string& task, const Words& more, const std::string& set = "set") {
    auto words = eval(task, {"--weights", "w.safetensors", "--data", set, "eval.k=[1]",
                             "linear.batch_size=4", "linear.epochs=1", "finetune.precision=fp32",
                             "finetune.batch_size=4", "transform.size=16"});
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  size_t inputs_ = 0;
};

TEST_F(ExitStatus, OfArgumentsAndKeysIsTwo) {
  for (const char* program : {"ibot-train", "ibot-eval", "ibot-data", "ibot-model", "ibot-bench"}) {
    expect_refused({program, {"--nosuch"}, "--nosuch"});
  }
  expect_refused({"ibot-train", train_words("out", {"optim.nosuch=1"}), "optim.nosuch"});
  expect_refused({"ibot-eval", full("knn", {"eval.nosuch=1"}), "eval.nosuch"});
  expect_refused({"ibot-eval", full("nosuch", {}), "nosuch"});
  expect_refused({"ibot-data", {"synth", "new", "nosuch=1"}, "the keys are classes, "});
  expect_refused({"ibot-model", {"convert", "w.safetensors", "o.pth", "optim.nosuch=1"}, "nosuch"});
  expect_refused({"ibot-bench", {"step", "optim.nosuch=1"}, "optim.nosuch"});
  expect_refused({"ibot-data", {"info", "set/train", "--workers", "-1"}, "--workers"});
  expect_refused({"ibot-data", {"pack", "set/train", "new", "--workers", "0"}, "--workers"});
  expect_refused({"ibot-bench", {"knn", "--rows", "0"}, "--rows"});
  expect_refused({"ibot-bench", {"knn", "--rows", "10", "--k", "11"}, "--k: expected at most"});
}

TEST_F(ExitStatus, OfInputsThatAreMissingOrDoNotFitIsTwo) {
  for (const char* weights : {"none.pth", "file", "empty"}) {
    expect_refused({"ibot-eval", eval("knn", {"--weights", weights, "--data", "set"}), weights});
    expect_refused({"ibot-model", {"info", weights}, weights});
    expect_refused({"ibot-model", {"convert", weights, "o.pth"}, weights});
    expect_refused({"ibot-model", {"export", weights, "o.pt"}, weights});
    expect_refused({"ibot-train", train_words("out", {"--init-from", weights}), weights});
    expect_refused({"ibot-train", train_words("out", {"--resume", weights}), weights});
  }
  expect_refused({"ibot-eval", full("knn", {"backbone.depth=3"}), "blocks.2"});
  expect_refused({"ibot-train",
                  train_words("out", {"backbone.depth=3", "--init-from", "w.safetensors"}),
                  "blocks.2"});
  expect_refused(
      {"ibot-model", {"export", "w.safetensors", "o.pt", "backbone.depth=3"}, "blocks.2"});
  for (const char* images : {"nowhere", "file", "empty"}) {
    expect_refused(
        {"ibot-train", train_words("out", {std::string("data.path=") + images}), images});
    for (const char* task : {"knn", "finetune", "retrieval", "copy", "video"}) {
      expect_refused({"ibot-eval", full(task, {"--output", "out"}, images), images});
    }
    for (const char* command : {"info", "verify"}) {
      expect_refused({"ibot-data", {command, images}, images});
    }
    expect_refused({"ibot-data", {"pack", images, "new"}, images});
    expect_refused({"ibot-bench", {"data", images}, images});
  }
  expect_refused({"ibot-eval", full("knn", {"eval.k=[17]"}), "at least 17 training images"});
  expect_refused({"ibot-eval", full("kmeans", {"kmeans.clusters=9"}), "at least 9 test images"});
  expect_refused({"ibot-eval", eval("knn", {"--load-features", "empty"}), "trainfeat.pth"});
}

TEST_F(ExitStatus, OfOutputsThatCannotBeWrittenIsTwo) {
  for (const std::string output : {"file", "file/below", "/proc/below"}) {
    expect_refused({"ibot-train", train_words(output), output});
    expect_refused({"ibot-train", train_words(output, {"--dry-run"}), output});
    for (const char* task : {"knn", "linear", "finetune"}) {
      expect_refused({"ibot-eval", full(task, {"--output", output}), output});
    }
    expect_refused({"ibot-eval", full("knn", {"--cache", output}), output});
    expect_refused({"ibot-eval", full("knn", {"--dump-features", output}), output});
    expect_refused({"ibot-data", {"pack", "set/train", output}, output});
    expect_refused({"ibot-data", {"synth", output, "classes=2"}, output});
  }
  for (const std::string output : {"file/o", "/proc/o", "none/o"}) {
    expect_refused({"ibot-model", {"convert", "w.safetensors", output + ".pth"}, output});
    expect_refused({"ibot-model", {"export", "w.safetensors", output + ".pt"}, output});
    expect_refused({"ibot-bench", {"listing", output}, output});
  }
  expect_refused({"ibot-data", {"pack", "set/train", "set"}, "expected an empty folder"});
  expect_refused({"ibot-data", {"synth", "set"}, "expected a new or empty folder"});
  expect_refused({"ibot-model", {"convert", "w.safetensors", "w.safetensors"}, "another file"});
}

TEST_F(ExitStatus, OfWhatFailsInItsMidstIsOne) {
  std::filesystem::resize_file(folder_ / "set/train/tint_00/0003.jpg", 100);
  std::filesystem::resize_file(folder_ / "set/val/tint_00/0001.jpg", 100);
  for (const char* task : {"knn", "linear", "kmeans", "logistic", "finetune"}) {
    EXPECT_EQ(run("ibot-eval", full(task, {})).status, 1) << task;
  }
  EXPECT_EQ(train("strict", {"data.max_bad_share=0"}).status, 1);
  EXPECT_EQ(run("ibot-data", {"verify", "set/train"}).status, 1);
  EXPECT_EQ(run("ibot-bench", {"data", "set/train", "data.max_bad_share=0"}).status, 1);
}

}  // namespace
}  // namespace ibot::testing
