#include "ibot/train/run_state.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "ibot/base/error.h"

namespace ibot::train {

// Fields added in later versions have defaults; the others are required.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(LossTrend, count, mean, variance)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(BestCheckpoint, step, score, identity, metrics)

static const std::string kTermPrefix = "loss_";

static void to_json(nlohmann::json& object, const EpochSums& sums) {
  object = {{"steps", sums.steps},
            {"loss", sums.loss},
            {"lr", sums.lr},
            {"weight_decay", sums.weight_decay},
            {"skipped", sums.skipped}};
  for (const auto& [name, sum] : sums.terms) object[kTermPrefix + name] = sum;
  for (const auto& [name, sum] : sums.more) object[name] = sum;
}

static void from_json(const nlohmann::json& object, EpochSums& sums) {
  object.at("steps").get_to(sums.steps);
  object.at("loss").get_to(sums.loss);
  const std::set<std::string> fields{"steps", "loss", "lr", "weight_decay", "skipped"};
  for (const auto& [key, value] : object.items()) {
    // Terms are those named so; whatever else is no field is a sum of its own.
    if (key.rfind(kTermPrefix, 0) == 0) {
      sums.terms.push_back({key.substr(kTermPrefix.size()), value});
    } else if (fields.count(key) == 0) {
      sums.more.push_back({key, value});
    }
  }
  object.at("lr").get_to(sums.lr);
  object.at("weight_decay").get_to(sums.weight_decay);
  sums.skipped = object.value("skipped", int64_t{0});
}

static void to_json(nlohmann::json& object, const RunState& state) {
  object = {{"step", state.step},     {"steps_per_epoch", state.steps_per_epoch},
            {"images", state.images}, {"sums", state.sums},
            {"trend", state.trend},   {"best", state.best}};
}

static void from_json(const nlohmann::json& object, RunState& state) {
  object.at("step").get_to(state.step);
  object.at("steps_per_epoch").get_to(state.steps_per_epoch);
  state.images = object.value("images", int64_t{0});
  object.at("sums").get_to(state.sums);
  state.trend = object.value("trend", LossTrend{});
  state.best = object.value("best", BestCheckpoint{});
}

void add_by_name(TermValues& sums, const TermValues& more) {
  // The names of `more` decide: a sum that it lacks is dropped, a new one starts at 0.
  const auto before = std::exchange(sums, more);
  for (auto& [name, sum] : sums) {
    for (const auto& [known, value] : before) sum += known == name ? value : 0.0;
  }
}

double LossTrend::add(double loss) {
  constexpr int64_t kEnough = 50;
  constexpr double kMemory = 200.0;
  const double deviation = loss - mean;
  // Against the trend before this loss. Few losses make no trend.
  const double score = count >= kEnough && variance > 0 ? deviation / std::sqrt(variance) : 0.0;
  ++count;
  // A plain mean at first, then an exponential moving average; West's update keeps the variance
  // non-negative.
  const double weight = std::max(1.0 / static_cast<double>(count), 1.0 / kMemory);
  mean += weight * deviation;
  variance = (1.0 - weight) * (variance + weight * deviation * deviation);
  return score;
}

RunState RunState::with_steps(int64_t steps) const {
  // An official checkpoint knows its epochs alone: steps follow from the data.
  if (steps_per_epoch > 0) return *this;
  auto state = *this;
  state.steps_per_epoch = steps;
  state.step = epochs * steps;
  state.epochs = 0;
  return state;
}

std::string RunState::to_json() const {
  nlohmann::json json = *this;
  json["global_batch"] = global_batch;
  if (steps_per_epoch == 0) json["epochs"] = epochs;
  return json.dump();
}

RunState RunState::from_json(const std::string& text) {
  try {
    const auto json = nlohmann::json::parse(text);
    auto state = json.get<RunState>();
    state.global_batch = json.value("global_batch", int64_t{0});
    state.epochs = json.value("epochs", int64_t{0});
    return state;
  } catch (const nlohmann::json::exception& problem) {
    throw CheckpointError(concat("checkpoint: run state is unreadable: ", problem.what()));
  }
}

}  // namespace ibot::train
