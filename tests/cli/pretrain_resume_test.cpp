// Runs of ibot-train that are interrupted go on as if nothing had happened.
#include "cli/pretrain_folder.h"
#include "ibot/config/run_config.h"
#include "ibot/config/yaml.h"
#include "ibot/io/torch_file.h"
#include "ibot/train/checkpoint.h"
#include "support/golden.h"

namespace ibot::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class PretrainResume : public PretrainFolder {
 protected:
  /// Starts or continues `output` and sends it a signal once `condition` holds.
  ProgramResult interrupt(const std::string& output, int signal_number,
                          const std::function<bool()>& condition, const Words& more = {}) const {
    RunningProgram program("ibot-train", train_words(output, more), folder_);
    EXPECT_TRUE(program.wait_until(condition)) << "ended before it could be interrupted";
    return program.interrupt(signal_number);
  }
};

TEST_F(PretrainResume, KilledAtAnyMomentTheResultIsTheSame) {
  finish("plain");
  const auto kill_once = [this](const std::function<bool()>& condition) {
    EXPECT_EQ(interrupt("killed", SIGKILL, condition).status, 128 + SIGKILL);
  };
  kill_once([] { return true; });
  kill_once([this] { return std::filesystem::exists(folder_ / "killed/config.yaml"); });
  kill_once([this] { return steps("killed") >= 2; });
  EXPECT_FALSE(std::filesystem::exists(last("killed")));
  kill_once([this] { return std::filesystem::exists(last("killed")); });
  kill_once([this] { return steps("killed") >= 10; });
  kill_once([] { return true; });
  finish("killed");
  expect_same_weights("plain", "killed");
  expect_same_logs("plain", "killed");
}

TEST_F(PretrainResume, ATerminatedRunGoesOnWithinTheEpoch) {
  const Words long_epochs{"train.batch_size=1", "train.epochs=2"};
  finish("plain", long_epochs);
  const auto stopped = interrupt(
      "stopped", SIGTERM, [this] { return steps("stopped") >= 3; }, long_epochs);
  EXPECT_EQ(stopped.status, 143);
  const auto step = train::load_checkpoint_header(last("stopped")).run.step;
  EXPECT_NE(step % 16, 0);
  EXPECT_EQ(steps("stopped"), step);
  EXPECT_THAT(stopped.err, HasSubstr("stopped at step " + std::to_string(step) + ";"));

  const auto resumed = train("stopped", long_epochs);
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("resumed at step " + std::to_string(step) + " of 32"));
  expect_same_weights("plain", "stopped");
  expect_same_logs("plain", "stopped");
}

// Its file counts epochs alone: the data tell how many steps they are.
TEST_F(PretrainResume, ARunOfTheOfficialProgramGoesOnWithTheNextEpoch) {
  finish("plain");
  finish("half", {"train.max_steps=8"});
  const auto convert = [&](Words words) {
    words.insert(words.begin(), "convert");
    words.insert(words.end(), {"--part", "all"});
    const auto result = run("ibot-model", words);
    ASSERT_EQ(result.status, 0) << result.err;
  };
  convert({last("half").string(), "half.pth"});
  auto official = *io::read_torch_file(folder_ / "half.pth").root.dict();
  std::erase_if(official.items, [](const auto& item) { return *item.first.text() == "ibot"; });
  io::write_torch_file(folder_ / "official.pth", official);
  Words words{"official.pth", "official.safetensors"};
  const auto config = train::load_checkpoint_header(last("half")).config;
  for (const auto& [key, value] :
       config::flat_values(config::parse_config<config::RunConfig>(config, "config"))) {
    words.push_back(concat(key, "=", value));
  }
  convert(words);
  for (const char* file : {"official.safetensors", "official.pth", "half.pth"}) {
    const auto resumed = train(std::string("from ") + file, {"--resume", file});
    EXPECT_EQ(resumed.status, 0) << resumed.err;
    EXPECT_THAT(resumed.err, HasSubstr("resumed at step 8 of 16"));
    expect_same_weights("plain", std::string("from ") + file);
  }
  expect_failure(train("other", {"--resume", "official.pth", "optim.lr=0.1", "loss.weight_cls=2"}),
                 2,
                 "official.pth: its run had other values: loss.weight_cls 1.0 -> 2.0, "
                 "optim.lr 0.0005 -> 0.1; ");
}

// Without CONFIG the file's arguments are the configuration.
TEST_F(PretrainResume, TakesTheConfigurationOfTheOfficialProgram) {
  const auto file = (golden_root() / "13_checkpoint/ckpt_vit.pth").string();
  const Words words{
      "--resume",  file, "data.path=set/train",  "backbone.heads=2",  "--output", "run",
      "--threads", "1",  "train.precision=fp32", "train.max_steps=17"};
  const auto resumed = run("ibot-train", words);
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("resumed at step 16 of 32"));  // 8 steps of 2 images an epoch
  const auto config = text("run/config.yaml");
  for (const char* line :
       {"prototypes: 40 ", "lr: 0.128 ", "epochs: 4 ", "global_scale: [0.14, 1.0]"}) {
    EXPECT_THAT(config, HasSubstr(line));
  }
}

