#include "ibot/loading/readable_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/folder_of_pictures.h"
#include "ibot/base/error.h"
#include "ibot/data/image_folder.h"

namespace ibot::data {
namespace {

using testing::FolderOfPictures;
using ::testing::HasSubstr;

std::unique_ptr<Dataset> readable(const FolderOfPictures& folder, double share) {
  return without_unreadable(
      std::make_unique<ImageFolder>(folder.file(0).parent_path().parent_path()), share,
      {.workers = 2});
}

// Files 3 and 7 are samples 1 and 6.
TEST(ReadableSet, LeavesOutWhatDoesNotDecode) {
  const FolderOfPictures folder(10, {3, 7});
  const auto set = readable(folder, 0.2);
  ASSERT_EQ(set->size(), 8);
  for (int64_t sample = 0; sample < 8; ++sample) {
    const int64_t before = sample + (sample >= 1) + (sample >= 5);
    EXPECT_EQ(set->path(sample), folder.dataset().path(before));
    EXPECT_EQ(set->label(sample), folder.dataset().label(before));
    EXPECT_EQ(set->read(sample), folder.dataset().read(before));
  }
  EXPECT_THAT(set->notes().back(),
              HasSubstr("left out 2 of 10 images that do not decode, the first one " +
                        folder.dataset().path(1)));
  EXPECT_NE(set->content_hash(), folder.dataset().content_hash());
}

TEST(ReadableSet, RefusesMoreThanTheShare) {
  const FolderOfPictures folder(10, {3, 7});
  try {
    readable(folder, 0.19);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("dataset.max_bad_share: expected at most 0.19 of 10 images "
                                        "not to decode, found 2"));
  }
}

// Numbers and hashes of a set without faults are those of before.
TEST(ReadableSet, IsTheSetItselfWithoutFaults) {
  const FolderOfPictures bad(10, {3});
  EXPECT_EQ(readable(bad, 0)->size(), 10);
  const FolderOfPictures good(10);
  EXPECT_EQ(readable(good, 0.5)->content_hash(), good.dataset().content_hash());
}

}  // namespace
}  // namespace ibot::data
