#include "coco/json_items.h"

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>

#include "ibot/base/error.h"

namespace ibot::coco {
namespace {

using Json = nlohmann::json;

/// Receives the parts of the text in order and keeps one entry at a time. `depth_` counts open
/// lists and objects; entries lie at `entry_depth_`: 3 below {"images": [...]}, 2 in a list of
/// their own.
class ItemParser final : public nlohmann::json_sax<Json> {
 public:
  ItemParser(std::string source,
             const std::function<void(const std::string&, int64_t, Item&)>& visit)
      : source_(std::move(source)), visit_(visit) {}

  bool key(string_t& name) override {
    if (depth_ == 1) {
      section_ = name;
      place_ = 0;
    } else if (depth_ == entry_depth_) {
      field_ = name;
    } else if (depth_ == entry_depth_ + 1) {
      inner_field_ = name;
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (depth_ == 0) entry_depth_ = 3;
    ++depth_;
    if (depth_ == entry_depth_) item_ = {};
    if (depth_ == entry_depth_ + 1 && field_ == "segmentation") item_.has_runs = true;
    return true;
  }
  bool end_object() override {
    if (depth_ == entry_depth_) visit_(section_, place_++, item_);
    --depth_;
    return true;
  }

  bool start_array(std::size_t) override {
    if (depth_ == 0) entry_depth_ = 2;
    ++depth_;
    if (in_outline()) item_.outlines.emplace_back();
    return true;
  }
  bool end_array() override {
    if (in_outline()) item_.outlines.back().shrink_to_fit();
    --depth_;
    return true;
  }

  bool null() override { return true; }
  bool boolean(bool value) override {
    if (depth_ == entry_depth_) flag(value);
    return true;
  }
  bool number_integer(number_integer_t value) override {
    return number(static_cast<double>(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return number(static_cast<double>(value));
  }
  bool number_float(number_float_t value, const string_t&) override { return number(value); }
  bool binary(binary_t&) override { return true; }

  bool string(string_t& value) override {
    if (depth_ == entry_depth_) {
      if (field_ == "file_name") item_.file_name = value;
      if (field_ == "name") item_.name = value;
      refuse_text(value);
    } else if (depth_ == entry_depth_ + 1 && item_.has_runs && inner_field_ == "counts") {
      item_.text = value;
    } else if (depth_ > entry_depth_ && (field_ == "bbox" || field_ == "segmentation")) {
      refuse_text(value);
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    // An error at the end means a file that was cut off.
    const bool ended = position >= std::filesystem::file_size(source_);
    throw DataError(concat(source_, ": expected JSON, got ",
                           ended ? "the end of the file" : "something else", " at byte ", position,
                           section_.empty() ? "" : ", in " + section_,
                           ended ? "; the file is cut short" : "; the file is damaged"));
  }

  bool has_entries() const { return entry_depth_ > 0; }

 private:
  std::string where() const {
    return concat(source_, ": ", section_.empty() ? "entry " : section_ + " entry ", place_, ": ",
                  field_, ": ");
  }

  bool in_outline() const {
    return depth_ == entry_depth_ + 2 && field_ == "segmentation" && !item_.has_runs;
  }

  /// A number of an entry, of its box, of an outline, or of a mask as runs.
  bool number(double value) {
    if (depth_ == entry_depth_) {
      scalar(value);
    } else if (depth_ == entry_depth_ + 1 && field_ == "bbox") {
      item_.box.push_back(coordinate(value));
    } else if (depth_ == entry_depth_ + 1 && field_ == "segmentation") {
      throw DataError(where() + "expected a list of outlines, got a number");
    } else if (depth_ == entry_depth_ + 2 && field_ == "segmentation") {
      part_of_mask(value);
    }
    return true;
  }

  void part_of_mask(double value) {
    if (!item_.has_runs) {
      item_.outlines.back().push_back(coordinate(value));
    } else if (inner_field_ == "counts") {
      item_.counts.push_back(whole(value));
    } else if (inner_field_ == "size") {
      item_.size.push_back(whole(value));
    }
  }

  void scalar(double value) {
    if (field_ == "id") item_.id = whole(value);
    if (field_ == "image_id") item_.image_id = whole(value);
    if (field_ == "category_id") item_.category_id = whole(value);
    if (field_ == "width") item_.width = whole(value);
    if (field_ == "height") item_.height = whole(value);
    if (field_ == "area") item_.area = value;
    if (field_ == "score") item_.score = value;
    flag(value != 0);
  }

  void flag(bool value) {
    if (field_ == "iscrowd") item_.crowd = value;
    if (field_ == "ignore") item_.ignored = value;
  }

  /// Farther ones would take long to follow as an outline and, farther still, leave float's range.
  double coordinate(double value) const {
    IBOT_CHECK_AS(DataError, std::abs(value) <= 1e6, where(),
                  "expected coordinates within a million pixels, got ", value);
    return value;
  }

  int64_t whole(double value) const {
    // Below 2^53, doubles hold every whole number.
    IBOT_CHECK_AS(DataError, std::floor(value) == value && std::abs(value) < 9e15, where(),
                  "expected a whole number, got ", value);
    return static_cast<int64_t>(value);
  }

  /// Of the lists of the format; others may hold anything.
  void refuse_text(const std::string& value) const {
    if (section_ != "images" && section_ != "annotations" && section_ != "categories" &&
        !section_.empty()) {
      return;
    }
    for (const char* number : {"id", "image_id", "category_id", "width", "height", "area", "score",
                               "bbox", "segmentation"}) {
      IBOT_CHECK_AS(DataError, field_ != number, where(), "expected a number, got \"", value, '"');
    }
  }

  const std::string source_;
  const std::function<void(const std::string&, int64_t, Item&)>& visit_;
  int64_t depth_ = 0;
  int64_t entry_depth_ = 0;
  std::string section_;
  int64_t place_ = 0;
  std::string field_;
  std::string inner_field_;
  Item item_;
};

}  // namespace

void read_items(const std::filesystem::path& file,
                const std::function<void(const std::string&, int64_t, Item&)>& visit) {
  // As a stream of events: annotations of COCO take half a gigabyte as text and far more as a tree.
  const std::unique_ptr<FILE, int (*)(FILE*)> stream(std::fopen(file.c_str(), "rb"), &std::fclose);
  IBOT_CHECK_AS(DataError, stream != nullptr, file.string(),
                ": cannot read: ", std::system_category().message(errno));
  ItemParser parser(file.string(), visit);
  Json::sax_parse(stream.get(), &parser);
  IBOT_CHECK_AS(DataError, parser.has_entries(), file.string(),
                ": expected an object or a list, as COCO's files are");
}

}  // namespace ibot::coco
