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
  EXPECT_EQ(Json::parse(whole.out),
            (Json{{"images", 16}, {"damaged", Json::array()}, {"warnings", Json::array()}}));

  std::filesystem::resize_file(folder_ / "set/train/tint_01/0002.jpg", 200);
  const auto damaged = run("ibot-data", {"verify", "set/train", "--json"});
  EXPECT_EQ(damaged.status, 1);
  const auto list = Json::parse(damaged.out)["damaged"];
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0]["path"], "set/train/tint_01/0002.jpg");
  EXPECT_THAT(list[0]["reason"], HasSubstr("truncated"));
}

}  // namespace
}  // namespace ibot::testing
