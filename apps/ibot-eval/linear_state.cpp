#include "ibot-eval/linear_state.h"

#include <torch/utils.h>

#include <nlohmann/json.hpp>

#include "common/run_main.h"
#include "ibot/io/safetensors.h"

namespace ibot::apps {
namespace {

nlohmann::json to_json(const eval::LinearBest& best) {
  return {best.head, best.epoch, best.top1, best.top5};
}

eval::LinearBest best_of(const nlohmann::json& json) {
  return {json.at(0), json.at(1), json.at(2), json.at(3)};
}

}  // namespace

LinearState::LinearState(const std::filesystem::path& output, Identity identity)
    : identity_(std::move(identity)) {
  if (output.empty()) return;
  file_ = output / "linear.safetensors";
}

void LinearState::read(eval::LinearHeads& heads) {
  if (file_.empty() || !std::filesystem::exists(file_)) return;
  const auto content = open_input([&] { return io::read_safetensors(file_); });
  const auto kept = content.metadata.find("identity");
  check_identity(identity_, kept == content.metadata.end() ? "" : kept->second, file_);
  const torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : heads.state()) {
    const auto stored = content.tensors.find(name);
    IBOT_CHECK_AS(RequestError,
                  stored != content.tensors.end() && stored->second.sizes() == tensor.sizes(),
                  file_.string(), ": expected ", name, " of shape ", tensor.sizes(),
                  "; another data set or network wrote it, choose another --output");
    torch::Tensor(tensor).copy_(stored->second);
  }
  const auto json = nlohmann::json::parse(content.metadata.at("progress"));
  next_epoch = json.at("next_epoch");
  best = best_of(json.at("best"));
  best_sgd = best_of(json.at("best_sgd"));
}

void LinearState::write(const eval::LinearHeads& heads) const {
  if (file_.empty()) return;
  const nlohmann::json progress{
      {"next_epoch", next_epoch}, {"best", to_json(best)}, {"best_sgd", to_json(best_sgd)}};
  io::write_safetensors(
      file_, {heads.state(), {{"identity", identity_.text()}, {"progress", progress.dump()}}});
}

}  // namespace ibot::apps
