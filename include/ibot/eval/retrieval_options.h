// Options of image retrieval.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot::eval {

struct RetrievalOptions {
  static constexpr const char* kSection = "retrieval";

  std::string dataset = "roxford5k";
  int64_t longest_side = 512;
  bool multi_scale = true;
  bool query_boxes = false;
  std::vector<int64_t> k{1, 5, 10};
  std::string distractors;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("dataset", dataset,
          "set below the data folder: roxford5k | rparis6k | any other NAME with NAME/jpg and "
          "NAME/gnd_NAME.pkl");
    field("longest_side", longest_side,
          "larger images become Pillow's thumbnails of this side in pixels; smaller ones stay");
    field("multi_scale", multi_scale,
          "mean of the features at 1, 1/sqrt 2 and 1/2 of the size, instead of the size alone");
    field("query_boxes", query_boxes,
          "cut queries to the box of the ground truth, as the protocol of the data set does; the "
          "published numbers of DINO and iBOT are of whole images");
    field("k", k, "depths of the mean precision");
    field("distractors", distractors,
          "folder of further images, such as the million of revisited Oxford; empty: none",
          Effect::kNone);
  }

  void validate() const {
    check_option(longest_side > 0, "longest_side", "expected above 0, got ", longest_side);
    for (const int64_t depth : k) check_option(depth > 0, "k", "expected above 0, got ", depth);
  }
};

}  // namespace ibot::eval
