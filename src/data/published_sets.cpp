// Data sets in the layout of their authors.
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "data/file_bytes.h"
#include "ibot/base/error.h"
#include "ibot/data/file_list.h"
#include "ibot/data/mat_file.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int64_t kFlowerClasses = 102;
constexpr int64_t kCarClasses = 196;

/// Classes without names: numbers from 1, as in the files.
std::vector<std::string> numbered_classes(int64_t count) {
  std::vector<std::string> names;
  for (int64_t i = 1; i <= count; ++i) names.push_back(std::to_string(i));
  return names;
}

std::string flower_path(const fs::path& root, int64_t number) {
  char name[32];
  std::snprintf(name, sizeof name, "image_%05lld.jpg", static_cast<long long>(number));
  return (root / "jpg" / name).string();
}

Json read_json(const fs::path& path) {
  const auto bytes = file_bytes(path.string());
  auto json = Json::parse(bytes.begin(), bytes.end(), nullptr, /*allow_exceptions=*/false);
  IBOT_CHECK_AS(DataError, !json.is_discarded(), path.string(), ": expected JSON");
  return json;
}

/// Calls `use(json)`; a missing key or a wrong type becomes a DataError naming `path`.
template <class Use>
auto with_keys(const fs::path& path, Use&& use) {
  try {
    return use(read_json(path));
  } catch (const Json::exception& problem) {
    throw DataError(concat(path.string(), ": ", problem.what()));
  }
}

/// The name of each category at `rank`.
std::vector<std::string> category_names(const fs::path& root, const std::string& rank) {
  return with_keys(root / "categories.json", [&](const Json& categories) {
    std::vector<std::string> names;
    for (const auto& category : categories) names.push_back(category.at(rank).get<std::string>());
    return names;
  });
}

/// Classes by name, numbered by first appearance.
struct ClassNumbers {
  std::vector<std::string> names;
  std::map<std::string, int64_t> label;
};

ClassNumbers class_numbers(const fs::path& annotations, const std::vector<std::string>& names) {
  return with_keys(annotations, [&](const Json& json) {
    ClassNumbers numbers;
    for (const auto& annotation : json.at("annotations")) {
      const auto category = annotation.at("category_id").get<size_t>();
      IBOT_CHECK_AS(DataError, category < names.size(), annotations.string(),
                    ": expected a category below ", names.size(), ", got ", category);
      const auto next = static_cast<int64_t>(numbers.names.size());
      if (numbers.label.emplace(names[category], next).second) {
        numbers.names.push_back(names[category]);
      }
    }
    return numbers;
  });
}

/// CATEGORY of train_val2018/SUPER/CATEGORY/FILE.
size_t category_of(const std::string& file, const fs::path& source) {
  size_t begin = 0;
  for (int part = 0; part < 2 && begin != std::string::npos; ++part) {
    begin = file.find('/', begin);
    if (begin != std::string::npos) ++begin;
  }
  size_t category = 0;
  const bool known = begin != std::string::npos &&
                     std::sscanf(file.c_str() + begin, "%zu/", &category) == 1 &&
                     file.find('/', begin) != std::string::npos;
  IBOT_CHECK_AS(DataError, known, source.string(),
                ": expected a file_name FOLDER/SUPER/CATEGORY/FILE, got ", file);
  return category;
}

}  // namespace

FileList flowers(const fs::path& root, Split split) {
  const auto labels = read_mat_variable(root / "imagelabels.mat", "labels").numbers;
  // The reference trains on both published training sets.
  const auto sets = split == Split::kTrain ? std::vector<std::string>{"trnid", "valid"}
                                           : std::vector<std::string>{"tstid"};
  std::vector<FileList::Entry> entries;
  for (const auto& set : sets) {
    for (const double number : read_mat_variable(root / "setid.mat", set).numbers) {
      IBOT_CHECK_AS(DataError, number >= 1 && number <= static_cast<double>(labels.size()),
                    (root / "setid.mat").string(), ": ", set, ": expected 1 to ", labels.size(),
                    ", got ", number);
      // Images and labels count from 1.
      const auto image = static_cast<int64_t>(number);
      entries.push_back({flower_path(root, image), static_cast<int64_t>(labels[image - 1]) - 1});
    }
  }
  return {(root / "setid.mat").string(), std::move(entries), numbered_classes(kFlowerClasses)};
}

FileList stanford_cars(const fs::path& root, Split split) {
  const auto file = root / "cars_annos.mat";
  const auto cars = read_mat_variable(file, "annotations");
  // Fields: path, four corners of a box, class, test flag.
  const size_t width = cars.field_names.size();
  IBOT_CHECK_AS(DataError, width == 7, file.string(), ": expected annotations of 7 fields, got ",
                width);
  const auto number = [&](size_t field) {
    const auto& numbers = cars.fields[field].numbers;
    IBOT_CHECK_AS(DataError, numbers.size() == 1, file.string(), ": expected one number as ",
                  cars.field_names[field % width], ", got ", numbers.size());
    return static_cast<int64_t>(numbers[0]);
  };
  std::vector<FileList::Entry> entries;
  for (size_t first = 0; first < cars.fields.size(); first += width) {
    const bool test = number(first + 6) != 0;
    if (test != (split == Split::kVal)) continue;
    entries.push_back({(root / cars.fields[first].text()).string(), number(first + 5) - 1});
  }
  return {file.string(), std::move(entries), numbered_classes(kCarClasses)};
}

FileList inaturalist(const fs::path& root, int year, const std::string& rank, Split split) {
  const auto json_file = [&](const char* part) { return root / concat(part, year, ".json"); };
  const auto names = category_names(root, rank);
  // Numbers of classes are those of the training annotations, in both halves.
  const auto numbers = class_numbers(json_file("train"), names);
  const auto images = json_file(split == Split::kTrain ? "train" : "val");
  return with_keys(images, [&](const Json& json) {
    std::vector<FileList::Entry> entries;
    for (const auto& image : json.at("images")) {
      const auto file = image.at("file_name").get<std::string>();
      const size_t category = category_of(file, images);
      IBOT_CHECK_AS(DataError, category < names.size(), images.string(), ": ", file,
                    ": expected a category below ", names.size(), ", got ", category);
      const auto label = numbers.label.find(names[category]);
      IBOT_CHECK_AS(DataError, label != numbers.label.end(), images.string(), ": ", file, ": ",
                    names[category], " has no training image");
      entries.push_back({(root / file).string(), label->second});
    }
    return FileList(images.string(), std::move(entries), numbers.names);
  });
}

}  // namespace ibot::data
