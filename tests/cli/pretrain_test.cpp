// What a run of ibot-train leaves, and that it is a function of its configuration alone.
#include <sys/mount.h>

#include <fstream>

#include "cli/pretrain_folder.h"
#include "ibot/base/error.h"
#include "ibot/train/checkpoint.h"

namespace ibot::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Pretrain : public PretrainFolder {
 protected:
  static Words keys(const nlohmann::ordered_json& object) {
    Words names;
    for (const auto& [key, value] : object.items()) names.push_back(key);
    return names;
  }
  nlohmann::ordered_json first_line(const std::string& file) const {
    const auto lines = text(file);
    return nlohmann::ordered_json::parse(lines.substr(0, lines.find('\n')));
  }
  /// Cuts two of the 16 training images short.
  void damage() const {
    std::filesystem::resize_file(folder_ / "set/train/tint_00/0003.jpg", 200);
    std::filesystem::resize_file(folder_ / "set/train/tint_01/0005.jpg", 100);
  }
};

// As it is in the repository, on images smaller than its crops.
TEST_F(Pretrain, SmokeConfigTrains) {
  const auto result =
      run("ibot-train", {std::string(IBOT_SOURCE_DIR) + "/configs/smoke/tiny.yaml",
                         "data.path=set/train", "--output", "run", "--threads", "1"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("16 images in 2 classes; 2 steps per epoch on cpu"));
  EXPECT_THAT(result.err, HasSubstr("done at step 4; checkpoint: run/checkpoints/last"));
  EXPECT_EQ(steps("run"), 4);
}

TEST_F(Pretrain, WritesItsFiles) {
  finish("run");
  // Names and order of the official log.txt.
  EXPECT_THAT(
      keys(first_line("run/log.txt")),
      ElementsAre("train_loss", "train_cls", "train_patch", "train_lr", "train_wd", "train_acc",
                  "train_nmi", "train_ari", "train_fscore", "train_adjacc", "epoch"));
  const auto epochs = objects("run/log.txt");
  ASSERT_EQ(epochs.size(), 4u);
  for (size_t i = 0; i < epochs.size(); ++i) EXPECT_EQ(epochs[i]["epoch"], i);

  EXPECT_THAT(
      keys(first_line("run/metrics.jsonl")),
      ElementsAre("step", "epoch", "loss", "loss_cls", "loss_patch", "lr", "weight_decay",
                  "momentum", "grad_norm", "images_per_s", "data_wait", "flops_per_s", "mfu",
                  "memory_bytes", "loss_z", "skipped", "entropy_cls", "entropy_patch",
                  "information_cls", "center_norm", "center_norm_patch", "feature_rank"));
  const auto metrics = objects("run/metrics.jsonl");
  ASSERT_EQ(metrics.size(), 16u);
  for (size_t i = 0; i < metrics.size(); ++i) {
    EXPECT_EQ(metrics[i]["step"], i + 1);
    EXPECT_EQ(metrics[i]["epoch"], i / 4);
  }

  EXPECT_EQ(train::load_checkpoint_header(last("run")).run.step, 16);
  EXPECT_EQ(train::load_checkpoint_header(last("run")).config, text("run/config.yaml"));
  const std::filesystem::directory_iterator events(folder_ / "run/tensorboard");
  EXPECT_THAT(events->path().filename().string(), StartsWith("events.out.tfevents."));
  EXPECT_GT(events->file_size(), 1000u);
}

TEST_F(Pretrain, ItsConfigRepeatsTheRun) {
  finish("run");
  const auto again = run("ibot-train", {"run/config.yaml", "--output", "again", "--threads", "1"});
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(text("run/config.yaml"), text("again/config.yaml"));
  expect_same_weights("run", "again");
  expect_same_logs("run", "again");
}

TEST_F(Pretrain, WorkersDoNotChangeTheResult) {
  finish("one", {"data.workers=1"});
  finish("three", {"data.workers=3", "data.prefetch_batches=1"});
  expect_same_weights("one", "three");
  expect_same_logs("one", "three");
}

// Epochs and warnings stay under --quiet; OUT/log has all that was said, and more.
TEST_F(Pretrain, KeepsWhatItSays) {
  const auto quiet = train("run", {"--quiet", "schedule.warmup_epochs=4"});
  EXPECT_EQ(quiet.status, 0) << quiet.err;
  EXPECT_THAT(quiet.err, HasSubstr(" warning schedule.warmup_epochs: "));
  EXPECT_THAT(quiet.err, HasSubstr(" info epoch 4/4  loss "));
  EXPECT_THAT(quiet.err, HasSubstr("  effective rank "));
  EXPECT_EQ(quiet.err.find("images"), std::string::npos) << quiet.err;
  const auto log = text("run/log");
  EXPECT_THAT(log, ::testing::ContainsRegex("^20[0-9-]+ [0-9:]+ info 16 images in 2 classes"));
  for (const char* line :
       {" debug not a default: train.batch_size=4\n", " info network vit_tiny",
        " info device cpu, ", " info batch 4 images per step, 4 epochs, 16 steps",
        " warning schedule.warmup_epochs: ", " info epoch 4/4  loss ",
        " info done at step 16; checkpoint: "}) {
    EXPECT_THAT(log, HasSubstr(line));
  }
  const auto refused = train("run", {"optim.lr=1", "--resume", "auto"});
  EXPECT_EQ(refused.status, 2);
}

// Guards the comparisons of this file: weights do depend on what is to change them.
TEST_F(Pretrain, TheSeedChangesTheResult) {
  finish("zero", {"train.max_steps=1"});
  finish("one", {"train.max_steps=1", "train.seed=1"});
  const auto name = "student.backbone.cls_token";
  EXPECT_FALSE(weights("zero").at(name).equal(weights("one").at(name)));
}

TEST_F(Pretrain, EvaluatesInTheRunWithoutChangingIt) {
  finish("plain");
  finish("run", {"eval.path=set", "eval.every_epochs=3"});
  expect_same_weights("plain", "run");

  std::vector<Json> evaluations;
  for (const auto& line : objects("run/metrics.jsonl")) {
    if (line.contains("eval")) evaluations.push_back(line);
  }
  ASSERT_EQ(evaluations.size(), 2u);  // after the third epoch and after the last
  EXPECT_EQ(evaluations[0]["epoch"], 2);
  EXPECT_EQ(evaluations[1]["step"], 16);
  EXPECT_EQ(evaluations[1]["eval"]["name"], "knn");

  const auto result =
      run("ibot-eval", {"knn", "--weights", "run/checkpoints/last.safetensors", "--data", "set",
                        "--output", "knn", "--device", "cpu", "--threads", "1"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(Json::parse(text("knn/report.json"))["metrics"], evaluations[1]["eval"]["metrics"]);
}

// Each as often as its own key says; the first of the list chooses the best checkpoint.
TEST_F(Pretrain, EvaluatesByAnyTaskWithoutChangingTheRun) {
  finish("plain");
  const Words evaluated{"eval.path=set",       "eval.tasks=[kmeans,knn,logistic,cluster,linear]",
                        "eval.every_epochs=3", "kmeans.every_epochs=2",
                        "linear.lr=[0.1,1.0]", "linear.epochs=3",
                        "linear.batch_size=4"};
  auto half = evaluated;
  half.insert(half.end(), {"train.max_steps=8", "kmeans.restarts=2"});
  finish("run", half);
  finish("run", evaluated);  // an evaluation's keys change nothing of the run
  expect_same_weights("plain", "run");

  std::vector<std::pair<int64_t, std::string>> done;
  std::map<std::string, Json> last;
  for (const auto& line : objects("run/metrics.jsonl")) {
    if (!line.contains("eval")) continue;
    done.emplace_back(line["epoch"], line["eval"]["name"]);
    last[done.back().second] = line["eval"]["metrics"];
  }
  EXPECT_THAT(
      done, ::testing::ElementsAre(std::pair{1, "kmeans"}, std::pair{2, "knn"}, std::pair{3, "knn"},
                                   std::pair{3, "logistic"}, std::pair{3, "cluster"},
                                   std::pair{3, "linear"}, std::pair{3, "kmeans"}));
  for (const auto& [task, metrics] : last) {
    const auto result =
        run("ibot-eval", {task, "--weights", "run/checkpoints/last.safetensors", "--data", "set",
                          "--output", task, "--device", "cpu", "--threads", "1"});
    ASSERT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(Json::parse(text(task + "/report.json"))["metrics"], metrics) << task;
  }
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/checkpoints/best.safetensors"));
}

TEST_F(Pretrain, AnImageThatCannotBeReadCostsItsEvaluationsAlone) {
  const auto folder = std::filesystem::directory_iterator(folder_ / "set/val")->path();
  std::ofstream(folder / "zz.png") << "\x89PNG\r\n\x1a\n and no more";
  finish("run", {"eval.path=set", "eval.tasks=[knn,cluster]"});
  std::vector<std::string> faults;
  for (const auto& line : objects("run/metrics.jsonl")) {
    if (line.contains("fault")) faults.push_back(line["text"]);
  }
  EXPECT_THAT(faults, ::testing::ElementsAre(
                          ::testing::StartsWith("evaluation cluster after epoch 4 failed: "),
                          ::testing::StartsWith("evaluation after epoch 4 failed: ")));
}

TEST_F(Pretrain, ReplacesAndNamesUnreadableImages) {
  damage();
  const Words tolerant{"data.max_bad_share=0.5"};
  const auto names = [this] {
    Words paths;
    for (const auto& line : objects("run/bad_samples.jsonl")) paths.push_back(line["path"]);
    std::sort(paths.begin(), paths.end());
    return paths;
  };
  const Words both{"set/train/tint_00/0003.jpg", "set/train/tint_01/0005.jpg"};
  const auto first = train("run", {tolerant[0], "train.max_steps=6"});
  ASSERT_EQ(first.status, 0) << first.err;
  for (const auto& path : both) {
    EXPECT_THAT(first.err, HasSubstr("warning unreadable image replaced: " + path));
  }
  EXPECT_EQ(names(), both);
  // The run that goes on meets them again in each epoch.
  finish("run", tolerant);
  EXPECT_EQ(names(), both);
  finish("run", {tolerant[0], "--resume", "none"});
  EXPECT_EQ(names(), both);
}

// A graymap of 16 bits, its pixels 1000 and 4000 in turn, whatever its name.
TEST_F(Pretrain, WarnsOnceOfGrayThatIsCutOff) {
  std::string gray = "P5 16 16 65535\n";
  for (int i = 0; i < 128; ++i) gray += std::string("\x03\xE8\x0F\xA0", 4);
  std::ofstream(folder_ / "set/train/tint_00/0003.jpg", std::ios::binary) << gray;
  const auto clipped = train("run", {"train.max_steps=6"});
  ASSERT_EQ(clipped.status, 0) << clipped.err;
  const std::string warning = "gray of more than 8 bits is clipped at 255 in 1 of the first ";
  const auto place = clipped.err.find(warning);
  ASSERT_NE(place, std::string::npos) << clipped.err;
  EXPECT_EQ(clipped.err.find(warning, place + 1), std::string::npos);
  EXPECT_THAT(clipped.err, HasSubstr("0003.jpg (gray of 16 bits: 100 % of pixels above 255)"));
  const auto scaled = train("other", {"train.max_steps=6", "data.gray_range=type"});
  EXPECT_EQ(scaled.status, 0) << scaled.err;
  EXPECT_EQ(scaled.err.find("clipped"), std::string::npos) << scaled.err;
}

TEST_F(Pretrain, EndsAboveTheLimitOfUnreadableImages) {
  damage();
  expect_failure(train("run", {"data.max_bad_share=0.0", "--quiet"}), 1,
                 "data: expected at most 0 of 16 images to be unreadable, found 1");
}

TEST_F(Pretrain, DryRunTellsTheCostAndWritesNothing) {
  const auto shown = train("run", {"--dry-run"});
  ASSERT_EQ(shown.status, 0) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("run         16 steps, "));
  EXPECT_THAT(shown.out, ::testing::ContainsRegex("memory      [0-9.]+ [MG]iB"));
  const auto result = train("run", {"--dry-run", "--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto summary = Json::parse(result.out);
  EXPECT_EQ(summary["steps"], 16);
  for (const char* key : {"parameters_backbone", "parameters_trained", "flops_per_step",
                          "peak_memory_bytes", "step_s", "images_per_s", "hours"}) {
    EXPECT_GT(summary[key], 0) << key;
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

// What a run would refuse after a while, a dry run refuses too.
TEST_F(Pretrain, DryRunRefusesWhatARunWould) {
  std::filesystem::create_directories(folder_ / "half/train");
  for (const auto& [words, reason] : std::vector<std::pair<Words, std::string>>{
           {{"eval.path=nowhere"}, "nowhere"},
           {{"eval.path=half"}, "half"},
           {{"eval.path=set", "eval.k=[17]"}, "eval.k: expected at most the 16 training images"},
           {{"eval.path=set", "eval.tasks=[kmeans]", "kmeans.clusters=9"},
            "kmeans.clusters: expected at most the 8 test images, got 9"},
           {{"eval.tasks=[knn,finetune]"},
            "eval.tasks: expected knn | linear | logistic | kmeans | cluster | retrieval | copy | "
            "video, "
            "got finetune"},
           {{"train.batch_size=17"}, "train.batch_size: expected at most the 16 images"}}) {
    auto dry = words;
    dry.push_back("--dry-run");
    expect_failure(train("run", words), 2, reason);
    expect_failure(train("run", dry), 2, reason);
  }
  std::ofstream(folder_ / "file") << "mine";
  expect_failure(train("file/run", {"--dry-run"}), 2, "file/run: cannot create the folder");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

TEST_F(Pretrain, WarnsOnceOfEachScheduleThatCannotFit) {
  const Words longer{"train.epochs=1", "schedule.warmup_epochs=10", "optim.freeze_last_layer=2",
                     "loss.warmup_teacher_temp_epochs=30", "mask.start_epoch=1"};
  auto dry = longer;
  dry.push_back("--dry-run");
  for (const auto& words : {longer, dry}) {
    const auto result = train("run", words);
    EXPECT_EQ(result.status, 0) << result.err;
    for (const auto& [key, end] : {std::pair{"schedule.warmup_epochs", "10"},
                                   {"optim.freeze_last_layer", "2"},
                                   {"loss.warmup_teacher_temp_epochs", "30"},
                                   {"mask.start_epoch", "1"}}) {
      EXPECT_THAT(result.err, HasSubstr(concat("warning ", key, ": ends at epoch ", end,
                                               ", the run (train.epochs) at 1;")));
    }
  }
  EXPECT_THAT(train("fits").err, ::testing::Not(HasSubstr("warning")));
}

/// A disk in memory, at `folder`.
class SmallDisk {
 public:
  explicit SmallDisk(std::filesystem::path folder) : folder_(std::move(folder)) {
    std::filesystem::create_directory(folder_);
  }
  ~SmallDisk() { ::umount2(folder_.c_str(), MNT_DETACH); }
  bool resize(uintmax_t bytes, unsigned long flags) const {
    const auto size = "size=" + std::to_string(bytes);
    return ::mount("tmpfs", folder_.c_str(), "tmpfs", flags, size.c_str()) == 0;
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(Pretrain, AFullDiskKeepsTheOldCheckpoint) {
  finish("plain");
  const SmallDisk disk(folder_ / "disk");
  // Room for a checkpoint and a half: the next one does not fit beside the last.
  const auto bytes = std::filesystem::file_size(last("plain"));
  if (!disk.resize(bytes * 3 / 2, 0)) {
    GTEST_SKIP() << "mounting a small disk needs privileges";
  }
  finish("disk/run", {"train.max_steps=3"});
  // It trains to the end, tells of each save, and fails for want of the last one.
  const auto full = train("disk/run", {"--quiet"});
  EXPECT_EQ(full.status, 1);
  EXPECT_THAT(full.err, HasSubstr("warning step 4: checkpoint not written: cannot write"));
  EXPECT_THAT(full.err, HasSubstr("warning step 8: checkpoint not written: cannot write"));
  EXPECT_THAT(full.err, HasSubstr("error: last checkpoint not written: cannot write"));
  EXPECT_THAT(full.err, HasSubstr("No space left on device"));
  EXPECT_EQ(train::load_checkpoint(last("disk/run")).run.step, 3);
  EXPECT_THAT(text("disk/run/metrics.jsonl"), HasSubstr("\"fault\":\"save_failed\""));

  ASSERT_TRUE(disk.resize(bytes * 8, MS_REMOUNT));
  finish("disk/run");
  expect_same_weights("plain", "disk/run");
  expect_same_logs("plain", "disk/run");
}

TEST_F(Pretrain, ADiskWithoutRoomForTheRunIsOneLineBeforeAnyStep) {
  const SmallDisk disk(folder_ / "disk");
  if (!disk.resize(4096, 0)) GTEST_SKIP() << "mounting a small disk needs privileges";
  std::ofstream(folder_ / "disk/other") << std::string(4096, 'x');
  const auto full = train("disk/run", {"--quiet"});
  EXPECT_EQ(full.status, 1);
  EXPECT_THAT(full.err, StartsWith("error: cannot write disk/run/"));
  EXPECT_THAT(full.err, EndsWith("No space left on device\n"));
  EXPECT_EQ(std::ranges::count(full.err, '\n'), 1);
  EXPECT_EQ(text("disk/other").size(), 4096u);
}

// Both networks begin with the teacher of another run, also through a .pth of its backbone.
TEST_F(Pretrain, BeginsWithGivenWeights) {
  finish("first", {"train.epochs=1"});
  const auto weights = last("first").string();
  // A learning rate of almost nothing leaves what they began with.
  const Words still{"--init-from", weights, "train.epochs=1", "optim.lr=1e-30", "optim.min_lr=0"};
  const auto result = train("second", still);
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("student from " + weights));
  const auto before = io::read_safetensors(weights, "teacher.").tensors;
  const auto after = io::read_safetensors(last("second")).tensors;
  for (const auto& [name, tensor] : before) {
    EXPECT_TRUE(torch::allclose(after.at(name), tensor)) << name;
    EXPECT_TRUE(torch::allclose(after.at("student" + name.substr(7)), tensor)) << name;
  }
  ASSERT_EQ(run("ibot-model", {"convert", weights, "backbone.pth"}).status, 0);
  const auto again = train("third", {"--init-from", "backbone.pth", "train.max_steps=1"});
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("missing: head."));
  const auto other = train("fourth", {"--init-from", weights, "backbone.patch_size=8"});
  EXPECT_EQ(other.status, 2);
  EXPECT_THAT(other.err, HasSubstr("expected shape"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "fourth"));
}

}  // namespace
}  // namespace ibot::testing