TEST_F(PretrainResume, TellsWhatIsNoRunToGoOnFrom) {
  const auto file = (golden_root() / "13_checkpoint/backbone_teacher.pth").string();
  expect_failure(train("run", {"--resume", file}), 2,
                 "expected a whole run to resume (student, teacher and optimizer), found none; "
                 "use its weights with --init-from " +
                     file);
}

TEST_F(PretrainResume, TakesTheFolderOfARunForItsLastCheckpoint) {
  finish("run", {"train.max_steps=2"});
  const auto begun = train("begun", {"--init-from", "run", "train.max_steps=1"});
  EXPECT_THAT(begun.err, HasSubstr("student from run/checkpoints/last.safetensors"));
  const auto resumed = train("resumed", {"--resume", "run", "train.max_steps=3"});
  EXPECT_THAT(resumed.err, HasSubstr("resumed at step 2 of "));
  expect_failure(train("none", {"--resume", "set"}), 2,
                 "set: expected a file of weights, or a folder with checkpoints/last.safetensors");
}

// What begins a run has no part in one that goes on, but is looked at.
TEST_F(PretrainResume, TellsThatInitFromIsIgnored) {
  finish("run", {"train.max_steps=2"});
  const auto weights = last("run").string();
  const auto again = train("run", {"--init-from", weights, "train.max_steps=3"});
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_THAT(again.err,
              HasSubstr("--init-from " + weights + ": ignored, the run resumes from run/"));
  EXPECT_THAT(again.err, Not(HasSubstr("student from")));
  expect_failure(train("run", {"--init-from", "none.pth"}), 2, "cannot read none.pth");
}

