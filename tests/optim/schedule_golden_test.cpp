#include <gtest/gtest.h>

#include "ibot/loss/ibot_loss.h"
#include "ibot/nn/drop_path.h"
#include "ibot/optim/schedule.h"
#include "support/golden.h"

namespace ibot::optim {
namespace {

using testing::ReadJson;

void expect_close(double actual, double expected, const std::string& where) {
  EXPECT_LE(std::abs(actual - expected), 1e-15 + 1e-9 * std::abs(expected))
      << where << ": " << actual << " against " << expected;
}

CosineSchedule cosine_of(const ReadJson& item) {
  const int64_t per_epoch = item["niter"];
  const int64_t warmup_steps = item.value("warmup_steps", int64_t{-1});
  const int64_t warmup_epochs = item["warmup_epochs"];
  return {item["base"], item["final"], item["epochs"].get<int64_t>() * per_epoch,
          warmup_steps > 0 ? warmup_steps : warmup_epochs * per_epoch, item.value("start", 0.0)};
}

void check_cosine(const ReadJson& item) {
  const auto schedule = cosine_of(item);
  ASSERT_EQ(static_cast<int64_t>(item["values"].size()), schedule.total_steps);
  for (int64_t step = 0; step < schedule.total_steps; ++step) {
    expect_close(schedule.at(step), item["values"][step], item["name"]);
  }
}

void check_sparse_cosine(const ReadJson& item) {
  const auto schedule = cosine_of(item);
  EXPECT_EQ(item["length"].get<int64_t>(), schedule.total_steps);
  ASSERT_EQ(item["index"].size(), item["values"].size());
  for (size_t i = 0; i < item["index"].size(); ++i) {
    expect_close(schedule.at(item["index"][i]), item["values"][i], item["name"]);
  }
}

void check_annealing(const ReadJson& item) {
  const CosineSchedule schedule{item["lr"], 0.0, item["epochs"], 0};
  const auto values = item["lr_used_in_epoch"];
  for (size_t epoch = 0; epoch < values.size(); ++epoch) {
    expect_close(schedule.at(static_cast<int64_t>(epoch)), values[epoch], item["name"]);
  }
}

void check_temperatures(const ReadJson& item) {
  const loss::LossOptions options{.warmup_teacher_temp = item["warmup_teacher_temp"],
                                  .teacher_temp = item["teacher_temp"],
                                  .warmup_teacher_patch_temp = item["warmup_teacher_patch_temp"],
                                  .teacher_patch_temp = item["teacher_patch_temp"],
                                  .warmup_teacher_temp_epochs = item["warmup_teacher_temp_epochs"]};
  const int64_t epochs = item["epochs"];
  ASSERT_EQ(static_cast<int64_t>(item["teacher_temp_schedule"].size()), epochs);
  ASSERT_EQ(static_cast<int64_t>(item["teacher_patch_temp_schedule"].size()), epochs);
  for (int64_t epoch = 0; epoch < epochs; ++epoch) {
    const auto temperatures = loss::teacher_temperatures(options, item["pred_start_epoch"], epoch);
    expect_close(temperatures.cls, item["teacher_temp_schedule"][epoch], item["name"]);
    expect_close(temperatures.patch, item["teacher_patch_temp_schedule"][epoch], item["name"]);
  }
}

void check_drop_path(const ReadJson& item) {
  const auto rates = nn::drop_path_rates(item["drop_path"], item["depth"]);
  ASSERT_EQ(rates.size(), item["per_block"].size());
  for (size_t i = 0; i < rates.size(); ++i) {
    expect_close(rates[i], item["per_block"][i], "block " + std::to_string(i));
  }
}

TEST(ScheduleGolden, EverySchedule) {
  const std::map<std::string, void (*)(const ReadJson&)> checks{
      {"cosine", check_cosine},
      {"finetune_cosine", check_cosine},
      {"cosine_sparse", check_sparse_cosine},
      {"cosine_annealing", check_annealing},
      {"teacher_temperature", check_temperatures},
      {"drop_path_rates", check_drop_path}};
  for (const auto& golden : testing::golden_cases("06_schedules")) {
    SCOPED_TRACE(golden.name);
    for (const auto& [kind, check] : checks) {
      if (!golden.json.contains(kind)) continue;
      for (const auto& item : golden.json[kind].elements()) check(item);
    }
    golden.json.expect_all_read();
  }
}

}  // namespace
}  // namespace ibot::optim
