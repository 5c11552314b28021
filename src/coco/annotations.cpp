#include "ibot/coco/annotations.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "coco/json_items.h"
#include "ibot/base/error.h"

namespace ibot::coco {
namespace {

using metrics::RunLengthMask;
using Places = std::unordered_map<int64_t, int64_t>;

/// An annotation whose image and category may be read after it.
struct Unplaced {
  int64_t image = 0;
  int64_t category = 0;
  Object object;
  bool has_area = false;
  std::vector<int64_t> size;
  std::string text;  // of the runs; empty where they are a list
};

/// How many entries were left out, and the first of them.
struct LeftOut {
  int64_t count = 0;
  std::string first;

  void add(const std::string& entry) {
    if (count++ == 0) first = entry;
  }
  void tell(const std::string& what, std::vector<std::string>& notes) const {
    if (count > 0) notes.push_back(concat(count, ' ', what, "; the first: ", first));
  }
};

int64_t needed(const std::string& where, const char* key, const std::optional<int64_t>& value) {
  IBOT_CHECK_AS(DataError, value.has_value(), where, ": expected ", key, ", found none");
  return *value;
}

metrics::Box box_of(const std::string& where, const std::vector<double>& values) {
  IBOT_CHECK_AS(DataError, values.size() == 4, where,
                ": bbox: expected x, y, width and height, got ", values.size(), " numbers");
  IBOT_CHECK_AS(DataError, values[2] >= 0 && values[3] >= 0, where,
                ": bbox: expected a width and height of 0 or more, got ", values[2], " x ",
                values[3]);
  return {values[0], values[1], values[2], values[3]};
}

/// The runs of an entry, which must fill a mask of height and width.
RunLengthMask runs_of(const std::string& where, const std::vector<int64_t>& size,
                      const std::vector<uint32_t>& counts, const std::string& text, int64_t height,
                      int64_t width) {
  IBOT_CHECK_AS(DataError, size.size() == 2 && size[0] == height && size[1] == width, where,
                ": segmentation: expected a mask of the image's size ", height, " x ", width,
                ", got ", size.empty() ? 0 : size.front(), " x ", size.size() < 2 ? 0 : size[1]);
  try {
    if (!text.empty()) return metrics::runs_from_text(text, height, width);
    RunLengthMask mask{height, width, counts};
    metrics::merge_runs({mask});  // refuses runs that do not fill the mask
    return mask;
  } catch (const DataError& error) {
    throw DataError(concat(where, ": segmentation: ", error.what()));
  }
}

std::vector<uint32_t> counts_of(const std::string& where, const std::vector<int64_t>& counts) {
  std::vector<uint32_t> runs;
  runs.reserve(counts.size());
  for (const auto count : counts) {
    IBOT_CHECK_AS(DataError, count >= 0 && count <= UINT32_MAX, where,
                  ": segmentation: expected runs of 0 or more pixels, got ", count);
    runs.push_back(static_cast<uint32_t>(count));
  }
  return runs;
}

/// Gathers entries while the file is read, then brings them together.
class SetReader {
 public:
  explicit SetReader(std::string source) { set_.source = std::move(source); }

  // Other sections, such as licenses, are passed over.
  void add(const std::string& section, int64_t place, Item& item) {
    const auto where = concat(set_.source, ": ", section, " entry ", place);
    if (section == "images") add_image(where, item);
    if (section == "categories") add_category(where, item);
    if (section == "annotations") add_object(where, item);
  }

  AnnotatedSet finish() {
    check_found();
    const auto images = sorted_places(set_.images, "image");
    const auto categories = sorted_places(set_.categories, "category");
    set_.objects.resize(set_.images.size());
    // Only now: annotations may come before images and categories.
    for (auto& unplaced : unplaced_) place(unplaced, images, categories);
    tell_left_out();
    return std::move(set_);
  }

 private:
  void add_image(const std::string& where, Item& item) {
    AnnotatedImage image{needed(where, "an id", item.id), std::move(item.file_name),
                         needed(where, "a height", item.height),
                         needed(where, "a width", item.width)};
    IBOT_CHECK_AS(DataError, !image.file.empty(), where, ": expected a file_name, found none");
    IBOT_CHECK_AS(DataError, image.height > 0 && image.width > 0, where,
                  ": expected a size above 0, got ", image.height, " x ", image.width);
    IBOT_CHECK_AS(DataError, image.width <= UINT32_MAX / image.height, where,
                  ": expected an image below 2^32 pixels, got ", image.height, " x ", image.width);
    set_.images.push_back(std::move(image));
  }

  void add_category(const std::string& where, Item& item) {
    set_.categories.push_back({needed(where, "an id", item.id), std::move(item.name)});
  }

