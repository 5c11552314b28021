#include "ibot/eval/feature_store.h"

#include <gtest/gtest.h>
#include <torch/utils.h>

#include <filesystem>

#include "support/expect_tensor.h"
#include "support/temporary_folder.h"

namespace ibot::eval {
namespace {

using testing::TemporaryFolder;

FeatureBank part(int64_t begin, int64_t count) {
  return {torch::randn({count, 3}), torch::arange(count), torch::arange(begin, begin + count), ""};
}

TEST(FeatureStore, GivesBackWhatWasWrittenUnderTheSameDescription) {
  const TemporaryFolder folder;
  const auto written = part(10, 5);
  FeatureStore(folder.path(), "one").write(10, written);
  const auto read = FeatureStore(folder.path(), "one").read(10, 5);
  ASSERT_TRUE(read);
  EXPECT_TENSOR_EQUAL(read->features, written.features);
  EXPECT_TENSOR_EQUAL(read->labels, written.labels);
  EXPECT_TENSOR_EQUAL(read->sample_id, written.sample_id);
  EXPECT_FALSE(FeatureStore(folder.path(), "two").read(10, 5));
  EXPECT_FALSE(FeatureStore(folder.path(), "one").read(0, 5));
  EXPECT_FALSE(FeatureStore(folder.path(), "one").read(10, 6));
}

TEST(FeatureStore, ADamagedPartIsAsIfAbsent) {
  const TemporaryFolder folder;
  const FeatureStore store(folder.path(), "one");
  store.write(0, part(0, 5));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
    if (entry.path().extension() == ".safetensors") {
      std::filesystem::resize_file(entry.path(), entry.file_size() - 3);
    }
  }
  EXPECT_FALSE(store.read(0, 5));
}

}  // namespace
}  // namespace ibot::eval
