#include "ibot/config/key_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/parsing.h"

namespace ibot::config {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> names_of(const Sections& sections) {
  std::vector<std::string> names;
  for (const auto& section : sections) {
    for (const auto& field : section.fields) names.push_back(section.name + "." + field.name);
  }
  return names;
}

TEST(KeyTable, HasARowForEachKey) {
  OtherConfig config;
  const auto text = key_tables(sections_of(config));
  EXPECT_THAT(text, HasSubstr("\n## second\n\n| key | default | |\n| --- | --- | --- |\n"
                              "| `second.color` | `ink` | an enumerator |\n"));
  EXPECT_THAT(text, HasSubstr("| `first.words` | `[one, \"two words\"]` | some words |\n"));
}

// A bar would end the cell.
TEST(KeyTable, EscapesWhatMarkdownReads) {
  RunConfig config;
  const auto text =
      key_tables(selected(sections_of(config), {"train.on_nonfinite", "train.on_collapse"}));
  EXPECT_THAT(text, HasSubstr("\\| "));
}

TEST(KeyTable, SelectsSectionsAndKeys) {
  OtherConfig config;
  const auto chosen = selected(sections_of(config), {"first.flag", "second.", "third.none"});
  const auto names = names_of(chosen);
  EXPECT_EQ(names.front(), "first.flag");
  EXPECT_EQ(names[1], "second.color");
  EXPECT_EQ(names.size(), 11u);
}

}  // namespace
}  // namespace ibot::config
