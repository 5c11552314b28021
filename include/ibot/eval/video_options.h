// Options of objects followed through videos.
#pragma once

#include <cstdint>
#include <string>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/optim/precision_options.h"

namespace ibot::eval {

/// How labels get from frames to the next one.
struct PropagationOptions {
  int64_t last_frames = 7;
  int64_t radius = 12;
  int64_t topk = 5;
  double temperature = 0.1;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("last_frames", last_frames,
          "frames before the target that are looked at besides the first");
    field("radius", radius,
          "rows and columns of patches around the target's place that are looked at; 0: all");
    field("topk", topk, "patches of all those frames that a target takes its label from");
    field("temperature", temperature, "of the similarity of patches");
  }

  void validate() const {
    check_option(last_frames > 0, "last_frames", "expected above 0, got ", last_frames);
    check_option(radius >= 0, "radius", "expected 0 or more, got ", radius);
    check_option(topk > 0, "topk", "expected above 0, got ", topk);
    check_option(temperature > 0, "temperature", "expected above 0, got ", temperature);
  }
};

struct VideoOptions : PropagationOptions {
  static constexpr const char* kSection = "video";

  // What affects results.
  int64_t short_side = 480;
  optim::Precision precision = optim::Precision::kFp32;

  // What affects speed, memory, and what is read, kept or told.
  std::string year = "2017";
  std::string split = "val";
  bool overlays = false;
  int64_t parallel = 0;

  template <class Visitor>
  void fields(Visitor&& field) {
    PropagationOptions::fields(field);
    field("short_side", short_side,
          "short side of frames in pixels; the long one is rounded down to a multiple of 64");
    field("precision", precision,
          "of the network's matrix products: fp32 | fp16 | bf16; fp16 needs a GPU");
    field("year", year, "folder of ImageSets that holds the list of sequences");
    field("split", split, "the list: val for ImageSets/YEAR/val.txt");
    field("overlays", overlays, "write strips/SEQUENCE.png, some frames with the objects in colors",
          Effect::kNone);
    field("parallel", parallel, "sequences at a time; 0: one for each thread of the processor",
          Effect::kNone);
  }

  void validate() const {
    PropagationOptions::validate();
    check_option(short_side >= 64, "short_side", "expected 64 or more, got ", short_side);
    check_option(parallel >= 0, "parallel", "expected 0 or more, got ", parallel);
  }
};

}  // namespace ibot::eval
