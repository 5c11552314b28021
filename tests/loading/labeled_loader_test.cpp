#include "ibot/loading/labeled_loader.h"

#include <gtest/gtest.h>

#include "data/folder_of_pictures.h"
#include "ibot/base/error.h"
#include "ibot/codec/decode.h"
#include "support/expect_tensor.h"

namespace ibot::data {
namespace {

using testing::FolderOfPictures;

LabeledLoaderOptions small(int64_t workers) {
  LabeledLoaderOptions options;
  options.transform = {36, 32, Filter::kBicubic};
  options.batch_size = 4;
  options.workers = workers;
  return options;
}

TEST(LabeledLoader, DeliversEverySampleInOrder) {
  const FolderOfPictures folder(10);
  for (const int64_t workers : {1, 4}) {
    LabeledLoader loader(folder.dataset(), small(workers));
    int64_t seen = 0;
    while (const auto batch = loader.next()) {
      for (int64_t i = 0; i < batch->image.size(0); ++i, ++seen) {
        EXPECT_EQ(batch->sample_id[i].item<int64_t>(), seen);
        EXPECT_EQ(batch->label[i].item<int64_t>(), folder.dataset().label(seen));
        testing::Crop expected(32, 32);
        eval_transform(decode(folder.dataset().read(seen), "test"), small(1).transform,
                       expected.view());
        EXPECT_TENSOR_EQUAL(batch->image[i],
                            torch::from_blob(expected.pixels.data(), {3, 32, 32}, torch::kByte));
      }
    }
    EXPECT_EQ(seen, 10);
  }
}

TEST(LabeledLoader, ABadImageIsAnError) {
  const FolderOfPictures folder(10, {9});
  LabeledLoader loader(folder.dataset(), small(2));
  EXPECT_THROW(while (loader.next()){}, DataError);
}

// Files 0, 3, 6 and 9 are samples 0 to 3, a whole batch; file 7 is sample 6.
TEST(LabeledLoader, LeavesOutBadImagesAndTellsOfThem) {
  const FolderOfPictures folder(10, {0, 3, 6, 9, 7});
  for (const int64_t workers : {1, 4}) {
    auto options = small(workers);
    std::vector<int64_t> bad;
    options.on_unreadable = [&](const DamagedFile& file) {
      EXPECT_EQ(file.path, folder.dataset().path(file.sample));
      EXPECT_FALSE(file.reason.empty());
      bad.push_back(file.sample);
    };
    LabeledLoader loader(folder.dataset(), options);
    std::vector<int64_t> seen;
    while (const auto batch = loader.next()) {
      for (int64_t i = 0; i < batch->image.size(0); ++i) {
        seen.push_back(batch->sample_id[i].item<int64_t>());
        EXPECT_EQ(batch->label[i].item<int64_t>(), folder.dataset().label(seen.back()));
      }
    }
    EXPECT_EQ(seen, (std::vector<int64_t>{4, 5, 7, 8, 9}));
    EXPECT_EQ(bad, (std::vector<int64_t>{0, 1, 2, 3, 6}));
  }
}

}  // namespace
}  // namespace ibot::data
