// A labelled image set that is drawn, to try the programs on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/data/image.h"

namespace ibot::data {

/// Number of kinds of marks, one a class.
inline constexpr int64_t kNumMarks = 10;

struct SynthesisOptions {
  int64_t classes = kNumMarks;
  int64_t train_per_class = 200;
  int64_t val_per_class = 50;
  int64_t size = 48;
  int64_t seed = 0;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("classes", classes, "kinds of marks, one a class, 2 to 10");
    field("train_per_class", train_per_class, "images of a class in train/");
    field("val_per_class", val_per_class, "images of a class in val/");
    field("size", size, "side of an image in pixels");
    field("seed", seed, "of every image");
  }

  void validate() const {
    check_option(classes >= 2 && classes <= kNumMarks, "classes", "expected 2 to ", kNumMarks,
                 ", got ", classes);
    check_option(train_per_class > 0, "train_per_class", "expected above 0, got ", train_per_class);
    check_option(val_per_class > 0, "val_per_class", "expected above 0, got ", val_per_class);
    check_option(size >= 16 && size <= 4096, "size", "expected 16 to 4096, got ", size);
    check_option(seed >= 0, "seed", "expected 0 or more, got ", seed);
  }
};

enum class Split : uint64_t { kTrain, kVal };

/// Names of the first `count` marks: bars, crosses, discs, …
std::vector<std::string> mark_names(int64_t count);

/// Draws one grey picture, a pure function of its arguments: marks of one kind on a jittered
/// lattice, each light or dark at random, under smooth shading.
///
/// Every crop of a picture shows what its class is. Position, polarity and shading are random and
/// all pictures have one mean and one deviation, so that neither single pixels nor their statistics
/// tell the classes apart.
Image draw_synthetic(const SynthesisOptions& options, Split split, int64_t label, int64_t index);

/// Writes `root`/train/NAME/0000.jpg … and `root`/val/NAME/… for every class; `root` appears when
/// the set is whole. Throws OptionError, DataError when `root` is a file or a folder that is not
/// empty, Error when it cannot be written.
void write_synthetic(const SynthesisOptions& options, const std::filesystem::path& root);

}  // namespace ibot::data
