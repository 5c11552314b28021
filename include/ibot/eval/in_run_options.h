// Options of the evaluations that run during pre-training, and of k-NN.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot::eval {

struct InRunOptions {
  std::string path;
  std::vector<std::string> tasks{"knn"};
  int64_t every_epochs = 10;
  std::vector<int64_t> k;
  double temperature = 0.07;
  int64_t resize_size = 256;
  int64_t crop_size = 224;
  int64_t batch_size = 128;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("path", path, "folder with train/ and val/ image folders; empty: no evaluation",
          Effect::kNone);
    field("tasks", tasks,
          "evaluations during the run, by the names of ibot-eval --list; the first one chooses the "
          "best checkpoint",
          Effect::kNone);
    field("every_epochs", every_epochs,
          "epochs between evaluations by k-NN, the last one always; others have their own",
          Effect::kNone);
    field("k", k, "numbers of neighbors; []: of 10, 20, 100 and 200 what the images allow");
    field("temperature", temperature, "of the neighbors' votes");
    field("resize_size", resize_size, "short side in pixels before the center crop");
    field("crop_size", crop_size, "side of the center crop in pixels");
    field("batch_size", batch_size, "images a forward pass", Effect::kNone);
  }

  void validate() const {
    check_option(every_epochs > 0, "every_epochs", "expected above 0, got ", every_epochs);
    for (const int64_t count : k) check_option(count > 0, "k", "expected above 0, got ", count);
    check_option(temperature > 0, "temperature", "expected above 0, got ", temperature);
    check_option(crop_size > 0, "crop_size", "expected above 0, got ", crop_size);
    check_option(resize_size >= crop_size, "resize_size", "expected at least eval.crop_size ",
                 crop_size, ", got ", resize_size);
    check_option(batch_size > 0, "batch_size", "expected above 0, got ", batch_size);
  }
};

}  // namespace ibot::eval
