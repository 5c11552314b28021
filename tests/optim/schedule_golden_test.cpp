#include <gtest/gtest.h>

#include "ibot/loss/ibot_loss.h"
#include "ibot/nn/drop_path.h"
#include "ibot/optim/schedule.h"
#include "support/golden.h"

namespace ibot::optim {
namespace {

void expect_close(double actual, double expected, const std::string& where) {
  EXPECT_LE(std::abs(actual - expected), 1e-15 + 1e-9 * std::abs(expected))
      << where << ": " << actual << " against " << expected;
}

nlohmann::json schedules() {
  return testing::read_json(testing::golden_root() / "06_schedules/schedules.json");
}

CosineSchedule cosine_of(const nlohmann::json& item) {
  const int64_t per_epoch = item["niter"];
  const int64_t warmup_steps = item.value("warmup_steps", int64_t{-1});
  return {item["base"], item["final"], item["epochs"].get<int64_t>() * per_epoch,
          warmup_steps > 0 ? warmup_steps : item["warmup_epochs"].get<int64_t>() * per_epoch,
          item.value("start", 0.0)};
}

TEST(ScheduleGolden, CosineTables) {
  const auto json = schedules();
  for (const auto* group : {"cosine", "finetune_cosine"}) {
    for (const auto& item : json[group]) {
      const auto schedule = cosine_of(item);
      ASSERT_EQ(static_cast<int64_t>(item["values"].size()), schedule.total_steps);
      for (int64_t step = 0; step < schedule.total_steps; ++step) {
        expect_close(schedule.at(step), item["values"][step], item["name"]);
      }
    }
  }
  for (const auto& item : json["cosine_sparse"]) {
    for (size_t i = 0; i < item["index"].size(); ++i) {
      expect_close(cosine_of(item).at(item["index"][i]), item["values"][i], item["name"]);
    }
  }
}

TEST(ScheduleGolden, CosineAnnealing) {
  const auto json = schedules();
  for (const auto& item : json["cosine_annealing"]) {
    const CosineSchedule schedule{item["lr"], 0.0, item["epochs"], 0};
    const auto& values = item["lr_used_in_epoch"];
    for (size_t epoch = 0; epoch < values.size(); ++epoch) {
      expect_close(schedule.at(static_cast<int64_t>(epoch)), values[epoch], item["name"]);
    }
  }
}

TEST(ScheduleGolden, TeacherTemperatures) {
  const auto json = schedules();
  for (const auto& item : json["teacher_temperature"]) {
    const loss::LossOptions options{
        .warmup_teacher_temp = item["warmup_teacher_temp"],
        .teacher_temp = item["teacher_temp"],
        .warmup_teacher_patch_temp = item["warmup_teacher_patch_temp"],
        .teacher_patch_temp = item["teacher_patch_temp"],
        .warmup_teacher_temp_epochs = item["warmup_teacher_temp_epochs"]};
    const auto& cls = item["teacher_temp_schedule"];
    for (size_t epoch = 0; epoch < cls.size(); ++epoch) {
      const auto temperatures = loss::teacher_temperatures(options, item["pred_start_epoch"],
                                                           static_cast<int64_t>(epoch));
      expect_close(temperatures.cls, cls[epoch], item["name"]);
      expect_close(temperatures.patch, item["teacher_patch_temp_schedule"][epoch], item["name"]);
    }
  }
}

TEST(ScheduleGolden, DropPathRates) {
  const auto json = schedules();
  for (const auto& item : json["drop_path_rates"]) {
    const auto rates = nn::drop_path_rates(item["drop_path"], item["depth"]);
    for (size_t i = 0; i < rates.size(); ++i) {
      expect_close(rates[i], item["per_block"][i], "block " + std::to_string(i));
    }
  }
}

}  // namespace
}  // namespace ibot::optim
