// ibot-eval from the command line to report.json.
#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/functional/loss.h>

#include <nlohmann/json.hpp>

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

const std::vector<std::string> kTiny{
    "backbone.embed_dim=16", "backbone.depth=2",  "backbone.heads=2",   "backbone.patch_size=4",
    "backbone.image_size=8", "head.prototypes=8", "head.hidden_dim=16", "head.bottleneck_dim=8",
    "eval.resize_size=8",    "eval.crop_size=8",  "eval.k=[1,3]",       "augment.local_crops=0"};

/// Dark images in one class, bright ones in the other.
void write_images(const std::filesystem::path& folder, int count) {
  for (const auto& [name, level] : {std::pair{"dark", 20}, std::pair{"bright", 200}}) {
    std::filesystem::create_directories(folder / name);
    for (int i = 0; i < count; ++i) {
      std::ofstream file(folder / name / (std::to_string(i) + ".ppm"), std::ios::binary);
      file << "P6 8 8 255\n";
      for (int pixel = 0; pixel < 8 * 8 * 3; ++pixel) {
        file << static_cast<char>(level + (pixel * (i + 3)) % 30);
      }
    }
  }
}

class IbotEval : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::test_folder();
    write_images(folder_ / "data" / "train", 5);
    write_images(folder_ / "data" / "val", 2);
  }

  ProgramResult run(std::vector<std::string> words) const {
    words.insert(words.end(), {"--device", "cpu"});
    return testing::run_program("ibot-eval", words, folder_);
  }

  ProgramResult knn(const std::string& weights, std::vector<std::string> more = {}) const {
    std::vector<std::string> words{"knn", "--weights", weights, "--data", "data"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }

  /// A checkpoint of the network that a tiny run begins with, its student set to zero.
  void write_checkpoint(const std::string& name) const {
    const auto config = config::read_config<config::RunConfig>("", kTiny);
    train::StudentTeacher networks(config.backbone, config.head, 0);
    train::Checkpoint checkpoint;
    checkpoint.config = config::write_config(config);
    for (auto& [tensor_name, tensor] : models::named_state(networks)) {
      const bool student = tensor_name.rfind("student.", 0) == 0;
      checkpoint.tensors[tensor_name] = student ? torch::zeros_like(tensor) : tensor.detach();
    }
    train::save_checkpoint(folder_ / name, checkpoint);
  }

  nlohmann::json report(const std::string& folder) const {
    return nlohmann::json::parse(testing::read_text(folder_ / folder / "report.json"));
  }

  std::filesystem::path folder_;
};

TEST_F(IbotEval, ListsItsTasks) {
  const auto result = run({"--list"});
  EXPECT_EQ(result.status, 0);
  EXPECT_THAT(result.out, HasSubstr("knn "));
}

TEST_F(IbotEval, TellsOfItsKeys) {
  const auto explained = run({"linear.epochs=7", "--explain", "linear.epochs"});
  EXPECT_EQ(explained.status, 0) << explained.err;
  EXPECT_THAT(explained.out, HasSubstr("default  100\n  value    7"));
  const auto printed = run({"--print-config"});
  EXPECT_EQ(printed.status, 0) << printed.err;
  EXPECT_THAT(printed.out, AllOf(HasSubstr("linear:"), HasSubstr("transfer:")));
}

TEST_F(IbotEval, ClassifiesRawPixels) {
  auto words = kTiny;
  words.insert(words.end(), {"--output", "out"});
  const auto result = knn("pixels", words);
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("top-1"), HasSubstr("     3   100.00   100.00")));
  const auto json = report("out");
  EXPECT_EQ(json["task"], "knn");
  EXPECT_EQ(json["metrics"]["top1_k3"], 100.0);
  EXPECT_EQ(json["options"]["k"], (std::vector<int>{1, 3}));
  EXPECT_EQ(json["weights"], "pixels");
  EXPECT_EQ(json["data"], "data");
}

