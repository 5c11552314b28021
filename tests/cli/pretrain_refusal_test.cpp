// Requests that ibot-train cannot fulfil: one line, status 2, nothing written.
#include <fstream>

#include "cli/pretrain_folder.h"

namespace ibot::testing {
namespace {

class PretrainRefusal : public PretrainFolder {
 protected:
  void expect_refusal(const Words& words, const std::string& reason,
                      const std::string& output = "run") const {
    SCOPED_TRACE(words.empty() ? output : words[0]);
    expect_failure(train(output, words), 2, reason);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
  }
};

TEST_F(PretrainRefusal, OfImagesThatAreNotThere) {
  std::filesystem::create_directories(folder_ / "empty");
  std::filesystem::create_directories(folder_ / "hollow/class");
  expect_refusal({"data.path="}, "data.path: expected the root of an image folder, got nothing");
  expect_refusal({"data.path=nowhere"}, "expected a folder, found nothing at nowhere");
  expect_refusal({"data.path=empty"}, "expected images below empty, found none");
  expect_refusal({"data.path=hollow"}, "expected images below hollow, found none");
  expect_refusal({"train.batch_size=17"}, "train.batch_size: expected at most the 16 images");
  expect_refusal(
      {"eval.path=nowhere"},
      "eval.path: nowhere: expected a folder with train/ and val/, found nothing; check the path");
  expect_refusal({"eval.path=set", "eval.k=17"},
                 "eval.k: expected at most the 16 training images, got 17");
}

TEST_F(PretrainRefusal, OfValuesThatDoNotFit) {
  expect_refusal({"augment.global_size=18"},
                 "augment.global_size: expected a multiple of backbone.patch_size 4, got 18");
  expect_refusal({"augment.local_size=10"},
                 "augment.local_size: expected a multiple of backbone.patch_size 4, got 10");
  expect_refusal({"backbone.arch=vit_tinny"}, "swin_tiny; got vit_tinny");
}

TEST_F(PretrainRefusal, OfWhatTheDeviceCannotDo) {
  ::setenv("CUDA_VISIBLE_DEVICES", "", 1);
  expect_refusal({"train.precision=fp16"},
                 "train.precision: expected fp32 or bf16 on the CPU, got fp16");
  expect_refusal({"train.device=cuda"}, "train.device: expected a usable GPU for cuda, found none");
  ::unsetenv("CUDA_VISIBLE_DEVICES");
}

TEST_F(PretrainRefusal, OfRanksThatNobodyStarted) {
  ::setenv("WORLD_SIZE", "2", 1);
  expect_refusal({}, "RANK: expected a number, found no such variable");
  ::unsetenv("WORLD_SIZE");
}

// Every rank refuses it; one line is enough.
TEST_F(PretrainRefusal, OfWhatNoRankCanDo) {
  expect_refusal({"--nproc", "3", "data.path=nowhere"}, "found nothing at nowhere");
  expect_refusal({"--nproc", "0"}, "ibot-train: --nproc: ");
}

// A file in the way stops even the superuser.
TEST_F(PretrainRefusal, OfAnOutputThatCannotBeWritten) {
  std::ofstream(folder_ / "file") << "mine";
  expect_refusal({}, "file: cannot create the folder: Not a directory", "file");
  expect_refusal({}, "file/run: cannot create the folder: Not a directory", "file/run");
  EXPECT_EQ(text("file"), "mine");
}

}  // namespace
}  // namespace ibot::testing
