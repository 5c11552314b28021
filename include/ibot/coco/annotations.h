// Objects annotated in the format of COCO.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ibot/metrics/average_precision.h"
#include "ibot/metrics/run_length.h"

namespace ibot::coco {

/// The pixels of an object: outlines whose union it is, or runs; neither where it has no mask.
///
///   outlines  x0, y0, x1, y1, ... each, in pixels
struct Segmentation {
  std::vector<std::vector<double>> outlines;
  metrics::RunLengthMask runs;

  bool empty() const { return outlines.empty() && runs.counts.empty(); }
};

/// An annotated object.
///
///   label    place of its category in AnnotatedSet::categories
///   box      x, y, width, height in pixels, as given: it may leave the image
///   area     as given, else of the mask, else of the box
///   crowd    a group of objects
///   ignored  by the annotation itself
struct Object {
  int64_t id = 0;
  int64_t label = 0;
  metrics::Box box{};
  double area = 0;
  bool crowd = false;
  bool ignored = false;
  Segmentation segmentation;
};

struct AnnotatedImage {
  int64_t id = 0;
  std::string file;
  int64_t height = 0;
  int64_t width = 0;
};

struct Category {
  int64_t id = 0;
  std::string name;
};

/// A file of annotations.
///
///   images      by ascending id
///   categories  by ascending id
///   objects     of each image, in the file's order
///   notes       what was left out, one line each
struct AnnotatedSet {
  std::string source;
  std::vector<AnnotatedImage> images;
  std::vector<Category> categories;
  std::vector<std::vector<Object>> objects;
  std::vector<std::string> notes;
};

/// Reads a file as a stream: beside the objects nothing is kept in memory.
///
/// As in pycocotools, annotations of images or categories that the file does not list are left out,
/// and counted in the notes; so are outlines of fewer than three points. Throws DataError, naming
/// file and entry, where the file is cut short or not of the format, has no image, category or
/// annotation, an id twice, a box that is none, or a mask that does not fit its image.
///
/// Source: cocodataset.org, format of instances; pycocotools 2.0.
AnnotatedSet read_annotations(const std::filesystem::path& file);

/// Detections as pycocotools reads them: [{image_id, category_id, bbox, score, segmentation}]. One
/// without a box has that of its mask; masks are optional. Throws DataError as read_annotations,
/// and where an image or a category is not of `set`, or box and mask or the score are missing.
std::vector<metrics::Detection> read_detections(const std::filesystem::path& file,
                                                const AnnotatedSet& set);

/// Detections as average_precision compares them: with the area of their box, or for Shape::kMask
/// of their mask. Throws DataError where a mask is needed and missing.
std::vector<metrics::Detection> compared(std::vector<metrics::Detection> detections,
                                         metrics::Shape shape);

/// The mask of an object in an image of this size.
metrics::RunLengthMask mask_of(const Segmentation& segmentation, int64_t height, int64_t width);

/// What average_precision compares detections with; masks for Shape::kMask alone.
std::vector<metrics::Truth> truths_of(const AnnotatedSet& set, metrics::Shape shape);
std::vector<int64_t> image_ids(const AnnotatedSet& set);
std::vector<int64_t> category_ids(const AnnotatedSet& set);

}  // namespace ibot::coco
