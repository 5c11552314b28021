// ibot-eval from the command line to report.json.
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
#include "ibot/models/network.h"
#include "ibot/train/checkpoint.h"
#include "ibot/train/student_teacher.h"
#include "support/golden.h"
#include "support/run_program.h"

namespace ibot {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ProgramResult;

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
  expect(knn("pixels", {"eval.k", "=", "3"}), "eval.k: expected section.key=value, without spaces");
  expect(knn("random", {"eval.crop_size=33"}),
         "eval.crop_size: expected a multiple of backbone.patch_size 16, got 33; set "
         "eval.crop_size=32");
  expect(run({"knn", "linear", "--weights", "pixels", "--data", "data"}),
         "TASK: expected one, got knn and linear");
  expect(run({"knn", "--weights", "pixels", "--data", "data/train"}),
         "--data: data/train: expected the folders train/ and val/ of labeled images, found no "
         "train/; name the folder above it");
  expect(knn("pixels", {"features.blocks=2"}), "features.pooling=class");
  expect(knn("pixels", {"--config", "none.yaml"}), "none.yaml");
  expect(knn("pixels", {"--classifier", "x.pth"}), "--classifier: expected the task linear");
  expect(testing::run_program("ibot-eval",
                              {"knn", "--weights", "pixels", "--data", "data", "--device", "tpu"},
                              folder_),
         "--device: expected auto, cpu, cuda or cuda:N, got tpu");
}

// Width 64 and two blocks are of no preset: one head or more, shapes do not tell.
TEST_F(IbotEval, WarnsOfGuessedHeadsAndTakesTheSizeOfSmallNetworks) {
  models::BackboneOptions options;
  options.embed_dim = 64;
  options.depth = {2};
  options.heads = {2};
  options.patch_size = 4;
  options.image_size = 8;
  const auto backbone = models::build_backbone(options, models::Role::kTeacher);
  io::Dict tensors;
  for (const auto& [name, tensor] : models::named_state(*backbone)) {
    tensors.items.emplace_back(name, tensor.detach());
  }
  io::write_torch_file(folder_ / "backbone.pth", io::Dict{{{"state_dict", tensors}}, ""});
  const auto result = knn("backbone.pth", {"eval.k=1", "--output", "out"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("warning backbone.pth: does not tell the number of attention "
                                    "heads; 1 taken, "));
  EXPECT_EQ(report("out")["options"]["crop_size"], 8);
  EXPECT_EQ(report("out")["options"]["resize_size"], 9);
  EXPECT_THAT(knn("backbone.pth", {"eval.k=1", "backbone.heads=2"}).err,
              Not(HasSubstr("attention heads")));
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
  expect(knn("pixels", kTiny), "expected training images of two or more classes, got 1");
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
