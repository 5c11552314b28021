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

}  // namespace
}  // namespace ibot::data
