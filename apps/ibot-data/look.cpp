#include "ibot-data/look.h"

#include <algorithm>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "common/data_notes.h"
#include "common/run_main.h"
#include "ibot/loading/inspect.h"
#include "ibot/loading/open_dataset.h"

namespace ibot::apps {
namespace {

using Json = nlohmann::ordered_json;

std::unique_ptr<data::Dataset> open_folder(const LookArguments& arguments) {
  // What pre-training reads; in shards an image without a label is damage nevertheless.
  const auto labels =
      data::names_shards(arguments.folder) ? data::Labels::kUsed : data::Labels::kIgnored;
  auto folder = open_input([&] { return data::open_images(arguments.folder, labels); });
  log_notes(arguments.folder, *folder);
  return folder;
}

int64_t workers_of(const LookArguments& arguments) {
  if (arguments.workers > 0) return arguments.workers;
  return std::max<int64_t>(1, std::thread::hardware_concurrency());
}

constexpr size_t kExamples = 3;

std::vector<data::DamagedFile> first_of(const std::vector<data::DamagedFile>& files) {
  return {files.begin(), files.begin() + static_cast<int64_t>(std::min(files.size(), kExamples))};
}

Json as_json(const data::Spread& spread) {
  return {{"min", spread.min}, {"median", spread.median}, {"max", spread.max}};
}

Json as_json(const std::vector<data::DamagedFile>& files) {
  Json list = Json::array();
  for (const auto& file : files) list.push_back({{"path", file.path}, {"reason", file.reason}});
  return list;
}

/// Their number and the first few.
Json as_json_notices(const std::vector<data::DamagedFile>& notices) {
  return {{"images", notices.size()}, {"first", as_json(first_of(notices))}};
}

Json as_json(const data::DatasetSummary& summary, const data::Dataset& dataset) {
  Json classes = Json::object();
  for (size_t i = 0; has_classes(dataset) && i < dataset.class_names().size(); ++i) {
    classes[dataset.class_names()[i]] = summary.images_per_class[i];
  }
  return {{"images", summary.images},
          {"bytes", summary.bytes},
          {"classes", classes},
          {"formats", summary.formats},
          {"width", as_json(summary.width)},
          {"height", as_json(summary.height)},
          {"damaged", as_json(summary.damaged)},
          {"notices", as_json_notices(summary.notices)},
          {"notes", dataset.notes()}};
}

// JSON must be UTF-8, file names need not be.
std::string text_of(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::ostream& operator<<(std::ostream& out, const data::Spread& spread) {
  return out << spread.min << " to " << spread.max << ", median " << spread.median;
}

/// Images whose values are clipped, which is not damage.
void print_notices(const std::vector<data::DamagedFile>& notices) {
  if (notices.empty()) return;
  std::cout << notices.size()
            << " with gray of more than 8 bits that is clipped; --gray-range type or data (key "
               "data.gray_range) scales it\n";
  for (const auto& file : first_of(notices))
    std::cout << "  " << file.path << ": " << file.reason << '\n';
}

std::string text_of_classes(const std::vector<int64_t>& counts) {
  const auto [fewest, most] = std::minmax_element(counts.begin(), counts.end());
  const auto empty = std::count(counts.begin(), counts.end(), 0);
  if (empty > 0)
    return concat(counts.size(), " (", empty, " empty), up to ", *most, " images each");
  return concat(counts.size(), ", of ", *fewest, " to ", *most, " images");
}

void print(const data::DatasetSummary& summary, bool has_classes) {
  std::cout << "images   " << summary.images << "\nbytes    " << summary.bytes << "\nclasses  "
            << (has_classes ? text_of_classes(summary.images_per_class) : "none") << "\nformats ";
  for (const auto& [format, count] : summary.formats) std::cout << ' ' << format << ' ' << count;
  std::cout << "\nwidth    " << summary.width << "\nheight   " << summary.height << "\ndamaged  "
            << summary.damaged.size()
            << (summary.damaged.empty() ? "\n" : ", by their headers; verify decodes all\n");
  print_notices(summary.notices);
}

void print(const std::vector<data::DamagedFile>& files) {
  for (const auto& file : files) std::cout << file.path << ": " << file.reason << '\n';
}

}  // namespace

void add_look_arguments(CLI::App& command, LookArguments& arguments) {
  command
      .add_option(
          "DIR", arguments.folder,
          "Image folder (one subfolder per class, or none), or folder or pattern of tar shards")
      ->required();
  command.add_option("--workers", arguments.workers, "Threads; 0: one per core")
      ->check(CLI::Range(0, 4096));
  std::map<std::string, data::GrayRange> ranges;
  for (const auto& [range, name] : EnumNames<data::GrayRange>::values)
    ranges[std::string(name)] = range;
  command
      .add_option("--gray-range", arguments.decode.gray_range,
                  "Gray of more than 8 bits, as data.gray_range: clip, type or data")
      ->transform(CLI::CheckedTransformer(ranges).description("clip|type|data"));
  command
      .add_option("--max-pixels", arguments.decode.max_pixels,
                  "Largest image in pixels, as data.max_pixels")
      ->check(CLI::PositiveNumber);
  command.add_flag("--json", arguments.json, "Print JSON");
}

int show_info(const LookArguments& arguments) {
  const auto folder = open_folder(arguments);
  const auto summary = data::summarize(*folder, workers_of(arguments), arguments.decode);
  if (arguments.json) {
    std::cout << text_of(as_json(summary, *folder)) << '\n';
  } else {
    print(summary, has_classes(*folder));
  }
  return kDone;
}

int show_damage(const LookArguments& arguments) {
  const auto folder = open_folder(arguments);
  const auto [damaged, warnings, notices] =
      data::verify(*folder, workers_of(arguments), arguments.decode);
  if (arguments.json) {
    const Json report{{"images", folder->size()},
                      {"damaged", as_json(damaged)},
                      {"warnings", as_json(warnings)},
                      {"notices", as_json_notices(notices)},
                      {"notes", folder->notes()}};
    std::cout << text_of(report) << '\n';
  } else {
    print(damaged);
    print(warnings);
    const auto images = std::count_if(damaged.begin(), damaged.end(),
                                      [](const auto& file) { return file.sample >= 0; });
    std::cout << images << " of " << folder->size() << " images damaged\n";
    if (!warnings.empty()) std::cout << warnings.size() << " decode with warnings\n";
    print_notices(notices);
  }
  return damaged.empty() ? kDone : kRunFailed;
}

}  // namespace ibot::apps
