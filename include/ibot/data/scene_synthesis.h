// A synthetic set of images with label maps for trying out segmentation.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/data/dataset.h"
#include "ibot/image/image.h"

namespace ibot::data {

struct SceneSynthesisOptions {
  int64_t classes = 6;
  int64_t train = 200;
  int64_t val = 50;
  int64_t regions = 5;
  int64_t size = 96;
  int64_t seed = 0;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("classes", classes, "number of classes: tints evenly spaced on the hue circle, 2 to 100");
    field("train", train, "images for training");
    field("val", val, "images for validation");
    field("regions", regions, "regions of an image, each of one class");
    field("size", size, "side of an image in pixels");
    field("seed", seed, "random seed");
  }

  void validate() const {
    check_option(classes >= 2 && classes <= 100, "classes", "expected 2 to 100, got ", classes);
    check_option(train > 0, "train", "expected above 0, got ", train);
    check_option(val > 0, "val", "expected above 0, got ", val);
    check_option(regions > 0 && regions <= 1000, "regions", "expected 1 to 1000, got ", regions);
    check_option(size >= 16 && size <= 4096, "size", "expected 16 to 4096, got ", size);
    check_option(seed >= 0, "seed", "expected 0 or more, got ", seed);
  }
};

/// An image and the class of each of its pixels.
///
///   label  [size, size]   uint8, 1 … classes; 0 on the borders of regions, which count nowhere
struct Scene {
  Image image;
  torch::Tensor label;
};

/// Draws one scene, a pure function of its arguments: gray clutter, divided into regions around
/// random points, each under a tint whose hue is the class.
Scene draw_scene(const SceneSynthesisOptions& options, Split split, int64_t index);

/// Writes `root` in the layout of ADE20K, with the names of the classes in classes.txt; as
/// write_synthetic.
void write_scenes(const SceneSynthesisOptions& options, const std::filesystem::path& root);

}  // namespace ibot::data
