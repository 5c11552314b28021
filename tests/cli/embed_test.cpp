// ibot-eval embed, and several weights in one call.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/eval_fixture.h"
#include "ibot/io/safetensors.h"
#include "support/python.h"

namespace ibot {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Embed : public IbotEval {
 protected:
  void SetUp() override {
    IbotEval::SetUp();
    write_images(folder_ / "mine", 2);  // mine/dark and mine/bright
    std::filesystem::copy_file(folder_ / "mine/dark/0.ppm", folder_ / "mine/a, \"b\".ppm");
    std::ofstream(folder_ / "mine/bright/broken.jpg") << "no image";
  }

  testing::ProgramResult embed(std::vector<std::string> more) const {
    std::vector<std::string> words{"embed", "--weights", "random", "--data", "mine"};
    words.insert(words.end(), kTiny.begin(), kTiny.end());
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
};

// Images beside sub-folders and below them, by name; the first one is a copy of the fourth.
TEST_F(Embed, WritesFeaturesWithNamesThatPythonReads) {
  for (const char* file : {"f.safetensors", "f.npy", "f.csv"}) {
    const auto result = embed({"--output", file});
    ASSERT_EQ(result.status, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("5 images, 16 numbers each, in "));
    EXPECT_THAT(result.out, HasSubstr("; left out 1 unreadable"));
    EXPECT_THAT(result.err, HasSubstr("broken.jpg: "));
  }
  const auto stored = io::read_safetensors(folder_ / "f.safetensors");
  const auto& features = stored.tensors.at("features");
  EXPECT_EQ(features.sizes(), (std::vector<int64_t>{5, 16}));
  EXPECT_TRUE(features[0].equal(features[3]));
  const auto names = nlohmann::json::parse(stored.metadata.at("files"));
  EXPECT_EQ(names, nlohmann::json::parse(R"(["a, \"b\".ppm", "bright/0.ppm", "bright/1.ppm",
                                            "dark/0.ppm", "dark/1.ppm"])"));
  if (!testing::python_has("numpy")) GTEST_SKIP() << "needs Python with numpy";
  const auto printed = testing::python_output("here = '" + folder_.string() + R"(/'
import csv, numpy
array = numpy.load(here + 'f.npy')
rows = list(csv.reader(open(here + 'f.csv', newline='')))
names = list(csv.reader(open(here + 'f.files.csv', newline='')))
values = numpy.array([row[1:] for row in rows[1:]], dtype=numpy.float32)
print(array.dtype, array.shape, (array == values).all(), rows[0][:2], rows[1][0])
print([row[0] for row in names] == [row[0] for row in rows])
)");
  EXPECT_EQ(printed, "float32 (5, 16) True ['file', 'f0'] a, \"b\".ppm\nTrue\n");
}

// A folder has a report and a cache, from which a second format takes its numbers.
TEST_F(Embed, WritesToAFolderWithAReport) {
  ASSERT_EQ(embed({"--output", "out", "--format", "npy"}).status, 0);
  EXPECT_EQ(report("out")["counts"]["images"], 5);
  EXPECT_EQ(report("out")["counts"]["unreadable"], 1);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out/features.npy"));
  const auto again = embed({"--output", "again.csv", "--cache", "out/features"});
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("left out 1 unreadable"));
  EXPECT_THAT(again.err, Not(HasSubstr("broken.jpg")));  // it was not looked at again
}

TEST_F(Embed, RefusesWhatItCannotWrite) {
  const auto expect = [](const testing::ProgramResult& result, const std::string& reason) {
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(reason));
  };
  expect(embed({}), "--output: expected a file ending in .safetensors, .npy or .csv, or a folder");
  expect(embed({"--output", "f", "--format", "xml"}), "--format: expected safetensors | npy | csv");
  expect(embed({"--output", "f.csv", "--format", "npy"}), "--format: expected that of the name");
  expect(knn("pixels", {"--format", "csv"}), "--format: expected the task embed, got knn");
  std::filesystem::remove_all(folder_ / "mine/dark");
  for (const char* file : {"mine/a, \"b\".ppm", "mine/bright/0.ppm", "mine/bright/1.ppm"}) {
    std::ofstream(folder_ / file) << "no image";
  }
  const auto none = embed({"--output", "f.csv"});
  EXPECT_EQ(none.status, 1);
  EXPECT_THAT(none.err, HasSubstr("expected at least one readable image, found none of 4"));
}

