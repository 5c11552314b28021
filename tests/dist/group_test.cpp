#include "ibot/dist/group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <mutex>

#include "support/expect_tensor.h"
#include "support/ranks.h"

namespace ibot::dist {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using testing::launch_into;
using testing::run_ranks;

TEST(Group, OfOneDoesNothing) {
  const Group group;
  const auto tensor = torch::tensor({1.f, 2.f});
  group.all_reduce_(tensor, Reduction::kMean);
  group.broadcast_(tensor, 0);
  group.barrier();
  group.check();
  group.start_all_reduce_(tensor, Reduction::kSum).wait();
  EXPECT_TENSOR_EQUAL(tensor, torch::tensor({1.f, 2.f}));
  EXPECT_TENSOR_EQUAL(group.all_gather(tensor), torch::tensor({{1.f, 2.f}}));
  EXPECT_EQ(group.rank(), 0);
  EXPECT_EQ(group.size(), 1);
  EXPECT_TRUE(group.any(true));
  EXPECT_FALSE(group.any(false));
}

TEST(Group, Reduces) {
  IBOT_NEEDS_RANKS();
  run_ranks(3, [](const Group& group) {
    EXPECT_EQ(group.size(), 3);
    const auto own = static_cast<float>(group.rank() + 1);
    const auto reduced = [&](Reduction reduction) {
      const auto tensor = torch::tensor({own, -own});
      group.all_reduce_(tensor, reduction);
      return tensor;
    };
    EXPECT_TENSOR_EQUAL(reduced(Reduction::kSum), torch::tensor({6.f, -6.f}));
    EXPECT_TENSOR_NEAR(reduced(Reduction::kMean), torch::tensor({2.f, -2.f}));
    EXPECT_TENSOR_EQUAL(reduced(Reduction::kMax), torch::tensor({3.f, -1.f}));
    EXPECT_TRUE(group.any(group.rank() == 2));
    EXPECT_FALSE(group.any(false));
  });
}

TEST(Group, GathersAndBroadcasts) {
  IBOT_NEEDS_RANKS();
  run_ranks(2, [](const Group& group) {
    const auto own = torch::full({2}, group.rank(), torch::kLong);
    EXPECT_TENSOR_EQUAL(group.all_gather(own), torch::tensor({{0, 0}, {1, 1}}, torch::kLong));
    // A view with strides: its own storage is written.
    const auto matrix = torch::full({2, 2}, static_cast<float>(group.rank()));
    group.broadcast_(matrix.t()[0], 1);
    EXPECT_TENSOR_EQUAL(matrix.t()[0], torch::ones({2}));
    EXPECT_TENSOR_EQUAL(matrix.t()[1], torch::full({2}, static_cast<float>(group.rank())));
  });
}

// L = Σ over ranks of w_r · s², s the sum of all x: dL/dx = 2 s Σ w_r on every rank.
TEST(Group, ASumIsDifferentiatedOverRanks) {
  IBOT_NEEDS_RANKS();
  run_ranks(2, [](const Group& group) {
    const auto x = torch::tensor(static_cast<float>(group.rank() + 1), torch::requires_grad());
    const auto weight = static_cast<float>(group.rank() + 1);
    (weight * all_reduce_sum(x, group).square()).backward();
    EXPECT_TENSOR_NEAR(x.grad(), torch::tensor(2.f * 3.f * 3.f));
  });
}

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const PeerError& error) {
    return error.what();
  }
  return "no PeerError";
}

TEST(Group, SurvivorsRepeatWhatARankSaysBeforeItEnds) {
  IBOT_NEEDS_RANKS();
  std::array<std::string, 3> told;
  run_ranks(3, [&](const Group& group) {
    if (group.rank() == 1) {
      group.report_failure("data: too many bad images");
      return;
    }
    told[static_cast<size_t>(group.rank())] = message_of([&] { group.barrier(); });
  });
  for (const size_t rank : {0, 2}) {
    EXPECT_THAT(told[rank], HasSubstr("ranks: rank 1 on "));
    EXPECT_THAT(told[rank], HasSubstr(" failed: data: too many bad images"));
  }
}

TEST(Group, ARankThatLeavesEarlyIsNamed) {
  IBOT_NEEDS_RANKS();
  std::string told;
  run_ranks(2, [&](const Group& group) {
    if (group.rank() == 0) told = message_of([&] { group.barrier(); });
  });
  EXPECT_THAT(told, HasSubstr("ranks: rank 1 on "));
  EXPECT_THAT(told, HasSubstr(" has left"));
}