// The checkpoint holds its configuration, so nothing else is needed; its teacher is the network
// that "random" stands for.
TEST_F(IbotEval, ReadsTheConfigurationFromTheCheckpoint) {
  write_checkpoint("last.safetensors");
  const auto trained = knn("last.safetensors", {"--output", "trained"});
  ASSERT_EQ(trained.status, 0) << trained.err;
  auto words = kTiny;
  words.insert(words.end(), {"--output", "random"});
  const auto random = knn("random", words);
  ASSERT_EQ(random.status, 0) << random.err;
  EXPECT_EQ(trained.out, random.out);
  EXPECT_EQ(report("trained")["metrics"], report("random")["metrics"]);
  EXPECT_EQ(report("trained")["options"]["pooling"], "class");
}

TEST_F(IbotEval, EvaluatesTheStudentWhenAsked) {
  write_checkpoint("last.safetensors");
  const auto result = knn("last.safetensors", {"--key", "student", "--output", "out"});
  ASSERT_EQ(result.status, 0) << result.err;
  // All features of the zeroed student are equal: the first training class wins every vote.
  EXPECT_EQ(report("out")["metrics"]["top1_k3"], 50.0);
}

TEST_F(IbotEval, LetsTheCommandLineOverrideTheCheckpoint) {
  write_checkpoint("last.safetensors");
  const auto result = knn("last.safetensors", {"eval.k=2", "features.pooling=class",
                                               "features.blocks=2", "--output", "out"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(report("out")["options"]["blocks"], 2);
  EXPECT_EQ(report("out")["options"]["k"], std::vector<int>{2});
}

// Its width of 24 tells nothing of heads; everything else is in the shapes.
TEST_F(IbotEval, ReadsTheReferencesFilesWithoutAConfiguration) {
  const auto folder = testing::golden_root() / "13_checkpoint";
  std::string first;
  for (const char* name :
       {"ckpt_vit_cuda.pth", "ckpt_vit_cuda_legacy.pth", "backbone_teacher.pth"}) {
    const auto result = knn((folder / name).string(), {"backbone.heads=2", "eval.resize_size=32",
                                                       "eval.crop_size=32", "eval.k=[1,3]"});
    ASSERT_EQ(result.status, 0) << result.err;
    EXPECT_THAT(result.err, HasSubstr("tensors loaded"));
    if (first.empty()) first = result.out;
    EXPECT_EQ(result.out, first);
  }
}

TEST_F(IbotEval, RefusesWrongRequestsWithStatusTwo) {
  const auto expect = [](const ProgramResult& result, const std::string& reason) {
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_THAT(result.err, AllOf(HasSubstr("error: "), HasSubstr(reason)));
    EXPECT_EQ(result.out, "");
  };
  expect(run({}), "TASK");
  expect(run({"knm"}), "got knm");
  expect(run({"knn"}), "--weights");
  expect(run({"knn", "--weights", "pixels"}), "--data");
  expect(run({"knn", "--weights", "pixels", "--data", "nowhere"}), "nowhere");
  expect(knn("none.safetensors"), "none.safetensors");
  expect(knn("pixels", {"eval.q=3"}), "eval.q");
  expect(knn("pixels", {"features.blocks=2"}), "features.pooling=class");
  expect(knn("pixels", {"--config", "none.yaml"}), "none.yaml");
  expect(knn("pixels", {"--classifier", "x.pth"}), "--classifier: expected the task linear");
  expect(testing::run_program("ibot-eval",
                              {"knn", "--weights", "pixels", "--data", "data", "--device", "tpu"},
                              folder_),
         "--device: expected auto, cpu, cuda or cuda:N, got tpu");
}

TEST_F(IbotEval, NamesWhatIsWrongWithWeights) {
  io::write_safetensors(folder_ / "other.safetensors", {{{"a", torch::ones({1})}}, {}});
  const auto foreign = knn("other.safetensors");
  EXPECT_EQ(foreign.status, 2);
  EXPECT_THAT(foreign.err, HasSubstr("found none but such as a"));

  write_checkpoint("last.safetensors");
  const auto deeper = knn("last.safetensors", {"backbone.depth=3"});
  EXPECT_EQ(deeper.status, 2);
  EXPECT_THAT(deeper.err, HasSubstr("backbone.blocks.2"));
  const auto elsewhere = knn("last.safetensors", {"--key", "other"});
  EXPECT_EQ(elsewhere.status, 2);
  EXPECT_THAT(elsewhere.err, HasSubstr("expected the network other, found none"));
  const auto wider = knn("last.safetensors", {"backbone.embed_dim=32"});
  EXPECT_EQ(wider.status, 2);
  EXPECT_THAT(wider.err, HasSubstr("expected shape"));

  std::filesystem::resize_file(folder_ / "last.safetensors", 5000);
  EXPECT_NE(knn("last.safetensors").status, 0);
}

// Ten training images: of the published numbers of neighbors the first alone.
TEST_F(IbotEval, TakesAsManyNeighborsAsThereAreImages) {
  auto words = kTiny;
  words.insert(words.end(), {"eval.k=[]", "--output", "out"});
  const auto result = knn("pixels", words);
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(report("out")["options"]["k"], std::vector<int64_t>{10});
}

TEST_F(IbotEval, RefusesDataThatNoEvaluationCanUse) {
  const auto expect = [](const ProgramResult& result, const std::string& reason) {
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_THAT(result.err, AllOf(HasSubstr("error: "), HasSubstr(reason)));
  };
  auto words = kTiny;
  words.push_back("eval.k=11");
  expect(knn("pixels", words), "expected at least 11 training images, found 10");

  std::filesystem::create_directories(folder_ / "data/val/blue");
  write_images(folder_ / "data" / "val" / "blue", 1);
  expect(knn("pixels", kTiny), "blue has 2 test images but no training image");

  std::filesystem::remove_all(folder_ / "data/val/blue");
  for (const char* name : {"data/train/dark", "data/val/dark"}) {
    std::filesystem::remove_all(folder_ / name);
  }
  expect(knn("pixels", kTiny), "expected training images of two or more, got 1");
}

TEST_F(IbotEval, NamesAFileThatIsNoImage) {
  std::ofstream(folder_ / "data/train/dark/7.jpg") << "no image";
  const auto result = knn("pixels", kTiny);
  EXPECT_EQ(result.status, 1) << result.err;
  EXPECT_THAT(result.err, AllOf(HasSubstr("error: "), HasSubstr("data/train/dark/7.jpg")));
}

TEST_F(IbotEval, WarnsOfAnEmptyClass) {
  std::filesystem::create_directories(folder_ / "data/train/blue");
  const auto result = knn("pixels", kTiny);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("1 of 3 classes without training images, the first one blue"));
}

TEST_F(IbotEval, MatchesClassesByNameWhereValHasFewer) {
  std::filesystem::remove_all(folder_ / "data/val/bright");  // index 0: "dark" must not become 0
  const auto result = knn("pixels", kTiny);
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("1 of 2 classes without test images"));
  EXPECT_THAT(result.out, HasSubstr("     3   100.00   100.00"));
}

