// The wall clock may jump: the clock of this test program does.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

#include "ibot/train/run_log.h"
#include "ibot/train/trainer.h"
#include "support/temporary_folder.h"
#include "support/tiny.h"

namespace {
std::atomic<long> jumped_s{0};
}  // namespace

extern "C" int clock_gettime(clockid_t clock, struct timespec* time) noexcept {
  const auto result = static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
  if (clock == CLOCK_REALTIME) time->tv_sec += jumped_s;
  return result;
}

namespace ibot::train {
namespace {

using testing::TemporaryFolder;

struct ClockRecorder : Observer {
  std::vector<StepRecord> steps;
  std::vector<std::filesystem::path> checkpoints;
  void on_step(const StepRecord& record) override { steps.push_back(record); }
  void on_checkpoint(const std::filesystem::path& file) override { checkpoints.push_back(file); }
};

TEST(Clock, JumpsChangeNeitherRatesNorWeights) {
  const auto before = std::chrono::system_clock::now();
  jumped_s = 5000;
  ASSERT_GT(std::chrono::system_clock::now() - before, std::chrono::seconds(4000));
  jumped_s = 0;

  const TemporaryFolder folder;
  TrainerOptions options;
  options.train.log_every_steps = 1;
  options.length = {.epochs = 3, .steps_per_epoch = 4, .global_batch = 3};
  options.schedule.warmup_epochs = 1;
  options.home.checkpoints = folder.path();
  const auto train = [&](ClockRecorder& recorder, bool jumping) {
    TrainStep step(testing::tiny_step_options(), torch::kCPU);
    RunLog log(folder.path(), 0, 4);
    Trainer trainer(options, step, {&recorder, &log});
    trainer.set_stop([&] {
      // A day back and forth.
      if (jumping) jumped_s = trainer.state().step % 2 == 0 ? -86400 : 86400;
      return false;
    });
    testing::TinySource source;
    trainer.run(source);
    jumped_s = 0;
    return load_checkpoint(trainer.last_checkpoint());
  };
  ClockRecorder plain, jumping;
  const auto expected = train(plain, false);
  const auto actual = train(jumping, true);
  for (const auto& [name, tensor] : expected.tensors) {
    EXPECT_TRUE(tensor.equal(actual.tensors.at(name))) << name;
  }
  EXPECT_EQ(actual.run.step, 12);
  EXPECT_EQ(jumping.checkpoints, plain.checkpoints);
  for (const auto& record : jumping.steps) {
    EXPECT_GT(record.images_per_s, 0.1) << record.step;
    EXPECT_GE(record.data_wait, 0.0) << record.step;
    EXPECT_LE(record.data_wait, 1.0) << record.step;
  }
}

}  // namespace
}  // namespace ibot::train
