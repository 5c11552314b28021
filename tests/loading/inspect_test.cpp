#include "ibot/loading/inspect.h"

#include <gtest/gtest.h>

#include "data/folder_of_pictures.h"

namespace ibot::data {
namespace {

// Heights 40 41 42 43 44 40 41 and widths 48 47 46 45 44 43 42, less those of file 3.
TEST(Inspect, SummaryCountsAndMeasures) {
  const testing::FolderOfPictures folder(7, {3});
  testing::write_bytes(folder.file(1), testing::encoded(testing::drawing(41, 47), ".png"));
  const auto summary = summarize(folder.dataset(), 2);
  EXPECT_EQ(summary.images, 7);
  EXPECT_EQ(summary.images_per_class, (std::vector<int64_t>{3, 2, 2}));
  EXPECT_EQ(summary.formats, (std::map<std::string, int64_t>{{"JPEG", 5}, {"PNG", 1}}));
  EXPECT_EQ(summary.width.min, 42);
  EXPECT_EQ(summary.width.median, 44);
  EXPECT_EQ(summary.width.max, 48);
  EXPECT_EQ(summary.height.min, 40);
  EXPECT_EQ(summary.height.median, 41);
  EXPECT_EQ(summary.height.max, 44);
  ASSERT_EQ(summary.damaged.size(), 1U);
  EXPECT_EQ(summary.damaged[0].path, folder.file(3));
}

TEST(Inspect, VerifyListsDamagedFilesInOrderAndDoubtfulOnes) {
  const testing::FolderOfPictures folder(9, {4});
  auto bytes = testing::read_bytes(folder.file(0));
  bytes.resize(bytes.size() / 2);
  testing::write_bytes(folder.file(0), bytes);
  auto warned = testing::read_bytes(folder.file(7));
  std::fill_n(warned.end() - 200, 150, 0x55);
  testing::write_bytes(folder.file(7), warned);
  const auto [damaged, warnings, notices] = verify(folder.dataset(), 3);
  ASSERT_EQ(damaged.size(), 2U);
  EXPECT_EQ(damaged[0].path, folder.file(0));
  EXPECT_NE(damaged[0].reason.find("truncated"), std::string::npos);
  EXPECT_EQ(damaged[1].path, folder.file(4));
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_EQ(warnings[0].path, folder.file(7));
  EXPECT_TRUE(warnings[0].reason.starts_with("decodes with warnings: Corrupt JPEG data"));
  EXPECT_TRUE(notices.empty());
}

TEST(Inspect, GrayThatIsCutOffIsNoDamage) {
  const testing::FolderOfPictures folder(5);
  const cv::Mat gray(8, 8, CV_16UC1, cv::Scalar(3000));
  testing::write_bytes(folder.file(2), testing::encoded(gray, ".png"));
  const auto summary = summarize(folder.dataset(), 2);
  const auto findings = verify(folder.dataset(), 2);
  EXPECT_TRUE(summary.damaged.empty());
  EXPECT_TRUE(findings.damaged.empty());
  for (const auto& notices : {summary.notices, findings.notices}) {
    ASSERT_EQ(notices.size(), 1U);
    EXPECT_EQ(notices[0].path, folder.file(2));
    EXPECT_EQ(notices[0].reason, "gray of 16 bits: 100 % of pixels above 255");
  }
  EXPECT_TRUE(verify(folder.dataset(), 2, {.gray_range = GrayRange::kType}).notices.empty());
  EXPECT_EQ(verify(folder.dataset(), 2, {.max_pixels = 1000}).damaged.size(), 4U);
}

}  // namespace
}  // namespace ibot::data