TEST_F(IbotEval, ComparesSeveralWeights) {
  write_checkpoint("last.safetensors");
  std::filesystem::create_directories(folder_ / "run/checkpoints");
  std::filesystem::copy_file(folder_ / "last.safetensors",
                             folder_ / "run/checkpoints/last.safetensors");
  std::vector<std::string> words{"knn", "--data",    "data", "--output",
                                 "out", "--weights", "run",  "last.safetensors"};
  words.insert(words.end(), kTiny.begin(), kTiny.end());  // behind weights, as users write them
  const auto result = run(words);
  ASSERT_EQ(result.status, 0) << result.err;
  // One table on standard output, a line for each before it.
  EXPECT_THAT(result.out, ::testing::StartsWith("weights  top1_k1  top1_k3"));
  EXPECT_THAT(result.err, HasSubstr("run: top1_k1 100.00\n"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out/report.html"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out/run/report.html"));
  EXPECT_THAT(result.out, AllOf(HasSubstr("\nrun       100.00"), HasSubstr("\nlast      100.00")));
  EXPECT_EQ(report("out/run")["metrics"], report("out/last")["metrics"]);
  EXPECT_EQ(report("out/run")["weights"], "run/checkpoints/last.safetensors");
  EXPECT_THAT(testing::read_text(folder_ / "out/comparison.csv"),
              HasSubstr("weights,file,top1_k1,top1_k3,top5_k1,top5_k3\r\nrun,run/checkpoints/"
                        "last.safetensors,100.0,100.0,100.0,100.0\r\n"));
  // The same network: one entry of each half in the cache.
  const std::filesystem::directory_iterator entries(folder_ / "out/features");
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 2);

  // Without weights of its own, and without the options above: the network of the others.
  const auto beside = run({"knn", "--data", "data", "--output", "beside", "--weights", "random",
                           "run", "eval.k=[1, 3]"});
  ASSERT_EQ(beside.status, 0) << beside.err;
  EXPECT_THAT(beside.err, HasSubstr("random: architecture and size of images as of run/"));
  EXPECT_EQ(report("beside/random")["options"], report("beside/run")["options"]);

  const auto none = run({"knn", "--weights", "last.safetensors", "data", "--data", "data"});
  EXPECT_EQ(none.status, 2);
  EXPECT_THAT(none.err, HasSubstr("data: expected a file of weights, or a folder with "
                                  "checkpoints/last.safetensors"));
  const auto missing = run({"knn", "--weights", "last.safetensors", "x.pth", "--data", "data"});
  EXPECT_EQ(missing.status, 2);
  EXPECT_THAT(missing.err, Not(HasSubstr("evaluating")));
}

TEST_F(IbotEval, KeepsTheReportOfAnotherResult) {
  auto words = kTiny;
  words.insert(words.end(), {"--output", "out"});
  ASSERT_EQ(knn("pixels", words).status, 0);
  ASSERT_EQ(knn("pixels", words).status, 0);  // the same result replaces its report
  const auto first = report("out");
  EXPECT_FALSE(first["date"].get<std::string>().empty());
  EXPECT_FALSE(first["version"].get<std::string>().empty());
  EXPECT_EQ(first["counts"]["train_images"], 10);
  const auto other = knn("random", words);
  ASSERT_EQ(other.status, 0);
  EXPECT_THAT(other.err, HasSubstr("the earlier report, of another result, is now report-knn-"));
  int reports = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "out")) {
    reports += entry.path().extension() == ".json" ? 1 : 0;
  }
  EXPECT_EQ(reports, 2);
}

TEST_F(IbotEval, LeavesOutUnreadableImagesWhenAsked) {
  std::ofstream(folder_ / "data/val/dark/7.jpg") << "no image";
  auto words = kTiny;
  words.insert(words.end(), {"--output", "out", "dataset.max_bad_share=0.2"});
  const auto result = knn("pixels", words);
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("left out 1 of 5 images that do not decode"));
  EXPECT_EQ(report("out")["counts"]["unreadable_test_images"], 1);
  EXPECT_EQ(report("out")["counts"]["test_images"], 4);
  words.back() = "dataset.max_bad_share=0.1";
  EXPECT_THAT(knn("pixels", words).err, HasSubstr("expected at most 0.1 of 5 images"));
  words.pop_back();
  EXPECT_THAT(knn("pixels", words).err,
              HasSubstr("leave such images out by dataset.max_bad_share"));
}

TEST_F(IbotEval, TheListOfKeysIsCurrent) {
  const auto printed = run({"--print-config", "--markdown"});
  ASSERT_EQ(printed.status, 0) << printed.err;
  EXPECT_EQ(printed.out, testing::read_text(std::string(IBOT_SOURCE_DIR) + "/docs/keys.md"))
      << "ibot-eval --print-config --markdown > docs/keys.md";
  const auto task = run({"--print-config", "logistic"});
  EXPECT_THAT(task.out, AllOf(HasSubstr("\nlogistic:\n"), Not(HasSubstr("\nlinear:\n"))));
}

}  // namespace
}  // namespace ibot
