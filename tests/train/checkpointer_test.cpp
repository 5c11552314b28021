#include "ibot/train/checkpointer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "ibot/base/error.h"
#include "ibot/base/version.h"
#include "ibot/io/file.h"
#include "ibot/train/manifest.h"
#include "support/temporary_folder.h"

namespace ibot::train {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

Checkpoint checkpoint_of(int64_t step) {
  return {.tensors = {{"a", torch::full({1000}, static_cast<double>(step))}},
          .run = {.step = step, .steps_per_epoch = 4},
          .config = "text"};
}

class CheckpointerTest : public ::testing::Test {
 protected:
  std::unique_ptr<Checkpointer> writer(int64_t keep_last = 2) const {
    return std::make_unique<Checkpointer>(CheckpointerOptions{
        .folder = folder_.path(), .keep_last = keep_last, .world_size = 3, .global_batch = 12});
  }
  static void save(Checkpointer& writer, int64_t step, std::vector<std::string> names = {}) {
    writer.start(checkpoint_of(step), std::move(names));
    const auto result = writer.wait();
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(result->problem, "");
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  fs::path file(int64_t step) const { return step_file(folder_.path(), step); }
  /// The step that a run would go on from.
  int64_t newest_step() const { return restore_newest(folder_.path())->checkpoint.run.step; }
  void flip_a_bit(const fs::path& path) const {
    auto bytes = io::read_file(path);
    bytes[bytes.size() - 100] ^= 4;
    std::ofstream(path, std::ios::binary | std::ios::in).write(bytes.data(), bytes.size());
  }

  TemporaryFolder folder_;
};

TEST_F(CheckpointerTest, KeepsTheLastOnesAndThoseWithNames) {
  const auto writer = this->writer();
  save(*writer, 4);
  save(*writer, 8, {"epoch_0001", "best"});
  save(*writer, 12);
  save(*writer, 16);
  EXPECT_THAT(files(), ElementsAre("best.json", "best.safetensors", "epoch_0001.json",
                                   "epoch_0001.safetensors", "last.safetensors",
                                   "step-00000012.json", "step-00000012.safetensors",
                                   "step-00000016.json", "step-00000016.safetensors"));
  EXPECT_TRUE(fs::equivalent(writer->last(), file(16)));
  const auto kept = load_checkpoint(folder_ / "best.safetensors");
  EXPECT_EQ(kept.run.step, 8);
  EXPECT_TRUE(kept.tensors.at("a").equal(torch::full({1000}, 8.0)));
  EXPECT_EQ(load_checkpoint_header(folder_ / "epoch_0001.safetensors").run.step, 8);
}

TEST_F(CheckpointerTest, TheManifestTellsWhatItIs) {
  save(*writer(), 4);
  const auto manifest = read_manifest(manifest_of(file(4)));
  EXPECT_EQ(manifest.step, 4);
  EXPECT_EQ(manifest.samples, 48);
  EXPECT_EQ(manifest.world_size, 3);
  EXPECT_EQ(manifest.config_hash.size(), 32u);
  EXPECT_EQ(manifest.commit, commit());
  ASSERT_EQ(manifest.files.size(), 1u);
  EXPECT_EQ(manifest.files.begin()->first, "step-00000004.safetensors");
  EXPECT_EQ(manifest.files.begin()->second, io::digest_of(file(4)));
}

// The tensors go on changing while their state at start() is being written.
TEST_F(CheckpointerTest, WritesWhatWasThereAtTheStart) {
  const auto writer = this->writer();
  auto tensor = torch::zeros({1 << 20});
  writer->start({.tensors = {{"a", tensor}}, .run = {.step = 1}, .config = ""}, {});
  tensor.fill_(1.0);
  EXPECT_EQ(writer->wait()->problem, "");
  EXPECT_EQ(load_checkpoint(file(1)).tensors.at("a").sum().item<float>(), 0.0f);
  EXPECT_FALSE(writer->wait().has_value());
}

TEST_F(CheckpointerTest, ADamagedOneIsPassedOverAndNamed) {
  const auto writer = this->writer(3);
  for (const int64_t step : {4, 8, 12}) save(*writer, step);
  fs::resize_file(file(12), 500);
  flip_a_bit(file(8));
  const auto restored = restore_newest(folder_.path());
  ASSERT_TRUE(restored.has_value());
  EXPECT_EQ(restored->checkpoint.run.step, 4);
  EXPECT_EQ(restored->checkpoint.source, file(4));
  EXPECT_THAT(restored->damaged,
              ElementsAre(HasSubstr("step-00000012.safetensors: expected "),
                          HasSubstr("step-00000008.safetensors: content differs from what was")));
  EXPECT_THROW(load_checkpoint(file(8)), CheckpointError);
  EXPECT_EQ(writer->newest(12)->run.step, 4);

  std::ofstream(manifest_of(file(4))) << "{";
  try {
    restore_newest(folder_.path());
    FAIL();
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), HasSubstr("all 3 checkpoints are damaged"));
    EXPECT_THAT(error.what(), HasSubstr("--resume none"));
  }
}