  void add_object(const std::string& where, Item& item) {
    Unplaced unplaced{.image = needed(where, "an image_id", item.image_id),
                      .category = needed(where, "a category_id", item.category_id),
                      .object = {.id = needed(where, "an id", item.id),
                                 .box = box_of(where, item.box),
                                 .crowd = item.crowd,
                                 .ignored = item.ignored},
                      .has_area = item.area.has_value(),
                      .size = std::move(item.size),
                      .text = std::move(item.text)};
    auto& object = unplaced.object;
    IBOT_CHECK_AS(DataError, ids_.insert(object.id).second, where, ": annotation id ", object.id,
                  " occurs twice");
    if (item.has_runs) object.segmentation.runs.counts = counts_of(where, item.counts);
    object.segmentation.outlines = usable(where, object.id, item.outlines);
    object.area = item.area.value_or(0);
    unplaced_.push_back(std::move(unplaced));
  }

  /// Outlines of fewer than three points have no area; pycocotools would take two points for a box.
  std::vector<std::vector<double>> usable(const std::string& where, int64_t id,
                                          std::vector<std::vector<double>>& outlines) {
    for (const auto& outline : outlines) {
      IBOT_CHECK_AS(DataError, outline.size() % 2 == 0, where,
                    ": segmentation: expected x and y of each point, got ", outline.size(),
                    " numbers");
      if (outline.size() < 6) flat_outlines_.add(concat("annotation ", id));
    }
    std::erase_if(outlines, [](const auto& outline) { return outline.size() < 6; });
    return std::move(outlines);
  }

  void check_found() const {
    const auto check = [&](bool found, const char* what) {
      IBOT_CHECK_AS(DataError, found, set_.source, ": expected ", what, ", found none");
    };
    check(!set_.images.empty(), "images");
    check(!set_.categories.empty(), "categories");
    check(!unplaced_.empty(), "annotations");
  }

  template <class Entry>
  Places sorted_places(std::vector<Entry>& entries, const char* what) const {
    // A label is the rank of a category's id, and results go by ascending image ids.
    std::stable_sort(entries.begin(), entries.end(),
                     [](const auto& a, const auto& b) { return a.id < b.id; });
    Places places;
    for (const auto& entry : entries) {
      IBOT_CHECK_AS(DataError, places.emplace(entry.id, places.size()).second, set_.source, ": ",
                    what, " id ", entry.id, " occurs twice");
    }
    return places;
  }

  void place(Unplaced& unplaced, const Places& images, const Places& categories) {
    auto& object = unplaced.object;
    const auto image = images.find(unplaced.image);
    const auto category = categories.find(unplaced.category);
    if (image == images.end()) {
      return of_no_image_.add(concat("annotation ", object.id, " of image ", unplaced.image));
    }
    if (category == categories.end()) {
      return of_no_category_.add(
          concat("annotation ", object.id, " of category ", unplaced.category));
    }
    object.label = category->second;
    complete(unplaced, set_.images[image->second]);
    set_.objects[image->second].push_back(std::move(object));
  }

  void complete(Unplaced& unplaced, const AnnotatedImage& image) const {
    auto& object = unplaced.object;
    auto& runs = object.segmentation.runs;
    if (!unplaced.size.empty() || !unplaced.text.empty() || !runs.counts.empty()) {
      runs = runs_of(concat(set_.source, ": annotation ", object.id), unplaced.size, runs.counts,
                     unplaced.text, image.height, image.width);
    }
    // The file's own area decides about size ranges; it may differ from the mask's.
    if (unplaced.has_area) return;
    object.area = object.segmentation.empty()
                      ? object.box[2] * object.box[3]
                      : static_cast<double>(metrics::area_of(
                            mask_of(object.segmentation, image.height, image.width)));
  }

  void tell_left_out() {
    of_no_image_.tell("annotations name images that the file does not list, left out", set_.notes);
    of_no_category_.tell("annotations name categories that the file does not list, left out",
                         set_.notes);
    flat_outlines_.tell("outlines of fewer than three points, left out", set_.notes);
    if (ids_.count(0) > 0) {
      set_.notes.push_back(
          "annotation id 0: counted like any other here, while pycocotools never counts a match "
          "with it");
    }
  }

  AnnotatedSet set_;
  std::vector<Unplaced> unplaced_;
  std::unordered_set<int64_t> ids_;
  LeftOut of_no_image_;
  LeftOut of_no_category_;
  LeftOut flat_outlines_;
};

/// The detections of one file.
class DetectionReader {
 public:
  DetectionReader(std::string source, const AnnotatedSet& set) : source_(std::move(source)) {
    for (const auto& image : set.images) images_.emplace(image.id, &image);
    for (const auto& category : set.categories) categories_.insert(category.id);
  }

