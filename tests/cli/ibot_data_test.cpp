// ibot-data from the command line.
#include "cli/pretrain_folder.h"

namespace ibot::testing {
namespace {

using ::testing::HasSubstr;

using IbotData = PretrainFolder;

TEST_F(IbotData, DrawsTheSameSetAgain) {
  const auto result = run("ibot-data", {"synth", "again", "classes=2", "train_per_class=8",
                                        "val_per_class=4", "size=16"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, "again: 2 classes, 16 images in train, 8 in val, 16 px\n");
  EXPECT_EQ(text("again/train/tint_01/0007.jpg"), text("set/train/tint_01/0007.jpg"));
  expect_failure(run("ibot-data", {"synth", "third", "clases=2"}), 2, "classes");
}

TEST_F(IbotData, CountsImages) {
  const auto result = run("ibot-data", {"info", "set/train", "--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto info = Json::parse(result.out);
  EXPECT_EQ(info["images"], 16);
  EXPECT_EQ(info["classes"], (Json{{"tint_00", 8}, {"tint_01", 8}}));
  EXPECT_EQ(info["formats"], (Json{{"JPEG", 16}}));
  EXPECT_EQ(info["width"], (Json{{"min", 16}, {"median", 16}, {"max", 16}}));
  EXPECT_EQ(info["damaged"], Json::array());
  expect_failure(run("ibot-data", {"info", "nowhere"}), 2, "nowhere");
}

TEST_F(IbotData, NamesADamagedFile) {
  const auto whole = run("ibot-data", {"verify", "set/train", "--json"});
  EXPECT_EQ(whole.status, 0) << whole.err;
  EXPECT_EQ(Json::parse(whole.out), (Json{{"images", 16},
                                          {"damaged", Json::array()},
                                          {"warnings", Json::array()},
                                          {"notices", {{"images", 0}, {"first", Json::array()}}},
                                          {"notes", Json::array()}}));

  std::filesystem::resize_file(folder_ / "set/train/tint_01/0002.jpg", 200);
  const auto damaged = run("ibot-data", {"verify", "set/train", "--json"});
  EXPECT_EQ(damaged.status, 1);
  const auto list = Json::parse(damaged.out)["damaged"];
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0]["path"], "set/train/tint_01/0002.jpg");
  EXPECT_THAT(list[0]["reason"], HasSubstr("truncated"));
}

TEST_F(IbotData, CountsWhatIsPassedOverInOneLine) {
  const auto image = folder_ / "set/train/tint_00/0000.jpg";
  std::filesystem::create_directories(folder_ / "set/train/.ipynb_checkpoints");
  for (const char* name :
       {".ipynb_checkpoints/x.jpg", "tint_01/._0000.jpg", "tint_01/0000.heic", "tint_01/a.txt"}) {
    std::filesystem::copy_file(image, folder_ / "set/train" / name);
  }
  for (const char* command : {"info", "verify"}) {
    const auto result = run("ibot-data", {command, "set/train"});
    EXPECT_EQ(result.status, 0);
    EXPECT_THAT(result.out, HasSubstr("16"));
    EXPECT_THAT(result.err, HasSubstr("set/train: passed over 2 hidden names"));
    EXPECT_THAT(result.err, HasSubstr("left out 2 files by their ending: .heic 1, .txt 1"));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 2);
  }
  EXPECT_EQ(Json::parse(run("ibot-data", {"verify", "set/train", "--json"}).out)["notes"].size(),
            2u);
}

TEST_F(IbotData, ReadsImagesWithoutClasses) {
  const auto info = run("ibot-data", {"info", "set/train/tint_00"});
  EXPECT_EQ(info.status, 0) << info.err;
  EXPECT_THAT(info.out, HasSubstr("images   8\n"));
  EXPECT_THAT(info.out, HasSubstr("classes  none\n"));
  const auto packed = run("ibot-data", {"pack", "set/train/tint_00", "flat"});
  EXPECT_EQ(packed.status, 0) << packed.err;
  EXPECT_THAT(run("ibot-data", {"info", "flat"}).out, HasSubstr("classes  none\n"));
}

// Own photographs; labels are asked for where they are used.
TEST_F(IbotData, ImagesWithoutClassesTrainButAreNotEvaluated) {
  for (const std::string part : {"train", "val"}) {
    std::filesystem::create_directories(folder_ / "flat");
    std::filesystem::copy(folder_ / "set" / part / "tint_00", folder_ / "flat" / part);
  }
  const auto trained = train("run", {"data.path=flat/train", "train.max_steps=1"});
  EXPECT_EQ(trained.status, 0) << trained.err;
  EXPECT_THAT(trained.err, HasSubstr("8 images without classes"));
  const auto refused =
      run("ibot-eval", {"knn", "--weights", last("run").string(), "--data", "flat"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("expected images with classes, got 8 without"));
  std::filesystem::copy_file(folder_ / "flat/val/0000.jpg", folder_ / "set/train/beside.jpg");
  const auto mixed = train("mixed", {"train.max_steps=1", "--quiet"});
  EXPECT_EQ(mixed.status, 0) << mixed.err;
  EXPECT_THAT(mixed.err, HasSubstr("read without classes: 1 image beside 2 sub-folders"));
  EXPECT_THAT(run("ibot-data", {"verify", "set/train", "--quiet"}).out,
              HasSubstr("0 of 17 images damaged"));
  const auto splits = train("splits", {"data.path=set", "--dry-run"});
  EXPECT_EQ(splits.status, 0) << splits.err;
  EXPECT_THAT(splits.err, HasSubstr("set: holds train/ and val/, which count as classes"));
}

TEST_F(IbotData, CountsGrayThatIsCutOff) {
  std::ofstream(folder_ / "set/train/tint_01/0002.jpg", std::ios::binary)
      << std::string("P5 2 1 65535\n\0\x10\x0F\xA0", 17);
  for (const std::string command : {"info", "verify"}) {
    const auto told = run("ibot-data", {command, "set/train", "--json"});
    EXPECT_EQ(told.status, 0) << told.err;
    EXPECT_EQ(Json::parse(told.out)["notices"]["images"], 1);
    const auto first = Json::parse(told.out)["notices"]["first"][0];
    EXPECT_EQ(first["path"], "set/train/tint_01/0002.jpg");
    EXPECT_EQ(first["reason"], "gray of 16 bits: 50 % of pixels above 255");
    EXPECT_THAT(run("ibot-data", {command, "set/train"}).out,
                HasSubstr("1 with gray of more than 8 bits that is clipped"));
    const auto scaled = run("ibot-data", {command, "set/train", "--json", "--gray-range", "data"});
    EXPECT_EQ(Json::parse(scaled.out)["notices"]["images"], 0);
  }
  EXPECT_EQ(run("ibot-data", {"verify", "set/train", "--max-pixels", "255"}).status, 1);
  expect_failure(run("ibot-data", {"verify", "set/train", "--gray-range", "all"}), 2, "all");
}

}  // namespace
}  // namespace ibot::testing
