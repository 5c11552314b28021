// Options of a set of images with label maps.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot::data {

/// Defaults: the layout of ADE20K.
struct SegmentationSetOptions {
  std::string train_images = "images/training";
  std::string train_labels = "annotations/training";
  std::string val_images = "images/validation";
  std::string val_labels = "annotations/validation";
  std::string image_ending;
  std::string label_ending = ".png";
  bool zero_is_ignored = true;
  int64_t classes = 0;
  std::string class_file;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("train_images", train_images, "folder of the training images below --data");
    field("train_labels", train_labels, "folder of their label maps");
    field("val_images", val_images, "folder of the validation images");
    field("val_labels", val_labels, "folder of their label maps");
    field("image_ending", image_ending,
          "end of an image's name that its label map lacks, such as _leftImg8bit.png; empty: its "
          "extension");
    field("label_ending", label_ending,
          "end of a label map's name in its place, such as _gtFine_labelTrainIds.png");
    field("zero_is_ignored", zero_is_ignored,
          "value 0 of a label map is no class, and value k is class k - 1; false: value k is class "
          "k. 255 is no class either way");
    field("classes", classes, "number of classes; 0: those of the class file, or else 150");
    field("class_file", class_file,
          "names of the classes, one a line, or a table with a column Name; empty: classes.txt or "
          "objectInfo150.txt below --data, where there is one");
  }

  void validate() const {
    for (const auto& [key, value] : {std::pair{"train_images", &train_images},
                                     {"train_labels", &train_labels},
                                     {"val_images", &val_images},
                                     {"val_labels", &val_labels},
                                     {"label_ending", &label_ending}}) {
      check_option(!value->empty(), key, "expected a name, got none");
    }
    check_option(classes >= 0 && classes <= 254, "classes", "expected 0 to 254, got ", classes);
  }
};

}  // namespace ibot::data
