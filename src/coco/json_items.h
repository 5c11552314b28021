// The entries of a COCO file, one after the other.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace ibot::coco {

/// One entry of a list, with whatever of the format it has. Counts are of a mask as a list, `text`
/// of one as a string; `size` is height and width.
struct Item {
  std::optional<int64_t> id;
  std::optional<int64_t> image_id;
  std::optional<int64_t> category_id;
  std::optional<int64_t> width;
  std::optional<int64_t> height;
  std::optional<double> area;
  std::optional<double> score;
  bool crowd = false;
  bool ignored = false;
  std::string file_name;
  std::string name;
  std::vector<double> box;
  std::vector<std::vector<double>> outlines;
  bool has_runs = false;
  std::vector<int64_t> size;
  std::vector<int64_t> counts;
  std::string text;
};

/// Calls visit(section, place, entry) for each entry of each list of the file, in its order; where
/// the file is itself a list, the section is empty. What `visit` takes out of the entry need not be
/// copied. Throws DataError, naming the place, where the file is no JSON, ends early, or an entry
/// has a value of another kind than the format's.
void read_items(const std::filesystem::path& file,
                const std::function<void(const std::string&, int64_t, Item&)>& visit);

}  // namespace ibot::coco
