// ibot-eval linear: training classifiers and testing those of files.
#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/functional/loss.h>

#include <nlohmann/json.hpp>

#include "cli/eval_fixture.h"
#include "ibot/config/run_config.h"
#include "ibot/config/yaml.h"
#include "ibot/io/file.h"
#include "ibot/io/safetensors.h"
#include "ibot/io/torch_file.h"
#include "ibot/train/checkpoint.h"
#include "ibot/train/student_teacher.h"
#include "support/golden.h"
#include "support/run_program.h"

namespace ibot {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::ProgramResult;

class LinearTask : public IbotEval {};

// The classes differ in brightness, which a linear classifier finds.
TEST_F(LinearTask, ProbesLinearlyAndGoesOn) {
  const auto linear = [&](const std::string& output, std::vector<std::string> more) {
    std::vector<std::string> words{"linear",
                                   "--weights",
                                   "random",
                                   "--data",
                                   "data",
                                   "--output",
                                   output,
                                   "linear.batch_size=4",
                                   "linear.lr=[0.1,10]",
                                   "features.pooling=class"};
    words.insert(words.end(), kTiny.begin(), kTiny.end());
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  };
  const auto shallow = linear("none", {"features.blocks=3"});
  EXPECT_EQ(shallow.status, 2) << shallow.err;
  EXPECT_THAT(shallow.err, HasSubstr("features.pooling=class features.blocks=2 takes all"));
  const auto whole = linear("whole", {"linear.epochs=4"});
  ASSERT_EQ(whole.status, 0) << whole.err;
  EXPECT_THAT(whole.out, AllOf(HasSubstr("listed lr  scaled lr"), Not(HasSubstr("best, SGD"))));
  const auto metrics = report("whole")["metrics"];
  EXPECT_EQ(metrics["top1"], 100.0);
  EXPECT_GE(metrics["epoch"], 1);  // counted from 1
  EXPECT_EQ(metrics["top1_sgd"], metrics["top1"]);
  const double listed = metrics["lr_listed"];
  EXPECT_TRUE(listed == 0.1 || listed == 10) << listed;
  EXPECT_DOUBLE_EQ(metrics["lr_scaled"].get<double>(), listed * 4 / 256);
  EXPECT_EQ(report("whole")["options"]["pooling"], "class");

  // Beside the official log, which has lines of its own, what every training writes.
  const auto lines = io::read_file(folder_ / "whole" / "metrics.jsonl");
  EXPECT_THAT(lines, AllOf(HasSubstr(R"("eval":{"name":"linear","metrics":{"top1":100.0,)"),
                           HasSubstr(R"("top1_sgd":100.0)"), HasSubstr(R"("images_per_s":)")));
  EXPECT_FALSE(std::filesystem::is_empty(folder_ / "whole" / "tensorboard"));
  EXPECT_THAT(io::read_file(folder_ / "whole" / "log.txt"),
              AllOf(HasSubstr("\"test_acc0@1\""), Not(HasSubstr("train_weight_decay"))));

  // How many images a forward pass takes does not matter.
  linear("parts", {"linear.epochs=4", "eval.batch_size=3"});
  EXPECT_EQ(report("parts")["metrics"], report("whole")["metrics"]);

  // Of a sweep of all kinds the best of plain SGD is named where it is another.
  const auto full = linear("full", {"linear.epochs=4", "linear.lars=true",
                                    "linear.lr=[1e-30,100000]", "linear.weight_decay=[0,1e-6]"});
  ASSERT_EQ(full.status, 0) << full.err;
  const auto both = report("full")["metrics"];
  for (const std::string ending : {"", "_sgd"}) {
    const double rate = both["lr_listed" + ending];
    EXPECT_TRUE(rate == 1e-30 || rate == 100000) << rate;
    EXPECT_DOUBLE_EQ(both["lr_scaled" + ending].get<double>(), rate * 4 / 256);
  }
  if (both["lr_listed"] != both["lr_listed_sgd"] || both["epoch"] != both["epoch_sgd"]) {
    EXPECT_THAT(full.out, HasSubstr("best, SGD without weight decay"));
  }

  // Again: everything is there, nothing is trained.
  const auto again = linear("whole", {"linear.epochs=4"});
  EXPECT_EQ(again.out, whole.out);
  const auto other = linear("whole", {"linear.epochs=5"});
  EXPECT_EQ(other.status, 2);
  EXPECT_THAT(other.err, HasSubstr("linear.epochs: 4 there, 5 here"));
  EXPECT_EQ(linear("pixels", {"linear.lr=0"}).status, 2);
}

/// Classifiers of the width `features` and two classes: the first right, the second always wrong on
/// images whose first features decide.
io::Value classifiers(const torch::Tensor& weight, const torch::Tensor& bias) {
  io::Dict state{{}, "collections.OrderedDict"};
  for (int64_t head = 0; head < weight.size(0); ++head) {
    const auto prefix = std::to_string(head) + ".module.linear.";
    state.items.emplace_back(prefix + "weight", weight[head].clone());
    state.items.emplace_back(prefix + "bias", bias[head].clone());
  }
  return io::Dict{{{"epoch", int64_t{3}},
                   {"state_dict", state},
                   {"best_acc", 12.5},
                   {"best_acc_hidx", int64_t{1}}},
                  ""};
}

// The figures of the official evaluation: scores of frozen features, percent of images whose class
// is first, mean cross-entropy.
TEST_F(LinearTask, TestsClassifiersOfAFile) {
  write_checkpoint("last.safetensors");
  const auto config = config::read_config<config::RunConfig>("", kTiny);
  train::StudentTeacher networks(config.backbone, config.head, 0);
  const torch::NoGradGuard no_grad;
  // The images of data/val, bright ones first, as write_images draws them.
  std::vector<torch::Tensor> images;
  for (const int level : {200, 20}) {
    for (int i = 0; i < 2; ++i) {
      const auto pixel = torch::arange(8 * 8 * 3);
      const auto bytes =
          (level + (pixel * (i + 3)).remainder(30)).view({8, 8, 3}).permute({2, 0, 1});
      images.push_back(
          (bytes.to(torch::kFloat) / 255 - torch::tensor({0.485, 0.456, 0.406}).view({3, 1, 1})) /
          torch::tensor({0.229, 0.224, 0.225}).view({3, 1, 1}));
    }
  }
  networks.teacher().backbone->eval();
  const auto features = networks.teacher().backbone->forward(torch::stack(images)).class_token;
  const auto weight = torch::randn({3, 2, features.size(1)}, at::detail::createCPUGenerator(5));
  const auto bias = torch::randn({3, 2}, at::detail::createCPUGenerator(6));
  io::write_torch_file(folder_ / "linear.pth", classifiers(weight, bias));
  const auto labels = torch::tensor({0, 0, 1, 1});

  const auto test = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words{"linear",     "--weights", "last.safetensors",
                                   "--data",     "data",      "--classifier",
                                   "linear.pth", "--output",  "out"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  };
  const auto result = test({});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("features of width 16, taken for features.pooling=class"));
  const auto metrics = report("out")["metrics"];
  for (int64_t head = 0; head < 3; ++head) {
    const auto scores = torch::addmm(bias[head], features, weight[head].t());
    const auto top1 = scores.argmax(1).eq(labels).to(torch::kDouble).mean().item<double>() * 100;
    EXPECT_EQ(metrics["acc" + std::to_string(head) + "@1"], top1) << head;
    if (head != 1) continue;  // the one that the file calls best
    EXPECT_EQ(metrics["top1"], top1);
    EXPECT_NEAR(metrics["loss"].get<double>(),
                torch::nn::functional::cross_entropy(scores, labels).item<double>(), 1e-4);
  }
  EXPECT_EQ(metrics["classifier"], 1);
  EXPECT_EQ(metrics["top1_of_file"], 12.5);
  EXPECT_EQ(metrics.count("top5"), 0u);  // of two classes

