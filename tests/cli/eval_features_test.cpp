// ibot-eval and the features that other programs dump and load.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/pretrain_folder.h"
#include "ibot/io/torch_file.h"
#include "support/python.h"

namespace ibot::testing {
namespace {

using ::testing::HasSubstr;

class EvalFeatures : public PretrainFolder {
 protected:
  ProgramResult evaluate(const std::string& task, Words words) const {
    words.insert(words.begin(), task);
    words.insert(words.end(), {"--device", "cpu", "--threads", "1"});
    return run("ibot-eval", words);
  }

  /// Words for a network of random weights on the drawn set.
  static Words random_weights(const Words& more) {
    Words words{"--weights",
                "random",
                "--data",
                "set",
                "backbone.embed_dim=16",
                "backbone.depth=2",
                "backbone.heads=2",
                "backbone.patch_size=4",
                "backbone.image_size=16",
                "eval.resize_size=16",
                "eval.crop_size=16",
                "eval.k=[1,3]"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  torch::Tensor tensor(const std::string& file) const {
    return *io::read_torch_file(folder_ / file).root.tensor();
  }

  void write(const std::string& file, const torch::Tensor& tensor) const {
    io::write_torch_file(folder_ / file, tensor);
  }

  /// Four images of two classes that lie apart, two of them to test on.
  void write_features(const std::string& folder) const {
    std::filesystem::create_directories(folder_ / folder);
    write(folder + "/trainfeat.pth", torch::eye(4).slice(1, 0, 3) + 0.1);
    write(folder + "/trainlabels.pth", torch::tensor({0, 1, 0, 1}));
    write(folder + "/testfeat.pth", torch::eye(3).slice(0, 0, 2));
    write(folder + "/testlabels.pth", torch::tensor({0, 0}));
  }
};

TEST_F(EvalFeatures, WhatOneTaskDumpsAnotherLoads) {
  const auto dumped =
      evaluate("knn", random_weights({"--dump-features", "dump", "--output", "computed"}));
  ASSERT_EQ(dumped.status, 0) << dumped.err;
  const auto features = tensor("dump/trainfeat.pth");
  EXPECT_EQ(features.sizes(), (std::vector<int64_t>{16, 16}));
  EXPECT_TRUE(torch::allclose(features.norm(2, 1), torch::ones({16})));
  EXPECT_EQ(tensor("dump/testlabels.pth").scalar_type(), torch::kLong);

  const auto loaded =
      evaluate("knn", {"--load-features", "dump", "eval.k=[1,3]", "--output", "loaded"});
  ASSERT_EQ(loaded.status, 0) << loaded.err;
  EXPECT_EQ(loaded.out, dumped.out);
  const auto report = Json::parse(text("loaded/report.json"));
  EXPECT_EQ(report["metrics"], Json::parse(text("computed/report.json"))["metrics"]);
  EXPECT_EQ(report["data"], "dump");
  for (const char* task : {"logistic", "kmeans"}) {
    const auto other = evaluate(task, {"--load-features", "dump"});
    EXPECT_EQ(other.status, 0) << other.err;
  }
}

TEST_F(EvalFeatures, ReadsWhatPythonWrites) {
  if (!python_has("torch")) GTEST_SKIP() << "needs Python with torch";
  const auto here = (folder_ / "py").string();
  std::filesystem::create_directories(here);
  python_output("import torch\nhere = '" + here + R"('
labels = torch.arange(6) % 3
torch.save(torch.nn.functional.one_hot(labels, 4).half(), here + '/trainfeat.pth')
torch.save(labels.int(), here + '/trainlabels.pth')
torch.save(torch.nn.functional.one_hot(labels, 4).float()[:4], here + '/testfeat.pth')
torch.save(torch.tensor([0, 1, 2, 1]), here + '/testlabels.pth')
)");
  const auto result = evaluate("knn", {"--load-features", "py", "eval.k=2"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("     2    75.00    75.00"));
}

TEST_F(EvalFeatures, PythonReadsWhatIsDumped) {
  if (!python_has("torch")) GTEST_SKIP() << "needs Python with torch";
  const auto dumped = evaluate("knn", random_weights({"--dump-features", "dump"}));
  ASSERT_EQ(dumped.status, 0) << dumped.err;
  const auto printed = python_output("import torch\nhere = '" + (folder_ / "dump").string() + R"(/'
load = lambda name: torch.load(here + name, weights_only=True)
print(tuple(load('trainfeat.pth').shape), load('testfeat.pth').dtype, load('trainlabels.pth').sum().item())
)");
  EXPECT_EQ(printed, "(16, 16) torch.float32 8\n");
}

TEST_F(EvalFeatures, RefusesFeaturesThatDoNotBelongTogether) {
  const auto expect = [&](const std::string& reason) {
    const auto result = evaluate("knn", {"--load-features", "bad", "eval.k=1"});
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr("error: "));
    EXPECT_THAT(result.err, HasSubstr(reason));
    write_features("bad");
  };
  expect("trainfeat.pth");
  write("bad/testfeat.pth", torch::ones({2, 5}));
  expect("expected features of width 3 as in trainfeat.pth, got 5");
  write("bad/trainlabels.pth", torch::tensor({0, 1}));
  expect("expected 4 labels, as many as features, got 2");
  write("bad/trainlabels.pth", torch::tensor({0, 1, -1, 1}));
  expect("expected labels from 0 on, got -1");
  write("bad/testlabels.pth", torch::tensor({0, 2}));
  expect("expected labels below 2, those of trainlabels.pth, got 2");
  write("bad/testlabels.pth", torch::ones({2}));
  expect("expected labels [images], integers, got [2] of float");
  io::write_torch_file(folder_ / "bad/testfeat.pth", io::Value("none"));
  expect("expected one tensor");
  std::filesystem::remove(folder_ / "bad/testlabels.pth");
  expect("testlabels.pth");
  const auto few = evaluate("knn", {"--load-features", "bad", "eval.k=5"});
  EXPECT_THAT(few.err, HasSubstr("expected at least 5 training images, found 4"));
}

TEST_F(EvalFeatures, RefusesFeaturesThatAreNotFinite) {
  write_features("bad");
  write("bad/testfeat.pth", torch::full({2, 3}, NAN));
  for (const char* task : {"knn", "logistic", "kmeans"}) {
    const auto result = evaluate(task, {"--load-features", "bad", "eval.k=1"});
    EXPECT_EQ(result.status, 1) << result.err;
    EXPECT_THAT(result.err, HasSubstr(": expected finite "));
  }
}

TEST_F(EvalFeatures, RefusesOptionsThatContradictEachOther) {
  const auto expect = [](const ProgramResult& result, const std::string& reason) {
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(reason));
  };
  expect(evaluate("knn", random_weights({"--load-features", "x"})), "expected no --weights");
  expect(evaluate("linear", random_weights({"--dump-features", "x"})),
         "--dump-features: expected a task that reads features alone, got linear");
  expect(evaluate("cluster", {"--load-features", "x"}), "got cluster");
}

// A subset by a list of names, as for training on few labels.
TEST_F(EvalFeatures, FrozenTasksTakeAListOfTrainingImages) {
  std::ofstream list(folder_ / "list.txt");
  std::map<std::string, int> listed;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "set/train")) {
    const auto name = entry.path().parent_path().filename().string();
    if (entry.is_regular_file() && listed[name]++ < 3) {
      list << name << '/' << entry.path().filename().string() << '\n';
    }
  }
  list.close();
  const auto counted = evaluate(
      "knn", random_weights({"dataset.train_list=list.txt", "eval.k=6", "--dump-features", "few"}));
  ASSERT_EQ(counted.status, 0) << counted.err;
  EXPECT_EQ(tensor("few/trainlabels.pth").size(0), 6);
  EXPECT_EQ(tensor("few/testlabels.pth").size(0), 8);
  for (const char* task : {"logistic", "linear"}) {
    const auto result = evaluate(
        task, random_weights({"dataset.train_list=list.txt", "linear.epochs=1",
                              "linear.batch_size=4", "linear.lr=0.1", "features.pooling=class"}));
    EXPECT_EQ(result.status, 0) << result.err;
  }
  const auto many = evaluate("knn", random_weights({"dataset.train_list=list.txt", "eval.k=7"}));
  EXPECT_EQ(many.status, 2);
}

// The official names; of a sweep each with the number of its classifier.
TEST_F(EvalFeatures, LinearProbingKeepsALogOfItsBestEpochs) {
  const auto linear = [&](const std::string& output, const std::string& rates) {
    const auto result = evaluate(
        "linear", random_weights({"--output", output, "linear.epochs=3", "linear.batch_size=4",
                                  "linear.lr=" + rates, "features.pooling=class"}));
    ASSERT_EQ(result.status, 0) << result.err;
  };
  linear("sweep", "[0.1,10]");
  const auto sweep = objects("sweep/log.txt");
  ASSERT_GE(sweep.size(), 1u);
  double best = 0;
  for (const auto& line : sweep) {
    for (const char* key : {"train_lr0", "train_loss1", "test_loss0", "test_acc1@5"}) {
      EXPECT_TRUE(line.contains(key)) << key;
    }
    const double reached =
        std::max(line["test_acc0@1"].get<double>(), line["test_acc1@1"].get<double>());
    EXPECT_GE(reached, best);
    best = reached;
  }
  // Counted from 0 in the official lines, from 1 in reports.
  EXPECT_EQ(sweep.back()["epoch"].get<int64_t>() + 1,
            Json::parse(text("sweep/report.json"))["metrics"]["epoch"]);
  EXPECT_DOUBLE_EQ(
      sweep.front()["train_lr1"].get<double>(),
      10.0 * 4 / 256 * (1 + std::cos(sweep.front()["epoch"].get<double>() * M_PI / 3)) / 2);
  const auto before = text("sweep/log.txt");
  linear("sweep", "[0.1,10]");
  EXPECT_EQ(text("sweep/log.txt"), before);
  linear("single", "1");
  EXPECT_TRUE(objects("single/log.txt").back().contains("test_acc1"));
}

}  // namespace
}  // namespace ibot::testing