// What is decided when a run begins is what it goes on with, whatever is asked then.
TEST_F(PretrainResume, KeepsItsPrecisionAndWhatItBeganWith) {
  finish("first", {"train.max_steps=1"});
  const auto weights = last("first").string();
  finish("run", {"train.precision=fp32", "train.max_steps=2", "--init-from", weights});
  EXPECT_THAT(text("run/config.yaml"), HasSubstr("init_from: "));
  EXPECT_THAT(text("run/config.yaml"), HasSubstr("first/checkpoints/last.safetensors"));
  const auto resumed = train("run", {"train.precision=auto", "train.max_steps=3"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(resumed.err, AllOf(HasSubstr("resumed at step 2"), Not(HasSubstr("ignored"))));
  EXPECT_THAT(text("run/config.yaml"), HasSubstr("  precision: fp32 "));
  EXPECT_THAT(text("run/config.yaml"), HasSubstr("first/checkpoints/last.safetensors"));
  const auto other = train("run", {"train.max_steps=4", "--init-from", last("run").string()});
  EXPECT_THAT(other.err, HasSubstr("; it began with " + weights));

  finish("auto", {"train.precision=auto", "train.max_steps=1"});
  EXPECT_THAT(text("auto/config.yaml"), ::testing::ContainsRegex("  precision: (fp32|bf16) "));
  // From OUT/config.yaml the same run again.
  const auto again = run("ibot-train", {"run/config.yaml", "train.max_steps=2", "--output", "again",
                                        "--threads", "1"});
  EXPECT_THAT(again.err, HasSubstr("student from " + weights));
}

TEST_F(PretrainResume, SaysThatNothingIsLeftToDo) {
  finish("run");
  const auto written = std::filesystem::last_write_time(last("run"));
  const auto again = train("run");
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("nothing left to do: the run has its 16 steps"));
  EXPECT_EQ(std::filesystem::last_write_time(last("run")), written);
  EXPECT_THAT(train("run", {"train.epochs=5"}).err,
              AllOf(HasSubstr("train.epochs 4 -> 5"), HasSubstr("to train longer, begin another")));
}

TEST_F(PretrainResume, WarnsOfOtherImagesOfTheSameNumber) {
  finish("run", {"train.max_steps=2"});
  std::filesystem::copy(folder_ / "set/train", folder_ / "moved",
                        std::filesystem::copy_options::recursive);
  const auto resumed = train("run", {"data.path=moved", "train.max_steps=3"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(resumed.err,
              HasSubstr("warning data.path: expected set/train, as before, got moved"));
}

TEST_F(PretrainResume, ADryRunReadsWhatTheRunWould) {
  for (const char* option : {"--resume", "--init-from"}) {
    const auto result = train("run", {"--dry-run", option, "none.pth"});
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr("none.pth"));
  }
  finish("first", {"train.max_steps=2"});
  const auto weights = last("first").string();
  EXPECT_EQ(train("first", {"--dry-run"}).status, 0);
  EXPECT_EQ(train("first", {"--dry-run", "optim.lr=0.1"}).status, 2);
  const auto begun = train("run", {"--dry-run", "--init-from", weights, "--key", "student"});
  EXPECT_EQ(begun.status, 0) << begun.err;
  EXPECT_THAT(begun.err, HasSubstr("student from " + weights));
  EXPECT_EQ(train("run", {"--dry-run", "--init-from", weights, "backbone.patch_size=8"}).status, 2);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

// An evaluation belongs to its step: it is neither lost nor repeated.
TEST_F(PretrainResume, KeepsEvaluations) {
  const Words evaluated{"eval.path=set", "eval.every_epochs=1"};
  finish("plain", evaluated);
  for (const char* steps : {"train.max_steps=4", "train.max_steps=7"}) {
    finish("resumed", {evaluated[0], evaluated[1], steps});
  }
  finish("resumed", evaluated);
  expect_same_weights("plain", "resumed");
  expect_same_logs("plain", "resumed");
}

TEST_F(PretrainResume, AFinishedRunStaysAsItIs) {
  finish("run");
  const auto checkpoint = text("run/checkpoints/last.safetensors");
  const auto log = text("run/log.txt"), metrics = text("run/metrics.jsonl");
  finish("run");
  EXPECT_EQ(text("run/checkpoints/last.safetensors"), checkpoint);
  EXPECT_EQ(text("run/log.txt"), log);
  EXPECT_EQ(text("run/metrics.jsonl"), metrics);
}

TEST_F(PretrainResume, TakesOtherWorkersAndEvaluations) {
  finish("plain");
  finish("run", {"train.max_steps=6", "data.workers=1"});
  finish("run", {"data.workers=3", "eval.path=set", "eval.temperature=0.1"});
  expect_same_weights("plain", "run");
}

// Of as many steps an epoch, but in another order.
TEST_F(PretrainResume, TellsOfAnotherNumberOfImages) {
  const std::string warning = "warning data: expected 16 images, as before, got 15";
  finish("run", {"train.max_steps=6"});
  EXPECT_THAT(train("run", {"train.max_steps=7"}).err, Not(HasSubstr(warning)));
  std::filesystem::remove(folder_ / "set/train/tint_00/0003.jpg");
  const auto fewer = train("run", {"train.max_steps=8"});
  EXPECT_EQ(fewer.status, 0) << fewer.err;
  EXPECT_THAT(fewer.err, HasSubstr(warning));
  EXPECT_THAT(train("run").err, Not(HasSubstr("warning data:")));
}

TEST_F(PretrainResume, RefusesAnotherConfiguration) {
  finish("run", {"train.max_steps=2"});
  const auto config = text("run/config.yaml");
  expect_failure(train("run", {"optim.lr=0.1", "head.layers=2"}), 2,
                 "run/checkpoints/step-00000002.safetensors: written by another configuration: "
                 "head.layers 3 -> 2, optim.lr 0.0005 -> 0.1; ");
  EXPECT_EQ(text("run/config.yaml"), config);
  EXPECT_EQ(steps("run"), 2);
}

TEST_F(PretrainResume, RefusesDamagedCheckpointsUnlessToldToStartAnew) {
  finish("plain");
  finish("run");
  for (const int64_t step : {12, 16}) {
    std::filesystem::resize_file(train::step_file(folder_ / "run/checkpoints", step), 5000);
  }
  expect_failure(train("run"), 2,
                 "run/checkpoints: all 2 checkpoints are damaged: run/checkpoints/");
  EXPECT_EQ(std::filesystem::file_size(last("run")), 5000u);
  finish("run", {"--resume", "none"});
  expect_same_weights("plain", "run");
  expect_same_logs("plain", "run");
}

// A run of a version that wrote last.safetensors and no manifest.
TEST_F(PretrainResume, GoesOnFromAFileOfAnEarlierVersion) {
  finish("plain");
  finish("run", {"train.max_steps=6"});
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "run/checkpoints")) {
    if (entry.path() != last("run")) std::filesystem::remove(entry.path());
  }
  const auto resumed = train("run");
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("resumed at step 6 of 16"));
  expect_same_weights("plain", "run");
}

TEST_F(PretrainResume, GoesOnFromTheCheckpointOfAnotherRun) {
  finish("plain");
  finish("first", {"train.max_steps=6"});
  finish("second", {"--resume", last("first").string()});
  expect_same_weights("plain", "second");
  EXPECT_EQ(steps("second"), 10);
  expect_failure(train("third", {"--resume", "none.safetensors"}), 2,
                 "none.safetensors: expected a checkpoint, found no such file");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "third"));
}

}  // namespace
}  // namespace ibot::testing