  void add(const std::string& section, int64_t place, Item& item) {
    IBOT_CHECK_AS(DataError, section.empty(), source_,
                  ": expected a list of detections, got an object with ", section);
    const auto where = concat(source_, ": entry ", place);
    metrics::Detection detection{.image = needed(where, "an image_id", item.image_id),
                                 .category = needed(where, "a category_id", item.category_id)};
    const auto image = images_.find(detection.image);
    IBOT_CHECK_AS(DataError, image != images_.end(), where, ": expected an image of ",
                  "the annotations, got ", detection.image);
    IBOT_CHECK_AS(DataError, categories_.count(detection.category) > 0, where,
                  ": expected a category of the annotations, got ", detection.category);
    IBOT_CHECK_AS(DataError, item.score.has_value(), where, ": expected a score, found none");
    detection.score = *item.score;
    add_shape(where, *image->second, item, detection);
    detections_.push_back(std::move(detection));
  }

  std::vector<metrics::Detection> take() { return std::move(detections_); }

 private:
  static void add_shape(const std::string& where, const AnnotatedImage& image, const Item& item,
                        metrics::Detection& detection) {
    if (item.has_runs) {
      detection.mask = runs_of(where, item.size, counts_of(where, item.counts), item.text,
                               image.height, image.width);
    } else if (!item.outlines.empty()) {
      detection.mask = mask_of({item.outlines, {}}, image.height, image.width);
    }
    IBOT_CHECK_AS(DataError, !item.box.empty() || !detection.mask.counts.empty(), where,
                  ": expected a bbox or a segmentation, found neither");
    detection.box = item.box.empty() ? metrics::box_of(detection.mask) : box_of(where, item.box);
  }

  const std::string source_;
  std::unordered_map<int64_t, const AnnotatedImage*> images_;
  std::unordered_set<int64_t> categories_;
  std::vector<metrics::Detection> detections_;
};

}  // namespace

AnnotatedSet read_annotations(const std::filesystem::path& file) {
  SetReader reader(file.string());
  read_items(file, [&](const std::string& section, int64_t place, Item& item) {
    reader.add(section, place, item);
  });
  return reader.finish();
}

std::vector<metrics::Detection> read_detections(const std::filesystem::path& file,
                                                const AnnotatedSet& set) {
  DetectionReader reader(file.string(), set);
  read_items(file, [&](const std::string& section, int64_t place, Item& item) {
    reader.add(section, place, item);
  });
  return reader.take();
}

std::vector<metrics::Detection> compared(std::vector<metrics::Detection> detections,
                                         metrics::Shape shape) {
  for (auto& detection : detections) {
    if (shape == metrics::Shape::kBox) {
      detection.area = detection.box[2] * detection.box[3];
      // Large, and not compared.
      detection.mask = {};
      continue;
    }
    IBOT_CHECK_AS(DataError, !detection.mask.counts.empty(), "detections: image ", detection.image,
                  ": expected a segmentation of each detection or of none");
    detection.area = static_cast<double>(metrics::area_of(detection.mask));
  }
  return detections;
}

RunLengthMask mask_of(const Segmentation& segmentation, int64_t height, int64_t width) {
  if (!segmentation.runs.counts.empty()) return segmentation.runs;
  std::vector<RunLengthMask> parts;
  for (const auto& outline : segmentation.outlines) {
    parts.push_back(metrics::runs_of_polygon(outline, height, width));
  }
  // One run of zeros: an empty mask.
  if (parts.empty()) return {height, width, {static_cast<uint32_t>(height * width)}};
  return metrics::merge_runs(parts);
}

std::vector<metrics::Truth> truths_of(const AnnotatedSet& set, metrics::Shape shape) {
  std::vector<metrics::Truth> truths;
  for (size_t i = 0; i < set.images.size(); ++i) {
    const auto& image = set.images[i];
    for (const auto& object : set.objects[i]) {
      truths.push_back({.image = image.id,
                        .category = set.categories[object.label].id,
                        .box = object.box,
                        .mask = shape == metrics::Shape::kMask
                                    ? mask_of(object.segmentation, image.height, image.width)
                                    : RunLengthMask(),
                        .area = object.area,
                        .crowd = object.crowd});
    }
  }
  return truths;
}

std::vector<int64_t> image_ids(const AnnotatedSet& set) {
  std::vector<int64_t> ids;
  for (const auto& image : set.images) ids.push_back(image.id);
  return ids;
}

std::vector<int64_t> category_ids(const AnnotatedSet& set) {
  std::vector<int64_t> ids;
  for (const auto& category : set.categories) ids.push_back(category.id);
  return ids;
}

}  // namespace ibot::coco
