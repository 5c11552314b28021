// A synthetic labeled image set for trying out the programs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/data/dataset.h"
#include "ibot/image/image.h"

namespace ibot::data {

struct SynthesisOptions {
  int64_t classes = 20;
  int64_t train_per_class = 100;
  int64_t val_per_class = 25;
  int64_t size = 32;
  int64_t seed = 0;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("classes", classes, "number of classes: tints evenly spaced on the hue circle, 2 to 100");
    field("train_per_class", train_per_class, "images per class in train/");
    field("val_per_class", val_per_class, "images per class in val/");
    field("size", size, "side of an image in pixels");
    field("seed", seed, "random seed");
  }

  void validate() const {
    check_option(classes >= 2 && classes <= 100, "classes", "expected 2 to 100, got ", classes);
    check_option(train_per_class > 0, "train_per_class", "expected above 0, got ", train_per_class);
    check_option(val_per_class > 0, "val_per_class", "expected above 0, got ", val_per_class);
    check_option(size >= 16 && size <= 4096, "size", "expected 16 to 4096, got ", size);
    check_option(seed >= 0, "seed", "expected 0 or more, got ", seed);
  }
};

/// Names of the classes: tint_00, tint_01, …
std::vector<std::string> tint_names(int64_t count);

/// Draws one image, a pure function of its arguments: gray clutter of random brightness and
/// contrast under a faint tint, whose hue is the class.
///
/// Every crop of an image shows its tint, which survives flips, jitter and blur, while everything
/// else differs between crops: self-distillation finds the tint. In raw pixels and in features of a
/// random network it is masked by brightness and clutter, which are many times as strong.
Image draw_synthetic(const SynthesisOptions& options, Split split, int64_t label, int64_t index);

/// Writes `root`/train/NAME/0000.jpg … and `root`/val/NAME/… for every class; `root` appears once
/// the set is complete. Throws OptionError, DataError if `root` is a file or a folder that is not
/// empty, Error if it cannot be written.
void write_synthetic(const SynthesisOptions& options, const std::filesystem::path& root);

}  // namespace ibot::data