// One rank enters the barrier late: "in a step" or while it does something that only it does.
std::array<std::string, 3> told_of_a_late_rank(bool in_step) {
  constexpr milliseconds kStall{300};
  const RankStore store;
  std::array<std::string, 3> told;
  std::vector<std::thread> ranks;
  for (const int64_t rank : {0, 1, 2}) {
    ranks.emplace_back([&, rank] {
      const auto group = connect(launch_into(store, rank, 3), {.stall_timeout = kStall});
      group.barrier();
      std::optional<Group::InStep> step;
      if (rank != 1 || in_step) step.emplace(group);
      if (rank == 1) std::this_thread::sleep_for(4 * kStall);
      told[static_cast<size_t>(rank)] = message_of([&] { group.barrier(); });
    });
  }
  for (auto& rank : ranks) rank.join();
  return told;
}

TEST(Group, ARankThatLivesButKeepsOthersWaitingIsNamed) {
  IBOT_NEEDS_RANKS();
  const auto told = told_of_a_late_rank(true);
  for (const size_t rank : {0, 2}) {
    EXPECT_THAT(told[rank], HasSubstr("ranks: rank 1 on "));
    EXPECT_THAT(told[rank], HasSubstr(" is alive and has kept the others waiting for 0.3 s"));
  }
}

TEST(Group, ARankThatWorksAloneIsWaitedFor) {
  IBOT_NEEDS_RANKS();
  const auto told = told_of_a_late_rank(false);
  for (const auto& message : told) EXPECT_EQ(message, "no PeerError");
}

TEST(Group, RanksThatDoNotComeAreNamed) {
  IBOT_NEEDS_RANKS();
  const RankStore store;
  const auto told =
      message_of([&] { connect(launch_into(store, 1, 4), {.join_timeout = milliseconds(200)}); });
  EXPECT_THAT(told, HasSubstr("ranks: expected 4 at 127.0.0.1:"));
  EXPECT_THAT(told, HasSubstr("waited 0.2 s for: 0, 2, 3;"));
}

TEST(Group, WhoWaitsForOthersSaysForWhomOnce) {
  IBOT_NEEDS_RANKS();
  const RankStore store;
  std::vector<std::string> told;
  message_of([&] {
    connect(launch_into(store, 1, 4), {.join_timeout = milliseconds(400),
                                       .on_wait = [&](const auto& text) { told.push_back(text); },
                                       .tell_after = milliseconds(100)});
  });
  ASSERT_EQ(told.size(), 1u);
  EXPECT_THAT(told[0], ::testing::MatchesRegex(
                           "waiting for 3 of 4 ranks at 127\\.0\\.0\\.1:[0-9]+: 0, 2, 3"));
}

TEST(Group, WhoWaitsForTheStoreSaysSo) {
  IBOT_NEEDS_RANKS();
  dist::Launch launch;
  launch.world = 2;
  launch.master_address = "127.0.0.1";
  launch.master_port = RankStore().port();  // free again
  std::promise<std::string> told;
  std::thread early([&, launch]() mutable {
    launch.rank = 1;
    std::once_flag once;
    connect(
        launch,
        {.on_wait = [&](const auto& text) { std::call_once(once, [&] { told.set_value(text); }); },
         .tell_after = milliseconds(100)});
  });
  EXPECT_THAT(told.get_future().get(), HasSubstr("waiting for rank 0 of 2 ranks at 127.0.0.1:"));
  connect(launch, {});
  early.join();
}

TEST(Group, NodesOfDifferentAddressesMeet) {
  IBOT_NEEDS_RANKS();
  const RankStore store;
  std::vector<std::thread> nodes;
  for (const int64_t rank : {0, 1}) {
    nodes.emplace_back([&store, rank] {
      auto launch = launch_into(store, rank, 2);
      launch.node_address = rank == 0 ? "127.0.0.1" : "127.0.0.2";
      const auto group = connect(launch, {});
      const auto sum = torch::ones({1});
      group.all_reduce_(sum, Reduction::kSum);
      EXPECT_EQ(sum.item<float>(), 2.f);
    });
  }
  for (auto& node : nodes) node.join();
}

}  // namespace
}  // namespace ibot::dist
