#include "ibot-train/settled.h"

#include "common/logging.h"
#include "ibot-train/official_run.h"
#include "ibot-train/run_folder.h"
#include "ibot/config/yaml.h"
#include "ibot/io/file.h"
#include "ibot/optim/autocast.h"
#include "ibot/train/checkpoint.h"

namespace ibot::apps {
namespace {

using optim::Precision;

/// Configuration of the run that the request resumes, if it can be read; whoever resumes it says
/// why it cannot.
std::optional<config::RunConfig> resumed_config(const TrainRequest& request) {
  const auto& resume = request.resume;
  if (resume == "none" || (resume == "auto" && !holds_checkpoint(request.output)))
    return std::nullopt;
  try {
    if (resume != "auto" && resumes_official(resume)) return std::nullopt;
    const auto text = resume == "auto" ? io::read_file(request.output / "config.yaml")
                                       : train::load_checkpoint_header(resume).config;
    return config::parse_config<config::RunConfig>(text, "config.yaml");
  } catch (const Error& problem) {
    log_debug(concat("configuration of the run so far: ", problem.what()));
    return std::nullopt;
  }
}

bool has_precision(torch::Device device, Precision precision) {
  return precision != Precision::kFp16 || !device.is_cpu();
}

/// fp32, fp16, bf16 in this order: the lesser is what all ranks have.
Precision agreed(Precision precision, const dist::Group& group) {
  const auto least = torch::tensor(-static_cast<int64_t>(precision));
  group.all_reduce_(least, dist::Reduction::kMax);
  return static_cast<Precision>(-least.item<int64_t>());
}

}  // namespace

TrainRequest settled(TrainRequest request, const Ranks& ranks) {
  auto& train = request.config.train;
  const auto before = resumed_config(request);
  request.init_from = train.init_from;
  if (before) {
    train.init_from = before->train.init_from;
    train.init_key = before->train.init_key;
  }
  if (train.precision != Precision::kAuto) {
    optim::resolved(train.precision, ranks.device, "train.precision");  // the device must have it
    return request;
  }
  const bool keeps = before && has_precision(ranks.device, before->train.precision);
  train.precision =
      agreed(optim::resolved(keeps ? before->train.precision : Precision::kAuto, ranks.device),
             ranks.group);
  return request;
}

}  // namespace ibot::apps
