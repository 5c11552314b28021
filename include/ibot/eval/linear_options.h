// Options of linear probing.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot::eval {

/// 1 to 9 times 10^-4 to 10^0, ascending: the grid of the published results.
inline std::vector<double> published_linear_rates() {
  std::vector<double> rates;
  for (const double unit : {1e-4, 1e-3, 1e-2, 1e-1, 1.0}) {
    for (int times = 1; times <= 9; ++times) rates.push_back(times * unit);
  }
  return rates;
}

struct LinearOptions {
  static constexpr const char* kSection = "linear";

  std::vector<double> lr = published_linear_rates();
  std::vector<double> weight_decay{0.0};
  bool lars = false;
  std::array<double, 2> scale{0.08, 1.0};
  int64_t epochs = 100;
  int64_t batch_size = 1024;
  int64_t val_every_epochs = 1;
  int64_t seed = 0;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("lr", lr, "learning rates per 256 images, a classifier each");
    field("weight_decay", weight_decay, "weight decays, each with every learning rate");
    field("lars", lars, "every setting with LARS too, besides SGD");
    field("scale", scale, "smallest and largest share of the image's area in a random crop");
    field("epochs", epochs, "passes over the training images");
    field("batch_size", batch_size, "images a step; a forward pass takes eval.batch_size of them");
    field("val_every_epochs", val_every_epochs, "epochs between validations; the last one always");
    field("seed", seed, "of the classifiers' first weights and the images' crops");
  }

  void validate() const {
    check_option(!lr.empty(), "lr", "expected at least one number");
    for (const double rate : lr) check_option(rate > 0, "lr", "expected above 0, got ", rate);
    check_option(!weight_decay.empty(), "weight_decay", "expected at least one number");
    for (const double decay : weight_decay) {
      check_option(decay >= 0, "weight_decay", "expected 0 or more, got ", decay);
    }
    check_option(scale[0] > 0 && scale[0] <= scale[1] && scale[1] <= 1, "scale",
                 "expected 0 < min <= max <= 1, got [", scale[0], ", ", scale[1], "]");
    check_option(epochs > 0, "epochs", "expected above 0, got ", epochs);
    check_option(batch_size > 0, "batch_size", "expected above 0, got ", batch_size);
    check_option(val_every_epochs > 0, "val_every_epochs", "expected above 0, got ",
                 val_every_epochs);
    check_option(seed >= 0, "seed", "expected 0 or more, got ", seed);
  }
};

}  // namespace ibot::eval