  // Without training images the classes are those of val/.
  const auto whole = metrics;
  std::filesystem::remove_all(folder_ / "data/train");
  ASSERT_EQ(test({}).status, 0);
  EXPECT_EQ(report("out")["metrics"], whole);
}

TEST_F(LinearTask, RefusesClassifiersOfOtherFeaturesOrClasses) {
  write_checkpoint("last.safetensors");
  const auto test = [&](int64_t classes, int64_t width, std::vector<std::string> more = {}) {
    io::write_torch_file(folder_ / "linear.pth",
                         classifiers(torch::ones({2, classes, width}), torch::ones({2, classes})));
    std::vector<std::string> words{"linear", "--weights",    "last.safetensors", "--data",
                                   "data",   "--classifier", "linear.pth"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  };
  EXPECT_EQ(test(2, 32).status, 0);
  const auto wide = test(2, 1000);
  EXPECT_EQ(wide.status, 2);
  EXPECT_THAT(wide.err, AllOf(HasSubstr("features of width 16, 32, 48"), HasSubstr("got 1000")));
  EXPECT_EQ(test(2, 32, {"features.pooling=patch_mean"}).status, 2);
  EXPECT_EQ(test(1, 16).status, 2);
  const auto more = test(5, 16);
  EXPECT_EQ(more.status, 0) << more.err;
  EXPECT_THAT(more.err, HasSubstr("classifiers of 5 classes, data of 2"));
  std::filesystem::remove_all(folder_ / "data/train");
  EXPECT_EQ(test(5, 16).status, 2);
  io::write_torch_file(folder_ / "linear.pth", io::Dict{{{"a", torch::ones({1})}}, ""});
  const auto none = run(
      {"linear", "--weights", "last.safetensors", "--data", "data", "--classifier", "linear.pth"});
  EXPECT_EQ(none.status, 2);
  EXPECT_THAT(none.err, HasSubstr("expected linear classifiers"));
}

// The best of the classifiers that a linear probe leaves is what it was at its best epoch. The test
// images have each other's classes: what is learned is wrong, and the best epoch an early one.
TEST_F(LinearTask, TestsTheClassifiersOfALinearProbe) {
  write_checkpoint("last.safetensors");
  const auto val = folder_ / "data/val";
  std::filesystem::rename(val / "dark", val / "other");
  std::filesystem::rename(val / "bright", val / "dark");
  std::filesystem::rename(val / "other", val / "bright");
  const std::vector<std::string> common{"linear", "--weights", "last.safetensors", "--data",
                                        "data"};
  auto words = common;
  words.insert(words.end(), {"--output", "probe", "linear.batch_size=4", "linear.lr=[0.1]",
                             "features.pooling=class", "linear.epochs=8"});
  ASSERT_EQ(run(words).status, 0);
  ASSERT_LT(report("probe")["metrics"]["epoch"], 8);
  words = common;
  words.insert(words.end(), {"--classifier", "probe/linear.safetensors", "--output", "out"});
  const auto result = run(words);
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(report("out")["metrics"]["top1"], report("probe")["metrics"]["top1"]);
}

// NaN outranks nothing and nothing outranks NaN: such a network would be always right or always
// wrong.
TEST_F(LinearTask, RefusesTheFeaturesOfANetworkThatDiverged) {
  write_checkpoint("last.safetensors");
  auto checkpoint = train::load_checkpoint(folder_ / "last.safetensors");
  checkpoint.tensors.at("teacher.backbone.norm.bias").fill_(NAN);
  train::save_checkpoint(folder_ / "last.safetensors", checkpoint);
  for (const char* task : {"knn", "linear", "logistic", "kmeans", "cluster"}) {
    const auto result = run({task, "--weights", "last.safetensors", "--data", "data",
                             "features.pooling=class", "linear.batch_size=4"});
    EXPECT_EQ(result.status, 1) << task << result.err;
    EXPECT_THAT(result.err, HasSubstr("; the weights may have diverged")) << task;
  }
}

// A decay that overshoots: weights pass what float32 holds within the first epoch.
TEST_F(LinearTask, TellsThatEveryClassifierDiverged) {
  std::vector<std::string> words{"linear",
                                 "--weights",
                                 "random",
                                 "--data",
                                 "data",
                                 "linear.epochs=4",
                                 "linear.batch_size=4",
                                 "linear.lr=1e5",
                                 "linear.weight_decay=1e30",
                                 "features.pooling=class"};
  words.insert(words.end(), kTiny.begin(), kTiny.end());
  const auto result = run(words);
  EXPECT_EQ(result.status, 1) << result.out;
  EXPECT_THAT(result.err, HasSubstr("all diverged; lower linear.lr"));
}

}  // namespace
}  // namespace ibot
