#include "ibot/config/sweep.h"

#include <gtest/gtest.h>

#include "ibot/base/error.h"

namespace ibot::config {
namespace {

using Words = std::vector<std::string>;

TEST(Sweep, WithoutASetIsOneRun) {
  const auto runs = expand_sweep({"optim.lr=1e-3", "data.path=a{b,c}", "mask.ratio=[0, 0.3]"});
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].name, "");
  EXPECT_EQ(runs[0].overrides, (Words{"optim.lr=1e-3", "data.path=a{b,c}", "mask.ratio=[0, 0.3]"}));
  EXPECT_EQ(expand_sweep({}).size(), 1u);
}

TEST(Sweep, CombinesSetsTheLastFastest) {
  const auto runs =
      expand_sweep({"optim.lr={1e-3, 2e-3}", "train.seed=7", "mask.shape={block,rand}"});
  ASSERT_EQ(runs.size(), 4u);
  EXPECT_EQ(runs[0].overrides, (Words{"optim.lr=1e-3", "train.seed=7", "mask.shape=block"}));
  EXPECT_EQ(runs[1].overrides, (Words{"optim.lr=1e-3", "train.seed=7", "mask.shape=rand"}));
  EXPECT_EQ(runs[3].overrides, (Words{"optim.lr=2e-3", "train.seed=7", "mask.shape=rand"}));
  EXPECT_EQ(runs[1].name, "001-lr=1e-3-shape=rand");
}

TEST(Sweep, ListsAreValuesToo) {
  const auto runs = expand_sweep({"mask.ratio={[0, 0.3], 0.5}"});
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].overrides, Words{"mask.ratio=[0, 0.3]"});
  EXPECT_EQ(runs[1].overrides, Words{"mask.ratio=0.5"});
  EXPECT_EQ(runs[0].name, "000-ratio=_0__0.3_");
}

TEST(Sweep, RefusesEmptyValuesAndFloods) {
  for (const char* set : {"optim.lr={}", "optim.lr={1,}", "optim.lr={,1}"}) {
    EXPECT_THROW(expand_sweep({set}), ConfigError) << set;
  }
  EXPECT_THROW(expand_sweep(Words(10, "train.seed={1, 2}")), ConfigError);
}

}  // namespace
}  // namespace ibot::config