// Features that were changed where they lie show who reads them.
TEST_F(IbotEval, AFilledCacheIsRead) {
  auto words = kTiny;
  words.insert(words.end(), {"--output", "first"});
  const auto first = knn("random", words);
  ASSERT_EQ(first.status, 0) << first.err;
  const auto cache = folder_ / "first/features";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(cache)) {
    if (entry.path().extension() != ".safetensors") continue;
    auto part = io::read_safetensors(entry.path());
    part.tensors["features"] = torch::full_like(part.tensors["features"], std::nan(""));
    io::write_safetensors(entry.path(), part);
  }
  words = {"logistic", "--weights", "random", "--data", "data", "--cache", "first/features"};
  words.insert(words.end(), kTiny.begin(), kTiny.end());
  EXPECT_THAT(run(words).err, HasSubstr("expected finite"));
  // Other features are another entry.
  words.insert(words.end(), {"features.pooling=class", "features.blocks=2"});
  EXPECT_EQ(run(words).status, 0);
}

// Each process alone would need all images; the second finds what the first has left.
TEST_F(IbotEval, ProcessesShareTheWorkThroughTheCache) {
  auto words = kTiny;
  words.insert(words.end(), {"--cache", "shared"});
  const auto as_rank = [&](const char* rank) {
    ::setenv("RANK", rank, 1);
    ::setenv("WORLD_SIZE", "2", 1);
    const auto result = knn("random", words);
    ::unsetenv("RANK");
    ::unsetenv("WORLD_SIZE");
    return result;
  };
  const auto helper = as_rank("1");
  EXPECT_EQ(helper.status, 0) << helper.err;
  EXPECT_EQ(helper.out, "");
  const auto first = as_rank("0");
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("top-1"));
  EXPECT_EQ(as_rank("2").status, 2);
}

