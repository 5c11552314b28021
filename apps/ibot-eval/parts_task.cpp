#include "common/logging.h"
#include "common/run_main.h"
#include "common/signals.h"
#include "ibot-eval/pictures.h"
#include "ibot-eval/task.h"
#include "ibot/eval/line_chart.h"

namespace ibot::apps {
namespace {

/// The numbers of patches that the network's images have; more would be all of them again.
std::vector<int64_t> possible(const std::vector<int64_t>& wanted, const TaskRequest& request) {
  const auto side = request.weights.config.run.eval.crop_size;
  const auto patches = request.weights.backbone->grid(side, side).size();
  std::vector<int64_t> kept;
  std::string left_out;
  for (const auto k : wanted) {
    if (k <= patches) {
      kept.push_back(k);
    } else {
      left_out += (left_out.empty() ? "" : ", ") + std::to_string(k);
    }
  }
  const auto problem = concat("parts.k: ", left_out, " of the ", patches, " patches of ", side,
                              " x ", side, " pixels cannot be chosen");
  IBOT_CHECK_AS(ConfigError, !kept.empty(), problem, "; set parts.k");
  if (!left_out.empty()) log_warning(problem + ", left out");
  return kept;
}

}  // namespace

eval::Report run_parts(const TaskRequest& request) {
  IBOT_CHECK_AS(RequestError, request.weights.backbone != nullptr,
                "parts: expected a network, got pixels");
  attending_subject(request, "parts", "", "");
  const auto& options = request.weights.config.parts;
  eval::Report report{.task = "parts", .options = eval::option_values(options)};
  eval::Curve curve{options.lowest ? "lowest attention" : "highest attention", {}, {}};
  for (const auto k : possible(options.k, request)) {
    auto part = request;
    part.weights.config.features = {
        options.lowest ? eval::Pooling::kLowestPatches : eval::Pooling::kHighestPatches, 1, k};
    if (!request.output.empty()) part.output = request.output / concat('k', k);
    const bool leads = request.group.rank() == 0;
    if (leads && !part.output.empty()) std::filesystem::create_directories(part.output);
    request.group.barrier();  // the folder is there for all
    const auto probed = run_linear(part);
    if (stop_requested()) return {};
    for (const auto& [name, value] : probed.metrics) {
      report.metrics[concat(name, "_k", k)] = value;
    }
    report.table += concat("k ", k, "\n", probed.table);
    report.identity = probed.identity;
    curve.x.push_back(static_cast<double>(k));
    curve.y.push_back(probed.metrics.at("top1"));
  }
  report.figures.push_back(
      {"Top-1 of the mean of k patches", "image/svg+xml",
       eval::to_svg({"Part-wise linear probing", "patches", "top-1 in percent", {curve}})});
  return report;
}

}  // namespace ibot::apps
