#include "ibot/config/nearest.h"

#include <gtest/gtest.h>

namespace ibot::config {
namespace {

TEST(EditDistance, CountsLetters) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("ratio", "ratoi"), 1u);
  EXPECT_EQ(edit_distance("ca", "abc"), 3u);
}

TEST(Nearest, PrefersTheFirstOfEqualsAndGivesUpFarAway) {
  EXPECT_EQ(nearest("lr", {"ls", "lt"}), "ls");
  EXPECT_EQ(nearest("epoch", {"seed", "epochs"}), "epochs");
  EXPECT_EQ(nearest("xyz", {"epochs", "seed"}), std::nullopt);
  EXPECT_EQ(nearest("epochs", {}), std::nullopt);
  EXPECT_EQ(nearest(std::string(1000, 'a'), {std::string(1000, 'a')}), std::nullopt);
}

}  // namespace
}  // namespace ibot::config
