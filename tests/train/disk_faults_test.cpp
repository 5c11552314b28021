// A disk that fails at any one moment of a save, and a process that ends there: the system calls of
// this test program are its own.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstring>

#include "ibot/base/error.h"
#include "ibot/train/checkpointer.h"
#include "ibot/train/trainer.h"
#include "support/temporary_folder.h"
#include "support/tiny.h"

namespace {

enum Call : int { kNone, kOpen, kWrite, kSync, kRename, kLink, kList, kAny };

/// From the `calls_left`-th further call of its kind on, the disk has `failure`; or, where that is
/// 0, the process ends. `name` restricts opening to files whose path holds it.
struct Disk {
  std::atomic<int> call{kNone};
  std::atomic<int> calls_left{0};
  std::atomic<int> failure{0};
  std::atomic<const char*> name{""};
};
Disk disk;

bool fails(Call call) {
  const int armed = disk.call.load();
  if (armed != call && armed != kAny) return false;
  if (disk.calls_left.fetch_sub(1) > 0) return false;
  if (disk.failure == 0) ::_exit(9);
  errno = disk.failure;
  return true;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  mode_t mode = 0;
  if (flags & O_CREAT) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
    if (std::strstr(path, disk.name) != nullptr && fails(kOpen)) return -1;
  }
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

ssize_t write(int file, const void* data, size_t size) {
  if (file > 2 && fails(kWrite)) return -1;
  return ::syscall(SYS_write, file, data, size);
}

int fsync(int file) { return fails(kSync) ? -1 : static_cast<int>(::syscall(SYS_fsync, file)); }

int rename(const char* from, const char* to) noexcept {
  if (fails(kRename)) return -1;
  return static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

int link(const char* from, const char* to) noexcept {
  if (fails(kLink)) return -1;
  return static_cast<int>(::syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0));
}

dirent* readdir(DIR* folder) {
  static const auto real = reinterpret_cast<decltype(&readdir)>(::dlsym(RTLD_NEXT, "readdir"));
  return fails(kList) ? nullptr : real(folder);
}

}  // extern "C"