// Damage is fallen back from; a version that is not ours is not damage.
TEST_F(CheckpointerTest, ALaterVersionIsRefused) {
  const auto writer = this->writer();
  save(*writer, 4);
  save(*writer, 8);
  std::ofstream(manifest_of(file(8)))
      << R"({"format": "ibot-manifest", "format_version": 2, "ibot_version": "9.0.0"})";
  try {
    restore_newest(folder_.path());
    FAIL();
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), HasSubstr("got 2 written by ibot 9.0.0"));
  }
}

TEST_F(CheckpointerTest, AFileOfAnEarlierVersionIsGoneOnFrom) {
  EXPECT_FALSE(restore_newest(folder_.path()).has_value());
  EXPECT_FALSE(restore_newest(folder_ / "none").has_value());
  save_checkpoint(folder_ / "last.safetensors", checkpoint_of(5));
  const auto restored = restore_newest(folder_.path());
  ASSERT_TRUE(restored.has_value());
  EXPECT_EQ(restored->checkpoint.run.step, 5);
  const auto writer = this->writer();
  writer->adopt(restored->checkpoint, {});
  save(*writer, 6);
  EXPECT_EQ(newest_step(), 6);
  EXPECT_EQ(load_checkpoint(writer->last()).run.step, 6);
}

// A run begun anew in the folder of an old one: its first checkpoint, of an early step, counts and
// those of the old run do not; until then the old run is still there.
TEST_F(CheckpointerTest, CheckpointsOfAnotherRunGoAtTheFirstSave) {
  const auto old = writer();
  save(*old, 40, {"epoch_0003"});
  save(*old, 44);
  const auto anew = writer();
  EXPECT_EQ(newest_step(), 44);
  EXPECT_FALSE(anew->newest(100).has_value());
  save(*anew, 2);
  EXPECT_EQ(newest_step(), 2);
  EXPECT_TRUE(fs::exists(folder_ / "epoch_0003.safetensors"));
}

// Killed after the manifest was written: what should follow is done when the run goes on.
TEST_F(CheckpointerTest, GoingOnDoesWhatAKillLeftUndone) {
  const auto writer = this->writer();
  save(*writer, 4);
  save(*writer, 8);
  fs::remove(writer->last());
  io::link_file(file(4), writer->last());
  std::ofstream(folder_ / "step-00000012.safetensors.tmp") << "half";
  const auto again = this->writer();
  again->adopt(restore_newest(folder_.path())->checkpoint, {"epoch_0001"});
  EXPECT_TRUE(fs::equivalent(again->last(), file(8)));
  EXPECT_EQ(load_checkpoint(folder_ / "epoch_0001.safetensors").run.step, 8);
  save(*again, 12);
  EXPECT_EQ(newest_step(), 12);
  EXPECT_FALSE(fs::exists(file(4)));
  EXPECT_TRUE(fs::exists(file(8)));
}

TEST_F(CheckpointerTest, OfSeveralRanksOneWrites) {
  Checkpointer other({.folder = folder_.path(), .rank = 1, .world_size = 2});
  other.start(checkpoint_of(4), {"best"});
  EXPECT_FALSE(other.wait().has_value());
  EXPECT_TRUE(files().empty());
  save(*writer(), 4);
  EXPECT_EQ(other.newest(4)->run.step, 4);
  EXPECT_FALSE(other.newest(3).has_value());
}

}  // namespace
}  // namespace ibot::train
