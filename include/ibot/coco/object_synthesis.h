// A synthetic set of images with annotated objects for trying out detection.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/coco/annotations.h"
#include "ibot/data/dataset.h"
#include "ibot/image/image.h"

namespace ibot::coco {

struct ObjectSynthesisOptions {
  int64_t classes = 4;
  int64_t train = 100;
  int64_t val = 30;
  int64_t objects = 3;
  int64_t size = 128;
  int64_t seed = 0;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("classes", classes, "number of classes: tints evenly spaced on the hue circle, 2 to 100");
    field("train", train, "images for training");
    field("val", val, "images for validation");
    field("objects", objects, "objects of an image at most");
    field("size", size, "side of an image in pixels");
    field("seed", seed, "random seed");
  }

  void validate() const {
    check_option(classes >= 2 && classes <= 100, "classes", "expected 2 to 100, got ", classes);
    check_option(train > 0, "train", "expected above 0, got ", train);
    check_option(val > 0, "val", "expected above 0, got ", val);
    check_option(objects > 0 && objects <= 100, "objects", "expected 1 to 100, got ", objects);
    check_option(size >= 32 && size <= 4096, "size", "expected 32 to 4096, got ", size);
    check_option(seed >= 0, "seed", "expected 0 or more, got ", seed);
  }
};

/// An image and its objects, as they are annotated.
struct ObjectScene {
  data::Image image;
  std::vector<Object> objects;
};

/// Draws one image, a pure function of its arguments: gray clutter with ellipses, rectangles and
/// triangles of a quarter to half its side, none above another, each under a tint whose hue is the
/// class. There is one object or more.
ObjectScene draw_objects(const ObjectSynthesisOptions& options, data::Split split, int64_t index);

/// Writes `root` in the layout of COCO 2017: train2017/, val2017/ and annotations/. Throws as
/// write_synthetic.
void write_objects(const ObjectSynthesisOptions& options, const std::filesystem::path& root);

}  // namespace ibot::coco
