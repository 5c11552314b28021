// Features of images, labeled or not, written for other programs.
#include <optional>

#include "common/logging.h"
#include "common/output_folder.h"
#include "common/run_main.h"
#include "ibot-eval/embedding_files.h"
#include "ibot-eval/features.h"
#include "ibot-eval/stage_progress.h"
#include "ibot-eval/task.h"
#include "ibot/data/file_list.h"
#include "ibot/data/image_folder.h"
#include "ibot/loading/open_dataset.h"
#include "ibot/shards/shard_set.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

/// Every image of a folder and below it, of shards, or one file.
std::unique_ptr<data::Dataset> open_all(const fs::path& where) {
  return open_input([&]() -> std::unique_ptr<data::Dataset> {
    if (data::names_shards(where.string())) {
      return std::make_unique<data::ShardSet>(where.string(), data::Labels::kIgnored);
    }
    if (fs::is_regular_file(where)) {
      const std::vector<data::FileList::Entry> entries{{where.string(), 0}};
      return std::make_unique<data::FileList>(where.string(), entries,
                                              std::vector<std::string>{""});
    }
    return std::make_unique<data::ImageFolder>(
        where, data::list_images(where, data::Subfolders::kNothing));
  });
}

/// Names below the folder; of a file its own, of a member of a shard that of messages.
std::vector<std::string> names_of(const data::Dataset& images, const fs::path& where) {
  const auto base = fs::is_directory(where) ? where : where.parent_path();
  std::vector<std::string> names;
  for (int64_t sample = 0; sample < images.size(); ++sample) {
    const auto path = images.path(sample);
    const auto name = fs::path(path).lexically_relative(base.empty() ? "." : base).string();
    names.push_back(name.empty() || name.starts_with("..") ? path : name);
  }
  return names;
}

EmbeddingFormat format_of(const fs::path& file) {
  EmbeddingFormat format = EmbeddingFormat::kSafetensors;
  const auto ending = file.extension().string();
  IBOT_CHECK_AS(ConfigError, !ending.empty() && parse_enum(ending.substr(1), format),
                "--output: expected a name ending in .safetensors, .npy or .csv, got ",
                file.string());
  return format;
}

eval::FeatureBank embedded(const TaskRequest& request, const data::Dataset& images) {
  auto options = extraction_options(request);
  options.leaves_out_unreadable = true;
  StageProgress progress;
  return evaluation::extract(subject_of(request), images, images.content_hash(), "embed", options,
                             progress.listener());
}

Embeddings with_names(const eval::FeatureBank& bank, const std::vector<std::string>& names,
                      std::map<std::string, std::string> about) {
  Embeddings result{bank.features.contiguous(), {}, std::move(about)};
  const auto* sample = bank.sample_id.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < bank.sample_id.size(0); ++i) {
    result.names.push_back(names[static_cast<size_t>(sample[i])]);
  }
  return result;
}

}  // namespace

fs::path embedding_file(const std::string& output, const std::string& format) {
  IBOT_CHECK_AS(ConfigError, !output.empty(),
                "--output: expected a file ending in .safetensors, .npy or .csv, or a folder");
  EmbeddingFormat wanted = EmbeddingFormat::kSafetensors;
  IBOT_CHECK_AS(ConfigError, format.empty() || parse_enum(format, wanted), "--format: expected ",
                enum_choices<EmbeddingFormat>(), ", got ", format);
  EmbeddingFormat ending = wanted;
  const auto extension = fs::path(output).extension().string();
  const bool is_file = !extension.empty() && parse_enum(extension.substr(1), ending);
  IBOT_CHECK_AS(ConfigError, format.empty() || !is_file || ending == wanted,
                "--format: expected that of the name ", output, ", got ", format);
  if (is_file && !fs::is_directory(output)) return output;
  return fs::path(output) / concat("features.", enum_name(wanted));
}

eval::Report run_embed(const TaskRequest& request) {
  const auto& file = request.embeddings;
  const auto format = format_of(file);
  const auto images = open_all(request.data);
  for (const auto& note : images->notes()) log_warning(concat(request.data.string(), ": ", note));
  const auto names = names_of(*images, request.data);
  check_names(names, format);
  if (file.has_parent_path()) prepare_folder(file.parent_path());
  check_file(file);
  const auto bank = embedded(request, *images);
  const auto identity = evaluation::feature_identity(subject_of(request), images->content_hash(),
                                                     extraction_options(request));
  const auto summary = identity.summary();
  write_embeddings(file, with_names(bank, names, summary), format);
  auto report = feature_report("embed", request, {}, summary);
  const auto unreadable = bank.unreadable.defined() ? bank.unreadable.size(0) : 0;
  report.counts = {{"images", bank.features.size(0)}, {"unreadable", unreadable}};
  report.metrics = {{"width", static_cast<double>(bank.features.size(1))}};
  report.table = concat(
      bank.features.size(0), " images, ", bank.features.size(1), " numbers each, in ",
      file.string(), unreadable == 0 ? "" : concat("; left out ", unreadable, " unreadable"), "\n");
  return report;
}

void share_embed(const TaskRequest& request) { embedded(request, *open_all(request.data)); }

}  // namespace ibot::apps
