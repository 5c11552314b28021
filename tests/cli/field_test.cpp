// Inputs after public reports, in tests/field: what was once computed for something else, lost or
// refused for a false reason.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/pretrain_folder.h"
#include "support/run_program.h"

namespace ibot::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Field : public ::testing::Test {
 protected:
  using Words = std::vector<std::string>;

  static std::string file(const std::string& name) {
    return std::string(IBOT_SOURCE_DIR) + "/tests/field/" + name;
  }

  ProgramResult run(const std::string& program, const Words& words) const {
    return run_program(program, words, folder_);
  }

  ProgramResult evaluate(const std::string& task, const std::string& weights,
                         const std::string& data, const std::string& output,
                         const Words& more = {}) const {
    Words words{task, "--weights", file(weights), "--data", file(data), "--output", output};
    words.insert(words.end(), {"--device", "cpu", "--threads", "1"});
    words.insert(words.end(), more.begin(), more.end());
    return run("ibot-eval", words);
  }

  ProgramResult probe(const std::string& weights, const std::string& data,
                      const std::string& output) const {
    return evaluate("linear", weights, data, output, {"linear.epochs=2", "linear.batch_size=16"});
  }

  /// Two epochs, k-NN after each.
  ProgramResult train_on(const std::string& data, const std::string& output) const {
    return run("ibot-train",
               {std::string(IBOT_SOURCE_DIR) + "/configs/smoke/tiny.yaml",
                "data.path=" + file(data + "/train"), "eval.path=" + file(data),
                "eval.every_epochs=1", "eval.k=[5]", "--output", output, "--threads", "1"});
  }

  void expect_read(const std::string& weights) const {
    const auto told = run("ibot-model", {"info", file("w/" + weights)});
    EXPECT_EQ(told.status, 0) << weights << ": " << told.err;
    EXPECT_THAT(told.out, HasSubstr("30       107456")) << weights;
  }

  void expect_refused(const std::string& weights, const std::string& reason) const {
    const auto told = run("ibot-model", {"info", file("w/" + weights)});
    EXPECT_EQ(told.status, 2) << weights;
    EXPECT_THAT(told.err, HasSubstr(reason)) << weights;
  }

  std::filesystem::path folder_ = test_folder();
};

const std::string kWeights = "stale/W.safetensors";

TEST_F(Field, AProbeOfOtherWeightsOrImagesIsNotTakenUp) {
  EXPECT_THAT(probe("stale/zeroed.safetensors", "samenames/clean", "x").out, HasSubstr(" 50.00 "));
  const auto other_weights = probe(kWeights, "samenames/clean", "x");
  EXPECT_EQ(other_weights.status, 2);
  EXPECT_THAT(other_weights.err, HasSubstr("begun with other inputs: weights;"));
  EXPECT_THAT(probe(kWeights, "samenames/clean", "y").out, HasSubstr(" 100.00 "));
  const auto other_images = probe(kWeights, "base", "y");
  EXPECT_EQ(other_images.status, 2);
  EXPECT_THAT(other_images.err, HasSubstr("other inputs: images of train/, images of val/;"));
  EXPECT_THAT(probe(kWeights, "base", "z").out, HasSubstr(" 75.00 "));
}

TEST_F(Field, FeaturesOfOtherImagesAreNotTakenUp) {
  const std::vector<std::tuple<std::string, std::string, std::string>> tasks{
      {"knn", "10   100.00", "10    40.00"},
      {"logistic", "1   100.00", "1    45.00"},
      {"kmeans", "100.00   100.00", "55.00"},
      {"cluster", "95.00", "50.00"}};
  for (const auto& [task, clean, noise] : tasks) {
    EXPECT_THAT(evaluate(task, kWeights, "samenames/clean", task).out, HasSubstr(clean)) << task;
    const auto second = evaluate(task, kWeights, "samenames/noise", task);
    EXPECT_EQ(second.status, 0) << second.err;
    EXPECT_THAT(second.out, HasSubstr(noise)) << task;
  }
}

TEST_F(Field, ClassesOfARunsOwnKnnGoByName) {
  for (const std::string data : {"valsubset", "emptytrain"}) {
    const auto trained = train_on(data, data);
    EXPECT_EQ(trained.status, 0) << trained.err;
    EXPECT_THAT(trained.err, HasSubstr("top1_k5 100.00"));
    const auto alone = run("ibot-eval", {"knn", "--weights", data + "/checkpoints/last.safetensors",
                                         "--data", file(data), "eval.k=[5]", "--threads", "1"});
    EXPECT_THAT(alone.out, HasSubstr("5   100.00")) << alone.err;
  }
  const auto refused = train_on("valextra", "refused");
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("z has 4 test images but no training image"));
  EXPECT_THAT(refused.err, Not(HasSubstr("epoch 1")));
}

TEST_F(Field, GrayThatIsCutOffIsToldAndScaled) {
  for (const std::string data : {"u16tif", "u16png"}) {
    const auto told = run("ibot-data", {"verify", file("grey16/" + data + "/train")});
    EXPECT_EQ(told.status, 0);
    EXPECT_THAT(told.out, HasSubstr("gray of 16 bits: 100 % of pixels above 255")) << data;
  }
  EXPECT_THAT(run("ibot-data", {"info", file("grey16/i16tif/train")}).out,
              HasSubstr("% of pixels above 255, 5 % of pixels below 0"));
  const auto trained = train_on("grey16/u16png", "clipped");
  EXPECT_EQ(trained.status, 0) << trained.err;
  EXPECT_THAT(trained.err, HasSubstr("gray of more than 8 bits is clipped at 255 in"));
}

