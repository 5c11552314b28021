// Options of the training data.
#pragma once

#include <cstdint>
#include <string>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/codec/decode_options.h"

namespace ibot::data {

struct DataOptions {
  std::string path;
  DecodeOptions decode;
  int64_t workers = 10;
  int64_t prefetch_batches = 4;
  double max_bad_share = 0.01;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("path", path,
          "image folder (one subfolder per class, or none; images at any depth) or tar shards "
          "(folder "
          "or pattern)",
          Effect::kNone);
    decode.fields(field);
    field("workers", workers, "decoding threads per rank", Effect::kNone);
    field("prefetch_batches", prefetch_batches, "batches loaded in advance", Effect::kNone);
    field("max_bad_share", max_bad_share,
          "end the run above this fraction of unreadable images; unless 0, ten are always allowed, "
          "of "
          "fewer than a hundred images a tenth",
          Effect::kNone);
  }

  void validate() const {
    decode.validate();
    check_option(workers > 0, "workers", "expected above 0, got ", workers);
    check_option(prefetch_batches > 0, "prefetch_batches", "expected above 0, got ",
                 prefetch_batches);
    check_option(max_bad_share >= 0 && max_bad_share <= 1, "max_bad_share", "expected [0, 1], got ",
                 max_bad_share);
  }
};

}  // namespace ibot::data
