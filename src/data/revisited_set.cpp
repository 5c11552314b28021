#include "ibot/data/revisited_set.h"

#include <algorithm>
#include <cmath>

#include "ibot/base/error.h"
#include "ibot/io/file.h"
#include "ibot/io/pickle_file.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;

fs::path truth_file(const fs::path& root, const std::string& name) {
  const auto file = "gnd_" + name + ".pkl";
  for (const auto& folder : {root / name, root}) {
    if (fs::exists(folder / file)) return folder / file;
  }
  throw DataError(concat(root.string(), ": expected ", name, "/", file, " or ", file,
                         ", found neither; retrieval.dataset names the set"));
}

/// A pickle of this ground truth, whose messages name the file and the entry.
class TruthReader {
 public:
  TruthReader(const fs::path& file, int64_t database)
      : where_(file.string()), database_(database) {}

  QueryTruth read(const io::Value& entry, const std::string& query) {
    query_ = query;
    check(entry.dict() != nullptr, "a dict of easy, hard and junk", io::kind_of(entry));
    QueryTruth truth{places(*entry.dict(), "easy"),
                     places(*entry.dict(), "hard"),
                     places(*entry.dict(), "junk"),
                     {}};
    if (entry.dict()->find("bbx") == nullptr) return truth;
    const auto box = numbers(*entry.dict(), "bbx");
    check(box.size() == truth.box.size(), "bbx of 4 numbers", box.size());
    std::copy(box.begin(), box.end(), truth.box.begin());
    return truth;
  }

 private:
  template <class Got>
  void check(bool ok, const std::string& expected, const Got& got) const {
    IBOT_CHECK_AS(DataError, ok, where_, ": ", query_, ": expected ", expected, ", got ", got);
  }

  /// A list or an array, of integers or not: an empty one is often of floats.
  std::vector<double> numbers(const io::Dict& entry, const std::string& key) const {
    const auto* value = entry.find(key);
    check(value != nullptr, key, "none");
    if (const auto* tensor = value->tensor()) {
      const auto flat = tensor->flatten().to(torch::kDouble).contiguous();
      return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
    }
    check(value->list() != nullptr, key + " as a list or an array", io::kind_of(*value));
    std::vector<double> numbers;
    for (const auto& item : value->list()->items) {
      check(item.number().has_value(), key + " of numbers", io::kind_of(item));
      numbers.push_back(*item.number());
    }
    return numbers;
  }

  std::vector<int64_t> places(const io::Dict& entry, const std::string& key) const {
    std::vector<int64_t> places;
    for (const double number : numbers(entry, key)) {
      const bool known =
          number >= 0 && number < static_cast<double>(database_) && number == std::floor(number);
      IBOT_CHECK_AS(DataError, known, where_, ": ", query_, ": ", key, " counts image ", number,
                    ", but imlist has ", database_, "; is this the ground truth of another set?");
      places.push_back(static_cast<int64_t>(number));
    }
    return places;
  }

  std::string where_;
  std::string query_;
  int64_t database_;
};

std::vector<std::string> names_in(const io::Dict& root, const char* key, const fs::path& file) {
  const auto* value = root.find(key);
  IBOT_CHECK_AS(DataError, value != nullptr && value->list() != nullptr, file.string(),
                ": expected ", key, ", a list of names, found none");
  std::vector<std::string> names;
  for (const auto& item : value->list()->items) {
    IBOT_CHECK_AS(DataError, item.text() != nullptr, file.string(), ": ", key,
                  ": expected names, got ", io::kind_of(item));
    names.push_back(*item.text());
  }
  return names;
}

FileList images_named(const std::vector<std::string>& names, const fs::path& file) {
  std::vector<FileList::Entry> entries;
  for (const auto& name : names) {
    entries.push_back({(file.parent_path() / "jpg" / (name + ".jpg")).string(), 0});
  }
  return {file.string(), std::move(entries), {""}};
}

io::Value truth_in(const fs::path& file) {
  try {
    return io::read_pickle_file(file);
  } catch (const CheckpointError& error) {
    throw DataError(error.what());
  }
}

}  // namespace

RevisitedSet open_revisited(const fs::path& root, const std::string& name) {
  const auto file = truth_file(root, name);
  const auto value = truth_in(file);
  IBOT_CHECK_AS(DataError, value.dict() != nullptr, file.string(),
                ": expected a dict of gnd, imlist and qimlist, got ", io::kind_of(value));
  const auto database = names_in(*value.dict(), "imlist", file);
  const auto queries = names_in(*value.dict(), "qimlist", file);
  const auto* list = value.dict()->find("gnd");
  IBOT_CHECK_AS(DataError, list != nullptr && list->list() != nullptr, file.string(),
                ": expected gnd, a list with an entry for each query, found none");
  const auto& entries = list->list()->items;
  IBOT_CHECK_AS(DataError, entries.size() == queries.size(), file.string(), ": expected ",
                queries.size(), " entries in gnd, as qimlist has names, got ", entries.size());
  TruthReader reader(file, static_cast<int64_t>(database.size()));
  std::vector<QueryTruth> truth;
  for (size_t i = 0; i < entries.size(); ++i) truth.push_back(reader.read(entries[i], queries[i]));
  const auto judged = [](const QueryTruth& query) {
    return !query.easy.empty() || !query.hard.empty();
  };
  IBOT_CHECK_AS(DataError, std::any_of(truth.begin(), truth.end(), judged), file.string(),
                ": expected a query with easy or hard images, found none");
  return {images_named(queries, file), images_named(database, file), std::move(truth),
          io::digest_of(file).xxh3};
}

}  // namespace ibot::data