namespace ibot::train {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

/// Arms the disk while it lives.
class Failing {
 public:
  Failing(Call call, int calls_before, int failure, const char* name = "") {
    disk.calls_left = calls_before;
    disk.failure = failure;
    disk.name = name;
    disk.call = call;
  }
  ~Failing() { disk.call = kNone; }
};

/// Steps 1 and 2 stand, then step 3 is saved under every name.
struct SavedRun {
  explicit SavedRun(const fs::path& folder) : writer({.folder = folder, .keep_last = 2}) {
    for (const int64_t step : {1, 2}) EXPECT_EQ(save(step), "");
  }
  std::string save(int64_t step) {
    writer.start({.tensors = {{"a", torch::full({5000}, static_cast<double>(step))}},
                  .run = {.step = step, .steps_per_epoch = 4},
                  .config = "text"},
                 step < 3 ? std::vector<std::string>{} : std::vector<std::string>{"best"});
    return writer.wait()->problem;
  }
  Checkpointer writer;
};

/// The run can go on from the folder, from step 2 or 3, and its last file is whole.
void expect_usable(const fs::path& folder) {
  const auto restored = restore_newest(folder);
  ASSERT_TRUE(restored.has_value());
  EXPECT_TRUE(restored->damaged.empty()) << restored->damaged.front();
  const auto step = restored->checkpoint.run.step;
  EXPECT_GE(step, 2);
  EXPECT_TRUE(
      restored->checkpoint.tensors.at("a").equal(torch::full({5000}, static_cast<double>(step))));
  EXPECT_GE(load_checkpoint(folder / "last.safetensors").run.step, 2);

  Checkpointer next({.folder = folder, .keep_last = 2});
  next.adopt(restored->checkpoint,
             step == 3 ? std::vector<std::string>{"best"} : std::vector<std::string>{});
  EXPECT_EQ(load_checkpoint(folder / "last.safetensors").run.step, step);
  next.start({.tensors = {}, .run = {.step = 4, .steps_per_epoch = 4}, .config = ""}, {"best"});
  EXPECT_EQ(next.wait()->problem, "");
  EXPECT_EQ(restore_newest(folder)->checkpoint.run.step, 4);
  for (const auto& entry : fs::directory_iterator(folder)) {
    EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
  }
}

TEST(DiskFaults, AFullDiskAtAnyCallOfASaveKeepsTheLastGoodCheckpoint) {
  for (const auto& [call, failure, reason] : {std::tuple{kOpen, EDQUOT, "Disk quota exceeded"},
                                              {kWrite, ENOSPC, "No space left on device"},
                                              {kSync, EIO, "Input/output error"},
                                              {kRename, ENOSPC, "No space left on device"},
                                              {kLink, ENOSPC, "No space left on device"}}) {
    int failures = 0;
    for (int before = 0;; ++before) {
      SCOPED_TRACE(::testing::Message() << "call " << call << ", " << before << " before it");
      const TemporaryFolder folder;
      SavedRun run(folder.path());
      std::string problem;
      {
        const Failing failing(call, before, failure);
        problem = run.save(3);
      }
      if (problem.empty()) break;
      ++failures;
      EXPECT_THAT(problem, HasSubstr(reason));
      expect_usable(folder.path());
    }
    EXPECT_GE(failures, 2) << call;
  }
}

// Leftovers and old checkpoints can wait for the next save.
TEST(DiskFaults, AFolderThatCannotBeListedHindersNoSave) {
  for (const int before : {0, 1, 5}) {
    SCOPED_TRACE(before);
    const TemporaryFolder folder;
    SavedRun run(folder.path());
    {
      const Failing failing(kList, before, EIO);
      EXPECT_EQ(run.save(3), "");
    }
    EXPECT_EQ(run.save(4), "");
    EXPECT_FALSE(fs::exists(step_file(folder.path(), 2)));
    EXPECT_EQ(restore_newest(folder.path())->checkpoint.run.step, 4);
  }
}

// What was left of the file takes room that the next save needs.
TEST(DiskFaults, AFailedSaveLeavesNoFile) {
  const TemporaryFolder folder;
  SavedRun run(folder.path());
  {
    const Failing failing(kOpen, 1, ENOSPC);  // the manifest's
    EXPECT_NE(run.save(3), "");
  }
  EXPECT_FALSE(fs::exists(step_file(folder.path(), 3)));
  EXPECT_EQ(run.save(4), "");
}

// kill -9 between any two system calls of a save.
TEST(DiskFaults, AProcessThatEndsAtAnyCallOfASaveIsGoneOnFrom) {
  for (int before = 0;; ++before) {
    SCOPED_TRACE(before);
    const TemporaryFolder folder;
    const pid_t child = ::fork();
    if (child == 0) {
      SavedRun run(folder.path());
      const Failing failing(kAny, before, 0);
      run.save(3);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    expect_usable(folder.path());
    if (WEXITSTATUS(status) == 0) {
      EXPECT_GT(before, 15);
      break;
    }
    ASSERT_EQ(WEXITSTATUS(status), 9);
  }
}

struct Faults : Observer {
  std::vector<FaultRecord> faults;
  void on_fault(const FaultRecord& record) override { faults.push_back(record); }
};

TrainerOptions disk_options(const fs::path& folder) {
  TrainerOptions options;
  options.length = {.epochs = 3, .steps_per_epoch = 2, .global_batch = 3};
  options.schedule.warmup_epochs = 1;
  options.home.checkpoints = folder;
  return options;
}

TEST(DiskFaults, TrainingGoesOnAndEndsAsIfNothingHadBeen) {
  const TemporaryFolder plain_folder, folder;
  TrainStep plain(testing::tiny_step_options(), torch::kCPU);
  testing::TinySource plain_source, source;
  Trainer(disk_options(plain_folder.path()), plain, {}).run(plain_source);

  TrainStep step(testing::tiny_step_options(), torch::kCPU);
  Faults told;
  Trainer trainer(disk_options(folder.path()), step, {&told});
  {
    const Failing failing(kOpen, 0, ENOSPC, "step-00000002");
    EXPECT_EQ(trainer.run(source), Ending::kDone);
  }
  ASSERT_EQ(told.faults.size(), 1u);
  EXPECT_EQ(told.faults[0].kind, "save_failed");
  EXPECT_THAT(told.faults[0].text, HasSubstr("No space left on device"));
  const auto ours = load_checkpoint(folder / "last.safetensors");
  const auto theirs = load_checkpoint(plain_folder / "last.safetensors");
  for (const auto& [name, tensor] : theirs.tensors) {
    EXPECT_TRUE(tensor.equal(ours.tensors.at(name))) << name;
  }
}

// The one that scored best could not be written: the best is the best of those that stand.
TEST(DiskFaults, TheBestCheckpointIsOneThatStands) {
  const TemporaryFolder folder;
  TrainStep step(testing::tiny_step_options(), torch::kCPU);
  Trainer trainer(disk_options(folder.path()), step, {});
  trainer.set_evaluation([](int64_t epoch) {
    return EvaluationRecord{.epoch = epoch, .score = std::vector{30.0, 50.0, 40.0}[epoch]};
  });
  testing::TinySource source;
  {
    const Failing failing(kOpen, 0, ENOSPC, "step-00000004");
    EXPECT_EQ(trainer.run(source), Ending::kDone);
  }
  const auto best = load_checkpoint(folder / "best.safetensors");
  EXPECT_EQ(best.run.step, 6);
  EXPECT_EQ(best.run.best.score, 40.0);
}

TEST(DiskFaults, ARunWhoseLastSaveFailsHasFailed) {
  const TemporaryFolder folder;
  TrainStep step(testing::tiny_step_options(), torch::kCPU);
  Trainer trainer(disk_options(folder.path()), step, {});
  const Failing failing(kOpen, 0, EIO, "step-00000006");
  testing::TinySource source;
  try {
    trainer.run(source);
    ADD_FAILURE() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("last checkpoint not written: "));
    EXPECT_THAT(error.what(), HasSubstr("Input/output error"));
  }
  EXPECT_EQ(restore_newest(folder.path())->checkpoint.run.step, 4);
}

}  // namespace
}  // namespace ibot::train
