// Options of copy detection.
#pragma once

#include <cstdint>
#include <string>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot::eval {

struct CopyOptions {
  static constexpr const char* kSection = "copy";

  int64_t image_size = 224;
  std::string whitening;
  std::string distractors;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("image_size", image_size,
          "side in pixels that images are resized to, whatever their shape");
    field("whitening", whitening,
          "folder of other images whose features whiten all others; empty: no whitening",
          Effect::kNone);
    field("distractors", distractors, "folder of further images to search among; empty: none",
          Effect::kNone);
  }

  void validate() const {
    check_option(image_size > 0, "image_size", "expected above 0, got ", image_size);
  }
};

}  // namespace ibot::eval
