// Labels of shards of other making.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "ibot/base/error.h"
#include "ibot/data/class_match.h"
#include "ibot/loading/inspect.h"
#include "ibot/loading/open_dataset.h"
#include "shards/archives.h"
#include "shards/found_samples.h"
#include "shards/packed_pictures.h"
#include "support/python.h"

namespace ibot::data {
namespace {

class FoundLabels : public FoundSamples {};

TEST_F(FoundLabels, LabelsMayLieApart) {
  const Members apart{
      {"a.jpg", "1"}, {"b.jpg", "2"}, {"a.cls", "1"}, {"b.cls", "2"}, {"c.cls", "3"}};
  const auto shards = found(apart);
  EXPECT_EQ(samples(shards), (Names{"a.jpg 1", "b.jpg 2"}));
  EXPECT_EQ(notes(shards), "left out 1 members that belong to no image: cls 1\n");
  const auto twice = found({{"a.jpg", "1"},
                            {"b.jpg", "2"},
                            {"b.cls", "0"},
                            {"a.cls", "1"},
                            {"x.txt", ""},
                            {"a.cls", "2"}});
  expect_within("a.jpg (expected one label of a, found several)", samples(twice)[0]);
  EXPECT_THROW(twice.read(0), DataError);
}

TEST_F(FoundLabels, LabelsMayBeInJson) {
  const auto shards = found({{"a.jpg", "1"},
                             {"a.json", R"({"label": 1, "w": 2})"},
                             {"b.jpg", "2"},
                             {"b.json", R"({"label": "0"})"},
                             {"c.jpg", "3"},
                             {"c.json", R"({"label": 7})"},
                             {"c.cls", "2"}});
  EXPECT_EQ(samples(shards), (Names{"a.jpg 1", "b.jpg 0", "c.jpg 2"}));
  const auto none = found({{"a.jpg", "1"},
                           {"a.json", R"({"caption": "a dog"})"},
                           {"b.jpg", "2"},
                           {"b.json", "no json"}});
  EXPECT_FALSE(has_classes(none));
  EXPECT_EQ(none.read(1), testing::Bytes{'2'});
}

TEST_F(FoundLabels, LabelsAreNumbersAsPythonReadsThem) {
  const auto shards = found({{"a.jpg", ""},
                             {"a.cls", " 5"},
                             {"b.jpg", ""},
                             {"b.cls", "+5\t"},
                             {"c.JPG", ""},
                             {"c.CLS", "1_0\r\n"}});
  EXPECT_EQ(samples(shards), (Names{"a.jpg 5", "b.jpg 5", "c.JPG 10"}));
  EXPECT_EQ(shards.class_names().size(), 11U);
}

TEST_F(FoundLabels, WordsAreClassesWhereNoLabelIsANumber) {
  write_tar(file("y.tar"), {{"c.jpg", "3"}, {"c.cls", "ape"}, {"d.jpg", "4"}, {"d.cls", "dog\n"}});
  write_tar(file("x.tar"), {{"a.jpg", "1"}, {"a.cls", "dog"}, {"b.jpg", "2"}, {"b.cls", "cat"}});
  const ShardSet words(file("*.tar").string());
  EXPECT_EQ(words.class_names(), (Names{"ape", "cat", "dog"}));
  EXPECT_EQ(samples(words), (Names{"a.jpg 2", "b.jpg 1", "c.jpg 0", "d.jpg 2"}));
  write_tar(file("z.tar"), {{"e.jpg", "5"}, {"e.cls", "1"}});
  const ShardSet mixed(file("*.tar").string());
  EXPECT_EQ(mixed.class_names(), (Names{"0", "1"}));
  expect_within("a.jpg (expected the number of a class, as others have, got dog)", mixed.path(0));
  EXPECT_THROW(mixed.read(0), DataError);
  EXPECT_NO_THROW(mixed.read(4));
  expect_within("4 of 5 images have no label that can be used", notes(mixed));
}

TEST_F(FoundLabels, ForPreTrainingALabelDoesNotMatter) {
  const Members members{{"a.jpg", "1"},
                        {"a.cls", "-1"},
                        {"b.jpg", "2"},
                        {"c.jpg", "3"},
                        {"c.cls", "1"},
                        {"d.jpg", "4"},
                        {"d.cls", std::string(300, '7')}};
  const auto ignored = found(members, Labels::kIgnored);
  for (int64_t i = 0; i < 4; ++i) EXPECT_EQ(ignored.read(i).size(), 1U);
  const auto used = found(members);
  for (const int64_t i : {0, 1, 3}) EXPECT_THROW(used.read(i), DataError);
  expect_within("a.cls: expected the number of a class, below 10000000, got -1", used.path(0));
}

TEST_F(FoundLabels, ImagesWithoutLabelsHaveNoClasses) {
  const auto shards = found({{"a.jpg", "1"}, {"b.jpg", "2"}});
  EXPECT_FALSE(has_classes(shards));
  try {
    match_classes(shards, shards);
    FAIL();
  } catch (const DataError& error) {
    expect_within("expected images with classes, got 2 without", error.what());
  }
}

// Keys need not be the only ones of a set: labels in another archive are left, and said to be.
TEST_F(FoundLabels, LabelsInAnotherArchiveAreNotTaken) {
  for (const std::string label : {"1", "dog"}) {
    write_tar(file("images.tar"), {{"a.jpg", "1"}, {"b.jpg", "2"}});
    write_tar(file("labels.tar"), {{"a.cls", label}, {"b.cls", label}});
    const ShardSet shards(file("*.tar").string());
    EXPECT_FALSE(has_classes(shards));
    EXPECT_EQ(notes(shards),
              "left out 2 members that belong to no image: cls 2\n1 of 2 archives hold no image\n");
  }
}

}  // namespace
}  // namespace ibot::data
