#include "ibot/data/class_match.h"

#include <gtest/gtest.h>

#include "ibot/base/error.h"

namespace ibot::data {
namespace {

class FakeDataset : public Dataset {
 public:
  FakeDataset(std::vector<std::string> names, std::vector<int64_t> labels)
      : names_(std::move(names)), labels_(std::move(labels)) {}
  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  int64_t label(int64_t sample) const override { return labels_[sample]; }
  std::string path(int64_t sample) const override { return std::to_string(sample); }
  std::vector<uint8_t> read(int64_t) const override { return {}; }
  const std::vector<std::string>& class_names() const override { return names_; }

 private:
  std::vector<std::string> names_;
  std::vector<int64_t> labels_;
};

std::string refusal(const Dataset& train, const Dataset& test) {
  try {
    match_classes(train, test);
    return "";
  } catch (const DataError& error) {
    return error.what();
  }
}

TEST(ClassMatch, NumbersTestImagesByTheNameOfTheirClass) {
  const FakeDataset train({"ant", "bee", "cat", "dog"}, {0, 1, 1, 3});
  const FakeDataset test({"bee", "dog"}, {1, 0, 1});
  const auto match = match_classes(train, test);
  EXPECT_EQ(match.label, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(match.untested, std::vector<std::string>{"ant"});
  EXPECT_EQ(match.empty, std::vector<std::string>{"cat"});
  const MatchedDataset matched(train, test, match);
  EXPECT_EQ(matched.label(0), 3);
  EXPECT_EQ(matched.label(1), 1);
  EXPECT_EQ(matched.class_names().size(), 4U);
}

TEST(ClassMatch, RefusesTestImagesOfAnUnknownClass) {
  const FakeDataset train({"ant", "bee", "cat"}, {0, 1});
  EXPECT_NE(refusal(train, FakeDataset({"bee", "cow"}, {0, 1})).find("cow"), std::string::npos);
  // A class without training images cannot be learned either.
  EXPECT_NE(refusal(train, FakeDataset({"cat"}, {0})).find("cat"), std::string::npos);
  // An empty folder of another name is harmless.
  EXPECT_EQ(refusal(train, FakeDataset({"bee", "cow"}, {0})), "");
}

TEST(ClassMatch, RefusesASingleClass) {
  const FakeDataset train({"ant", "bee"}, {0, 0});
  EXPECT_NE(refusal(train, FakeDataset({"ant"}, {0})).find("two or more"), std::string::npos);
}

}  // namespace
}  // namespace ibot::data