TEST_F(Field, RefusedImagesAreToldByTheirTrueReason) {
  const std::vector<std::tuple<std::string, std::string, std::string>> sets{
      {"tiff_alpha", "la_assoc.tif: ", "2 bands of 8-bit unsigned integers (min-is-black, premul"},
      {"multiband", "t_13ch.tif: ", "13 bands"}};
  for (const auto& [data, image, reason] : sets) {
    const auto told = run("ibot-data", {"verify", file(data)});
    EXPECT_EQ(told.status, 1);
    EXPECT_THAT(told.out, HasSubstr(image));
    EXPECT_THAT(told.out, HasSubstr(reason));
    EXPECT_THAT(told.out, HasSubstr("\n1 of ")) << "more than one damaged";
  }
}

TEST_F(Field, TheImageOfASampleIsTheOneOfItsKey) {
  const std::vector<std::tuple<std::string, std::string, std::string>> shards{
      {"depth", "JPEG 16\n", "left out 16 images of samples that have another: depth.png 16"},
      {"mask", "PNG 16\n", "mask.png 16"},
      {"seg", "JPEG 16\n", "seg.png 16"},
      {"stereo", "JPEG 32\n", "images with several dots in their names, each as a sample"},
      {"mac", "JPEG 16\n", "passed over 32 hidden names"}};
  for (const auto& [name, formats, note] : shards) {
    const auto shard = name + "-000.tar";
    std::filesystem::copy_file(file("shards/" + shard),
                               folder_ / shard);  // an index comes beside it
    const auto told = run("ibot-data", {"info", shard});
    EXPECT_EQ(told.status, 0) << name;
    EXPECT_THAT(told.out, HasSubstr(formats)) << name;
    EXPECT_THAT(told.out, HasSubstr("damaged  0\n")) << name;
    EXPECT_THAT(told.err, HasSubstr(note)) << name;
  }
}

TEST_F(Field, WhatSystemsLeaveIsPassedOver) {
  for (const std::string data : {"hidden/t", "appledouble/t"}) {
    const auto told = run("ibot-data", {"info", file(data)});
    EXPECT_EQ(told.status, 0);
    EXPECT_THAT(told.out, HasSubstr("images   32\n"));
    EXPECT_THAT(told.out, HasSubstr("classes  2,"));
    EXPECT_THAT(told.out, HasSubstr("damaged  0\n"));
    EXPECT_EQ(std::count(told.err.begin(), told.err.end(), '\n'), 1) << told.err;
  }
  const auto flat = run("ibot-data", {"info", file("flat")});
  EXPECT_EQ(flat.status, 0) << flat.err;
  EXPECT_THAT(flat.out, HasSubstr("images   20\n"));
}

TEST_F(Field, WhatNobodyAskedForInAFileOfWeightsIsOpaque) {
  for (const std::string weights :
       {"npf4.pth", "npf8.pth", "npbool.pth", "args_path.pth", "args_device.pth", "set.pth",
        "counter.pth", "defaultdict.pth", "datetime.pth", "nparray.pth", "bigint.pth",
        "nonekey.pth", "tuplekey.pth"}) {
    expect_read(weights);
  }
}

TEST_F(Field, FilesThatAreNoWeightsAreToldByWhatTheyAre) {
  for (const auto& [weights, reason] : std::vector<std::pair<std::string, std::string>>{
           {"lfs.pth", "got a pointer of Git LFS; fetch the file itself with git lfs pull"},
           {"lfs.safetensors", "got a pointer of Git LFS"},
           {"html.pth", "got a web page"},
           {"model.safetensors.index.json", "got a JSON index"},
           {"m.onnx", "as ONNX and TensorFlow write"},
           {"plain.pkl", "a pickle that torch.save did not write"},
           {"old.tar.pth", "got a tar archive"},
           {"some.zip", "got a zip archive of other files such as readme.txt"},
           {"net.pth", "the file has keys net; name the network's with --key: net"},
           {"ema.pth", "the file has keys model_ema"}}) {
    expect_refused(weights, reason);
  }
  EXPECT_EQ(run("ibot-model", {"info", file("w/net.pth"), "--key", "net"}).status, 0);
  const auto incomplete = evaluate("knn", "w/nocls_pos.safetensors", "base", "x");
  EXPECT_EQ(incomplete.status, 2);
  EXPECT_THAT(incomplete.err, HasSubstr("expected 65 positions, a class token's and those of a "
                                        "square of patches, got 64: the class token's is missing"));
}

TEST_F(Field, AForeignMaskTokenIsUnused) {
  const auto trained = run(
      "ibot-train", {std::string(IBOT_SOURCE_DIR) + "/configs/smoke/tiny.yaml",
                     "data.path=" + file("base/train"), "--init-from", file("w/mae.safetensors"),
                     "--output", "run", "--threads", "1", "train.max_steps=1"});
  EXPECT_EQ(trained.status, 0) << trained.err;
  EXPECT_THAT(trained.err, HasSubstr("mask"));
}

}  // namespace
}  // namespace ibot::testing
