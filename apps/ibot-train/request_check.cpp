#include "ibot-train/request_check.h"

#include <map>
#include <memory>
#include <set>

#include "common/device.h"
#include "common/run_main.h"
#include "ibot-train/run_folder.h"
#include "ibot-train/run_inputs.h"
#include "ibot-train/settled.h"
#include "ibot/config/yaml.h"
#include "ibot/io/file.h"
#include "ibot/models/backbone.h"

namespace ibot::apps {
namespace {

class Checker {
 public:
  explicit Checker(int64_t ranks) : ranks_(ranks) {}

  void check(const TrainRequest& request) {
    const auto& config = request.config;
    const auto device = choose_device("train.device", config.train.device);
    const auto run = settled(request, {.group = {}, .device = device}).config;
    steps_of_epoch(images_of(config), config, ranks_, std::nullopt);
    if (is_new("backbone.", config)) {
      open_input([&] { return models::build_backbone(config.backbone, models::Role::kStudent); });
    }
    if (!config.eval.path.empty() && is_new("", config)) open_evaluations(config);
    if (!run.train.init_from.empty()) {
      open_input([&] { return io::MappedFile(run.train.init_from).bytes().size(); });
    }
    check_output(request.output);
    check_former_run(request, run);
  }

 private:
  const data::Dataset& images_of(const config::RunConfig& config) {
    auto& images = images_[config.data.path];
    if (!images) images = open_images(config);
    return *images;
  }

  /// Whether no run so far had these values of the keys that begin with `section`; with none, of
  /// those that evaluations depend on.
  bool is_new(const std::string& section, const config::RunConfig& config) {
    std::string values = section;
    for (const auto& [key, value] : config::flat_values(config)) {
      const bool counts = section.empty() ? is_evaluation_key(key) : key.starts_with(section);
      if (counts) values += key + "=" + value + "\n";
    }
    return seen_.insert(values).second;
  }

  /// The run that the folder holds must be this one.
  static void check_former_run(const TrainRequest& request, const config::RunConfig& now) {
    const auto file = request.output / "config.yaml";
    if (request.resume != "auto" || !holds_checkpoint(request.output)) return;
    open_input([&] {
      auto before = config::parse_config<config::RunConfig>(io::read_file(file), file.string());
      before.train.batch_size = now.train.batch_size;  // compared with the number of ranks later
      const auto differing = differing_keys(before, now);
      IBOT_CHECK(differing.empty(), file.string(),
                 ": written by another configuration: ", differing, "; choose another --output");
    });
  }

  int64_t ranks_;
  std::map<std::string, std::unique_ptr<data::Dataset>> images_;
  std::set<std::string> seen_;
};

}  // namespace

void check_requests(const std::vector<TrainRequest>& requests, int64_t ranks) {
  Checker checker(ranks);
  for (const auto& request : requests) {
    try {
      checker.check(request);
    } catch (const Error& error) {
      throw RequestError(concat("run ", request.name, ": ", error.what()));
    }
  }
}

}  // namespace ibot::apps