TEST_F(IbotEval, StartsItsProcessesItself) {
  const auto alone = knn("random", kTiny);
  auto words = kTiny;
  words.insert(words.end(), {"--nproc", "2", "--cache", "shared"});
  const auto shared = knn("random", words);
  EXPECT_EQ(shared.status, 0) << shared.err;
  EXPECT_EQ(shared.out, alone.out);
  words.erase(words.end() - 2, words.end());
  const auto refused = knn("random", words);
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("--cache: expected a folder that all 2 processes see"));
}

// Every key of every file is known: what is refused is the folder.
TEST_F(IbotEval, UnderstandsThePublishedConfigurations) {
  int files = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(IBOT_SOURCE_DIR) + "/configs/eval")) {
    const auto name = entry.path().filename().string();
    const auto result = run({name.substr(0, name.find('_')), "--config", entry.path().string(),
                             "--weights", "pixels", "--data", "nowhere"});
    EXPECT_EQ(result.status, 2) << name;
    EXPECT_THAT(result.err, HasSubstr("nowhere")) << name;
    ++files;
  }
  EXPECT_GT(files, 20);
}

TEST_F(IbotEval, ComparesPrototypesWithClasses) {
  std::vector<std::string> words{"cluster", "--weights", "random", "--data",
                                 "data",    "--output",  "out"};
  words.insert(words.end(), kTiny.begin(), kTiny.end());
  const auto result = run(words);
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("ACC"));
  EXPECT_GE(report("out")["metrics"]["acc"], 50.0);  // of two equal classes

  write_checkpoint("last.safetensors");
  words = {"cluster", "--weights", "last.safetensors", "--data", "data", "head.hidden_dim=32"};
  EXPECT_THAT(run(words).err, HasSubstr("head keys must be those of the run"));
}

// The classes differ in brightness, which a linear classifier finds.
TEST_F(IbotEval, ProbesLinearlyAndGoesOn) {
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
  const auto whole = linear("whole", {"linear.epochs=4"});
  ASSERT_EQ(whole.status, 0) << whole.err;
  EXPECT_THAT(whole.out, AllOf(HasSubstr("listed lr  scaled lr"), Not(HasSubstr("best, SGD"))));
  const auto metrics = report("whole")["metrics"];
  EXPECT_EQ(metrics["top1"], 100.0);
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
TEST_F(IbotEval, TestsClassifiersOfAFile) {
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

TEST_F(IbotEval, RefusesClassifiersOfOtherFeaturesOrClasses) {
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

// What a linear probe leaves is tested as it tested itself after its last epoch.
TEST_F(IbotEval, TestsTheClassifiersOfALinearProbe) {
  write_checkpoint("last.safetensors");
  const std::vector<std::string> common{"linear", "--weights", "last.safetensors", "--data",
                                        "data"};
  auto words = common;
  words.insert(words.end(), {"--output", "probe", "linear.batch_size=4", "linear.lr=[0.001]",
                             "features.pooling=class", "linear.epochs=1"});
  ASSERT_EQ(run(words).status, 0);
  words = common;
  words.insert(words.end(), {"--classifier", "probe/linear.safetensors", "--output", "out"});
  const auto result = run(words);
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(report("out")["metrics"]["top1"], report("probe")["metrics"]["top1"]);
}

// NaN outranks nothing and nothing outranks NaN: such a network would be always right or always
// wrong.
TEST_F(IbotEval, RefusesTheFeaturesOfANetworkThatDiverged) {
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
TEST_F(IbotEval, TellsThatEveryClassifierDiverged) {
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

TEST_F(IbotEval, ClustersTheValidationImages) {
  std::vector<std::string> words{"kmeans", "--weights", "pixels", "--data",
                                 "data",   "--output",  "out"};
  words.insert(words.end(), kTiny.begin(), kTiny.end());
  const auto result = run(words);
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("ACC"));
  EXPECT_EQ(report("out")["metrics"]["acc"], 100.0);
}

}  // namespace
}  // namespace ibot
